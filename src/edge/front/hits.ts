/**
 * Finds what may be sent without looking at more than host, target, Accept-Encoding, If-None-Match and Range. It decides
 * nothing by itself: the property's plan, `select`, `judge` and `answerFor` are asked with a request that has only those,
 * and their verdict is remembered beside the stored response until that, its variants or its property change.
 */
import { formatHttpDate } from '../http/dates.ts'
import { applyChanges, combinedValue, firstValue, hasField, without } from '../http/fields.ts'
import type { EdgeRequest, Fields, Properties, Property, Store, StoredHead, StoredObject } from '../message.ts'
import { type Answer, answerFor } from '../policy/answer.ts'
import { formatCacheStatus } from '../policy/cache-status.ts'
import { judge, select } from '../policy/judge.ts'
import { nominatedBy } from '../policy/vary.ts'
import type { Sight } from '../sight/sight.ts'
import type { Hits } from './fast.ts'
import { Prepared } from './prepared.ts'
import { isSafe } from './socket-reply.ts'

/** Spellings of Accept-Encoding remembered for one key; more of them are for the flow. */
const ENCODINGS_MAX = 16

/** Fields that are rendered for each second or each range, so that a property may not touch them on the fast way. */
const CLOCKED = new Set(['age', 'cache-status', 'content-range'])

/** What was found out about the stored responses of one key. Lies in `prepared` of the newest of them. */
export class Choice {
  /** As of the last time it was found to hold: the purges that were seen, and the configuration in force. */
  purges = -1
  configuration: unknown = null
  readonly newest: StoredObject
  readonly objects: readonly StoredObject[]
  readonly property: Property
  /** Null: Vary asks for more than the scanner reads. */
  readonly byEncoding: Map<string, Prepared | null> | null
  constructor(objects: readonly StoredObject[], property: Property) {
    this.objects = objects
    this.newest = objects[0]!
    this.property = property
    this.byEncoding = objects.every(({ head }) => variesByEncodingAtMost(head)) ? new Map() : null
  }
}

function variesByEncodingAtMost(head: StoredHead): boolean {
  const nominated = nominatedBy(head)
  return nominated !== '*' && nominated.every((name) => name === 'accept-encoding')
}

export interface PreparedHitsOptions {
  /** Asked for each request, so that a reload is seen at once. */
  properties: () => Properties
  store: Store
  /** Another one after each reload; left out: there are none. */
  configuration?: () => unknown
  /** The name of this cache in Cache-Status. */
  cacheName: string
  /** Null: nobody looks. */
  sight?: Sight | null
}

export class PreparedHits implements Hits {
  readonly #options: PreparedHitsOptions
  readonly #configuration: () => unknown

  constructor(options: PreparedHitsOptions) {
    this.#options = options
    this.#configuration = options.configuration ?? (() => null)
  }

  again(prepared: Prepared, now: number): boolean {
    const { object, choice } = prepared
    return (
      prepared.freshUntil > now &&
      // The store takes what is prepared from all responses of a key when one of them comes, goes or changes.
      choice !== null &&
      choice.newest.prepared === choice &&
      choice.purges === this.#options.store.purgeCount &&
      choice.configuration === this.#configuration() &&
      prepared.madeFrom === object.head &&
      object.softPurgedAt === null
    )
  }

  find(authority: string, target: string, encoding: string, encrypted: boolean, now: number): Prepared | null {
    const colon = authority.indexOf(':')
    const host = colon < 0 ? authority : authority.slice(0, colon)
    const property = this.#options.properties().find(host, encrypted ? 'https' : 'http')
    const key = property === null ? null : property.plainKey(target)
    if (key === null) return null
    const objects = this.#options.store.find(key)
    if (objects.length === 0) return null
    const newest = objects[0]!
    let choice = newest.prepared as Choice | null
    if (choice === null || choice.objects !== objects || choice.property !== property) {
      choice = new Choice(objects, property!)
      newest.prepared = choice
    }
    if (choice.byEncoding === null) return null
    choice.purges = this.#options.store.purgeCount
    choice.configuration = this.#configuration()
    let prepared = choice.byEncoding.get(encoding)
    if (prepared === undefined || (prepared !== null && prepared.madeFrom !== prepared.object.head)) {
      if (choice.byEncoding.size >= ENCODINGS_MAX) return null
      prepared = this.#prepare(choice, { authority, host, target, encoding, encrypted }, now)
      choice.byEncoding.set(encoding, prepared)
    }
    if (prepared === null || prepared.freshUntil <= now || prepared.object.softPurgedAt !== null) return null
    return prepared
  }

