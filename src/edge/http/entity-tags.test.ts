import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equalStrongly, equalWeakly, noneMatchNames } from './entity-tags.ts'

test('the comparisons of RFC 9110 §8.8.3.2', () => {
  const rows: [string, string, boolean, boolean][] = [
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', '"1"', true, true],
  ]
  for (const [a, b, strong, weak] of rows) {
    assert.equal(equalStrongly(a, b), strong, `${a} ${b}`)
    assert.equal(equalWeakly(a, b), weak, `${a} ${b}`)
  }
})

test('If-None-Match names a tag in a list, or any by a star', () => {
  assert.equal(noneMatchNames('"a", W/"b,c", "d"', '"b,c"'), true)
  assert.equal(noneMatchNames('"a"', '"b"'), false)
  assert.equal(noneMatchNames('*', null), true)
  assert.equal(noneMatchNames('"a"', null), false)
})
