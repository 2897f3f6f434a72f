/**
 * Whether a request is from the node it names: its signature, by the key it enrolled with, over this very request, now.
 * A nonce is good once in each process; as everything a node asks for may be asked for twice without harm, that is enough
 * over several. Keys are kept in memory until a node's rights change.
 */
import type { KeyObject } from 'node:crypto'
import type { Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import {
  readPublicKey,
  readSignature,
  SIGNATURE_WINDOW_MS,
  type SignedRequest,
  verifyRequest,
} from '../feed/signature.ts'
import { NodeRefused } from './model.ts'
import { findCredential, type NodeCredential } from './store.ts'

/** Nodes and nonces kept in memory. */
const KEPT_NODES = 20_000
const KEPT_NONCES = 200_000

export class NodeAuthenticator {
  readonly #sql: Sql
  readonly #known = new Map<string, { credential: NodeCredential; key: KeyObject }>()
  #forgotten = 0
  #nonces = new Set<string>()
  #olderNonces = new Set<string>()
  #turnedAt = 0

  constructor(sql: Sql) {
    this.#sql = sql
  }

  /** Reads a node's credential anew at its next request; '' for every node. */
  forget(node: string): void {
    this.#forgotten++
    if (node === '') this.#known.clear()
    else this.#known.delete(node)
  }

  /** @throws NodeRefused */
  async authenticate(header: string | undefined, request: SignedRequest, now: Instant): Promise<NodeCredential> {
    const signature = readSignature(header)
    if (signature === null) throw new NodeRefused('unknown', 'Sign the request as a node that has enrolled.')
    const { credential, key } = await this.#find(signature.node)
    if (Math.abs(signature.timeMs - now) > SIGNATURE_WINDOW_MS)
      throw new NodeRefused(
        'clock',
        'The time of the signature is not the time here; sign with the time of this answer.',
      )
    if (!verifyRequest(request, signature, key))
      throw new NodeRefused('signature', 'The signature does not fit the request.')
    this.#takeNonce(`${signature.node} ${signature.nonce}`, now)
    if (credential.state === 'removed' || credential.state === 'revoked')
      throw new NodeRefused(credential.state, `This node was ${credential.state}.`)
    return credential
  }

  async #find(id: string): Promise<{ credential: NodeCredential; key: KeyObject }> {
    const known = this.#known.get(id)
    if (known) return known
    const asked = this.#forgotten
    const credential = await findCredential(this.#sql, id)
    const key = credential && readPublicKey(credential.publicKey)
    if (!credential || !key) throw new NodeRefused('unknown', `There is no node ${id}.`)
    const found = { credential, key }
    if (this.#known.size >= KEPT_NODES) this.#known.clear()
    // What was read before something changed is not kept after it.
    if (asked === this.#forgotten) this.#known.set(id, found)
    return found
  }

  /** Two generations, each as long as a signature is good on both sides of now. */
  #takeNonce(nonce: string, now: Instant): void {
    if (now - this.#turnedAt > 2 * SIGNATURE_WINDOW_MS || this.#nonces.size >= KEPT_NONCES) {
      this.#olderNonces = this.#nonces
      this.#nonces = new Set()
      this.#turnedAt = now
    }
    if (this.#nonces.has(nonce) || this.#olderNonces.has(nonce))
      throw new NodeRefused('nonce', 'This request was made before.')
    this.#nonces.add(nonce)
  }
}
