/**
 * Cache-Control (RFC 9111 §5.2) and targeted cache control (RFC 9213), read so that every malformed case errs to the safe
 * side: a broken lifetime reads as 0 (stale, §4.2.1), a broken prohibition still prohibits, unknown directives are ignored.
 * When a directive occurs twice, the first value counts (§4.2.1).
 */
import type { Fields } from '../message.ts'
import { combinedValue, splitList } from './fields.ts'
import { memoized } from './memo.ts'
import { isInnerList, parseDictionary } from './structured.ts'

/** The directives of a response that a shared cache obeys. */
export interface ResponseDirectives {
  /** Where they came from: `cache-control`, or the targeted field that replaces it. */
  readonly source: string
  readonly noStore: boolean
  readonly mustUnderstand: boolean
  /** `all`: unqualified; a list: only these fields (lower-case); null: absent. */
  readonly noCache: 'all' | readonly string[] | null
  readonly private: 'all' | readonly string[] | null
  readonly public: boolean
  readonly maxAgeSeconds: number | null
  readonly sMaxageSeconds: number | null
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly immutable: boolean
  readonly noTransform: boolean
  readonly staleWhileRevalidateSeconds: number | null
  readonly staleIfErrorSeconds: number | null
}

/** The directives of a request (RFC 9111 §5.2.1). */
export interface RequestDirectives {
  readonly noStore: boolean
  readonly noCache: boolean
  readonly onlyIfCached: boolean
  readonly maxAgeSeconds: number | null
  readonly minFreshSeconds: number | null
  /** Infinity: any staleness (no argument). */
  readonly maxStaleSeconds: number | null
  readonly staleIfErrorSeconds: number | null
}

/** RFC 9111 §1.2.2: a greater value counts as this one. */
export const MAX_DELTA_SECONDS = 2_147_483_648

/** Delta-seconds: digits only; too great ones are cut to 2^31. Null when it is none. */
export function parseDeltaSeconds(text: string): number | null {
  return /^\d+$/.test(text) ? Math.min(Number(text), MAX_DELTA_SECONDS) : null
}

/**
 * Splits into name → argument, first occurrence first; true stands for a directive without argument. Both the token and the
 * quoted form of an argument are taken (§5.2). White space around `=` is not in the grammar: the name keeps it and so
 * matches nothing, except that `broken` tells of it.
 */
function parseDirectives(value: string): { directives: Map<string, string | true>; broken: Set<string> } {
  const directives = new Map<string, string | true>()
  const broken = new Set<string>()
  for (const member of splitList(value)) {
    const equals = member.indexOf('=')
    const name = (equals < 0 ? member : member.slice(0, equals)).toLowerCase()
    if (name !== name.trim()) broken.add(name.trim())
    let argument: string | true = equals < 0 ? true : member.slice(equals + 1)
    if (argument !== true && /^".*"$/s.test(argument)) argument = argument.slice(1, -1).replaceAll(/\\(.)/g, '$1')
    if (!directives.has(name)) directives.set(name, argument)
  }
  return { directives, broken }
}

/** A lifetime: null when absent, 0 when present and no delta-seconds. */
function lifetime(directives: Map<string, string | true>, broken: Set<string>, name: string): number | null {
  const argument = directives.get(name)
  if (argument === undefined) return broken.has(name) ? 0 : null
  return argument === true ? 0 : (parseDeltaSeconds(argument) ?? 0)
}

