/**
 * Names in wire form (RFC 1035 §3.1): labels with their lengths, a zero at the end, at most 255 bytes. Inside Izumi a name is
 * always absolute and in lower case (RFC 4343); only the question goes back with the letters it came with.
 */

export const ROOT = Uint8Array.of(0)
export const NAME_BYTES = 255
const LABEL_BYTES = 63

/** `www.shop.example` → wire, lower case; `origin` is added where the text does not end in a dot. Null: no name. */
export function toWire(text: string, origin: Uint8Array = ROOT): Uint8Array | null {
  if (text === '.') return ROOT
  if (text === '@') return origin
  const bytes: number[] = []
  let label: number[] = []
  let isAbsolute = false
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at)
    if (code === 0x2e) {
      if (label.length === 0 || label.length > LABEL_BYTES) return null
      bytes.push(label.length, ...label)
      label = []
      isAbsolute = at === text.length - 1
      continue
    }
    if (code === 0x5c) {
      const decimal = /^\d{3}/.exec(text.slice(at + 1, at + 4))
      code = decimal ? Number(decimal[0]) : text.charCodeAt(at + 1)
      at += decimal ? 3 : 1
    }
    if (!(code <= 0xff)) return null
    label.push(lower(code))
  }
  if (label.length > LABEL_BYTES) return null
  if (label.length > 0) bytes.push(label.length, ...label)
  if (bytes.length === 0) return null
  const tail = isAbsolute ? ROOT : origin
  if (bytes.length + tail.length > NAME_BYTES) return null
  return Uint8Array.from([...bytes, ...tail])
}

/** Wire → `www.shop.example.` with escapes where needed. */
export function toText(wire: Uint8Array): string {
  if (wire[0] === 0) return '.'
  let text = ''
  for (let at = 0; wire[at] !== 0; at += wire[at]! + 1) {
    for (let each = at + 1; each <= at + wire[at]!; each++) {
      const code = wire[each]!
      if (code === 0x2e || code === 0x5c || code === 0x22) text += `\\${String.fromCharCode(code)}`
      else if (code > 0x20 && code < 0x7f) text += String.fromCharCode(code)
      else text += `\\${String(code).padStart(3, '0')}`
    }
    text += '.'
  }
  return text
}

export const lower = (code: number): number => (code >= 0x41 && code <= 0x5a ? code + 32 : code)

/** The name without its first label; of the root null. */
export const parent = (wire: Uint8Array): Uint8Array | null => (wire[0] === 0 ? null : wire.subarray(wire[0]! + 1))

/** Labels without the root and, as RFC 4034 §3.1.3 counts them, without a leading `*`. */
export function labels(wire: Uint8Array): number {
  let count = 0
  for (let at = 0; wire[at] !== 0; at += wire[at]! + 1) count++
  return wire[0] === 1 && wire[1] === 0x2a ? count - 1 : count
}

export function isUnder(wire: Uint8Array, apex: Uint8Array): boolean {
  for (let at = 0; wire.length - at >= apex.length; at += wire[at]! + 1) {
    if (wire.length - at === apex.length) return same(wire.subarray(at), apex)
    if (wire[at] === 0) return false
  }
  return false
}

export const same = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0

/** FNV-1a over a name's wire form, as the table of names is keyed. */
export function hashName(wire: Uint8Array, start = 0): number {
  let hash = HASH_START
  for (let at = start; at < wire.length; at++) hash = Math.imul(hash ^ wire[at]!, HASH_FACTOR)
  return hash
}
export const HASH_START = 0x811c9dc5 | 0
export const HASH_FACTOR = 0x01000193

/** What of it stands in a Map. */
export const nameKey = (wire: Uint8Array): string =>
  Buffer.from(wire.buffer, wire.byteOffset, wire.length).toString('latin1')
