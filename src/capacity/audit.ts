/** Runs the auditor (`audit.sql`): what must hold, recomputed in SQL from the rows alone, apart from the engine. */
import { readFileSync } from 'node:fs'
import type { Instant } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'

export interface AuditFinding {
  /** `oversold`, `version`, `orphan`, `half-written`, `outlives-claim`, `assigned-twice`, `wrong-assignment`, `quota-missed`. */
  finding: string
  poolId: number | null
  claimId: string | null
  at: Instant | null
  detail: string
}

export interface Audit {
  ok: boolean
  checkedPools: number
  /** At most 1,000. */
  findings: AuditFinding[]
}

const AUDIT = readFileSync(new URL('./audit.sql', import.meta.url), 'utf8')

/** Audits every pool in every failure scenario, for instants from `since` on (all of time if absent). */
export async function auditCapacity(sql: Sql, since: Instant = Number.NEGATIVE_INFINITY): Promise<Audit> {
  const findings = await sql.query<AuditFinding>(AUDIT, [sqlInstant(since)])
  const [count] = await sql.query<{ pools: number }>(
    'select count(*)::integer as pools from pool where retired_at is null',
  )
  return { ok: findings.length === 0, checkedPools: count!.pools, findings }
}
