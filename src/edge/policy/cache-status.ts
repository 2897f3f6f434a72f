/**
 * Cache-Status (RFC 9211): each answer says what this cache did with the request. The member of this cache comes last,
 * after those of caches nearer to the origin (§2).
 */

import { combinedValue, without } from '../http/fields.ts'
import { serializeName, serializeString } from '../http/structured.ts'
import type { Fields } from '../message.ts'

/** Why a request went on to the origin (§2.2). */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

export interface CacheStatus {
  readonly hit?: boolean
  readonly forward?: ForwardReason
  /** The status of the origin's answer, where it differs from what the client sees. */
  readonly forwardStatus?: number
  readonly ttlSeconds?: number
  readonly stored?: boolean
  readonly collapsed?: boolean
  readonly key?: string
  readonly detail?: string
  /** The whole member as another worker of this edge wrote it; all else is left out. */
  readonly written?: string
}

/** @example formatCacheStatus('izumi', { hit: true, ttlSeconds: 376 }) // 'izumi; hit; ttl=376' */
export function formatCacheStatus(cache: string, status: CacheStatus): string {
  if (status.written !== undefined) return status.written
  let text = serializeName(cache)
  if (status.hit) text += '; hit'
  else if (status.forward) text += `; fwd=${status.forward}`
  if (status.forwardStatus !== undefined) text += `; fwd-status=${status.forwardStatus}`
  if (status.ttlSeconds !== undefined) text += `; ttl=${Math.floor(status.ttlSeconds)}`
  if (status.stored) text += '; stored'
  if (status.collapsed) text += '; collapsed'
  if (status.key !== undefined) text += `; key=${serializeString(status.key)}`
  if (status.detail !== undefined) text += `; detail=${serializeName(status.detail)}`
  return text
}

/** Adds this cache's member to what the origin's side said. */
export function withCacheStatus(fields: Fields, cache: string, status: CacheStatus): string[] {
  const inner = combinedValue(fields, 'cache-status')
  const own = formatCacheStatus(cache, status)
  const result = inner === null ? [...fields] : without(fields, ['cache-status'])
  result.push('cache-status', inner === null ? own : `${inner}, ${own}`)
  return result
}
