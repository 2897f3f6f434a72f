/**
 * The exact way for HTTP/2 (RFC 9113): a session of node:http2 on a connection that ALPN, or the preface on a plain
 * socket, said is one. Streams become the same EdgeRequest and Reply as HTTP/1.1 requests do; what RFC 9113 §8.2.2 calls
 * malformed is refused by nghttp2 or here.
 */
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { Transform } from 'node:stream'
import type { EdgeRequest, Fields, Handler, Reply } from '../message.ts'
import type { FrontLimits } from './limits.ts'
import { type Peer, peerOf } from './peer.ts'
import { refusalBody, refusalFields } from './refusal.ts'
import { methodFault, parseAuthority, Refused, targetFault } from './strict.ts'

export interface Exact2Options {
  handler: Handler
  limits: FrontLimits
}

/** nghttp2's buffers for one session. */
const SESSION_MAX_MEGABYTES = 16

/** Fields of one connection have no place in HTTP/2 (RFC 9113 §8.2.2). */
const CONNECTION_FIELDS = new Set(['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

export interface Exact2Server {
  /** Takes a connection that others accepted. */
  accept(socket: Socket): void
  /** Lets each session finish its streams and take no more (GOAWAY, RFC 9113 §6.8). */
  drain(): void
  /** The limits have changed: sessions from now on go by them. */
  limit(): void
}

export function createExact2Server({ handler, limits }: Exact2Options): Exact2Server {
  const sessions = new Set<ServerHttp2Session>()
  /** Who is at the other end of the connection that is being taken: a session's own socket does not say. */
  let taking: Peer = { address: '', port: 0 }
  const server = createServer({
    maxSendHeaderBlockLength: 64 * 1024,
    maxHeaderListPairs: limits.fieldsMax,
    maxSessionMemory: SESSION_MAX_MEGABYTES,
    // Streams that a client resets at once cost it more than the edge (CVE-2023-44487).
    streamResetBurst: 200,
    streamResetRate: 33,
    settings: settingsOf(limits),
  })
  server.on('sessionError', () => {})
  // Emitted while `accept` hands the connection over.
  server.on('session', (session: ServerHttp2Session) => {
    const peer = taking
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.setTimeout(limits.idleMs, () => session.close())
    session.on('stream', (stream: ServerHttp2Stream, _headers, flags: number, rawHeaders: string[]) => {
      stream.on('error', () => {})
      const reply = new StreamReply(stream)
      const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0
      const request = understand2(stream, rawHeaders, hasBody, peer, limits, reply)
      if (request instanceof Refused) reply.refuse(request)
      else {
        reply.method = request.method
        handler.serve(request, reply)
      }
    })
  })
  return {
    accept(socket) {
      taking = peerOf(socket)
      server.emit('connection', socket)
    },
    limit() {
      server.updateSettings(settingsOf(limits))
    },
    drain() {
      for (const session of sessions) session.close()
    },
  }
}

const settingsOf = (limits: FrontLimits) => ({
  maxConcurrentStreams: limits.streamsMax,
  maxHeaderListSize: limits.headMaxBytes,
  enablePush: false,
})

/** Pseudo-fields and fields of one stream, judged: RFC 9113 §8.3.1. */
function understand2(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  hasBody: boolean,
  peer: Peer,
  limits: FrontLimits,
  reply: StreamReply,
): EdgeRequest | Refused {
  const pseudo: Record<string, string> = {}
  const fields: string[] = []
  let cookie: string | null = null
  let host: string | null = null
  let length: string | null = null
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    if (name.startsWith(':')) pseudo[name] = value
    else if (CONNECTION_FIELDS.has(name)) return new Refused(400, `HTTP/2 has no ${name}`)
    else if (name === 'te' && value.toLowerCase() !== 'trailers') return new Refused(400, 'TE may only be trailers')
    else if (name === 'cookie') {
      // Split for compression; one field again for HTTP/1.1 (RFC 9113 §8.2.3).
      cookie = cookie === null ? value : `${cookie}; ${value}`
    } else if (name === 'host') {
      if (host !== null) return new Refused(400, 'Host occurs twice')
      host = value
    } else if (name === 'expect') {
      if (value.toLowerCase() !== '100-continue') return new Refused(417, 'only 100-continue can be expected')
      reply.informational(100, [])
    } else {
      if (name === 'content-length') length = value
      fields.push(name, value)
    }
  }
  const method = pseudo[':method'] ?? ''
  const wrongMethod = methodFault(method)
  if (wrongMethod) return wrongMethod
  const named = parseAuthority(pseudo[':authority'] ?? host ?? '')
  if (named === null) return new Refused(400, 'the authority is not a host')
  if (host !== null && parseAuthority(host)?.authority !== named.authority)
    return new Refused(400, 'Host and :authority name different hosts')
  const target = pseudo[':path'] ?? ''
  if (target === '*' && method === 'OPTIONS') return new Refused(204, '')
  const wrongTarget = targetFault(target)
  if (wrongTarget) return wrongTarget
  if (Number(length ?? 0) > limits.bodyMaxBytes) return new Refused(413, `a body may have ${limits.bodyMaxBytes} bytes`)
  if (cookie !== null) fields.push('cookie', cookie)
  // Host stands first, as it does for HTTP/1.1.
  fields.unshift('host', named.authority)
  return {
    method,
    scheme: stream.session!.encrypted ? 'https' : 'http',
    ...named,
    target,
    version: '2',
    fields,
    client: peer,
    receivedAt: Date.now(),
    body: hasBody ? bounded(stream, limits.bodyMaxBytes, reply) : null,
  }
}

function bounded(stream: ServerHttp2Stream, maxBytes: number, reply: StreamReply): Transform {
  let bytes = 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes <= maxBytes) return done(null, chunk)
      reply.refuse(new Refused(413, `a body may have ${maxBytes} bytes`))
      done(new Error('the body is too large'))
    },
  })
  stream.on('aborted', () => counted.destroy(new Error('the client broke off')))
  stream.on('error', (fault) => counted.destroy(fault))
  counted.on('error', () => {})
  return stream.pipe(counted)
}

