/**
 * The pools that this process knows: read whole at first use, followed by version, forgotten where long past. Only work
 * that runs between groups, or is a group, may touch them (`groups.ts`).
 */
import type { Instant } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import { catchUp, LOADED_BEFORE_MS, loadPools, type PoolState } from './load.ts'
import type { Registry } from './registry.ts'

export class KnownPools {
  /** Called whenever pools are read anew: more than their reservations may have changed. */
  onAnew: () => void = () => {}
  readonly states = new Map<number, PoolState>()
  readonly #database: Database
  readonly #registry: Registry
  readonly #clock: () => Instant

  constructor(database: Database, registry: Registry, clock: () => Instant) {
    this.#database = database
    this.#registry = registry
    this.#clock = clock
  }

  get(id: number): PoolState | undefined {
    return this.states.get(id)
  }

  /** Whether pools are all known from early enough on. */
  knows(ids: ReadonlySet<number>, from: Instant): boolean {
    return this.#unknown(ids, from).length === 0
  }

  /** Those that the registry lacks are withdrawn quotas. */
  #unknown(ids: ReadonlySet<number>, from: Instant): number[] {
    return [...ids].filter(
      (id) => this.#registry.pools.has(id) && !((this.states.get(id)?.loadedFrom ?? Infinity) <= from),
    )
  }

  /** Reads pools that this process does not know yet, or not from early enough on. */
  async know(sql: Sql, ids: ReadonlySet<number>, from: Instant, locked: boolean): Promise<PoolState[]> {
    const unknown = this.#unknown(ids, from)
    if (unknown.length > 0) {
      const near = from >= this.#clock() - LOADED_BEFORE_MS
      const since = near ? this.#clock() - LOADED_BEFORE_MS : Number.NEGATIVE_INFINITY
      await this.#load(sql, unknown, since, locked)
    }
    return [...ids].flatMap((id) => this.states.get(id) ?? [])
  }

  async #load(sql: Sql, ids: number[], from: Instant, locked: boolean): Promise<void> {
    this.onAnew()
    const read = async (snapshot: Sql) => {
      await this.#registry.refresh(snapshot)
      for (const state of await loadPools(snapshot, this.#registry, ids, from)) this.states.set(state.entry.id, state)
    }
    if (locked) await read(sql)
    else
      await this.#database.transaction(async (snapshot) => {
        await snapshot.query('set transaction isolation level repeatable read, read only')
        await read(snapshot)
      })
  }

  /** Brings pools up to the database; what cannot be followed is read anew. */
  async follow(sql: Sql, pools: PoolState[], locked: boolean): Promise<void> {
    const anew = await catchUp(sql, pools)
    if (anew.length === 0) return
    for (const { entry } of anew) this.states.delete(entry.id)
    await this.#load(
      sql,
      anew.map(({ entry }) => entry.id),
      Math.min(...anew.map(({ loadedFrom }) => loadedFrom)),
      locked,
    )
  }

  /** Drops pools: they are read anew at the next use. */
  forget(ids: Iterable<number>): void {
    this.onAnew()
    for (const id of ids) this.states.delete(id)
  }

  /** Forgets what is long past, as if the pools had been read just now. */
  forgetPast(): void {
    const before = this.#clock() - LOADED_BEFORE_MS
    for (const pool of this.states.values()) {
      if (pool.loadedFrom >= before - LOADED_BEFORE_MS) continue
      pool.ledgers.forgetBefore(before)
      pool.slots?.forget(before)
      pool.loadedFrom = before
    }
  }

  /** Forgets slots that were held long ago: looking for free ones stays quick. */
  forgetSlots(): void {
    const before = this.#clock() - LOADED_BEFORE_MS
    for (const pool of this.states.values())
      if (pool.slots && pool.loadedFrom < before) {
        pool.slots.forget(before)
        pool.loadedFrom = before
      }
  }
}
