/**
 * Rate limits as token buckets: a client may send `burst` requests at once and `requests` in each `per` from then on.
 * Buckets are few: one that has filled up again says no more than none, so full ones go first when there are too many.
 */
export interface RateRule {
  readonly requestsPerSecond: number
  readonly burst: number
}

/** Clients told apart at once by one limit; about 100 bytes each. */
export const BUCKETS = 100_000

export class RateLimit {
  readonly #rule: RateRule
  readonly #buckets = new Map<string, { tokens: number; at: number }>()

  constructor(rule: RateRule) {
    this.#rule = rule
  }

  /** Takes one request of a client; 0 when it may go on, else the seconds after which it may. */
  take(client: string, nowMs: number): number {
    const { requestsPerSecond, burst } = this.#rule
    const bucket = this.#buckets.get(client)
    const tokens = bucket
      ? Math.min(burst, bucket.tokens + (Math.max(0, nowMs - bucket.at) / 1_000) * requestsPerSecond)
      : burst
    // Moved to the end: the Map's order is the order of the last use.
    this.#buckets.delete(client)
    this.#buckets.set(client, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: nowMs })
    this.#trim()
    return tokens >= 1 ? 0 : (1 - tokens) / requestsPerSecond
  }

  #trim(): void {
    for (const client of this.#buckets.keys()) {
      if (this.#buckets.size <= BUCKETS) return
      this.#buckets.delete(client)
    }
  }
}
