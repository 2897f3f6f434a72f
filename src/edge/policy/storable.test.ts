import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CachingRules, Fields } from '../message.ts'
import { NOW, RULES } from './fixtures.ts'
import { type Exchange, storable } from './storable.ts'

const exchange = (responseFields: Fields, changes: Partial<Exchange> = {}): Exchange => ({
  method: 'GET',
  requestFields: [],
  status: 200,
  responseFields,
  bodyBytes: 5,
  requestTime: NOW,
  responseTime: NOW,
  property: 'shop',
  url: 'shop.example/a',
  target: '/a',
  ...changes,
})
const decide = (fields: Fields, changes: Partial<Exchange> = {}, rules: Partial<CachingRules> = {}) => {
  const decision = storable(exchange(fields, changes), { ...RULES, ...rules })
  return decision.store ? 'stored' : decision.reason
}
const cc = (value: string) => ['cache-control', value]

test('what may be stored, and by which rule not (RFC 9111 §3)', () => {
  const yesterday = new Date(NOW - 86_400_000).toUTCString()
  const cases: [string, Fields, Partial<Exchange>, Partial<CachingRules>, string][] = [
    ['explicit freshness', cc('max-age=60'), {}, {}, 'stored'],
    ['nothing to go by', [], {}, {}, 'no-freshness'],
    ['only a validator', ['etag', '"a"'], {}, {}, 'stored'],
    ['stale at once, no validator', cc('max-age=0'), {}, {}, 'no-freshness'],
    ['no-store', cc('max-age=60, no-store'), {}, {}, 'no-store'],
    ['must-understand, understood', cc('max-age=60, no-store, must-understand'), {}, {}, 'stored'],
    ['must-understand, not understood', cc('max-age=60, no-store, must-understand'), { status: 599 }, {}, 'no-store'],
    ['private', cc('private, max-age=60'), {}, {}, 'private'],
    ['private fields only', cc('private="set-cookie", max-age=60'), {}, {}, 'stored'],
    ['targeted over Cache-Control', [...cc('no-store'), 'cdn-cache-control', 'max-age=9'], {}, {}, 'stored'],
    ['targeted no-store', [...cc('max-age=9'), 'cdn-cache-control', 'no-store'], {}, {}, 'no-store'],
    ['Authorization', cc('max-age=60'), { requestFields: ['authorization', 'x'] }, {}, 'authorization'],
    ['Authorization, public', cc('max-age=60, public'), { requestFields: ['authorization', 'x'] }, {}, 'stored'],
    ['Authorization, s-maxage', cc('s-maxage=60'), { requestFields: ['authorization', 'x'] }, {}, 'stored'],
    ['Vary: *', [...cc('max-age=60'), 'vary', 'a, *'], {}, {}, 'vary-star'],
    ['a 404 by heuristics', ['last-modified', yesterday], { status: 404 }, {}, 'stored'],
    ['a 403 has no heuristics', ['last-modified', yesterday], { status: 403 }, {}, 'no-freshness'],
    ['a 599 that is public has', ['last-modified', yesterday, ...cc('public')], { status: 599 }, {}, 'stored'],
    ['a 404 by the property', [], { status: 404 }, { negativeTtlSeconds: new Map([[404, 5]]) }, 'stored'],
    ['by the property', [], {}, { ttlSeconds: 5 }, 'stored'],
    ['caching off', cc('max-age=60'), {}, { enabled: false }, 'caching-off'],
    ['request no-store, obeyed', cc('max-age=60'), { requestFields: cc('no-store') }, {}, 'request-no-store'],
    [
      'request no-store, not obeyed',
      cc('max-age=60'),
      { requestFields: cc('no-store') },
      { obeyRequestDirectives: false },
      'stored',
    ],
    ['a PUT', cc('max-age=60'), { method: 'PUT' }, {}, 'method'],
    ['a POST', cc('max-age=60'), { method: 'POST' }, {}, 'method'],
    ['a POST that says where', [...cc('max-age=60'), 'content-location', '/a'], { method: 'POST' }, {}, 'stored'],
    ['a POST that says elsewhere', [...cc('max-age=60'), 'content-location', '/b'], { method: 'POST' }, {}, 'method'],
    ['a 206 unasked', [...cc('max-age=60'), 'content-range', 'bytes 0-4/10'], { status: 206 }, {}, 'partial'],
  ]
  for (const [name, fields, changes, rules, expected] of cases)
    assert.equal(decide(fields, changes, rules), expected, name)
})

test('what is stored: without Age and withheld fields, with a Date', () => {
  const decision = storable(
    exchange(['cache-control', 'max-age=60, no-cache="a"', 'a', '1', 'b', '2', 'age', '7', 'cache-tag', 'x,y']),
    RULES,
  )
  assert.ok(decision.store)
  assert.deepEqual(decision.head.fields, [
    'cache-control',
    'max-age=60, no-cache="a"',
    'b',
    '2',
    'cache-tag',
    'x,y',
    'date',
    new Date(NOW).toUTCString(),
  ])
  assert.equal(decision.head.correctedInitialAgeSeconds, 7)
  assert.deepEqual(decision.head.tags, ['x', 'y'])
})

test('a 206 keeps its range, or only its question when length and Content-Range differ', () => {
  const asked = { status: 206, requestFields: ['range', 'bytes=0-4'] }
  const good = storable(exchange([...cc('max-age=60'), 'content-range', 'bytes 0-4/10'], asked), RULES)
  assert.ok(good.store)
  assert.deepEqual(good.head.range, { first: 0, last: 4, total: 10 })
  const bad = storable(exchange([...cc('max-age=60'), 'content-range', 'bytes 0-5/10'], asked), RULES)
  assert.ok(bad.store)
  assert.equal(bad.head.range, null)
  assert.deepEqual(bad.head.vary, ['range', 'bytes=0-4'])
})
