/**
 * Which stored response answers which request (RFC 9111 §4.1). The request fields that Vary nominates are compared in a normal
 * form of the same meaning: lines combined, white space and, where the field defines it, order and case ignored. So two
 * spellings of one wish share one stored response.
 */
import { combinedValue, firstValue, listOf, splitList } from '../http/fields.ts'
import { memoized } from '../http/memo.ts'
import type { Fields, StoredHead } from '../message.ts'
import { notesOf } from './notes.ts'

/** Names that Vary nominates, lower-case, sorted; '*' when any member is `*`: it never matches. */
function nominatedFields(fields: Fields): readonly string[] | '*' {
  const names = listOf(fields, 'vary').map((name) => name.toLowerCase())
  return names.includes('*') ? '*' : [...new Set(names)].sort()
}

interface Weighted {
  readonly text: string
  readonly weight: number
}

/** Members of a list with qvalues, best first, equal weights in the order of the alphabet. */
function weighted(value: string): Weighted[] {
  return splitList(value)
    .map((member) => {
      const match = /^(.*?)\s*;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*$/i.exec(member)
      return match ? { text: match[1]!, weight: Number(match[2]) } : { text: member, weight: 1 }
    })
    .sort((a, b) => b.weight - a.weight || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
}

const spell = (members: readonly Weighted[]) =>
  members.map(({ text, weight }) => (weight === 1 ? text : `${text};q=${weight}`)).join(', ')

/** Codings that the edge asks an origin for; see `canonicalAcceptEncoding`. */
const KNOWN_CODINGS = ['br', 'gzip', 'zstd']

/**
 * Accept-Encoding as the edge sends it to origins and compares it: the known codings that the client takes, in one order.
 * Since the origin is asked in this form, comparing in it is exact. Empty: only identity.
 */
export const canonicalAcceptEncoding = memoized((value: string): string => {
  const members = weighted(value.toLowerCase())
  const star = members.find(({ text }) => text === '*')?.weight ?? 0
  return KNOWN_CODINGS.filter((coding) => {
    const named = members.find(({ text }) => text === coding || (coding === 'gzip' && text === 'x-gzip'))
    return (named?.weight ?? star) > 0
  }).join(', ')
})

/** The normal form of one request field, or null when the request does not have it. */
export function normalValue(fields: Fields, name: string): string | null {
  const combined = combinedValue(fields, name)
  if (combined === null) return null
  if (name === 'accept-encoding') return canonicalAcceptEncoding(combined)
  if (name === 'accept-language' || name === 'accept-charset') return spell(weighted(combined.toLowerCase()))
  if (name === 'accept') return spell(weighted(combined))
  return splitList(combined).join(', ')
}

/** What to remember of a request besides the key: its nominated fields in normal form. Null: Vary is `*`. */
export function varyOf(responseFields: Fields, requestFields: Fields): Fields | null {
  const names = nominatedFields(responseFields)
  if (names === '*') return null
  const kept: string[] = []
  for (const name of names) {
    const value = normalValue(requestFields, name)
    if (value !== null) kept.push(name, value)
  }
  return kept
}

/** Names that Vary of a stored response nominates. */
export function nominatedBy(head: StoredHead): readonly string[] | '*' {
  const notes = notesOf(head)
  notes.nominated ??= nominatedFields(head.fields)
  return notes.nominated
}

/** The names by which the answers under a key differ; null: unknown, as Vary is `*`. */
export function namesOf(head: StoredHead): readonly string[] | null {
  const names = nominatedBy(head)
  return names === '*' ? null : names
}

/** True when the stored response was chosen by the same wishes as this request has. */
export function varyMatches(head: StoredHead, requestFields: Fields): boolean {
  const names = nominatedBy(head)
  if (names === '*') return false
  return names.every((name) => {
    const wanted = normalValue(requestFields, name)
    const had = firstValue(head.vary, name)
    return wanted === had || (name === 'accept-language' && wanted !== null && prefersLanguageOf(head, wanted))
  })
}

/**
 * RFC 9111 §4.1 lets a cache choose by the semantics of the field: a response in the one language that the request prefers to
 * all others is what the origin would have chosen.
 */
function prefersLanguageOf(head: StoredHead, normalised: string): boolean {
  const language = firstValue(head.fields, 'content-language')?.toLowerCase()
  const [best, second] = weighted(normalised)
  return language !== undefined && best?.text === language && best.weight > (second?.weight ?? 0)
}
