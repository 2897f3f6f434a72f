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
  const r = pool.subarray(used, (used += 8))
  return `${HEX[(high >>> 24) & 255]}${HEX[(high >>> 16) & 255]}${HEX[(high >>> 8) & 255]}${HEX[high & 255]}-${HEX[low >>> 8]}${HEX[low & 255]}-${HEX[0x70 | (counter >>> 8)]}${HEX[counter & 255]}-${HEX[0x80 | (r[0]! & 0x3f)]}${HEX[r[1]!]}-${HEX[r[2]!]}${HEX[r[3]!]}${HEX[r[4]!]}${HEX[r[5]!]}${HEX[r[6]!]}${HEX[r[7]!]}`
}

/** A secret for a person or program to keep: 256 random bits, URL-safe, behind a prefix that says what it is. */
export const newSecret = (prefix: string): string => `${prefix}_${randomBytes(32).toString('base64url')}`

/** What is stored of a high-entropy secret: its SHA-256 in hexadecimal. Passwords use argon2id instead. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex')
