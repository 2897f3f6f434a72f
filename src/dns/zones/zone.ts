/**
 * Zones as a table of names. Every name that exists is a node, also one that only has others below it (RFC 4592 §2.2.2), so that a
 * look-up of one name says what there is, and a walk up its labels finds the closest encloser, wildcards and delegations.
 */

import type { Routed } from '../choice/routed.ts'
import type { Signer } from '../dnssec/signer.ts'
import { hashName, parent } from '../wire/names.ts'
import type { Query } from '../wire/query.ts'

export interface RecordSet {
  type: number
  ttl: number
  rdatas: Uint8Array[]
}

export interface ZoneTable {
  apex: Uint8Array
  soa: RecordSet
  /** Of "there is no such name" (RFC 2308 §5). */
  negativeTtl: number
  signer: Signer | null
  /** What a zone above it that is served here too says at its apex: NS and DS. */
  above: NameNode | null
}

export class NameNode {
  readonly wire: Uint8Array
  readonly hash: number
  readonly zone: ZoneTable
  readonly sets = new Map<number, RecordSet>()
  /** Set where addresses of edges are answered. */
  routed: Routed | null = null
  /** The delegation at or above this name, inside the zone: what is asked here is the child's to say. */
  cut: NameNode | null = null
  /** Prepared answers; see answer/responder.ts. */
  readonly entries: unknown[] = []
  next: NameNode | null = null

  constructor(wire: Uint8Array, zone: ZoneTable) {
    this.wire = wire
    this.hash = hashName(wire)
    this.zone = zone
  }
}

/** Finds nodes by name: a hash table whose look-up from a query makes nothing. */
export class NameTable {
  readonly #buckets: (NameNode | null)[]
  readonly #mask: number
  readonly size: number

  constructor(nodes: readonly NameNode[]) {
    const size = 1 << Math.max(4, Math.ceil(Math.log2(nodes.length + 1)) + 1)
    this.#mask = size - 1
    this.#buckets = new Array(size).fill(null)
    this.size = nodes.length
    for (const node of nodes) {
      const at = (node.hash ^ (node.hash >>> 15)) & this.#mask
      node.next = this.#buckets[at]!
      this.#buckets[at] = node
    }
  }

  find({ name, nameLength, hash }: Query): NameNode | null {
    return this.#find(name, 0, nameLength, hash)
  }

  get(wire: Uint8Array): NameNode | null {
    return this.#find(wire, 0, wire.length, hashName(wire))
  }

  #find(name: Uint8Array, from: number, length: number, hash: number): NameNode | null {
    next: for (let node = this.#buckets[(hash ^ (hash >>> 15)) & this.#mask]!; node !== null; node = node.next!) {
      const { wire } = node
      if (node.hash !== hash || wire.length !== length) continue
      for (let at = 0; at < length; at++) if (wire[at] !== name[from + at]) continue next
      return node
    }
    return null
  }

  /** The longest existing name that holds `wire`; null where no zone does. */
  encloser(wire: Uint8Array): NameNode | null {
    for (let each = parent(wire); each !== null; each = parent(each)) {
      const node = this.get(each)
      if (node) return node
    }
    return null
  }
}

const WILDCARD = Uint8Array.of(1, 0x2a)

/** `*.` and the name. */
export const wildcardOf = (encloser: Uint8Array): Uint8Array => new Uint8Array(Buffer.concat([WILDCARD, encloser]))
