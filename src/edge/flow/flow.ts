/**
 * The way of one request, in words one can read aloud:
 *
 *     receive → plan → answer                         the property answers itself, or refuses
 *                    → look → hit → deliver           fresh: from the store
 *                           → stale → deliver         served at once, validated behind the client's back
 *                           → fetch → join or ask     missing or to be validated: one fill for all who wait
 *                    → pass                           not for a cache: straight to the origin and back
 *
 * What may be served is decided by `policy/`, what is kept by the store; this only moves requests from step to step.
 */
import type { Duplex } from 'node:stream'
import { requestDirectives } from '../http/cache-control.ts'
import { firstValue, hasField, without } from '../http/fields.ts'
import { parseRange } from '../http/ranges.ts'
import type {
  AnswerPlan,
  CacheResult,
  EdgeRequest,
  Fields,
  Finished,
  Handler,
  OriginPool,
  OriginRequest,
  Properties,
  Property,
  Recording,
  Reply,
  ServePlan,
  Store,
  StoredObject,
} from '../message.ts'
import type { CacheStatus, ForwardReason } from '../policy/cache-status.ts'
import { unconditional, validating } from '../policy/conditions.ts'
import { freshened, headTells } from '../policy/freshen.ts'
import { invalidatedGroupsOf } from '../policy/groups.ts'
import { invalidatedTargets, isSafe } from '../policy/invalidation.ts'
import { judge, select, type Verdict } from '../policy/judge.ts'
import { passesOf } from '../policy/loop.ts'
import { storable } from '../policy/storable.ts'
import { namesOf } from '../policy/vary.ts'
import { type Challenges, isChallenge } from './challenges.ts'
import { withChosenCoding } from './coding.ts'
import { combine } from './combine.ts'
import { deliver } from './deliver.ts'
import { Exchange, type Identity } from './exchange.ts'
import { Fill, type Question, type Surroundings } from './fill.ts'
import { announcedBytes, forwarded } from './forward.ts'
import { type Invalidation, type Owners, relayedPool } from './inside.ts'
import { Pass } from './pass.ts'
import { Passes } from './passes.ts'
import { refuse } from './refusals.ts'
import { keyOfSlice, SlicedAnswer, type Slicer, sliceKey } from './slices.ts'
import { refuseUpgrade, upgrade } from './upgrade.ts'

export interface FlowOptions {
  /** Name of this edge in Cache-Status, Via and CDN-Loop: a token. */
  readonly name: string
  readonly store: Store
  readonly properties: Properties
  readonly finished?: (finished: Finished) => void
  /** Asked for targets of ACME challenges only. */
  readonly challenges?: Challenges
  /** Null: this worker is the only one. */
  readonly owners?: Owners | null
}

/**
 * A request may pass this many edges of one name (edge, shield, parent); one more time is a loop (RFC 8586).
 */
const MAX_PASSES = 3
/** After a failed validation, what may be stale is served without asking again for this long: nobody waits for time-outs. */
const TROUBLE_MS = 2_000
/** An origin that cannot validate is not asked again in the background before this. */
const REVALIDATE_PAUSE_MS = 1_000
/** A request is looked up again at most this often (another variant, a broken object), then it goes alone. */
const MAX_LOOKS = 4

export class Flow implements Handler, Surroundings {
  readonly store: Store
  readonly #properties: Properties
  readonly #identity: Identity
  readonly #challenges: Challenges
  readonly #owners: Owners | null
  readonly #fills = new Map<string, Fill[]>()
  readonly #passes = new Passes()
  /** Objects whose origin gives no ranges. */
  readonly #wholes = new Passes()
  /** When stored responses could last not be validated, and when that was last tried behind a client's back. */
  readonly #troubles = new WeakMap<StoredObject, { at: number; status: number | null }>()
  readonly #revalidatedAt = new WeakMap<StoredObject, number>()

  constructor(options: FlowOptions) {
    this.store = options.store
    this.#properties = options.properties
    this.#challenges = options.challenges ?? (() => null)
    this.#owners = options.owners ?? null
    this.#identity = { name: options.name, finished: options.finished ?? null }
  }

