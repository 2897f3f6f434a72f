/**
 * The exact way for HTTP/1.x: a stock `http.Server` parses, `strict.ts` judges, and what passes goes to the flow as an
 * EdgeRequest with a Reply over the ServerResponse. The server itself never listens: connections are given to it by
 * `emit('connection')`, either at once or when the fast way meets something that it does not understand.
 *
 * Invariant: a request that is refused, or that breaks off, never reaches an origin as a whole request, and a reader of
 * an answer that broke off can tell (RFC 9112 §8).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type Duplex, type Readable, Transform } from 'node:stream'
import type { EdgeRequest, Fields, Handler, Reply } from '../message.ts'
import { Ended } from './ended.ts'
import type { FrontLimits } from './limits.ts'
import { lingerAfter } from './linger.ts'
import { peerOf } from './peer.ts'
import { refusalBody, refusalBytes, refusalFields } from './refusal.ts'
import { Refused, type Understood, understand } from './strict.ts'

export interface ExactOptions {
  handler: Handler
  limits: FrontLimits
  /** Asked before each answer: true makes it the connection's last (drain). */
  closing?: () => boolean
}

/** Answers under way on a connection, in order: a broken request after them waits until they are out. */
const underWay = new WeakMap<Duplex, Set<ServerResponse>>()

/** The latest request of a connection; its body may still be coming when its answer is long out. */
const latest = new WeakMap<Duplex, IncomingMessage>()

/** True while the edge waits for bytes of a body; not while it is itself slow to take them. */
export function awaitsBody(socket: Duplex): boolean {
  const message = latest.get(socket)
  return message !== undefined && !message.complete && message.readableFlowing !== false && message.readableLength === 0
}
const NONE: ReadonlySet<ServerResponse> = new Set()

/** Ends a connection whose body comes too slowly: with 408 if nothing was answered yet (RFC 9110 §15.5.9). */
export function endSlowBody(socket: Duplex): void {
  const [first] = underWay.get(socket) ?? NONE
  if (first === undefined || first.headersSent) socket.destroy()
  else lingerAfter(socket, refusalBytes(new Refused(408, 'the body came too slowly')))
}

/** What node:http reads anew for each connection. */
export function limitExactServer(server: Server, limits: FrontLimits): void {
  const taken = server as Server & { maxHeaderSize: number }
  taken.maxHeaderSize = limits.headMaxBytes
  taken.headersTimeout = limits.headMs
  taken.keepAliveTimeout = limits.idleMs
  taken.maxHeadersCount = limits.fieldsMax + 1
}

/**
 * A server for connections that others accept. `emit('listening')` starts its checks of time-outs, which a stock server
 * otherwise leaves out until it listens itself; `close()` ends them.
 */
