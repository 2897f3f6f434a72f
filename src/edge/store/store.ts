/**
 * The store: an index in memory from cache key to stored responses, bodies in memory and below it on disk, both bounded, and
 * purges that are in force when they return. All that decides is synchronous, so nothing can come between a purge and the
 * next look; the disk is written behind.
 *
 *   record ─▶ commit ─▶ memory ──(written behind)──▶ disk
 *                         ▲ │ leaves memory, stays stored
 *                         └─┘ read from disk, small enough
 */
import { mkdirSync } from 'node:fs'
import type { PurgeResult, PurgeSelector, Recording, Store, StoredHead, StoredObject, StoreStats } from '../message.ts'
import { Disk } from './disk/disk.ts'
import { EXTENT_BYTES, type ObjectText, STATE } from './disk/format.ts'
import { Journal } from './disk/journal.ts'
import type { DiskPlace, Extent } from './disk/place.ts'
import type { Segment } from './disk/segment.ts'
import { Eviction } from './eviction.ts'
import { baseOf, baseOfUrl, originOf, Purges } from './purges.ts'
import { Recorder } from './recording.ts'
import { type Scope, Scopes } from './scopes.ts'
import { type Bodies, Resident, Stored, StoreFault } from './stored.ts'

export interface StoreOptions {
  /** Room in memory for bodies, heads and the index together. */
  memoryBytes: number
  /** A folder of its own and the room in it; null: memory only. */
  disk?: { folder: string; sizeBytes: number } | null
  /** What lies on the disk under other keys is forgotten when it is opened; left out: all is kept. */
  keeps?: (key: string) => boolean
  /** Epoch milliseconds; the clock of the heads' `requestTime`. */
  now?: () => number
}

/** Stored responses under one cache key (variants and ranges); the oldest goes first. */
export const VARIANTS = 64

/** An object may take this share of the room, in memory or on disk. */
const OBJECT_SHARE = 0.25
/** Responses that are being recorded may take this share of the memory on top of it. */
const RECORDING_SHARE = 0.25
/** With a disk at least this: each large one gathers an extent before it goes to disk. */
const RECORDING_LEAST_BYTES = 8 * EXTENT_BYTES
/** With a disk, heads and index may take this share of the memory; then objects go, even if the disk has room. */
const INDEX_SHARE = 0.5
/** Bodies up to this come back into memory when they were read from disk. */
const RESIDENT_BYTES = 1024 * 1024

/** Keys looked at in one slice of a sweep, and the pause after it: a sweep costs at most a few percent of a core. */
const SWEEP_KEYS = 1_000
const SWEEP_PAUSE_MS = 10

/** Objects moved at once when a segment is cleared. */
const MOVES = 32

const NOTHING: readonly Stored[] = []

export class EdgeStore implements Store, Bodies {
  readonly #index = new Map<string, readonly Stored[]>()
  readonly #scopes = new Scopes()
  readonly #purges = new Purges()
  /** Of what is stored at all, and with a disk also of what is in memory. */
  readonly #kept: Eviction<Stored>
  readonly #residents: Eviction<Resident> | null
  #memoryBytes: number
  readonly #diskBytes: number
  #recordingRoomBytes: number
  readonly #now: () => number
  readonly #keeps: (key: string) => boolean
  readonly #disk: Disk<Stored> | null
  readonly #journal: Journal | null
  #objects = 0
  #indexBytes = 0
  #recordingBytes = 0
  #counters = { evicted: 0, purged: 0, voided: 0, refused: 0, lost: 0, journalFaults: 0 }
  #sweep: { keys: Iterator<string>; since: number; timer: NodeJS.Timeout } | null = null
  #swept: (() => void)[] = []
  #journalIsBehind = false