/** A permission to serve stale: malformed reads as absent. */
function permission(directives: Map<string, string | true>, name: string): number | null {
  const argument = directives.get(name)
  return typeof argument === 'string' ? parseDeltaSeconds(argument) : null
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** Field names of a qualified no-cache or private; an argument that names none prohibits all. */
function fieldNames(argument: string | true | undefined): 'all' | readonly string[] | null {
  if (argument === undefined) return null
  if (argument === true) return 'all'
  const names = splitList(argument).map((name) => name.toLowerCase())
  return names.length > 0 && names.every((name) => TOKEN.test(name)) ? names : 'all'
}

function responseDirectives(
  source: string,
  directives: Map<string, string | true>,
  broken: Set<string>,
): ResponseDirectives {
  return {
    source,
    noStore: directives.has('no-store') || broken.has('no-store'),
    mustUnderstand: directives.has('must-understand'),
    noCache: broken.has('no-cache') ? 'all' : fieldNames(directives.get('no-cache')),
    private: broken.has('private') ? 'all' : fieldNames(directives.get('private')),
    public: directives.has('public'),
    maxAgeSeconds: lifetime(directives, broken, 'max-age'),
    sMaxageSeconds: lifetime(directives, broken, 's-maxage'),
    mustRevalidate: directives.has('must-revalidate'),
    proxyRevalidate: directives.has('proxy-revalidate'),
    immutable: directives.has('immutable'),
    noTransform: directives.has('no-transform'),
    staleWhileRevalidateSeconds: permission(directives, 'stale-while-revalidate'),
    staleIfErrorSeconds: permission(directives, 'stale-if-error'),
  }
}

export const parseCacheControl = memoized((value: string): ResponseDirectives => {
  const { directives, broken } = parseDirectives(value)
  return responseDirectives('cache-control', directives, broken)
})

/**
 * Reads one targeted field (RFC 9213 §2.1): a dictionary whose members have the arguments of Cache-Control as integers or
 * tokens. Null: not a dictionary, or a known directive with an argument of the wrong type, so the field is ignored whole.
 */
export function parseTargeted(source: string, value: string): ResponseDirectives | null {
  const members = parseDictionary(value)
  if (members === null || members.size === 0) return null
  const directives = new Map<string, string | true>()
  for (const [name, member] of members) {
    if (isInnerList(member)) {
      if (KNOWN.has(name)) return null
      continue
    }
    if (SECONDS.has(name)) {
      if (typeof member.value !== 'number' || member.value < 0) return null
      directives.set(name, String(member.value))
    } else if (member.value === true) directives.set(name, true)
    else if (typeof member.value === 'string') directives.set(name, member.value)
    else if (member.value !== false && KNOWN.has(name)) return null
  }
  return responseDirectives(source, directives, new Set())
}

const SECONDS = new Set(['max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'])
const KNOWN = new Set([
  ...SECONDS,
  'no-store',
  'no-cache',
  'private',
  'public',
  'must-revalidate',
  'proxy-revalidate',
  'must-understand',
  'immutable',
  'no-transform',
])

/**
 * What governs a response: the first targeted field that is there and valid, else Cache-Control (RFC 9213 §2.2). With
 * a targeted field in force, Cache-Control and Expires count for nothing.
 */
export function governingDirectives(fields: Fields, targetedFields: readonly string[]): ResponseDirectives {
  for (const name of targetedFields) {
    const value = combinedValue(fields, name)
    const directives = value === null ? null : parseTargeted(name, value)
    if (directives !== null) return directives
  }
  return parseCacheControl(combinedValue(fields, 'cache-control') ?? '')
}

const NO_DIRECTIVES: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeSeconds: null,
  minFreshSeconds: null,
  maxStaleSeconds: null,
  staleIfErrorSeconds: null,
}

/** Pragma: no-cache counts only where Cache-Control is absent (RFC 9111 §5.4). */
export function requestDirectives(fields: Fields): RequestDirectives {
  const value = combinedValue(fields, 'cache-control')
  if (value === null) {
    const pragma = combinedValue(fields, 'pragma')
    return pragma !== null && splitList(pragma.toLowerCase()).includes('no-cache')
      ? { ...NO_DIRECTIVES, noCache: true }
      : NO_DIRECTIVES
  }
  const { directives } = parseDirectives(value)
  return {
    noStore: directives.has('no-store'),
    noCache: directives.has('no-cache'),
    onlyIfCached: directives.has('only-if-cached'),
    maxAgeSeconds: permission(directives, 'max-age'),
    minFreshSeconds: permission(directives, 'min-fresh'),
    maxStaleSeconds:
      directives.get('max-stale') === true ? Number.POSITIVE_INFINITY : permission(directives, 'max-stale'),
    staleIfErrorSeconds: permission(directives, 'stale-if-error'),
  }
}
