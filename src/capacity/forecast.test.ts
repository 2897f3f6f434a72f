import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DAY_MS } from '../core/time.ts'
import { bucketed, type ChartPoint, worst } from './chart.ts'
import { type Day, dailyPeaks, project } from './forecast.ts'

const TODAY = Date.parse('2027-01-01T00:00:00Z')
const KNOWN = 100
const AHEAD = 1_000

/** History that grows by `slope` a day from `start`, and capacity that steps up on some days to come. */
function days(
  slope: number,
  start: number,
  steps: Record<number, number>,
  reserved: Record<number, number> = {},
): Day[] {
  let open = 10_000
  let used = 0
  return Array.from({ length: KNOWN + AHEAD }, (_, index) => {
    open += steps[index - KNOWN] ?? 0
    used = index <= KNOWN ? start + slope * index : (reserved[index - KNOWN] ?? used)
    return { used, open }
  })
}
const at = (ahead: number) => TODAY + ahead * DAY_MS

test('a steady trend runs out on the day it passes what is open, steps counted from their day', () => {
  // 5,000 today, 10 a day: passes 10,000 after 500 days.
  const first = project(days(10, 4_000, {}), KNOWN, TODAY, 60 * DAY_MS)
  assert.equal(first.trendPerDay, 10)
  assert.equal(first.runsOutAt, at(501))
  assert.equal(first.commitBy, at(501 - 60))
  assert.equal(first.confidence, 1)
  const stepped = project(days(10, 4_000, { 300: 2_000 }), KNOWN, TODAY, 0)
  assert.equal(stepped.runsOutAt, at(701))
  // Capacity that goes away brings the day forward.
  assert.equal(project(days(10, 4_000, { 100: -6_000 }), KNOWN, TODAY, 0).runsOutAt, at(100))
  assert.equal(project(days(0, 4_000, {}), KNOWN, TODAY, 0).runsOutAt, null)
})

test('what is reserved already counts where it is more than the trend', () => {
  const reserved = project(days(0, 4_000, {}, { 50: 10_001 }), KNOWN, TODAY, 0)
  assert.equal(reserved.runsOutAt, at(50))
})

test('one large customer or a bad week does not bend the trend', () => {
  const history = days(10, 4_000, {})
  for (const index of [20, 21, 22, 60]) history[index] = { ...history[index]!, used: 9_999 }
  const { trendPerDay, points } = project(history, KNOWN, TODAY, 0)
  assert.ok(Math.abs(trendPerDay - 10) < 1, String(trendPerDay))
  for (const { forecast, low, high } of points) assert.ok(low <= forecast && forecast <= high)
})

test('without history there is no trend, and the forecast is what is reserved', () => {
  const empty = Array.from({ length: KNOWN + AHEAD }, () => ({ used: 0, open: 100 }))
  assert.deepEqual(
    (({ runsOutAt, trendPerDay, confidence }) => ({ runsOutAt, trendPerDay, confidence }))(
      project(empty, KNOWN, TODAY, 0),
    ),
    { runsOutAt: null, trendPerDay: 0, confidence: 0 },
  )
})

const chart = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 999 }), fc.nat(50), fc.nat(50)), { minLength: 1, maxLength: 60 })
  .map((points) =>
    [...new Map(points.map((point) => [point[0], point])).values()]
      .sort((a, b) => a[0] - b[0])
      .map(([when, firm, open], index): ChartPoint => {
        return { at: index === 0 ? 0 : when, firm, open, standby: 0, held: 0, planned: 0 }
      }),
  )

test('buckets show the most used and the least open of their stretch, and daily peaks likewise', () => {
  fc.assert(
    fc.property(chart, fc.integer({ min: 1, max: 20 }), (points, buckets) => {
      const holds = (when: number) => points.findLast((point) => point.at <= when)!
      const shown = bucketed(points, 0, 1_000, buckets)
      if (points.length <= buckets) return assert.deepEqual(shown, points)
      assert.equal(shown.length, buckets)
      const width = 1_000 / buckets
      for (const [index, bucket] of shown.entries()) {
        const stretch = [
          holds(index * width),
          ...points.filter(({ at: when }) => when >= index * width && when < (index + 1) * width),
        ]
        assert.equal(bucket.firm, Math.max(...stretch.map(({ firm }) => firm)))
        assert.equal(bucket.open, Math.min(...stretch.map(({ open }) => open)))
      }
    }),
  )
  const peaks = dailyPeaks(
    [
      { at: TODAY, firm: 5, standby: 1, held: 1, open: 10, planned: 0 },
      { at: TODAY + DAY_MS / 2, firm: 9, standby: 1, held: 0, open: 8, planned: 0 },
      { at: TODAY + DAY_MS, firm: 2, standby: 0, held: 0, open: 8, planned: 0 },
    ],
    TODAY,
    3,
  )
  assert.deepEqual(peaks, [
    { used: 10, open: 8 },
    { used: 2, open: 8 },
    { used: 2, open: 8 },
  ])
})

test('what the worst failures would claim', () => {
  assert.equal(worst([3, 9, 5], 1), 9)
  assert.equal(worst([3, 9, 5], 2), 14)
  assert.equal(worst([], 1), 0)
})
