/**
 * Request smuggling (RFC 9112 §11.2): messages that two readers could cut in two ways. 134 mutations of Transfer-Encoding in
 * both orders of belief (CL.TE, TE.CL), and the families of Content-Length, Host, line ends, white space, chunks, versions
 * and targets. Each must be refused, or reach the origin as one sound request with nothing hidden in it that comes out.
 */
import { startBothWays } from '../edge/support/both-ways.ts'
import { answersIn, exchange } from '../edge/support/wire.ts'
import { RecordingOrigin } from './recording-origin.ts'

interface Case {
  name: string
  bytes: string
}

export interface SmugglingResult {
  cases: number
  refused: number
  harmless: number
  failures: string[]
}

const HIDDEN = 'GET /smuggled HTTP/1.1\r\nHost: a.example\r\nX: '
const post = (fields: string, body: string, line = 'POST /front HTTP/1.1') =>
  `${line}\r\nHost: a.example\r\n${fields}\r\n\r\n${body}`

/** White space, control bytes and the like, put into each seam of the field line. */
const ODD_BYTES = [0x01, 0x04, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x20, 0x7f, 0xa0, 0xff]
const SEAMS: ((odd: string) => string)[] = [
  (odd) => `Transfer-Encoding:${odd}chunked`,
  (odd) => `Transfer-Encoding${odd}: chunked`,
  (odd) => `${odd}Transfer-Encoding: chunked`,
  (odd) => `Transfer-Encoding: chunked${odd}`,
  (odd) => `X: X${odd}Transfer-Encoding: chunked`,
  (odd) => `Transfer-Encoding: chunked${odd}X: X`,
  (odd) => `X: X\r${odd}Transfer-Encoding: chunked`,
  (odd) => `X: X${odd}\nTransfer-Encoding: chunked`,
  (odd) => `Transfer-Encoding: chunked\r${odd}X: X`,
  (odd) => `Transfer-Encoding: chunked${odd}\nX: X`,
]

/** The 134 ways to write a Transfer-Encoding that one reader sees and another does not. */
export function codingMutations(): string[] {
  const made = ODD_BYTES.flatMap((byte) => SEAMS.map((seam) => seam(String.fromCharCode(byte))))
  const extra = [
    'Transfer-Encoding: chunked\r\nTransfer-encoding: identity',
    'Transfer-Encoding: identity, chunked',
    'Transfer-Encoding:\r\n chunked',
  ]
  // Some seams come to the same bytes.
  return [
    ...new Set(made),
    ...extra,
    ' Transfer-Encoding: chunked',
    'Transfer-Encoding\t:\tchunked',
    'Transfer-Encoding :  chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
  ]
}

