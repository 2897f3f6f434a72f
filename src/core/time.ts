/**
 * Instants and intervals. An instant is an integer number of milliseconds since the Unix epoch in UTC; an interval is
 * half-open, `[from, to)`, so that intervals which touch do not overlap and durations add up. The end of an open-ended
 * interval is `FOREVER`, which orders after every real instant.
 */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number

/** The end of an interval that has no end yet; PostgreSQL's `infinity`. */
export const FOREVER: Instant = Number.POSITIVE_INFINITY

export const SECOND_MS = 1_000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** Half-open: holds `from`, does not hold `to`. */
export interface Interval {
  from: Instant
  to: Instant
}

/** `2027-01-01T00:00:00.000Z`, or null for `FOREVER`, as the API shows instants. */
export const toIso = (instant: Instant): string | null => (instant === FOREVER ? null : new Date(instant).toISOString())

/** The other way: null means without end. The text is expected to have been checked as a date-time. */
export const fromIso = (text: string | null | undefined): Instant => (text == null ? FOREVER : Date.parse(text))

/** Seconds since the epoch as PostgreSQL's `to_timestamp` takes them, `Infinity` included. */
export const toEpochSeconds = (instant: Instant): number => instant / 1_000
