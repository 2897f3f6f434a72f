/**
 * A day of samples of one meter in few bytes, exactly: bits are given out by sixteens. Traffic changes little from one slot
 * to the next, so of each sixteen values either the changes (zigzag) or the distances from the least one are kept, in as
 * many bits as the largest of them needs. A sample of both directions of a real link takes six to seven bytes; general
 * compression finds nothing more in it.
 *
 * Layout, little-endian: version (1 byte), slots (2), a bit for each slot that has a sample (left out when all have: the
 * version's top bit says so), then the samples in, then the samples out. A group of sixteen is a byte (bit 7: distances,
 * bits 0–5: width) and, for distances, six bytes of the least value; then its bits.
 */

const VERSION = 1
const GAPS = 0x80
const GROUP = 16
const DISTANCES = 0x80
const BASE_BYTES = 6
/** Octets of one slot that can be kept: 47 bits are 3.7 Tbit/s for five minutes. */
export const OCTETS_MAX = 2 ** 47 - 1
/** Of a change between the largest. */
const WIDTH_MAX = 48
/** Slots of one block: a day of minutes, an hour longer where clocks are set back. */
export const SLOTS_MAX = 1_500

/** Thrown for bytes that no `pack` wrote. */
export class NotPacked extends Error {}

/** A day as the rules want it: octets of each slot, NaN where there is no sample. A slot has both directions or neither. */
export interface DaySamples {
  in: Float64Array
  out: Float64Array
}

/** @throws RangeError for more slots or octets than can be kept, or what is no whole number */
export function pack({ in: inward, out: outward }: DaySamples): Buffer {
  const slots = inward.length
  if (slots > SLOTS_MAX || outward.length !== slots) throw new RangeError(`${slots} slots cannot be packed`)
  const present = new Uint8Array((slots + 7) >> 3)
  const values = [new Float64Array(slots), new Float64Array(slots)] as const
  let count = 0
  for (let i = 0; i < slots; i++) {
    const [a, b] = [inward[i]!, outward[i]!]
    if (Number.isNaN(a) && Number.isNaN(b)) continue
    if (!isOctets(a) || !isOctets(b)) throw new RangeError(`slot ${i} has ${a} and ${b} octets`)
    present[i >> 3]! |= 1 << (i & 7)
    values[0][count] = a
    values[1][count++] = b
  }
  // At worst each group keeps its values in full.
  const groups = 2 * Math.ceil(count / GROUP)
  const into = Buffer.alloc(3 + present.length + groups * (1 + BASE_BYTES + 2 * WIDTH_MAX) + 8)
  into[0] = count === slots ? VERSION : VERSION | GAPS
  into.writeUInt16LE(slots, 1)
  let at = 3
  if (count < slots) {
    into.set(present, at)
    at += present.length
  }
  for (const side of values) at = packSide(side.subarray(0, count), into, at)
  return into.subarray(0, at)
}

const isOctets = (value: number): boolean => Number.isInteger(value) && value >= 0 && value <= OCTETS_MAX

const bitsOf = (value: number): number => (value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(value / 2 ** 32))

function packSide(values: Float64Array, into: Buffer, start: number): number {
  let at = start
  let before = 0
  for (let from = 0; from < values.length; from += GROUP) {
    const to = Math.min(from + GROUP, values.length)
    let least = values[from]!
    let most = least
    let change = 0
    let previous = before
    for (let i = from; i < to; i++) {
      const value = values[i]!
      if (value < least) least = value
      if (value > most) most = value
      const step = value - previous
      const zigzag = step < 0 ? -2 * step - 1 : 2 * step
      if (zigzag > change) change = zigzag
      previous = value
    }
    const asChanges = bitsOf(change)
    const asDistances = bitsOf(most - least)
    const byDistance = asDistances * (to - from) + 8 * BASE_BYTES < asChanges * (to - from)
    const width = byDistance ? asDistances : asChanges
    into[at++] = byDistance ? width | DISTANCES : width
    if (byDistance) {
      into.writeUIntLE(least, at, BASE_BYTES)
      at += BASE_BYTES
    }
    let bit = 0
    previous = before
    for (let i = from; i < to; i++) {
      const step = values[i]! - previous
      putBits(into, at, bit, width, byDistance ? values[i]! - least : step < 0 ? -2 * step - 1 : 2 * step)
      bit += width
      previous = values[i]!
    }
    at += (bit + 7) >> 3
    before = previous
  }
  return at
}

