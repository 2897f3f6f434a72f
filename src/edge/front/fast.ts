/**
 * The fast way: one connection of HTTP/1.1, read by the strict scanner. A plain request for a prepared object is answered
 * from memory in one write; any other request that was read whole goes to the flow, over this same socket; bytes that the
 * scanner does not understand go, unread and for good, to the exact way.
 *
 * Invariants: answers leave in the order of their requests (RFC 9112 §9.3.2); a connection holds at most one answer, plus
 * `SCAN_MAX_BYTES` of requests behind it; nothing is handed over before all that was written here is out.
 */
import type { Socket } from 'node:net'
import type { EdgeRequest, Handler } from '../message.ts'
import type { FrontLimits } from './limits.ts'
import { lingerAfter } from './linger.ts'
import { peerOf } from './peer.ts'
import type { Prepared } from './prepared.ts'
import { refusalBytes } from './refusal.ts'
import { fieldsOf, INCOMPLETE, OTHER, SCAN_MAX_BYTES, Scanned, scan, UNDERSTOOD } from './scan.ts'
import { SocketReply } from './socket-reply.ts'
import { Refused } from './strict.ts'

/** Where prepared answers come from. */
export interface Hits {
  /** Null: the flow must look. `encoding` is the value of Accept-Encoding, empty when absent. */
  find(authority: string, target: string, encoding: string, encrypted: boolean, now: number): Prepared | null
  /** Whether what was found for a request is still what would be found for the same one. */
  again(prepared: Prepared, now: number): boolean
  /** A prepared answer was sent: for eviction and counters. True: `tell` wants to know of it in full. */
  sent(prepared: Prepared, status: number, answerBytes: number, requestBytes: number): boolean
  tell(prepared: Prepared, request: EdgeRequest, status: number, bodyBytes: number): void
}

export interface FastOptions {
  handler: Handler
  hits: Hits
  limits: FrontLimits
  /** True when the first bytes of a connection do not yet tell which protocol it speaks. */
  isUndecided(bytes: Buffer): boolean
  /** Takes a connection with bytes that are not for the fast way; `isFirst` when nothing came before them. */
  handOver(socket: Socket, bytes: Buffer, isFirst: boolean): void
  closing(): boolean
}

/** Answers of pipelined requests are gathered up to this before they are written. */
const GATHER_MAX_BYTES = 256 * 1024

/** A longer head is read each time: what is kept for it is memory of a connection. */
const REPEATED_MAX_BYTES = 2 * 1024

/** Reused for every head: nothing of it is read after another scan could have begun. */
const found = new Scanned()

export class FastConnection {
  readonly socket: Socket
  readonly #options: FastOptions
  readonly #encrypted: boolean
  /** Bytes behind those that were dealt with: the beginning of a head, or requests that wait for an answer before them. */
  #rest: Buffer | null = null
  #reply: SocketReply | null = null
  /** The client does not take what was written; nothing more is read until it does. */
  #stalled = false
  #paused = false
  #inputEnded = false
  #isFirst = true
  /** The last whole answer, and the head that asked for it once it has come twice: then it need not be read again. */
  #lastPrepared: Prepared | null = null
  #lastHead: Buffer | null = null
  handed = false
  /** Epoch milliseconds: when the head under way began (0: none), and when something was last read or answered. */
  headSince = 0
  usedAt: number

