/**
 * The store of one worker among several: its own part of the keys, in memory and on disk, and small copies in memory of what
 * it was asked for and another worker owns. Copies are responses of their own with their own lifetimes; every purge and
 * invalidation reaches both.
 */
import type { PurgeResult, PurgeSelector, Recording, Store, StoredHead, StoredObject, StoreStats } from '../message.ts'
import type { EdgeStore } from '../store/store.ts'
import type { Stored } from '../store/stored.ts'

export class SharedStore implements Store {
  readonly #own: EdgeStore
  readonly #copies: EdgeStore
  readonly #isOwn: (key: string) => boolean

  constructor(own: EdgeStore, copies: EdgeStore, isOwn: (key: string) => boolean) {
    this.#own = own
    this.#copies = copies
    this.#isOwn = isOwn
  }

  /** Looked up in both rather than hashed: a second look-up is cheaper. */
  find(key: string): readonly StoredObject[] {
    const own = this.#own.find(key)
    return own.length > 0 ? own : this.#copies.find(key)
  }

  use(object: StoredObject): void {
    this.#homeOf(object).use(object)
  }

  record(key: string, head: StoredHead): Recording {
    return (this.#isOwn(key) ? this.#own : this.#copies).record(key, head)
  }

  freshen(object: StoredObject, head: StoredHead): void {
    this.#homeOf(object).freshen(object, head)
  }

  remove(object: StoredObject): void {
    this.#homeOf(object).remove(object)
  }

  get purgeCount(): number {
    return this.#own.purgeCount + this.#copies.purgeCount
  }

  /** Tells of its own objects only: copies are of objects that are counted where they are owned. */
  purge(selector: PurgeSelector): PurgeResult {
    this.#copies.purge(selector)
    return this.#own.purge(selector)
  }

  /** Once every worker has purged: what was copied meanwhile from one that had not. */
  purgeCopies(selector: PurgeSelector): void {
    this.#copies.purge(selector)
  }

  resize(ownBytes: number, copiesBytes: number): void {
    this.#own.resize(ownBytes)
    this.#copies.resize(copiesBytes)
  }

  stats(): StoreStats {
    const own = this.#own.stats()
    const copies = this.#copies.stats()
    return {
      ...own,
      memoryBytes: own.memoryBytes + copies.memoryBytes,
      recordingBytes: own.recordingBytes! + copies.recordingBytes!,
      copies: copies.objects,
      copiesBytes: copies.memoryBytes,
    }
  }

  async close(): Promise<void> {
    await this.#copies.close()
    await this.#own.close()
  }

  #homeOf(object: StoredObject): EdgeStore {
    return (object as Stored).home as EdgeStore
  }
}
