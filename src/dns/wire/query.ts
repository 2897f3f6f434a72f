/**
 * A query read strictly (RFC 1035 §4, RFC 6891, RFC 7871, RFC 7873, RFC 5001). One object is read into again and again, so that the
 * hot path makes nothing. The reader only ever refuses: whatever it does not know whole is a fault, never a guess.
 */
import { type AddressWords, noAddress } from './addresses.ts'
import { OPTION, RCODE, TYPE } from './codes.ts'
import { HASH_FACTOR, HASH_START, NAME_BYTES } from './names.ts'

/** Read in full and asks for something. */
export const READ = 0
/** Not to be answered at all: an answer, or too short to be anything (RFC 1035 §7.3 against loops of errors). */
export const DROP = -1

const HEADER_BYTES = 12
/** Below this every client can take (RFC 6891 §6.2.3). */
const PLAIN_UDP_BYTES = 512

export class Query {
  id = 0
  /** The second 16 bits of the header as they came. */
  flags = 0
  /** Where the question ends in the datagram; 0 when there is none that can be repeated. */
  questionEnd = 0
  /** The name asked for, lower case. */
  readonly name = new Uint8Array(NAME_BYTES)
  nameLength = 0
  hash = 0
  type = 0
  class = 0

  hasEdns = false
  udpBytes = PLAIN_UDP_BYTES
  dnssecOk = false
  /** RFC 9824 §5: takes a signed denial with the code NXDOMAIN. */
  compactOk = false
  wantsIdentity = false
  wantsKeepalive = false

  hasSubnet = false
  /** 1, 2, or 0 with source 0. */
  subnetFamily = 0
  sourceLength = 0
  readonly subnet: AddressWords = noAddress()

  /** 0: none; otherwise 8, or 16 to 40 with a server's part. */
  cookieLength = 0
  readonly cookie = new Uint8Array(40)

  /** READ, DROP, or the code of the fault to answer with. */
  read(bytes: Uint8Array, length: number): number {
    this.questionEnd = 0
    this.nameLength = 0
    this.type = 0
    this.class = 0
    this.hasEdns = false
    this.udpBytes = PLAIN_UDP_BYTES
    this.dnssecOk = false
    this.compactOk = false
    this.wantsIdentity = false
    this.wantsKeepalive = false
    this.hasSubnet = false
    this.cookieLength = 0
    if (length < HEADER_BYTES) return DROP
    const flags = (bytes[2]! << 8) | bytes[3]!
    if (flags & 0x8000) return DROP
    this.id = (bytes[0]! << 8) | bytes[1]!
    this.flags = flags
    const opcode = (flags >> 11) & 15
    const additional = (bytes[10]! << 8) | bytes[11]!
    // One question, nothing in the answer and authority sections, at most OPT behind it.
    if (opcode !== 0) return RCODE.NOTIMP
    if (bytes[4] !== 0 || bytes[5] !== 1 || (bytes[6]! | bytes[7]! | bytes[8]! | bytes[9]!) !== 0 || additional > 1)
      return RCODE.FORMERR

    let at = HEADER_BYTES
    let hash = HASH_START
    const { name } = this
    for (;;) {
      if (at >= length) return RCODE.FORMERR
      const label = bytes[at]!
      // Compression has nothing to point back to in a question; 0x40 and 0x80 were never given out.
      if (label > 63 || at - HEADER_BYTES + label + 1 >= NAME_BYTES + (label === 0 ? 1 : 0)) return RCODE.FORMERR
      name[at - HEADER_BYTES] = label
      hash = Math.imul(hash ^ label, HASH_FACTOR)
      at++
      if (label === 0) break
      const end = at + label
      if (end >= length) return RCODE.FORMERR
      for (; at < end; at++) {
        let code = bytes[at]!
        if (code >= 0x41 && code <= 0x5a) code += 32
        name[at - HEADER_BYTES] = code
        hash = Math.imul(hash ^ code, HASH_FACTOR)
      }
    }
    this.nameLength = at - HEADER_BYTES
    this.hash = hash
    if (at + 4 > length) return RCODE.FORMERR
    this.type = (bytes[at]! << 8) | bytes[at + 1]!
    this.class = (bytes[at + 2]! << 8) | bytes[at + 3]!
    at += 4
    this.questionEnd = at
    if (additional === 0) return at === length ? READ : RCODE.FORMERR
    return this.#readOpt(bytes, at, length)
  }

  #readOpt(bytes: Uint8Array, start: number, length: number): number {
    let at = start
    if (at + 11 > length || bytes[at] !== 0 || bytes[at + 1] !== 0 || bytes[at + 2] !== TYPE.OPT) return RCODE.FORMERR
    this.hasEdns = true
    const udpBytes = (bytes[at + 3]! << 8) | bytes[at + 4]!
    this.udpBytes = udpBytes < PLAIN_UDP_BYTES ? PLAIN_UDP_BYTES : udpBytes
    const version = bytes[at + 6]!
    this.dnssecOk = (bytes[at + 7]! & 0x80) !== 0
    this.compactOk = (bytes[at + 7]! & 0x40) !== 0
    const end = at + 11 + ((bytes[at + 9]! << 8) | bytes[at + 10]!)
    at += 11
    if (end !== length) return RCODE.FORMERR
    if (version !== 0) return RCODE.BADVERS
    while (at < end) {
      if (at + 4 > end) return RCODE.FORMERR
      const code = (bytes[at]! << 8) | bytes[at + 1]!
      const size = (bytes[at + 2]! << 8) | bytes[at + 3]!
      at += 4
      if (at + size > end) return RCODE.FORMERR
      if (code === OPTION.CLIENT_SUBNET) {
        if (this.hasSubnet || !this.#readSubnet(bytes, at, size)) return RCODE.FORMERR
      } else if (code === OPTION.COOKIE) {
        // RFC 7873 §5.2.2: any other length is a fault.
        if ((size !== 8 && (size < 16 || size > 40)) || this.cookieLength > 0) return RCODE.FORMERR
        for (let each = 0; each < size; each++) this.cookie[each] = bytes[at + each]!
        this.cookieLength = size
      } else if (code === OPTION.NSID) this.wantsIdentity = true
      else if (code === OPTION.KEEPALIVE) this.wantsKeepalive = true
      at += size
    }
    return READ
  }

  /** RFC 7871 §6: as many bytes as the length asks for, zero beyond it, scope 0 in a query. */
  #readSubnet(bytes: Uint8Array, at: number, size: number): boolean {
    if (size < 4) return false
    const family = (bytes[at]! << 8) | bytes[at + 1]!
    const source = bytes[at + 2]!
    if (bytes[at + 3] !== 0) return false
    const most = family === 1 ? 32 : family === 2 ? 128 : 0
    const octets = (source + 7) >> 3
    if (source > most || size !== 4 + octets || family > 2) return false
    if ((source & 7) !== 0 && (bytes[at + 3 + octets]! & (0xff >> (source & 7))) !== 0) return false
    const from = at + 4
    const { subnet } = this
    const octet = (index: number) => (index < octets ? bytes[from + index]! : 0)
    const word = (index: number) =>
      ((octet(index) << 24) | (octet(index + 1) << 16) | (octet(index + 2) << 8) | octet(index + 3)) >>> 0
    subnet.isV6 = family === 2
    subnet.a = word(0)
    if (family === 2) {
      subnet.b = word(4)
      subnet.c = word(8)
      subnet.d = word(12)
    } else subnet.b = subnet.c = subnet.d = 0
    this.hasSubnet = true
    this.subnetFamily = family
    this.sourceLength = source
    return true
  }
}
