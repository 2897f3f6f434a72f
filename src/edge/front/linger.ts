/**
 * How a connection ends when its client may still be sending: a close with unread bytes makes the kernel send a reset, and
 * that can take the last answer away from the client before it is read. So the edge ends its half, reads on into nothing
 * for a while, and closes when the client does (RFC 9112 §9.6).
 */
import type { Duplex } from 'node:stream'

/** How long a client may take to close after the last answer. */
const LINGER_MS = 2_000

/** Sends the last bytes, if any, and ends the connection. */
export function lingerAfter(socket: Duplex, lastBytes: Buffer | null): void {
  if (socket.destroyed) return
  if (socket.writable) {
    if (lastBytes === null) socket.end()
    else socket.end(lastBytes)
  }
  if (socket.readableEnded) return
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}
