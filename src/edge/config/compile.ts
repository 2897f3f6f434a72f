/**
 * One property, compiled: `plan(request)` decides what becomes of a request, `plainKey(target)` does so for the hit path
 * where host and target decide alone. Both go through the same rules, so what the hit path serves is what `plan` would.
 *
 * Order: https only, maintenance, the rules from first to last (later ones lie over earlier ones), then with the settings
 * that came out: access, signature, rate; then a redirect or an answer if a rule gave one; otherwise serve.
 */
import type { AnswerPlan, EdgeRequest, Fields, OriginPool, Plan, Property } from '../message.ts'
import type { CountryOf } from './countries.ts'
import { addressList, type Condition, conditionOf, globOf, looksOnlyAtPath, type Subject } from './match.ts'
import type { PropertyConfig, RuleConfig } from './schema.ts'
import {
  type CompileContext,
  checkAddresses,
  compileSettings,
  NO_SETTINGS,
  type Overlay,
  overlaid,
  pageOf,
  type Settings,
  TOKEN_PARAMETER,
} from './settings.ts'
import { checkToken } from './signature.ts'
import { cookieOf, parametersOf, type Target, targetOf } from './target.ts'
import { seconds } from './units.ts'

/** What a property needs of the running edge. */
export interface PropertyWorld {
  countryOf: CountryOf
  pool: OriginPool
}

type Ending = { redirect: { to: string; status: number } } | { answer: AnswerPlan }

interface CompiledRule {
  readonly holds: Condition
  readonly paths: ((path: string) => string[] | null)[] | null
  readonly isPathOnly: boolean
  /** Sets something that must be asked anew for each request. */
  readonly guards: boolean
  readonly overlay: Overlay
  readonly rewrite: string | null
  readonly ending: Ending | null
  readonly last: boolean
}

/** What the rules make of a request: settings, where to, and how it ends. */
interface Outcome {
  settings: Settings
  target: string
  ending: Ending | null
}

export class CompiledProperty {
  readonly name: string
  readonly hosts: readonly string[]
  readonly #settings: Settings
  readonly #rules: readonly CompiledRule[]
  readonly #maintenance: { answer: AnswerPlan; except: (address: string) => boolean } | null
  readonly #httpsOnly: boolean
  readonly #drop: readonly string[]
  readonly #world: PropertyWorld
  /** Nothing but a rule asks for more than host and target. */
  readonly #isPlain: boolean
  readonly #needsScheme: boolean

