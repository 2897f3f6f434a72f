/**
 * Signed URLs. A token says until when it is good and what it may reach, and is signed with a key of the property:
 *
 *   token = exp=1767225600~reach=/video/42/*~key=2026~sig=<base64url HMAC-SHA256>
 *
 * The signature is over the host and everything before `~sig=`. `reach` is a path pattern as in rules (`*` for anything),
 * so one token opens a whole film of segments and nothing beside it. It comes as a query parameter or, for players that do
 * not pass parameters on, as a cookie; it is part of neither the cache key nor what the origin gets.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { globOf } from './match.ts'

export interface SigningKey {
  readonly id: string
  readonly secret: string
}

export type TokenFault = 'missing' | 'malformed' | 'unknown key' | 'wrong signature' | 'expired' | 'not for this path'

const TOKEN = /^exp=(\d{1,12})~reach=(\/[^~]*)~key=([A-Za-z0-9_-]{1,32})~sig=([A-Za-z0-9_-]{43})$/
const TOKEN_BYTES = 4_096

const sign = (secret: string, host: string, claims: string): Buffer =>
  createHmac('sha256', secret).update(`${host}\n${claims}`).digest()

/** Makes a token. `expiresAt` is in seconds; `reach` must not hold `~`. */
export function makeToken(key: SigningKey, host: string, expiresAt: number, reach: string): string {
  const claims = `exp=${Math.floor(expiresAt)}~reach=${reach.replaceAll('~', '%7E')}~key=${key.id}`
  return `${claims}~sig=${sign(key.secret, host, claims).toString('base64url')}`
}

/** Null when the token opens the path now; otherwise why not. `path` is in the form that rules match on. */
export function checkToken(
  keys: readonly SigningKey[],
  host: string,
  path: string,
  token: string | null,
  nowSeconds: number,
): TokenFault | null {
  if (token === null || token === '') return 'missing'
  const parsed = token.length > TOKEN_BYTES ? null : TOKEN.exec(token)
  if (parsed === null) return 'malformed'
  const [, expires, reach, id, signature] = parsed as unknown as [string, string, string, string, string]
  const key = keys.find((each) => each.id === id)
  if (key === undefined) return 'unknown key'
  const given = Buffer.from(signature, 'base64url')
  const right = sign(key.secret, host, token.slice(0, token.lastIndexOf('~sig=')))
  if (given.length !== right.length || !timingSafeEqual(given, right)) return 'wrong signature'
  if (Number(expires) <= nowSeconds) return 'expired'
  return globOf(reach.replaceAll('%7E', '~'))(path) === null ? 'not for this path' : null
}
