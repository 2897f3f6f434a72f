/**
 * Reading and editing header sections kept as flat lists (name, value, name, value…; names lower-case). A field that
 * occurs several times is one list (RFC 9110 §5.3); which fields end at this hop is RFC 9110 §7.6.1.
 */
import type { FieldChange, Fields } from '../message.ts'

/** The first value of a field, or null. */
export function firstValue(fields: Fields, name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]!
  return null
}

/** All lines of a field joined as one list, or null when it is absent (RFC 9110 §5.2). */
export function combinedValue(fields: Fields, name: string): string | null {
  let combined: string | null = null
  for (let i = 0; i < fields.length; i += 2)
    if (fields[i] === name) combined = combined === null ? fields[i + 1]! : `${combined}, ${fields[i + 1]}`
  return combined
}

/** How many lines a field has. */
export function countOf(fields: Fields, name: string): number {
  let count = 0
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) count++
  return count
}

export const hasField = (fields: Fields, name: string): boolean => firstValue(fields, name) !== null

/** Splits a list at commas outside quoted strings; members trimmed, empty ones dropped (RFC 9110 §5.6.1.2). */
export function splitList(value: string): string[] {
  const members: string[] = []
  let start = 0
  let quoted = false
  for (let i = 0; i <= value.length; i++) {
    const code = i === value.length ? 44 : value.charCodeAt(i)
    if (quoted && i < value.length) {
      if (code === 92) i++
      else if (code === 34) quoted = false
    } else if (code === 34) quoted = true
    else if (code === 44) {
      const member = value.slice(start, i).trim()
      if (member !== '') members.push(member)
      start = i + 1
    }
  }
  return members
}

/** Members of a field over all its lines; empty when it is absent. */
export function listOf(fields: Fields, name: string): string[] {
  const combined = combinedValue(fields, name)
  return combined === null ? [] : splitList(combined)
}

/** Fields that concern one hop only, whatever Connection says (RFC 9110 §7.6.1, RFC 9111 §3.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'http2-settings',
])

/**
 * What may travel on or be stored: without hop-by-hop fields, those that Connection names, and framing
 * (Content-Length), which every hop makes anew.
 */
export function endToEnd(fields: Fields): string[] {
  const named = listOf(fields, 'connection').map((name) => name.toLowerCase())
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (name === 'content-length' || HOP_BY_HOP.has(name)) continue
    if (named.length > 0 && named.includes(name)) continue
    kept.push(name, fields[i + 1]!)
  }
  return kept
}

/** Bytes of a field section as HTTP/1.1 writes it. */
export function sectionBytes(fields: Fields): number {
  let bytes = 0
  // A colon, a space and a line end for each.
  for (let i = 0; i < fields.length; i += 2) bytes += fields[i]!.length + fields[i + 1]!.length + 4
  return bytes
}

/** Without every line of the given names. */
export function without(fields: Fields, names: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) if (!names.includes(fields[i]!)) kept.push(fields[i]!, fields[i + 1]!)
  return kept
}

/** Applies the changes of a property in order. */
export function applyChanges(fields: Fields, changes: readonly FieldChange[]): Fields {
  let result = fields
  for (const change of changes) {
    const base = change.kind === 'append' ? [...result] : without(result, [change.name])
    if (change.kind !== 'remove') base.push(change.name, change.value)
    result = base
  }
  return result
}
