import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatHttpDate, parseHttpDate } from './dates.ts'

const NOW = Date.UTC(2026, 0, 1)
const AT = Date.UTC(2050, 7, 18, 2, 1, 18)

test('the three formats of RFC 9110 §5.6.7 read as the same instant, whatever the case', () => {
  for (const text of [
    'Thu, 18 Aug 2050 02:01:18 GMT',
    'THU, 18 AUG 2050 02:01:18 gmt',
    'Thursday, 18-Aug-50 02:01:18 GMT',
    'Thu Aug 18 02:01:18 2050',
  ])
    assert.equal(parseHttpDate(text, NOW), AT, text)
  assert.equal(parseHttpDate('Thu Aug  8 02:01:18 2050', NOW), Date.UTC(2050, 7, 8, 2, 1, 18))
})

test('what only looks like a date is none', () => {
  for (const text of [
    '0',
    '',
    'Thu, 18 Aug 2050 02:01:18 UTC',
    'Thu, 18 Aug 2050 02:01:18 AEST',
    'Thu, 18 Aug 50 02:01:18 GMT',
    'Thu 18 Aug 2050 02:01:18 GMT',
    'Thu, 18  Aug  2050 02:01:18 GMT',
    'Thu, 18-Aug-2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 02.01.18 GMT',
    'Thu, 18 Aug 2050 2:01:18 GMT',
    'Thu, 31 Feb 2050 02:01:18 GMT',
    'Thu, 18 Aug 2050 24:01:18 GMT',
    ' Thu, 18 Aug 2050 02:01:18 GMT',
  ])
    assert.equal(parseHttpDate(text, NOW), null, text)
})

test('two-digit years more than fifty years ahead lie in the past', () => {
  assert.equal(parseHttpDate('Friday, 01-Jan-77 00:00:00 GMT', NOW), Date.UTC(1977, 0, 1))
  assert.equal(parseHttpDate('Wednesday, 01-Jan-76 00:00:00 GMT', NOW), Date.UTC(2076, 0, 1))
})

test('what is formatted reads as the same second', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (second) => {
      assert.equal(parseHttpDate(formatHttpDate(second * 1000 + 999), NOW), second * 1000)
    }),
  )
})
