/**
 * Claims that recur: the same hours on chosen weekdays, in a time zone. Times are wall-clock times, so nine o'clock stays
 * nine o'clock over a change of daylight saving; a time that a change skips is taken after it, one that it repeats is
 * taken at its first occurrence (the "compatible" rule of RFC 5545 section 3.3.5 and of `Temporal`).
 */
import { BadInput, LimitPassed } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { FOREVER, type Interval } from '../core/time.ts'

export interface Recurrence {
  /** ISO weekdays, Monday 1 to Sunday 7. */
  weekdays: number[]
  /** Wall-clock `HH:MM`; an end not after the start lies on the next day. */
  startTime: string
  endTime: string
  /** IANA name; the site's if absent. */
  timeZone?: string
}

const TIME = /^([01]\d|2[0-3]):[0-5]\d$/

/**
 * The occurrences of a recurrence inside `[from, to)`, clipped to it, in order.
 * @throws BadInput when it has no end, names no weekday or an unknown zone; LimitPassed when there are too many.
 */
export function occurrences(recurrence: Recurrence, window: Interval, zone: string): Interval[] {
  if (window.to === FOREVER) throw new BadInput('/to', 'a recurring claim needs an end', 'an instant')
  const weekdays = new Set(recurrence.weekdays)
  if (weekdays.size === 0 || [...weekdays].some((day) => !Number.isInteger(day) || day < 1 || day > 7))
    throw new BadInput('/recurrence/weekdays', 'they are not ISO weekdays', 'numbers from 1 (Monday) to 7 (Sunday)')
  for (const field of ['startTime', 'endTime'] as const)
    if (!TIME.test(recurrence[field]))
      throw new BadInput(`/recurrence/${field}`, `${recurrence[field]} is not a time`, 'a time such as "09:00"')
  const timeZone = recurrence.timeZone ?? zone
  let day: Temporal.PlainDate
  try {
    day = Temporal.Instant.fromEpochMilliseconds(window.from).toZonedDateTimeISO(timeZone).toPlainDate()
  } catch {
    throw new BadInput('/recurrence/timeZone', `${timeZone} is not a time zone`, 'an IANA name such as "Asia/Tokyo"')
  }
  const overnight = recurrence.endTime <= recurrence.startTime
  const instant = (date: Temporal.PlainDate, time: string) =>
    date.toZonedDateTime({ timeZone, plainTime: Temporal.PlainTime.from(time) }).epochMilliseconds
  const found: Interval[] = []
  // An occurrence of the day before may reach into the window.
  for (day = day.subtract({ days: 1 }); ; day = day.add({ days: 1 })) {
    const start = instant(day, recurrence.startTime)
    if (start >= window.to) break
    if (!weekdays.has(day.dayOfWeek)) continue
    const from = Math.max(start, window.from)
    const to = Math.min(instant(overnight ? day.add({ days: 1 }) : day, recurrence.endTime), window.to)
    if (from >= to) continue
    found.push({ from, to })
    if (found.length > LIMITS.claimOccurrences)
      throw new LimitPassed('claimOccurrences', LIMITS.claimOccurrences, found.length)
  }
  if (found.length === 0)
    throw new BadInput('/recurrence', 'it never occurs between from and to', 'weekdays that lie in the interval')
  return found
}
