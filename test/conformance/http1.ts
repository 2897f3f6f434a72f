/**
 * HTTP/1.1 on the wire, one sentence of RFC 9110 or 9112 a case: what is sent, which statuses are right, and whether the
 * connection goes on. Written in the manner of h1spec. Each case runs the fast way and the exact way.
 */
import { startBothWays } from '../edge/support/both-ways.ts'
import { type Answer, answersIn, exchange } from '../edge/support/wire.ts'

interface Case {
  name: string
  /** Sent at once. */
  bytes: string
  methods: string[]
  /** The statuses that are right, one list for each answer. */
  statuses: number[][]
  also?: (answers: readonly Answer[], text: string) => boolean
}

export interface Http1Result {
  cases: number
  failures: string[]
}

const get = (fields = '', line = 'GET /cached HTTP/1.1') => `${line}\r\nHost: a.example\r\n${fields}\r\n`
const has = (answer: Answer | undefined, line: string | RegExp) =>
  answer?.fields.some((each) => (typeof line === 'string' ? each === line : line.test(each))) ?? false

const CASES: Case[] = []
const add = (name: string, bytes: string, statuses: number[][], also?: Case['also'], methods = ['GET']) =>
  CASES.push({ name, bytes, statuses, methods, ...(also ? { also } : {}) })

