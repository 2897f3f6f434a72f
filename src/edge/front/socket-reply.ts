/**
 * A Reply straight on a socket, for requests that the scanner read whole: HTTP/1.1 without a body, so the connection stays
 * where it is when the answer is over. Head and first bytes leave in one write; a body of unknown length is chunked
 * (RFC 9112 §7.1).
 */
import type { Socket } from 'node:net'
import type { Fields, Reply } from '../message.ts'
import { render } from './prepared.ts'

/** Pieces up to this are copied behind the text before them: cheaper than a vector for the kernel. */
const JOIN_MAX_BYTES = 16 * 1024

/** Bytes that must never stand in a head that is sent. */
const UNSAFE = /[^\t\x20-\x7e\x80-\xff]/

export class SocketReply implements Reply {
  readonly #socket: Socket
  readonly #bodyless: boolean
  /** Told once when the answer is out of the flow's hands. */
  readonly #over: () => void
  readonly #closing: () => boolean
  #chunked = false
  #owedBytes: number | null = null
  #headSent = false
  #ended = false
  /** Text that leaves with the next bytes, or at the end of this turn of the event loop. */
  #waiting = ''
  /** The connection ends with this answer. */
  last = false
  closed = false
  #onDrain: (() => void) | null = null
  #onClose: (() => void) | null = null

  constructor(socket: Socket, isHead: boolean, closing: () => boolean, over: () => void) {
    this.#socket = socket
    this.#bodyless = isHead
    this.#closing = closing
    this.#over = over
  }

  informational(status: number, fields: Fields): void {
    if (this.closed || this.#headSent || !isSafe(fields)) return
    this.#socket.write(`${render(status, fields)}\r\n`, 'latin1')
  }

  head(status: number, fields: Fields, bodyBytes: number | null): void {
    if (this.closed || this.#headSent) return
    if (!isSafe(fields)) {
      this.abort()
      return
    }
    this.#headSent = true
    let text = render(status, fields)
    const bodyless = this.#bodyless || status === 204 || status === 304
    if (bodyBytes !== null && status !== 204) text += `content-length: ${bodyBytes}\r\n`
    if (this.#closing()) {
      this.last = true
      text += 'connection: close\r\n'
    }
    if (bodyless) this.#owedBytes = 0
    else if (bodyBytes === null) {
      this.#chunked = true
      text += 'transfer-encoding: chunked\r\n'
    } else this.#owedBytes = bodyBytes
    this.#waiting = `${text}\r\n`
    process.nextTick(this.#flush)
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.#ended || chunk.length === 0) return true
    if (this.#chunked) return this.#writeParts(`${chunk.length.toString(16)}\r\n`, chunk, '\r\n')
    if (this.#owedBytes === null || chunk.length > this.#owedBytes) {
      // More than was announced: nothing that follows could be told from the next answer.
      if (this.#owedBytes !== 0) this.abort()
      return true
    }
    this.#owedBytes -= chunk.length
    return this.#writeParts('', chunk, '')
  }

  /** What waits, and a piece of body in its framing: in one buffer when it is small, else in one system call. */
  #writeParts(before: string, chunk: Uint8Array, after: string): boolean {
    const start = this.#waiting + before
    this.#waiting = ''
    if (start === '' && after === '') return this.#socket.write(chunk)
    if (chunk.length <= JOIN_MAX_BYTES) {
      const joined = Buffer.allocUnsafe(start.length + chunk.length + after.length)
      joined.write(start, 0, 'latin1')
      joined.set(chunk, start.length)
      joined.write(after, start.length + chunk.length, 'latin1')
      return this.#socket.write(joined)
    }
    this.#socket.cork()
    this.#socket.write(start, 'latin1')
    let more = this.#socket.write(chunk)
    if (after !== '') more = this.#socket.write(after, 'latin1')
    this.#socket.uncork()
    return more
  }

  end(): void {
    if (this.closed || this.#ended) return
    if (!this.#headSent || (this.#owedBytes !== null && this.#owedBytes !== 0)) {
      this.abort()
      return
    }
    this.#ended = true
    if (this.#chunked) this.#waiting += '0\r\n\r\n'
    this.#flush()
    if (this.#socket.writableLength === 0) this.#close()
    else this.#socket.write('', () => this.#close())
    this.#over()
  }

  abort(): void {
    if (this.closed) return
    this.#flush()
    // A reset, so that nobody takes what came for the whole; TLS tells by the missing close_notify.
    if ('encrypted' in this.#socket) this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  onDrain(callback: () => void): void {
    this.#onDrain = callback
  }

  onClose(callback: () => void): void {
    if (this.closed) callback()
    else this.#onClose = callback
  }

  /** The socket can take more. */
  drained(): void {
    if (!this.#ended) this.#onDrain?.()
  }

  /** The socket is gone. */
  lost(): void {
    this.#close()
  }

  #close(): void {
    if (this.closed) return
    this.closed = true
    this.#onClose?.()
  }

  /** Sends a head that no body came with. */
  readonly #flush = (): void => {
    if (this.#waiting === '' || this.#socket.destroyed) return
    const text = this.#waiting
    this.#waiting = ''
    this.#socket.write(text, 'latin1')
  }
}

/** True when no name or value could end a line or a head. */
export function isSafe(fields: Fields): boolean {
  for (const part of fields) if (UNSAFE.test(part)) return false
  return true
}
