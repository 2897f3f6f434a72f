/**
 * Which slots a line gets: rack units, seats, ports. A run of contiguous slots is chosen by best fit, the smallest gap
 * that is free over all the intervals asked, so that large gaps are kept for large wishes (Knuth, TAOCP volume 1, 2.5);
 * of equal gaps the first container and lowest slot. The database's `EXCLUDE` constraint stands behind it.
 */
import type { Instant, Interval } from '../core/time.ts'
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

export class SlotMap {
  readonly containers: Container[]
  #held = new Map<number, Held[]>()
  #busy = new Uint8Array(64)

  constructor(containers: Container[]) {
    this.containers = containers
    for (const container of containers) this.#held.set(container.id, [])
  }

  /** Marks a run as held. */
  hold(run: SlotRun, interval: Interval): void {
    this.#held.get(run.containerId)?.push({ start: run.start, length: run.length, ...interval })
  }

  /** Takes a mark back; the run and interval must be as they were held. */
  drop(run: SlotRun, interval: Interval): void {
    const held = this.#held.get(run.containerId)
    const index =
      held?.findLastIndex(
        (each) =>
          each.start === run.start &&
          each.length === run.length &&
          each.from === interval.from &&
          each.to === interval.to,
      ) ?? -1
    if (index < 0) return
    held![index] = held!.at(-1)!
    held!.pop()
  }

  /** Forgets what ended before an instant. */
  forget(before: Instant): void {
    for (const [id, held] of this.#held)
      if (held.some((each) => each.to <= before))
        this.#held.set(
          id,
          held.filter((each) => each.to > before),
        )
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
      const busy = this.#occupied(container, wish.intervals)
      if (wish.start !== undefined) {
        if (isFree(busy, wish.start, wish.length, container.slots))
          return {
            containerId: container.id,
            containerName: container.name,
            start: wish.start,
            length: wish.length,
          }
        continue
      }
      for (const gap of gaps(busy, container.slots)) {
        if (gap.length < wish.length || gap.length >= bestGap) continue
        bestGap = gap.length
        best = { containerId: container.id, containerName: container.name, start: gap.start, length: wish.length }
      }
      if (bestGap === wish.length) break
    }
    return best
  }

  /** The longest run free over an interval in any container. */
  largestRun(interval: Interval): number {
    let largest = 0
    for (const container of this.containers) {
      if (container.opensAt > interval.from) continue
      for (const gap of gaps(this.#occupied(container, [interval]), container.slots))
        largest = Math.max(largest, gap.length)
    }
    return largest
  }

  /** One byte per slot, at its number: 1 where it is held in any of the intervals. */
  #occupied(container: Container, intervals: readonly Interval[]): Uint8Array {
    if (this.#busy.length < container.slots + 1) this.#busy = new Uint8Array(container.slots + 1)
    const busy = this.#busy
    busy.fill(0, 0, container.slots + 1)
    for (const held of this.#held.get(container.id)!)
      for (const interval of intervals)
        if (held.from < interval.to && interval.from < held.to) {
          busy.fill(1, held.start, held.start + held.length)
          break
        }
    return busy
  }
}

function isFree(busy: Uint8Array, start: number, length: number, slots: number): boolean {
  if (start < 1 || start + length - 1 > slots) return false
  for (let slot = start; slot < start + length; slot++) if (busy[slot]) return false
  return true
}

function* gaps(busy: Uint8Array, slots: number): Generator<{ start: number; length: number }> {
  let start = 0
  for (let slot = 1; slot <= slots + 1; slot++) {
    if (slot <= slots && !busy[slot]) {
      if (start === 0) start = slot
    } else if (start > 0) {
      yield { start, length: slot - start }
      start = 0
    }
  }
}
