/**
 * The store: an index in memory from cache key to stored responses, bounded by bytes, and purges that are in force when
 * they return. Everything here is synchronous, so nothing can come between a purge and the next look.
 */
import type { PurgeResult, PurgeSelector, Recording, Store, StoredHead, StoredObject, StoreStats } from '../message.ts'
import { Eviction } from './eviction.ts'
import { baseOf, baseOfUrl, originOf, Purges } from './purges.ts'
import { MemoryRecording } from './recording.ts'
import { type Scope, Scopes } from './scopes.ts'
import { Stored, sizeOf } from './stored.ts'

export interface StoreOptions {
  /** Room for bodies, heads and the index. */
  memoryBytes: number
  /** Epoch milliseconds; the clock of the heads' `requestTime`. */
  now?: () => number
}

/** Stored responses under one cache key (variants and ranges); the oldest goes first. */
export const VARIANTS = 64

/** An object may take this share of the room. */
const OBJECT_SHARE = 0.25
/** Responses that are being recorded may take this share of the room. */
const RECORDING_SHARE = 0.25

/** Keys looked at in one slice of a sweep, and the pause after it: a sweep costs at most a few percent of a core. */
const SWEEP_KEYS = 1_000
const SWEEP_PAUSE_MS = 10

const NOTHING: readonly Stored[] = []

export class EdgeStore implements Store {
  readonly #index = new Map<string, readonly Stored[]>()
  readonly #scopes = new Scopes()
  readonly #purges = new Purges()
  readonly #eviction: Eviction<Stored>
  readonly #memoryBytes: number
  readonly #now: () => number
  #objects = 0
  #recordingBytes = 0
  #counters = { evicted: 0, purged: 0, voided: 0, refused: 0 }
  #sweep: { keys: Iterator<string>; since: number; timer: NodeJS.Timeout } | null = null

