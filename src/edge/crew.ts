/** Who does the work of an edge: this process alone, or a fleet of workers; the same face for both. */

import type { LoadedConfig } from './config/load.ts'
import type { FrontCounters } from './front/front.ts'
import type { EdgeRequest, PurgeSelector, StoreStats } from './message.ts'
import { type Addresses, type Given, Serving, type ServingOptions } from './serving.ts'
import type { Explanation } from './sight/explain.ts'
import type { Sight } from './sight/sight.ts'
import type { EdgeStore } from './store/store.ts'

export interface CrewFigures {
  readonly store: StoreStats
  readonly front: FrontCounters
  readonly logDropped: number
}

export interface Crew {
  readonly loaded: LoadedConfig
  readonly addresses: Addresses
  /** What was counted, as of the last `figures`. */
  readonly sight: Sight
  readonly store: Pick<EdgeStore, 'stats'>
  /** Checked whole, in force everywhere when it resolves. @throws ConfigRefused and stays as it was */
  apply(given: Given): Promise<void>
  /** In force and on disk everywhere when it resolves; says how many objects. */
  purge(selector: PurgeSelector): Promise<number>
  explain(request: EdgeRequest): Promise<Explanation>
  /** Brings `sight` up to date as well. */
  figures(): Promise<CrewFigures>
  drain(): Promise<void>
  close(): Promise<void>
}

/** All in this process. */
export class Alone implements Crew {
  readonly #serving: Serving

  static async start(given: Given, options: ServingOptions): Promise<Alone> {
    const serving = await Serving.open(given, options)
    try {
      await serving.listen()
    } catch (error) {
      await serving.close()
      throw error
    }
    return new Alone(serving)
  }

  private constructor(serving: Serving) {
    this.#serving = serving
  }

  get loaded(): LoadedConfig {
    return this.#serving.loaded
  }
  get addresses(): Addresses {
    return this.#serving.addresses
  }
  get sight(): Sight {
    return this.#serving.sight
  }
  get store(): EdgeStore {
    return this.#serving.own
  }

  async apply(given: Given): Promise<void> {
    await this.#serving.prepare(given)
    this.#serving.commit()
  }

  async purge(selector: PurgeSelector): Promise<number> {
    const { objects } = this.store.purge(selector)
    await this.store.settled()
    return objects ?? 0
  }

  async explain(request: EdgeRequest): Promise<Explanation> {
    return this.#serving.explain(request)
  }

  async figures(): Promise<CrewFigures> {
    const { front, sight } = this.#serving
    return { store: this.store.stats(), front: front.counters, logDropped: sight.logDropped }
  }

  async drain(): Promise<void> {
    await this.#serving.drain()
    await this.#serving.close()
  }

  close(): Promise<void> {
    return this.#serving.close()
  }
}
