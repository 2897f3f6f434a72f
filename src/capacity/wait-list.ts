/**
 * The wait list. A claim that does not fit may wait, and fills by itself when a step opens, somebody gives back, or a
 * hold lapses. The rule of fairness: waiting claims are tried in order of arrival, and during the first day anybody who
 * fits may go ahead, so that capacity does not lie idle for a large wish. A claim that has waited a day bars the way:
 * until it is filled nobody who came later, waiting or new, gets anything in the pools and the time it waits for. So a
 * small one never has to wait long for a large one, and a large one is passed over for a day at most and for what was
 * reserved before.
 */
import { CapacityExhausted } from '../core/errors.ts'
import { DAY_MS, type Instant, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { readClaims } from './claims.ts'
import type { KnownClaim, Part } from './world.ts'

/** How long a waiting claim lets later ones pass. */
export const LETS_PASS_MS = DAY_MS
/** Waiting claims that are looked at; those beyond come up as earlier ones leave. */
const LOOKED_AT = 10_000

/** A claim that bars pools over an interval to all who came later. */
export interface Bar {
  claimId: string
  poolIds: ReadonlySet<number>
  from: Instant
  to: Instant
}

export interface WaitingClaim extends KnownClaim {
  since: Instant
}

export class WaitList {
  #known = new Map<string, WaitingClaim>()
  /** Whether anybody waits, as far as this process knows. */
  someWait = false
  /** In order of arrival. */
  bars: Bar[] = []

  /** The waiting claims in order of arrival; reads only those that are new. */
  async refresh(sql: Sql): Promise<WaitingClaim[]> {
    const rows = await sql.query<{ id: string; since: Instant }>(
      `select id, created_at as since from claim where expires_at is not null and state = 'waiting' order by created_at, id limit ${LOOKED_AT}`,
      [],
      'capacity-waiting',
    )
    const fresh = await readClaims(
      sql,
      rows.filter(({ id }) => !this.#known.has(id)).map(({ id }) => id),
    )
    const known = new Map<string, WaitingClaim>()
    for (const { id, since } of rows) {
      const claim = this.#known.get(id) ?? fresh.get(id)
      if (claim?.state === 'waiting') known.set(id, { ...claim, since })
    }
    this.#known = known
    if (known.size === 0) this.bars = []
    return [...known.values()]
  }

  /** @throws CapacityExhausted when a part of a claim that came later lies where an earlier claim waits */
  check(claimId: string, parts: readonly Part[]): void {
    if (this.bars.length === 0) return
    // A waiting claim is barred by those before it alone.
    const own = this.bars.findIndex((bar) => bar.claimId === claimId)
    const before = own < 0 ? this.bars : this.bars.slice(0, own)
    for (const bar of before)
      for (const part of parts)
        if (bar.poolIds.has(part.poolId) && part.from < bar.to && bar.from < part.to)
          throw new CapacityExhausted(
            `An earlier claim waits for this capacity${Number.isFinite(bar.from) ? ` from ${toIso(bar.from)}` : ''}; it comes first.`,
            { pool: part.poolId, waitingClaim: bar.claimId },
          )
  }
}