  constructor(options: StoreOptions) {
    this.#memoryBytes = options.memoryBytes
    this.#now = options.now ?? Date.now
    this.#eviction = new Eviction(options.memoryBytes, (object) => {
      this.#counters.evicted++
      this.#forget(object)
    })
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
    this.#eviction.use(object as Stored)
  }

  record(key: string, head: StoredHead): Recording {
    const since = this.#purges.count
    return new MemoryRecording(this.#memoryBytes * OBJECT_SHARE, head.bodyBytes, {
      take: (bytes) => {
        if (this.#recordingBytes + bytes > this.#memoryBytes * RECORDING_SHARE) {
          this.#counters.refused++
          return false
        }
        this.#recordingBytes += bytes
        return true
      },
      give: (bytes) => {
        this.#recordingBytes -= bytes
      },
      commit: (body) => this.#commit(key, head, body, since),
    })
  }

  freshen(object: StoredObject, head: StoredHead): void {
    const stored = object as Stored
    if (stored.place === null || !this.#check(stored)) return
    const softPurgedAt = stored.softPurgedAt
    this.#eviction.remove(stored)
    this.#leave(stored)
    stored.head = head
    stored.prepared = null
    stored.sizeBytes = sizeOf(stored.key, head, stored.body?.length ?? 0)
    this.#enter(stored)
    stored.freshAt = this.#purges.count
    // A soft purge that came after the request for this head stays in force.
    if (softPurgedAt !== null && softPurgedAt < head.requestTime) stored.softPurgedAt = null
    this.#eviction.add(stored)
  }

  remove(object: StoredObject): void {
    const stored = object as Stored
    if (stored.place === null) return
    this.#eviction.remove(stored)
    this.#forget(stored)
  }

  purge(selector: PurgeSelector): PurgeResult {
    const now = this.#now()
    const number = this.#purges.add(selector, now)
    const hit = (scope: Scope): number => {
      if (selector.soft) {
        scope.softPurge = number
        scope.softPurgedAt = now
      } else scope.hardPurge = number
      return scope.objects
    }
    let objects = 0
    for (const scope of this.#scopesOf(selector)) objects += hit(scope)
    if ('url' in selector) objects += this.#purgeKey(baseOfUrl(selector.url), selector.soft === true, now)
    else if (objects > 0) this.#startSweep()
    this.#counters.purged += objects
    return { objects }
  }

  stats(): StoreStats {
    return {
      objects: this.#objects,
      memoryBytes: this.#eviction.bytes,
      diskBytes: 0,
      recordingBytes: this.#recordingBytes,
      purges: this.#purges.count,
      ...this.#counters,
    }
  }

  /** Nodes in the tree of scopes, for tests and figures. */
  scopeCount(): number {
    return this.#scopes.count()
  }

  /** Resolves once all purges so far would survive a power cut as well. */
  async settled(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#sweep !== null) clearTimeout(this.#sweep.timer)
    this.#sweep = null
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

  /** Purges what lies under exactly this key; returns how many. */
  #purgeKey(key: string, soft: boolean, now: number): number {
    const objects = this.#index.get(key)
    if (objects === undefined) return 0
    const count = objects.length
    for (const object of objects)
      if (soft) object.softPurgedAt = now
      else this.remove(object)
    return count
  }

  /** Compares an object with the purges since it was last looked at; false when it is gone by now. */
  #check(object: Stored): boolean {
    if (object.checkedAt === this.#purges.count) return true
    object.checkedAt = this.#purges.count
    let soft = 0
    let softAt = 0
    const marks = object.marks
    for (let at = -1; at < (marks?.length ?? 0); at++)
      for (let scope = at < 0 ? object.place : marks![at]!; scope !== null; scope = scope.parent) {
        if (scope.hardPurge > object.storedAt) {
          this.remove(object)
          return false
        }
        if (scope.softPurge > soft) {
          soft = scope.softPurge
          softAt = scope.softPurgedAt
        }
      }
    if (soft > object.freshAt) object.softPurgedAt = softAt
    return true
  }

  #commit(key: string, head: StoredHead, body: Buffer, since: number): Stored | null {
    const verdict = this.#purges.verdict(key, head, since)
    if (verdict === 'hard') {
      this.#counters.voided++
      return null
    }
    const object = new Stored(key, head, body, this.#purges.count)
    if (verdict === 'soft') object.softPurgedAt = this.#now()
    for (const other of this.#index.get(key) ?? NOTHING) if (replaces(head, other.head)) this.remove(other)
    const others = this.#index.get(key) ?? NOTHING
    if (others.length >= VARIANTS) this.remove(others.at(-1)!)
    // Lists are replaced, never changed, so that whoever has found one may go on with it.
    this.#index.set(key, [object, ...(this.#index.get(key) ?? NOTHING)])
    this.#objects++
    this.#enter(object)
    this.#eviction.add(object)
    return object.place === null ? null : object
  }

  #enter(object: Stored): void {
    const { head, key } = object
    object.place = this.#scopes.enterPlace(head.property, head.url)
    const marks = [
      ...head.tags.map((tag) => this.#scopes.enterTag(head.property, tag)),
      ...head.groups.map((group) => this.#scopes.enterGroup(originOf(head), group)),
    ]
    const base = baseOf(key)
    if (base !== key) marks.push(this.#scopes.enterKey(base))
    object.marks = marks.length === 0 ? null : marks
  }

  #leave(object: Stored): void {
    if (object.place !== null) this.#scopes.leave(object.place)
    for (const mark of object.marks ?? []) this.#scopes.leave(mark)
    object.place = object.marks = null
  }

  /** Takes it out of the index and the scopes; whoever still reads it may go on. */
  #forget(object: Stored): void {
    this.#leave(object)
    this.#objects--
    object.prepared = null
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
        if (sweep.since !== this.#purges.count) this.#startSweep()
        return
      }
      this.find(value)
    }
    sweep.timer.refresh()
  }
}

/** Whether a new response takes the place of one that is there: same kind, same variant, same bytes of it. */
function replaces(head: StoredHead, other: StoredHead): boolean {
  if ((head.requestMethod === 'HEAD') !== (other.requestMethod === 'HEAD')) return false
  if (head.vary.length !== other.vary.length || head.vary.some((part, at) => part !== other.vary[at])) return false
  // A whole response holds every range of it.
  if (head.range === null) return true
  return other.range !== null && head.range.first === other.range.first && head.range.last === other.range.last
}
