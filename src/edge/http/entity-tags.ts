/**
 * Entity tags (RFC 9110 §8.8.3) and their two comparisons. A tag that is not quoted is no tag, yet origins send such ones:
 * it is kept as it is and equal only to itself, so that a client that got it can still ask with it.
 */
import { splitList } from './fields.ts'

const isWeak = (tag: string) => tag.startsWith('W/')
const opaque = (tag: string) => (isWeak(tag) ? tag.slice(2) : tag)

/** Strong comparison: both strong and equal. For ranges and combining. */
export const equalStrongly = (a: string, b: string): boolean => !isWeak(a) && !isWeak(b) && a === b

/** Weak comparison: the opaque parts are equal. For If-None-Match. */
export const equalWeakly = (a: string, b: string): boolean => opaque(a) === opaque(b)

/** True when the tag may serve for combining bytes: well-formed and strong. */
export const isStrong = (tag: string | null): boolean => tag !== null && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(tag)

/** True when If-None-Match names the tag or is `*` (RFC 9110 §13.1.2: then the condition is false). */
export function noneMatchNames(ifNoneMatch: string, tag: string | null): boolean {
  if (ifNoneMatch.trim() === '*') return true
  return tag !== null && splitList(ifNoneMatch).some((candidate) => equalWeakly(candidate, tag))
}
