/**
 * The front of one worker: connections come in by `accept`, whether a listener took them or a test made them, and each goes
 * the fast way, the exact way, or to HTTP/2. Watches over them: time for a head, idleness, the least rate at which a body
 * comes or an answer is taken, connections per address; and lets them go one by one when the edge drains.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Handler } from '../message.ts'
import { Ended } from './ended.ts'
import { awaitsBody, createExactServer, endSlowBody, limitExactServer } from './exact.ts'
import { createExact2Server, type Exact2Server } from './exact2.ts'
import { FastConnection, type Hits } from './fast.ts'
import type { FrontLimits } from './limits.ts'
import { peerOf } from './peer.ts'
import { ReadBuffer } from './read-buffer.ts'

export interface FrontOptions {
  handler: Handler
  limits: FrontLimits
  /** Null: everything goes the exact way. */
  hits: Hits | null
}

/** What a client that speaks HTTP/2 without ALPN says first (RFC 9113 §3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** How often connections are looked at. */
const SWEEP_MS = 1_000

/** One open connection, whichever way it goes. */
interface Open {
  readonly socket: Socket
  readonly address: string
  /** Null once it left the fast way. */
  fast: FastConnection | null
  /** Since when and from which counts its rate is measured. */
  since: number
  read: number
  written: number
}

export type FrontCounters = {
  connections: number
  accepted: number
  refusedConnections: number
  handedOver: number
  timedOut: number
  tooSlow: number
}

export class Front {
  readonly limits: FrontLimits
  readonly counters: FrontCounters = {
    connections: 0,
    accepted: 0,
    refusedConnections: 0,
    handedOver: 0,
    timedOut: 0,
    tooSlow: 0,
  }
  readonly #handler: Handler
  readonly #hits: Hits | null
  readonly #exact: Server
  readonly #exact2: Exact2Server
  #readBuffer: ReadBuffer | null = null
  readonly #open = new Map<Socket, Open>()
  readonly #perAddress = new Map<string, number>()
  readonly #sweep: NodeJS.Timeout
  #closing = false
  #allClosed: (() => void) | null = null

  constructor(options: FrontOptions) {
    this.limits = { ...options.limits }
    this.#handler = options.handler
    this.#hits = options.hits
    const closing = () => this.#closing
    this.#exact = createExactServer({ handler: options.handler, limits: this.limits, closing })
    this.#exact2 = createExact2Server({ handler: options.handler, limits: this.limits })
    this.#sweep = setInterval(() => this.sweep(Date.now()), SWEEP_MS)
    this.#sweep.unref()
  }

