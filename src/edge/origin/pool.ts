/**
 * A pool of origin servers: chooses one, and where that fails before anything of an answer is there, the next, as long as the
 * request is safe to send again (RFC 9110 §9.2.2). Health comes from requests (each server's own count) and from checks.
 */
import type {
  Fields,
  OriginExchange,
  OriginFault,
  OriginListener,
  OriginPool,
  OriginRequest,
  TunnelListener,
} from '../message.ts'
import { rendezvous, Spread } from './choice.ts'
import type { CallListener } from './connection.ts'
import { type HealthCheck, HealthChecks } from './health.ts'
import { IDEMPOTENT, OriginServer, type ServerLimits, type ServerOptions, type Slot } from './server.ts'
import { openTunnel } from './tunnel.ts'

export interface PoolOptions {
  readonly name: string
  readonly servers: readonly ServerOptions[]
  /** `spread`: by weight. `hash`: by cache key, for parents and siblings. */
  readonly choose: 'spread' | 'hash'
  /** Servers tried for one request. */
  readonly attempts: number
  readonly limits: ServerLimits
  readonly check: HealthCheck | null
}

/** A server with the name and weight that choices go by. */
interface Member {
  readonly name: string
  readonly weight: number
  readonly server: OriginServer
}

export class Pool implements OriginPool {
  readonly name: string
  readonly #options: PoolOptions
  readonly #members: readonly Member[]
  readonly #spread = new Spread<Member>()
  readonly #checks: HealthChecks | null

  constructor(options: PoolOptions) {
    this.name = options.name
    this.#options = options
    this.#members = options.servers.map((one) => {
      const server = new OriginServer(one, options.limits)
      return { name: server.label, weight: one.weight, server }
    })
    this.#checks = options.check === null ? null : new HealthChecks(options.check, this.servers)
  }

  get servers(): readonly OriginServer[] {
    return this.#members.map(({ server }) => server)
  }

  request(request: OriginRequest, listener: OriginListener): OriginExchange {
    const attempt = new Attempts(this, request, listener, this.#options.attempts)
    attempt.next()
    return attempt
  }

  tunnel(request: OriginRequest, listener: TunnelListener): void {
    const server = this.choose(request.key, [])
    if (server === null) throw new Error('a pool has at least one server')
    openTunnel(server, request, listener)
  }

  close(): void {
    this.#checks?.close()
    for (const { server } of this.#members) server.close()
  }

  /**
   * The next server to try: a healthy one, else a healthy backup, else any at all, since a wrong verdict must not take a
   * property down. Null: all were tried.
   */
  choose(key: string, tried: readonly OriginServer[]): OriginServer | null {
    const now = Date.now()
    const left = tried.length === 0 ? this.#members : this.#members.filter(({ server }) => !tried.includes(server))
    if (left.length <= 1) return left[0]?.server ?? null
    const healthy = left.filter(({ server }) => server.healthy(now))
    const first = healthy.filter(({ server }) => !server.options.backup)
    const among = first.length > 0 ? first : healthy.length > 0 ? healthy : left
    if (this.#options.choose === 'hash') return rendezvous(key, among)[0]!.server
    return this.#spread.next(among)?.server ?? null
  }
}

/** One request over as many servers as it takes. */
class Attempts implements OriginExchange, CallListener {
  readonly #pool: Pool
  readonly #request: OriginRequest
  readonly #listener: OriginListener
  #left: number
  readonly #tried: OriginServer[] = []
  #server: OriginServer | null = null
  #slot: Slot | null = null
  #over = false
  #answered = false
  #resent = false

  constructor(pool: Pool, request: OriginRequest, listener: OriginListener, attempts: number) {
    this.#pool = pool
    this.#request = request
    this.#listener = listener
    this.#left = attempts
  }

  /** False: there is no server left to try. */
  next(): boolean {
    const server = this.#left > 0 ? this.#pool.choose(this.#request.key, this.#tried) : null
    if (server === null) return false
    this.#left--
    this.#tried.push(server)
    this.#server = server
    this.#slot = server.send(this.#request, this)
    return true
  }

  pause(): void {
    this.#slot?.connection?.pause()
  }
  resume(): void {
    this.#slot?.connection?.resume()
  }
  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#server!.cancel(this.#slot!)
  }

  informational(status: number, fields: Fields): void {
    this.#listener.informational(status, fields)
  }
  head(status: number, fields: Fields, bodyBytes: number | null): void {
    this.#answered = true
    this.#server!.worked()
    this.#listener.head(status, fields, bodyBytes)
  }
  data(chunk: Buffer): void {
    if (!this.#over) this.#listener.data(chunk)
  }
  end(): void {
    if (this.#over) return
    this.#over = true
    this.#listener.end()
  }

  fail(fault: OriginFault, untouched: boolean): void {
    if (this.#over) return
    const server = this.#server!
    const { connection } = this.#slot!
    // A kept connection that closed just then says nothing about the server: once more, on another connection.
    if (!this.#answered && fault.phase === 'first-byte' && !fault.timedOut && connection?.reused && this.#mayResend()) {
      if (!this.#resent) {
        this.#resent = true
        this.#slot = server.send(this.#request, this)
        return
      }
    } else if (fault.phase !== 'limit' && fault.phase !== 'send') server.failed(Date.now())
    const again = !this.#answered && (untouched ? this.#bodyUntouched() : this.#mayResend() && fault.phase !== 'send')
    if (again && this.next()) return
    this.#over = true
    this.#listener.fail(fault)
  }

  #bodyUntouched(): boolean {
    return this.#request.body === null || !this.#request.body.readableDidRead
  }
  #mayResend(): boolean {
    return IDEMPOTENT.has(this.#request.method) && this.#bodyUntouched()
  }
}
