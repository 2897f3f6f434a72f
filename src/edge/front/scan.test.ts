import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fieldsOf, INCOMPLETE, OTHER, SCAN_MAX_BYTES, Scanned, scan, UNDERSTOOD } from './scan.ts'

const found = new Scanned()
const run = (text: string) => {
  const bytes = Buffer.from(text, 'latin1')
  return scan(bytes, 0, bytes.length, found)
}
const get = (fields: string, line = 'GET /a?b HTTP/1.1') => `${line}\r\n${fields}\r\n`

test('a plain request is understood, wherever it is cut it is incomplete', () => {
  const text = get(
    'Host: www.example.jp:80\r\nUser-Agent: x\r\naccept-encoding:  gzip, br \r\nIf-None-Match: "a"\r\nRange:bytes=0-1\r\n',
  )
  for (let length = 0; length < text.length; length++) assert.equal(run(text.slice(0, length)), INCOMPLETE, `${length}`)
  assert.equal(run(`${text}GET`), UNDERSTOOD)
  const bytes = Buffer.from(text)
  const at = (from: number, to: number) => bytes.toString('latin1', from, to)
  assert.equal(found.end, text.length)
  assert.equal(at(found.targetStart, found.targetEnd), '/a?b')
  assert.equal(found.authority, 'www.example.jp:80')
  assert.equal(at(found.encodingStart, found.encodingEnd), 'gzip, br')
  assert.equal(at(found.noneMatchStart, found.noneMatchEnd), '"a"')
  assert.equal(at(found.rangeStart, found.rangeEnd), 'bytes=0-1')
  assert.equal(found.plain, true)
  assert.equal(found.head, false)
  assert.deepEqual(fieldsOf(bytes, found).slice(0, 6), [
    'host',
    'www.example.jp:80',
    'user-agent',
    'x',
    'accept-encoding',
    'gzip, br',
  ])
})

test('fields that a cache must look at leave the request to the flow', () => {
  for (const field of [
    'Cache-Control: no-cache',
    'Pragma: x',
    'Authorization: x',
    'If-Range: "a"',
    'If-Modified-Since: x',
    'If-Match: *',
    'Range:',
    'CDN-Loop: x',
  ]) {
    assert.equal(run(get(`Host: a\r\n${field}\r\n`)), UNDERSTOOD, field)
    assert.equal(found.plain, false, field)
  }
  assert.equal(run(get('Host: a\r\nIf-Modified-Since: x\r\nIf-None-Match: "b"\r\n')), UNDERSTOOD)
  assert.equal(found.plain, true)
})

test('whatever is odd is left unread', () => {
  const odd = [
    get('', 'GET / HTTP/1.1'),
    get('Host: a\r\n', 'GET / HTTP/1.0'),
    get('Host: a\r\n', 'GET  / HTTP/1.1'),
    get('Host: a\r\n', 'POST / HTTP/1.1'),
    get('Host: a\r\n', 'get / HTTP/1.1'),
    get('Host: a\r\n', 'GET http://a/ HTTP/1.1'),
    get('Host: a\r\n', 'GET /#a HTTP/1.1'),
    get('Host: a\r\n', 'GET /\xe9 HTTP/1.1'),
    get('Host: a\r\n', '\r\nGET / HTTP/1.1'),
    get('Host: a\r\nHost: a\r\n'),
    get('Host: A\r\n'),
    get('Host: a/b\r\n'),
    get('Host:\r\n'),
    get('Host: a\r\nX: a\rb\r\n'),
    get('Host: a\r\nX: a\nb\r\n'),
    get('Host: a\nX: a\r\n'),
    get('Host: a\r\nX : a\r\n'),
    get('Host: a\r\n X: a\r\n'),
    get('Host: a\r\n: a\r\n'),
    get('Host: a\r\nX: \xe9\r\n'),
    get('Host: a\r\nX: \x01\r\n'),
    get('Host: a\r\nConnection: close\r\n'),
    get('Host: a\r\nConnection: keep-alive, x\r\n'),
    get('Host: a\r\nContent-Length: 0\r\n'),
    get('Host: a\r\nTransfer-Encoding: chunked\r\n'),
    get('Host: a\r\nExpect: 100-continue\r\n'),
    get('Host: a\r\nUpgrade: websocket\r\n'),
    get('Host: a\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n'),
    get(`Host: a\r\nX: ${'y'.repeat(SCAN_MAX_BYTES)}\r\n`),
    `GET /${'y'.repeat(SCAN_MAX_BYTES)}`,
  ]
  for (const text of odd) assert.equal(run(text), OTHER, JSON.stringify(text.slice(0, 80)))
})

test('no byte in any place of a request makes it read anything but itself or refuse', () => {
  const text = get('Host: a\r\nX-Y: z\r\n')
  for (let at = 0; at < text.length; at++)
    for (let byte = 0; byte < 256; byte++) {
      const changed = text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1)
      const state = run(changed)
      if (state !== UNDERSTOOD) continue
      // Understood: then the head ends where it ended, and the same bytes make the same lines.
      assert.equal(found.end, text.length)
      assert.equal(changed.split('\r\n').length, text.split('\r\n').length, JSON.stringify(changed))
    }
})
