/**
 * The age of a response (RFC 9111 §4.2.3 and §5.1): how long ago the origin made or last validated it, as far as Date, Age
 * and this cache's own clock tell. It never counts backwards.
 */
import { MAX_DELTA_SECONDS } from '../http/cache-control.ts'
import { firstValue } from '../http/fields.ts'
import type { Fields, StoredHead } from '../message.ts'
import { dateOf } from './lifetime.ts'

/**
 * The Age field: the first member of the first line counts; what is no number of seconds is ignored (§5.1). Beyond 2^31 it
 * counts as that (§1.2.2).
 */
export function ageValueSeconds(fields: Fields): number {
  const line = firstValue(fields, 'age')
  if (line === null) return 0
  const first = line.split(',', 1)[0]!.trim()
  return /^\d+$/.test(first) ? Math.min(Number(first), MAX_DELTA_SECONDS) : 0
}

/** corrected_initial_age: the greater of what Date and what Age plus the delay of the exchange suggest. */
export function correctedInitialAgeSeconds(fields: Fields, requestTime: number, responseTime: number): number {
  const apparentAge = Math.max(0, (responseTime - dateOf(fields, responseTime)) / 1000)
  const correctedAge = ageValueSeconds(fields) + (responseTime - requestTime) / 1000
  // Date has whole seconds: an origin that answers at once looks up to a second old, which is no age.
  return Math.max(apparentAge < 1 ? 0 : apparentAge, correctedAge)
}

/** current_age: the initial age plus the time it has been here. */
export const currentAgeSeconds = (head: StoredHead, now: number): number =>
  head.correctedInitialAgeSeconds + Math.max(0, now - head.responseTime) / 1000
