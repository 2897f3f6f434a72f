/**
 * The heart of the policy (RFC 9111 §4): given what is stored under a key, a request and the time, may it be served, must it be
 * validated first, or is there nothing of use? Pure; the flow does what the verdict says.
 */
import { requestDirectives } from '../http/cache-control.ts'
import { firstValue, hasField } from '../http/fields.ts'
import { type AskedRange, parseRange, resolveRange } from '../http/ranges.ts'
import type { CachingRules, EdgeRequest, Fields, StoredHead } from '../message.ts'
import { currentAgeSeconds } from './age.ts'
import { factsOf } from './facts.ts'
import { varyMatches } from './vary.ts'

/** The part of a stored object that the policy looks at. */
export interface Stored {
  readonly head: StoredHead
  readonly softPurgedAt: number | null
}

export type StaleReason = 'expired' | 'no-cache' | 'purged' | 'request'

export type Verdict =
  /** Serve it. Negative seconds to live never occur here. */
  | { readonly kind: 'fresh'; readonly ageSeconds: number; readonly ttlSeconds: number }
  /** Serve it and validate behind the client's back (RFC 5861 §3), or at the client's own wish (max-stale). */
  | {
      readonly kind: 'stale'
      readonly revalidate: boolean
      readonly ageSeconds: number
      readonly ttlSeconds: number
    }
  /** Validate it first. */
  | {
      readonly kind: 'validate'
      readonly reason: StaleReason
      readonly ageSeconds: number
      readonly ttlSeconds: number
      /** It may be served if the origin cannot be reached (RFC 9111 §4.2.4) … */
      readonly ifUnreachable: boolean
      /** … and if it answers with a server error (stale-if-error, RFC 5861 §4). */
      readonly ifServerError: boolean
    }

/** May it be served to this request, which it matches in key and Vary? */
export function judge(stored: Stored, requestFields: Fields, now: number, rules: CachingRules): Verdict {
  const { head, softPurgedAt } = stored
  const facts = factsOf(head, rules.targetedFields)
  const asks = rules.obeyRequestDirectives ? requestDirectives(requestFields) : null
  const ageSeconds = currentAgeSeconds(head, now)
  const expiresInSeconds = head.lifetimeSeconds - ageSeconds
  const ttlSeconds = softPurgedAt === null ? expiresInSeconds : Math.min(expiresInSeconds, (softPurgedAt - now) / 1000)

  let reason: StaleReason | null = null
  if (facts.directives.noCache === 'all') reason = 'no-cache'
  else if (softPurgedAt !== null) reason = 'purged'
  else if (ttlSeconds <= 0) reason = 'expired'
  else if (asks !== null && unwanted(asks, facts.directives.immutable, ageSeconds, ttlSeconds)) reason = 'request'
  if (reason === null) return { kind: 'fresh', ageSeconds, ttlSeconds }

  const stalenessSeconds = Math.max(0, -ttlSeconds)
  const mayBeStale = !facts.neverStale
  if (mayBeStale && (reason === 'expired' || reason === 'purged')) {
    const window = facts.directives.staleWhileRevalidateSeconds ?? rules.staleWhileRevalidateSeconds
    if (window !== null && stalenessSeconds <= window && !asks?.noCache)
      return { kind: 'stale', revalidate: true, ageSeconds, ttlSeconds }
    if (asks !== null && asks.maxStaleSeconds !== null && !asks.noCache && stalenessSeconds <= asks.maxStaleSeconds)
      return { kind: 'stale', revalidate: false, ageSeconds, ttlSeconds }
  }
  const grace = facts.directives.staleIfErrorSeconds ?? asks?.staleIfErrorSeconds ?? rules.staleIfErrorSeconds
  return {
    kind: 'validate',
    reason,
    ageSeconds,
    ttlSeconds,
    ifUnreachable: mayBeStale,
    ifServerError: mayBeStale && grace !== null && stalenessSeconds <= grace,
  }
}

/** RFC 9111 §5.2.1; RFC 8246 §2: a fresh immutable response is validated only for no-cache. */
function unwanted(
  asks: ReturnType<typeof requestDirectives>,
  immutable: boolean,
  ageSeconds: number,
  ttlSeconds: number,
): boolean {
  if (asks.noCache || asks.noStore) return true
  if (immutable) return false
  if (asks.maxAgeSeconds !== null && ageSeconds > asks.maxAgeSeconds - (asks.maxAgeSeconds === 0 ? 1 : 0)) return true
  return asks.minFreshSeconds !== null && ttlSeconds < asks.minFreshSeconds
}

export interface Selection<S> {
  /** What fits the request, or null. */
  readonly chosen: S | null
  /** Something is stored under the key, only nothing that fits. */
  readonly reason: 'uri-miss' | 'vary-miss' | 'partial'
}

/**
 * Picks among the stored responses of a key, newest first (RFC 9111 §4.1): the first that Vary lets match and that holds the
 * bytes that the request needs (§3.3).
 */
export function select<S extends Stored>(stored: readonly S[], request: EdgeRequest): Selection<S> {
  let reason: Selection<S>['reason'] = 'uri-miss'
  const rangeValue = request.method === 'GET' ? firstValue(request.fields, 'range') : null
  const asked = parseRange(rangeValue)
  for (const candidate of stored) {
    if (!varyMatches(candidate.head, request.fields)) {
      if (reason === 'uri-miss') reason = 'vary-miss'
      continue
    }
    if (!holdsWhatIsAsked(candidate.head, rangeValue, asked, request)) {
      reason = 'partial'
      continue
    }
    return { chosen: candidate, reason }
  }
  return { chosen: null, reason }
}

/** A complete response holds everything; a 206 the ranges inside it, and what was asked in the same words. */
function holdsWhatIsAsked(
  head: StoredHead,
  rangeValue: string | null,
  asked: readonly AskedRange[] | null,
  request: EdgeRequest,
): boolean {
  if (head.status !== 206) return true
  if (request.method !== 'GET' || rangeValue === null || hasField(request.fields, 'if-range')) return false
  if (firstValue(head.vary, 'range') === rangeValue) return true
  const range = head.range
  if (range === null || range.total === null || asked === null || asked.length !== 1) return false
  const resolved = resolveRange(asked[0]!, range.total)
  return resolved !== null && resolved.first >= range.first && resolved.last <= range.last
}
