/**
 * When a rule holds. Patterns know one special character, `*` for anything, so that matching takes time in proportion to
 * the text whatever a customer writes; there are no regular expressions for that reason.
 */
import { BlockList, isIPv6 } from 'node:net'
import type { EdgeRequest } from '../message.ts'
import type { WhenConfig } from './schema.ts'
import { cookieOf, fieldOf, parametersOf, type Target } from './target.ts'

/** Matches text against a pattern; what each `*` stood for, the shortest first, or null. */
export type Glob = (text: string) => string[] | null

export function globOf(pattern: string): Glob {
  const parts = pattern.split('*')
  const first = parts[0]!
  const last = parts.at(-1)!
  if (parts.length === 1) return (text) => (text === pattern ? [] : null)
  return (text) => {
    if (!text.startsWith(first)) return null
    const captures: string[] = []
    let at = first.length
    for (const part of parts.slice(1, -1)) {
      const found = text.indexOf(part, at)
      if (found < 0) return null
      captures.push(text.slice(at, found))
      at = found + part.length
    }
    if (text.length - last.length < at || !text.endsWith(last)) return null
    captures.push(text.slice(at, text.length - last.length))
    return captures
  }
}

/** What a rule is matched on; `country` is asked for only where a rule needs it. */
export interface Subject {
  readonly request: EdgeRequest
  readonly target: Target
  country(): string | null
}

/** True or false, and what the `*` of the path stood for. */
export type Condition = (subject: Subject) => string[] | null

const NO_CAPTURES: string[] = []
const many = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value])

export function addressList(addresses: readonly string[]): (address: string) => boolean {
  const blocks = new BlockList()
  for (const each of addresses) {
    const [address, prefix] = each.split('/')
    const family = isIPv6(address!) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) blocks.addAddress(address!, family)
    else blocks.addSubnet(address!, Number(prefix), family)
  }
  return (address) => blocks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** Text in which * stands for anything, true for present, false for absent. */
function presence(wanted: string | boolean): (value: string | null) => boolean {
  if (typeof wanted === 'boolean') return (value) => (value !== null) === wanted
  const glob = globOf(wanted)
  return (value) => value !== null && glob(value) !== null
}

/** Compiles `when`; every part of it must hold. */
export function conditionOf(when: WhenConfig | undefined): Condition {
  if (when === undefined) return () => NO_CAPTURES
  const tests: ((subject: Subject) => boolean)[] = []
  if (when.method !== undefined) {
    const methods = new Set(many(when.method))
    tests.push(({ request }) => methods.has(request.method))
  }
  if (when.query !== undefined)
    for (const [name, wanted] of Object.entries(when.query)) {
      const holds = presence(wanted)
      tests.push(({ target }) => {
        const values = parametersOf(target.query).filter((parameter) => parameter.name === name)
        return values.length === 0 ? holds(null) : values.some(({ value }) => holds(value))
      })
    }
  if (when.header !== undefined)
    for (const [name, wanted] of Object.entries(when.header)) {
      const holds = presence(wanted)
      const lower = name.toLowerCase()
      tests.push(({ request }) => holds(fieldOf(request.fields, lower)))
    }
  if (when.cookie !== undefined)
    for (const [name, wanted] of Object.entries(when.cookie)) {
      const holds = presence(wanted)
      tests.push(({ request }) => holds(cookieOf(request.fields, name)))
    }
  if (when.country !== undefined) {
    const countries = new Set(many(when.country))
    tests.push((subject) => countries.has(subject.country() ?? ''))
  }
  if (when.address !== undefined) {
    const holds = addressList(many(when.address))
    tests.push(({ request }) => holds(request.client.address))
  }
  if (when.not !== undefined) {
    const inner = conditionOf(when.not)
    tests.push((subject) => inner(subject) === null)
  }
  const globs = when.path === undefined ? null : many(when.path).map(globOf)
  return (subject) => {
    for (const test of tests) if (!test(subject)) return null
    if (globs === null) return NO_CAPTURES
    for (const glob of globs) {
      const captures = glob(subject.target.path)
      if (captures !== null) return captures
    }
    return null
  }
}

/** Whether a condition looks at nothing of the request but its path, so that host and target decide alone. */
export const looksOnlyAtPath = (when: WhenConfig | undefined): boolean => {
  if (when === undefined) return true
  const { path: _, not, ...others } = when
  return Object.values(others).every((value) => value === undefined) && (not === undefined || looksOnlyAtPath(not))
}