add('a request is answered', get(), [[200]])
add('field names are of any case (9110 §5.1)', 'GET /cached HTTP/1.1\r\nhOsT: a.example\r\n\r\n', [[200]])
add('white space around a value does not count (9112 §5)', get('X:   \t y \t \r\n'), [[200]])
add('an empty value is a value', get('X:\r\n'), [[200]])
add('one empty line before a request is passed over (9112 §2.2)', `\r\n${get()}`, [[200]])
add('a connection persists (9112 §9.3)', get() + get(), [[200], [200]], undefined, ['GET', 'GET'])
add('close ends it after the answer (9112 §9.6)', get('Connection: close\r\n') + get(), [[200]], ([first]) =>
  has(first, 'connection: close'),
)
add('close among other options', get('Connection: x, Close\r\n') + get(), [[200]])
add('HTTP/1.0 ends after the answer (9112 §9.3)', get('', 'GET /cached HTTP/1.0') + get(), [[200]])
add(
  'HTTP/1.0 may ask to persist',
  get('Connection: keep-alive\r\n', 'GET /cached HTTP/1.0') + get(),
  [[200], [200]],
  ([first]) => has(first, 'connection: keep-alive'),
  ['GET', 'GET'],
)
add(
  'the answer says HTTP/1.1 whatever is asked with (9110 §2.5)',
  get('', 'GET /cached HTTP/1.0'),
  [[200]],
  (_answers, text) => text.startsWith('HTTP/1.1 '),
)
add(
  'pipelined answers come in order (9112 §9.3.2)',
  get('', 'GET /missing HTTP/1.1') + get(),
  [[404], [200]],
  undefined,
  ['GET', 'GET'],
)
add(
  'HEAD has no body, and the length of GET (9110 §9.3.2)',
  get('', 'HEAD /cached HTTP/1.1') + get(),
  [[200], [200]],
  ([first, second]) => has(first, 'content-length: 20') && second!.body.length === 20,
  ['HEAD', 'GET'],
)
add('304 has no body (9110 §15.4.5)', get('If-None-Match: "e"\r\n') + get(), [[304], [200]], undefined, ['GET', 'GET'])
add(
  'a range is honoured (9110 §14.2)',
  get('Range: bytes=2-4\r\n'),
  [[206]],
  ([first]) => first!.body === 'xxx' && has(first, 'content-range: bytes 2-4/20'),
)
add('a range beyond the end is 416 (9110 §15.5.17)', get('Range: bytes=99-\r\n'), [[416]], ([first]) =>
  has(first, 'content-range: bytes */20'),
)
add('a unit that is not known is passed over', get('Range: lines=1-2\r\n'), [[200]])
add('an absolute target (9112 §3.2.2)', get('', 'GET http://a.example/cached HTTP/1.1'), [[200]])
add('OPTIONS * (9112 §3.2.4)', get('', 'OPTIONS * HTTP/1.1'), [[200, 204]], ([first]) => has(first, /^allow: /), [
  'OPTIONS',
])
add('TRACE is not served (9110 §9.3.8)', get('', 'TRACE /cached HTTP/1.1'), [[405, 501]], undefined, ['TRACE'])
add('CONNECT is not served (9110 §9.3.6)', 'CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n', [
  [400, 405, 501],
])
add(
  'a body by length',
  `${get('Content-Length: 3\r\n', 'POST /echo HTTP/1.1')}abc`,
  [[200]],
  ([first]) => first!.body === 'abc',
  ['POST'],
)
add(
  'a body in chunks (9112 §7.1)',
  `${get('Transfer-Encoding: chunked\r\n', 'POST /echo HTTP/1.1')}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n`,
  [[200]],
  ([first]) => first!.body === 'abcde',
  ['POST'],
)
add(
  'coding names are of any case',
  `${get('Transfer-Encoding: Chunked\r\n', 'POST /echo HTTP/1.1')}1\r\na\r\n0\r\n\r\n`,
  [[200]],
  ([first]) => first!.body === 'a',
  ['POST'],
)
add(
  'chunk sizes are hexadecimal in any case',
  `${get('Transfer-Encoding: chunked\r\n', 'POST /echo HTTP/1.1')}A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n`,
  [[200]],
  ([first]) => first!.body.length === 20,
  ['POST'],
)
add(
  'a request behind a body',
  `${get('Content-Length: 3\r\n', 'POST /echo HTTP/1.1')}abc${get()}`,
  [[200], [200]],
  undefined,
  ['POST', 'GET'],
)
add(
  '100 Continue (9110 §10.1.1)',
  `${get('Expect: 100-continue\r\nContent-Length: 1\r\n', 'POST /echo HTTP/1.1')}a`,
  [[200]],
  (_answers, text) => text.startsWith('HTTP/1.1 100 '),
  ['POST'],
)
add('an expectation that is not known is 417', get('Expect: tea\r\n'), [[417]])
add(
  'an answer of unknown length is chunked',
  get('', 'GET /chunked HTTP/1.1'),
  [[200]],
  ([first]) => has(first, 'transfer-encoding: chunked') && first!.body === 'onetwo' && first!.whole,
)
add(
  'but not for HTTP/1.0 (9112 §6.1)',
  get('', 'GET /chunked HTTP/1.0'),
  [[200]],
  ([first]) => !has(first, /^transfer-encoding/) && first!.body === 'onetwo',
)
add('Upgrade to what is not known is passed over (9110 §7.8)', get('Connection: upgrade\r\nUpgrade: cow\r\n'), [[200]])
add('obs-text in a value is let be (9110 §5.5)', get('X: caf\xe9\r\n'), [[200]])
const wrong = (name: string, bytes: string, statuses = [400]) => add(name, bytes, [statuses])
wrong('no Host (9112 §3.2)', 'GET /cached HTTP/1.1\r\n\r\n')
wrong('two Hosts', get('Host: a.example\r\n'))
wrong('a Host that is none', 'GET /cached HTTP/1.1\r\nHost: a b\r\n\r\n')
wrong('an empty Host', 'GET /cached HTTP/1.1\r\nHost:\r\n\r\n')
wrong('Host and target differ', get('', 'GET http://b.example/ HTTP/1.1'))
wrong('white space before the colon (9112 §5.1)', get('X : y\r\n'))
wrong('white space before the first field (9112 §2.2)', 'GET /cached HTTP/1.1\r\n Host: a.example\r\n\r\n')
wrong('a folded line (9112 §5.2)', get('X: y\r\n z\r\n'))
wrong('a field without a colon', get('X\r\n'))
wrong('a field without a name', get(': y\r\n'))
wrong('a name that is no token', get('X(y): z\r\n'))
wrong('NUL in a value (9110 §5.5)', get('X: a\0b\r\n'))
wrong('bare CR in a value', get('X: a\rb\r\n'))
wrong('lines that end in LF', 'GET /cached HTTP/1.1\nHost: a.example\n\n')
wrong('a target with a fragment', get('', 'GET /cached#f HTTP/1.1'))
wrong('a target with bytes beyond ASCII', get('', 'GET /\xe9 HTTP/1.1'))
wrong('a target of no form', get('', 'GET cached HTTP/1.1'))
wrong('* for GET', get('', 'GET * HTTP/1.1'))
wrong('a method that is no token', get('', 'GE(T /cached HTTP/1.1'))
wrong('a method in small letters (9110 §9.1)', get('', 'get /cached HTTP/1.1'), [400, 405, 501])
wrong('HTTP/2.0 in a request line', get('', 'GET /cached HTTP/2.0'), [400, 505])
wrong('HTTP/1.9', get('', 'GET /cached HTTP/1.9'), [400, 505])
wrong('a version in small letters (9112 §2.3)', get('', 'GET /cached http/1.1'), [400, 505])
wrong('a target that is too long (9110 §15.5.15)', get('', `GET /${'a'.repeat(9_000)} HTTP/1.1`), [414])
wrong('fields that are too large (6585 §5)', get(`X: ${'a'.repeat(20_000)}\r\n`), [431])
wrong('too many fields', get('X: a\r\n'.repeat(300)), [431])
wrong('a length that is no number', get('Content-Length: 1x\r\n', 'POST /echo HTTP/1.1'))
wrong('a negative length', get('Content-Length: -1\r\n', 'POST /echo HTTP/1.1'))
wrong('two lengths', `${get('Content-Length: 1\r\nContent-Length: 2\r\n', 'POST /echo HTTP/1.1')}ab`)
wrong(
  'a length and a coding (9112 §6.3)',
  `${get('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', 'POST /echo HTTP/1.1')}0\r\n\r\n`,
)
wrong(
  'a coding that is not known (9112 §6.1)',
  `${get('Transfer-Encoding: gzip, chunked\r\n', 'POST /echo HTTP/1.1')}0\r\n\r\n`,
  [400, 501],
)
wrong('a coding in HTTP/1.0', `${get('Transfer-Encoding: chunked\r\n', 'POST /echo HTTP/1.0')}0\r\n\r\n`)
wrong('a chunk size that is none', `${get('Transfer-Encoding: chunked\r\n', 'POST /echo HTTP/1.1')}x\r\n`, [400])
wrong(
  'a body longer than the bound (9110 §15.5.14)',
  get('Content-Length: 99999999999\r\n', 'POST /echo HTTP/1.1'),
  [413],
)
wrong('a head that is cut off', 'GET /cached HTTP/1.1\r\nHost: a.exa')
wrong('a body that is cut off', `${get('Content-Length: 9\r\n', 'POST /echo HTTP/1.1')}abc`)

export async function runHttp1(): Promise<Http1Result> {
  const ways = await startBothWays((request, response) => {
    response.setHeader('cache-control', request.url === '/cached' ? 'max-age=1000' : 'no-store')
    if (request.url === '/cached') response.setHeader('etag', '"e"').end('x'.repeat(20))
    else if (request.url === '/echo') request.pipe(response)
    else if (request.url === '/chunked') {
      response.write('one')
      response.end('two')
    } else response.writeHead(404).end('none')
  })
  const result: Http1Result = { cases: 0, failures: [] }
  try {
    await exchange(ways.port.exact, [get()])
    for (const way of ['fast', 'exact'] as const)
      for (const { name, bytes, methods, statuses, also } of CASES) {
        result.cases++
        const text = await exchange(ways.port[way], [bytes])
        const answers = answersIn(text, methods)
        const right =
          answers.length === statuses.length &&
          answers.every((answer, index) => answer.whole && statuses[index]!.includes(answer.status)) &&
          (also?.(answers, text) ?? true)
        if (!right) result.failures.push(`${way}: ${name}: ${JSON.stringify(text.slice(0, 300))}`)
      }
  } finally {
    await ways.close()
  }
  return result
}
