import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { testDatabase } from '../../test/support/database.ts'
import { testDesk, testProvider } from '../../test/support/provider.ts'
import { issueMonth } from '../billing/issue.ts'
import { runBilling } from '../billing/run.ts'
import { trialBalance } from '../billing/store.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { placeOrder } from '../orders/place.ts'
import { terminateService } from '../services/life.ts'
import { findService } from '../services/store.ts'
import { reservedUsage } from '../usage/readings.ts'
import { growth, quarterNamed, quarterOf, quartersBetween, shiftQuarter } from './quarters.ts'
import { readResults } from './results.ts'

const ZONE = 'Asia/Tokyo'
const at = (text: string) => Date.parse(`${text}+09:00`)

describe('fiscal quarters', () => {
  test('begin in the month of the fiscal year and are named by the year it begins in', () => {
    const names = ['2026-04', '2026-06', '2026-07', '2026-12', '2027-01', '2027-03'].map(
      (month) => quarterOf(month, 4, ZONE).name,
    )
    assert.deepEqual(names, ['FY2026Q1', 'FY2026Q1', 'FY2026Q2', 'FY2026Q3', 'FY2026Q4', 'FY2026Q4'])
    const second = quarterNamed('2026Q2', 4, ZONE, '/q')
    assert.deepEqual([second.from, second.to], [at('2026-07-01T00:00'), at('2026-10-01T00:00')])
    assert.throws(() => quarterNamed('2026Q5', 4, ZONE, '/q'), /fiscal quarter/)
    assert.throws(() => quartersBetween(second, shiftQuarter(second, -1, 4, ZONE), 4, ZONE), /before/)
    assert.throws(() => quartersBetween(second, shiftQuarter(second, 400, 4, ZONE), 4, ZONE), /too many/)
  })

  test('follow one another without gap or overlap, whatever the fiscal year', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 20 }), (start, count) => {
        const first = quarterOf('2024-02', start, ZONE)
        const quarters = quartersBetween(first, shiftQuarter(first, count, start, ZONE), start, ZONE)
        assert.equal(quarters.length, count + 1)
        quarters.slice(1).forEach((quarter, index) => {
          assert.equal(quarter.from, quarters[index]!.to)
          assert.equal(quarterNamed(quarter.name, start, ZONE, '/q').from, quarter.from)
        })
      }),
    )
  })

  test('growth is in parts, and unknown from nothing', () => {
    assert.deepEqual(
      [growth(10_600n, 9_879n), growth(0n, 10n), growth(5n, 0n), growth(5n, null)],
      [0.073, -1, null, null],
    )
  })
})

describe('results', async () => {
  const database = await testDatabase()
  const { operator, reseller, retail, direct } = await testProvider(database)
  const desk = await testDesk(database, at('2026-09-20T00:00'))
  const order = async (party: { id: string; ancestors: string[] }, config: Record<string, unknown>) =>
    (await placeOrder(desk, { party, offering: 'rack', config, actor: SYSTEM })).order
  await order(retail, { rackUnits: 10 })
  const short = await order(direct, { rackUnits: 30 })
  desk.now += 2 * DAY_MS
  await terminateService(desk, (await findService(database, short.serviceId!))!, { actor: SYSTEM })
  desk.now = at('2026-10-05T12:00')
  await order(direct, { rackUnits: 20 })
  desk.now = at('2026-11-03T00:00')
  for (const month of ['2026-09', '2026-10'])
    for (const seller of [operator, reseller]) {
      await runBilling(database, seller.id, month, ZONE, SYSTEM)
      await issueMonth(database, seller.id, month, { actor: SYSTEM, now: desk.now, zone: ZONE })
    }
  const of = { sellerId: operator.id, currency: 'JPY', zone: ZONE, fiscalYearStartMonth: 4, now: desk.now }
  const [second, third] = await readResults(database, of, { from: '2026Q2', to: '2026Q3' })

  test('count contracts and services by their dates', () => {
    assert.deepEqual(
      [second, third].map((one) => [
        one!.quarter,
        one!.contracts,
        one!.newContracts,
        one!.endedContracts,
        one!.services,
        one!.open,
      ]),
      [
        ['FY2026Q2', 1, 2, 1, 1, false],
        ['FY2026Q3', 2, 1, 0, 2, true],
      ],
    )
  })

  test('take revenue from the postings, and nowhere else', async () => {
    const balances = await trialBalance(database, operator.id, null)
    const posted = balances.filter(({ type }) => type === 'revenue').reduce((sum, { balance }) => sum - balance, 0n)
    assert.equal(second!.revenue.amount + third!.revenue.amount, posted)
    for (const one of [second!, third!]) {
      const families = Object.values(one.revenueByFamily).reduce((sum, { amount }) => sum + amount, 0n)
      const months = one.revenueByMonth.reduce((sum, { revenue }) => sum + revenue.amount, 0n)
      assert.deepEqual([families, months], [one.revenue.amount, one.revenue.amount])
    }
    assert.equal(third!.revenueGrowth.quarterOnQuarter, growth(third!.revenue.amount, second!.revenue.amount))
    assert.equal(second!.revenueGrowth.yearOnYear, null)
  })

  test('state revenue per contract and month', () => {
    // October is over, November is not.
    assert.deepEqual([second!.contractMonths, third!.contractMonths], [2, 2])
    assert.equal(second!.arpu.amount, (second!.revenue.amount * 2n + 2n) / 4n)
  })

  test('show capacity from steps and reservations', () => {
    const units = second!.capacity.find(({ site, kind }) => site === 'yokohama-1' && kind === 'rack-unit')!
    // 30 for two days and 10 for eleven of the quarter's 92 days.
    assert.deepEqual(
      [units.open, units.peak, units.averageUsed],
      [100, 40, Math.round((1_000 * (30 * 2 + 10 * 11)) / 92) / 1_000],
    )
    assert.equal(third!.capacity.find(({ site, kind }) => site === 'yokohama-1' && kind === 'rack-unit')!.peak, 30)
  })

  test('usage by day adds up to what was reserved', async () => {
    const from = at('2026-09-19T12:00')
    const rows = await reservedUsage(
      database,
      { from, to: at('2026-10-01T00:00'), partyId: operator.id, serviceId: null },
      ZONE,
    )
    const hours = rows.reduce((sum, row) => sum + row.unitHours, 0)
    assert.equal(hours, (30 * 2 * DAY_MS + 10 * 11 * DAY_MS) / HOUR_MS)
    assert.deepEqual([rows[0]!.date, rows[0]!.unitHours, rows[0]!.services], ['2026-09-20', 960, 2])
    await assert.rejects(
      reservedUsage(database, { from: 0, to: desk.now, partyId: null, serviceId: null }, ZONE),
      /at most 400 days/,
    )
  })
})
