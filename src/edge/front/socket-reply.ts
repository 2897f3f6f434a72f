/**
 * A Reply straight on a socket, for requests that the scanner read whole: HTTP/1.1 without a body, so the connection stays
 * where it is when the answer is over. Head and first bytes leave in one write; a body of unknown length is chunked
 * (RFC 9112 §7.1).
 */
import type { Socket } from 'node:net'
import type { Fields, Reply } from '../message.ts'
import { render } from './prepared.ts'

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
  #corked = false
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
    this.#cork()
    this.#socket.write(`${text}\r\n`, 'latin1')
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed || this.#ended || chunk.length === 0) return true
    if (this.#owedBytes !== null) {
      if (chunk.length > this.#owedBytes) {
        if (this.#owedBytes > 0) this.abort()
        return true
      }
      this.#owedBytes -= chunk.length
      return this.#socket.write(chunk)
    }
    this.#cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    return this.#socket.write('\r\n', 'latin1')
  }

  end(): void {
    if (this.closed || this.#ended) return
    if (!this.#headSent || (this.#owedBytes !== null && this.#owedBytes !== 0)) {
      this.abort()
      return
    }
    this.#ended = true
    if (this.#chunked) this.#socket.write('0\r\n\r\n', 'latin1')
    this.#uncork()
    if (this.#socket.writableLength === 0) this.#close()
    else this.#socket.write('', () => this.#close())
    this.#over()
  }

  abort(): void {
    if (this.closed) return
    this.#uncork()
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

  /** What is written in one turn of the event loop leaves together. */
  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => this.#uncork())
  }

  #uncork(): void {
    if (!this.#corked) return
    this.#corked = false
    this.#socket.uncork()
  }
}

/** True when no name or value could end a line or a head. */
export function isSafe(fields: Fields): boolean {
  for (const part of fields) if (UNSAFE.test(part)) return false
  return true
}
