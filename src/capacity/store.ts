/** What is read of supply for people to see: sites with their pools and steps, kinds, containers, quotas. */
import type { Quantity } from '../core/quantity.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'

export interface SiteRow {
  id: number
  code: string
  name: string
  nameJa: string | null
  address: string | null
  latitude: number | null
  longitude: number | null
  timeZone: string
  coveredFailures: number
  failedAt: Instant | null
  floor: unknown
  version: number
}

const SITE_COLUMNS = `id, code, name, name_ja as "nameJa", address, latitude, longitude, time_zone as "timeZone",
  covered_failures as "coveredFailures", failed_at as "failedAt", floor, version`

/** Sites in the order they were made. */
export const listSites = (
  sql: Sql,
  options: { like: string | null; after: number | null; limit: number },
): Promise<SiteRow[]> =>
  sql.query(
    `select ${SITE_COLUMNS} from site
     where ($1::text is null or name ilike $1 or code ilike $1 or name_ja ilike $1) and id > coalesce($2, 0)
     order by id limit $3`,
    [options.like, options.after, options.limit],
  )

export async function findSite(sql: Sql, code: string): Promise<SiteRow | null> {
  const [site] = await sql.query<SiteRow>(`select ${SITE_COLUMNS} from site where code = $1`, [code])
  return site ?? null
}

export interface PoolRow {
  id: number
  siteId: number
  kind: string
  unit: string
  name: string
  identified: boolean
  oversubscription: number
  /** Open now, with oversubscription. */
  open: Quantity
  /** Of steps that do not count yet. */
  planned: Quantity
  firm: Quantity
  standby: Quantity
  held: Quantity
}

/** Pools of sites, with their use now as far as the reader may see claims. */
export const poolsOfSites = (sql: Sql, siteIds: readonly number[], now: Instant): Promise<PoolRow[]> =>
  sql.query(
    `select p.id, p.site_id as "siteId", p.kind, k.unit, p.name, k.identified, p.oversubscription::float8 as oversubscription,
       floor(greatest(s.open, 0) * p.oversubscription)::float8 as open, s.planned::float8 as planned,
       coalesce(u.firm, 0)::float8 as firm, coalesce(u.standby, 0)::float8 as standby, coalesce(u.held, 0)::float8 as held
     from pool p join resource_kind k on k.code = p.kind
       cross join lateral (
         select coalesce(sum(quantity) filter (where state <> 'planned' and effective_at <= to_timestamp($2)), 0) as open,
           coalesce(sum(quantity) filter (where state = 'planned' or effective_at > to_timestamp($2)), 0) as planned
         from capacity_step where pool_id = p.id) s
       left join (
         select pool_id, sum(quantity) filter (where type = 'firm') as firm,
           sum(quantity) filter (where type = 'standby') as standby, sum(quantity) filter (where type = 'hold') as held
         from reservation where starts_at <= to_timestamp($2) and ends_at > to_timestamp($2)
           and pool_id in (select id from pool where site_id = any($1) and party_id is null)
         group by pool_id) u on u.pool_id = p.id
     where p.site_id = any($1) and p.party_id is null order by p.id`,
    [siteIds, toEpochSeconds(now)],
  )

export interface SiteStepRow {
  siteId: number
  effectiveAt: Instant
  state: 'planned' | 'committed' | 'open'
  note: string | null
  quantities: Record<string, number>
}

/** What opens together at sites: steps of the same date, state and note, with their thousandths by kind. */
export const stepsOfSites = (sql: Sql, siteIds: readonly number[]): Promise<SiteStepRow[]> =>
  sql.query(
    `select site_id as "siteId", effective_at as "effectiveAt", state, note, jsonb_object_agg(kind, quantity) as quantities
     from (select p.site_id, s.effective_at, s.state, s.note, p.kind, sum(s.quantity) as quantity
           from capacity_step s join pool p on p.id = s.pool_id
           where p.site_id = any($1) and p.party_id is null group by 1, 2, 3, 4, 5) s
     group by 1, 2, 3, 4 order by effective_at, note`,
    [siteIds],
  )

export interface KindRow {
  code: string
  name: string
  nameJa: string | null
  unit: string
  identified: boolean
}

export const listKinds = (sql: Sql): Promise<KindRow[]> =>
  sql.query('select code, name, name_ja as "nameJa", unit, identified from resource_kind order by code')

export interface StepRow {
  id: string
  effectiveAt: Instant
  quantity: Quantity
  state: 'planned' | 'committed' | 'open'
  cost: bigint | null
  currency: string | null
  leadTimeDays: number
  note: string | null
}

