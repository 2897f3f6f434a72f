import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_RANGES, parseContentRange, parseRange, resolveRanges } from './ranges.ts'

const resolve = (value: string, total: number) => {
  const asked = parseRange(value)
  return asked === null ? null : resolveRanges(asked, total)
}

test('a range means these bytes (RFC 9110 §14.1.2)', () => {
  assert.deepEqual(resolve('bytes=0-1', 10), [{ first: 0, last: 1 }])
  assert.deepEqual(resolve('bytes=8-99', 10), [{ first: 8, last: 9 }])
  assert.deepEqual(resolve('bytes=3-', 10), [{ first: 3, last: 9 }])
  assert.deepEqual(resolve('bytes=-3', 10), [{ first: 7, last: 9 }])
  assert.deepEqual(resolve('bytes=-30', 10), [{ first: 0, last: 9 }])
  assert.deepEqual(resolve('Bytes=0-0, -1', 10), [
    { first: 0, last: 0 },
    { first: 9, last: 9 },
  ])
})

test('none of it is there: no bytes, which is 416', () => {
  for (const value of ['bytes=10-', 'bytes=-0', 'bytes=10-11,-0']) assert.deepEqual(resolve(value, 10), [], value)
  assert.deepEqual(resolve('bytes=0-', 0), [])
})

test('what does not parse is ignored, so is what is too much', () => {
  for (const value of [
    'bytes=',
    'bytes=a-b',
    'bytes=5-4',
    'bytes=-',
    'lines=1-2',
    'bytes 1-2',
    'bytes=1-2;3-4',
    'bytes=1--2',
  ])
    assert.equal(parseRange(value), null, value)
  const many = (count: number) => `bytes=${Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join(',')}`
  assert.equal(parseRange(many(MAX_RANGES))?.length, MAX_RANGES)
  assert.equal(parseRange(many(MAX_RANGES + 1)), null)
})

test('merged ranges hold each asked byte once', () => {
  const total = 60
  const range = fc.tuple(fc.nat(59), fc.nat(20)).map(([first, more]) => `${first}-${first + more}`)
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 8 }), (ranges) => {
      const wanted = new Set<number>()
      for (const text of ranges) {
        const [first, last] = text.split('-').map(Number) as [number, number]
        for (let at = first; at <= Math.min(last, total - 1); at++) wanted.add(at)
      }
      const got: number[] = []
      for (const { first, last } of resolve(`bytes=${ranges.join(',')}`, total)!)
        for (let at = first; at <= last; at++) got.push(at)
      assert.equal(new Set(got).size, got.length)
      assert.deepEqual(
        [...got].sort((a, b) => a - b),
        [...wanted].sort((a, b) => a - b),
      )
    }),
  )
})

test('Content-Range: whole, unknown and unsatisfied; the invalid is none (§14.4)', () => {
  assert.deepEqual(parseContentRange('bytes 4-9/10'), { range: { first: 4, last: 9 }, total: 10 })
  assert.deepEqual(parseContentRange('bytes 4-9/*'), { range: { first: 4, last: 9 }, total: null })
  assert.deepEqual(parseContentRange('bytes */10'), { range: null, total: 10 })
  for (const value of [null, '', 'bytes 9-4/10', 'bytes 4-10/10', 'bytes */*', 'items 0-1/2', 'bytes 4-9'])
    assert.equal(parseContentRange(value), null, String(value))
})