/** A Reply over one stream. */
class StreamReply implements Reply {
  readonly #stream: ServerHttp2Stream
  method = ''
  #owedBytes: number | null = null
  #closed = false
  #onClose: (() => void) | null = null
  #onDrain: (() => void) | null = null

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream
    stream.once('close', () => {
      this.#closed = true
      this.#onClose?.()
    })
    stream.on('drain', () => this.#onDrain?.())
  }

  get closed(): boolean {
    return this.#closed || this.#stream.destroyed
  }

  informational(status: number, fields: Fields): void {
    if (!this.closed && !this.#stream.headersSent)
      this.#stream.additionalHeaders({ ':status': status, ...grouped(fields) })
  }

  head(status: number, fields: Fields, bodyBytes: number | null): void {
    if (this.closed || this.#stream.headersSent) return
    const headers: IncomingHttpHeaders & Record<string, unknown> = grouped(fields)
    if (bodyBytes !== null && status !== 204) headers['content-length'] = String(bodyBytes)
    const bodyless = this.method === 'HEAD' || status === 204 || status === 304
    if (!bodyless) this.#owedBytes = bodyBytes
    this.#stream.respond({ ':status': status, ...headers }, { endStream: bodyless, sendDate: false } as object)
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.#stream.writableEnded) return true
    if (this.#owedBytes !== null) this.#owedBytes -= chunk.length
    return this.#stream.write(chunk)
  }

  end(): void {
    if (this.closed || this.#stream.writableEnded) return
    if (this.#owedBytes !== null && this.#owedBytes !== 0) this.abort()
    else this.#stream.end()
  }

  abort(): void {
    if (!this.closed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  onClose(callback: () => void): void {
    if (this.#closed) callback()
    else this.#onClose = callback
  }

  refuse(refused: Refused): void {
    if (this.closed) return
    if (this.#stream.headersSent) {
      this.abort()
      return
    }
    const body = refusalBody(refused)
    this.#stream.respond({ ':status': refused.status, ...grouped(refusalFields(refused, body.length)) }, {
      endStream: this.method === 'HEAD',
      sendDate: false,
    } as object)
    if (this.method !== 'HEAD') this.#stream.end(body)
  }
}

/** Fields as node:http2 takes them: equal names become one list, in order. */
function grouped(fields: Fields): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const known = out[name]
    out[name] =
      known === undefined ? fields[i + 1]! : Array.isArray(known) ? [...known, fields[i + 1]!] : [known, fields[i + 1]!]
  }
  return out
}
