/** One stored response as the store keeps it, and the error for bytes that are not what was written. */
import type { StoredHead, StoredObject } from '../message.ts'
import type { Evictable, Queue } from './eviction.ts'
import type { Scope } from './scopes.ts'

/** Stored bytes are missing or do not match their checksum. Whoever reads treats the object as not stored. */
export class StoreFault extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'StoreFault'
  }
}

/** What one object costs besides its body and the text of its head: index, scopes, queue (measured by `bench edge-scale`). */
export const OBJECT_BYTES = 700

export class Stored implements StoredObject, Evictable {
  readonly key: string
  head: StoredHead
  body: Buffer | null
  sizeBytes: number
  softPurgedAt: number | null = null
  prepared: unknown = null

  // Which purges it has seen: the purge number when it was stored, when its head was last confirmed, and when it was last
  // compared with its scopes. A hit pays one comparison of `checkedAt` with the number of purges.
  storedAt: number
  freshAt: number
  checkedAt: number
  place: Scope | null = null
  /** Tags, groups, and the key where it holds extras; null for none. */
  marks: Scope[] | null = null

  uses = 0
  queue: Queue | null = null
  previous: Evictable | null = null
  next: Evictable | null = null

  constructor(key: string, head: StoredHead, body: Buffer, purges: number) {
    this.key = key
    this.head = head
    this.body = body
    this.sizeBytes = sizeOf(key, head, body.length)
    this.storedAt = this.freshAt = this.checkedAt = purges
  }

  async *read(first: number, last: number): AsyncIterable<Buffer> {
    if (this.body === null || last >= this.body.length) throw new StoreFault(`${this.key}: its bytes are not there`)
    yield this.body.subarray(first, last + 1)
  }
}

/** Bytes that an object takes of the store's room. */
export function sizeOf(key: string, head: StoredHead, bodyBytes: number): number {
  let text = key.length + head.url.length
  for (const part of head.fields) text += part.length
  for (const part of head.vary) text += part.length
  return OBJECT_BYTES + text + bodyBytes
}