  serve(request: EdgeRequest, reply: Reply): void {
    const exchange = new Exchange(request, reply, this.#identity)
    const property = this.#properties.find(request.host, request.scheme)
    const challenged = isChallenge(request.target)
    const proof = challenged ? this.#challenges(request) : null
    if (proof !== null) {
      exchange.property = property?.name ?? null
      answerByPlan(exchange, proof, 'challenge')
      return
    }
    if (property === null) {
      refuse(exchange, 421, { detail: 'no-property' })
      return
    }
    exchange.property = property.name
    if (passesOf(request.fields, this.#identity.name) >= MAX_PASSES) {
      refuse(exchange, 508, { detail: 'loop' })
      return
    }
    const planned = property.plan(request)
    if (planned.kind === 'answer') {
      answerByPlan(exchange, planned, 'property')
      return
    }
    const plan = challenged ? { ...planned, caching: { ...planned.caching, enabled: false } } : planned
    exchange.plan = plan
    const mayBeStored = (request.method === 'GET' || request.method === 'HEAD') && request.body === null
    if (mayBeStored) {
      // Where the edge compresses, a client's wish is the one coding that it would get.
      if (plan.compression.length > 0)
        exchange.request = { ...request, fields: withChosenCoding(request.fields, plan.compression) }
      const { enabled, sliceBytes } = plan.caching
      const isSliced = enabled && sliceBytes !== null && request.method === 'GET'
      // Blocks are kept by the owner of the whole, and nowhere else.
      if (isSliced && this.#ownerOf(exchange, plan) !== null) this.#pass(exchange, property, plan, 'uri-miss')
      else if (isSliced && !this.#wholes.has(plan.key, Date.now()))
        new SlicedAnswer(exchange, plan, sliceBytes, this.#slicer(property)).start()
      else this.#look(exchange, property, plan)
    } else this.#pass(exchange, property, plan, request.method === 'GET' ? 'bypass' : 'method')
  }

  /** The worker to ask for this; null: this one is to ask the origin. */
  #ownerOf({ request }: Exchange, plan: ServePlan): OriginPool | null {
    return this.#owners === null || request.inside || !plan.caching.enabled ? null : this.#owners.of(plan.key)
  }

  #slicer(property: Property): Slicer {
    return {
      look: (block, plan) => this.#look(block, property, plan),
      isWhole: (plan) => this.#wholes.has(plan.key, Date.now()),
      whole: (exchange) => {
        this.#wholes.remember(exchange.plan!.key, Date.now())
        this.#look(exchange, property, exchange.plan!)
      },
      forget: (plan, count) => {
        for (let index = 0; index < count; index++)
          for (const object of this.store.find(sliceKey(plan, index))) this.store.remove(object)
      },
    }
  }

  upgrade(request: EdgeRequest, socket: Duplex, head: Buffer): void {
    const property = this.#properties.find(request.host, request.scheme)
    const plan = property?.plan(request)
    const over = (result: CacheResult, status: number, sent = { head: 0, body: 0 }, received = 0) => {
      const totalMs = Date.now() - request.receivedAt
      this.#identity.finished?.({
        request,
        property: property?.name ?? null,
        status,
        result,
        bodyBytesSent: sent.body,
        headBytesSent: sent.head,
        tunnelBytesReceived: received,
        headMs: totalMs,
        totalMs,
        complete: status !== 0,
      })
    }
    const refused = (status: number) => {
      refuseUpgrade(socket, status)
      over('refused', status)
    }
    if (plan === undefined || passesOf(request.fields, this.#identity.name) >= MAX_PASSES) refused(421)
    else if (plan.kind === 'answer') refused(plan.status < 400 ? 403 : plan.status)
    else
      upgrade(request, plan, this.#identity.name, socket, head, (status, sent, received) =>
        over(status >= 500 || status === 0 ? 'error' : 'pass', status, sent, received),
      )
  }

  /** Finds what is stored and does what the policy says of it. */
  #look(exchange: Exchange, property: Property, plan: ServePlan): void {
    const { request } = exchange
    const now = Date.now()
    const stored = plan.caching.enabled ? this.store.find(plan.key) : NOTHING
    const { chosen, reason } = select(stored, request)
    let validate: Validation | null = null
    if (chosen !== null) {
      const verdict = judge(chosen, request.fields, now, plan.caching)
      if (verdict.kind !== 'validate') {
        this.#hit(exchange, property, plan, chosen, verdict)
        return
      }
      if (this.#isTroubled(chosen, verdict, now)) {
        const { ageSeconds, ttlSeconds } = verdict
        this.deliver(exchange, chosen, ageSeconds, 'stale', { hit: true, ttlSeconds, detail: 'origin-in-trouble' })
        return
      }
      validate = { object: chosen, verdict }
    }
    if (
      hasField(request.fields, 'cache-control') &&
      requestDirectives(request.fields).onlyIfCached &&
      this.#ownerOf(exchange, plan) === null
    ) {
      refuse(exchange, 504, { detail: 'only-if-cached' })
      return
    }
    const why: ForwardReason = validate === null ? reason : validate.verdict.reason === 'request' ? 'request' : 'stale'
    if (request.method === 'HEAD') {
      this.#pass(exchange, property, plan, why)
      return
    }
    if (exchange.nominated === null && stored.length > 0) exchange.nominated = namesOf(stored[0]!.head)
    this.#fetch(exchange, property, plan, validate, why, now)
  }

  /** The origin just failed to validate this, and the policy lets it be served stale for that. */
  #isTroubled(object: StoredObject, verdict: Validation['verdict'], now: number): boolean {
    const trouble = this.#troubles.get(object)
    if (trouble === undefined || now - trouble.at >= TROUBLE_MS || verdict.reason === 'request') return false
    return trouble.status === null ? verdict.ifUnreachable : verdict.ifServerError
  }

  #hit(exchange: Exchange, property: Property, plan: ServePlan, object: StoredObject, verdict: Servable): void {
    this.store.use(object)
    if (verdict.kind === 'stale' && verdict.revalidate) this.#revalidate(exchange, property, plan, object, verdict)
    const { ageSeconds, ttlSeconds } = verdict
    this.deliver(exchange, object, ageSeconds, verdict.kind === 'stale' ? 'stale' : 'hit', { hit: true, ttlSeconds })
  }

