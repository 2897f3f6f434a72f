import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyChanges, combinedValue, endToEnd, listOf, splitList } from './fields.ts'

test('lines of one name are one list, and commas in quotes separate nothing', () => {
  const fields = ['vary', 'a, b', 'x', '1', 'vary', 'c']
  assert.equal(combinedValue(fields, 'vary'), 'a, b, c')
  assert.deepEqual(listOf(fields, 'vary'), ['a', 'b', 'c'])
  assert.deepEqual(splitList('a="x, \\" y" , ,b'), ['a="x, \\" y"', 'b'])
  assert.deepEqual(splitList('a="open, b'), ['a="open, b'])
})

test('hop-by-hop fields, those that Connection names, and framing end here', () => {
  assert.deepEqual(
    endToEnd([
      'connection',
      'a, B',
      'a',
      '1',
      'b',
      '2',
      'c',
      '3',
      'keep-alive',
      'x',
      'transfer-encoding',
      'chunked',
      'content-length',
      '3',
      'proxy-authenticate',
      'x',
      'upgrade',
      'h2c',
    ]),
    ['c', '3'],
  )
})

test('changes apply in order', () => {
  assert.deepEqual(
    applyChanges(
      ['a', '1', 'b', '2', 'a', '3'],
      [
        { kind: 'set', name: 'a', value: '9' },
        { kind: 'append', name: 'a', value: '10' },
        { kind: 'remove', name: 'b' },
      ],
    ),
    ['a', '9', 'a', '10'],
  )
})
