/**
 * One request from its arrival to the last byte of its answer: what was asked, by which plan it is served, and what went out.
 * Every answer passes here, so that every one carries Cache-Status and is counted once.
 */
import { formatHttpDate } from '../http/dates.ts'
import { applyChanges, hasField, sectionBytes } from '../http/fields.ts'
import type { CacheResult, EdgeRequest, Fields, Finished, Reply, ServePlan } from '../message.ts'
import { type CacheStatus, formatCacheStatus, withCacheStatus } from '../policy/cache-status.ts'
import { INSIDE } from './inside.ts'

/** Status line, framing and blank line, near enough. */
const STATUS_LINE_BYTES = 40

/** What an edge says of itself, and who listens to what it did. */
export interface Identity {
  /** In Cache-Status, Via and CDN-Loop. */
  readonly name: string
  readonly finished: ((finished: Finished) => void) | null
}

export class Exchange {
  /** As the client sent it, Accept-Encoding aside where the edge compresses. */
  request: EdgeRequest
  readonly reply: Reply
  readonly identity: Identity
  property: string | null = null
  plan: ServePlan | null = null
  result: CacheResult = 'error'
  /** Names that Vary is known to nominate under this key; only requests equal in them may wait for one fill. */
  nominated: readonly string[] | null = null
  /** It asks for one block of an object on behalf of another request. */
  isSlice = false
  /** How often it was looked up. */
  looks = 0
  #status = 0
  #bodyBytesSent = 0
  #headBytesSent = 0
  #headAt = 0
  #ended = false
  #over = false
  #onOver: (() => void) | null = null
  #onReady: (() => void) | null = null

  constructor(request: EdgeRequest, reply: Reply, identity: Identity) {
    this.request = request
    this.reply = reply
    this.identity = identity
    reply.onClose(() => this.#close())
  }

  get headSent(): boolean {
    return this.#status !== 0
  }

  /** Called once when the reader is gone or has everything; null takes it back. */
  onOver(callback: (() => void) | null): void {
    this.#onOver = callback
    if (this.#over && callback !== null) callback()
  }

  /** After `write` returned false: called once when the reader takes more, or is gone. */
  whenReady(callback: () => void): void {
    if (this.#over) {
      callback()
      return
    }
    this.#onReady = callback
    this.reply.onDrain(() => this.#ready())
  }

  #ready(): void {
    const callback = this.#onReady
    this.#onReady = null
    callback?.()
  }

  get over(): boolean {
    return this.#over
  }

  head(status: number, fields: Fields, bodyBytes: number | null, result: CacheResult, cache: CacheStatus): void {
    this.result = result
    this.#status = status
    this.#headAt = Date.now()
    if (this.request.inside) {
      const told = [INSIDE.result, result, INSIDE.cacheStatus, formatCacheStatus(this.identity.name, cache)]
      this.reply.head(status, [...fields, ...told], bodyBytes)
      return
    }
    let all: Fields = withCacheStatus(fields, this.identity.name, cache)
    if (this.plan !== null && this.plan.responseChanges.length > 0) all = applyChanges(all, this.plan.responseChanges)
    if (!hasField(all, 'date')) all = [...all, 'date', formatHttpDate(this.#headAt)]
    this.#headBytesSent = STATUS_LINE_BYTES + sectionBytes(all)
    this.reply.head(status, all, bodyBytes)
  }

  /** False: wait for `reply.onDrain`. */
  write(chunk: Uint8Array): boolean {
    this.#bodyBytesSent += chunk.length
    return this.reply.write(chunk)
  }

  end(): void {
    this.#ended = true
    this.reply.end()
  }

  /** The answer cannot be finished; the reader sees that it is incomplete. */
  abort(): void {
    this.reply.abort()
  }

  /** A whole small answer of the edge's own. */
  answer(status: number, fields: Fields, body: Uint8Array, result: CacheResult, cache: CacheStatus): void {
    const bodyless = status === 204 || status === 304
    this.head(status, fields, bodyless ? null : body.length, result, cache)
    if (!bodyless && this.request.method !== 'HEAD' && body.length > 0) this.write(body)
    this.end()
  }

  #close(): void {
    if (this.#over) return
    this.#over = true
    this.#ready()
    this.#onOver?.()
    this.#onOver = null
    if (this.request.inside) return
    this.identity.finished?.({
      request: this.request,
      property: this.property,
      status: this.#status,
      result: this.result,
      bodyBytesSent: this.#bodyBytesSent,
      headBytesSent: this.#headBytesSent,
      headMs: this.#headAt === 0 ? 0 : this.#headAt - this.request.receivedAt,
      totalMs: Date.now() - this.request.receivedAt,
      complete: this.#ended,
    })
  }
}