export function createExactServer({ handler, limits, closing = () => false }: ExactOptions): Server {
  const server = createServer({
    // Bodies are held to a rate (slow.ts), not to a total time: a long upload is no fault.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, limits.headMs / 4)),
    requireHostHeader: false,
    shouldUpgradeCallback: isWebSocket,
  })
  limitExactServer(server, limits)
  // Who has said all and closed its half is still answered (RFC 9112 §9.6), as on the fast way.
  ;(server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
  /** Connections that end with a refusal under way: what they still send is nothing to anybody. */
  const ending = new WeakSet<Duplex>()

  // What node:http calls behind a last answer. What the client still sends is read, but is no request any more.
  server.on('connection', (socket: Socket) => {
    if (socket instanceof Ended) return
    socket.destroySoon = () => {
      ending.add(socket)
      lingerAfter(socket, null)
    }
  })

  /** Puts an answer behind those that are under way on its connection. */
  const enqueue = (message: IncomingMessage, response: ServerResponse): Set<ServerResponse> => {
    const open = underWay.get(message.socket) ?? new Set()
    underWay.set(message.socket, open)
    latest.set(message.socket, message)
    open.add(response)
    response.once('close', () => open.delete(response))
    return open
  }
  const take = (message: IncomingMessage, response: ServerResponse, open: ReadonlySet<ServerResponse>) => {
    const { socket } = message
    response.sendDate = false
    // Once the client has closed its half, its last request is the one that ends the connection.
    const isLast = () => closing() || (socket.readableEnded && !ending.has(socket) && [...open].at(-1) === response)
    const isFirst = () => open.values().next().value === response
    const reply = new ExactReply(message, response, isFirst, isLast)
    const understood = judge(message, limits)
    if (understood instanceof Refused) {
      // The answer says that it is the last one (RFC 9112 §9.6).
      if (understood.status >= 400) ending.add(socket)
      reply.refuse(understood)
      return
    }
    const { framing, ...head } = understood
    const body = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === 0) ? null : message
    const request: EdgeRequest = {
      ...head,
      client: peerOf(socket),
      receivedAt: Date.now(),
      body: body === null ? null : framing.kind === 'length' ? body : bounded(body, limits.bodyMaxBytes, reply),
    }
    handler.serve(request, reply)
  }
  const takeNext = (message: IncomingMessage, response: ServerResponse) => {
    if (!ending.has(message.socket)) take(message, response, enqueue(message, response))
  }
  server.on('request', takeNext)
  server.on('checkExpectation', takeNext)
  server.on('checkContinue', (message: IncomingMessage, response: ServerResponse) => {
    // Continue only what will be taken: a refused request keeps its body to itself.
    if (ending.has(message.socket) || judge(message, limits) instanceof Refused) {
      takeNext(message, response)
      return
    }
    const before = [...(underWay.get(message.socket) ?? [])]
    const open = enqueue(message, response)
    // Said while an answer before it is under way, node:http would put it into the middle of that one's successor.
    whenOver(before, 'close', () => {
      response.writeContinue()
      take(message, response, open)
    })
  })
  server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (ending.has(socket)) return
    const understood = judge(message, limits)
    if (understood instanceof Refused || understood.framing.kind !== 'none' || handler.upgrade === undefined) {
      const refused = understood instanceof Refused ? understood : new Refused(400, 'this cannot be upgraded')
      socket.end(refusalBytes(refused))
      return
    }
    const { framing: _, ...rest } = understood
    handler.upgrade({ ...rest, client: peerOf(socket), receivedAt: Date.now(), body: null }, socket, head)
  })
  server.on('connect', (message: IncomingMessage, socket: Duplex) => {
    if (ending.has(socket)) return
    const understood = judge(message, limits)
    const refused = understood instanceof Refused ? understood : new Refused(405, 'CONNECT is not served')
    lingerAfter(socket, refusalBytes(refused))
  })
  server.on('clientError', (fault: Error & { code?: string }, socket: Duplex) => {
    // Answers before the broken bytes still go out. Where these belong to the body of a request that the flow has, only
    // an answer that has not begun can say what is wrong.
    // Bytes behind a request that said close are no request (RFC 9112 §9.6).
    if (ending.has(socket) || fault.code === 'HPE_CLOSED_CONNECTION') return
    ending.add(socket)
    const open = [...(underWay.get(socket) ?? [])]
    const broken = open.find((response) => !response.req.complete)
    const before = open.filter((response) => response !== broken)
    whenOver(before, broken === undefined ? 'finish' : 'close', () => {
      if (!broken?.headersSent && socket.writable) lingerAfter(socket, refusalBytes(refusalOf(fault)))
      else (socket as Socket).destroySoon()
    })
  })
  server.emit('listening')
  return server
}

/**
 * Calls back once all these answers are over, at once when there are none. At 'finish' that is before node:http closes the
 * connection behind the last answer, which it does when the client has closed its half; at 'close' it is after.
 */
function whenOver(responses: readonly ServerResponse[], event: 'finish' | 'close', callback: () => void): void {
  const left = new Set(responses)
  if (left.size === 0) callback()
  for (const response of responses) {
    const over = () => {
      if (left.delete(response) && left.size === 0) callback()
    }
    response.prependOnceListener(event, over)
    response.once('close', over)
  }
}

