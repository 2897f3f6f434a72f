/**
 * What a running edge makes of parts of its configuration and keeps for as long as those parts read the same: connections to
 * origins, the counts of rate limits. A new configuration asks for what it needs in a draft; if it comes into force, what
 * nobody asked for any more is closed, and if it is refused, what was made for it.
 */
export class Kept<T> {
  #inUse = new Map<string, T>()
  readonly #close: (thing: T) => void

  constructor(close: (thing: T) => void) {
    this.#close = close
  }

  draft(): Draft<T> {
    const before = this.#inUse
    const asked = new Map<string, T>()
    const close = (from: Map<string, T>, unlessIn: Map<string, T>) => {
      for (const [key, thing] of from) if (unlessIn.get(key) !== thing) this.#close(thing)
    }
    return {
      of: (key, make) => {
        const thing = asked.get(key) ?? before.get(key) ?? make()
        asked.set(key, thing)
        return thing
      },
      keep: () => {
        this.#inUse = asked
        close(before, asked)
      },
      drop: () => close(asked, before),
    }
  }

  close(): void {
    for (const thing of this.#inUse.values()) this.#close(thing)
    this.#inUse.clear()
  }
}

export interface Draft<T> {
  of(key: string, make: () => T): T
  /** The draft is in force. */
  keep(): void
  /** It never will be. */
  drop(): void
}
