/**
 * What groups a stored response for purging: Cache-Tag and Surrogate-Key (comma or space separated words, as the CDNs that
 * brought them read them) and Cache-Groups (RFC 9875 §2: a structured list of strings).
 */
import { combinedValue } from '../http/fields.ts'
import { isInnerList, parseList } from '../http/structured.ts'
import type { Fields } from '../message.ts'

/** A response may carry this many tags and this many groups; those beyond are dropped. RFC 9875 asks for at least 32 groups. */
export const MAX_TAGS = 256
export const MAX_GROUPS = 64
const MAX_NAME_CHARACTERS = 1_024

export function tagsOf(fields: Fields): readonly string[] {
  const tags = new Set<string>()
  for (const name of ['cache-tag', 'surrogate-key']) {
    const value = combinedValue(fields, name)
    if (value === null) continue
    for (const tag of value.split(name === 'cache-tag' ? /[,\s]+/ : /[\s,]+/))
      if (tag !== '' && tag.length <= MAX_NAME_CHARACTERS && tags.size < MAX_TAGS) tags.add(tag)
  }
  return tags.size === 0 ? NONE : [...tags]
}

/** Members of a list of strings; null when the field is absent or malformed. */
function stringsOf(fields: Fields, name: string): readonly string[] | null {
  const value = combinedValue(fields, name)
  const members = value === null ? null : parseList(value)
  if (members === null) return null
  const strings: string[] = []
  for (const member of members)
    if (!isInnerList(member) && typeof member.value === 'string' && member.value.length <= MAX_NAME_CHARACTERS)
      strings.push(member.value)
  return strings.slice(0, MAX_GROUPS)
}

export const groupsOf = (fields: Fields): readonly string[] => stringsOf(fields, 'cache-groups') ?? NONE

/** Groups that the answer to an unsafe request invalidates (RFC 9875 §3). */
export const invalidatedGroupsOf = (fields: Fields): readonly string[] =>
  stringsOf(fields, 'cache-group-invalidation') ?? NONE

const NONE: readonly string[] = []
