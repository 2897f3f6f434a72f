/**
 * Claims that this process has written lately, as the database has them, so that changing or ending one need not read it
 * first. What another process does to them is noticed when a decision is written: a claim's version that moved on turns
 * the write down (`write.ts`), and the claims are read. Only what changes rows without the claim's version, a fail-over,
 * has to be told: it makes the pools be read anew, and then everything here is forgotten.
 */
import type { Sql } from '../database/connection.ts'
import { readClaims } from './claims.ts'
import type { PoolState } from './load.ts'
import type { KnownClaim, Writes } from './world.ts'

/** Claims kept, about half a kilobyte each; the oldest go first. */
const KEPT_CLAIMS = 50_000

export class KnownClaims {
  readonly #kept = new Map<string, KnownClaim>()
  /** Rises whenever everything is forgotten: what was taken out before may be out of date. */
  generation = 0

  /** Claims whole, kept or read. Those that are not there are absent. */
  async know(sql: Sql, ids: readonly string[]): Promise<Map<string, KnownClaim>> {
    // Taken out before the others are read: meanwhile answers may push them out of here.
    const kept = new Map(ids.flatMap((id) => (this.#kept.has(id) ? [[id, this.#kept.get(id)!] as const] : [])))
    const read = await readClaims(
      sql,
      ids.filter((id) => !kept.has(id)),
    )
    return new Map([...kept, ...read])
  }

  /** Takes in what was just written to pools at the versions they have now. What is to be decided on later is read then. */
  written({ claim, parts }: Writes, pools: ReadonlyMap<number, PoolState>): void {
    this.#kept.delete(claim.id)
    if (claim.seen !== null || claim.request !== null) return
    const { seen: _, ...known } = claim
    this.#kept.set(claim.id, {
      ...known,
      version: 1,
      parts: parts.map((part) => ({ ...part, unprotected: false, bornVersion: pools.get(part.poolId)!.version })),
    })
    if (this.#kept.size > KEPT_CLAIMS) this.#kept.delete(this.#kept.keys().next().value!)
  }

  forget(): void {
    this.generation++
    this.#kept.clear()
  }
}