  constructor(config: PropertyConfig, path: (string | number)[], context: CompileContext, world: PropertyWorld) {
    this.name = config.name
    this.hosts = config.hosts
    this.#world = world
    const rules = config.rules ?? []
    this.#drop = [config, ...rules].flatMap(({ signed }) =>
      signed === undefined || signed.required === false ? [] : [signed.parameter ?? TOKEN_PARAMETER],
    )
    // The base key drops what signatures add even where the property says nothing of keys.
    const base = { ...config, key: config.key ?? {} }
    this.#settings = overlaid(NO_SETTINGS, compileSettings(base, path, this.#drop, context))
    this.#rules = rules.map((rule, at) => compileRule(rule, [...path, 'rules', at], this.#drop, context))
    this.#httpsOnly = config.httpsOnly ?? false
    const { maintenance } = config
    this.#maintenance = maintenance?.enabled
      ? {
          answer: pageOf(
            maintenance.page ?? { body: MAINTENANCE },
            503,
            [...path, 'maintenance', 'page'],
            context,
            maintenance.retryAfter === undefined
              ? []
              : ['retry-after', String(Math.ceil(seconds(maintenance.retryAfter)))],
          ),
          except: addressList(checkAddresses(maintenance.except ?? [], [...path, 'maintenance', 'except'], context)),
        }
      : null
    const { access, signed, rate, key } = this.#settings
    this.#isPlain = this.#maintenance === null && !access && !signed && !rate && !key.looksAtFields
    this.#needsScheme = this.#httpsOnly || [config, ...rules].some((each) => each.key?.scheme === true)
  }

  /** The property as one of its hosts sees it. Without `scheme` the hit path leaves to `plan` what depends on it. */
  bind(host: string, scheme: 'http' | 'https' | null): Property {
    return new BoundProperty(this, host, scheme)
  }

  /** Every request that the hit path understands has the key host + target. */
  get isSimple(): boolean {
    return this.#isPlain && !this.#needsScheme && this.#rules.length === 0 && this.#settings.key.isTrivial
  }

  plan(request: EdgeRequest): Plan {
    if (!request.inside && this.#httpsOnly && request.scheme === 'http')
      return redirectTo(
        `https://${request.host}${request.target}`,
        request.method === 'GET' || request.method === 'HEAD' ? 301 : 308,
      )
    if (!request.inside && this.#maintenance !== null && !this.#maintenance.except(request.client.address))
      return this.#maintenance.answer
    const subject: Subject = {
      request,
      target: targetOf(request.target),
      country: () => this.#world.countryOf(request.client.address),
    }
    const { settings, target, ending } = this.#apply(subject.target, (rule) => rule.holds(subject))
    const refused = request.inside ? null : this.#refusal(settings, subject)
    if (refused !== null) return refused
    if (ending !== null)
      return 'answer' in ending ? ending.answer : redirectTo(ending.redirect.to, ending.redirect.status)
    const { caching, compression, requestChanges, responseChanges, errorPages, originHost, key } = settings
    return {
      kind: 'serve',
      target,
      originHost,
      key: key.base(request.host, request.scheme, request.target) + key.extras(request.fields),
      keyIsPlain: this.plainKey(request.host, request.scheme, request.target) !== null,
      caching,
      requestChanges,
      responseChanges,
      compression,
      pool: this.#world.pool,
      errorPages,
    }
  }

  plainKey(host: string, scheme: 'http' | 'https' | null, target: string): string | null {
    if (!this.#isPlain || (this.#needsScheme && scheme === null) || (this.#httpsOnly && scheme === 'http')) return null
    let { key } = this.#settings
    if (this.#rules.length > 0) {
      const split = targetOf(target)
      let isPlain = true
      const { settings, ending } = this.#apply(split, (rule) => {
        const captures = capturesOf(rule, split.path)
        if (captures !== null && (!rule.isPathOnly || rule.guards)) isPlain = false
        return captures
      })
      if (!isPlain || ending !== null || settings.key.looksAtFields) return null
      key = settings.key
    }
    return key.base(host, scheme ?? 'http', target)
  }

  /** The first line of the cache key of a URL, as a purge needs it: what rules that look only at the path make of it. */
  keyBase(host: string, scheme: 'http' | 'https', target: string): string {
    const split = targetOf(target)
    const { settings } = this.#apply(split, (rule) => (rule.isPathOnly ? capturesOf(rule, split.path) : null))
    return settings.key.base(host, scheme, target)
  }

  #apply(target: Target, holds: (rule: CompiledRule) => string[] | null): Outcome {
    let settings = this.#settings
    let ending: Ending | null = null
    let path = target.rawPath
    let query = target.query
    for (const rule of this.#rules) {
      const captures = holds(rule)
      if (captures === null) continue
      settings = overlaid(settings, rule.overlay)
      if (rule.rewrite !== null) {
        const [rewritten, added] = filled(rule.rewrite, captures, true).split('?', 2) as [string, string?]
        path = rewritten
        if (added !== undefined) query = query.length > 1 ? `?${added}&${query.slice(1)}` : `?${added}`
      }
      if (rule.ending !== null && ending === null)
        ending =
          'answer' in rule.ending
            ? rule.ending
            : { redirect: { ...rule.ending.redirect, to: filled(rule.ending.redirect.to, captures, true, target) } }
      if (rule.last) break
    }
    return { settings, ending, target: path + this.#withoutTokens(query) }
  }

  #withoutTokens(query: string): string {
    if (this.#drop.length === 0 || query.length <= 1) return query
    const kept = parametersOf(query).filter(({ name }) => !this.#drop.includes(name))
    return kept.length === 0 ? '' : `?${kept.map(({ raw }) => raw).join('&')}`
  }

  #refusal(settings: Settings, subject: Subject): AnswerPlan | null {
    const { request, target } = subject
    const status = settings.access?.(subject) ?? null
    if (status !== null) return refusal(settings, status, 'This is not open to you.')
    if (settings.signed !== null) {
      const { keys, parameter, cookie } = settings.signed
      const token =
        parametersOf(target.query).find(({ name }) => name === parameter)?.value ??
        (cookie === null ? null : cookieOf(request.fields, cookie))
      const fault = checkToken(keys, request.host, target.path, token, request.receivedAt / 1_000)
      if (fault !== null) return refusal(settings, 403, `This address must be signed; its token is ${fault}.`)
    }
    const waitSeconds = settings.rate?.(request) ?? 0
    if (waitSeconds > 0)
      return refusal(settings, 429, 'Too many requests.', ['retry-after', String(Math.ceil(waitSeconds))])
    return null
  }
}

/**
 * A property as one host sees it. One class for all, and simple properties answered from its own fields: with ten thousand
 * properties every object more that a hit has to look at is a wait for memory.
 */
