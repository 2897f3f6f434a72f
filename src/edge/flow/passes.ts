/**
 * Keys whose answers could not be shared when last asked (Varnish calls it hit-for-miss): requests for them do not wait for one
 * another. An answer that can be stored ends the memory at once.
 */

/** Keys remembered; beyond it the oldest is forgotten, which costs one wait. */
const MAX_KEYS = 100_000
/** After this long one request is let wait again, to see whether the answer has become storable. */
const REMEMBERED_MS = 30_000

export class Passes {
  readonly #until = new Map<string, number>()

  remember(key: string, now: number): void {
    this.#until.delete(key)
    if (this.#until.size >= MAX_KEYS) this.#until.delete(this.#until.keys().next().value!)
    this.#until.set(key, now + REMEMBERED_MS)
  }

  forget(key: string): void {
    if (this.#until.size > 0) this.#until.delete(key)
  }

  has(key: string, now: number): boolean {
    if (this.#until.size === 0) return false
    const until = this.#until.get(key)
    if (until === undefined) return false
    if (until > now) return true
    this.#until.delete(key)
    return false
  }
}
