/** Age, groups, loops, Cache-Status and invalidation: the small rules of the policy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseList } from '../http/structured.ts'
import { ageValueSeconds, correctedInitialAgeSeconds, currentAgeSeconds } from './age.ts'
import { formatCacheStatus, withCacheStatus } from './cache-status.ts'
import { NOW, storedHead } from './fixtures.ts'
import { groupsOf, invalidatedGroupsOf, MAX_TAGS, tagsOf } from './groups.ts'
import { invalidatedTargets, isSafe } from './invalidation.ts'
import { passesOf } from './loop.ts'

test('Age: the first member counts, nonsense does not (RFC 9111 §5.1)', () => {
  const rows: [string[], number][] = [
    [['7200, 0'], 7200],
    [['0, 7200'], 0],
    [['7200', '0'], 7200],
    [['abc'], 0],
    [['-7200'], 0],
    [['7200.0'], 0],
    [['7200;foo=bar'], 0],
    [['2147483649'], 2 ** 31],
    [[], 0],
  ]
  for (const [lines, seconds] of rows)
    assert.equal(ageValueSeconds(lines.flatMap((line) => ['age', line])), seconds, lines.join())
})

test('the age is the greater of what Date and what Age tell, and grows (§4.2.3)', () => {
  const date = (seconds: number) => ['date', new Date(NOW - seconds * 1000).toUTCString()]
  assert.equal(correctedInitialAgeSeconds([...date(10), 'age', '3'], NOW, NOW), 10)
  assert.equal(correctedInitialAgeSeconds([...date(0), 'age', '3'], NOW - 2_000, NOW), 5)
  assert.equal(correctedInitialAgeSeconds(date(-50), NOW, NOW), 0)
  const head = storedHead([], { correctedInitialAgeSeconds: 5 })
  assert.equal(currentAgeSeconds(head, NOW + 3_000), 8)
  assert.equal(currentAgeSeconds(head, NOW - 3_000), 5)
})

test('tags and groups', () => {
  assert.deepEqual(tagsOf(['cache-tag', 'a, b', 'surrogate-key', 'b c  d']), ['a', 'b', 'c', 'd'])
  assert.equal(tagsOf(['cache-tag', Array.from({ length: 300 }, (_, i) => `t${i}`).join(',')]).length, MAX_TAGS)
  assert.deepEqual(groupsOf(['cache-groups', '"a", "b c";x']), ['a', 'b c'])
  assert.deepEqual(groupsOf(['cache-groups', '"a", &']), [])
  assert.deepEqual(invalidatedGroupsOf(['cache-group-invalidation', '"a"']), ['a'])
})

test('CDN-Loop counts the passes of one name (RFC 8586)', () => {
  const fields = ['cdn-loop', 'other;v=1, Izumi', 'a', '1']
  assert.equal(passesOf(fields, 'izumi'), 1)
  assert.equal(passesOf(['cdn-loop', 'izumi2'], 'izumi'), 0)
})

test('Cache-Status is a structured list with this cache last (RFC 9211)', () => {
  assert.equal(formatCacheStatus('izumi', { hit: true, ttlSeconds: 30.9 }), 'izumi; hit; ttl=30')
  assert.equal(formatCacheStatus('izumi', { hit: true, ttlSeconds: -1.5 }), 'izumi; hit; ttl=-2')
  const fields = withCacheStatus(['cache-status', 'parent; hit'], 'my edge', {
    forward: 'uri-miss',
    forwardStatus: 200,
    stored: true,
    collapsed: true,
    key: 'a"b',
    detail: 'x',
  })
  assert.deepEqual(fields, [
    'cache-status',
    'parent; hit, "my edge"; fwd=uri-miss; fwd-status=200; stored; collapsed; key="a\\"b"; detail=x',
  ])
  assert.equal(parseList(fields[1]!)?.length, 2)
})

test('an unsafe request that succeeds outdates its target and what it points to on the same host (RFC 9111 §4.4)', () => {
  const fields = ['location', '/b?x=1', 'content-location', 'http://other.example/c']
  assert.deepEqual(invalidatedTargets('shop.example', '/a', 201, fields), ['/a', '/b?x=1'])
  assert.deepEqual(invalidatedTargets('shop.example', '/a', 500, fields), [])
  assert.deepEqual(invalidatedTargets('shop.example', '/a', 303, []), ['/a'])
  assert.deepEqual([isSafe('GET'), isSafe('M-SEARCH'), isSafe('DELETE')], [true, false, false])
})
