/**
 * What the policy has read of a stored head, kept on the head itself under a symbol that neither JSON nor disk sees. A weak map
 * would do the same, but costs the garbage collector more than the reading. Spreading a head leaves its notes behind, and
 * they count only for the very fields they were made from.
 */
import type { Fields, StoredHead } from '../message.ts'
import type { Facts } from './facts.ts'

interface Notes {
  readonly fields: Fields
  facts: Facts | null
  nominated: readonly string[] | '*' | null
}

const NOTES = Symbol('notes')

export function notesOf(head: StoredHead): Notes {
  const holder = head as StoredHead & { [NOTES]?: Notes }
  const kept = holder[NOTES]
  if (kept !== undefined && kept.fields === head.fields) return kept
  const made: Notes = { fields: head.fields, facts: null, nominated: null }
  Object.defineProperty(holder, NOTES, { value: made, enumerable: false, writable: true })
  return made
}
