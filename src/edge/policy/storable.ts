/**
 * May this response be stored, and as what (RFC 9111 §3 to §3.5, RFC 9213)? The answer names the rule that forbids it, so that
 * `Cache-Status` and `explain` can say why a request was a miss.
 */
import { governingDirectives, requestDirectives } from '../http/cache-control.ts'
import { formatHttpDate } from '../http/dates.ts'
import { firstValue, hasField, without } from '../http/fields.ts'
import { parseContentRange } from '../http/ranges.ts'
import type { CachingRules, Fields, StoredHead, StoredRange } from '../message.ts'
import { correctedInitialAgeSeconds } from './age.ts'
import { withheldFields } from './facts.ts'
import { groupsOf, tagsOf } from './groups.ts'
import { isUnderstood, lifetimeOf } from './lifetime.ts'
import { varyOf } from './vary.ts'

/** The question: one exchange with an origin, just when the head of its answer is there. */
export interface Exchange {
  readonly method: string
  /** The client's; with Range only if that was sent on. */
  readonly requestFields: Fields
  readonly status: number
  /** End-to-end fields, as an origin listener gets them. */
  readonly responseFields: Fields
  readonly bodyBytes: number | null
  readonly requestTime: number
  readonly responseTime: number
  readonly property: string
  /** Host + path without query. */
  readonly url: string
  readonly target: string
}

export type Storable =
  | { readonly store: true; readonly head: StoredHead }
  | { readonly store: false; readonly reason: Forbidden }

/** The rule that forbids storing, in the words of the RFC. */
export type Forbidden =
  | 'caching-off'
  | 'method'
  | 'status'
  | 'no-store'
  | 'request-no-store'
  | 'private'
  | 'authorization'
  | 'vary-star'
  | 'no-freshness'
  | 'partial'

const HAS_AUTHORIZATION = 'authorization'

export function storable(exchange: Exchange, rules: CachingRules): Storable {
  const no = (reason: Forbidden): Storable => ({ store: false, reason })
  const { method, status, responseFields, requestFields } = exchange
  if (!rules.enabled) return no('caching-off')
  if (method !== 'GET' && method !== 'POST') return no('method')
  if (status < 200 || status === 304 || status === 416) return no('status')
  const directives = governingDirectives(responseFields, rules.targetedFields)
  // §5.2.2.3: must-understand lifts no-store where the status is understood, and forbids where it is not.
  if (directives.mustUnderstand ? !isUnderstood(status) : directives.noStore) return no('no-store')
  if (rules.obeyRequestDirectives && requestDirectives(requestFields).noStore) return no('request-no-store')
  if (directives.private === 'all') return no('private')
  if (hasField(requestFields, HAS_AUTHORIZATION) && !sharesAuthorised(directives)) return no('authorization')
  const vary = varyOf(responseFields, requestFields)
  if (vary === null) return no('vary-star')

  const range = status === 206 ? storedRange(exchange) : null
  const replayOnly = status === 206 && range === null
  const lifetime = lifetimeOf(status, responseFields, directives, rules, exchange.responseTime)
  // A POST is cacheable only with explicit freshness and a Content-Location of its own target (RFC 9110 §9.3.3).
  if (method === 'POST') {
    const explicit = lifetime.source !== 'none' && lifetime.source !== 'heuristic'
    if (!explicit || status !== 200 || !locatesItself(exchange)) return no('method')
  }
  // Without lifetime and without validator it could never be reused; with a validator it can be validated.
  const validatable = hasField(responseFields, 'etag') || hasField(responseFields, 'last-modified')
  if (lifetime.source === 'none' && !(validatable && (status === 200 || status === 206))) return no('no-freshness')
  if (lifetime.seconds <= 0 && !validatable) return no('no-freshness')
  if (status === 206 && !hasField(requestFields, 'range')) return no('partial')

  const stripped = without(responseFields, ['age', ...withheldFields(directives)])
  if (!hasField(stripped, 'date')) stripped.push('date', formatHttpDate(exchange.responseTime))
  const head: StoredHead = {
    status,
    fields: stripped,
    requestMethod: method,
    // The range that was asked for stands beside Vary: the same question gets the same 206.
    vary: status === 206 ? [...vary, 'range', firstValue(requestFields, 'range')!] : vary,
    requestTime: exchange.requestTime,
    responseTime: exchange.responseTime,
    correctedInitialAgeSeconds: correctedInitialAgeSeconds(responseFields, exchange.requestTime, exchange.responseTime),
    lifetimeSeconds: lifetime.seconds,
    bodyBytes: exchange.bodyBytes,
    range: replayOnly ? null : range,
    tags: tagsOf(responseFields),
    groups: groupsOf(responseFields),
    property: exchange.property,
    url: exchange.url,
  }
  return { store: true, head }
}

/** §3.5: what lets a shared cache keep an answer to a request with Authorization. */
const sharesAuthorised = (directives: ReturnType<typeof governingDirectives>) =>
  directives.public || directives.mustRevalidate || directives.sMaxageSeconds !== null

/**
 * Which bytes a 206 holds. Null: several parts, or a length that contradicts Content-Range (RFC 9110 §14.4); such an
 * answer is only good for the very same Range again.
 */
function storedRange(exchange: Exchange): StoredRange | null {
  const parsed = parseContentRange(firstValue(exchange.responseFields, 'content-range'))
  if (parsed === null || parsed.range === null) return null
  const { first, last } = parsed.range
  if (exchange.bodyBytes !== null && exchange.bodyBytes !== last - first + 1) return null
  return { first, last, total: parsed.total }
}

function locatesItself(exchange: Exchange): boolean {
  const location = firstValue(exchange.responseFields, 'content-location')
  if (location === null) return false
  try {
    const base = new URL(exchange.target, `http://${exchange.url.split('/', 1)[0]}`)
    const located = new URL(location, base)
    return located.host === base.host && located.pathname === base.pathname && located.search === base.search
  } catch {
    return false
  }
}