  /** Memory only; `openStore` is for one with a disk. */
  constructor(options: StoreOptions, journal: Journal | null = null) {
    this.#memoryBytes = options.memoryBytes
    this.#diskBytes = options.disk?.sizeBytes ?? 0
    this.#recordingRoomBytes = recordingRoom(options)
    this.#now = options.now ?? Date.now
    this.#keeps = options.keeps ?? (() => true)
    this.#journal = journal
    this.#disk = options.disk
      ? new Disk<Stored>({ ...options.disk, clear: (objects, segment) => this.#clear(objects, segment) })
      : null
    const disk = this.#disk
    this.#kept = new Eviction(disk === null ? () => this.#memoryBytes : () => disk.roomBytes, (object) => {
      this.#counters.evicted++
      this.#forget(object)
    })
    this.#residents =
      disk === null
        ? null
        : new Eviction(
            () => this.#memoryBytes - this.#indexBytes,
            (resident) => this.#leaveMemory(resident),
          )
  }

  /** Reads what is on disk and applies the purges that it has not seen. */
  async load(): Promise<void> {
    if (this.#disk === null || this.#journal === null) return
    const byId = new Map<number, Stored>()
    let latest = this.#journal.count
    await this.#disk.load((text, id, softAt) => {
      latest = Math.max(latest, text.storedAt, text.freshAt)
      if (!this.#keeps(text.key)) return null
      const known = byId.get(id)
      // Of two records of one object the later one counts.
      if (known?.place && known.place.serial > text.serial) return null
      if (known !== undefined) this.remove(known)
      const object = this.#loaded(text, id, softAt)
      byId.set(id, object)
      return {
        owner: object,
        placed: (place) => {
          object.place = place
          object.extents = place.extents
          this.#insert(object)
        },
      }
    })
    this.#purges.count = latest
    for (const { number, at, selector } of this.#journal.entries) this.#apply(selector, number, at)
    if (this.#journal.entries.length > 0) this.#startSweep()
  }

  #loaded(text: ObjectText, id: number, softAt: number): Stored {
    const object = new Stored(this, text.key, text.head as StoredHead, text.bodyBytes, text.storedAt)
    object.id = id
    object.freshAt = text.freshAt
    object.checkedAt = -1
    if (softAt > 0) object.softPurgedAt = softAt
    return object
  }

  find(key: string): readonly StoredObject[] {
    const objects = this.#index.get(key)
    if (objects === undefined) return NOTHING
    const { count } = this.#purges
    let isWhole = true
    for (const object of objects) if (object.checkedAt !== count && !this.#check(object)) isWhole = false
    return isWhole ? objects : (this.#index.get(key) ?? NOTHING)
  }

  use(object: StoredObject): void {
    const stored = object as Stored
    this.#kept.use(stored)
    if (stored.resident !== null) this.#residents!.use(stored.resident)
  }

  record(key: string, head: StoredHead): Recording {
    const since = this.#purges.count
    return new Recorder(head.bodyBytes, {
      disk: this.#disk,
      memoryMaximumBytes: this.#memoryBytes * OBJECT_SHARE,
      diskMaximumBytes: this.#diskBytes * OBJECT_SHARE,
      take: (bytes) => {
        if (this.#recordingBytes + bytes > this.#recordingRoomBytes) {
          this.#counters.refused++
          return false
        }
        this.#recordingBytes += bytes
        return true
      },
      give: (bytes) => {
        this.#recordingBytes -= bytes
      },
      commitBody: (body) => this.#commit(key, head, since, body, null),
      commitExtents: (id, extents, bodyBytes) => this.#commit(key, head, since, null, { id, extents, bodyBytes }),
    })
  }

  freshen(object: StoredObject, head: StoredHead): void {
    const stored = object as Stored
    if (stored.scope === null || !this.#check(stored)) return
    const { softPurgedAt, sizeBytes } = stored
    this.#leave(stored)
    stored.head = head
    this.#dropPrepared(stored.key)
    this.#enter(stored)
    stored.freshAt = this.#purges.count
    // A soft purge that came after the request for this head stays in force.
    if (softPurgedAt !== null && softPurgedAt < head.requestTime) stored.softPurgedAt = null
    this.#kept.resized(stored, sizeBytes)
    if (stored.place !== null && stored.scope !== null) this.#writeRecord(stored)
  }

  remove(object: StoredObject): void {
    const stored = object as Stored
    if (stored.scope === null) return
    this.#kept.remove(stored)
    this.#forget(stored)
  }

  purge(selector: PurgeSelector): PurgeResult {
    const now = this.#now()
    const number = this.#purges.add(selector, now)
    if (this.#journal !== null)
      try {
        this.#journal.add({ number, at: now, selector })
      } catch {
        // A full disk: marking the objects themselves needs no room, so the sweep makes it last (`settled`).
        this.#counters.journalFaults++
        this.#journalIsBehind = true
      }
    const objects = this.#apply(selector, number, now)
    if (!('url' in selector) && objects > 0) this.#startSweep()
    else if (this.#journal !== null) this.#startSweep()
    this.#counters.purged += objects
    return { objects }
  }

  /** Resolves once all purges so far would survive a power cut as well. */
  async settled(): Promise<void> {
    if (this.#journal === null) return
    if (this.#journalIsBehind) await this.swept()
    else await this.#journal.sync()
  }

  /** Resolves once every object has been compared with all purges so far. */
  swept(): Promise<void> {
    return new Promise((resolve) => {
      this.#swept.push(resolve)
      this.#startSweep()
    })
  }

  async *read(object: Stored, first: number, last: number): AsyncGenerator<Buffer> {
    const { id, bodyBytes } = object
    // Read whole and small: it comes back into memory.
    const kept: Buffer[] | null = first === 0 && last === bodyBytes - 1 && bodyBytes <= RESIDENT_BYTES ? [] : null
    for (let at = first; at <= last; ) {
      const { extents } = object
      if (this.#disk === null || extents === null || last >= bodyBytes)
        throw new StoreFault(`${object.key}: its bytes are not there`)
      try {
        for await (const chunk of this.#disk.read(id, extents, at, last)) {
          kept?.push(chunk)
          at += chunk.length
          yield chunk
        }
      } catch (error) {
        const isStored = object.scope !== null
        // It was moved while it was read: it goes on where it is now.
        if (isStored && object.extents !== extents) continue
        if (isStored) {
          this.#counters.lost++
          this.remove(object)
        }
        throw new StoreFault(`${object.key}: ${(error as Error).message}`)
      }
    }
    if (kept !== null && object.scope !== null && object.body === null)
      this.#enterMemory(object, kept.length === 1 ? kept[0]! : Buffer.concat(kept))
  }

  get purgeCount(): number {
    return this.#purges.count
  }

  stats(): StoreStats {
    const disk = this.#disk
    return {
      objects: this.#objects,
      memoryBytes: this.#residents === null ? this.#kept.bytes : this.#residents.bytes + this.#indexBytes,
      diskBytes: disk?.totalBytes ?? 0,
      recordingBytes: this.#recordingBytes,
      backlogBytes: disk?.backlogBytes ?? 0,
      diskFailing: disk?.failing ? 1 : 0,
      purges: this.#purges.count,
      ...this.#counters,
      ...disk?.counters,
    }
  }

  /** Nodes in the tree of scopes, for tests and figures. */
  scopeCount(): number {
    return this.#scopes.count()
  }

  /** Resolves when what was stored so far is on disk, or could not be put there. */
  async flushed(): Promise<void> {
    await this.#disk?.flushed()
  }

  async close(): Promise<void> {
    if (this.#sweep !== null) clearTimeout(this.#sweep.timer)
    this.#sweep = null
    await this.#disk?.close()
    this.#journal?.close()
  }

  /** Marks what a purge covers; returns how many objects lie there. */
  #apply(selector: PurgeSelector, number: number, at: number): number {
    let objects = 0
    for (const scope of this.#scopesOf(selector)) {
      if (selector.soft) {
        scope.softPurge = number
        scope.softPurgedAt = at
      } else scope.hardPurge = number
      objects += scope.objects
    }
    if (!('url' in selector)) return objects
    for (const object of this.#index.get(baseOfUrl(selector.url)) ?? NOTHING) {
      if (selector.soft ? object.freshAt >= number : object.storedAt >= number) continue
      objects++
      if (selector.soft) this.#makeStale(object, at)
      else this.remove(object)
    }
    return objects
  }

  #scopesOf(selector: PurgeSelector): Scope[] {
    const one = (scope: Scope | null) => (scope === null ? [] : [scope])
    if ('url' in selector) return one(this.#scopes.findKey(baseOfUrl(selector.url)))
    if ('tag' in selector) return one(this.#scopes.findTag(selector.tag, selector.property))
    if ('group' in selector) return one(this.#scopes.findGroup(selector.origin, selector.group))
    if ('prefix' in selector) return this.#scopes.findPrefix(baseOfUrl(selector.prefix), selector.property)
    if ('property' in selector) return one(this.#scopes.findProperty(selector.property))
    return [this.#scopes.all]
  }

  /** Compares an object with the purges since it was last looked at; false when it is gone by now. */
  #check(object: Stored): boolean {
    if (object.checkedAt === this.#purges.count) return true
    object.checkedAt = this.#purges.count
    let soft = 0
    let softAt = 0
    const marks = object.marks
    for (let at = -1; at < (marks?.length ?? 0); at++)
      for (let scope = at < 0 ? object.scope : marks![at]!; scope !== null; scope = scope.parent) {
        if (scope.hardPurge > object.storedAt) {
          this.remove(object)
          return false
        }
        if (scope.softPurge > soft) {
          soft = scope.softPurge
          softAt = scope.softPurgedAt
        }
      }
    if (soft > object.freshAt) this.#makeStale(object, softAt)
    return true
  }

  #makeStale(object: Stored, at: number): void {
    if (object.softPurgedAt !== null && object.softPurgedAt >= at) return
    object.softPurgedAt = at
    if (object.place !== null) this.#disk!.mark(object.place, STATE.soft, at)
  }

  #commit(
    key: string,
    head: StoredHead,
    since: number,
    body: Buffer | null,
    onDisk: { id: number; extents: readonly Extent<Stored>[]; bodyBytes: number } | null,
  ): Stored | null {
    const verdict = this.#purges.verdict(key, head, since)
    if (verdict === 'hard') {
      this.#counters.voided++
      return null
    }
    const bodyBytes = body?.length ?? onDisk!.bodyBytes
    // Now that the end has come, a length that was not announced is known, and ranges can be served.
    const whole = head.bodyBytes === null && head.requestMethod !== 'HEAD' ? { ...head, bodyBytes } : head
    const object = new Stored(this, key, whole, bodyBytes, this.#purges.count)
    if (verdict === 'soft') object.softPurgedAt = this.#now()
    if (onDisk !== null) {
      object.id = onDisk.id
      object.extents = onDisk.extents
    } else object.body = body
    this.#insert(object)
    if (object.scope === null) return null
    if (this.#disk !== null) {
      if (body !== null) this.#enterMemory(object, body)
      if (onDisk !== null) this.#writeRecord(object)
      else this.#writeBody(object, body!)
    }
    return object
  }

  /** Puts an object into the index, the scopes and the queue; what it replaces goes. */
  #insert(object: Stored): void {
    const { key, head } = object
    let isWanted = false
    for (const other of this.#index.get(key) ?? NOTHING)
      if (replaces(head, other.head)) {
        isWanted ||= this.#kept.isWanted(other)
        this.remove(other)
      }
    const others = this.#index.get(key) ?? NOTHING
    if (others.length >= VARIANTS) this.remove(others.at(-1)!)
    this.#dropPrepared(key)
    // Lists are replaced, never changed, so that whoever has found one may go on with it.
    this.#index.set(key, [object, ...(this.#index.get(key) ?? NOTHING)])
    this.#objects++
    this.#enter(object)
    this.#kept.add(object, isWanted)
    if (this.#disk === null) return
    if (object.body === null) object.pack()
    this.#trim()
  }

  /** More room in memory, or less: what has none goes at once. */
  resize(memoryBytes: number): void {
    this.#memoryBytes = memoryBytes
    this.#recordingRoomBytes = recordingRoom({ memoryBytes, disk: this.#disk })
    if (this.#disk === null) this.#kept.trim()
    else this.#trim()
  }

  #trim(): void {
    while (this.#indexBytes > this.#memoryBytes * INDEX_SHARE) this.#kept.evict()
    this.#residents!.trim()
  }

  #writeBody(object: Stored, body: Buffer): void {
    const disk = this.#disk!
    if (!disk.open) {
      disk.counters.diskSkipped++
      return
    }
    object.id = disk.newId()
    object.extents = body.length === 0 ? [] : [disk.writeExtent(object.id, 0, body)]
    this.#writeRecord(object)
  }

  /** Writes an object's record; again when its head changed meanwhile. */
  #writeRecord(object: Stored): void {
    const disk = this.#disk!
    const isFirst = object.place === null
    let written: StoredHead | null = null
    let softAt = 0
    const textOf = () => {
      if (object.scope === null) return null
      written = object.head
      softAt = object.softPurgedAt ?? 0
      const { key, head, bodyBytes, storedAt, freshAt } = object
      return { key, head, bodyBytes, storedAt, freshAt, softAt }
    }
    disk.writeObject(
      object,
      object.id,
      () => object.extents!,
      textOf,
      (place) => {
        if (place === null) {
          if (!isFirst) return
          disk.discard(object.extents!)
          object.extents = null
          if (object.scope !== null && object.body === null) this.remove(object)
          return
        }
        this.#replacePlace(object, place, isFirst)
        if (object.scope === null) return
        if (object.head !== written) this.#writeRecord(object)
        else if ((object.softPurgedAt ?? 0) !== softAt) disk.mark(place, STATE.soft, object.softPurgedAt ?? 0)
      },
    )
  }

  #replacePlace(object: Stored, place: DiskPlace<Stored>, isFirst: boolean): void {
    const disk = this.#disk!
    const old = object.place
    if (object.scope === null) {
      // It was removed while this was written. What its old place held is given back already.
      disk.release(object, place, isFirst ? [] : place.extents)
      return
    }
    object.place = place
    object.extents = place.extents
    if (old !== null) disk.release(object, old, place.extents, place)
  }

  /** Copies what lives in a segment elsewhere. What cannot be read is not stored any more. */
  async #clear(objects: readonly Stored[], segment: Segment<Stored>): Promise<void> {
    for (let at = 0; at < objects.length; at += MOVES)
      await Promise.all(objects.slice(at, at + MOVES).map((object) => this.#move(object, segment)))
  }

  async #move(object: Stored, segment: Segment<Stored>): Promise<void> {
    const { place } = object
    if (place === null || object.scope === null) return
    let written: StoredHead | null = null
    const textOf = () => {
      // A new head or another place came between: this copy would be of the past.
      if (object.scope === null || object.place !== place) return null
      const { key, head, bodyBytes, storedAt, freshAt, softPurgedAt } = object
      written = head
      return { key, head, bodyBytes, storedAt, freshAt, softAt: softPurgedAt ?? 0 }
    }
    try {
      await this.#disk!.move(object, place, segment, textOf, (moved) => {
        if (moved === null) return
        if (object.scope === null || object.place !== place)
          this.#disk!.release(object, moved, object.place?.extents ?? place.extents, object.place)
        else {
          this.#replacePlace(object, moved, false)
          if (object.head !== written) this.#writeRecord(object)
        }
      })
    } catch {
      // One that was removed or placed anew meanwhile is no loss.
      if (object.scope === null || object.place !== place) return
      this.#counters.lost++
      this.remove(object)
    }
  }

  #enterMemory(object: Stored, body: Buffer): void {
    object.body = body
    // What was prepared without the body is not what can be prepared with it.
    this.#dropPrepared(object.key)
    object.resident = new Resident(object)
    this.#residents!.add(object.resident)
  }

  #leaveMemory(resident: Resident): void {
    const { object } = resident
    object.resident = null
    object.body = null
    this.#dropPrepared(object.key)
    object.pack()
    // It is nowhere else: the disk did not take it.
    if (object.extents === null) this.remove(object)
  }

  #dropPrepared(key: string): void {
    for (const object of this.#index.get(key) ?? NOTHING) object.prepared = null
  }

  #enter(object: Stored): void {
    const { head, key } = object
    object.scope = this.#scopes.enterPlace(head.property, head.url)
    this.#indexBytes += object.indexBytes
    const marks = [
      ...head.tags.map((tag) => this.#scopes.enterTag(head.property, tag)),
      ...head.groups.map((group) => this.#scopes.enterGroup(originOf(head), group)),
    ]
    const base = baseOf(key)
    if (base !== key) marks.push(this.#scopes.enterKey(base))
    object.marks = marks.length === 0 ? null : marks
  }

  #leave(object: Stored): void {
    if (object.scope !== null) this.#scopes.leave(object.scope)
    for (const mark of object.marks ?? []) this.#scopes.leave(mark)
    object.scope = object.marks = null
    this.#indexBytes -= object.indexBytes
  }

  /** Takes it out of the index and the scopes; whoever still reads it may go on. */
  #forget(object: Stored): void {
    this.#dropPrepared(object.key)
    this.#leave(object)
    this.#objects--
    if (object.resident !== null) {
      this.#residents!.remove(object.resident)
      object.resident = null
    }
    if (object.place !== null) this.#disk!.release(object, object.place)
    object.place = null
    const left = this.#index.get(object.key)!.filter((other) => other !== object)
    if (left.length === 0) this.#index.delete(object.key)
    else this.#index.set(object.key, left)
  }

  /** Gives the room of purged objects back, a slice at a time; a purge meanwhile makes it go round once more. */
  #startSweep(): void {
    if (this.#sweep !== null) return
    this.#sweep = {
      keys: this.#index.keys(),
      since: this.#purges.count,
      timer: setTimeout(() => this.#sweepOn(), SWEEP_PAUSE_MS),
    }
    this.#sweep.timer.unref()
  }

  #sweepOn(): void {
    const sweep = this.#sweep
    if (sweep === null) return
    for (let left = SWEEP_KEYS; left > 0; left--) {
      const { value, done } = sweep.keys.next()
      if (done) {
        this.#sweep = null
        void this.#endSweep(sweep.since)
        return
      }
      this.find(value)
    }
    sweep.timer.refresh()
  }

  /** All objects have seen the purges up to `since`, and those that went are marked on disk: the journal needs them no more. */
  async #endSweep(since: number): Promise<void> {
    if (this.#journal !== null) {
      // A record that was on its way while its object was purged is marked when it has arrived.
      await this.#disk!.written()
      await this.#disk!.syncMarks()
      try {
        // A mark that the disk did not take leaves the journal as the only place that knows.
        if (this.#disk!.counters.diskMarkFaults === 0) this.#journal.forget(since)
        this.#journalIsBehind = false
      } catch {
        this.#counters.journalFaults++
      }
    }
    if (since !== this.#purges.count) {
      this.#startSweep()
      return
    }
    for (const resolve of this.#swept.splice(0)) resolve()
  }
}

const recordingRoom = ({ memoryBytes, disk }: { memoryBytes: number; disk?: unknown }): number =>
  Math.max(memoryBytes * RECORDING_SHARE, disk ? RECORDING_LEAST_BYTES : 0)

/** Opens a store with what is on its disk. @throws the system's error when the folder cannot be used */
export async function openStore(options: StoreOptions): Promise<EdgeStore> {
  if (!options.disk) return new EdgeStore(options)
  mkdirSync(options.disk.folder, { recursive: true })
  const store = new EdgeStore(options, new Journal(options.disk.folder))
  await store.load()
  return store
}

/** Whether a new response takes the place of one that is there: same kind, same variant, same bytes of it. */
function replaces(head: StoredHead, other: StoredHead): boolean {
  if ((head.requestMethod === 'HEAD') !== (other.requestMethod === 'HEAD')) return false
  if (head.vary.length !== other.vary.length || head.vary.some((part, at) => part !== other.vary[at])) return false
  // A whole response holds every range of it.
  if (head.range === null) return true
  return other.range !== null && head.range.first === other.range.first && head.range.last === other.range.last
}
