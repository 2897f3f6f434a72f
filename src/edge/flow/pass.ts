/**
 * A request that goes to the origin for one client only: unsafe and unknown methods, HEAD, requests with a body. Bodies stream
 * both ways with back-pressure. Its answer may still change what is stored: an unsafe request invalidates (RFC 9111 §4.4),
 * a HEAD tells whether a stored GET is current (§4.3.5), a POST may say what a GET would (RFC 9110 §9.3.3).
 */
import type {
  CacheResult,
  Fields,
  OriginExchange,
  OriginFault,
  OriginListener,
  OriginPool,
  OriginRequest,
  Recording,
} from '../message.ts'
import type { CacheStatus } from '../policy/cache-status.ts'
import type { Exchange } from './exchange.ts'
import { refuse, statusOf } from './refusals.ts'

export interface PassHooks {
  /** The head is there; may begin to record the answer. */
  answered(status: number, fields: Fields, bodyBytes: number | null): Recording | null
  /** Asked after `answered`: the client hears nothing before this is done. */
  settled?(): Promise<void> | null
}

export class Pass implements OriginListener {
  readonly #exchange: Exchange
  readonly #hooks: PassHooks
  readonly #cache: CacheStatus
  #origin: OriginExchange | null = null
  #recording: Recording | null = null
  #relayed: { result: CacheResult; written: string } | null = null
  /** What came while the client may not hear of it yet: no more than one read. */
  #held: (() => void)[] | null = null

  constructor(exchange: Exchange, cache: CacheStatus, hooks: PassHooks) {
    this.#exchange = exchange
    this.#cache = cache
    this.#hooks = hooks
  }

  start(pool: OriginPool, request: OriginRequest): void {
    this.#exchange.onOver(() => {
      this.#origin?.abort()
      this.#forget()
    })
    this.#origin = pool.request(request, this)
    if (this.#exchange.over) this.#origin.abort()
  }

  informational(status: number, fields: Fields): void {
    this.#exchange.reply.informational(status, fields)
  }

  relayed(result: CacheResult, written: string): void {
    this.#relayed = { result, written }
  }

  head(status: number, fields: Fields, bodyBytes: number | null): void {
    this.#recording = this.#hooks.answered(status, fields, bodyBytes)
    const cache = this.#relayed ?? (this.#recording === null ? this.#cache : { ...this.#cache, stored: true })
    const go = () => this.#exchange.head(status, fields, bodyBytes, this.#relayed?.result ?? 'pass', cache)
    const settled = this.#hooks.settled?.() ?? null
    if (settled === null) {
      go()
      return
    }
    this.#held = [go]
    this.#origin?.pause()
    const release = () => {
      const held = this.#held!
      this.#held = null
      this.#origin?.resume()
      for (const each of held) each()
    }
    settled.then(release, release)
  }

  #isHeld(what: () => void): boolean {
    this.#held?.push(what)
    return this.#held !== null
  }

  data(chunk: Buffer): void {
    if (this.#isHeld(() => this.data(chunk))) return
    if (this.#recording !== null && !this.#recording.write(chunk)) this.#forget()
    if (!this.#exchange.write(chunk)) {
      this.#origin?.pause()
      this.#exchange.whenReady(() => this.#origin?.resume())
    }
  }

  end(): void {
    if (this.#isHeld(() => this.end())) return
    this.#recording?.commit()
    this.#recording?.close()
    this.#recording = null
    this.#origin = null
    this.#exchange.end()
  }

  fail(fault: OriginFault): void {
    if (this.#isHeld(() => this.fail(fault))) return
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
