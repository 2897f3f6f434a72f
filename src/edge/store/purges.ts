/**
 * Purges as they are counted and remembered. Each has a number; the scopes carry the number of the purge that hit them last.
 * The most recent ones are kept whole for responses that are still on their way: whatever was asked for before a purge and
 * is covered by it must not be stored after it. A response slower than all that are kept counts as purged.
 */
import type { PurgeSelector, StoredHead } from '../message.ts'
import { segmentsOf } from './scopes.ts'

/** Purges kept for responses under way. */
export const RECENT_PURGES = 1_024

/** Between host + target and whatever else a cache key holds (a header, a cookie, a slice). */
export const KEY_EXTRAS = '\n'

/** `www.shop.example/a?b=1` of any cache key for it. */
export function baseOf(key: string): string {
  const end = key.indexOf(KEY_EXTRAS)
  return end < 0 ? key : key.slice(0, end)
}

/** The cache key that a URL is stored under, extras aside: `https://Shop.example/a?b` → `shop.example/a?b`. */
export function baseOfUrl(url: string): string {
  const bare = url.replace(/^https?:\/\//i, '').replace(/#.*$/s, '')
  const slash = bare.search(/[/?]/)
  const authority = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase().replace(/:\d+$/, '')
  const target = slash < 0 ? '/' : bare.slice(slash)
  return authority + (target.startsWith('?') ? `/${target}` : target)
}

export type Verdict = 'none' | 'soft' | 'hard'

/** Whether a selector covers a response, by the same rules as the scopes. */
export function covers(selector: PurgeSelector, key: string, head: StoredHead): boolean {
  if ('url' in selector) return baseOf(key) === baseOfUrl(selector.url)
  if ('tag' in selector)
    return head.tags.includes(selector.tag) && (selector.property === undefined || selector.property === head.property)
  if ('group' in selector) return head.groups.includes(selector.group) && originOf(head) === selector.origin
  if ('prefix' in selector) {
    if (selector.property !== undefined && selector.property !== head.property) return false
    const url = segmentsOf(head.url)
    return segmentsOf(selector.prefix).every((segment, at) => url[at] === segment)
  }
  if ('property' in selector) return selector.property === head.property
  return true
}

/** The scope of a response's cache groups: groups are shared within one host (the cache key holds no scheme). */
export const originOf = (head: StoredHead): string => {
  const slash = head.url.indexOf('/')
  return slash < 0 ? head.url : head.url.slice(0, slash)
}

export class Purges {
  /** How many there have been. */
  count: number
  readonly #recent: { number: number; at: number; selector: PurgeSelector }[] = []

  constructor(count = 0) {
    this.count = count
  }

  add(selector: PurgeSelector, now: number): number {
    this.count++
    this.#recent.push({ number: this.count, at: now, selector })
    if (this.#recent.length > RECENT_PURGES) this.#recent.shift()
    return this.count
  }

  /** What has come over a response since its request was sent (`head.requestTime`) or its recording began (purge number `since`). */
  verdict(key: string, head: StoredHead, since: number): Verdict {
    let verdict: Verdict = 'none'
    for (let at = this.#recent.length - 1; at >= 0; at--) {
      const purge = this.#recent[at]!
      if (purge.number <= since && purge.at < head.requestTime) return verdict
      if (!covers(purge.selector, key, head)) continue
      if (!purge.selector.soft) return 'hard'
      verdict = 'soft'
    }
    return this.#recent.length === RECENT_PURGES ? 'hard' : verdict
  }
}
