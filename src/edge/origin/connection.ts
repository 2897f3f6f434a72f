/**
 * One connection to an origin: HTTP/1.1, one request at a time, kept for the next when the answer ended cleanly (RFC 9112 §9.3).
 * Written over plain sockets because Node's client costs several times as much a request, and because what counts here is
 * to know at each moment how far the exchange came, for time-outs and for what may be retried.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { endToEnd } from '../http/fields.ts'
import type { Fields, OriginFault, OriginPhase, OriginRequest } from '../message.ts'
import { ChunkedDecoder } from './chunked.ts'
import { announcedLength, type Framing, MAX_HEAD_BYTES, parseResponseHead } from './response-head.ts'

/** What a connection tells of its one exchange. */
export interface CallListener {
  informational(status: number, fields: Fields): void
  head(status: number, fields: Fields, bodyBytes: number | null): void
  data(chunk: Buffer): void
  end(): void
  /** `untouched`: the origin cannot have begun on the request, so it may be sent anew whatever it is. */
  fail(fault: OriginFault, untouched: boolean): void
}

/** What a connection tells its keeper. */
export interface Keeper {
  idle(connection: Connection): void
  gone(connection: Connection): void
  readonly timeouts: Timeouts
}

/** Milliseconds a phase may take. */
export interface Timeouts {
  readonly connectMs: number
  /** From the request to the first byte of the answer. */
  readonly firstByteMs: number
  /** Between two reads of the answer, and two writes of a request body. */
  readonly betweenBytesMs: number
}

type State = 'connecting' | 'idle' | 'waiting' | 'body' | 'gone'

export class Connection {
  readonly #socket: Socket
  readonly #keeper: Keeper
  readonly #shared: boolean
  #state: State = 'connecting'
  #listener: CallListener | null = null
  #request: OriginRequest | null = null
  #pending: Buffer | null = null
  #framing: Framing = { kind: 'none' }
  #left = 0
  #chunked: ChunkedDecoder | null = null
  #persistent = false
  #uploading = false
  #paused = false
  /** Requests answered before this one. */
  #served = 0
  /** Ticks of the keeper's clock since something happened, and since it became idle. */
  quietMs = 0