class BoundProperty implements Property {
  readonly name: string
  readonly #property: CompiledProperty
  readonly #host: string
  readonly #scheme: 'http' | 'https' | null
  readonly #isSimple: boolean

  constructor(property: CompiledProperty, host: string, scheme: 'http' | 'https' | null) {
    this.name = property.name
    this.#property = property
    this.#host = host
    this.#scheme = scheme
    this.#isSimple = property.isSimple
  }

  plan(request: EdgeRequest): Plan {
    return this.#property.plan(request)
  }

  plainKey(target: string): string | null {
    return this.#isSimple ? this.#host + target : this.#property.plainKey(this.#host, this.#scheme, target)
  }
}

const MAINTENANCE = '<!doctype html><title>Back soon</title><h1>Back soon</h1><p>This site is being worked on.</p>'

function compileRule(
  config: RuleConfig,
  path: (string | number)[],
  drop: readonly string[],
  context: CompileContext,
): CompiledRule {
  const { when } = config
  for (const side of [when, when?.not])
    if (side?.address !== undefined)
      checkAddresses([side.address].flat(), [...path, 'when', ...(side === when ? [] : ['not']), 'address'], context)
  const answers = [config.redirect, config.answer].filter((each) => each !== undefined).length
  if (answers > 1) context.fault(path, 'both redirect and answer are set', 'one of them')
  const ending: Ending | null =
    config.redirect !== undefined
      ? { redirect: { to: config.redirect.to, status: config.redirect.status ?? 302 } }
      : config.answer !== undefined
        ? { answer: answerOf(config.answer, [...path, 'answer'], context) }
        : null
  return {
    holds: conditionOf(when),
    paths: when?.path === undefined ? null : [when.path].flat().map(globOf),
    isPathOnly: looksOnlyAtPath(when),
    guards: config.access !== undefined || config.signed !== undefined || config.rateLimit !== undefined,
    overlay: compileSettings(config, path, drop, context),
    rewrite: config.rewrite ?? null,
    ending,
    last: config.last ?? false,
  }
}

/** What the path of a rule matched; for `not`, which has no captures, the whole condition is asked. */
function capturesOf(rule: CompiledRule, path: string): string[] | null {
  if (rule.isPathOnly)
    return rule.holds({ request: NO_REQUEST, target: { rawPath: path, path, query: '' }, country: () => null })
  if (rule.paths === null) return []
  for (const glob of rule.paths) {
    const captures = glob(path)
    if (captures !== null) return captures
  }
  return null
}

/** For conditions that look only at the path. */
const NO_REQUEST: EdgeRequest = {
  method: 'GET',
  scheme: 'http',
  host: '',
  authority: '',
  target: '/',
  version: '1.1',
  fields: [],
  client: { address: '', port: 0 },
  receivedAt: 0,
  body: null,
}

function answerOf(
  config: NonNullable<RuleConfig['answer']>,
  path: (string | number)[],
  context: CompileContext,
): AnswerPlan {
  const { status, headers = {}, ...page } = config
  const plan = pageOf(page, status, path, context)
  const named = new Set(Object.keys(headers).map((name) => name.toLowerCase()))
  const kept: string[] = []
  for (let at = 0; at < plan.fields.length; at += 2)
    if (!named.has(plan.fields[at]!)) kept.push(plan.fields[at]!, plan.fields[at + 1]!)
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\t\x20-\x7e]*$/.test(value) || !/^[A-Za-z0-9-]+$/.test(name))
      context.fault([...path, 'headers', name], 'this is no header', 'a name and visible ASCII characters')
    else kept.push(name.toLowerCase(), value.trim())
  }
  return { ...plan, fields: kept }
}

/** Puts captures for `$1`…, the path for `$path` and the query for `$query`; encoded, so that nothing of a request breaks out. */
function filled(template: string, captures: readonly string[], encode: boolean, target?: Target): string {
  return template.replace(/\$(\d|path|query)/g, (_, name: string) => {
    if (name === 'path') return target?.rawPath ?? ''
    if (name === 'query') return target?.query ?? ''
    const text = captures[Number(name) - 1] ?? ''
    return encode ? encodeURI(text).replace(/[?#]/g, encodeURIComponent) : text
  })
}

function redirectTo(to: string, status: number): AnswerPlan {
  return {
    kind: 'answer',
    status,
    fields: ['location', to, 'content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store'],
    body: `See ${to}\n`,
  }
}

function refusal(settings: Settings, status: number, text: string, fields: Fields = []): AnswerPlan {
  const page = settings.errorPages.get(status)
  if (page !== undefined) return { ...page, fields: [...page.fields, ...fields] }
  return {
    kind: 'answer',
    status,
    fields: ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store', ...fields],
    body: `${text}\n`,
  }
}
