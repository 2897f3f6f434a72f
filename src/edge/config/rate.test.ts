/** Rate limits: never more than the burst and what the time since has earned, and never less than the rate. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BUCKETS, RateLimit } from './rate.ts'

test('what goes through in any span is at most the burst and what the span earns', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat(400), { minLength: 1, maxLength: 200 }),
      (requestsPerSecond, burst, gapsMs) => {
        const limit = new RateLimit({ requestsPerSecond, burst })
        const passed: number[] = []
        let now = 0
        for (const gap of gapsMs) {
          now += gap
          const wait = limit.take('client', now)
          if (wait === 0) passed.push(now)
          else assert.ok(wait <= 1 / requestsPerSecond + 1e-9)
        }
        for (const [at, from] of passed.entries())
          for (let to = at; to < passed.length; to++)
            assert.ok(to - at + 1 <= burst + ((passed[to]! - from) / 1_000) * requestsPerSecond + 1e-6)
      },
    ),
  )
})

test('clients do not share, and one who keeps to the rate always passes', () => {
  const limit = new RateLimit({ requestsPerSecond: 2, burst: 1 })
  for (let now = 0; now < 60_000; now += 500) {
    assert.equal(limit.take('a', now), 0)
    assert.equal(limit.take('b', now), 0)
  }
  assert.ok(limit.take('a', 59_500) > 0)
})

test('a million clients cost no more than the bound', () => {
  const limit = new RateLimit({ requestsPerSecond: 1, burst: 1 })
  for (let at = 0; at < BUCKETS * 2; at++) limit.take(`client ${at}`, 0)
  // The newest are still told apart, the oldest were forgotten.
  assert.ok(limit.take(`client ${BUCKETS * 2 - 1}`, 0) > 0)
  assert.equal(limit.take('client 0', 0), 0)
})
