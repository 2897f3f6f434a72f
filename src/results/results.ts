/**
 * The results of a seller's quarters, all from rows: contracts and services by their dates, revenue from the postings,
 * ARPU, capacity, and growth against the quarter before and the same quarter a year before.
 *
 * ARPU is revenue per contract and month: the quarter's revenue over the sum, for each of its months that is over, of the
 * contracts that were alive at any instant of it. (The usual average of the month-ends would count none of those that come and go
 * within a month, which on-demand contracts do.)
 */
import { monthOf, shiftMonth, startOfDate } from '../core/calendar.ts'
import { divideRounded, type Money } from '../core/money.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import type { Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { growth, type Quarter, quarterNamed, quarterOf, quartersBetween, shiftQuarter } from './quarters.ts'
import { businessFigures, capacityFigures, revenueByFamily } from './store.ts'

export interface QuarterResult {
  quarter: string
  from: Instant
  to: Instant
  /** The quarter is not over yet. */
  open: boolean
  contracts: number
  newContracts: number
  endedContracts: number
  services: number
  revenue: Money
  revenueByFamily: Record<string, Money>
  revenueByMonth: { month: string; revenue: Money }[]
  /** Revenue in currencies other than the seller's own, by currency; not in `revenue`. */
  otherRevenue: Record<string, Money>
  contractMonths: number
  arpu: Money
  capacity: { site: string; kind: string; unit: string; open: number; peak: number; averageUsed: number }[]
  revenueGrowth: { quarterOnQuarter: number | null; yearOnYear: number | null }
}

export interface ResultsOf {
  sellerId: string
  currency: string
  zone: string
  fiscalYearStartMonth: number
  now: Instant
}

/** Reads the results from one quarter to another; both default to the four up to the present one. */
export async function readResults(
  sql: Sql,
  of: ResultsOf,
  range: { from?: string; to?: string },
): Promise<QuarterResult[]> {
  const { zone, fiscalYearStartMonth: start, now, currency } = of
  const present = quarterOf(monthOf(now, zone), start, zone)
  const last = range.to === undefined ? present : quarterNamed(range.to, start, zone, '/query/to')
  const first =
    range.from === undefined
      ? shiftQuarter(last, -3, start, zone)
      : quarterNamed(range.from, start, zone, '/query/from')
  const quarters = quartersBetween(first, last, start, zone)
  const yearBefore = shiftQuarter(first, -4, start, zone)
  const months = quarters.flatMap((quarter) => quarter.months)
  const monthStarts = [...months, shiftMonth(months.at(-1)!, 1)].map((month) => startOfDate(`${month}-01`, zone))
  const [business, revenue, capacity] = [
    await businessFigures(sql, of.sellerId, quarters, now, monthStarts),
    await revenueByFamily(sql, of.sellerId, `${yearBefore.firstMonth}-01`, `${shiftMonth(last.firstMonth, 3)}-01`),
    await capacityFigures(sql, quarters, now),
  ]
  const money = (amount: bigint): Money => ({ amount, currency })
  const own = revenue.filter((row) => row.currency === currency)
  const sum = (rows: readonly { revenue: bigint }[]) => rows.reduce((total, row) => total + row.revenue, 0n)
  const inQuarter = (quarter: Quarter) => own.filter(({ month }) => quarter.months.includes(month))
  /** Null before anything was ever invoiced. */
  const revenueBefore = (quarter: Quarter, back: number) => {
    const rows = inQuarter(shiftQuarter(quarter, -back, start, zone))
    return rows.length === 0 ? null : sum(rows)
  }
  return quarters.map((quarter, index): QuarterResult => {
    const rows = inQuarter(quarter)
    const figures = business[index]!
    const total = sum(rows)
    const group = (pick: (row: (typeof revenue)[number]) => string, among: typeof revenue) => {
      const groups = new Map<string, bigint>()
      for (const row of among) groups.set(pick(row), (groups.get(pick(row)) ?? 0n) + row.revenue)
      return groups
    }
    const others = revenue.filter((row) => row.currency !== currency && quarter.months.includes(row.month))
    const byMonth = group((row) => row.month, rows)
    const { contractMonths, ...counts } = figures
    return {
      quarter: quarter.name,
      from: quarter.from,
      to: quarter.to,
      open: quarter.to > now,
      ...counts,
      contractMonths,
      revenue: money(total),
      revenueByFamily: Object.fromEntries(
        [...group((row) => row.family, rows)].map(([key, value]) => [key, money(value)]),
      ),
      revenueByMonth: quarter.months.map((month) => ({ month, revenue: money(byMonth.get(month) ?? 0n) })),
      otherRevenue: Object.fromEntries(
        [...group((row) => row.currency, others)].map(([key, amount]) => [key, { amount, currency: key }]),
      ),
      arpu: money(contractMonths === 0 ? 0n : divideRounded(total, BigInt(contractMonths))),
      capacity: capacity
        .filter((row) => row.quarter === index + 1)
        .map(({ site, kind, unit, open, peak, averageUsed }) => ({
          site,
          kind,
          unit,
          open: unitsFromQuantity(open),
          peak: unitsFromQuantity(peak),
          averageUsed: Math.round(averageUsed) / 1_000,
        })),
      revenueGrowth: {
        quarterOnQuarter: growth(total, revenueBefore(quarter, 1)),
        yearOnYear: growth(total, revenueBefore(quarter, 4)),
      },
    }
  })
}
