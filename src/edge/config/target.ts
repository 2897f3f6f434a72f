/**
 * What rules look at: the path of a target in the one form that no spelling gets around, and its query and cookies by name.
 * The origin always gets the target as it was sent, unless a rule rewrites it.
 */
import type { Fields } from '../message.ts'

export interface Target {
  /** As sent, without the query. */
  readonly rawPath: string
  /** Decoded, slashes merged, dot segments resolved. */
  readonly path: string
  /** As sent, with its question mark; empty when there is none. */
  readonly query: string
}

export function targetOf(target: string): Target {
  const mark = target.indexOf('?')
  const rawPath = mark < 0 ? target : target.slice(0, mark)
  return { rawPath, path: matchedPath(rawPath), query: mark < 0 ? '' : target.slice(mark) }
}

/**
 * The path that rules are matched on. `/%70rivate`, `//private`, `/a/../private` and `/a%2F..%2Fprivate` all read as
 * `/private`: an origin may take each of them for it, so a rule that guards it must hold for all. Bytes that are no UTF-8
 * stay as they were sent.
 */
export function matchedPath(rawPath: string): string {
  if (!/[%\\]|\/\/|\/\./.test(rawPath)) return rawPath
  const decoded = decode(rawPath)
    .replaceAll('\\', '/')
    .replace(/\/{2,}/g, '/')
  const kept: string[] = []
  const parts = decoded.split('/')
  for (const [at, part] of parts.entries()) {
    const isLast = at === parts.length - 1
    if (part === '..') {
      if (kept.length > 1) kept.pop()
      if (isLast) kept.push('')
    } else if (part === '.') {
      if (isLast) kept.push('')
    } else kept.push(part)
  }
  const path = kept.join('/')
  return path.startsWith('/') ? path : `/${path}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}

/** A parameter as it was sent, with its name and value decoded for matching. */
export interface Parameter {
  readonly raw: string
  readonly name: string
  readonly value: string
}

export function parametersOf(query: string): Parameter[] {
  if (query.length <= 1) return []
  return query
    .slice(1)
    .split('&')
    .map((raw) => {
      const equals = raw.indexOf('=')
      const plain = (text: string) => decode(text.replaceAll('+', ' '))
      return {
        raw,
        name: plain(equals < 0 ? raw : raw.slice(0, equals)),
        value: equals < 0 ? '' : plain(raw.slice(equals + 1)),
      }
    })
}

/** The value of a field; several of one name are joined as RFC 9110 §5.3 allows. Null: it is not there. */
export function fieldOf(fields: Fields, name: string): string | null {
  let found: string | null = null
  for (let at = 0; at < fields.length; at += 2)
    if (fields[at] === name) found = found === null ? fields[at + 1]! : `${found}, ${fields[at + 1]!}`
  return found
}

/** The value of a cookie (RFC 6265 §4.2); the first of a name counts. Null: it is not there. */
export function cookieOf(fields: Fields, name: string): string | null {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] !== 'cookie') continue
    for (const pair of fields[at + 1]!.split(';')) {
      const equals = pair.indexOf('=')
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
    }
  }
  return null
}
