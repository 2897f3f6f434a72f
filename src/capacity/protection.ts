/** The report of disaster recovery: what is covered where, what is not, and the fail-overs so far. */
import type { Quantity } from '../core/quantity.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { worst } from './chart.ts'

/** A claim that a failure of `site` would leave without. */
export interface UnprotectedRow {
  claimId: string
  partyId: string
  partyName: string
  serviceId: string | null
  serviceName: string | null
  site: string
  /** `no-standby`: none was asked for; `not-honoured`: another failure has taken its place, or its own site has failed. */
  reason: 'no-standby' | 'not-honoured'
}

/** Claims that have something now or later and no standby for it, or standby that cannot be honoured. */
export const unprotectedClaims = (sql: Sql, now: Instant, limit: number): Promise<UnprotectedRow[]> =>
  sql.query(
    `with live as (
       select r.claim_id, p.site_id, r.protects_site_id, r.unprotected_at, s.failed_at
       from reservation r join pool p on p.id = r.pool_id and p.party_id is null join site s on s.id = p.site_id
       where r.ends_at > greatest(r.starts_at, to_timestamp($1)) and r.type in ('firm', 'standby')),
     lost as (
       select distinct claim_id, protects_site_id as site_id, 'not-honoured' as reason from live
       where protects_site_id is not null and (unprotected_at is not null or failed_at is not null)
       union all
       select distinct claim_id, site_id, 'no-standby' from live l
       where protects_site_id is null and not exists (
         select from live x where x.claim_id = l.claim_id and x.protects_site_id = l.site_id))
     select l.claim_id as "claimId", c.party_id as "partyId", y.name as "partyName", v.id as "serviceId",
       v.name as "serviceName", s.code as site, l.reason
     from lost l join claim c on c.id = l.claim_id join party y on y.id = c.party_id join site s on s.id = l.site_id
       left join lateral (select id, name from service where claim_id = c.id limit 1) v on true
     order by l.reason, c.id desc limit $2`,
    [toEpochSeconds(now), limit],
  )

export interface StandbyRow {
  site: string
  name: string
  kind: string
  unit: string
  coveredFailures: number
  /** Thousandths by protected site's code. */
  demands: Record<string, Quantity>
  claims: number
}

/** Standby kept at each site now, by kind and the site it protects. */
export const standbyAtSites = (sql: Sql, now: Instant): Promise<StandbyRow[]> =>
  sql.query(
    `select s.code as site, s.name, p.kind, k.unit, s.covered_failures as "coveredFailures",
       jsonb_object_agg(f.code, d.quantity) as demands, sum(d.claims)::integer as claims
     from (select r.pool_id, r.protects_site_id, sum(r.quantity) as quantity, count(distinct r.claim_id) as claims
           from reservation r where r.protects_site_id is not null and r.starts_at <= to_timestamp($1)
             and r.ends_at > to_timestamp($1) group by 1, 2) d
       join pool p on p.id = d.pool_id join site s on s.id = p.site_id join site f on f.id = d.protects_site_id
       join resource_kind k on k.code = p.kind
     group by s.code, s.name, p.kind, k.unit, s.covered_failures order by s.code, p.kind`,
    [toEpochSeconds(now)],
  )

/** What of the standby in one pool must really be kept free. */
export const worstFailure = (row: StandbyRow): Quantity => worst(Object.values(row.demands), row.coveredFailures)

export interface FailOverRow {
  id: string
  site: string
  mode: 'drill' | 'real'
  state: 'active' | 'ended'
  startedAt: Instant
  endedAt: Instant | null
  durationMs: number | null
  activated: number
  unprotected: number
  startedBy: string | null
}

/** Fail-overs and drills, the latest first. */
export const listFailOvers = (
  sql: Sql,
  options: { id: string | null; after: string | null; limit: number },
): Promise<FailOverRow[]> =>
  sql.query(
    `select f.id, s.code as site, f.mode, f.state, f.started_at as "startedAt", f.ended_at as "endedAt",
       f.duration_ms as "durationMs", f.activated, f.unprotected, f.started_by as "startedBy"
     from fail_over f join site s on s.id = f.site_id
     where ($1::uuid is null or f.id = $1) and ($2::uuid is null or f.id < $2) order by f.id desc limit $3`,
    [options.id, options.after, options.limit],
  )