/** The status for what the parser or its clock found wrong. */
function refusalOf(fault: Error & { code?: string }): Refused {
  switch (fault.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Refused(431, 'the fields are too large')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Refused(413, 'the chunk extensions are too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Refused(408, 'the request took too long')
    default:
      return new Refused(400, 'the request is malformed')
  }
}

/** The Upgrade that is passed through; any other is ignored, as RFC 9110 §7.8 allows. */
function isWebSocket(message: IncomingMessage): boolean {
  return message.method === 'GET' && message.headers.upgrade?.toLowerCase() === 'websocket'
}

function judge(message: IncomingMessage, limits: FrontLimits): Understood | Refused {
  if (message.httpVersion !== '1.1' && message.httpVersion !== '1.0')
    return new Refused(505, 'this speaks HTTP/1.0, HTTP/1.1 and HTTP/2')
  if (message.rawHeaders.length > 2 * limits.fieldsMax) return new Refused(431, `more than ${limits.fieldsMax} fields`)
  const understood = understand({
    method: message.method!,
    target: message.url!,
    version: message.httpVersion,
    rawFields: message.rawHeaders,
    encrypted: 'encrypted' in message.socket,
  })
  if (understood instanceof Refused) return understood
  if (understood.framing.kind === 'length' && understood.framing.bytes > limits.bodyMaxBytes)
    return new Refused(413, `a body may have ${limits.bodyMaxBytes} bytes`)
  return understood
}

/** A body of unknown length, ended with 413 once it passes the bound. */
function bounded(body: Readable, maxBytes: number, reply: ExactReply): Readable {
  let bytes = 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes <= maxBytes) return done(null, chunk)
      reply.refuse(new Refused(413, `a body may have ${maxBytes} bytes`))
      done(new Error('the body is too large'))
    },
  })
  counted.on('error', () => {}) // the flow may not be listening
  body.on('error', (fault) => counted.destroy(fault))
  body.on('aborted', () => counted.destroy(new Error('the client broke off')))
  return body.pipe(counted)
}

/** A Reply over a ServerResponse. */
class ExactReply implements Reply {
  readonly #message: IncomingMessage
  readonly #response: ServerResponse & { shouldKeepAlive?: boolean }
  /** True while no answer before this one is under way on the connection. */
  readonly #isFirst: () => boolean
  readonly #closing: () => boolean
  /** Body bytes still owed to the announced length; null: none was announced. */
  #owedBytes: number | null = null
  #closed = false
  #onClose: (() => void) | null = null
  #onDrain: (() => void) | null = null

  constructor(message: IncomingMessage, response: ServerResponse, isFirst: () => boolean, closing: () => boolean) {
    this.#message = message
    this.#response = response
    this.#isFirst = isFirst
    this.#closing = closing
    response.once('close', () => {
      this.#closed = true
      this.#onClose?.()
    })
    response.on('drain', () => this.#onDrain?.())
    response.on('error', () => response.destroy())
  }

  get closed(): boolean {
    return this.#closed
  }

  informational(status: number, fields: Fields): void {
    if (this.#closed || this.#message.httpVersion === '1.0' || this.#response.headersSent || !this.#isFirst()) return
    this.#response.writeInformation(status, [...fields])
  }

  head(status: number, fields: Fields, bodyBytes: number | null): void {
    if (this.#closed || this.#response.headersSent) return
    const response = this.#response
    const all = [...fields]
    if (bodyBytes !== null && status !== 204) {
      all.push('content-length', String(bodyBytes))
      if (this.#message.method !== 'HEAD' && status !== 304) this.#owedBytes = bodyBytes
    }
    // HTTP/1.1 persists without saying so; only an end, or HTTP/1.0's wish to persist, needs the field.
    if (this.#closing()) all.push('connection', 'close')
    else if (this.#message.httpVersion === '1.1' && response.shouldKeepAlive) response.removeHeader('connection')
    response.writeHead(status, all)
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed || this.#response.writableEnded) return true
    if (this.#owedBytes !== null) this.#owedBytes -= chunk.length
    return this.#response.write(chunk)
  }

  end(): void {
    if (this.#closed || this.#response.writableEnded) return
    if (this.#owedBytes !== null && this.#owedBytes !== 0) this.abort()
    else this.#response.end()
  }

  abort(): void {
    if (this.#closed) return
    // A reset: where the end of the connection ends the body (HTTP/1.0), a plain close would look like a whole answer.
    const { socket } = this.#message
    if (typeof socket.resetAndDestroy === 'function' && !('encrypted' in socket)) socket.resetAndDestroy()
    else socket.destroy()
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  onClose(callback: () => void): void {
    if (this.#closed) callback()
    else this.#onClose = callback
  }

  /** The front's own answer; nothing more is read from the connection unless the request was whole and sound. */
  refuse(refused: Refused): void {
    if (this.#closed) return
    if (this.#response.headersSent) {
      this.abort()
      return
    }
    const body = refusalBody(refused)
    const all = [...refusalFields(refused, body.length)]
    if (refused.status >= 400) all.push('connection', 'close')
    this.#response.writeHead(refused.status, all)
    this.#response.end(this.#message.method === 'HEAD' ? undefined : body)
  }
}
