/**
 * Signs record sets online with ECDSA P-256 (RFC 6605, RFC 4034): short signatures, made when a set is first asked for and kept for half of
 * their time. Routed answers are sets like any other: a property has as many as it has sites, so nearly all come from memory.
 *
 * What does not exist is denied by one record made for the name itself (compact denial, RFC 9824): one signature where NSEC3 white lies
 * take up to three, and nothing of the zone can be listed.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import type { DnssecKey } from '../state.ts'
import { TYPE } from '../wire/codes.ts'
import { labels, nameKey } from '../wire/names.ts'

const ALGORITHM = 13
const PROTOCOL = 3
const KEY_SIGNING = 257
const DIGEST_SHA256 = 2
/** Clocks of validators may be behind ours. */
const INCEPTION_BEFORE_SECONDS = 3 * 3_600
const VALID_SECONDS = 4 * 86_400
/** Signed anew when less is left, so that no cache holds an expired one: longer than any TTL answered with it. */
const RENEW_LEFT_SECONDS = 2 * 86_400
/** Signatures kept; about 300 bytes each. */
const KEPT = 100_000

export interface SignedSet {
  type: number
  ttl: number
  rdatas: readonly Uint8Array[]
}

export interface Signatures {
  rdatas: Uint8Array[]
  /** When to make them anew, ms. */
  staleAt: number
}

interface SigningKey {
  key: KeyObject
  flags: number
  isActive: boolean
  tag: number
  rdata: Uint8Array
}

export class Signer {
  readonly #apex: Uint8Array
  readonly #keys: SigningKey[]
  readonly #kept = new Map<string, Signatures>()
  /** Signatures made, for the figures. */
  made = 0

  /** @throws when a key cannot be read or none signs */
  constructor(apex: Uint8Array, keys: readonly DnssecKey[]) {
    this.#apex = apex
    this.#keys = keys.map((each) => {
      const key = createPrivateKey(each.privateKey)
      if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('a key is not of the curve P-256')
      const rdata = dnskeyOf(key, each.flags)
      return { key, flags: each.flags, isActive: each.active !== false, tag: keyTag(rdata), rdata }
    })
    if (!this.#keys.some(({ isActive, flags }) => isActive && flags === KEY_SIGNING))
      throw new Error('no active key has the flags 257, which sign the keys')
  }

  /** What the keys add to the apex: DNSKEY, and CDS and CDNSKEY (RFC 7344) for a parent that looks. */
  sets(): [type: number, rdatas: Uint8Array[]][] {
    const keySigning = this.#keys.filter(({ flags }) => flags === KEY_SIGNING)
    return [
      [TYPE.DNSKEY, this.#keys.map(({ rdata }) => rdata)],
      [TYPE.CDNSKEY, keySigning.map(({ rdata }) => rdata)],
      [TYPE.CDS, keySigning.map(({ rdata }) => dsOf(this.#apex, rdata))],
    ]
  }

  /** Signatures of a set, from memory or made now. */
  sign(owner: Uint8Array, set: SignedSet, nowMs: number): Signatures {
    const id = `${nameKey(owner)}/${set.type}/${set.ttl}/${set.rdatas.map(nameKey).join('/')}`
    const known = this.#kept.get(id)
    if (known && known.staleAt > nowMs) return known
    const now = Math.floor(nowMs / 1_000)
    const signed: Signatures = {
      rdatas: this.#for(set.type).map((key) => this.#signature(key, owner, set, now)),
      staleAt: (now + VALID_SECONDS - RENEW_LEFT_SECONDS) * 1_000,
    }
    this.made += signed.rdatas.length
    if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    this.#kept.set(id, signed)
    return signed
  }

  /** Key-signing keys sign the keys; everything else is signed by those of 256, or by the others where there are none. */
  #for(type: number): SigningKey[] {
    const active = this.#keys.filter(({ isActive }) => isActive)
    const isOfKeys = type === TYPE.DNSKEY || type === TYPE.CDS || type === TYPE.CDNSKEY
    const zoneSigning = active.filter(({ flags }) => flags !== KEY_SIGNING)
    return isOfKeys || zoneSigning.length === 0 ? active.filter(({ flags }) => flags === KEY_SIGNING) : zoneSigning
  }

  #signature({ key, tag }: SigningKey, owner: Uint8Array, { type, ttl, rdatas }: SignedSet, now: number): Uint8Array {
    const head = Buffer.alloc(18)
    head.writeUInt16BE(type, 0)
    head[2] = ALGORITHM
    head[3] = labels(owner)
    head.writeUInt32BE(ttl, 4)
    head.writeUInt32BE((now + VALID_SECONDS) >>> 0, 8)
    head.writeUInt32BE((now - INCEPTION_BEFORE_SECONDS) >>> 0, 12)
    head.writeUInt16BE(tag, 16)
    const parts: Uint8Array[] = [head, this.#apex]
    for (const rdata of [...rdatas].sort(Buffer.compare)) {
      const fixed = Buffer.alloc(10)
      fixed.writeUInt16BE(type, 0)
      fixed.writeUInt16BE(1, 2)
      fixed.writeUInt32BE(ttl, 4)
      fixed.writeUInt16BE(rdata.length, 8)
      parts.push(owner, fixed, rdata)
    }
    const signature = sign('sha256', Buffer.concat(parts), { key, dsaEncoding: 'ieee-p1363' })
    return new Uint8Array(Buffer.concat([head, this.#apex, signature]))
  }
}

/** The DNSKEY record's data of a private key. */
export function dnskeyOf(key: KeyObject, flags: number): Uint8Array {
  const { x, y } = createPublicKey(key).export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')])
  return new Uint8Array(Buffer.concat([Uint8Array.of(flags >> 8, flags & 255, PROTOCOL, ALGORITHM), point]))
}

/** RFC 4034, appendix B. */
export function keyTag(rdata: Uint8Array): number {
  let sum = 0
  for (const [at, byte] of rdata.entries()) sum += at & 1 ? byte : byte << 8
  return (sum + (sum >>> 16)) & 0xffff
}

/** The data of the DS record that the parent zone has to hold (RFC 4509). */
export function dsOf(apex: Uint8Array, dnskey: Uint8Array): Uint8Array {
  const tag = keyTag(dnskey)
  const digest = createHash('sha256').update(apex).update(dnskey).digest()
  return new Uint8Array(Buffer.concat([Uint8Array.of(tag >> 8, tag & 255, ALGORITHM, DIGEST_SHA256), digest]))
}
