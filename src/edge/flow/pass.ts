/**
 * A request that goes to the origin for one client only: unsafe and unknown methods, HEAD, requests with a body. Bodies stream
 * both ways with back-pressure. Its answer may still change what is stored: an unsafe request invalidates (RFC 9111 §4.4),
 * a HEAD tells whether a stored GET is current (§4.3.5), a POST may say what a GET would (RFC 9110 §9.3.3).
 */
import type {
  Fields,
  OriginExchange,
  OriginFault,
  OriginListener,
  OriginRequest,
  Recording,
  ServePlan,
} from '../message.ts'
import type { CacheStatus } from '../policy/cache-status.ts'
import type { Exchange } from './exchange.ts'
import { refuse, statusOf } from './refusals.ts'

export interface PassHooks {
  /** The head is there; may begin to record the answer. */
  answered(status: number, fields: Fields, bodyBytes: number | null): Recording | null
}

export class Pass implements OriginListener {
  readonly #exchange: Exchange
  readonly #hooks: PassHooks
  readonly #cache: CacheStatus
  #origin: OriginExchange | null = null
  #recording: Recording | null = null

  constructor(exchange: Exchange, cache: CacheStatus, hooks: PassHooks) {
    this.#exchange = exchange
    this.#cache = cache
    this.#hooks = hooks
  }

  start(plan: ServePlan, request: OriginRequest): void {
    this.#exchange.onOver(() => {
      this.#origin?.abort()
      this.#forget()
    })
    this.#origin = plan.pool.request(request, this)
    if (this.#exchange.over) this.#origin.abort()
  }

  informational(status: number, fields: Fields): void {
    this.#exchange.reply.informational(status, fields)
  }

  head(status: number, fields: Fields, bodyBytes: number | null): void {
    this.#recording = this.#hooks.answered(status, fields, bodyBytes)
    const cache = this.#recording === null ? this.#cache : { ...this.#cache, stored: true }
    this.#exchange.head(status, fields, bodyBytes, 'pass', cache)
  }

  data(chunk: Buffer): void {
    if (this.#recording !== null && !this.#recording.write(chunk)) this.#forget()
    if (!this.#exchange.write(chunk)) {
      this.#origin?.pause()
      this.#exchange.whenReady(() => this.#origin?.resume())
    }
  }

  end(): void {
    this.#recording?.commit()
    this.#recording?.close()
    this.#recording = null
    this.#origin = null
    this.#exchange.end()
  }

  fail(fault: OriginFault): void {
    this.#forget()
    this.#origin = null
    if (this.#exchange.headSent) this.#exchange.abort()
    else refuse(this.#exchange, statusOf(fault), { ...this.#cache, detail: fault.phase })
  }

  #forget(): void {
    this.#recording?.abort()
    this.#recording?.close()
    this.#recording = null
  }
}
