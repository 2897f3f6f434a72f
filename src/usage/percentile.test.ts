import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { billedPercentile, type Direction, type RankRule, rankIndex, USUAL_TERMS } from './percentile.ts'

const dataSet = (name: string) => readFileSync(new URL(`../../data-sets/${name}`, import.meta.url))

const RULES: Record<string, RankRule> = {
  'nearest rank: k=ceil(0.95n); drops floor(0.05n)': 'nearest_rank',
  'drop ceil(0.05n), next highest (Cacti p95n)': 'drop_ceil',
  'rrdtool VDEF PERCENT: idx round(0.95(n-1))': 'rounded_index',
  'LibreNMS: idx round(0.95n)-2': 'rounded_less_two',
  'ClickHouse quantileExact: idx floor(0.95n)': 'floor_index',
  'interpolating R-7 (VictoriaMetrics, percentile_cont, numpy, Gnocchi)': 'interpolated',
}

const oneWay = (values: readonly number[]) => [{ in: Float64Array.from(values), out: new Float64Array(values.length) }]
const ranked = (values: readonly number[], rank: RankRule) =>
  billedPercentile(oneWay(values), { ...USUAL_TERMS, direction: 'in', rank }, [values.length])!

test('published examples come out as published, and as each tool has them', () => {
  const { inputs, results } = JSON.parse(dataSet('p95_vectors.json').toString()) as {
    inputs: Record<string, number[]>
    results: Record<string, Record<string, number>>
  }
  let compared = 0
  for (const [name, expected] of Object.entries(results)) {
    // A ramp is named by its length; its values are 1 to n.
    const values = inputs[name] ?? Array.from({ length: expected.n! }, (_, i) => ((i * 7_919) % expected.n!) + 1)
    for (const [text, rule] of Object.entries(RULES)) {
      const { octets } = ranked(values, rule)
      // The tools tell five digits of what lies between two samples; ranks are equal to the last bit.
      const seen = rule === 'interpolated' ? Number(octets.toFixed(5)) : octets
      assert.equal(seen, expected[text], `${name}, ${text}`)
      compared++
    }
  }
  assert.equal(compared, 54)
})

test('a provider bills the higher direction of each: 1.435 of the well-known twenty samples', () => {
  const { inputs } = JSON.parse(dataSet('p95_vectors.json').toString())
  const ports = [{ in: Float64Array.from(inputs['HNS in (20)']), out: Float64Array.from(inputs['HNS out (20)']) }]
  const billed = (direction: Direction) => billedPercentile(ports, { ...USUAL_TERMS, direction }, [20])!.octets
  assert.equal(billed('in'), 0.653)
  assert.equal(billed('out'), 1.435)
  assert.equal(billed('max_of_p95'), 1.435)
  assert.equal(billed('sum').toFixed(3), '2.088')
})

test('sixteen valid days of thirty-one: the 231st highest, and 16/31 of the price', () => {
  const values = Array.from({ length: 31 * 288 }, (_, i) => (i < 16 * 288 ? i + 1 : Number.NaN))
  const billed = billedPercentile(
    oneWay(values),
    { ...USUAL_TERMS, direction: 'in', missing: 'valid_days' },
    new Array(31).fill(288),
  )!
  assert.equal(billed.dropped + 1, 231)
  assert.deepEqual(billed.days, { counted: 16, all: 31 })
  assert.equal(billed.expected, 16 * 288)
})

test('the real link: as many samples above as may be, and the billed one is among them', () => {
  const bits = gunzipSync(dataSet('link-5min.csv.gz')).toString().trim().split('\n').slice(1)
  const values = bits.map((line) => Number(line.split(',')[1]))
  for (const days of [28, 30, 31]) {
    const month = values.slice(0, days * 288)
    const { octets, slot, dropped, rank, present } = ranked(month, 'nearest_rank')
    assert.equal(present, days * 288)
    assert.equal(octets, [...month].sort((a, b) => a - b)[rank - 1])
    assert.equal(month[slot!], octets)
    assert.equal(dropped, Math.floor((5 * days * 288) / 100))
  }
})

