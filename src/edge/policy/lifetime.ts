/**
 * How long a response is fresh (RFC 9111 §4.2.1 and §4.2.2): the property's override, s-maxage, max-age, Expires minus Date,
 * then a heuristic where the RFC permits one. Whatever is invalid reads as already stale.
 */
import type { ResponseDirectives } from '../http/cache-control.ts'
import { parseHttpDate } from '../http/dates.ts'
import { countOf, firstValue } from '../http/fields.ts'
import type { CachingRules, Fields } from '../message.ts'

/** Status codes that are heuristically cacheable (RFC 9110 §15.1). 206 only with its range. */
const HEURISTIC = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])

/** Status codes whose caching this cache understands (must-understand, RFC 9111 §5.2.2.3). */
const UNDERSTOOD = new Set([
  200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 410, 414, 415, 421, 451, 500, 501,
  502, 503, 504,
])

export const isUnderstood = (status: number): boolean => UNDERSTOOD.has(status)

/** A tenth of the time since the last change is the usual heuristic (§4.2.2). */
const HEURISTIC_FRACTION = 0.1

export interface Lifetime {
  readonly seconds: number
  /** Where it came from; none: neither explicit nor heuristic, so it is stale at once. */
  readonly source: 'property' | 'negative' | 's-maxage' | 'max-age' | 'expires' | 'heuristic' | 'none'
}

/** Expires (§5.3): null when absent; of several lines the first counts; an invalid date is in the past. */
function expiresAt(fields: Fields, now: number): number | null {
  const value = firstValue(fields, 'expires')
  if (value === null) return null
  return parseHttpDate(value, now) ?? Number.NEGATIVE_INFINITY
}

/** The Date of a response, or when it arrived if Date is missing or invalid (RFC 9110 §6.6.1). */
export function dateOf(fields: Fields, responseTime: number): number {
  const value = firstValue(fields, 'date')
  return (value === null ? null : parseHttpDate(value, responseTime)) ?? responseTime
}

/**
 * The freshness lifetime of a response that arrived at `responseTime`.
 *
 * @example lifetimeOf(200, ['cache-control', 'max-age=60'], directives, rules, now) // { seconds: 60, source: 'max-age' }
 */
export function lifetimeOf(
  status: number,
  fields: Fields,
  directives: ResponseDirectives,
  rules: CachingRules,
  responseTime: number,
): Lifetime {
  if (rules.ttlSeconds !== null) return { seconds: rules.ttlSeconds, source: 'property' }
  if (directives.sMaxageSeconds !== null) return { seconds: directives.sMaxageSeconds, source: 's-maxage' }
  if (directives.maxAgeSeconds !== null) return { seconds: directives.maxAgeSeconds, source: 'max-age' }
  const targeted = directives.source !== 'cache-control'
  const expires = targeted ? null : expiresAt(fields, responseTime)
  if (expires !== null) {
    const seconds = (expires - dateOf(fields, responseTime)) / 1000
    return { seconds: Math.max(0, seconds), source: 'expires' }
  }
  const negative = rules.negativeTtlSeconds.get(status)
  if (negative !== undefined) return { seconds: negative, source: 'negative' }
  return heuristic(status, fields, directives, rules, responseTime)
}

function heuristic(
  status: number,
  fields: Fields,
  directives: ResponseDirectives,
  rules: CachingRules,
  responseTime: number,
): Lifetime {
  const none: Lifetime = { seconds: 0, source: 'none' }
  if (rules.heuristicMaximumSeconds <= 0 || directives.noCache === 'all') return none
  if (!HEURISTIC.has(status) && !directives.public) return none
  if (countOf(fields, 'last-modified') !== 1) return none
  const changed = parseHttpDate(firstValue(fields, 'last-modified')!, responseTime)
  if (changed === null) return none
  const seconds = ((dateOf(fields, responseTime) - changed) / 1000) * HEURISTIC_FRACTION
  return seconds > 0 ? { seconds: Math.min(seconds, rules.heuristicMaximumSeconds), source: 'heuristic' } : none
}
