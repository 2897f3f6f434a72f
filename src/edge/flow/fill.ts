/**
 * One fill, many readers: a single request to an origin whose answer is stored while everyone who waits for it reads along.
 *
 *     asked ──head──▶ streaming ──end──▶ done          readers wait, then follow the bytes as they arrive
 *       │  └─304───▶ validated                         readers get the stored object
 *       └──fail────▶ stale or refused
 *
 * Invariants: a reader that stalls or leaves costs the others nothing while the answer is being stored; memory is bounded by
 * WINDOW_BYTES a fill; the origin is slowed down only when nobody can take more and nothing is stored.
 */
import { combinedValue, firstValue, hasField } from '../http/fields.ts'
import type {
  CacheResult,
  Fields,
  OriginExchange,
  OriginFault,
  OriginListener,
  Recording,
  ServePlan,
  Store,
  StoredHead,
  StoredObject,
} from '../message.ts'
import { answerFor } from '../policy/answer.ts'
import type { CacheStatus, ForwardReason } from '../policy/cache-status.ts'
import { validates } from '../policy/conditions.ts'
import { freshened } from '../policy/freshen.ts'
import { judge, type Verdict } from '../policy/judge.ts'
import { type Exchange as Answered, storable } from '../policy/storable.ts'
import { namesOf, normalValue, varyMatches } from '../policy/vary.ts'
import { Coder, chosenCoding, codedFields, isCompressible, varyingByCoding } from './coding.ts'
import type { Exchange } from './exchange.ts'
import { Reader } from './reader.ts'
import { refuse, statusOf } from './refusals.ts'
import { Window } from './window.ts'

/** Bytes of a body kept in memory for readers besides what the store holds. */
export const WINDOW_BYTES = 256 * 1024
/** Why an origin is held back: bits. */
const HELD = { readers: 1, disk: 2, coder: 4 }
/** A range that begins this far beyond what has arrived is not waited for. */
const RANGE_AHEAD_BYTES = 1024 * 1024

/** What a fill needs of the flow around it. */
export interface Surroundings {
  readonly store: Store
  /** This exchange cannot be served by this fill: look again. `alone`: do not wait for others. */
  retry(exchange: Exchange, alone: boolean): void
  /** Sends a stored object to a reader. */
  deliver(exchange: Exchange, object: StoredObject, ageSeconds: number, result: CacheResult, cache: CacheStatus): void
  /** The answer could not be shared, or could. */
  learned(key: string, shareable: boolean): void
  /** It could not be validated: the origin was away (null), or in error. */
  troubled(object: StoredObject, status: number | null): void
  /** A 206 has been stored. */
  storedPart(object: StoredObject): void
  /** The origin answered a request for a block with the whole object. */
  unsliceable(key: string): void
  /** It takes no more readers. */
  closed(fill: Fill): void
}

export interface Question {
  readonly key: string
  readonly plan: ServePlan
  readonly property: string
  readonly url: string
  /** As they go to the origin. */
  readonly fields: Fields
  readonly target: string
  /** Others may wait for the answer. */
  readonly shared: boolean
  readonly validates: {
    readonly object: StoredObject
    readonly verdict: Verdict & { kind: 'validate' | 'stale' }
  } | null
  readonly reason: ForwardReason
  /** Range of the request, if it was sent on. */
  readonly range: string | null
  /** The client's fields of the request that began it (Range only if it was sent on): what Vary and others are compared with. */
  readonly requestFields: Fields
  /** It asks for one block of an object. */
  readonly isSlice: boolean
}

type Stage = 'asked' | 'streaming' | 'done'

export class Fill implements OriginListener {
  readonly question: Question
  readonly #around: Surroundings
  /** Purges so far: a request that comes after another purge must not get what was asked for before it. */
  readonly #purges: number
  #stage: Stage = 'asked'
  #waiting: Exchange[] = []
  #readers: Reader[] = []
  #origin: OriginExchange | null = null
  /** Why the origin is held back; empty: it is not. */
  #holds = 0
  #coder: Coder | null = null
  readonly #window = new Window()
  #recording: Recording | null = null
  #keeping = false
  /** What is being stored; null when the answer is nobody else's. */
  #head: StoredHead | null = null
  #requestTime = 0
  #doomed = false
  /** Another worker of this edge answers: what it did, and how it tells of it. */
  #relayed: { result: CacheResult; written: string } | null = null
  readonly #progress = () => this.#pump()

  constructor(question: Question, around: Surroundings) {
    this.question = question
    this.#around = around
    this.#purges = around.store.purgeCount
  }

  /** Asks the origin. Readers are added before. */
  start(): void {
    this.#requestTime = Date.now()
    const { plan, fields, target, key } = this.question
    this.#origin = plan.pool.request({ method: 'GET', target, fields, body: null, bodyBytes: null, key }, this)
  }