/** The rules as one would write them with fractions and a sort, in exact arithmetic. */
function naive(values: readonly number[], percentile: number, rule: RankRule): number {
  const sorted = [...values].sort((a, b) => a - b)
  const n = BigInt(values.length)
  const p = BigInt(percentile)
  const up = (over: bigint, by: bigint) => (over + by - 1n) / by
  const nearest = (over: bigint, by: bigint) => (2n * over + by) / (2n * by)
  const at = (index: bigint) => sorted[Number(index < 0n ? 0n : index > n - 1n ? n - 1n : index)]!
  if (rule === 'nearest_rank') return at(up(p * n, 100n) - 1n)
  if (rule === 'drop_ceil') return at(n - 1n - up((100n - p) * n, 100n))
  if (rule === 'rounded_index') return at(nearest(p * (n - 1n), 100n))
  if (rule === 'rounded_less_two') return at(nearest(p * n, 100n) - 2n)
  if (rule === 'floor_index') return at((p * n) / 100n)
  const whole = (p * (n - 1n)) / 100n
  return at(whole) + (at(whole + 1n) - at(whole)) * (Number((p * (n - 1n)) % 100n) / 100)
}

test('selection finds what sorting finds, for every rule and percentile', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(5), fc.nat(1_000_000)), { minLength: 1, maxLength: 700 }),
      fc.integer({ min: 1, max: 100 }),
      fc.constantFrom(...Object.values(RULES)),
      (values, percentile, rank) => {
        const billed = billedPercentile(oneWay(values), { ...USUAL_TERMS, direction: 'in', percentile, rank }, [
          values.length,
        ])!
        assert.equal(billed.octets, naive(values, percentile, rank))
        const { index } = rankIndex(values.length, percentile, rank)
        assert.equal(billed.rank, index + 1)
        assert.equal(billed.dropped, values.length - 1 - index)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('ports are added slot by slot first; a silent port changes nothing', () => {
  const slot = fc.option(fc.nat(1_000), { freq: 6, nil: Number.NaN })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(slot, slot, slot, slot), { minLength: 1, maxLength: 200 }),
      fc.constantFrom<Direction>('max_of_p95', 'p95_of_max', 'sum', 'in', 'out'),
      fc.constantFrom('exclude' as const, 'zero' as const, 'valid_days' as const),
      (slots, direction, missing) => {
        const port = (a: 0 | 2) => ({
          // A slot has both directions or neither.
          in: Float64Array.from(slots, (s) => (Number.isNaN(s[a]) || Number.isNaN(s[a + 1]!) ? Number.NaN : s[a])),
          out: Float64Array.from(slots, (s) =>
            Number.isNaN(s[a]) || Number.isNaN(s[a + 1]!) ? Number.NaN : s[a + 1]!,
          ),
        })
        const [one, two] = [port(0), port(2)]
        const silent = {
          in: new Float64Array(slots.length).fill(Number.NaN),
          out: new Float64Array(slots.length).fill(Number.NaN),
        }
        const added = {
          in: one.in.map((v, i) => (Number.isNaN(v) ? two.in[i]! : Number.isNaN(two.in[i]!) ? v : v + two.in[i]!)),
          out: one.out.map((v, i) => (Number.isNaN(v) ? two.out[i]! : Number.isNaN(two.out[i]!) ? v : v + two.out[i]!)),
        }
        const terms = { ...USUAL_TERMS, direction, missing }
        const days = [Math.floor(slots.length / 2), slots.length - Math.floor(slots.length / 2)]
        const together = billedPercentile([one, two], terms, days)
        assert.deepEqual(together, billedPercentile([added], terms, days))
        assert.deepEqual(together, billedPercentile([two, silent, one], terms, days))
      },
    ),
  )
})

test('a missing slot lowers nothing when it is left out, and counts as no traffic when it is zero', () => {
  const values = [...new Array(90).fill(100), ...new Array(10).fill(Number.NaN)]
  const billed = (missing: 'exclude' | 'zero', percentile: number) =>
    billedPercentile(oneWay(values), { ...USUAL_TERMS, direction: 'in', missing, percentile }, [100])!
  assert.equal(billed('exclude', 5).octets, 100)
  assert.equal(billed('zero', 5).octets, 0)
  assert.equal(billed('zero', 95).octets, 100)
  assert.equal(billed('zero', 95).present, 90)
  assert.equal(billedPercentile(oneWay([Number.NaN]), USUAL_TERMS, [1]), null)
})
