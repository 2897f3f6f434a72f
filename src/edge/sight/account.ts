/**
 * What one property was asked for and was sent: the running figures of the current five-minute slot and of the time since
 * the start. Plain additions, since a hit pays for them; nothing is written or looked up here.
 */
import type { CacheResult } from '../message.ts'

/** Usage is told in slots of this length, on the clock: 12:00, 12:05 … */
export const SLOT_MS = 300_000

export const RESULTS: readonly CacheResult[] = [
  'hit',
  'stale',
  'revalidated',
  'miss',
  'collapsed',
  'pass',
  'answer',
  'refused',
  'error',
]
const INDEX: Record<CacheResult, number> = Object.fromEntries(
  RESULTS.map((result, index) => [result, index]),
) as Record<CacheResult, number>
/** Status classes 1xx … 5xx; a request without an answer counts in none. */
export const CLASSES = 5

/** Figures that only grow. */
export class Figures {
  requests = 0
  /** Heads as read and bodies as announced. */
  bytesIn = 0
  /** Heads and bodies as sent. */
  bytesOut = 0
  readonly byClass: number[] = new Array(CLASSES).fill(0)
  readonly byResult: number[] = new Array(RESULTS.length).fill(0)
  /** The most in one second. */
  peakRequests = 0
  peakBytesOut = 0

  add(status: number, result: CacheResult, bytesIn: number, bytesOut: number): void {
    this.requests++
    this.bytesIn += bytesIn
    this.bytesOut += bytesOut
    if (status >= 100 && status < 600) this.byClass[Math.floor(status / 100) - 1]!++
    this.byResult[INDEX[result]]!++
  }

  /** Adds what was counted elsewhere; peaks are of one place, so they are not added. */
  addAll(other: Pick<Figures, 'requests' | 'bytesIn' | 'bytesOut' | 'byClass' | 'byResult'>): void {
    this.requests += other.requests
    this.bytesIn += other.bytesIn
    this.bytesOut += other.bytesOut
    for (const [at, count] of other.byClass.entries()) this.byClass[at]! += count
    for (const [at, count] of other.byResult.entries()) this.byResult[at]! += count
  }
}

export class Account {
  readonly property: string
  slot = new Figures()
  readonly total = new Figures()
  /** Of the second that is over; for rates and peaks. */
  requestsPerSecond = 0
  bytesOutPerSecond = 0
  hitsPerSecond = 0
  #requests = 0
  #bytesOut = 0
  #hits = 0
  /** Something was added since it was last written. */
  changed = false

  constructor(property: string) {
    this.property = property
  }

  add(status: number, result: CacheResult, bytesIn: number, bytesOut: number): void {
    this.changed = true
    this.slot.add(status, result, bytesIn, bytesOut)
    this.total.add(status, result, bytesIn, bytesOut)
  }

  /** Once a second: what came since the last time. */
  tick(): void {
    this.requestsPerSecond = this.total.requests - this.#requests
    this.bytesOutPerSecond = this.total.bytesOut - this.#bytesOut
    this.hitsPerSecond = this.total.byResult[INDEX.hit]! - this.#hits
    this.#requests = this.total.requests
    this.#bytesOut = this.total.bytesOut
    this.#hits = this.total.byResult[INDEX.hit]!
    for (const figures of [this.slot, this.total]) {
      figures.peakRequests = Math.max(figures.peakRequests, this.requestsPerSecond)
      figures.peakBytesOut = Math.max(figures.peakBytesOut, this.bytesOutPerSecond)
    }
  }
}
