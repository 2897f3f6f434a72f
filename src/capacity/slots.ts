/**
 * Which slots a line gets: rack units, seats, ports. A run of contiguous slots is chosen by best fit, the smallest gap
 * that is free over all the intervals asked, so that large gaps are kept for large wishes (Knuth, TAOCP volume 1, 2.5);
 * of equal gaps the first container and lowest slot. The database's `EXCLUDE` constraint stands behind it.
 */
import { FOREVER, type Instant, type Interval } from '../core/time.ts'
import type { SlotRun } from './model.ts'

export interface Container {
  id: number
  name: string
  slots: number
  faultDomain: string | null
  opensAt: Instant
}

/** A run held over an interval. */
export interface Held {
  start: number
  length: number
  from: Instant
  to: Instant
}

export interface SlotWish {
  length: number
  intervals: readonly Interval[]
  containerId?: number
  start?: number
  /** Containers that affinity rules allow; null for all. */
  allowed?: ((container: Container) => boolean) | null
  /** Where it is now: taken again when it still fits there. */
  preferred?: SlotRun | null
}

interface Gap {
  start: number
  length: number
}

/**
 * What one container holds, with a summary that answers the usual wish, from now on, without looking at each hold: the
 * gaps between all open-ended holds. They are exact for a wish that begins after every other hold has ended and ends after
 * every open-ended one has begun.
 */
class Occupancy {
  held: Held[] = []
  /** When the last hold that has an end ends. */
  #endedBy = Number.NEGATIVE_INFINITY
  /** When the last open-ended hold begins. */
  #begunBy = Number.NEGATIVE_INFINITY
  #gaps: Gap[] | null = null

  add(held: Held): void {
    this.held.push(held)
    this.#count(held)
  }

  remove(index: number): void {
    this.held[index] = this.held.at(-1)!
    this.held.pop()
    this.#gaps = null
  }

  forget(before: Instant): void {
    this.held = this.held.filter((each) => each.to > before)
    this.#endedBy = Number.NEGATIVE_INFINITY
    this.#begunBy = Number.NEGATIVE_INFINITY
    for (const held of this.held) this.#count(held)
  }

  #count({ from, to }: Held): void {
    if (to === FOREVER) {
      this.#begunBy = Math.max(this.#begunBy, from)
      this.#gaps = null
    } else this.#endedBy = Math.max(this.#endedBy, to)
  }

  /** The gaps that are free over all the intervals, lowest slot first; the intervals are in order of time. */
  gaps(slots: number, intervals: readonly Interval[]): readonly Gap[] {
    if (intervals.length === 0 || intervals[0]!.from < this.#endedBy || intervals.at(-1)!.to <= this.#begunBy)
      return gapsBetween(this.held, slots, intervals)
    this.#gaps ??= gapsBetween(this.held, slots, [{ from: this.#endedBy, to: FOREVER }])
    return this.#gaps
  }
}

export class SlotMap {
  readonly containers: Container[]
  readonly #occupancies = new Map<number, Occupancy>()

  constructor(containers: Container[]) {
    this.containers = containers
    for (const container of containers) this.#occupancies.set(container.id, new Occupancy())
  }

  /** Marks a run as held. */
  hold(run: SlotRun, interval: Interval): void {
    this.#occupancies.get(run.containerId)?.add({ start: run.start, length: run.length, ...interval })
  }

  /** Takes a mark back; the run and interval must be as they were held. */
  drop(run: SlotRun, interval: Interval): void {
    const occupancy = this.#occupancies.get(run.containerId)
    const index =
      occupancy?.held.findLastIndex(
        (each) =>
          each.start === run.start &&
          each.length === run.length &&
          each.from === interval.from &&
          each.to === interval.to,
      ) ?? -1
    if (index >= 0) occupancy!.remove(index)
  }

  /** Forgets what ended before an instant. */
  forget(before: Instant): void {
    for (const occupancy of this.#occupancies.values()) occupancy.forget(before)
  }

  /** The run a wish gets, or null when there is none. */
  find(wish: SlotWish): SlotRun | null {
    const first = wish.intervals[0]?.from ?? 0
    if (wish.preferred && wish.containerId === undefined) {
      const again = this.find({
        ...wish,
        containerId: wish.preferred.containerId,
        start: wish.preferred.start,
        preferred: null,
      })
      if (again) return again
    }
    let best: SlotRun | null = null
    let bestGap = Number.POSITIVE_INFINITY
    for (const container of this.containers) {
      if (container.slots < wish.length || container.opensAt > first) continue
      if (wish.containerId !== undefined && wish.containerId !== container.id) continue
      if (wish.allowed && !wish.allowed(container)) continue
      for (const gap of this.#occupancies.get(container.id)!.gaps(container.slots, wish.intervals)) {
        const start = wish.start ?? gap.start
        if (start < gap.start || start + wish.length > gap.start + gap.length || gap.length >= bestGap) continue
        bestGap = gap.length
        best = { containerId: container.id, containerName: container.name, start, length: wish.length }
      }
      if (best && (wish.start !== undefined || bestGap === wish.length)) break
    }
    return best
  }

  /** The longest run free over an interval in any container. */
  largestRun(interval: Interval): number {
    let largest = 0
    for (const container of this.containers) {
      if (container.opensAt > interval.from) continue
      for (const gap of this.#occupancies.get(container.id)!.gaps(container.slots, [interval]))
        largest = Math.max(largest, gap.length)
    }
    return largest
  }
}

/** The gaps that none of the holds takes in any of the intervals. */
function gapsBetween(held: readonly Held[], slots: number, intervals: readonly Interval[]): Gap[] {
  // One byte per slot, at its number: 1 where it is taken.
  const busy = new Uint8Array(slots + 1)
  for (const each of held)
    for (const interval of intervals)
      if (each.from < interval.to && interval.from < each.to) {
        busy.fill(1, each.start, each.start + each.length)
        break
      }
  const gaps: Gap[] = []
  let start = 0
  for (let slot = 1; slot <= slots + 1; slot++) {
    if (slot <= slots && !busy[slot]) {
      if (start === 0) start = slot
    } else if (start > 0) {
      gaps.push({ start, length: slot - start })
      start = 0
    }
  }
  return gaps
}