  constructor(socket: Socket, options: FastOptions) {
    this.socket = socket
    this.#options = options
    this.#encrypted = 'encrypted' in socket
    this.usedAt = Date.now()
    socket.on('error', ignore)
    socket.on('drain', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
  }

  /** Starts reading by 'data'; left out when the socket reads into a shared buffer. */
  listen(): void {
    this.socket.on('data', this.#onData)
    this.socket.resume()
  }

  get busy(): boolean {
    return this.#reply !== null || this.#stalled
  }

  /** Bytes from the socket: `bytes[0…length)`, which may be overwritten once this returns. */
  data(bytes: Buffer, length: number): void {
    if (this.#rest === null) {
      if (this.busy) this.#keep(bytes, 0, length)
      else this.#run(bytes, length)
      return
    }
    const all = Buffer.concat([this.#rest, bytes.subarray(0, length)])
    this.#rest = null
    if (this.busy) this.#keep(all, 0, all.length)
    else this.#run(all, all.length)
  }

  #run(bytes: Buffer, length: number): void {
    const { socket } = this
    const { hits, limits } = this.#options
    const now = Date.now()
    this.usedAt = now
    let at = 0
    let corked = false
    while (at < length) {
      const repeated = this.#repeated(bytes, at, length, now)
      const state = repeated !== null ? UNDERSTOOD : scan(bytes, at, length, found)
      if (state === INCOMPLETE) {
        if (this.headSince === 0) this.headSince = now
        this.#keep(bytes, at, length)
        break
      }
      // What passes a bound that is below the scanner's own is refused on the exact way.
      if (
        repeated === null &&
        (state === OTHER || found.fieldCount > limits.fieldsMax || found.end - at > limits.headMaxBytes)
      ) {
        if (corked) socket.uncork()
        this.#handOver(Buffer.from(bytes.subarray(at, length)))
        return
      }
      this.headSince = 0
      this.#isFirst = false
      const end = repeated !== null ? at + this.#lastHead!.length : found.end
      const prepared =
        repeated ??
        (found.plain
          ? hits.find(
              found.authority,
              bytes.toString('latin1', found.targetStart, found.targetEnd),
              found.encodingEnd === 0 ? '' : bytes.toString('latin1', found.encodingStart, found.encodingEnd),
              this.#encrypted,
              now,
            )
          : null)
      if (prepared !== null && !this.#options.closing()) {
        if (!corked && end < length) {
          socket.cork()
          corked = true
        }
        const isAnswered =
          repeated === null
            ? this.#answer(prepared, bytes, at, end, now)
            : this.#answerWhole(prepared, bytes, at, end, now)
        if (isAnswered) {
          at = end
          if (socket.writableLength <= GATHER_MAX_BYTES) continue
          if (corked) socket.uncork()
          corked = false
          if (socket.writableLength === 0) continue
          if (at < length) this.#keep(bytes, at, length)
          this.#stall()
          return
        }
      }
      if (corked) socket.uncork()
      corked = false
      const reply = this.#serve(bytes, now)
      at = end
      if (this.#reply === reply || this.#stalled) {
        if (at < length) this.#keep(bytes, at, length)
        return
      }
      if (this.handed || socket.destroyed || socket.writableEnded) return
    }
    if (corked) socket.uncork()
    if (socket.writableNeedDrain && socket.writableLength > 0) this.#stall()
    else if (this.#inputEnded) this.#finish()
  }

  /** The answer to the same head as before, if it still is the answer. */
  #repeated(bytes: Buffer, at: number, length: number, now: number): Prepared | null {
    const head = this.#lastHead
    if (head === null || length - at < head.length || this.#options.closing()) return null
    if (bytes.compare(head, 0, head.length, at, at + head.length) !== 0) return null
    return this.#options.hits.again(this.#lastPrepared!, now) ? this.#lastPrepared : null
  }

  /** A head that came twice is kept as it is, so that a third one need only be compared. */
  #remember(prepared: Prepared, bytes: Buffer, at: number, end: number): void {
    if (this.#lastPrepared !== prepared) {
      this.#lastPrepared = prepared
      this.#lastHead = null
    } else if (end - at <= REPEATED_MAX_BYTES) this.#lastHead = Buffer.from(bytes.subarray(at, end))
  }

  #answerWhole(prepared: Prepared, bytes: Buffer, at: number, end: number, now: number): boolean {
    prepared.turn(now)
    const whole = prepared.whole(now)
    const answerBytes = whole !== null ? this.#write(whole) : this.#writeBoth(prepared.head(), prepared.body)
    const { hits } = this.#options
    const { status, body } = prepared
    if (hits.sent(prepared, status, answerBytes, end - at)) {
      scan(bytes, at, end, found)
      hits.tell(prepared, this.#request(bytes, now), status, body.length)
    }
    return true
  }

  /** Sends a prepared object; false when this request is for the flow after all. */
  #answer(prepared: Prepared, bytes: Buffer, at: number, end: number, now: number): boolean {
    if (found.noneMatchEnd === 0 && !found.head && found.rangeEnd === 0) {
      this.#remember(prepared, bytes, at, end)
      return this.#answerWhole(prepared, bytes, at, end, now)
    }
    prepared.turn(now)
    let { status } = prepared
    let bodyBytes = 0
    let answerBytes = 0
    if (
      found.noneMatchEnd !== 0 &&
      prepared.isKnownTo(bytes.toString('latin1', found.noneMatchStart, found.noneMatchEnd))
    ) {
      status = 304
      answerBytes = this.#write(prepared.notModified())
    } else if (found.head) answerBytes = this.#write(prepared.head())
    else {
      const range =
        found.rangeEnd === 0 ? 'whole' : prepared.range(bytes.toString('latin1', found.rangeStart, found.rangeEnd))
      if (range === null) return false
      if (range === 'whole') {
        bodyBytes = prepared.body.length
        const whole = prepared.whole(now)
        answerBytes = whole !== null ? this.#write(whole) : this.#writeBoth(prepared.head(), prepared.body)
      } else {
        status = 206
        bodyBytes = range.last - range.first + 1
        answerBytes = this.#writeBoth(range.head, prepared.body.subarray(range.first, range.last + 1))
      }
    }
    const { hits } = this.#options
    if (hits.sent(prepared, status, answerBytes, end - at))
      hits.tell(prepared, this.#request(bytes, now), status, bodyBytes)
    return true
  }

  #write(bytes: Buffer): number {
    this.socket.write(bytes)
    return bytes.length
  }

  /** In one system call. */
  #writeBoth(head: Buffer, body: Buffer): number {
    this.socket.cork()
    this.socket.write(head)
    this.socket.write(body)
    this.socket.uncork()
    return head.length + body.length
  }

  /** The scanned request as the flow and the log want it. */
  #request(bytes: Buffer, now: number): EdgeRequest {
    const { authority } = found
    const colon = authority.indexOf(':')
    return {
      method: found.head ? 'HEAD' : 'GET',
      scheme: this.#encrypted ? 'https' : 'http',
      host: colon < 0 ? authority : authority.slice(0, colon),
      authority,
      target: bytes.toString('latin1', found.targetStart, found.targetEnd),
      version: '1.1',
      fields: fieldsOf(bytes, found),
      client: peerOf(this.socket),
      receivedAt: now,
      body: null,
    }
  }

