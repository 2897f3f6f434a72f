/** Claims as people see them: what they hold, where, and from when to when. */
import type { Quantity } from '../core/quantity.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { ClaimState } from './model.ts'

export interface ShownLine {
  line: number
  site: string
  kind: string
  unit: string
  quantity: Quantity
  type: 'firm' | 'standby' | 'hold'
  from: Instant
  to: Instant
  protects: string | null
  unprotected: boolean
  container: string | null
  containerId: number | null
  start: number | null
  length: number | null
}

export interface ShownClaim {
  id: string
  partyId: string
  partyName: string
  state: ClaimState
  from: Instant
  to: Instant
  expiresAt: Instant | null
  version: number
  createdAt: Instant
  lines: ShownLine[]
}

/** Claims of what the reader may see, newest first. An active claim whose end has passed is shown as released. */
export async function listClaims(
  sql: Sql,
  options: {
    ids?: readonly string[]
    state?: ClaimState | null
    partyId?: string | null
    siteId?: number | null
    like?: string | null
    after?: string | null
    limit: number
    now: Instant
  },
): Promise<ShownClaim[]> {
  const claims = await sql.query<Omit<ShownClaim, 'lines'>>(
    `select * from (
       select c.id, c.party_id as "partyId", y.name as "partyName",
         case when c.state = 'active' and c.ends_at <= to_timestamp($7) then 'released' else c.state end as state,
         c.starts_at as "from", c.ends_at as "to", c.expires_at as "expiresAt", c.version, c.created_at as "createdAt"
       from claim c join party y on y.id = c.party_id
       where ($1::uuid[] is null or c.id = any($1)) and ($3::uuid is null or c.party_id = $3)
         and ($4::integer is null or exists (
           select from reservation r join pool p on p.id = r.pool_id where r.claim_id = c.id and p.site_id = $4 and p.party_id is null))
         and ($5::text is null or y.name ilike $5 or c.id::text ilike $5) and ($6::uuid is null or c.id < $6)) shown
     where $2::text is null or state = $2 order by id desc limit $8`,
    [
      options.ids ?? null,
      options.state ?? null,
      options.partyId ?? null,
      options.siteId ?? null,
      options.like ?? null,
      options.after ?? null,
      toEpochSeconds(options.now),
      options.limit,
    ],
  )
  const lines = await sql.query<ShownLine & { claimId: string }>(
    `select r.claim_id as "claimId", r.line, s.code as site, p.kind, k.unit, r.quantity::float8 as quantity, r.type,
       r.starts_at as "from", r.ends_at as "to", f.code as protects,
       r.unprotected_at is not null or (r.protects_site_id is not null and s.failed_at is not null) as unprotected,
       t.name as container, t.id as "containerId", lower(a.slots) as start, upper(a.slots) - lower(a.slots) as length
     from reservation r join pool p on p.id = r.pool_id join site s on s.id = p.site_id
       join resource_kind k on k.code = p.kind left join site f on f.id = r.protects_site_id
       left join assignment a on a.claim_id = r.claim_id and a.part = r.part and upper(a.during) = r.ends_at
       left join container t on t.id = a.container_id
     where r.claim_id = any($1) and r.type <> 'quota' and r.starts_at < r.ends_at order by r.claim_id, r.line, r.starts_at`,
    [claims.map(({ id }) => id)],
  )
  const byClaim = Map.groupBy(lines, ({ claimId }) => claimId)
  return claims.map((claim) => ({ ...claim, lines: byClaim.get(claim.id) ?? [] }))
}