  /** Other limits from now on; a head that is being read, and an HTTP/2 session, may still go by the old ones. */
  setLimits(limits: FrontLimits): void {
    // All ways of this front read them where they lie.
    Object.assign(this.limits, limits)
    limitExactServer(this.#exact, limits)
    this.#exact2.limit()
  }

  /** Before any listener opens: plain connections share one read buffer from now on, if this Node can (read-buffer.ts). */
  async shareReadBuffer(): Promise<boolean> {
    if (await ReadBuffer.works()) this.#readBuffer = new ReadBuffer()
    return this.sharesReadBuffer
  }

  /** True when plain connections share one read buffer: the self-test passed. */
  get sharesReadBuffer(): boolean {
    return this.#readBuffer !== null
  }

  /** False: there are too many connections to begin another. */
  admits(): boolean {
    if (!this.#closing && this.#open.size < this.limits.connectionsMax) return true
    this.counters.refusedConnections++
    return false
  }

  /**
   * Takes a connection whose next byte is the first of HTTP; `protocol` is what ALPN agreed on, `isFresh` says that nothing
   * was read from it yet.
   */
  accept(taken: Socket, protocol: 'h2' | 'http/1.1' | null, isFresh = false): void {
    const { address } = peerOf(taken)
    const key = addressKey(address)
    const known = this.#perAddress.get(key) ?? 0
    if (
      this.#closing ||
      known >= this.limits.connectionsPerAddressMax ||
      this.#open.size >= this.limits.connectionsMax
    ) {
      this.counters.refusedConnections++
      taken.on('error', () => {})
      taken.destroy()
      return
    }
    this.counters.accepted++
    this.#perAddress.set(key, known + 1)
    if (protocol === 'h2' || this.#hits === null) {
      this.#register(taken, key, null)
      if (protocol === 'h2') this.#exact2.accept(taken)
      else this.#exact.emit('connection', taken)
      return
    }
    // A socket that was read from already cannot change the way it reads.
    const shared = isFresh ? this.#readBuffer : null
    const socket = shared?.adopt(taken) ?? taken
    const connection = new FastConnection(socket, {
      handler: this.#handler,
      hits: this.#hits,
      limits: this.limits,
      isUndecided: (bytes) => bytes.length < PREFACE.length && PREFACE.subarray(0, bytes.length).equals(bytes),
      handOver: (leaving, bytes, isFirst) => this.#handOver(leaving, bytes, isFirst),
      closing: () => this.#closing,
    })
    this.#register(socket, key, connection)
    if (shared !== null && socket !== taken) shared.read(socket, connection)
    else connection.listen()
  }

  #register(socket: Socket, address: string, fast: FastConnection | null): void {
    this.#open.set(socket, { socket, address, fast, since: Date.now(), read: 0, written: 0 })
    this.counters.connections = this.#open.size
    socket.once('close', () => {
      this.#open.delete(socket)
      this.counters.connections = this.#open.size
      const left = this.#perAddress.get(address)! - 1
      if (left === 0) this.#perAddress.delete(address)
      else this.#perAddress.set(address, left)
      if (this.#open.size === 0) this.#allClosed?.()
    })
  }

  #handOver(socket: Socket, bytes: Buffer, isFirst: boolean): void {
    const speaks2 = isFirst && bytes.length >= PREFACE.length && PREFACE.equals(bytes.subarray(0, PREFACE.length))
    this.counters.handedOver++
    const open = this.#open.get(socket)
    if (open !== undefined) open.fast = null
    if (socket.readableEnded) {
      this.#exact.emit('connection', new Ended(socket, bytes))
      return
    }
    // Paused until all is in place: bytes given to a flowing socket are read at once, before it stands at its start, and
    // node:http cannot stop a socket that begins to flow only after it asked for a pause.
    socket.pause()
    if (speaks2) this.#exact2.accept(socket)
    else this.#exact.emit('connection', socket)
    socket.unshift(bytes)
    socket.resume()
  }

  /** Ends what takes too long. Called each second; `now` in epoch milliseconds. */
  sweep(now: number): void {
    const { headMs, idleMs, rateWindowMs, rateMinBytesPerSecond } = this.limits
    for (const open of this.#open.values()) {
      const { socket, fast } = open
      if (fast !== null) {
        if (fast.headSince !== 0 && now - fast.headSince > headMs) {
          this.counters.timedOut++
          fast.tooSlow()
          continue
        }
        if (!fast.busy && fast.headSince === 0 && now - fast.usedAt > idleMs) {
          socket.destroy()
          continue
        }
      }
      if (now - open.since < rateWindowMs) continue
      // What the kernel took counts as taken; what waits here does not.
      const written = socket.bytesWritten - socket.writableLength
      const waits = socket.writableLength > 0
      const tooFew = (bytes: number) => bytes < (rateMinBytesPerSecond * (now - open.since)) / 1_000
      if (waits && tooFew(written - open.written)) {
        this.counters.tooSlow++
        socket.destroy()
        continue
      }
      if (fast === null && awaitsBody(socket) && tooFew(socket.bytesRead - open.read)) {
        this.counters.tooSlow++
        endSlowBody(socket)
        continue
      }
      open.since = now
      open.written = written
      open.read = socket.bytesRead
    }
  }

  /**
   * Lets go: idle connections at once, the others after the answer under way, all that is left after `drainMs`. Listeners
   * must be closed before.
   */
  async drain(): Promise<void> {
    this.#closing = true
    for (const { fast, socket } of this.#open.values())
      if (fast !== null && !fast.busy && fast.headSince === 0) socket.end()
    this.#exact.closeIdleConnections()
    this.#exact2.drain()
    if (this.#open.size > 0)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.limits.drainMs)
        this.#allClosed = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.close()
  }

  /** Breaks everything off. */
  close(): void {
    this.#closing = true
    clearInterval(this.#sweep)
    for (const { socket } of this.#open.values()) socket.destroy()
    this.#exact.close()
  }
}

/** An IPv6 client has a whole /64 to itself (RFC 6177), so that is what is counted. */
function addressKey(address: string): string {
  return address.includes(':') ? address.split(':').slice(0, 4).join(':') : address
}
