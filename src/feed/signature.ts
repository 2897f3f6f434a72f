/**
 * How a node's requests are signed: Ed25519 (RFC 8032) over method, address, time, nonce and the digest of the body. The
 * time is the control plane's, which a node learns at enrolment and from each refusal, so a node whose own clock is wrong
 * still gets in; a signature older than the window, or a nonce seen before, does not.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto'

/** How far the time of a signature may be from the control plane's. */
export const SIGNATURE_WINDOW_MS = 60_000

export interface SignedRequest {
  method: string
  /** With its query. */
  path: string
  body: string
}

export interface Signature {
  node: string
  timeMs: number
  nonce: string
  signature: string
}

const signedText = ({ method, path, body }: SignedRequest, { node, timeMs, nonce }: Omit<Signature, 'signature'>) =>
  Buffer.from(
    `izumi-feed-1\n${method}\n${path}\n${node}\n${timeMs}\n${nonce}\n${createHash('sha256').update(body).digest('base64url')}`,
  )

/** The `authorization` header of a signed request. */
export function signRequest(request: SignedRequest, node: string, key: KeyObject, timeMs: number): string {
  const nonce = randomBytes(12).toString('base64url')
  const signature = sign(null, signedText(request, { node, timeMs, nonce }), key).toString('base64url')
  return `Izumi-Node node=${node}, time=${timeMs}, nonce=${nonce}, signature=${signature}`
}

const HEADER =
  /^Izumi-Node node=([0-9a-f-]{36}), time=(\d{10,16}), nonce=([A-Za-z0-9_-]{16}), signature=([A-Za-z0-9_-]{86})$/

/** Null when the header is something else. */
export function readSignature(header: string | undefined): Signature | null {
  const found = header === undefined ? null : HEADER.exec(header)
  return found && { node: found[1]!, timeMs: Number(found[2]), nonce: found[3]!, signature: found[4]! }
}

export const verifyRequest = (request: SignedRequest, signature: Signature, key: KeyObject): boolean =>
  verify(null, signedText(request, signature), key, Buffer.from(signature.signature, 'base64url'))

/** A public key as it travels: SubjectPublicKeyInfo in DER, base64url. Null when it is no Ed25519 key. */
export function readPublicKey(text: string): KeyObject | null {
  try {
    const key = createPublicKey({ key: Buffer.from(text, 'base64url'), format: 'der', type: 'spki' })
    return key.asymmetricKeyType === 'ed25519' ? key : null
  } catch {
    return null
  }
}

export const readPrivateKey = (text: string): KeyObject =>
  createPrivateKey({ key: Buffer.from(text, 'base64url'), format: 'der', type: 'pkcs8' })
