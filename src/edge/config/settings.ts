/**
 * What a property or one of its rules sets, compiled from the configuration: texts into lists, files into pages, addresses
 * into tries. A rule's settings are laid over the property's: `caching` setting by setting, header changes one after the
 * other, all else as a whole.
 */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import type { AnswerPlan, CachingRules, ContentCoding, EdgeRequest, FieldChange, Fields } from '../message.ts'
import { type KeyRule, keyRule } from './key.ts'
import { addressList, type Subject } from './match.ts'
import type { RateLimit, RateRule } from './rate.ts'
import type {
  AccessConfig,
  CachingConfig,
  ChangesConfig,
  PageConfig,
  PropertyConfig,
  RateLimitConfig,
  SignedConfig,
  WhoConfig,
} from './schema.ts'
import type { SigningKey } from './signature.ts'
import { fieldOf } from './target.ts'
import { bytes, seconds } from './units.ts'

/** What the configuration cannot do without while it is compiled. */
export interface CompileContext {
  /** Files are named relative to it. */
  folder: string
  environment: Record<string, string | undefined>
  /** The limit that is said at `path`: the one that was there before, with its counts, if it reads the same. */
  limitOf(path: (string | number)[], said: RateLimitConfig, rule: RateRule): RateLimit
  /** Faults are collected, so that one run tells of all. */
  fault(path: (string | number)[], problem: string, expected: string): void
}

export const DEFAULT_CACHING: CachingRules = {
  enabled: true,
  ttlSeconds: null,
  negativeTtlSeconds: new Map(),
  targetedFields: ['cdn-cache-control'],
  staleWhileRevalidateSeconds: null,
  staleIfErrorSeconds: null,
  heuristicMaximumSeconds: 86_400,
  obeyRequestDirectives: false,
  sliceBytes: null,
}

export interface SignedRule {
  readonly keys: readonly SigningKey[]
  readonly parameter: string
  readonly cookie: string | null
}

export interface Settings {
  readonly caching: CachingRules
  readonly key: KeyRule
  readonly compression: readonly ContentCoding[]
  readonly requestChanges: readonly FieldChange[]
  readonly responseChanges: readonly FieldChange[]
  /** The status of the refusal, or null when the client may come in. */
  readonly access: ((subject: Subject) => number | null) | null
  readonly signed: SignedRule | null
  /** Seconds to wait, 0 for none. */
  readonly rate: ((request: EdgeRequest) => number) | null
  readonly errorPages: ReadonlyMap<number, AnswerPlan>
  readonly originHost: string | null
}

/** The part of a configuration that both a property and a rule have. */
export type SettingsConfig = Pick<
  PropertyConfig,
  | 'caching'
  | 'key'
  | 'compression'
  | 'request'
  | 'response'
  | 'access'
  | 'signed'
  | 'rateLimit'
  | 'errorPages'
  | 'originHost'
>

export const NO_SETTINGS: Settings = {
  caching: DEFAULT_CACHING,
  key: keyRule(undefined, []),
  compression: [],
  requestChanges: [],
  responseChanges: [],
  access: null,
  signed: null,
  rate: null,
  errorPages: new Map(),
  originHost: null,
}

/** Only what was said; `overlay` puts it on what was there before. */
type Mutable = { -readonly [name in keyof Settings]?: (before: Settings) => Settings[name] }
export type Overlay = Readonly<Mutable>

