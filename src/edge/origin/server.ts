/**
 * One server of a pool: its kept connections, how many may be open, who waits for one, and how its health is judged by what
 * happens to requests (passive). One coarse clock watches all its connections, instead of a timer for each request.
 */
import { connect, isIP, type OnReadOpts, type Socket } from 'node:net'
import { type ConnectionOptions, checkServerIdentity, connect as connectSecurely } from 'node:tls'
import type { OriginRequest } from '../message.ts'
import { type CallListener, Connection, type Timeouts } from './connection.ts'

export interface ServerOptions {
  readonly host: string
  readonly port: number
  /** A local socket, instead of host and port. */
  readonly path?: string
  readonly weight: number
  /** Asked only when all others are out of order. */
  readonly backup: boolean
  readonly tls: TlsOptions | null
}

export interface TlsOptions {
  /** Name to send (SNI) and to find in the certificate. */
  readonly name: string
  /** PEM of authorities to trust instead of the system's. */
  readonly authorities: string | null
  /** False only for an origin that cannot be given a certificate; the configuration warns of it. */
  readonly verify: boolean
}

export interface ServerLimits extends Timeouts {
  /** Connections open at once. */
  readonly connections: number
  /** Requests that wait for one, and how long. */
  readonly waiting: number
  readonly waitMs: number
  /** A kept connection unused for this long is closed. */
  readonly idleMs: number
  /** Faults in a row after which no requests are sent for `restMs`. */
  readonly faults: number
  readonly restMs: number
}

/** A request that has, or waits for, a connection. */
export interface Slot {
  connection: Connection | null
  readonly request: OriginRequest
  readonly listener: CallListener
  waitedMs: number
}

const TICK_MS = 100
/** What is read from plain connections passes here, and is taken out before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)
/** A kept connection that rested no longer is taken for a request that could not be sent again. */
const TRUSTED_REST_MS = 1_000
/** Methods that may be sent again after a fault, body aside (RFC 9110 §9.2.2). */
export const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

export class OriginServer {
  readonly options: ServerOptions
  readonly timeouts: ServerLimits
  readonly #idle: Connection[] = []
  readonly #open = new Set<Connection>()
  readonly #waiting: Slot[] = []
  #clock: NodeJS.Timeout | null = null
  #session: Buffer | undefined
  #faults = 0
  #restingUntil = 0
  /** Set by active checks; null: none are made. */
  checkedHealthy: boolean | null = null

  constructor(options: ServerOptions, limits: ServerLimits) {
    this.options = options
    this.timeouts = limits
  }

  get label(): string {
    return `${this.options.host}:${this.options.port}`
  }

  healthy(now: number): boolean {
    return this.checkedHealthy !== false && now >= this.#restingUntil
  }

  /** A request got an answer from it. */
  worked(): void {
    this.#faults = 0
    this.#restingUntil = 0
  }

