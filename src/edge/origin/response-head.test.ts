import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkedDecoder } from './chunked.ts'
import {
  announcedLength,
  MAX_HEAD_BYTES,
  type ParsedHead,
  parseResponseHead,
  type ResponseHead,
} from './response-head.ts'

const parse = (lines: string[], toHead = false): ParsedHead =>
  parseResponseHead(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), toHead)
const good = (lines: string[], toHead = false): ResponseHead => {
  const head = parse(lines, toHead)
  assert.ok(head !== 'more' && !('wrong' in head), JSON.stringify(head))
  return head
}

test('where a body ends (RFC 9112 §6.3)', () => {
  const rows: [string[], boolean, ResponseHead['framing'], boolean][] = [
    [['HTTP/1.1 200 OK', 'Content-Length: 5'], false, { kind: 'length', bytes: 5 }, true],
    [['HTTP/1.1 200 OK', 'Content-Length: 5, 5'], false, { kind: 'length', bytes: 5 }, true],
    [['HTTP/1.1 200 OK', 'Content-Length: 5'], true, { kind: 'none' }, true],
    [['HTTP/1.1 304 Not Modified', 'Content-Length: 5'], false, { kind: 'none' }, true],
    [['HTTP/1.1 204 No Content'], false, { kind: 'none' }, true],
    [['HTTP/1.1 200 OK'], false, { kind: 'close' }, false],
    [['HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked'], false, { kind: 'chunked' }, true],
    [['HTTP/1.1 200 OK', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], false, { kind: 'chunked' }, true],
    [['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked, gzip'], false, { kind: 'close' }, false],
    // Both: the coding counts, and the connection is not trusted further.
    [['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Content-Length: 5'], false, { kind: 'chunked' }, false],
    [['HTTP/1.0 200 OK', 'Transfer-Encoding: chunked'], false, { kind: 'close' }, false],
    [['HTTP/1.0 200 OK', 'Content-Length: 5'], false, { kind: 'length', bytes: 5 }, false],
    [['HTTP/1.0 200 OK', 'Content-Length: 5', 'Connection: keep-alive'], false, { kind: 'length', bytes: 5 }, true],
    [['HTTP/1.1 200 OK', 'Content-Length: 5', 'Connection: x, Close'], false, { kind: 'length', bytes: 5 }, false],
  ]
  for (const [lines, toHead, framing, persistent] of rows) {
    const head = good(lines, toHead)
    assert.deepEqual([head.framing, head.persistent], [framing, persistent], lines.join(' | '))
  }
  assert.equal(announcedLength(good(['HTTP/1.1 200 OK', 'Content-Length: 5'], true)), 5)
})

test('what cannot be told for sure is refused', () => {
  for (const lines of [
    ['HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 6'],
    ['HTTP/1.1 200 OK', 'Content-Length: 5, 6'],
    ['HTTP/1.1 200 OK', 'Content-Length: +5'],
    ['HTTP/1.1 200 OK', 'Content-Length: 0x5'],
    ['HTTP/1.1 200 OK', 'Content-Length:'],
    ['HTTP/1.1 99 OK'],
    ['HTTP/1.1 2000 OK'],
    ['HTTP/1.2 200 OK'],
    ['http/1.1 200 OK'],
    ['HTTP/1.1 200 OK', 'no colon'],
    ['HTTP/1.1 200 OK', ': empty'],
    ['HTTP/1.1 200 OK', 'a b: c'],
    ['HTTP/1.1 200 OK', 'a: b\rc'],
    ['HTTP/1.1 200 OK', 'a: b\nc: d'],
    ['HTTP/1.1 200 OK', ' folded: first'],
    ['HTTP/1.1 200 O\0K'],
  ])
    assert.ok(typeof parse(lines) === 'object' && 'wrong' in (parse(lines) as object), lines.join(' | '))
  assert.ok('wrong' in (parseResponseHead(Buffer.alloc(MAX_HEAD_BYTES + 1, 'a'), false) as object))
})

test('what a proxy mends: folded lines, white space before the colon, a missing reason', () => {
  assert.deepEqual(good(['HTTP/1.1 200', 'A : b', 'C: d', '\t e']).fields, ['a', 'b', 'c', 'd e'])
})

test('a head in pieces is more until its last byte', () => {
  const bytes = Buffer.from('HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest')
  for (let length = 0; length < bytes.length - 4; length++)
    assert.equal(parseResponseHead(bytes.subarray(0, length), false), 'more')
  assert.equal((parseResponseHead(bytes, false) as ResponseHead).end, bytes.length - 4)
})

test('any chunking, cut anywhere, gives the body back and stops at its end', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
      fc.array(fc.nat(30), { minLength: 1, maxLength: 10 }),
      fc.constantFrom('', ';a=b', '; q="x"'),
      fc.constantFrom('', 'X-Trailer: 1\r\n'),
      (chunks, cuts, extension, trailer) => {
        const coded = Buffer.concat([
          ...chunks.flatMap((chunk) => [
            Buffer.from(`${chunk.length.toString(16).toUpperCase()}${extension}\r\n`),
            Buffer.from(chunk),
            Buffer.from('\r\n'),
          ]),
          Buffer.from(`0\r\n${trailer}\r\nNEXT`),
        ])
        const decoder = new ChunkedDecoder()
        const pieces: Buffer[] = []
        let at = 0
        for (let i = 0; at < coded.length && !decoder.done; i++) {
          const piece = coded.subarray(at, at + 1 + cuts[i % cuts.length]!)
          const used = decoder.decode(piece, (bytes) => pieces.push(Buffer.from(bytes)))
          assert.equal(typeof used, 'number')
          at += used as number
        }
        assert.ok(decoder.done)
        assert.equal(coded.subarray(at).toString().replace(/^NEXT/, ''), '')
        assert.deepEqual(Buffer.concat(pieces), Buffer.concat(chunks))
      },
    ),
  )
})

test('malformed chunks are refused', () => {
  for (const coded of [
    '5\nabcde',
    '-1\r\n',
    '5 \r\nabcde',
    'g\r\n',
    '\r\n',
    '5\r\nabcdeXX',
    '1;a\0b\r\n',
    '0x5\r\nabcde',
    '5\r\r\n',
  ])
    assert.equal(typeof new ChunkedDecoder().decode(Buffer.from(coded), () => {}), 'object', JSON.stringify(coded))
})
