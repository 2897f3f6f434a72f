/**
 * A skyline: an exact step function over time, such as what a pool has free. Breakpoints lie sorted in chunks of at most
 * 512; each chunk keeps a pending addition and its minimum, so that adding to an interval or asking its minimum touches
 * two chunks point by point and skips over those between. Neighbours of equal value are merged, so adding and taking
 * back leaves nothing behind. (A static segment tree, Brodnik & Nilsson 2003, arXiv cs/0308041, has the same bounds but
 * a fixed time grid; slotted arrays, Burchard 2005, likewise. Chunks need no grid and stay cache-friendly.)
 *
 * Times are milliseconds, `-Infinity` included; values are integers up to 2^53, so sums are exact.
 */
import { FOREVER, type Instant } from '../core/time.ts'

/** Breakpoints in one chunk. */
const CHUNK_POINTS = 512

/** One step: the value from `at` until the next point. */
export interface SkylinePoint {
  at: Instant
  value: number
}

interface Chunk {
  count: number
  times: Float64Array
  values: Float64Array
}

const newChunk = (): Chunk => ({
  count: 0,
  times: new Float64Array(CHUNK_POINTS),
  values: new Float64Array(CHUNK_POINTS),
})

export class Skyline {
  /** Chunks in order of time; beside each its first time, its pending addition and its minimum with that addition. */
  #chunks: Chunk[] = []
  #first = new Float64Array(16)
  #pending = new Float64Array(16)
  #minimum = new Float64Array(16)

  constructor(value = 0) {
    const chunk = newChunk()
    chunk.count = 1
    chunk.times[0] = Number.NEGATIVE_INFINITY
    chunk.values[0] = value
    this.#insertChunk(0, chunk, 0)
  }

  /** From points sorted by time; the first one's value also holds before it when it is at `-Infinity`, else 0 does. */
  static from(points: Iterable<SkylinePoint>): Skyline {
    const skyline = new Skyline(0)
    let chunk = skyline.#chunks[0]!
    let last = 0
    for (const { at, value } of points) {
      if (value === last) continue
      if (at === chunk.times[chunk.count - 1]) {
        chunk.values[chunk.count - 1] = value
      } else {
        // Half full, so that the first insertions do not split every chunk.
        if (chunk.count >= CHUNK_POINTS / 2) {
          chunk = newChunk()
          chunk.times[0] = at
          skyline.#insertChunk(skyline.#chunks.length, chunk, 0)
        }
        chunk.times[chunk.count] = at
        chunk.values[chunk.count] = value
        chunk.count++
      }
      last = value
    }
    for (let index = 0; index < skyline.#chunks.length; index++) {
      skyline.#first[index] = skyline.#chunks[index]!.times[0]!
      skyline.#remeasure(index)
    }
    return skyline
  }

  /** The sum of skylines, merged point by point. */
  static sum(skylines: readonly Skyline[]): Skyline {
    const sources = skylines.map((skyline) => skyline.points())
    const heads = sources.map((source) => source.next().value as SkylinePoint)
    const upcoming = sources.map((source) => source.next())
    function* merged(): Generator<SkylinePoint> {
      yield { at: Number.NEGATIVE_INFINITY, value: heads.reduce((sum, head) => sum + head.value, 0) }
      for (;;) {
        let at = Number.POSITIVE_INFINITY
        for (const next of upcoming) if (!next.done && next.value.at < at) at = next.value.at
        if (at === Number.POSITIVE_INFINITY) return
        let value = 0
        for (let index = 0; index < upcoming.length; index++) {
          const next = upcoming[index]!
          if (!next.done && next.value.at === at) {
            heads[index] = next.value
            upcoming[index] = sources[index]!.next()
          }
          value += heads[index]!.value
        }
        yield { at, value }
      }
    }
    return Skyline.from(merged())
  }

