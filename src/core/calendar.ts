/**
 * Calendar arithmetic in a named time zone: months, days and dates as the operator's books see them. Instants stay in
 * UTC everywhere else; only here does a zone turn them into dates, through `Temporal`, so that days of 23 and 25 hours
 * and every historical offset come out right.
 */
import { BadInput } from './errors.ts'
import { FOREVER, type Instant, type Interval } from './time.ts'

/** A calendar date, `2026-10-31`. */
export type DateText = string
/** A calendar month, `2026-10`. */
export type MonthText = string

const zoned = (instant: Instant, zone: string): Temporal.ZonedDateTime =>
  Temporal.Instant.fromEpochMilliseconds(Math.floor(instant)).toZonedDateTimeISO(zone)

/** The date that clocks in the zone show at an instant. */
export const dateOf = (instant: Instant, zone: string): DateText => zoned(instant, zone).toPlainDate().toString()

/** The month that calendars in the zone show at an instant. */
export const monthOf = (instant: Instant, zone: string): MonthText => dateOf(instant, zone).slice(0, 7)

/** The instant at which a date begins in the zone. */
export const startOfDate = (date: DateText, zone: string): Instant =>
  Temporal.PlainDate.from(date).toZonedDateTime(zone).epochMilliseconds

/** The same clock time so many calendar months later; the 31st becomes a shorter month's last day. */
export const addMonths = (instant: Instant, months: number, zone: string): Instant =>
  instant === FOREVER ? FOREVER : zoned(instant, zone).add({ months }).epochMilliseconds

/** A date so many days later. */
export const addDays = (date: DateText, days: number): DateText =>
  Temporal.PlainDate.from(date).add({ days }).toString()

/** The month so many months later. */
export const shiftMonth = (month: MonthText, months: number): MonthText =>
  Temporal.PlainYearMonth.from(month).add({ months }).toString()

/**
 * The interval of a calendar month in the zone.
 * @throws BadInput when the text is not a month.
 */
export function monthInterval(month: MonthText, zone: string, at = '/period'): Interval {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month))
    throw new BadInput(at, `${month} is not a month`, 'a month such as 2026-10')
  return { from: startOfDate(`${month}-01`, zone), to: startOfDate(`${shiftMonth(month, 1)}-01`, zone) }
}

/** The instants at which the days of an interval begin, its end last: `n + 1` instants bound `n` days. */
export function dayBounds(interval: Interval, zone: string): Instant[] {
  const bounds: Instant[] = []
  let date = dateOf(interval.from, zone)
  let at = startOfDate(date, zone)
  while (at < interval.to) {
    bounds.push(at)
    date = addDays(date, 1)
    at = startOfDate(date, zone)
  }
  bounds.push(at)
  return bounds
}

/** The months that an interval touches, in order. */
export function monthsOf(interval: Interval, zone: string): MonthText[] {
  const months: MonthText[] = []
  for (
    let month = monthOf(interval.from, zone);
    startOfDate(`${month}-01`, zone) < interval.to;
    month = shiftMonth(month, 1)
  )
    months.push(month)
  return months
}