function putBits(into: Buffer, at: number, bit: number, width: number, value: number): void {
  let left = width
  let rest = value
  let position = bit
  while (left > 0) {
    const shift = position & 7
    const taken = Math.min(8 - shift, left)
    const part = rest % (1 << taken)
    into[at + (position >> 3)]! |= part << shift
    rest = (rest - part) / (1 << taken)
    position += taken
    left -= taken
  }
}

/** How many slots a packed day has. */
export const slotsOf = (packed: Buffer): number => packed.readUInt16LE(1)

/**
 * Unpacks a day into series from `offset` on; slots without a sample become NaN.
 * @returns how many samples there are
 * @throws NotPacked
 */
export function unpackInto(packed: Buffer, into: DaySamples, offset: number): number {
  if (packed.length < 3 || (packed[0]! & ~GAPS) !== VERSION) throw new NotPacked('this is no packed day')
  if (packed.length > scratch.length - 8) throw new NotPacked('a packed day is not so long')
  scratch.set(packed)
  const slots = packed.readUInt16LE(1)
  let at = 3
  const whole = (packed[0]! & GAPS) === 0
  let count = slots
  const mask = packed.subarray(at, at + ((slots + 7) >> 3))
  if (!whole) {
    if (mask.length < (slots + 7) >> 3) throw new NotPacked('a packed day ends early')
    at += mask.length
    count = 0
    for (let i = 0; i < slots; i++) count += (mask[i >> 3]! >> (i & 7)) & 1
  }
  for (const side of [into.in, into.out]) {
    at = unpackSide(packed.length, at, count, side, offset)
    if (whole) continue
    // The samples lie close together at the front: spread them from the back.
    for (let slot = slots - 1, next = count - 1; slot >= 0; slot--)
      side[offset + slot] = (mask[slot >> 3]! >> (slot & 7)) & 1 ? side[offset + next--]! : Number.NaN
  }
  if (at !== packed.length) throw new NotPacked(`a packed day of ${packed.length} bytes ends at ${at}`)
  return count
}

export function unpack(packed: Buffer): DaySamples {
  const slots = slotsOf(packed)
  const day = { in: new Float64Array(slots), out: new Float64Array(slots) }
  unpackInto(packed, day, 0)
  return day
}

/** The day that is being unpacked, with room behind its end: reads of whole words never leave it. */
const scratch = new Uint8Array(32 * 1_024)

function unpackSide(length: number, start: number, count: number, into: Float64Array, offset: number): number {
  let at = start
  let value = 0
  for (let from = 0; from < count; from += GROUP) {
    const to = Math.min(from + GROUP, count)
    if (at >= length) throw new NotPacked('a packed day ends early')
    const head = scratch[at++]!
    const width = head & 0x3f
    const distances = head >= DISTANCES
    let least = 0
    if (distances) {
      for (let i = BASE_BYTES - 1; i >= 0; i--) least = least * 256 + scratch[at + i]!
      at += BASE_BYTES
    }
    const end = at + ((width * (to - from) + 7) >> 3)
    if (end > length || width > WIDTH_MAX) throw new NotPacked('a packed day ends early')
    // The bits of a value come in one word of 24, or in two; the lowest is the sign of a change.
    const lowMask = width >= 24 ? 0xffffff : (1 << width) - 1
    const highMask = width > 24 ? (1 << (width - 24)) - 1 : 0
    let bit = at << 3
    for (let i = from; i < to; i++) {
      const low = word(bit) & lowMask
      const read = highMask === 0 ? low : low + (word(bit + 24) & highMask) * 0x1000000
      bit += width
      if (distances) value = least + read
      else value += (low & 1) === 0 ? read * 0.5 : (read + 1) * -0.5
      into[offset + i] = value
    }
    at = end
  }
  return at
}

/** At least 25 bits from a bit on. */
function word(bit: number): number {
  const at = bit >> 3
  return (scratch[at]! | (scratch[at + 1]! << 8) | (scratch[at + 2]! << 16) | (scratch[at + 3]! << 24)) >>> (bit & 7)
}
