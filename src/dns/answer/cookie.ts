/**
 * DNS cookies (RFC 7873) in the form that all servers of an anycast address share (RFC 9018): version, time, and SipHash-2-4 over the
 * client's part, those, and its address. A client that brings one back has shown that it is where it says.
 */
import type { AddressWords } from '../wire/addresses.ts'

const CLIENT_BYTES = 8
export const COOKIE_BYTES = 24
const VERSION = 1
/** RFC 9018 §4.3: taken for an hour, and a little ahead for clocks that differ. */
const OLDEST_SECONDS = 3_600
const AHEAD_SECONDS = 300

export class Cookies {
  readonly #key: Uint32Array
  readonly #input = new Uint8Array(32)

  constructor(secret: Uint8Array) {
    this.#key = new Uint32Array(4)
    for (let at = 0; at < 4; at++) this.#key[at] = wordAt(secret, at * 4)
  }

  /** Is the server's part of this cookie ours, of this client, and of late? */
  isGood(cookie: Uint8Array, length: number, client: AddressWords, nowSeconds: number): boolean {
    if (length !== COOKIE_BYTES || cookie[CLIENT_BYTES] !== VERSION) return false
    const madeAt = ((cookie[12]! << 24) | (cookie[13]! << 16) | (cookie[14]! << 8) | cookie[15]!) >>> 0
    const age = (nowSeconds - madeAt) | 0
    if (age > OLDEST_SECONDS || age < -AHEAD_SECONDS) return false
    this.#hash(cookie, madeAt, client)
    let differ = 0
    for (let at = 0; at < 8; at++) differ |= cookie[16 + at]! ^ (((at < 4 ? low : high) >>> ((at & 3) * 8)) & 255)
    return differ === 0
  }

  /** Writes a fresh cookie for the client's part into `out`. */
  write(cookie: Uint8Array, client: AddressWords, nowSeconds: number, out: Uint8Array, at: number): void {
    this.#hash(cookie, nowSeconds, client)
    for (let each = 0; each < CLIENT_BYTES; each++) out[at + each] = cookie[each]!
    out[at + 8] = VERSION
    out[at + 9] = out[at + 10] = out[at + 11] = 0
    for (let each = 0; each < 4; each++) {
      out[at + 12 + each] = (nowSeconds >>> (24 - each * 8)) & 255
      out[at + 16 + each] = (low >>> (each * 8)) & 255
      out[at + 20 + each] = (high >>> (each * 8)) & 255
    }
  }

  #hash(cookie: Uint8Array, time: number, { isV6, a, b, c, d }: AddressWords): void {
    const input = this.#input
    for (let at = 0; at < CLIENT_BYTES; at++) input[at] = cookie[at]!
    input[8] = VERSION
    input[9] = input[10] = input[11] = 0
    putWord(input, 12, time)
    putWord(input, 16, a)
    if (isV6) {
      putWord(input, 20, b)
      putWord(input, 24, c)
      putWord(input, 28, d)
    }
    sipHash(this.#key, input, isV6 ? 32 : 20)
  }
}

const putWord = (bytes: Uint8Array, at: number, word: number): void => {
  bytes[at] = word >>> 24
  bytes[at + 1] = (word >>> 16) & 255
  bytes[at + 2] = (word >>> 8) & 255
  bytes[at + 3] = word & 255
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0

/** The result of the last hash, as two halves: 64-bit numbers would be made anew each time. */
let low = 0
let high = 0

/** State v0 to v3, each low and high. */
const v = new Uint32Array(8)

/** SipHash-2-4 of up to a few dozen bytes; little-endian as its paper has it. Leaves `low` and `high`. */
export function sipHash(key: Uint32Array, bytes: Uint8Array, length: number): readonly [low: number, high: number] {
  v[0] = key[0]! ^ 0x70736575
  v[1] = key[1]! ^ 0x736f6d65
  v[2] = key[2]! ^ 0x6e646f6d
  v[3] = key[3]! ^ 0x646f7261
  v[4] = key[0]! ^ 0x6e657261
  v[5] = key[1]! ^ 0x6c796765
  v[6] = key[2]! ^ 0x79746573
  v[7] = key[3]! ^ 0x74656462
  const whole = length & ~7
  for (let at = 0; at < whole; at += 8) compress(wordAt(bytes, at), wordAt(bytes, at + 4))
  let lastLow = 0
  let lastHigh = (length & 255) << 24
  for (let at = whole; at < length; at++) {
    if (at - whole < 4) lastLow |= bytes[at]! << ((at - whole) * 8)
    else lastHigh |= bytes[at]! << ((at - whole - 4) * 8)
  }
  compress(lastLow, lastHigh)
  v[4]! ^= 0xff
  for (let each = 0; each < 4; each++) round()
  low = (v[0]! ^ v[2]! ^ v[4]! ^ v[6]!) >>> 0
  high = (v[1]! ^ v[3]! ^ v[5]! ^ v[7]!) >>> 0
  return [low, high]
}

function compress(low: number, high: number): void {
  v[6]! ^= low
  v[7]! ^= high
  round()
  round()
  v[0]! ^= low
  v[1]! ^= high
}

function round(): void {
  add(0, 2)
  rotate(2, 13)
  v[2]! ^= v[0]!
  v[3]! ^= v[1]!
  swap(0)
  add(4, 6)
  rotate(6, 16)
  v[6]! ^= v[4]!
  v[7]! ^= v[5]!
  add(0, 6)
  rotate(6, 21)
  v[6]! ^= v[0]!
  v[7]! ^= v[1]!
  add(4, 2)
  rotate(2, 17)
  v[2]! ^= v[4]!
  v[3]! ^= v[5]!
  swap(4)
}

function add(to: number, from: number): void {
  const sum = v[to]! + v[from]!
  v[to] = sum
  v[to + 1] = v[to + 1]! + v[from + 1]! + (sum > 0xffffffff ? 1 : 0)
}

function rotate(at: number, bits: number): void {
  const low = v[at]!
  const high = v[at + 1]!
  v[at] = (low << bits) | (high >>> (32 - bits))
  v[at + 1] = (high << bits) | (low >>> (32 - bits))
}

/** Rotates by 32. */
function swap(at: number): void {
  const low = v[at]!
  v[at] = v[at + 1]!
  v[at + 1] = low
}
