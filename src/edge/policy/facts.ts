/**
 * What the policy reads of a stored response again and again, parsed once. Stored heads never change (a 304 makes a new one),
 * so what was read of one holds as long as it lives.
 */
import { governingDirectives, type ResponseDirectives } from '../http/cache-control.ts'
import { parseHttpDate } from '../http/dates.ts'
import { firstValue } from '../http/fields.ts'
import type { StoredHead } from '../message.ts'
import { notesOf } from './notes.ts'

export interface Facts {
  readonly directives: ResponseDirectives
  readonly etag: string | null
  readonly lastModifiedAt: number | null
  /** Fields that must not be reused without validation (qualified no-cache) or by others (qualified private). */
  readonly withheld: readonly string[]
  /** True when serving it stale is forbidden in all cases (RFC 9111 §4.2.4). */
  readonly neverStale: boolean
}

/** `targetedFields` is that of the property the response was stored for. */
export function factsOf(head: StoredHead, targetedFields: readonly string[]): Facts {
  const notes = notesOf(head)
  if (notes.facts !== null) return notes.facts
  const directives = governingDirectives(head.fields, targetedFields)
  const modified = firstValue(head.fields, 'last-modified')
  const facts: Facts = {
    directives,
    etag: firstValue(head.fields, 'etag'),
    lastModifiedAt: modified === null ? null : parseHttpDate(modified, head.responseTime),
    withheld: withheldFields(directives),
    neverStale:
      directives.mustRevalidate ||
      directives.proxyRevalidate ||
      directives.noCache === 'all' ||
      directives.sMaxageSeconds !== null,
  }
  notes.facts = facts
  return facts
}

/** RFC 9111 §5.2.2.4 and §5.2.2.7, the forms with field names. */
export function withheldFields(directives: ResponseDirectives): readonly string[] {
  const noCache = Array.isArray(directives.noCache) ? directives.noCache : []
  const privately = Array.isArray(directives.private) ? directives.private : []
  return noCache.length + privately.length === 0 ? NOTHING : [...noCache, ...privately]
}
const NOTHING: readonly string[] = []