/** Compiles what is said; `drop` are query parameters that never belong to a key. */
export function compileSettings(
  config: SettingsConfig,
  path: (string | number)[],
  drop: readonly string[],
  context: CompileContext,
): Overlay {
  const overlay: Mutable = {}
  const { caching, key, compression, request, response, access, signed, rateLimit, errorPages, originHost } = config
  if (caching !== undefined) {
    const said = cachingOf(caching)
    overlay.caching = (before) => ({ ...before.caching, ...said })
  }
  if (key !== undefined) {
    const rule = keyRule(key, drop)
    overlay.key = () => rule
  }
  if (compression !== undefined) overlay.compression = () => compression || []
  if (request !== undefined) {
    const changes = changesOf(request, [...path, 'request'], context)
    overlay.requestChanges = (before) => [...before.requestChanges, ...changes]
  }
  if (response !== undefined) {
    const changes = changesOf(response, [...path, 'response'], context)
    overlay.responseChanges = (before) => [...before.responseChanges, ...changes]
  }
  if (access !== undefined) {
    const rule = accessOf(access, [...path, 'access'], context)
    overlay.access = () => rule
  }
  if (signed !== undefined) {
    const rule = signed.required === false ? null : signedOf(signed, [...path, 'signed'], context)
    overlay.signed = () => rule
  }
  if (rateLimit !== undefined) {
    const rule = rateOf(rateLimit, path, context)
    overlay.rate = () => rule
  }
  if (errorPages !== undefined) {
    const pages = new Map(
      Object.entries(errorPages).map(([status, page]) => [
        Number(status),
        pageOf(page, Number(status), [...path, 'errorPages', status], context),
      ]),
    )
    overlay.errorPages = (before) => new Map([...before.errorPages, ...pages])
  }
  if (originHost !== undefined) overlay.originHost = () => originHost
  return overlay
}

/** Lays what a rule says over what was in force before it. */
export function overlaid(before: Settings, overlay: Overlay): Settings {
  const after: Record<string, unknown> = { ...before }
  for (const [name, put] of Object.entries(overlay)) after[name] = put(before)
  return after as unknown as Settings
}

function cachingOf(config: CachingConfig): Partial<CachingRules> {
  const said: { -readonly [name in keyof CachingRules]?: CachingRules[name] } = {}
  if (config.enabled !== undefined) said.enabled = config.enabled
  if (config.ttl !== undefined) said.ttlSeconds = seconds(config.ttl)
  if (config.negative !== undefined)
    said.negativeTtlSeconds = new Map(
      Object.entries(config.negative).map(([status, duration]) => [Number(status), seconds(duration)]),
    )
  if (config.staleWhileRevalidate !== undefined) said.staleWhileRevalidateSeconds = seconds(config.staleWhileRevalidate)
  if (config.staleIfError !== undefined) said.staleIfErrorSeconds = seconds(config.staleIfError)
  if (config.heuristicMaximum !== undefined) said.heuristicMaximumSeconds = seconds(config.heuristicMaximum)
  if (config.obeyRequestDirectives !== undefined) said.obeyRequestDirectives = config.obeyRequestDirectives
  if (config.slice !== undefined) said.sliceBytes = bytes(config.slice) || null
  if (config.targetedFields !== undefined) said.targetedFields = config.targetedFields.map((name) => name.toLowerCase())
  return said
}