  /** A request did not. After `faults` in a row it rests; then the next request is the trial. */
  failed(now: number): void {
    this.#faults++
    if (this.#faults >= this.timeouts.faults) this.#restingUntil = now + this.timeouts.restMs
  }

  /** Sends the request over a kept or new connection, or lets it wait for one. */
  send(request: OriginRequest, listener: CallListener): Slot {
    const slot: Slot = { connection: null, request, listener, waitedMs: 0 }
    const kept = this.#kept(IDEMPOTENT.has(request.method))
    if (kept !== null) this.#give(slot, kept)
    else if (this.#open.size < this.timeouts.connections) this.#give(slot, this.#connect())
    else if (this.#waiting.length < this.timeouts.waiting) {
      this.#waiting.push(slot)
      this.#tickOn()
    } else
      queueMicrotask(() =>
        listener.fail({ phase: 'limit', message: `too many requests for ${this.label}`, timedOut: false }, true),
      )
    return slot
  }

  /** The request is not wanted any more. */
  cancel(slot: Slot): void {
    if (slot.connection !== null) slot.connection.abort()
    else {
      const at = this.#waiting.indexOf(slot)
      if (at >= 0) this.#waiting.splice(at, 1)
    }
  }

  idle(connection: Connection): void {
    const next = this.#waiting.shift()
    if (next !== undefined) this.#give(next, connection)
    else this.#idle.push(connection)
  }

  gone(connection: Connection): void {
    this.#open.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    const next = this.#waiting.shift()
    if (next !== undefined) this.#give(next, this.#connect())
  }

  close(): void {
    if (this.#clock !== null) clearInterval(this.#clock)
    this.#clock = null
    for (const slot of this.#waiting.splice(0))
      slot.listener.fail({ phase: 'limit', message: 'the pool is closed', timedOut: false }, true)
    for (const connection of this.#idle.splice(0)) connection.abort()
    // Those at work end with their answer, or by their time-out.
    this.#closed = true
    if (this.#open.size > 0) this.#tickOn()
  }
  #closed = false

  /** Open connections and those at rest, for metrics and tests. */
  get counts(): { open: number; idle: number; waiting: number } {
    return { open: this.#open.size, idle: this.#idle.length, waiting: this.#waiting.length }
  }

  /**
   * A connection at rest, the one used last. What cannot be sent twice goes over one that rested only just now: the longer, the
   * likelier that the origin is closing it.
   */
  #kept(mayBeSentAgain: boolean): Connection | null {
    const last = this.#idle.at(-1)
    if (last === undefined || (!mayBeSentAgain && last.quietMs > TRUSTED_REST_MS)) return null
    this.#idle.pop()
    return last
  }

  #give(slot: Slot, connection: Connection): void {
    slot.connection = connection
    connection.send(slot.request, slot.listener)
  }

  #connect(): Connection {
    // Plain connections read into one buffer that all share, instead of a new one for each read.
    let connection: Connection
    if (this.options.tls === null) {
      const onread = {
        buffer: READ_BUFFER,
        callback: (bytes: number) => {
          connection.read(READ_BUFFER.subarray(0, bytes))
          return true
        },
      }
      connection = new Connection(this.open(onread), false, this)
    } else connection = new Connection(this.open(), true, this)
    this.#open.add(connection)
    this.#tickOn()
    return connection
  }

  /** A new socket to the server, still connecting; not counted, so only for what has a bound of its own. */
  open(onread?: OnReadOpts): Socket {
    const { host, port, path, tls } = this.options
    if (path !== undefined) return connect({ path, ...(onread !== undefined && { onread }) })
    if (tls === null) return connect({ host, port, autoSelectFamily: true, ...(onread !== undefined && { onread }) })
    const options: ConnectionOptions = {
      host,
      port,
      // An address has no place in SNI (RFC 6066 §3).
      servername: isIP(tls.name) === 0 ? tls.name : '',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: tls.verify,
      checkServerIdentity: (_host, certificate) => checkServerIdentity(tls.name, certificate),
      ...(tls.authorities !== null && { ca: tls.authorities }),
      ...(this.#session !== undefined && { session: this.#session }),
    }
    const socket = connectSecurely(options)
    socket.on('session', (session) => {
      this.#session = session
    })
    // A session that went wrong must not be offered again.
    socket.on('error', () => {
      this.#session = undefined
    })
    return socket
  }

  #tickOn(): void {
    if (this.#clock !== null) return
    this.#clock = setInterval(() => this.#tick(), TICK_MS)
    this.#clock.unref()
  }

  #tick(): void {
    for (const connection of [...this.#open]) connection.tick(TICK_MS)
    const kept = this.#closed ? 0 : this.timeouts.idleMs
    for (const connection of this.#idle.filter(({ quietMs }) => quietMs > kept)) connection.abort()
    for (const slot of [...this.#waiting]) {
      slot.waitedMs += TICK_MS
      if (slot.waitedMs <= this.timeouts.waitMs) continue
      this.cancel(slot)
      slot.listener.fail(
        { phase: 'limit', message: `no connection to ${this.label} came free in time`, timedOut: true },
        true,
      )
    }
    if (this.#open.size === 0 && this.#waiting.length === 0 && this.#clock !== null) {
      clearInterval(this.#clock)
      this.#clock = null
    }
  }
}
