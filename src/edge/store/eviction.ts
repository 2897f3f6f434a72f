/**
 * Which object goes when there is no more room: S3-FIFO (Yang and others, SOSP 2023), counted in bytes. New objects pass a
 * small queue first; one that is not asked for again leaves from there, so a scan that touches a million objects once pushes
 * out nothing that is used. What was asked for moves to the main queue and stays as long as it is asked for. A use is one
 * increment: no list is touched on a hit.
 *
 * Two changes to the paper, both measured with `bench edge-trace` against LRU at every size: one use is enough to reach the
 * main queue (two lost to LRU where nearly everything fits), and in the main queue an object larger than the mean needs
 * more uses for another round, by the square root of how much larger it is.
 */

/** What the queues need on an object; intrusive, so that a place in a queue costs no object of its own. */
export interface Evictable {
  readonly sizeBytes: number
  /** Uses since it was last looked at, up to `USES_KEPT`. */
  uses: number
  queue: Queue | null
  previous: Evictable | null
  next: Evictable | null
}

export const USES_KEPT = 7

/** Share of the room that the small queue may take. */
const SMALL_SHARE = 0.1

/** Uses an object of mean size needs for another round in the main queue; fewer than one, so that one is plenty. */
const USES_FOR_A_ROUND = 0.5

/** Objects given another round while looking for one to evict. After so many the next goes, used or not: a bound on time. */
const ROUNDS_AT_MOST = 512

/** A first-in first-out list of objects and the sum of their bytes. */
export class Queue {
  head: Evictable | null = null
  tail: Evictable | null = null
  bytes = 0
  length = 0

  push(item: Evictable): void {
    item.queue = this
    item.previous = null
    item.next = this.head
    if (this.head !== null) this.head.previous = item
    this.head = item
    this.tail ??= item
    this.bytes += item.sizeBytes
    this.length++
  }

  remove(item: Evictable): void {
    if (item.previous !== null) item.previous.next = item.next
    else this.head = item.next
    if (item.next !== null) item.next.previous = item.previous
    else this.tail = item.previous
    item.queue = item.previous = item.next = null
    this.bytes -= item.sizeBytes
    this.length--
  }
}

/** Keys that left the small queue unused a while ago: one that comes again was only too far apart, and goes to main. */
class Ghosts {
  readonly #when = new Map<number, number>()

  add(hash: number, clock: number): void {
    this.#when.delete(hash)
    this.#when.set(hash, clock)
  }
  /** Whether the key left within the last `windowBytes` of insertions. */
  take(hash: number, clock: number, windowBytes: number): boolean {
    const when = this.#when.get(hash)
    if (when === undefined) return false
    this.#when.delete(hash)
    return clock - when <= windowBytes
  }
  trim(limit: number): void {
    for (const hash of this.#when.keys()) {
      if (this.#when.size <= limit) return
      this.#when.delete(hash)
    }
  }
}

/** Ghosts kept however few objects there are, and for each object that is there. A ghost costs about 50 bytes. */
const GHOSTS_AT_LEAST = 1_024

/** FNV-1a; a collision only moves an object to the wrong queue. */
export function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

export class Eviction<T extends Evictable & { readonly key: string }> {
  readonly #small = new Queue()
  readonly #main = new Queue()
  readonly #ghosts = new Ghosts()
  readonly #room: () => number
  readonly #evict: (item: T) => void
  /** Bytes ever inserted. */
  #clock = 0

  /** `room` says in bytes how much there is; `evict` is told of each object that has to go, after it has left the queues. */
  constructor(room: () => number, evict: (item: T) => void) {
    this.#room = room
    this.#evict = evict
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes
  }
  get length(): number {
    return this.#small.length + this.#main.length
  }

  /** `isWanted`: it takes the place of one that had shown to be worth its room. */
  add(item: T, isWanted = false): void {
    item.uses = 0
    this.#clock += item.sizeBytes
    const isKnown = this.#ghosts.take(hashOf(item.key), this.#clock, this.#room())
    ;(isWanted || isKnown ? this.#main : this.#small).push(item)
    this.trim()
  }

  /** Whether it has shown to be worth its room. */
  isWanted(item: T): boolean {
    return item.queue === this.#main || item.uses > 0
  }

  /** Its size has changed from `before`; it keeps its place. */
  resized(item: T, before: number): void {
    if (item.queue !== null) item.queue.bytes += item.sizeBytes - before
    this.trim()
  }

  /** Evicts until all fits. */
  trim(): void {
    while (this.bytes > this.#room() && this.length > 0) this.evict()
  }

  /** Evicts the object whose turn it is. */
  evict(): void {
    for (let rounds = 0; this.length > 0; rounds++) if (this.#evictOne(rounds < ROUNDS_AT_MOST)) return
  }

  use(item: T): void {
    if (item.uses < USES_KEPT) item.uses++
  }

  remove(item: T): void {
    item.queue?.remove(item)
  }

  /** True when an object went; false when the one whose turn it was stays for another round. */
  #evictOne(mayStay: boolean): boolean {
    const small = this.#small
    const main = this.#main
    if (small.length > 0 && (small.bytes > this.#room() * SMALL_SHARE || main.length === 0)) {
      const item = small.tail as T
      small.remove(item)
      if (item.uses > 0 && mayStay) {
        item.uses = 0
        main.push(item)
        return false
      }
      this.#ghosts.add(hashOf(item.key), this.#clock)
      this.#ghosts.trim(Math.max(GHOSTS_AT_LEAST, this.length))
      this.#evict(item)
      return true
    }
    const meanBytes = this.bytes / this.length
    const item = main.tail as T
    main.remove(item)
    if (mayStay && item.uses > 0 && item.uses * Math.sqrt(meanBytes / item.sizeBytes) >= USES_FOR_A_ROUND) {
      item.uses--
      main.push(item)
      return false
    }
    this.#evict(item)
    return true
  }
}
