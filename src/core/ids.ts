/**
 * Identifiers. UUID version 7 (RFC 9562 section 5.7): the first 48 bits are milliseconds since the epoch, so that rows
 * made one after the other lie side by side in an index; 12 bits of counter keep the order inside a millisecond.
 */
import { createHash, randomBytes } from 'node:crypto'

const POOL_BYTES = 8 * 1_024
let pool = randomBytes(POOL_BYTES)
let used = 0
let lastMs = 0
let counter = 0
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** A new time-ordered identifier, unique over all processes. */
export function newId(now: number = Date.now()): string {
  if (used + 8 > POOL_BYTES) {
    pool = randomBytes(POOL_BYTES)
    used = 0
  }
  if (now > lastMs) {
    lastMs = now
    counter = pool[used]! & 0x7f
  } else if (++counter > 0xfff) {
    lastMs += 1
    counter = 0
  }
  const high = Math.floor(lastMs / 0x1_0000)
  const low = lastMs & 0xffff
  const random = pool.subarray(used, used + 8)
  used += 8
  const bytes = [
    (high >>> 24) & 255,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 8,
    low & 255,
    0x70 | (counter >>> 8),
    counter & 255,
    0x80 | (random[0]! & 0x3f),
    ...random.subarray(1),
  ]
  const hex = bytes.map((byte) => HEX[byte]!)
  return `${hex.slice(0, 4).join('')}-${hex.slice(4, 6).join('')}-${hex.slice(6, 8).join('')}-${hex.slice(8, 10).join('')}-${hex.slice(10).join('')}`
}

/** A secret for a person or program to keep: 256 random bits, URL-safe, behind a prefix that says what it is. */
export const newSecret = (prefix: string): string => `${prefix}_${randomBytes(32).toString('base64url')}`

/** What is stored of a high-entropy secret: its SHA-256 in hexadecimal. Passwords use argon2id instead. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex')
