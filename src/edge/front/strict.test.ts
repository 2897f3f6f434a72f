import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refused, understand } from './strict.ts'

const head = (target: string, rawFields: string[], more: object = {}) =>
  understand({ method: 'GET', target, version: '1.1', rawFields, encrypted: false, ...more })
const status = (result: ReturnType<typeof understand>) => (result instanceof Refused ? result.status : 0)

test('a request is understood with its host, authority and fields in lower case', () => {
  const result = head('/A?b=C', ['Host', 'WWW.Example.JP:8080', 'X-Odd', ' \tvalue '])
  assert.ok(!(result instanceof Refused))
  assert.deepEqual(result, {
    method: 'GET',
    scheme: 'http',
    host: 'www.example.jp',
    authority: 'www.example.jp:8080',
    target: '/A?b=C',
    version: '1.1',
    fields: ['host', 'WWW.Example.JP:8080', 'x-odd', 'value'],
    framing: { kind: 'none' },
  })
})

test('what could be read in two ways is refused', () => {
  const cases: [number, string, string[], object?][] = [
    [400, '/', []],
    [400, '/', ['Host', 'a', 'host', 'a']],
    [400, '/', ['Host', 'a b']],
    [400, '/', ['Host', 'a,b']],
    [400, '/', ['Host', 'a@b']],
    [400, '/', ['Host', 'a:99999']],
    [400, '/', ['Host', '']],
    [400, '/', ['Host', 'a', 'X', 'a\rb']],
    [400, '/', ['Host', 'a', 'Content-Length', '1', 'Content-Length', '1']],
    [400, '/', ['Host', 'a', 'Content-Length', '1, 1']],
    [400, '/', ['Host', 'a', 'Content-Length', '+1']],
    [400, '/', ['Host', 'a', 'Content-Length', '1', 'Transfer-Encoding', 'chunked']],
    [501, '/', ['Host', 'a', 'Transfer-Encoding', 'gzip, chunked']],
    [501, '/', ['Host', 'a', 'Transfer-Encoding', 'identity']],
    [400, '/', ['Host', 'a', 'Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']],
    [400, '/', ['Host', 'a', 'Transfer-Encoding', 'chunked'], { version: '1.0' }],
    [417, '/', ['Host', 'a', 'Expect', 'tea']],
    [400, 'http://b/', ['Host', 'a']],
    [400, 'http://b@a/', ['Host', 'a']],
    [400, 'ftp://a/', ['Host', 'a']],
    [400, 'https://a/', ['Host', 'a']],
    [400, 'a', ['Host', 'a']],
    [400, '/a#b', ['Host', 'a']],
    [400, '/a b', ['Host', 'a']],
    [400, '*', ['Host', 'a']],
    [414, `/${'a'.repeat(8_000)}`, ['Host', 'a']],
    [405, '/', ['Host', 'a'], { method: 'TRACE' }],
    [405, 'a:80', ['Host', 'a'], { method: 'CONNECT' }],
    [204, '*', ['Host', 'a'], { method: 'OPTIONS' }],
  ]
  for (const [expected, target, fields, more] of cases)
    assert.equal(status(head(target, fields, more)), expected, JSON.stringify([target, fields, more]))
})

test('an absolute target is taken when it says what Host says', () => {
  for (const [target, host, path] of [
    ['http://a/x?y', 'a', '/x?y'],
    ['HTTP://A:80', 'a', '/'],
    ['http://a?q', 'a:80', '/?q'],
  ] as const) {
    const result = head(target, ['Host', host])
    assert.ok(!(result instanceof Refused), target)
    assert.equal(result.target, path)
  }
})

test('the body is framed by one number, by chunks, or not at all', () => {
  const framing = (fields: string[]) => {
    const result = head('/', ['Host', 'a', ...fields], { method: 'POST' })
    return result instanceof Refused ? null : result.framing
  }
  assert.deepEqual(framing([]), { kind: 'none' })
  assert.deepEqual(framing(['Content-Length', '12']), { kind: 'length', bytes: 12 })
  assert.deepEqual(framing(['Transfer-Encoding', 'Chunked']), { kind: 'chunked' })
})
