import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CachingRules, Fields } from '../message.ts'
import { NOW, RULES, requestOf, storedHead } from './fixtures.ts'
import { judge, select } from './judge.ts'

const at = (
  seconds: number,
  control: string,
  request: Fields = [],
  rules: Partial<CachingRules> = {},
  softPurgedAt: number | null = null,
) =>
  judge({ head: storedHead(['cache-control', control]), softPurgedAt }, request, NOW + seconds * 1000, {
    ...RULES,
    ...rules,
  })
const kind = (...all: Parameters<typeof at>) => {
  const verdict = at(...all)
  return verdict.kind === 'validate' ? `validate: ${verdict.reason}` : verdict.kind
}

test('fresh until its lifetime ends, then to be validated', () => {
  assert.equal(kind(59, 'max-age=60'), 'fresh')
  assert.equal(kind(60, 'max-age=60'), 'validate: expired')
  assert.equal(kind(1, 'max-age=60, no-cache'), 'validate: no-cache')
  assert.equal(kind(1, 'max-age=60, no-cache="a"'), 'fresh')
})

test('stale-while-revalidate, by the response or by the property, unless forbidden (RFC 5861, RFC 9111 §4.2.4)', () => {
  assert.equal(kind(70, 'max-age=60, stale-while-revalidate=20'), 'stale')
  assert.equal(kind(81, 'max-age=60, stale-while-revalidate=20'), 'validate: expired')
  assert.equal(kind(70, 'max-age=60', [], { staleWhileRevalidateSeconds: 20 }), 'stale')
  for (const forbidden of ['must-revalidate', 'proxy-revalidate', 's-maxage=60'])
    assert.equal(kind(70, `stale-while-revalidate=20, ${forbidden}`), 'validate: expired', forbidden)
})

test('when the origin is away or in error', () => {
  const away = (control: string, seconds = 70) => {
    const verdict = at(seconds, control)
    return verdict.kind === 'validate' ? [verdict.ifUnreachable, verdict.ifServerError] : verdict.kind
  }
  assert.deepEqual(away('max-age=60'), [true, false])
  assert.deepEqual(away('max-age=60, stale-if-error=20'), [true, true])
  assert.deepEqual(away('max-age=60, stale-if-error=5'), [true, false])
  assert.deepEqual(away('max-age=60, stale-if-error=20, must-revalidate'), [false, false])
  assert.deepEqual(away('no-cache'), [false, false])
})

test('a soft purge makes stale at once and keeps the graces', () => {
  assert.equal(kind(10, 'max-age=60', [], {}, NOW + 5_000), 'validate: purged')
  assert.equal(kind(10, 'max-age=60, stale-while-revalidate=20', [], {}, NOW + 5_000), 'stale')
})

test('what a client asks is obeyed or not, as the property says (RFC 9111 §5.2.1)', () => {
  const rows: [string, number, string, string][] = [
    ['no-cache', 1, 'max-age=60', 'validate: request'],
    ['max-age=0', 0, 'max-age=60', 'validate: request'],
    ['max-age=5', 6, 'max-age=60', 'validate: request'],
    ['max-age=5', 5, 'max-age=60', 'fresh'],
    ['min-fresh=50', 11, 'max-age=60', 'validate: request'],
    ['max-stale=20', 70, 'max-age=60', 'stale'],
    ['max-stale', 7000, 'max-age=60', 'stale'],
    ['max-stale=5', 70, 'max-age=60', 'validate: expired'],
    ['max-age=0', 1, 'max-age=60, immutable', 'fresh'],
    ['no-cache', 1, 'max-age=60, immutable', 'validate: request'],
  ]
  for (const [asked, seconds, control, expected] of rows) {
    assert.equal(kind(seconds, control, ['cache-control', asked]), expected, `${asked} after ${seconds}`)
    const obeyRequestDirectives = false
    const ignored = kind(seconds, control, ['cache-control', asked], { obeyRequestDirectives })
    assert.equal(ignored, seconds < 60 ? 'fresh' : 'validate: expired')
  }
})

test('a request finds the newest that fits in Vary and holds its bytes', () => {
  const plain = storedHead(['vary', 'foo'], { vary: ['foo', '1'] })
  const other = storedHead(['vary', 'foo'], { vary: ['foo', '2'] })
  const stored = [plain, other].map((head) => ({ head, softPurgedAt: null }))
  assert.equal(select(stored, requestOf(['foo', '2'])).chosen?.head, other)
  assert.deepEqual(select(stored, requestOf(['foo', '3'])), { chosen: null, reason: 'vary-miss' })
  assert.deepEqual(select([], requestOf()), { chosen: null, reason: 'uri-miss' })
})

test('a stored 206 serves what lies inside it, and the same question', () => {
  const head = storedHead([], { status: 206, range: { first: 4, last: 9, total: 20 }, vary: ['range', 'bytes=4-9'] })
  const chosen = (fields: Fields) => select([{ head, softPurgedAt: null }], requestOf(fields)).chosen !== null
  assert.equal(chosen(['range', 'bytes=4-9']), true)
  assert.equal(chosen(['range', 'bytes=6-8']), true)
  assert.equal(chosen(['range', 'bytes=3-8']), false)
  assert.equal(chosen(['range', 'bytes=8-10']), false)
  assert.equal(chosen(['range', 'bytes=5-6,7-8']), false)
  assert.equal(chosen([]), false)
  assert.equal(chosen(['range', 'bytes=6-8', 'if-range', '"a"']), false)
})
