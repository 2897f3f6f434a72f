/**
 * Conditions in both directions: those of a client, answered from what is stored (RFC 9110 §13, RFC 9111 §4.3.2), and those
 * that this cache adds to validate what it has (RFC 9111 §4.3.1). If-Match and If-Unmodified-Since guard changes at the
 * origin and are not a cache's to judge.
 */
import { parseHttpDate } from '../http/dates.ts'
import { equalStrongly, equalWeakly, isStrong, noneMatchNames } from '../http/entity-tags.ts'
import { combinedValue, firstValue, without } from '../http/fields.ts'
import type { Fields, StoredHead } from '../message.ts'
import { dateOf } from './lifetime.ts'

/**
 * True when the client already has this response, so that a 304 answers it. If-None-Match decides alone when it is there
 * (RFC 9110 §13.2.2); If-Modified-Since is compared with Last-Modified, else Date, else the time of arrival.
 */
export function clientHasIt(head: Pick<StoredHead, 'fields' | 'responseTime'>, requestFields: Fields): boolean {
  const noneMatch = combinedValue(requestFields, 'if-none-match')
  if (noneMatch !== null) return noneMatchNames(noneMatch, firstValue(head.fields, 'etag'))
  const since = firstValue(requestFields, 'if-modified-since')
  if (since === null) return false
  const sinceAt = parseHttpDate(since, head.responseTime)
  if (sinceAt === null) return false
  const modified = firstValue(head.fields, 'last-modified')
  const changedAt =
    (modified === null ? null : parseHttpDate(modified, head.responseTime)) ?? dateOf(head.fields, head.responseTime)
  return changedAt <= sinceAt
}

/**
 * May a Range be honoured, as far as If-Range goes (RFC 9110 §13.1.5)? A tag must match strongly; a date must be exactly
 * Last-Modified, and that must be a strong validator (§8.8.2.2: at least a second before Date).
 */
export function rangeApplies(head: Pick<StoredHead, 'fields' | 'responseTime'>, requestFields: Fields): boolean {
  const condition = firstValue(requestFields, 'if-range')
  if (condition === null) return true
  const tag = firstValue(head.fields, 'etag')
  if (/^(W\/)?"/.test(condition)) return tag !== null && equalStrongly(condition, tag)
  const modified = firstValue(head.fields, 'last-modified')
  if (modified === null || modified !== condition) return false
  const modifiedAt = parseHttpDate(modified, head.responseTime)
  return modifiedAt !== null && dateOf(head.fields, head.responseTime) - modifiedAt >= 1000
}

const CLIENT_CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range', 'if-match', 'if-unmodified-since']

/** The request without its client's conditions: what is fetched to be stored must come whole. */
export const unconditional = (requestFields: Fields): string[] => without(requestFields, CLIENT_CONDITIONS)

/** The request that validates a stored response; null when it has no validator. */
export function validating(requestFields: Fields, head: StoredHead): string[] | null {
  const etag = firstValue(head.fields, 'etag')
  const modified = firstValue(head.fields, 'last-modified')
  if (etag === null && modified === null) return null
  const fields = unconditional(requestFields)
  if (etag !== null) fields.push('if-none-match', etag)
  if (modified !== null) fields.push('if-modified-since', modified)
  return fields
}

/**
 * Does a 304 speak of this stored response (RFC 9111 §4.3.4)? A strong tag in it must be the stored one; a weak stored one
 * (the origin's, or made weak because the edge compressed the bytes) is compared weakly; without a tag it is taken to answer
 * what was asked.
 */
export function validates(notModifiedFields: Fields, head: StoredHead): boolean {
  const tag = firstValue(notModifiedFields, 'etag')
  const stored = firstValue(head.fields, 'etag')
  if (tag === null || stored === null) return true
  return isStrong(tag) && isStrong(stored) ? tag === stored : equalWeakly(tag, stored)
}
