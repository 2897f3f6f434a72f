/**
 * Response-rate limiting: a network whose address may be forged gets only so many equal answers a second, so that this server is of no
 * use for flooding it. The table has a fixed size; networks that share a place in it share the rate, which errs on the side of less.
 */

export const PASS = 0
export const REFUSED_SILENTLY = 1
/** Answer, but truncated: a real client comes again by TCP. */
export const SLIPPED = 2

/** Places in the table: 16 bytes each. */
const PLACES = 1 << 17
/** A second's worth may come at once. */
const BURST_SECONDS = 1

export class RateLimit {
  readonly #gapMs: number
  readonly #errorGapMs: number
  readonly #slip: number
  /** When the next answer of a place would be due if all had come evenly (the generic cell rate algorithm). */
  readonly #dueMs = new Float64Array(PLACES)
  readonly #refused = new Uint32Array(PLACES)

  constructor({
    perSecond,
    errorsPerSecond = perSecond,
    slip = 2,
  }: { perSecond: number; errorsPerSecond?: number; slip?: number }) {
    this.#gapMs = perSecond > 0 ? 1_000 / perSecond : 0
    this.#errorGapMs = errorsPerSecond > 0 ? 1_000 / errorsPerSecond : 0
    this.#slip = slip
  }

  /** `network` and `answer` are hashes. */
  judge(network: number, answer: number, isError: boolean, nowMs: number): number {
    const gap = isError ? this.#errorGapMs : this.#gapMs
    if (gap === 0) return PASS
    let place = Math.imul(network ^ Math.imul(answer, 0x85ebca6b), 0xc2b2ae35)
    place = (place ^ (place >>> 15)) & (PLACES - 1)
    const due = this.#dueMs[place]!
    const from = due > nowMs ? due : nowMs
    if (from - nowMs < BURST_SECONDS * 1_000) {
      this.#dueMs[place] = from + gap
      return PASS
    }
    if (this.#slip === 0) return REFUSED_SILENTLY
    const refused = this.#refused[place]! + 1
    this.#refused[place] = refused
    return refused % this.#slip === 0 ? SLIPPED : REFUSED_SILENTLY
  }
}