  sent(prepared: Prepared, status: number, answerBytes: number, requestBytes: number): boolean {
    this.#options.store.use(prepared.object)
    const { sight } = this.#options
    if (!sight) return false
    prepared.account ??= sight.account(prepared.madeFrom.property)
    prepared.account.add(status, 'hit', requestBytes, answerBytes)
    return sight.wantsLine()
  }

  tell(prepared: Prepared, request: EdgeRequest, status: number, bodyBytes: number): void {
    this.#options.sight!.line({
      request,
      property: prepared.madeFrom.property,
      status,
      result: 'hit',
      bodyBytesSent: bodyBytes,
      headBytesSent: 0,
      headMs: 0,
      totalMs: 0,
      complete: true,
    })
  }

  #prepare(
    choice: Choice,
    asked: { authority: string; host: string; target: string; encoding: string; encrypted: boolean },
    now: number,
  ): Prepared | null {
    const fields = ['host', asked.authority]
    if (asked.encoding !== '') fields.push('accept-encoding', asked.encoding)
    const request: EdgeRequest = {
      method: 'GET',
      scheme: asked.encrypted ? 'https' : 'http',
      host: asked.host,
      authority: asked.authority,
      target: asked.target,
      version: '1.1',
      fields,
      client: { address: '', port: 0 },
      receivedAt: now,
      body: null,
    }
    const plan = choice.property.plan(request)
    if (plan.kind !== 'serve' || !plan.caching.enabled || !plan.keyIsPlain) return null
    const object = select(choice.objects, request).chosen
    if (object === null || object.body === null || object.head.bodyBytes !== object.body.length) return null
    const verdict = judge(object, fields, now, plan.caching)
    if (verdict.kind !== 'fresh') return null
    // What changes with the clock is left to `Prepared`; a property that touches it is served by the flow.
    if (plan.responseChanges.some(({ name }) => CLOCKED.has(name))) return null
    const whole = answerFor(object.head, request, null)
    if (whole.body !== 'all' || whole.bodyBytes === null || !isSafe(object.head.fields)) return null
    const notModified = answerFor(object.head, { ...request, fields: [...fields, 'if-none-match', '*'] }, null)
    const partial = answerFor(object.head, { ...request, fields: [...fields, 'range', 'bytes=0-0'] }, null)
    const finished = (answer: Answer): Fields => {
      const own = without(answer.fields, ['cache-status', 'content-range'])
      const all = applyChanges(own, plan.responseChanges)
      return hasField(all, 'date') ? all : [...all, 'date', formatHttpDate(now)]
    }
    const inner = combinedValue(object.head.fields, 'cache-status')
    return new Prepared({
      choice,
      object,
      body: object.body,
      status: whole.status,
      fields: finished(whole),
      notModifiedFields: finished(notModified),
      partialFields: partial.status === 206 ? finished(partial) : null,
      etag: firstValue(object.head.fields, 'etag'),
      bornAt: object.head.responseTime - object.head.correctedInitialAgeSeconds * 1_000,
      freshUntil: now + verdict.ttlSeconds * 1_000,
      cacheStatus: (ttlSeconds) => {
        const own = formatCacheStatus(this.#options.cacheName, { hit: true, ttlSeconds })
        return inner === null ? own : `${inner}, ${own}`
      },
    })
  }
}