export const stepsOfPool = (sql: Sql, poolId: number): Promise<StepRow[]> =>
  sql.query(
    `select id, effective_at as "effectiveAt", quantity::float8 as quantity, state, cost, currency,
       lead_time_days as "leadTimeDays", note from capacity_step where pool_id = $1 order by effective_at, id`,
    [poolId],
  )

export interface PoolHead {
  id: number
  siteId: number
  siteCode: string
  kind: string
  unit: string
  coveredFailures: number
}

/** A pool of capacity (quotas are none). */
export async function findPool(sql: Sql, poolId: number): Promise<PoolHead | null> {
  const [pool] = await sql.query<PoolHead>(
    `select p.id, p.site_id as "siteId", s.code as "siteCode", p.kind, k.unit, s.covered_failures as "coveredFailures"
     from pool p join site s on s.id = p.site_id join resource_kind k on k.code = p.kind
     where p.id = $1 and p.party_id is null`,
    [poolId],
  )
  return pool ?? null
}

/** Every pool of capacity. */
export const listPools = (sql: Sql): Promise<PoolHead[]> =>
  sql.query(
    `select p.id, p.site_id as "siteId", s.code as "siteCode", p.kind, k.unit, s.covered_failures as "coveredFailures"
     from pool p join site s on s.id = p.site_id join resource_kind k on k.code = p.kind
     where p.party_id is null order by p.id`,
  )

export interface ContainerRow {
  id: number
  name: string
  poolId: number
  kind: string
  faultDomain: string | null
  slots: number
  slotLabels: string[] | null
  x: number | null
  y: number | null
  width: number | null
  depth: number | null
  opensAt: Instant
}

export const containersOfSite = (
  sql: Sql,
  siteId: number,
  options: { kind: string | null; after: number | null; limit: number },
): Promise<ContainerRow[]> =>
  sql.query(
    `select c.id, c.name, c.pool_id as "poolId", p.kind, c.fault_domain as "faultDomain", c.slots,
       c.slot_labels as "slotLabels", c.x, c.y, c.width, c.depth, c.opens_at as "opensAt"
     from container c join pool p on p.id = c.pool_id
     where p.site_id = $1 and ($2::text is null or p.kind = $2) and c.id > coalesce($3, 0) order by c.id limit $4`,
    [siteId, options.kind, options.after, options.limit],
  )

export interface AssignmentRow {
  containerId: number
  claimId: string
  partyId: string
  partyName: string | null
  serviceName: string | null
  from: Instant
  to: Instant
  start: number
  length: number
}

/** Who has which slots of containers at an instant or later. The service's name is shown beside; nothing is decided by it. */
export const assignmentsIn = (sql: Sql, containerIds: readonly number[], at: Instant): Promise<AssignmentRow[]> =>
  sql.query(
    `select a.container_id as "containerId", a.claim_id as "claimId", c.party_id as "partyId", y.name as "partyName",
       s.name as "serviceName", lower(a.during) as "from", upper(a.during) as "to", lower(a.slots) as start,
       upper(a.slots) - lower(a.slots) as length
     from assignment a join claim c on c.id = a.claim_id left join party y on y.id = c.party_id
       left join lateral (select name from service where claim_id = c.id limit 1) s on true
     where a.container_id = any($1) and upper(a.during) > to_timestamp($2) order by a.container_id, lower(a.slots)`,
    [containerIds, toEpochSeconds(at)],
  )

export interface QuotaRow {
  id: number
  partyId: string
  partyCode: string
  kind: string
  unit: string
  siteCode: string | null
  quantity: Quantity
  used: Quantity
}

/** Quotas of one party, or of all that the reader may see. */
export const listQuotas = (
  sql: Sql,
  options: { partyId: string | null; after: number | null; limit: number; now: Instant },
): Promise<QuotaRow[]> =>
  sql.query(
    `select q.id, q.party_id as "partyId", y.code as "partyCode", q.kind, k.unit, s.code as "siteCode",
       coalesce((select sum(quantity) from capacity_step where pool_id = q.id), 0)::float8 as quantity,
       coalesce((select sum(quantity) from reservation r where r.pool_id = q.id
         and r.starts_at <= to_timestamp($4) and r.ends_at > to_timestamp($4)), 0)::float8 as used
     from pool q join party y on y.id = q.party_id join resource_kind k on k.code = q.kind left join site s on s.id = q.site_id
     where q.party_id is not null and q.retired_at is null and ($1::uuid is null or q.party_id = $1)
       and q.id > coalesce($2, 0) order by q.id limit $3`,
    [options.partyId, options.after, options.limit, toEpochSeconds(options.now)],
  )
