/**
 * One write for many: what arrives while a write is under way goes out together with the next one. Under load each write
 * carries more, alone each goes at once; nothing waits for a timer.
 */
import { Overloaded } from '../core/errors.ts'

/** Items waiting; more are refused rather than remembered. */
const WAITING_MAX = 50_000
/** Items in one write. */
const GROUP_MAX = 2_000

interface Waiting<Item, Result> {
  item: Item
  resolve(result: Result): void
  reject(error: unknown): void
}

export class Grouped<Item, Result> {
  readonly #write: (items: Item[]) => Promise<(Result | Error)[]>
  #waiting: Waiting<Item, Result>[] = []
  #running: Promise<void> | null = null

  /** `write` answers item by item; an `Error` refuses that one alone, a throw refuses all. */
  constructor(write: (items: Item[]) => Promise<(Result | Error)[]>) {
    this.#write = write
  }

  /** Resolves when the item is written. */
  add(item: Item): Promise<Result> {
    if (this.#waiting.length >= WAITING_MAX) return Promise.reject(new Overloaded())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    // What arrives in the same turn goes out together.
    await null
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, GROUP_MAX)
      try {
        const results = await this.#write(group.map(({ item }) => item))
        for (const [index, { resolve, reject }] of group.entries()) {
          const result = results[index]!
          if (result instanceof Error) reject(result)
          else resolve(result)
        }
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#running = null
  }
}