  /** Joins a fill that is under way, or begins one. */
  #fetch(
    exchange: Exchange,
    property: Property,
    plan: ServePlan,
    validate: Validation | null,
    reason: ForwardReason,
    now: number,
  ): void {
    // Answers to authorised requests are seldom anybody else's: none waits for them, and they teach nothing about the key.
    const isAuthorised = hasField(exchange.request.fields, 'authorization')
    const isOwn = !plan.caching.enabled || isAuthorised || this.#passes.has(plan.key, now)
    const alone = isOwn || exchange.looks > MAX_LOOKS
    if (!alone)
      for (const fill of this.#fills.get(plan.key) ?? NO_FILLS)
        if (fill.takes(exchange)) {
          fill.add(exchange)
          return
        }
    const fill = this.#ask(exchange, property, plan, validate, reason, !alone, isOwn)
    fill.add(exchange)
    fill.start()
  }

  /** Validates what was just served stale, unless that is under way. */
  #revalidate(
    exchange: Exchange,
    property: Property,
    plan: ServePlan,
    object: StoredObject,
    verdict: Verdict & { kind: 'stale' },
  ): void {
    const now = Date.now()
    if (now - (this.#revalidatedAt.get(object) ?? 0) < REVALIDATE_PAUSE_MS) return
    for (const fill of this.#fills.get(plan.key) ?? NO_FILLS) if (fill.question.validates?.object === object) return
    this.#revalidatedAt.set(object, now)
    this.#ask(exchange, property, plan, { object, verdict }, 'stale', true, false).start()
  }

  /** `isOwn`: its answer is likely nobody else's, so no other worker need be asked. */
  #ask(
    exchange: Exchange,
    property: Property,
    plan: ServePlan,
    validate: Question['validates'],
    reason: ForwardReason,
    shared: boolean,
    isOwn: boolean,
  ): Fill {
    const { request, isSlice } = exchange
    const { fields } = request
    const range = firstValue(fields, 'range')
    // A complete response is validated whole; otherwise a range that makes sense goes on to the origin as it is.
    const sendRange = range !== null && parseRange(range) !== null && validate?.object.head.status !== 200
    const plain = sendRange ? fields : without(fields, ['range', 'if-range'])
    let asked: Fields = validate === null ? plain : (validating(plain, validate.object.head) ?? plain)
    if (asked === plain && shared) asked = unconditional(plain)
    // If-Range belongs to its Range: taken out as a condition, put back beside it.
    if (asked !== plain && sendRange && hasField(plain, 'if-range'))
      asked = [...asked, 'if-range', firstValue(plain, 'if-range')!]
    const owner = isOwn ? null : this.#ownerOf(exchange, plan)
    const fill = new Fill(
      {
        key: plan.key,
        plan:
          owner === null
            ? plan
            : { ...plan, pool: relayedPool(owner, plan.pool, request, asked), compression: NO_CODINGS },
        property: property.name,
        url: urlOf(request),
        fields: forwarded(request, asked, plan, this.#identity.name, shared),
        target: plan.target,
        shared,
        validates: validate,
        reason,
        range: sendRange ? range : null,
        requestFields: plain,
        isSlice,
      },
      this,
    )
    if (shared) {
      const fills = this.#fills.get(plan.key)
      if (fills === undefined) this.#fills.set(plan.key, [fill])
      else fills.push(fill)
    }
    return fill
  }

  #pass(exchange: Exchange, property: Property, plan: ServePlan, reason: ForwardReason): void {
    const { request } = exchange
    const owner = isSafe(request.method) && request.body === null ? this.#ownerOf(exchange, plan) : null
    let settled: Promise<void> | null = null
    const requestTime = Date.now()
    const pass = new Pass(
      exchange,
      { forward: reason },
      {
        answered: (status, fields, bodyBytes) => {
          if (request.method === 'HEAD') this.#headAnswered(plan, request, status, fields, bodyBytes, requestTime)
          if (isSafe(request.method)) return null
          settled = this.#invalidate(property, plan, request, status, fields)
          return request.method === 'POST'
            ? this.#recordPost(property, plan, request, status, fields, bodyBytes, requestTime)
            : null
        },
        settled: () => settled,
      },
    )
    const asked: OriginRequest = {
      method: request.method,
      target: plan.target,
      fields: forwarded(request, request.fields, plan, this.#identity.name, false),
      body: request.body,
      bodyBytes: request.body === null ? null : announcedBytes(request.fields),
      key: plan.key,
    }
    pass.start(owner === null ? plan.pool : relayedPool(owner, plan.pool, request, request.fields), asked)
  }

  /** RFC 9111 §4.3.5: the answer to a HEAD updates a stored GET, or tells that it is outdated. */
  #headAnswered(
    plan: ServePlan,
    request: EdgeRequest,
    status: number,
    fields: Fields,
    bodyBytes: number | null,
    requestTime: number,
  ): void {
    if (status !== 200) return
    const { chosen } = select(this.store.find(plan.key), request)
    if (chosen === null || chosen.head.status !== 200) return
    if (headTells(chosen.head, fields, bodyBytes) === 'outdated') this.store.remove(chosen)
    else
      this.store.freshen(
        chosen,
        freshened(chosen.head, { fields, requestTime, responseTime: Date.now() }, plan.caching),
      )
  }

  /** What resolves, if anything, is that all other workers know it too. */
  #invalidate(
    property: Property,
    plan: ServePlan,
    request: EdgeRequest,
    status: number,
    fields: Fields,
  ): Promise<void> | null {
    const keys: string[] = []
    const urls: string[] = []
    for (const target of invalidatedTargets(request.authority, request.target, status, fields)) {
      const other = target === request.target ? plan : property.plan({ ...request, method: 'GET', target, body: null })
      if (other.kind !== 'serve') continue
      keys.push(other.key)
      // Where fields are part of the key, the other ones under the same URL have changed as well.
      if (!other.keyIsPlain) urls.push(request.host + target)
    }
    const names = status < 200 || status >= 400 ? [] : invalidatedGroupsOf(fields)
    const groups = names.map((group) => ({ group, origin: request.host }))
    if (keys.length + urls.length + groups.length === 0) return null
    const invalidation = { keys, urls, groups }
    this.invalidate(invalidation)
    return this.#owners?.invalidate(invalidation) ?? null
  }

  /** In force when it returns, for fills under way as well. */
  invalidate({ keys, urls, groups }: Invalidation): void {
    for (const key of keys) {
      for (const fill of [...(this.#fills.get(key) ?? NO_FILLS)]) fill.doom()
      for (const object of this.store.find(key)) this.store.remove(object)
    }
    for (const url of urls) this.store.purge({ url })
    for (const group of groups) this.store.purge(group)
  }

  #recordPost(
    property: Property,
    plan: ServePlan,
    request: EdgeRequest,
    status: number,
    responseFields: Fields,
    bodyBytes: number | null,
    requestTime: number,
  ): Recording | null {
    const decision = storable(
      {
        method: 'POST',
        requestFields: request.fields,
        status,
        responseFields,
        bodyBytes,
        requestTime,
        responseTime: Date.now(),
        property: property.name,
        url: urlOf(request),
        target: request.target,
      },
      plan.caching,
    )
    return decision.store ? this.store.record(plan.key, decision.head) : null
  }

  // What fills ask of the flow.

  retry(exchange: Exchange, alone: boolean): void {
    exchange.looks += alone ? MAX_LOOKS + 1 : 1
    const property = this.#properties.find(exchange.request.host, exchange.request.scheme)
    if (property === null) {
      refuse(exchange, 421, { detail: 'no-property' })
      return
    }
    this.#look(exchange, property, exchange.plan!)
  }

  deliver(exchange: Exchange, object: StoredObject, ageSeconds: number, result: CacheResult, cache: CacheStatus): void {
    deliver(exchange, object, {
      ageSeconds,
      result,
      cache,
      broken: () => {
        this.store.remove(object)
        this.retry(exchange, false)
      },
    })
  }

  learned(key: string, shareable: boolean): void {
    if (shareable) this.#passes.forget(key)
    else this.#passes.remember(key, Date.now())
  }

  troubled(object: StoredObject, status: number | null): void {
    this.#troubles.set(object, { at: Date.now(), status })
  }

  storedPart(object: StoredObject): void {
    void combine(this.store, object)
  }

  unsliceable(key: string): void {
    this.#wholes.remember(keyOfSlice(key), Date.now())
  }

  closed(fill: Fill): void {
    const { key } = fill.question
    const fills = this.#fills.get(key)
    if (fills === undefined) return
    const left = fills.filter((other) => other !== fill)
    if (left.length === 0) this.#fills.delete(key)
    else this.#fills.set(key, left)
  }
}

function answerByPlan(exchange: Exchange, { status, fields, body }: AnswerPlan, detail: string): void {
  exchange.answer(status, fields, typeof body === 'string' ? Buffer.from(body) : body, 'answer', { detail })
}

type Servable = Verdict & { kind: 'fresh' | 'stale' }
interface Validation {
  readonly object: StoredObject
  readonly verdict: Verdict & { kind: 'validate' }
}

const NOTHING: readonly StoredObject[] = []
const NO_FILLS: readonly Fill[] = []
const NO_CODINGS: ServePlan['compression'] = []

/** Host and path, for purging by prefix. */
function urlOf(request: EdgeRequest): string {
  const query = request.target.indexOf('?')
  return request.host + (query < 0 ? request.target : request.target.slice(0, query))
}
