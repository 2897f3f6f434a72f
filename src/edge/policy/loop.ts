/**
 * Loops between CDNs (RFC 8586): each request that goes on to an origin carries this edge's name in CDN-Loop; one that comes
 * in with that name has been here before and is refused.
 */
import { combinedValue, splitList } from '../http/fields.ts'
import type { Fields } from '../message.ts'

const nameOf = (member: string) => member.split(';', 1)[0]!.trim().toLowerCase()

/** How often a request has passed the CDN of this name. */
export function passesOf(fields: Fields, cdn: string): number {
  const value = combinedValue(fields, 'cdn-loop')
  return value === null ? 0 : splitList(value).filter((member) => nameOf(member) === cdn.toLowerCase()).length
}
