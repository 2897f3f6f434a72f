/**
 * Quarters of the operator's fiscal year, named by the year in which it begins: with a year from April, FY2026Q1 is April
 * to June 2026 and FY2026Q4 January to March 2027. Pure arithmetic of months, and the growth between quarters.
 */
import { shiftMonth, startOfDate } from '../core/calendar.ts'
import { BadInput } from '../core/errors.ts'
import { divideRounded } from '../core/money.ts'
import type { Interval } from '../core/time.ts'

export interface Quarter extends Interval {
  /** `FY2026Q2`. */
  name: string
  /** The first of its months, `2026-07`. */
  firstMonth: string
  months: string[]
}

/** Quarters shown at once. */
export const MAX_QUARTERS = 40

/**
 * A quarter by its name, with or without `FY`.
 * @throws BadInput when it is none
 */
export function quarterNamed(text: string, startMonth: number, zone: string, at: string): Quarter {
  const match = /^(?:FY)?(\d{4})Q([1-4])$/.exec(text)
  if (!match) throw new BadInput(at, `${text} is not a quarter`, 'a fiscal quarter such as 2026Q2')
  return quarterAt(Number(match[1]), Number(match[2]), startMonth, zone)
}

function quarterAt(year: number, number: number, startMonth: number, zone: string): Quarter {
  const yearStart = `${year}-${String(startMonth).padStart(2, '0')}`
  const firstMonth = shiftMonth(yearStart, (number - 1) * 3)
  return {
    name: `FY${year}Q${number}`,
    firstMonth,
    months: [0, 1, 2].map((offset) => shiftMonth(firstMonth, offset)),
    from: startOfDate(`${firstMonth}-01`, zone),
    to: startOfDate(`${shiftMonth(firstMonth, 3)}-01`, zone),
  }
}

/** The quarter that a month lies in. */
export function quarterOf(month: string, startMonth: number, zone: string): Quarter {
  const [year, number] = month.split('-').map(Number) as [number, number]
  const since = (number - startMonth + 12) % 12
  return quarterAt(number >= startMonth ? year : year - 1, Math.floor(since / 3) + 1, startMonth, zone)
}

/** The quarter so many quarters later. */
export const shiftQuarter = (quarter: Quarter, quarters: number, startMonth: number, zone: string): Quarter =>
  quarterOf(shiftMonth(quarter.firstMonth, quarters * 3), startMonth, zone)

/**
 * Every quarter from one to another, both included.
 * @throws BadInput when they are reversed or too many
 */
export function quartersBetween(first: Quarter, last: Quarter, startMonth: number, zone: string): Quarter[] {
  if (last.from < first.from) throw new BadInput('/query/to', `${last.name} is before ${first.name}`, 'a later quarter')
  const quarters = [first]
  while (quarters.at(-1)!.name !== last.name) {
    if (quarters.length === MAX_QUARTERS)
      throw new BadInput('/query/to', 'there are too many quarters between', `at most ${MAX_QUARTERS} quarters`)
    quarters.push(shiftQuarter(quarters.at(-1)!, 1, startMonth, zone))
  }
  return quarters
}

/** Growth of a figure in parts (0.073 is 7.3 %), to four decimals; null where there was nothing before. */
export const growth = (now: bigint, before: bigint | null): number | null =>
  before === null || before <= 0n ? null : Number(divideRounded((now - before) * 10_000n, before)) / 10_000