/** Fields that belong to the connection (RFC 9110 §7.6.1) or to the framing: the edge makes them itself. */
const NOT_TO_BE_CHANGED = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const FIELD_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/
// RFC 9110 §5.5 without obs-text: visible characters, with spaces and tabs between them.
const FIELD_VALUE = /^([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?$/

export function changesOf(config: ChangesConfig, path: (string | number)[], context: CompileContext): FieldChange[] {
  const changes: FieldChange[] = []
  const check = (name: string, at: (string | number)[]): boolean => {
    if (!FIELD_NAME.test(name))
      context.fault(at, `${JSON.stringify(name)} is no header name`, 'letters, digits and dashes')
    else if (NOT_TO_BE_CHANGED.has(name.toLowerCase()))
      context.fault(at, `${name} belongs to the connection`, 'a header that the edge does not make itself')
    else return true
    return false
  }
  for (const [at, name] of (config.remove ?? []).entries())
    if (check(name, [...path, 'remove', at])) changes.push({ kind: 'remove', name: name.toLowerCase() })
  for (const kind of ['set', 'append'] as const)
    for (const [name, value] of Object.entries(config[kind] ?? {})) {
      const at = [...path, kind, name]
      if (!FIELD_VALUE.test(value))
        context.fault(at, `${JSON.stringify(value)} is no header value`, 'visible ASCII characters, no line breaks')
      else if (check(name, at)) changes.push({ kind, name: name.toLowerCase(), value })
    }
  return changes
}

/** A page: a file beside the configuration, or text in it. */
export function pageOf(
  config: PageConfig,
  status: number,
  path: (string | number)[],
  context: CompileContext,
  headers: Fields = [],
): AnswerPlan {
  let body: string | Uint8Array = config.body ?? ''
  if ((config.file === undefined) === (config.body === undefined) && config.file !== undefined)
    context.fault(path, 'both file and body are set', 'one of them')
  if (config.file !== undefined)
    try {
      body = readFileSync(resolve(context.folder, config.file))
    } catch (error) {
      context.fault(
        [...path, 'file'],
        `${config.file} cannot be read (${(error as Error).message})`,
        'a file that is there',
      )
    }
  const type = config.contentType ?? 'text/html; charset=utf-8'
  return { kind: 'answer', status, fields: ['content-type', type, 'cache-control', 'no-store', ...headers], body }
}

export function checkAddresses(
  addresses: readonly string[],
  path: (string | number)[],
  context: CompileContext,
): string[] {
  return addresses.filter((each, at) => {
    const [address, prefix] = each.split('/')
    const family = isIP(address!)
    if (family !== 0 && (prefix === undefined || Number(prefix) <= (family === 4 ? 32 : 128))) return true
    context.fault([...path, at], `${each} is no address`, 'an address or prefix such as 192.0.2.0/24 or 2001:db8::/32')
    return false
  })
}

function accessOf(config: AccessConfig, path: (string | number)[], context: CompileContext): Settings['access'] {
  const who = (config: WhoConfig, side: string): ((subject: Subject) => boolean) => {
    const listed = addressList(checkAddresses(config.addresses ?? [], [...path, side, 'addresses'], context))
    const countries = config.countries === undefined ? null : new Set(config.countries)
    return (subject) =>
      (config.addresses !== undefined && listed(subject.request.client.address)) ||
      (countries?.has(subject.country() ?? '') ?? false)
  }
  const allow = config.allow === undefined ? null : who(config.allow, 'allow')
  const deny = config.deny === undefined ? null : who(config.deny, 'deny')
  const status = config.status ?? 403
  return (subject) => {
    if (deny?.(subject)) return status
    return allow === null || allow(subject) ? null : status
  }
}

/** The query parameter that carries a token unless the configuration names another. */
export const TOKEN_PARAMETER = 'token'

function signedOf(config: SignedConfig, path: (string | number)[], context: CompileContext): SignedRule {
  return {
    parameter: config.parameter ?? TOKEN_PARAMETER,
    cookie: config.cookie ?? null,
    keys: config.keys.map(({ id, secret }, at) => {
      if (!secret.startsWith('env:')) return { id, secret }
      const value = context.environment[secret.slice(4)]
      if (value !== undefined && value.length >= 16) return { id, secret: value }
      context.fault(
        [...path, 'keys', at, 'secret'],
        value === undefined ? `the environment has no ${secret.slice(4)}` : `${secret.slice(4)} is too short`,
        'an environment variable with at least 16 characters',
      )
      return { id, secret: '' }
    }),
  }
}

function rateOf(config: RateLimitConfig, path: (string | number)[], context: CompileContext): Settings['rate'] {
  const perSeconds = Math.max(0.001, seconds(config.per))
  const limit = context.limitOf(path, config, {
    requestsPerSecond: config.requests / perSeconds,
    burst: config.burst ?? config.requests,
  })
  const { by = 'address' } = config
  const client =
    by === 'address'
      ? (request: EdgeRequest) => clientOf(request.client.address)
      : by === 'property'
        ? () => ''
        : (request: EdgeRequest) => fieldOf(request.fields, by.header.toLowerCase()) ?? ''
  return (request) => limit.take(client(request), request.receivedAt)
}

/** One who has an IPv6 network has all addresses in it: a /64 counts as one client. */
function clientOf(address: string): string {
  if (!address.includes(':')) return address
  const [left = '', right] = address.split('::')
  const groups = left.split(':').filter((group) => group !== '')
  if (right !== undefined) {
    const tail = right.split(':').filter((group) => group !== '')
    while (groups.length + tail.length < 8) groups.push('0')
    groups.push(...tail)
  }
  return groups.slice(0, 4).join(':')
}