export function smugglingCases(): Case[] {
  const cases: Case[] = []
  const add = (name: string, bytes: string) =>
    cases.push({ name: `${name} ${JSON.stringify(bytes.slice(0, 160))}`, bytes })
  const ended = `0\r\n\r\n${HIDDEN}`
  const wrapped = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`
  for (const mutation of codingMutations()) {
    add('CL.TE', post(`Content-Length: ${ended.length}\r\n${mutation}`, ended))
    add('TE.CL', post(`${mutation}\r\nContent-Length: 4`, wrapped(`${HIDDEN}\r\n\r\n`)))
  }
  for (const coding of [
    'xchunked',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    'chunked, chunked',
    'identity',
    '"chunked"',
    'chunked;q=1',
    'CHUNKED, x',
    ',chunked',
    'chunked,',
    '',
    'cow',
  ])
    add('coding', post(`Transfer-Encoding: ${coding}`, ended))
  for (const fields of [
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer_Encoding: chunked\r\nContent-Length: 5',
    'X-Transfer-Encoding: chunked\r\nContent-Length: 5',
  ])
    add('codings', post(fields, ended))
  for (const length of [
    '+5',
    '-5',
    '0x5',
    '5 5',
    '5,5',
    '5, 6',
    '5;',
    ' 5\t5',
    '',
    '5a',
    '1e1',
    '00000000000000000000005',
    '18446744073709551621',
    '5\r\nContent-Length: 6',
    '5\r\nContent-Length: 5',
    '5\r\n Content-Length: 6',
    '\x0b5',
    '5\x00',
    '5\xa0',
    '٥',
  ])
    add('length', post(`Content-Length: ${length}`, `aaaaa${HIDDEN}`))
  for (const name of [
    'Content-Length ',
    ' Content-Length',
    'Content-Length\t',
    'Content\0-Length',
    'Content-Length\x0b',
    'content_length',
  ])
    add('length name', post(`${name}: 5`, `aaaaa${HIDDEN}`))
  for (const hosts of [
    'Host: a.example\r\nHost: b.example',
    'Host: a.example\r\nHost: a.example',
    'Host: a.example, b.example',
    'Host: a.example b.example',
    'Host: a.example\r\n Host: b.example',
    'Host : a.example',
    'Host: a.example\0b',
    'Host: a.example/x',
    'Host: a@b.example',
    'Host: a.example:80:81',
    'Host: a.example#b',
    'Host:',
    'X: y',
    '\tHost: a.example',
    'Host: \xe9',
    'Host: a.example\rHost: b.example',
  ])
    add('host', `GET /front HTTP/1.1\r\n${hosts}\r\n\r\n${HIDDEN}`)
  for (const target of [
    'http://b.example/front',
    'http://a.example@b.example/',
    'https://a.example/front',
    'b.example:80',
    'front',
    '/front HTTP/1.1',
    '/a\tb',
    '/a\0b',
    '/a\rb',
    '/#f',
    '//b.example/front',
    'http:///front',
    'ftp://a.example/',
    '*',
  ])
    add('target', `GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n${HIDDEN}`)
  for (const [name, bytes] of [
    ['bare LF', `POST /front HTTP/1.1\nHost: a.example\nContent-Length: 5\n\naaaaa${HIDDEN}`],
    ['bare LF in the last line', `POST /front HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\naaaaa${HIDDEN}`],
    ['bare CR', `POST /front HTTP/1.1\rHost: a.example\rContent-Length: 5\r\raaaaa${HIDDEN}`],
    ['bare CR in a value', post('X: a\rTransfer-Encoding: chunked', ended)],
    ['bare LF in a value', post('X: a\nTransfer-Encoding: chunked', ended)],
    ['CR CR LF', post('X: a\r\r\nTransfer-Encoding: chunked', ended)],
    ['folded coding', post('Transfer-Encoding:\r\n chunked', ended)],
    ['folded into a value', post('X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5', `aaaaa${HIDDEN}`)],
    ['space before the first field', `POST /front HTTP/1.1\r\n Host: a.example\r\nContent-Length: 5\r\n\r\naaaaa`],
    ['no colon', post('Transfer-Encoding\r\nContent-Length: 5', `aaaaa${HIDDEN}`)],
    ['empty name', post(': chunked\r\nContent-Length: 5', `aaaaa${HIDDEN}`)],
    ['form feed', post('X:\x0cTransfer-Encoding: chunked', ended)],
  ] as const)
    add(name, bytes)
  for (const chunks of [
    '5\r\naaaaa0\r\n\r\n',
    '5;\naaaaa\r\n0\r\n\r\n',
    '5\naaaaa\n0\n\n',
    '0x5\r\naaaaa\r\n0\r\n\r\n',
    '-1\r\n\r\n0\r\n\r\n',
    '+5\r\naaaaa\r\n0\r\n\r\n',
    ' 5\r\naaaaa\r\n0\r\n\r\n',
    '5 \r\naaaaa\r\n0\r\n\r\n',
    'fffffffffffffffff\r\na',
    '5\r\naaaaaa\r\n0\r\n\r\n',
    '5;x="\r\n\r\n"\r\naaaaa\r\n0\r\n\r\n',
    '5\r\r\naaaaa\r\n0\r\n\r\n',
    '5\r\naaaaa\r\n0\r\nX: y\nTransfer-Encoding: x\r\n\r\n',
    '0_5\r\naaaaa\r\n0\r\n\r\n',
    '5\r\naaaaa\n0\r\n\r\n',
    '5\r\naaaaa\rX0\r\n\r\n',
    '5\r\naaaaa\r\n0\r\nContent-Length: 100\r\n\r\n',
    '\r\n5\r\naaaaa\r\n0\r\n\r\n',
  ])
    add('chunk', post('Transfer-Encoding: chunked', chunks + HIDDEN))
  for (const line of [
    'POST /front HTTP/1.0',
    'POST /front HTTP/0.9',
    'POST /front HTTP/2.0',
    'POST /front HTTP/1.2',
    'POST /front HTTP/1.1 ',
    'POST /front http/1.1',
    'POST /front',
    'POST  /front HTTP/1.1',
    ' POST /front HTTP/1.1',
    'POST\t/front\tHTTP/1.1',
    'POST /front HTTP/1.1\0',
    'POST /front HTTP/01.1',
  ])
    add('version', post('Transfer-Encoding: chunked', ended, line))
  for (const line of [
    'GET /front HTTP/1.1',
    'HEAD /front HTTP/1.1',
    'DELETE /front HTTP/1.1',
    'OPTIONS /front HTTP/1.1',
  ])
    for (const fields of [`Content-Length: ${HIDDEN.length}`, 'Content-Length: 0', 'Transfer-Encoding: chunked'])
      add('body of a method without one', post(fields, fields.startsWith('T') ? `0\r\n\r\n${HIDDEN}` : HIDDEN, line))
  for (const fields of [
    'Connection: close, Content-Length\r\nContent-Length: 5',
    'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked',
    'Connection: Host\r\nContent-Length: 5',
    'Connection: keep-alive\r\nTE: trailers\r\nContent-Length: 5',
    'Expect: 100-continue\r\nContent-Length: 5',
    'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 5',
  ])
    add('connection', post(fields, fields.includes('chunked') ? ended : `aaaaa${HIDDEN}`))
  return cases
}

export async function runSmuggling(): Promise<SmugglingResult> {
  const origin = await RecordingOrigin.start()
  const ways = await startBothWays(origin.port)
  const result: SmugglingResult = { cases: 0, refused: 0, harmless: 0, failures: [] }
  try {
    for (const way of ['fast', 'exact'] as const)
      for (const { name, bytes } of smugglingCases()) {
        origin.forget()
        const text = await exchange(ways.port[way], [bytes])
        const answers = answersIn(text, [])
        const first = answers[0]?.status ?? 0
        result.cases++
        // What the edge knows of has its Via; a request without one came out of another.
        const hidden = origin.received.some(({ lines }) => !lines.some((line) => /^via:/i.test(line)))
        if (hidden) result.failures.push(`${way}: came out at the origin: ${name}`)
        else if (origin.faults.length > 0) result.failures.push(`${way}: ${origin.faults[0]}: ${name}`)
        else if (origin.received.length > answers.length)
          result.failures.push(`${way}: ${origin.received.length} requests, ${answers.length} answers: ${name}`)
        else if (origin.received.length > 0) result.harmless++
        else if (first >= 400 || first === 0 || first === 204) result.refused++
        else result.failures.push(`${way}: answered ${first} without asking: ${name}`)
      }
  } finally {
    await ways.close()
    await origin.close()
  }
  return result
}
