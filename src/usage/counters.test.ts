import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  type CounterReading,
  type CounterStep,
  type CounterTerms,
  firstReading,
  nextReading,
  type Slot,
} from './counters.ts'

const SLOT_MS = 300_000
const TERMS: CounterTerms = { bits: 64, linkBitsPerSecond: null, slotMs: SLOT_MS, gap: 'drop' }
const T0 = 1_000 * SLOT_MS

const reading = (at: number, value: bigint, uptimeMs: number | null = null): CounterReading => ({
  at: T0 + at,
  in: value,
  out: 2n * value,
  uptimeMs,
})

/** All readings of a meter, one after the other. */
function run(readings: readonly CounterReading[], terms: CounterTerms) {
  let state = firstReading(readings[0]!, terms)
  const closed: Slot[] = []
  const findings: CounterStep['findings'] = []
  for (const each of readings.slice(1)) {
    const step = nextReading(state, each, terms)
    state = step.state
    closed.push(...step.closed)
    findings.push(...step.findings)
  }
  return { state, closed, findings }
}
const kinds = (result: { findings: CounterStep['findings'] }) => result.findings.map(({ kind }) => kind)

describe('what a counter did', () => {
  test('a 32-bit counter wraps: 4294967000 to 704 is 1000 octets', () => {
    const terms = { ...TERMS, bits: 32 as const, linkBitsPerSecond: 100_000_000 }
    const before = { at: T0, in: 4_294_967_000n, out: 0n, uptimeMs: 5_000_000 }
    const after = { at: T0 + SLOT_MS, in: 704n, out: 0n, uptimeMs: 5_300_000 }
    const result = run([before, after], terms)
    assert.deepEqual(kinds(result), ['wrap'])
    assert.deepEqual(result.closed, [{ slot: 1_000, in: 1_000n, out: 0n }])
  })

  test('lower with a shorter uptime is a restart: what passed since is counted, what was before is not known', () => {
    const before = reading(0, 9_000n, 8_000_000)
    const after = reading(SLOT_MS, 600n, 60_000)
    const result = run([before, after, reading(2 * SLOT_MS, 1_600n, 360_000)], TERMS)
    assert.deepEqual(kinds(result), ['restart'])
    // The slot of the restart is not whole, and dropped.
    assert.deepEqual(result.closed, [{ slot: 1_001, in: 1_000n, out: 2_000n }])
    const zero = run([before, after], { ...TERMS, gap: 'zero' })
    assert.deepEqual(zero.closed, [{ slot: 1_000, in: 600n, out: 1_200n }])
  })

  test('a restart is seen by the uptime even where the counter is higher', () => {
    const result = run([reading(0, 10n, 8_000_000), reading(SLOT_MS, 500n, 1_000)], { ...TERMS, gap: 'zero' })
    assert.deepEqual(kinds(result), ['restart'])
    assert.deepEqual(result.closed, [{ slot: 1_000, in: 500n, out: 1_000n }])
  })

  test('more than the link carries is refused and told, not billed', () => {
    const terms = { ...TERMS, linkBitsPerSecond: 10_000_000 }
    const result = run([reading(0, 0n), reading(SLOT_MS, 10n ** 12n), reading(2 * SLOT_MS, 10n ** 12n + 5n)], terms)
    assert.deepEqual(kinds(result), ['above-link-speed'])
    assert.deepEqual(result.closed, [{ slot: 1_001, in: 5n, out: 10n }])
  })

  test('a 32-bit counter of a link that fills it within a poll says nothing', () => {
    const terms = { ...TERMS, bits: 32 as const, linkBitsPerSecond: 1_000_000_000 }
    const result = run([reading(0, 0n), reading(SLOT_MS, 5n)], terms)
    assert.deepEqual(kinds(result), ['wraps-unknown'])
    assert.deepEqual(result.closed, [])
  })

  test('a late poll is a gap: dropped, zero, or shared by time', () => {
    const polls = [reading(0, 0n), reading(SLOT_MS, 10n), reading(4 * SLOT_MS, 40n), reading(5 * SLOT_MS, 50n)]
    const slots = (gap: CounterTerms['gap']) =>
      run(polls, { ...TERMS, gap }).closed.map((each) => [each.slot - 1_000, each.in])
    assert.deepEqual(slots('drop'), [
      [0, 10n],
      [4, 10n],
    ])
    assert.deepEqual(slots('zero'), [
      [0, 10n],
      [1, 0n],
      [2, 0n],
      [3, 0n],
      [4, 10n],
    ])
    assert.deepEqual(slots('interpolate'), [
      [0, 10n],
      [1, 10n],
      [2, 10n],
      [3, 10n],
      [4, 10n],
    ])
  })

  test('a reading that is not later changes nothing', () => {
    const polls = [reading(0, 0n), reading(SLOT_MS, 10n)]
    const { state } = run(polls, TERMS)
    const again = nextReading(state, polls[1]!, TERMS)
    assert.deepEqual(again.state, state)
    assert.deepEqual(again.closed, [])
    assert.deepEqual(kinds(again), ['out-of-order'])
  })
})

test('whatever the times of the polls, no octet is lost or made, and a wrap changes nothing', () => {
  const poll = fc.tuple(fc.integer({ min: 1, max: SLOT_MS }), fc.bigInt({ min: 0n, max: 3_000_000_000n }))
  fc.assert(
    fc.property(
      fc.array(poll, { minLength: 1, maxLength: 60 }),
      fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
      (polls, start) => {
        let at = 0
        let total = 0n
        const wide = [reading(0, start)]
        for (const [ms, octets] of polls) {
          at += ms
          total += octets
          wide.push(reading(at, start + total))
        }
        const result = run(wide, TERMS)
        assert.deepEqual(result.findings, [])
        const counted = result.closed.reduce((sum, slot) => sum + slot.in, result.state.open!.in)
        assert.equal(counted, total)
        assert.deepEqual(
          result.closed.map(({ slot }) => slot),
          Array.from({ length: Math.floor(at / SLOT_MS) }, (_, i) => 1_000 + i),
        )
        const narrow = wide.map((each) => ({ ...each, out: each.in % 2n ** 32n, in: each.in % 2n ** 32n }))
        const wrapped = run(narrow, { ...TERMS, bits: 32 })
        assert.deepEqual(
          wrapped.closed.map((slot) => slot.in),
          result.closed.map((slot) => slot.in),
        )
      },
    ),
  )
})
