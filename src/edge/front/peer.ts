/**
 * Who is at the other end of a connection: the socket's own address, or what a PROXY protocol header said before the
 * first byte (proxy-protocol.ts). Kept beside the socket so that both the fast and the exact way read the same.
 */
import type { Duplex } from 'node:stream'

export interface Peer {
  readonly address: string
  readonly port: number
}

const told = new WeakMap<object, Peer>()

/** Remembers what a trusted proxy said of a connection. */
export function setPeer(socket: Duplex, peer: Peer): void {
  told.set(socket, peer)
}

/** The client of a connection. An IPv4 address in IPv6 form is given as IPv4. */
export function peerOf(socket: Duplex): Peer {
  const known = told.get(socket)
  if (known !== undefined) return known
  const { remoteAddress = '', remotePort = 0 } = socket as Duplex & { remoteAddress?: string; remotePort?: number }
  const peer = {
    address: remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : remoteAddress,
    port: remotePort,
  }
  told.set(socket, peer)
  return peer
}
