/** Addresses as numbers: four 32-bit words, of which IPv4 uses the first. What the hot path compares, masks and hashes. */

export interface AddressWords {
  isV6: boolean
  a: number
  b: number
  c: number
  d: number
}

export const noAddress = (): AddressWords => ({ isV6: false, a: 0, b: 0, c: 0, d: 0 })

/** Reads `192.0.2.7` or `2001:db8::7` (or an IPv4 address mapped into IPv6, as IPv4) into `into`; false: no address. */
export function readAddress(text: string, into: AddressWords): boolean {
  if (text.indexOf(':') < 0) {
    const value = readV4(text, 0)
    if (value < 0) return false
    into.isV6 = false
    into.a = value
    into.b = into.c = into.d = 0
    return true
  }
  return readV6(text, into)
}

/** The number, or -1. */
function readV4(text: string, start: number): number {
  let value = 0
  let part = -1
  let parts = 0
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x2e) {
      if (part < 0) return -1
      value = value * 256 + part
      part = -1
      parts++
    } else if (code >= 0x30 && code <= 0x39) {
      part = (part < 0 ? 0 : part * 10) + code - 0x30
      if (part > 255) return -1
    } else return -1
  }
  return parts === 3 && part >= 0 ? value * 256 + part : -1
}

function readV6(text: string, into: AddressWords): boolean {
  const zone = text.indexOf('%')
  let rest = zone < 0 ? text : text.slice(0, zone)
  const groups: number[] = []
  const dotted = rest.lastIndexOf(':') + 1
  if (rest.indexOf('.', dotted) > 0) {
    const value = readV4(rest, dotted)
    if (value < 0) return false
    rest = `${rest.slice(0, dotted)}${Math.floor(value / 65_536).toString(16)}:${(value % 65_536).toString(16)}`
  }
  const halves = rest.split('::')
  if (halves.length > 2) return false
  const parse = (half: string): boolean =>
    half === '' ||
    half.split(':').every((group) => /^[0-9a-fA-F]{1,4}$/.test(group) && groups.push(Number.parseInt(group, 16)) > 0)
  if (!parse(halves[0]!)) return false
  if (halves.length === 2) {
    const head = groups.length
    if (!parse(halves[1]!) || groups.length > 7) return false
    groups.splice(head, 0, ...new Array(8 - groups.length).fill(0))
  }
  if (groups.length !== 8) return false
  const word = (at: number) => groups[at]! * 65_536 + groups[at + 1]!
  if (word(0) === 0 && word(2) === 0 && word(4) === 0xffff) {
    into.isV6 = false
    into.a = word(6)
    into.b = into.c = into.d = 0
    return true
  }
  into.isV6 = true
  into.a = word(0)
  into.b = word(2)
  into.c = word(4)
  into.d = word(6)
  return true
}

export function addressText({ isV6, a, b, c, d }: AddressWords): string {
  if (!isV6) return `${a >>> 24}.${(a >>> 16) & 255}.${(a >>> 8) & 255}.${a & 255}`
  const groups = [a, b, c, d].flatMap((word) => [word >>> 16, word & 0xffff])
  let best = { at: -1, length: 1 }
  for (let at = 0; at < 8; at++) {
    let length = 0
    while (groups[at + length] === 0) length++
    if (length > best.length) best = { at, length }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  return best.at < 0 ? hex(groups) : `${hex(groups.slice(0, best.at))}::${hex(groups.slice(best.at + best.length))}`
}

/** The bytes of the wire: 4 or 16. */
export function addressBytes({ isV6, a, b, c, d }: AddressWords): Uint8Array {
  const bytes = Buffer.alloc(isV6 ? 16 : 4)
  bytes.writeUInt32BE(a, 0)
  if (isV6) {
    bytes.writeUInt32BE(b, 4)
    bytes.writeUInt32BE(c, 8)
    bytes.writeUInt32BE(d, 12)
  }
  return bytes
}

/** The first `length` bits of a word kept. */
export const maskWord = (word: number, length: number): number =>
  length <= 0 ? 0 : length >= 32 ? word : (word & (0xffffffff << (32 - length))) >>> 0

/** Keeps the first `length` bits and clears the rest. */
export function mask(address: AddressWords, length: number): void {
  address.a = maskWord(address.a, length)
  address.b = maskWord(address.b, length - 32)
  address.c = maskWord(address.c, length - 64)
  address.d = maskWord(address.d, length - 96)
}

export interface Prefix {
  address: AddressWords
  length: number
}

/** `203.0.113.0/24`; a bare address is a prefix of itself. Null where it is none, or where bits stand beyond its length. */
export function readPrefix(text: string): Prefix | null {
  const slash = text.indexOf('/')
  const address = noAddress()
  if (!readAddress(slash < 0 ? text : text.slice(0, slash), address)) return null
  const most = address.isV6 ? 128 : 32
  const length = slash < 0 ? most : Number(text.slice(slash + 1))
  if (!Number.isInteger(length) || length < 0 || length > most || (slash >= 0 && slash + 1 === text.length)) return null
  const { a, b, c, d } = address
  mask(address, length)
  return a === address.a && b === address.b && c === address.c && d === address.d ? { address, length } : null
}