  /** How many breakpoints there are. */
  get size(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.count, 0)
  }

  /** Adds `amount` over `[from, to)`. */
  add(from: Instant, to: Instant, amount: number): void {
    if (!(from < to) || amount === 0) return
    if (to !== FOREVER) this.#ensure(to)
    this.#ensure(from)
    const firstChunk = this.#chunkAt(from)
    const begin = this.#indexAt(firstChunk, from)
    const lastChunk = to === FOREVER ? this.#chunks.length - 1 : this.#chunkAt(to)
    const end = to === FOREVER ? this.#chunks[lastChunk]!.count : this.#indexAt(lastChunk, to)
    if (firstChunk === lastChunk) {
      this.#addInside(firstChunk, begin, end, amount)
    } else {
      this.#addInside(firstChunk, begin, this.#chunks[firstChunk]!.count, amount)
      for (let index = firstChunk + 1; index < lastChunk; index++) {
        this.#pending[index]! += amount
        this.#minimum[index]! += amount
      }
      this.#addInside(lastChunk, 0, end, amount)
    }
    if (to !== FOREVER) this.#merge(to)
    this.#merge(from)
  }

  /** The smallest value over `[from, to)`; infinite over an empty interval. */
  minimum(from: Instant, to: Instant): number {
    if (!(from < to)) return Number.POSITIVE_INFINITY
    const firstChunk = this.#chunkAt(from)
    const lastChunk = to === FOREVER ? this.#chunks.length - 1 : this.#chunkBefore(to)
    let lowest = Number.POSITIVE_INFINITY
    for (let index = firstChunk + 1; index < lastChunk; index++)
      if (this.#minimum[index]! < lowest) lowest = this.#minimum[index]!
    for (const index of firstChunk === lastChunk ? [firstChunk] : [firstChunk, lastChunk]) {
      if (this.#minimum[index]! >= lowest) continue
      const chunk = this.#chunks[index]!
      const begin = index === firstChunk ? this.#indexAt(index, from) : 0
      const bound = lowest - this.#pending[index]!
      let inside = bound
      for (let place = begin; place < chunk.count && chunk.times[place]! < to; place++)
        if (chunk.values[place]! < inside) inside = chunk.values[place]!
      lowest = Math.min(lowest, inside + this.#pending[index]!)
    }
    return lowest
  }

  /** The first instant in `[from, to)` at which the value is below `bound`, or null. */
  firstBelow(from: Instant, to: Instant, bound: number): Instant | null {
    for (let index = this.#chunkAt(from); index < this.#chunks.length && this.#first[index]! < to; index++) {
      if (this.#minimum[index]! >= bound) continue
      const chunk = this.#chunks[index]!
      for (let place = Math.max(0, this.#indexAt(index, from)); place < chunk.count; place++) {
        const at = chunk.times[place]!
        if (at >= to) return null
        if (chunk.values[place]! + this.#pending[index]! < bound) return Math.max(at, from)
      }
    }
    return null
  }

  /** The value at an instant. */
  at(instant: Instant): number {
    const index = this.#chunkAt(instant)
    return this.#chunks[index]!.values[this.#indexAt(index, instant)]! + this.#pending[index]!
  }

  /** Every step, the first at `-Infinity`. */
  *points(): Generator<SkylinePoint> {
    for (let index = 0; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index]!
      for (let place = 0; place < chunk.count; place++)
        yield { at: chunk.times[place]!, value: chunk.values[place]! + this.#pending[index]! }
    }
  }

  /** Drops the steps before an instant: what holds then holds from the beginning of time on. */
  forgetBefore(instant: Instant): void {
    const kept = Skyline.from(this.#pointsFrom(instant))
    this.#chunks = kept.#chunks
    this.#first = kept.#first
    this.#pending = kept.#pending
    this.#minimum = kept.#minimum
  }

  *#pointsFrom(instant: Instant): Generator<SkylinePoint> {
    yield { at: Number.NEGATIVE_INFINITY, value: this.at(instant) }
    for (const point of this.points()) if (point.at > instant) yield point
  }

  /** The chunk that holds an instant: the last whose first time is not after it. */
  #chunkAt(instant: Instant): number {
    let low = 0
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#first[middle]! <= instant) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The chunk that holds the last point strictly before an instant. */
  #chunkBefore(instant: Instant): number {
    const index = this.#chunkAt(instant)
    return this.#first[index]! < instant ? index : Math.max(0, index - 1)
  }

  /** The last point of a chunk that is not after an instant; -1 when all are. */
  #indexAt(index: number, instant: Instant): number {
    const { times, count } = this.#chunks[index]!
    let low = -1
    let high = count - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (times[middle]! <= instant) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Makes a breakpoint at an instant, with the value that holds there. */
  #ensure(instant: Instant): void {
    let index = this.#chunkAt(instant)
    let place = this.#indexAt(index, instant)
    if (this.#chunks[index]!.times[place] === instant) return
    if (this.#chunks[index]!.count === CHUNK_POINTS) {
      this.#split(index)
      index = this.#chunkAt(instant)
      place = this.#indexAt(index, instant)
    }
    const chunk = this.#chunks[index]!
    const value = chunk.values[place]!
    chunk.times.copyWithin(place + 2, place + 1, chunk.count)
    chunk.values.copyWithin(place + 2, place + 1, chunk.count)
    chunk.times[place + 1] = instant
    chunk.values[place + 1] = value
    chunk.count++
  }

  /** Removes the breakpoint at an instant when nothing changes there. */
  #merge(instant: Instant): void {
    const index = this.#chunkAt(instant)
    const place = this.#indexAt(index, instant)
    const chunk = this.#chunks[index]!
    if (chunk.times[place] !== instant || instant === Number.NEGATIVE_INFINITY) return
    const before =
      place > 0
        ? chunk.values[place - 1]!
        : this.#chunks[index - 1]!.values[this.#chunks[index - 1]!.count - 1]! +
          this.#pending[index - 1]! -
          this.#pending[index]!
    if (chunk.values[place] !== before) return
    chunk.times.copyWithin(place, place + 1, chunk.count)
    chunk.values.copyWithin(place, place + 1, chunk.count)
    chunk.count--
    if (chunk.count === 0) this.#removeChunk(index)
    else if (place === 0) {
      this.#first[index] = chunk.times[0]!
      this.#remeasure(index)
    }
  }

  #addInside(index: number, begin: number, end: number, amount: number): void {
    const chunk = this.#chunks[index]!
    if (begin >= end) return
    if (begin === 0 && end === chunk.count) {
      this.#pending[index]! += amount
      this.#minimum[index]! += amount
      return
    }
    const { values } = chunk
    for (let place = begin; place < end; place++) values[place]! += amount
    this.#remeasure(index)
  }

  #remeasure(index: number): void {
    const { values, count } = this.#chunks[index]!
    let lowest = values[0]!
    for (let place = 1; place < count; place++) if (values[place]! < lowest) lowest = values[place]!
    this.#minimum[index] = lowest + this.#pending[index]!
  }

  #split(index: number): void {
    const left = this.#chunks[index]!
    const right = newChunk()
    const half = left.count >> 1
    right.count = left.count - half
    right.times.set(left.times.subarray(half, left.count))
    right.values.set(left.values.subarray(half, left.count))
    left.count = half
    this.#insertChunk(index + 1, right, this.#pending[index]!)
    this.#remeasure(index)
  }

  #insertChunk(index: number, chunk: Chunk, pending: number): void {
    const length = this.#chunks.length
    if (length === this.#first.length) {
      this.#first = grown(this.#first)
      this.#pending = grown(this.#pending)
      this.#minimum = grown(this.#minimum)
    }
    for (const column of [this.#first, this.#pending, this.#minimum]) column.copyWithin(index + 1, index, length)
    this.#chunks.splice(index, 0, chunk)
    this.#first[index] = chunk.times[0]!
    this.#pending[index] = pending
    this.#remeasure(index)
  }

  #removeChunk(index: number): void {
    for (const column of [this.#first, this.#pending, this.#minimum])
      column.copyWithin(index, index + 1, this.#chunks.length)
    this.#chunks.splice(index, 1)
  }
}

function grown(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(column.length * 2)
  larger.set(column)
  return larger
}