  constructor(socket: Socket | TLSSocket, secure: boolean, keeper: Keeper) {
    this.#socket = socket
    this.#keeper = keeper
    socket.setNoDelay(true)
    socket.on(secure ? 'secureConnect' : 'connect', () => this.#connected())
    // Plain sockets read into a buffer that is used again: they call `read` themselves.
    if (secure) socket.on('data', (chunk: Buffer) => this.read(chunk))
    this.#shared = !secure
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#lost(error.message))
    socket.on('close', () => this.#lost('the origin closed the connection'))
  }

  /** A new connection, or one that is idle: sends the request as soon as it can. */
  send(request: OriginRequest, listener: CallListener): void {
    this.#request = request
    this.#listener = listener
    this.quietMs = 0
    if (this.#state === 'idle') this.#write()
  }

  get reused(): boolean {
    return this.#served > 0
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.quietMs = 0
    if (this.#state !== 'gone') this.#socket.resume()
  }

  /** Nobody wants the answer any more; what is left of it cannot be skipped cheaply, so the connection goes. */
  abort(): void {
    this.#listener = null
    this.#close()
  }

  /** Called by the keeper's clock. */
  tick(elapsedMs: number): void {
    if (this.#state === 'idle' || (this.#paused && this.#state === 'body')) {
      this.quietMs += this.#paused ? 0 : elapsedMs
      return
    }
    this.quietMs += elapsedMs
    const { connectMs, firstByteMs, betweenBytesMs } = this.#keeper.timeouts
    if (this.#state === 'connecting' && this.quietMs > connectMs)
      this.#fail('connect', 'the origin could not be reached in time', true, true)
    else if (this.#state === 'waiting' && this.quietMs > (this.#uploading ? betweenBytesMs : firstByteMs))
      this.#fail(this.#uploading ? 'send' : 'first-byte', 'the origin did not answer in time', true, false)
    else if (this.#state === 'body' && this.quietMs > betweenBytesMs)
      this.#fail('between-bytes', 'the origin stopped sending', true, false)
  }

  #connected(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'idle'
    this.quietMs = 0
    if (this.#listener !== null) this.#write()
    else this.#keeper.idle(this)
  }

  #write(): void {
    const request = this.#request!
    this.#state = 'waiting'
    const { method, target, fields, body, bodyBytes } = request
    let head = `${method} ${target} HTTP/1.1\r\n`
    for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
    if (body === null) {
      // Methods that expect a body say that there is none (RFC 9110 §8.6).
      if (method === 'POST' || method === 'PUT' || method === 'PATCH') head += 'content-length: 0\r\n'
      this.#socket.write(`${head}\r\n`, 'latin1')
      return
    }
    head += bodyBytes === null ? 'transfer-encoding: chunked\r\n\r\n' : `content-length: ${bodyBytes}\r\n\r\n`
    this.#socket.write(head, 'latin1')
    this.#upload(body, bodyBytes)
  }

  #upload(body: NonNullable<OriginRequest['body']>, bodyBytes: number | null): void {
    this.#uploading = true
    const request = this.#request
    const current = () => this.#request === request && this.#state !== 'gone'
    let left = bodyBytes ?? Number.POSITIVE_INFINITY
    body.on('data', (chunk: Buffer) => {
      if (!current()) return
      this.quietMs = 0
      left -= chunk.length
      if (left < 0) {
        this.#fail('send', 'the request body is longer than announced', false, false)
        return
      }
      if (bodyBytes === null) {
        this.#socket.cork()
        this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
        this.#socket.write(chunk)
        this.#socket.write('\r\n', 'latin1')
        process.nextTick(() => this.#socket.uncork())
      } else this.#socket.write(chunk)
      if (this.#socket.writableNeedDrain) {
        body.pause()
        this.#socket.once('drain', () => {
          this.quietMs = 0
          body.resume()
        })
      }
    })
    body.on('end', () => {
      if (!current()) return
      this.#uploading = false
      this.quietMs = 0
      if (bodyBytes === null) this.#socket.write('0\r\n\r\n', 'latin1')
      else if (left > 0) this.#fail('send', 'the request body is shorter than announced', false, false)
    })
    // The client broke off: the origin must not take what it got for the whole.
    const broken = () => {
      if (current() && this.#uploading) this.#fail('send', 'the client broke off its request', false, false)
    }
    body.on('error', broken)
    body.on('close', broken)
  }

  /** Bytes from the origin; of a shared buffer, what is kept of them is copied. */
  read(chunk: Buffer): void {
    this.quietMs = 0
    if (this.#state === 'body') {
      this.#decode(chunk)
      return
    }
    // Bytes that nobody asked for: whatever they are, the next answer could not be told from them.
    if (this.#state !== 'waiting') {
      this.#close()
      return
    }
    let bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk])
    this.#pending = null
    while (this.#state === 'waiting') {
      const head = parseResponseHead(bytes, this.#request!.method === 'HEAD')
      if (head === 'more') {
        if (bytes.length > MAX_HEAD_BYTES) this.#fail('protocol', 'the head is too long', false, false)
        else if (bytes.length > 0) this.#pending = this.#shared ? Buffer.from(bytes) : bytes
        return
      }
      if ('wrong' in head) {
        this.#fail('protocol', head.wrong, false, false)
        return
      }
      bytes = bytes.subarray(head.end)
      if (head.status < 200) {
        if (head.status === 101) {
          this.#fail('protocol', 'the origin switched protocols unasked', false, false)
          return
        }
        if (head.status !== 100) this.#listener?.informational(head.status, endToEnd(head.fields))
        if (bytes.length === 0) return
        continue
      }
      this.#state = 'body'
      this.#framing = head.framing
      this.#persistent = head.persistent
      if (head.framing.kind === 'length') this.#left = head.framing.bytes
      else if (head.framing.kind === 'chunked') this.#chunked = new ChunkedDecoder()
      this.#listener?.head(head.status, endToEnd(head.fields), announcedLength(head))
    }
    if (this.#state !== 'body') return
    if (this.#framing.kind === 'none' || (this.#framing.kind === 'length' && this.#left === 0))
      this.#finish(bytes.length === 0)
    else if (bytes.length > 0) this.#decode(bytes)
  }

  #decode(raw: Buffer): void {
    const chunk = this.#shared ? Buffer.from(raw) : raw
    if (this.#framing.kind === 'length') {
      if (chunk.length < this.#left) {
        this.#left -= chunk.length
        this.#listener?.data(chunk)
        return
      }
      const isAll = chunk.length === this.#left
      const piece = isAll ? chunk : chunk.subarray(0, this.#left)
      this.#left = 0
      this.#listener?.data(piece)
      this.#finish(isAll)
    } else if (this.#framing.kind === 'close') this.#listener?.data(chunk)
    else {
      const decoder = this.#chunked!
      const used = decoder.decode(chunk, (piece) => this.#listener?.data(piece))
      if (typeof used !== 'number') this.#fail('body', used.wrong, false, false)
      else if (decoder.done) this.#finish(used === chunk.length)
    }
  }

  /** The answer is whole. `clean`: nothing came behind it. */
  #finish(clean: boolean): void {
    const listener = this.#listener
    if (this.#state !== 'body' || listener === null) return
    this.#listener = null
    this.#chunked = null
    this.#served++
    this.quietMs = 0
    if (this.#paused) this.resume()
    // An answer before the end of the request body: what is left of that body cannot be sent as anything else.
    if (clean && this.#persistent && !this.#uploading && !this.#socket.destroyed) {
      this.#request = null
      this.#state = 'idle'
      this.#keeper.idle(this)
    } else this.#close()
    listener.end()
  }

  /** The origin closed its side. */
  #ended(): void {
    if (this.#state === 'body' && this.#framing.kind === 'close') {
      this.#persistent = false
      this.#finish(false)
    } else this.#lost('the origin closed the connection')
  }

  #lost(message: string): void {
    if (this.#state === 'gone') return
    const phase: OriginPhase = this.#state === 'connecting' ? 'connect' : this.#state === 'body' ? 'body' : 'first-byte'
    this.#fail(phase, message, false, this.#state === 'connecting')
  }

  #fail(phase: OriginPhase, message: string, timedOut: boolean, untouched: boolean): void {
    const listener = this.#listener
    this.#listener = null
    this.#close()
    listener?.fail({ phase, message, timedOut }, untouched)
  }

  #close(): void {
    if (this.#state === 'gone') return
    this.#state = 'gone'
    this.#request = null
    this.#socket.destroy()
    this.#keeper.gone(this)
  }
}
