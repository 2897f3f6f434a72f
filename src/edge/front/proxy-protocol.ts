/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a load balancer says of the client before the
 * first byte. Pure; a header that is not exactly one is `bad`, since the address it gives is what limits and logs rely on.
 */
import { isIPv4, isIPv6 } from 'node:net'
import type { Peer } from './peer.ts'

export type ProxyHeader =
  | { kind: 'more' }
  | { kind: 'bad' }
  /** `peer` null: the balancer speaks for itself (LOCAL, UNKNOWN); `bytes` is the length of the header. */
  | { kind: 'whole'; bytes: number; peer: Peer | null }

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** §2.1: the longest line with its CRLF. */
const LINE_MAX_BYTES = 107
/** Addresses and additional values of version 2; more than any balancer sends. */
const BLOCK_MAX_BYTES = 2_048
const FIXED_BYTES = 16

const MORE: ProxyHeader = { kind: 'more' }
const BAD: ProxyHeader = { kind: 'bad' }

export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return MORE
  return bytes[0] === SIGNATURE[0] ? binary(bytes) : line(bytes)
}

function line(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LINE_MAX_BYTES).indexOf('\r\n')
  const start = 'PROXY '
  if (!start.startsWith(bytes.toString('latin1', 0, Math.min(bytes.length, start.length)))) return BAD
  if (end < 0) return bytes.length >= LINE_MAX_BYTES ? BAD : MORE
  const parts = bytes.toString('latin1', 0, end).split(' ')
  if (parts[1] === 'UNKNOWN') return { kind: 'whole', bytes: end + 2, peer: null }
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = ''] = parts
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : null
  if (isAddress === null || parts.length !== 6 || !isAddress(source) || !isAddress(destination)) return BAD
  if (!isPort(sourcePort) || !isPort(destinationPort)) return BAD
  return { kind: 'whole', bytes: end + 2, peer: { address: source, port: Number(sourcePort) } }
}

const isPort = (text: string): boolean => /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535

function binary(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, SIGNATURE.length)
  if (!bytes.subarray(0, known).equals(SIGNATURE.subarray(0, known))) return BAD
  if (bytes.length < FIXED_BYTES) return MORE
  const command = bytes[12]!
  const family = bytes[13]!
  const blockBytes = bytes.readUInt16BE(14)
  if (command >> 4 !== 2 || (command & 15) > 1 || blockBytes > BLOCK_MAX_BYTES) return BAD
  const length = FIXED_BYTES + blockBytes
  if (bytes.length < length) return MORE
  // LOCAL, or a family that has no address for us.
  if ((command & 15) === 0) return { kind: 'whole', bytes: length, peer: null }
  if (family === 0x11) {
    if (blockBytes < 12) return BAD
    return {
      kind: 'whole',
      bytes: length,
      peer: { address: [...bytes.subarray(16, 20)].join('.'), port: bytes.readUInt16BE(24) },
    }
  }
  if (family === 0x21) {
    if (blockBytes < 36) return BAD
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + 2 * i).toString(16))
    return { kind: 'whole', bytes: length, peer: { address: groups.join(':'), port: bytes.readUInt16BE(48) } }
  }
  return { kind: 'whole', bytes: length, peer: null }
}
