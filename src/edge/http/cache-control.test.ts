import assert from 'node:assert/strict'
import { test } from 'node:test'
import { governingDirectives, parseCacheControl, parseTargeted, requestDirectives } from './cache-control.ts'

test('lifetimes: what is malformed reads as stale', () => {
  const cases: [string, number | null][] = [
    ['max-age=60', 60],
    ['MaX-aGe=60', 60],
    ['max-age="60"', 60],
    ['max-age=0060', 60],
    ['max-age=99999999999', 2 ** 31],
    ['max-age=-60', 0],
    ["max-age='60'", 0],
    ['max-age=60.0', 0],
    ['max-age=a60', 0],
    ['max-age=60a', 0],
    ['max-age=', 0],
    ['max-age', 0],
    ['max-age =60', 0],
    ['max-age= 60', 0],
    ['extension="max-age=3600"', null],
    ['extension="max-age=3600", max-age=1', 1],
    ['max-age=1, extension="max-age=3600"', 1],
    ['max-age=1800, max-age=1', 1800],
    ['foobar, max-age=60', 60],
    ['', null],
  ]
  for (const [value, seconds] of cases) assert.equal(parseCacheControl(value).maxAgeSeconds, seconds, value)
})

test('prohibitions hold even when malformed', () => {
  assert.equal(parseCacheControl('No-StOrE').noStore, true)
  assert.equal(parseCacheControl('no-store =1').noStore, true)
  assert.equal(parseCacheControl('no-cache=').noCache, 'all')
  assert.equal(parseCacheControl('private="a b"').private, 'all')
  assert.deepEqual(parseCacheControl('no-cache="A, b"').noCache, ['a', 'b'])
  assert.deepEqual(parseCacheControl('private=set-cookie').private, ['set-cookie'])
  assert.equal(parseCacheControl('x').noCache, null)
})

test('a targeted field is a whole dictionary or nothing (RFC 9213 §2.1)', () => {
  assert.equal(parseTargeted('cdn-cache-control', 'max-age=60')?.maxAgeSeconds, 60)
  assert.equal(parseTargeted('cdn-cache-control', 'max-age=60, &&&&&'), null)
  assert.equal(parseTargeted('cdn-cache-control', 'max-age="60"'), null)
  assert.equal(parseTargeted('cdn-cache-control', 'max-age=60.5'), null)
  assert.equal(parseTargeted('cdn-cache-control', 'MaX-aGe=60'), null)
  assert.equal(parseTargeted('cdn-cache-control', 'no-store=?0, max-age=1')?.noStore, false)
  assert.equal(parseTargeted('cdn-cache-control', 'max-age=60;ext, foo=(1 2)')?.maxAgeSeconds, 60)
})

test('the first valid targeted field governs; else Cache-Control', () => {
  const fields = ['cache-control', 'no-store', 'cdn-cache-control', 'max-age=60', 'x-cache', 'max-age=5']
  assert.equal(governingDirectives(fields, ['x-cache', 'cdn-cache-control']).maxAgeSeconds, 5)
  assert.equal(governingDirectives(fields, ['cdn-cache-control']).noStore, false)
  assert.equal(governingDirectives(fields, []).noStore, true)
  assert.equal(
    governingDirectives(['cdn-cache-control', '"', 'cache-control', 'private'], ['cdn-cache-control']).private,
    'all',
  )
})

test('request directives; Pragma only without Cache-Control', () => {
  assert.equal(requestDirectives(['pragma', 'no-cache']).noCache, true)
  assert.equal(requestDirectives(['pragma', 'no-cache', 'cache-control', 'max-age=1']).noCache, false)
  assert.equal(requestDirectives(['cache-control', 'max-stale']).maxStaleSeconds, Number.POSITIVE_INFINITY)
  assert.equal(requestDirectives(['cache-control', 'only-if-cached, max-age=x']).onlyIfCached, true)
  assert.equal(requestDirectives(['cache-control', 'max-age=x']).maxAgeSeconds, null)
})
