/**
 * Header update (RFC 9111 §3.2, §4.3.4 and §4.3.5): a 304, or the answer to a HEAD, brings new fields for a stored response.
 * Each field it carries replaces all stored lines of that name; fields bound to the stored bytes stay.
 */
import { governingDirectives } from '../http/cache-control.ts'
import { formatHttpDate } from '../http/dates.ts'
import { firstValue, hasField } from '../http/fields.ts'
import type { CachingRules, Fields, StoredHead } from '../message.ts'
import { correctedInitialAgeSeconds } from './age.ts'
import { withheldFields } from './facts.ts'
import { groupsOf, tagsOf } from './groups.ts'
import { lifetimeOf } from './lifetime.ts'

/**
 * Never updated: they describe the stored bytes themselves. RFC 9111 §3.2 names Content-Length, and leaves out what a new
 * value would make wrong: the coding, the range and the digest of the bytes that are kept.
 */
const BOUND_TO_BYTES = new Set(['content-length', 'content-encoding', 'content-range', 'content-md5', 'content-digest'])

export interface Update {
  /** End-to-end fields, as an origin listener gets them. */
  readonly fields: Fields
  readonly requestTime: number
  readonly responseTime: number
}

export function freshened(head: StoredHead, update: Update, rules: CachingRules): StoredHead {
  const incoming = update.fields
  const names = new Set<string>()
  const updated: string[] = []
  for (let i = 0; i < incoming.length; i += 2) {
    const name = incoming[i]!
    if (BOUND_TO_BYTES.has(name) || name === 'age') continue
    names.add(name)
    updated.push(name, incoming[i + 1]!)
  }
  if (!names.has('date')) {
    names.add('date')
    updated.push('date', formatHttpDate(update.responseTime))
  }
  const merged: string[] = []
  for (let i = 0; i < head.fields.length; i += 2)
    if (!names.has(head.fields[i]!)) merged.push(head.fields[i]!, head.fields[i + 1]!)
  merged.push(...updated)

  const directives = governingDirectives(merged, rules.targetedFields)
  const withheld = withheldFields(directives)
  const fields: string[] = []
  for (let i = 0; i < merged.length; i += 2) if (!withheld.includes(merged[i]!)) fields.push(merged[i]!, merged[i + 1]!)
  // Age is the 304's own: computed from its fields, not from the stored ones.
  return {
    ...head,
    fields,
    requestTime: update.requestTime,
    responseTime: update.responseTime,
    correctedInitialAgeSeconds: correctedInitialAgeSeconds(
      hasField(update.fields, 'age') ? [...fields, 'age', firstValue(update.fields, 'age')!] : fields,
      update.requestTime,
      update.responseTime,
    ),
    lifetimeSeconds: lifetimeOf(head.status, fields, directives, rules, update.responseTime).seconds,
    tags: tagsOf(fields),
    groups: groupsOf(fields),
  }
}

/**
 * What the 200 to a HEAD means for a stored GET response (RFC 9111 §4.3.5): it may update it when validators and length agree;
 * when they tell of another representation, the stored one is outdated.
 */
export function headTells(head: StoredHead, fields: Fields, announcedBytes: number | null): 'same' | 'outdated' {
  for (const name of ['etag', 'last-modified']) {
    const value = firstValue(fields, name)
    if (value !== null && value !== firstValue(head.fields, name)) return 'outdated'
  }
  const storedBytes = head.range === null ? head.bodyBytes : head.range.total
  if (announcedBytes !== null && storedBytes !== null && announcedBytes !== storedBytes) return 'outdated'
  return 'same'
}
