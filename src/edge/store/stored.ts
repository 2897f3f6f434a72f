/** One stored response as the store keeps it, and the error for bytes that are not what was written. */
import type { StoredHead, StoredObject } from '../message.ts'
import type { DiskPlace, Extent } from './disk/place.ts'
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
export const OBJECT_BYTES = 1_000

/** Where bodies that are not in memory are read from. */
export interface Bodies {
  read(object: Stored, first: number, last: number): AsyncIterable<Buffer>
}

/** The place of a body in memory, where there is a disk below: its own queue, since what leaves memory stays stored. */
export class Resident implements Evictable {
  readonly object: Stored
  readonly key: string
  readonly sizeBytes: number
  uses = 0
  queue: Queue | null = null
  previous: Evictable | null = null
  next: Evictable | null = null
  constructor(object: Stored) {
    this.object = object
    this.key = object.key
    this.sizeBytes = object.bodyBytes
  }
}

export class Stored implements StoredObject, Evictable {
  readonly key: string
  readonly bodyBytes: number
  /** The store it belongs to. */
  readonly home: Bodies
  #head: StoredHead | string
  body: Buffer | null = null
  softPurgedAt: number | null = null
  prepared: unknown = null

  // Which purges it has seen: the purge number when it was stored, when its head was last confirmed, and when it was last
  // compared with its scopes. A hit pays one comparison of `checkedAt` with the number of purges.
  storedAt: number
  freshAt: number
  checkedAt: number
  /** Null once it is not stored any more. */
  scope: Scope | null = null
  /** Tags, groups, and the key where it holds extras; null for none. */
  marks: Scope[] | null = null

  // On disk: its extents once they are handed over, its place once its record is written.
  id = 0
  extents: readonly Extent<Stored>[] | null = null
  place: DiskPlace<Stored> | null = null
  resident: Resident | null = null

  sizeBytes: number
  uses = 0
  queue: Queue | null = null
  previous: Evictable | null = null
  next: Evictable | null = null

  constructor(bodies: Bodies, key: string, head: StoredHead, bodyBytes: number, purges: number) {
    this.home = bodies
    this.key = key
    this.#head = head
    this.bodyBytes = bodyBytes
    this.sizeBytes = bodyBytes + indexBytesOf(key, head)
    this.storedAt = this.freshAt = this.checkedAt = purges
  }

  get head(): StoredHead {
    if (typeof this.#head === 'string') this.#head = JSON.parse(this.#head) as StoredHead
    return this.#head
  }
  set head(head: StoredHead) {
    this.#head = head
    this.sizeBytes = this.bodyBytes + indexBytesOf(this.key, head)
  }

  /** Bytes in memory whether or not its body is. */
  get indexBytes(): number {
    return this.sizeBytes - this.bodyBytes
  }

  /** Keeps the head as one text instead of as many small ones, until somebody asks for it. */
  pack(): void {
    if (typeof this.#head !== 'string') this.#head = JSON.stringify(this.#head)
  }

  read(first: number, last: number): AsyncIterable<Buffer> {
    const { body } = this
    return body === null ? this.home.read(this, first, last) : fromMemory(body, first, last)
  }
}

async function* fromMemory(body: Buffer, first: number, last: number): AsyncGenerator<Buffer> {
  if (last >= body.length) throw new StoreFault('there are no such bytes')
  yield body.subarray(first, last + 1)
}

/** Bytes that an object takes of memory besides its body. */
function indexBytesOf(key: string, head: StoredHead): number {
  let text = key.length + head.url.length
  for (const part of head.fields) text += part.length
  for (const part of head.vary) text += part.length
  for (const tag of head.tags) text += tag.length
  return OBJECT_BYTES + text
}