  /** Gives the scanned request to the flow. */
  #serve(bytes: Buffer, now: number): SocketReply {
    const request = this.#request(bytes, now)
    let serving = true
    const reply = new SocketReply(this.socket, found.head, this.#options.closing, () => {
      this.#reply = null
      this.usedAt = Date.now()
      if (reply.last) this.#finish()
      else if (this.socket.writableNeedDrain && this.socket.writableLength > 0) this.#stall()
      else if (!serving) process.nextTick(this.#onward)
    })
    this.#reply = reply
    this.#options.handler.serve(request, reply)
    serving = false
    return reply
  }

  /** Goes on with what waited behind an answer. */
  readonly #onward = (): void => {
    if (this.busy || this.handed || this.socket.destroyed) return
    const rest = this.#rest
    this.#rest = null
    if (rest !== null) this.#run(rest, rest.length)
    else if (this.#inputEnded) this.#finish()
    if (this.#paused && !this.busy && !this.handed) {
      this.#paused = false
      this.socket.resume()
    }
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    this.#rest = Buffer.from(bytes.subarray(from, to))
    if (this.busy && this.#rest.length > SCAN_MAX_BYTES) this.#pause()
  }

  #stall(): void {
    this.#stalled = true
    this.#pause()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.socket.pause()
  }

  readonly #onData = (chunk: Buffer): void => this.data(chunk, chunk.length)

  readonly #onDrain = (): void => {
    this.usedAt = Date.now()
    if (this.#reply !== null) {
      this.#reply.drained()
      return
    }
    if (!this.#stalled) return
    this.#stalled = false
    this.#onward()
  }

  /** The client sends no more; what it asked for is still answered (RFC 9112 §9.6). */
  readonly #onEnd = (): void => {
    this.#inputEnded = true
    // Requests may still wait here for their turn.
    this.#onward()
  }

  readonly #onClose = (): void => {
    const reply = this.#reply
    this.#reply = null
    this.#rest = null
    reply?.lost()
  }

  /** Ends the connection: nothing more is answered on it, and what still comes is not read. */
  #finish(): void {
    if (this.handed) return
    const isCutOff = this.#rest !== null && this.headSince !== 0
    this.#leave()
    lingerAfter(this.socket, isCutOff ? refusalBytes(new Refused(400, 'the request is malformed')) : null)
  }

  /** Answers 408 to a head that takes too long (RFC 9110 §15.5.9). */
  tooSlow(): void {
    this.#leave()
    lingerAfter(this.socket, refusalBytes(new Refused(408, 'the request took too long')))
  }

  #leave(): void {
    this.handed = true
    this.headSince = 0
    this.#rest = null
    this.socket.off('data', this.#onData)
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this
    if (this.#isFirst && this.#options.isUndecided(bytes)) {
      if (this.headSince === 0) this.headSince = Date.now()
      this.#rest = bytes
      return
    }
    this.handed = true
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    const give = () => {
      socket.off('end', this.#onEnd)
      socket.off('close', this.#onClose)
      socket.off('error', ignore)
      if (!socket.destroyed) this.#options.handOver(socket, bytes, this.#isFirst)
    }
    if (socket.writableLength === 0) {
      give()
      return
    }
    // node:http may destroy the socket at once, with what was written here still in it.
    socket.pause()
    socket.write('', give)
  }
}

const ignore = (): void => {}
