/**
 * Passwords: argon2id (RFC 9106) with the parameters that OWASP names (19 MiB, 2 passes, 1 lane), kept in the usual
 * `$argon2id$…` form so that parameters can grow later. Hashing runs on the thread pool; only so many run or wait at
 * once, for each takes its 19 MiB.
 */
import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { BadInput, Overloaded } from '../core/errors.ts'

const MEMORY_KIB = 19_456
const PASSES = 2
const LANES = 1
const TAG_BYTES = 32
const SALT_BYTES = 16
/** Hashes that run or wait at once in one process. */
const AT_ONCE = 32

export const PASSWORD_MIN_LENGTH = 10
export const PASSWORD_MAX_LENGTH = 200

const hashOf = promisify(argon2) as (algorithm: 'argon2id', parameters: Argon2Parameters) => Promise<Buffer>
let running = 0

async function derive(password: string, nonce: Buffer, memory: number, passes: number, parallelism: number) {
  if (running >= AT_ONCE) throw new Overloaded('Too many sign-ins at once; try again in a moment.')
  running++
  try {
    return await hashOf('argon2id', {
      message: password.normalize('NFKC'),
      nonce,
      memory,
      passes,
      parallelism,
      tagLength: TAG_BYTES,
    })
  } finally {
    running--
  }
}

const base64 = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')

/** What is stored of a password. @throws BadInput when it is too short or too long. */
export async function hashPassword(password: string, at = '/password'): Promise<string> {
  if (password.length < PASSWORD_MIN_LENGTH || password.length > PASSWORD_MAX_LENGTH)
    throw new BadInput(
      at,
      `has ${password.length} characters`,
      `${PASSWORD_MIN_LENGTH} to ${PASSWORD_MAX_LENGTH} characters; a few words are best`,
    )
  const salt = randomBytes(SALT_BYTES)
  const tag = await derive(password, salt, MEMORY_KIB, PASSES, LANES)
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${base64(salt)}$${base64(tag)}`
}

const STORED = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

/** Any stored hash of these parameters: checking against it takes as long as against a real one. */
const NOBODYS = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${base64(Buffer.alloc(SALT_BYTES))}$${base64(Buffer.alloc(TAG_BYTES))}`

/** Whether a password is the one that was stored. Without a stored one it works as long and says no. */
export async function passwordMatches(password: string, stored: string | null): Promise<boolean> {
  const parts = STORED.exec(stored ?? NOBODYS)
  if (!parts) throw new Error('A stored password hash is not readable.')
  const [, memory, passes, lanes, salt, tag] = parts
  const expected = Buffer.from(tag!, 'base64')
  const found = await derive(password, Buffer.from(salt!, 'base64'), Number(memory), Number(passes), Number(lanes))
  return timingSafeEqual(found, expected) && stored !== null
}
