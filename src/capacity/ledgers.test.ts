import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FOREVER } from '../core/time.ts'
import { PoolLedgers, scenarios, type Take } from './ledgers.ts'
import { Skyline } from './skyline.ts'

const SPAN = 12
const SITES = [1, 2, 3, 4]

const take = fc.record({
  from: fc.integer({ min: 0, max: SPAN }),
  length: fc.oneof(fc.integer({ min: 1, max: SPAN }), fc.constant(FOREVER)),
  quantity: fc.integer({ min: 1, max: 9 }),
  protects: fc.option(fc.constantFrom(...SITES), { nil: null }),
  unprotected: fc.boolean(),
  back: fc.boolean(),
})

/** Every set of at most `size` of the sites, the plain way. */
const subsets = (sites: number[], size: number): number[][] =>
  sites
    .reduce<number[][]>((sets, site) => sets.concat(sets.map((set) => set.concat(site))), [[]])
    .filter((set) => set.length <= size)

test('what is free is the least over every instant and every failure that must be survived', () => {
  fc.assert(
    fc.property(
      fc.array(take, { maxLength: 25 }),
      fc.integer({ min: 1, max: 3 }),
      fc.uniqueArray(fc.constantFrom(...SITES), { maxLength: 2 }),
      fc.integer({ min: 0, max: SPAN }),
      fc.integer({ min: 1, max: SPAN }),
      (takes, coveredFailures, activeSites, askFrom, askLength) => {
        const active = new Set(activeSites)
        const ledgers = new PoolLedgers(
          Skyline.from([{ at: Number.NEGATIVE_INFINITY, value: 1_000 }]),
          coveredFailures,
          active,
        )
        const kept: Take[] = []
        for (const { from, length, quantity, protects, unprotected, back } of takes) {
          const each = { from, to: from + length, quantity, protects, unprotected: unprotected && active.size > 0 }
          ledgers.take(each)
          if (back) ledgers.take(each, -1)
          else kept.push(each)
        }
        /** Use at an instant if these sites fail, on top of the active ones or not. */
        const used = (at: number, failed: ReadonlySet<number>, during: boolean) =>
          kept
            .filter((each) => each.from <= at && at < each.to)
            .filter((each) => each.protects === null || (failed.has(each.protects) && !(during && each.unprotected)))
            .reduce((sum, each) => sum + each.quantity, 0)
        const touched = [...new Set(takes.flatMap(({ protects }) => protects ?? []))]
        for (const asked of [null, ...SITES]) {
          const known = asked === null || touched.includes(asked) ? touched : [...touched, asked]
          // Failures that the line counts in: with more failed sites never less is used, so all sets may be looked at.
          const ordinary = subsets(known, coveredFailures).map((set) => ({ failed: new Set(set), during: false }))
          const others = known.filter((site) => !active.has(site))
          const joined = active.size
            ? subsets(others, coveredFailures).map((set) => ({ failed: new Set([...set, ...active]), during: true }))
            : []
          const counting = [...ordinary, ...joined].filter(({ failed }) => asked === null || failed.has(asked))
          let least = Number.POSITIVE_INFINITY
          for (let at = askFrom; at < askFrom + askLength; at++)
            for (const { failed, during } of counting) least = Math.min(least, 1_000 - used(at, failed, during))
          assert.equal(ledgers.free(askFrom, askFrom + askLength, asked), least, `for ${asked}`)
        }
      },
    ),
    { numRuns: 400 },
  )
})

test('only the largest scenarios are kept', () => {
  assert.deepEqual(scenarios([1, 2, 3], 1), [[1], [2], [3]])
  assert.deepEqual(scenarios([1, 2, 3], 2), [
    [1, 2],
    [1, 3],
    [2, 3],
  ])
  assert.deepEqual(scenarios([1, 2], 3), [[1, 2]])
  assert.deepEqual(scenarios([], 1), [[]])
})

test('N:1: three sites share one standby, an ordinary claim counts in every scenario', () => {
  const ledgers = new PoolLedgers(Skyline.from([{ at: Number.NEGATIVE_INFINITY, value: 100 }]), 1)
  const fits = (quantity: number, protects: number | null, from = 0, to = 10) => {
    if (ledgers.free(from, to, protects) < quantity) return false
    ledgers.take({ from, to, quantity, protects })
    return true
  }
  for (const site of [1, 2, 3]) assert.ok(fits(80, site))
  assert.ok(fits(20, null))
  assert.ok(!fits(1, null))
  assert.ok(!fits(1, 2))
  assert.ok(fits(1, 2, 10, 20))
})