  /** Could this exchange be served by this fill, as far as one can tell now? */
  takes(exchange: Exchange): boolean {
    const { question } = this
    if (!question.shared || this.#doomed || this.#stage === 'done') return false
    if (this.#around.store.purgeCount !== this.#purges) return false
    const { fields, method } = exchange.request
    const range = method === 'GET' ? firstValue(fields, 'range') : null
    if (question.range !== null && range !== question.range) return false
    if (this.#stage === 'asked') {
      const names = exchange.nominated
      return (
        names === null || names.every((name) => normalValue(fields, name) === normalValue(question.requestFields, name))
      )
    }
    if (this.#head === null || !this.#keeping || !varyMatches(this.#head, fields)) return false
    const verdict = judge({ head: this.#head, softPurgedAt: null }, fields, Date.now(), question.plan.caching)
    if (verdict.kind !== 'fresh') return false
    const answer = answerFor(this.#head, exchange.request, 0)
    return (
      answer.body === 'none' || answer.body === 'all' || answer.body[0]!.first <= this.#window.end + RANGE_AHEAD_BYTES
    )
  }

  add(exchange: Exchange): void {
    if (this.#stage === 'asked') {
      this.#waiting.push(exchange)
      exchange.onOver(() => this.#left())
    } else this.#follow(exchange, this.#head!, true)
  }

  /** An unsafe request changed what this would store: it still serves those who wait, and is then forgotten. */
  doom(): void {
    this.#doomed = true
    this.#drop()
    this.#around.closed(this)
  }

  informational(status: number, fields: Fields): void {
    for (const exchange of this.#waiting) if (!exchange.over) exchange.reply.informational(status, fields)
  }

  relayed(result: CacheResult, written: string): void {
    this.#relayed = { result, written }
  }

  head(status: number, originFields: Fields, originBytes: number | null): void {
    const { question } = this
    const now = Date.now()
    let fields = originFields
    let bodyBytes = originBytes
    const validating = question.validates
    if (validating !== null && status === 304) {
      this.#validated(fields, now)
      return
    }
    if (
      validating !== null &&
      validating.verdict.kind === 'validate' &&
      validating.verdict.ifServerError &&
      isServerError(status)
    ) {
      this.#origin?.abort()
      this.#serveStale(status)
      return
    }
    const { compression } = question.plan
    if (compression.length > 0 && isCompressible(status, fields, bodyBytes)) {
      const coding = chosenCoding(combinedValue(question.requestFields, 'accept-encoding'), compression)
      if (coding === null) fields = varyingByCoding(fields)
      else {
        fields = codedFields(fields, coding)
        this.#coder = new Coder(
          coding,
          bodyBytes,
          (chunk) => this.#take(chunk),
          () => this.#finish(),
        )
        bodyBytes = null
      }
    }
    const answered: Answered = {
      method: 'GET',
      requestFields: question.requestFields,
      status,
      responseFields: fields,
      bodyBytes,
      requestTime: this.#requestTime,
      responseTime: now,
      property: question.property,
      url: question.url,
      target: question.target,
    }
    // The whole must not be stored as a block.
    const isWhole = question.isSlice && status === 200
    if (isWhole) this.#around.unsliceable(question.key)
    const decision = storable(answered, isWhole ? { ...question.plan.caching, enabled: false } : question.plan.caching)
    this.#stage = 'streaming'
    const store = decision.store && !this.#doomed
    if (store) {
      this.#head = decision.head
      this.#recording = this.#around.store.record(question.key, decision.head)
      this.#keeping = true
    } else this.#around.closed(this)
    const shareable =
      decision.store &&
      judge({ head: decision.head, softPurgedAt: null }, [], now, question.plan.caching).kind === 'fresh'
    // Stale by leave of the worker that answers: that says nothing against sharing.
    const isStale = this.#relayed?.result === 'stale'
    if (shareable || !(isStale || hasField(question.requestFields, 'authorization')))
      this.#around.learned(question.key, shareable)
    const isForAll = shareable || (isStale && !question.plan.caching.obeyRequestDirectives)

    const waiting = this.#waiting
    this.#waiting = []
    const own: StoredHead = decision.store
      ? { ...decision.head, fields }
      : passing(answered, status === 206 ? question.range : null)
    waiting.forEach((exchange, index) => {
      if (exchange.over) return
      if (index === 0) this.#follow(exchange, own, false, status, decision.store ? undefined : decision.reason)
      else if (store && isForAll && varyMatches(decision.head, exchange.request.fields))
        this.#follow(exchange, decision.head, true)
      else {
        exchange.onOver(null)
        if (decision.store) exchange.nominated = namesOf(decision.head)
        this.#around.retry(exchange, !shareable)
      }
    })
  }

  data(chunk: Buffer): void {
    if (this.#coder === null) this.#take(chunk)
    else if (!this.#coder.write(chunk)) {
      this.#hold(HELD.coder)
      this.#coder.whenReady(() => this.#release(HELD.coder))
    }
  }

  end(): void {
    if (this.#coder === null) this.#finish()
    else this.#coder.end()
  }

  #take(chunk: Buffer): void {
    if (this.#stage !== 'streaming') return
    if (this.#keeping && !this.#recording!.write(chunk)) this.#drop()
    this.#window.push(chunk)
    if (this.#keeping && this.#recording!.saturated) this.#holdForDisk()
    this.#pump()
  }

  #finish(): void {
    if (this.#stage !== 'streaming') return
    this.#stage = 'done'
    this.#coder = null
    if (this.#keeping) {
      const object = this.#recording!.commit()
      if (object !== null && object.head.range !== null) this.#around.storedPart(object)
    }
    this.#keeping = false
    this.#around.closed(this)
    this.#pump()
  }

  fail(fault: OriginFault): void {
    if (this.#stage === 'done') return
    const asked = this.#stage === 'asked'
    this.#stage = 'done'
    this.#around.closed(this)
    if (!asked) {
      this.#coder?.destroy()
      this.#drop()
      for (const reader of this.#readers) reader.cutOff()
      this.#readers = []
      this.#closeRecording()
      return
    }
    const validating = this.question.validates
    if (validating?.verdict.kind === 'validate' && validating.verdict.ifUnreachable) {
      this.#serveStale(null)
      return
    }
    const waiting = this.#waiting
    this.#waiting = []
    // must-revalidate and an origin that cannot be reached: 504 (RFC 9111 §5.2.2.2).
    const status = validating === null ? statusOf(fault) : 504
    for (const exchange of waiting)
      if (!exchange.over) refuse(exchange, status, { forward: this.question.reason, detail: fault.phase })
  }

  /** 304: the stored response is good again (RFC 9111 §4.3.4). */
  #validated(fields: Fields, now: number): void {
    const { object } = this.question.validates!
    this.#stage = 'done'
    this.#around.closed(this)
    const waiting = this.#waiting
    this.#waiting = []
    if (!validates(fields, object.head)) {
      // It speaks of another representation, so what is stored is of no use.
      this.#around.store.remove(object)
      for (const exchange of waiting) this.#retryLater(exchange)
      return
    }
    const head = freshened(
      object.head,
      {
        fields: isCoded(object.head, this.question.plan) ? codedFields(fields, null) : fields,
        requestTime: this.#requestTime,
        responseTime: now,
      },
      this.question.plan.caching,
    )
    this.#around.store.freshen(object, head)
    this.#around.learned(this.question.key, true)
    waiting.forEach((exchange, index) => {
      if (exchange.over) return
      exchange.onOver(null)
      if (index > 0 && !varyMatches(head, exchange.request.fields)) this.#around.retry(exchange, false)
      else
        this.#around.deliver(
          exchange,
          object,
          head.correctedInitialAgeSeconds,
          this.#relayed?.result ?? 'revalidated',
          this.#relayed ?? {
            forward: this.question.reason,
            forwardStatus: 304,
            ttlSeconds: head.lifetimeSeconds - head.correctedInitialAgeSeconds,
            ...(index > 0 && { collapsed: true }),
          },
        )
    })
  }

  #retryLater(exchange: Exchange): void {
    if (exchange.over) return
    exchange.onOver(null)
    this.#around.retry(exchange, false)
  }

  /** The origin is away (`status` null) or answered with an error that the stored response may hide. */
  #serveStale(status: number | null): void {
    const { object, verdict } = this.question.validates!
    this.#stage = 'done'
    this.#around.closed(this)
    this.#around.troubled(object, status)
    const waiting = this.#waiting
    this.#waiting = []
    const cache: CacheStatus = {
      forward: this.question.reason,
      ...(status !== null && { forwardStatus: status }),
      ttlSeconds: verdict.ttlSeconds,
      detail: status === null ? 'origin-unreachable' : 'origin-error',
    }
    waiting.forEach((exchange, index) => {
      if (exchange.over) return
      exchange.onOver(null)
      if (index > 0 && !varyMatches(object.head, exchange.request.fields)) this.#around.retry(exchange, true)
      else this.#around.deliver(exchange, object, verdict.ageSeconds, 'stale', cache)
    })
  }

  #follow(exchange: Exchange, head: StoredHead, joined: boolean, status?: number, refusedFor?: string): void {
    const ageSeconds = joined
      ? Math.max(0, (Date.now() - head.responseTime) / 1000) + head.correctedInitialAgeSeconds
      : null
    const answer = answerFor(head, exchange.request, ageSeconds)
    exchange.onOver(() => this.#left())
    const kept = this.#keeping
    const relayed = joined ? null : this.#relayed
    const result = joined ? 'collapsed' : (relayed?.result ?? (kept ? 'miss' : 'pass'))
    exchange.head(
      answer.status,
      answer.fields,
      answer.bodyBytes,
      result,
      relayed ?? {
        forward: this.question.reason,
        ...(status !== undefined && status !== answer.status && { forwardStatus: status }),
        ...(kept && { stored: true }),
        ...(joined && { collapsed: true }),
        ...(refusedFor !== undefined && { detail: refusedFor }),
      },
    )
    const reader = new Reader(exchange, answer)
    if (reader.finished) return
    this.#readers.push(reader)
    reader.pump(this.#window, this.#recording, this.#stage === 'done', this.#progress)
  }

  #pump(): void {
    const ended = this.#stage === 'done'
    let oldest = this.#window.end
    let anyReady = false
    let someFinished = false
    for (const reader of this.#readers) {
      reader.pump(this.#window, this.#recording, ended, this.#progress)
      if (reader.finished) someFinished = true
      else {
        if (reader.position < oldest) oldest = reader.position
        if (!reader.slow) anyReady = true
      }
    }
    if (someFinished) this.#readers = this.#readers.filter((reader) => !reader.finished)
    this.#window.dropBefore(oldest)
    if (ended) {
      if (this.#readers.length === 0) this.#closeRecording()
      return
    }
    if (this.#keeping) this.#window.shrinkTo(WINDOW_BYTES)
    else if (this.#window.sizeBytes > WINDOW_BYTES) {
      // Not stored: the slowest sets the pace, unless others could go on; then it is cut off rather than hold them up.
      if (anyReady) this.#window.shrinkTo(WINDOW_BYTES)
      else this.#hold(HELD.readers)
    }
    if (this.#keeping || this.#window.sizeBytes <= WINDOW_BYTES / 2) this.#release(HELD.readers)
    this.#left()
  }

  #hold(reason: number): void {
    if (this.#holds === 0) this.#origin?.pause()
    this.#holds |= reason
  }

  #release(reason: number): void {
    if ((this.#holds & reason) === 0) return
    this.#holds &= ~reason
    if (this.#holds === 0) this.#origin?.resume()
  }

  /** The origin is faster than the disk: let it wait, or what is stored would have to be given up. */
  #holdForDisk(): void {
    if ((this.#holds & HELD.disk) !== 0) return
    this.#hold(HELD.disk)
    this.#recording!.onEased(() => this.#release(HELD.disk))
  }

  /** A reader is gone. Nobody left and nothing to store: the origin need not go on. */
  #left(): void {
    if (this.#stage === 'done' || this.#keeping) return
    if (this.#stage === 'asked') {
      // A fill that may be stored goes on for those to come; one for a single client ends with it.
      if (this.question.shared || this.#waiting.some((exchange) => !exchange.over)) return
    } else if (this.#readers.some((reader) => !reader.finished && !reader.exchange.over)) return
    this.#stage = 'done'
    this.#around.closed(this)
    this.#origin?.abort()
    this.#coder?.destroy()
    this.#closeRecording()
  }

  /** Not to be stored any longer; readers behind the window that need the recording are cut off when they find it gone. */
  #drop(): void {
    if (!this.#keeping) return
    this.#keeping = false
    this.#recording!.abort()
    this.#around.closed(this)
  }

  #closeRecording(): void {
    this.#recording?.close()
    this.#recording = null
  }
}

const isServerError = (status: number) => status === 500 || status === 502 || status === 503 || status === 504

/** The head of an answer that is not stored, in the form that `answerFor` reads. */
function passing(answered: Answered, range: string | null): StoredHead {
  return {
    status: answered.status,
    fields: answered.responseFields,
    requestMethod: answered.method,
    vary: range === null ? [] : ['range', range],
    requestTime: answered.requestTime,
    responseTime: answered.responseTime,
    correctedInitialAgeSeconds: 0,
    lifetimeSeconds: 0,
    bodyBytes: answered.bodyBytes,
    range: null,
    tags: [],
    groups: [],
    property: answered.property,
    url: answered.url,
  }
}

/** The edge itself compressed it: the property lets it, and the tag says that the bytes are not the origin's. */
const isCoded = ({ fields }: StoredHead, plan: ServePlan) =>
  plan.compression.length > 0 && hasField(fields, 'content-encoding') && !firstValue(fields, 'etag')?.startsWith('"')
