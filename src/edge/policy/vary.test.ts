import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fields } from '../message.ts'
import { storedHead } from './fixtures.ts'
import { canonicalAcceptEncoding, varyMatches, varyOf } from './vary.ts'

const matches = (vary: string, first: Fields, second: Fields, more: Fields = []) => {
  const fields = ['vary', vary, ...more]
  const remembered = varyOf(fields, first)
  return remembered !== null && varyMatches(storedHead(fields, { vary: remembered }), second)
}

test('requests that mean the same share a response', () => {
  assert.equal(matches('foo', ['foo', '1, 2'], ['foo', '1', 'foo', '2']), true)
  assert.equal(matches('foo', ['foo', '1,2'], ['foo', ' 1, 2 ']), true)
  assert.equal(matches('Accept-Language', ['accept-language', 'en, de'], ['accept-language', 'De,eN']), true)
  assert.equal(
    matches('accept-language', ['accept-language', 'en;q=0.5, de'], ['accept-language', 'de, en;q=0.50']),
    true,
  )
  assert.equal(
    matches('accept-encoding', ['accept-encoding', 'gzip, br'], ['accept-encoding', 'br;q=1.0, x-gzip, foo']),
    true,
  )
  assert.equal(matches('foo, bar', [], []), true)
})

test('requests that differ do not', () => {
  assert.equal(matches('foo', ['foo', '1'], ['foo', '2']), false)
  assert.equal(matches('foo', ['foo', '1'], []), false)
  assert.equal(matches('foo', [], ['foo', '1']), false)
  assert.equal(matches('foo, bar', ['foo', '1', 'bar', 'a'], ['foo', '1', 'bar', 'b']), false)
  assert.equal(
    matches('accept-language', ['accept-language', 'en, de;q=0.5'], ['accept-language', 'de, en;q=0.5']),
    false,
  )
  assert.equal(matches('foo', ['foo', 'a'], ['foo', 'A']), false)
})

test('a star never matches, wherever it stands', () => {
  for (const vary of ['*', '*, *', ', *', '*, foo', 'foo, *']) assert.equal(matches(vary, [], []), false, vary)
})

test('the one language that is preferred may come from another choice', () => {
  const german = ['content-language', 'de']
  assert.equal(
    matches('accept-language', ['accept-language', 'en, de'], ['accept-language', 'fr;q=0.5, de'], german),
    true,
  )
  assert.equal(matches('accept-language', ['accept-language', 'en, de'], ['accept-language', 'fr, de'], german), false)
})

test('Accept-Encoding in one form', () => {
  const rows: [string, string][] = [
    ['gzip, deflate, br', 'br, gzip'],
    ['*', 'br, gzip, zstd'],
    ['*;q=0, gzip', 'gzip'],
    ['br;q=0, *', 'gzip, zstd'],
    ['identity', ''],
    ['', ''],
  ]
  for (const [value, canonical] of rows) assert.equal(canonicalAcceptEncoding(value), canonical, value)
})
