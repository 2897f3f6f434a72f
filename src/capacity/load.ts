/**
 * How a process comes to know pools: read whole at first use, then followed by version. Both read in one statement, one
 * snapshot, so what is applied is exactly the state at the version read.
 *
 * What ended more than a day before is not read (`LOADED_BEFORE_MS`); a claim that reaches further back reads its pools
 * from the beginning of time.
 */
import { DAY_MS, type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { PoolLedgers } from './ledgers.ts'
import { type CapacityStep, capacityPoints } from './model.ts'
import type { PoolEntry, Registry } from './registry.ts'
import { Skyline } from './skyline.ts'
import { type Container, SlotMap } from './slots.ts'
import { usePoints } from './use-points.ts'

/** How far before now pools are known. */
export const LOADED_BEFORE_MS = DAY_MS

/** One pool as this process sees it. */
export interface PoolState {
  entry: PoolEntry
  version: number
  /** Earlier instants are not known. */
  loadedFrom: Instant
  capacity: Skyline
  ledgers: PoolLedgers
  /** For identified kinds whose pool has containers. */
  slots: SlotMap | null
}

/** SQL: an instant column as milliseconds. */
const ms = (column: string) => `round(date_part('epoch', ${column}) * 1000)`

/** SQL: parts the reservations of a pool into shares that `usePoints` takes at once. */
const SHARE = `hashtext(claim_id::text) & 3`

interface UseRow {
  poolId: number
  protects: number | null
  unprotected: boolean
  /** `start end quantity` of each, in one text: far cheaper to read than a row each. */
  reservations: string
}

/**
 * Reads pools from `from` on. Run it in a transaction of isolation level repeatable read (or under the pools' locks), so
 * that its statements see one state.
 */
export async function loadPools(
  sql: Sql,
  registry: Registry,
  poolIds: readonly number[],
  from: Instant,
): Promise<PoolState[]> {
  const versions = await sql.query<{ id: number; version: number }>(
    'select id, version::float8 as version from pool where id = any($1)',
    [poolIds],
  )
  const steps = await readSteps(sql, poolIds)
  const use = await sql.query<UseRow>(
    `select pool_id as "poolId", protects_site_id as protects, unprotected_at is not null as unprotected,
       string_agg(concat_ws(' ', ${ms('greatest(starts_at, to_timestamp($2))')}, ${ms('ends_at')}, quantity), ' ') as reservations
     from reservation where pool_id = any($1) and ends_at > to_timestamp($2) and starts_at < ends_at
     group by pool_id, protects_site_id, unprotected_at is not null, ${SHARE}`,
    [poolIds, toEpochSeconds(from)],
  )
  const slots = await loadSlots(
    sql,
    poolIds.filter((id) => registry.pools.get(id)?.identified),
    from,
  )
  return versions.flatMap(({ id, version }) => {
    const entry = registry.pools.get(id)
    if (!entry) return []
    const capacity = capacityOf(
      entry,
      steps.filter((step) => step.poolId === id),
    )
    const lines = use.filter((row) => row.poolId === id)
    const ordinary = lines.filter((row) => row.protects === null).map(negativeUse)
    const coveredFailures = entry.siteId === null ? 1 : (registry.sites.get(entry.siteId)?.coveredFailures ?? 1)
    const ledgers = new PoolLedgers(Skyline.sum([capacity, ...ordinary]), coveredFailures, registry.active)
    const demand = new Map<number, { all: Skyline; honoured: Skyline }>()
    for (const site of new Set(lines.flatMap((row) => (row.protects === null ? [] : [row.protects])))) {
      const honoured = lines.filter((row) => row.protects === site && !row.unprotected).map(negativeUse)
      const lost = lines.filter((row) => row.protects === site && row.unprotected).map(negativeUse)
      demand.set(site, {
        all: Skyline.sum([new Skyline(), ...honoured, ...lost]),
        honoured: Skyline.sum([new Skyline(), ...honoured]),
      })
    }
    if (demand.size > 0) ledgers.load(demand)
    return [{ entry, version, loadedFrom: from, capacity, ledgers, slots: slots.get(id) ?? null }]
  })
}

interface StepRow extends CapacityStep {
  poolId: number
}

const readSteps = (sql: Sql, poolIds: readonly number[]): Promise<StepRow[]> =>
  sql.query<StepRow>(
    `select pool_id as "poolId", ${ms('effective_at')} as "effectiveAt", quantity::float8 as quantity, state
     from capacity_step where pool_id = any($1)`,
    [poolIds],
  )

/** A pool's capacity as the database has it now, with its present oversubscription. */
export async function readCapacity(sql: Sql, poolId: number): Promise<Skyline> {
  const [pool] = await sql.query<{ thousandths: number }>(
    'select (oversubscription * 1000)::integer as thousandths from pool where id = $1',
    [poolId],
  )
  return Skyline.from(capacityPoints(await readSteps(sql, [poolId]), pool!.thousandths))
}

/** Open capacity of a pool over time. */
const capacityOf = (entry: PoolEntry, steps: readonly CapacityStep[]): Skyline =>
  Skyline.from(capacityPoints(steps, entry.oversubscriptionThousandths))

const negativeUse = ({ reservations }: UseRow): Skyline =>
  Skyline.from(usePoints(reservations).map(({ at, value }) => ({ at, value: -value })))

/** Reads the containers of pools and what is assigned in them. Pools without containers are absent from the answer. */
export async function loadSlots(sql: Sql, poolIds: readonly number[], from: Instant): Promise<Map<number, SlotMap>> {
  const maps = new Map<number, SlotMap>()
  if (poolIds.length === 0) return maps
  const containers = await sql.query<Container & { poolId: number }>(
    `select id, name, pool_id as "poolId", slots, fault_domain as "faultDomain", ${ms('opens_at')} as "opensAt"
     from container where pool_id = any($1) order by id`,
    [poolIds],
  )
  for (const id of new Set(containers.map(({ poolId }) => poolId)))
    maps.set(id, new SlotMap(containers.filter(({ poolId }) => poolId === id)))
  const held = await sql.query<{
    poolId: number
    containerId: number
    containerName: string
    start: number
    length: number
    from: number
    to: number
  }>(
    `select c.pool_id as "poolId", a.container_id as "containerId", c.name as "containerName", lower(a.slots) as start,
       upper(a.slots) - lower(a.slots) as length, ${ms('lower(a.during)')} as from,
       ${ms('upper(a.during)')} as to
     from assignment a join container c on c.id = a.container_id
     where c.pool_id = any($1) and not isempty(a.during) and upper(a.during) > to_timestamp($2)`,
    [poolIds, toEpochSeconds(from)],
  )
  for (const each of held) maps.get(each.poolId)!.hold(each, each)
  return maps
}

interface Followed {
  poolId: number
  what: 'pool' | 'more'
  version: number
  reload: boolean
  from: number
  to: number
  quantity: number
  protects: number | null
  unprotected: boolean
}

/**
 * Brings known pools to the database's version: rows written since, and changes since to rows written before. Returns
 * the pools that must be read anew instead, because something else about them changed.
 */
export async function catchUp(sql: Sql, pools: readonly PoolState[]): Promise<PoolState[]> {
  if (pools.length === 0) return []
  const rows = await sql.query<Followed>(
    `with known as (select * from unnest($1::integer[], $2::float8[]) as k(id, seen)),
       behind as materialized (
         select p.id, p.version, k.seen::bigint as seen, p.reload_version > k.seen or p.retired_at is not null as reload
         from pool p join known k on k.id = p.id where p.version <> k.seen)
     select id as "poolId", 'pool' as what, version::float8 as version, reload, 0::float8 as from, 0::float8 as to,
       0::float8 as quantity, null::integer as protects, false as unprotected from behind
     union all
     select r.pool_id, 'more', 0, false, ${ms('r.starts_at')}, ${ms('r.ends_at')}, r.quantity, r.protects_site_id,
       r.unprotected_at is not null
     from behind b join reservation r on r.pool_id = b.id and r.pool_version > b.seen and r.born_version > b.seen
     where not b.reload
     union all
     select c.pool_id, 'more', 0, false, ${ms('c.starts_at')}, ${ms('c.ends_at')}, c.quantity, c.protects_site_id,
       c.unprotected
     from behind b join reservation_change c on c.pool_id = b.id and c.pool_version > b.seen and c.born_version <= b.seen
     where not b.reload`,
    [pools.map(({ entry }) => entry.id), pools.map(({ version }) => version)],
    'capacity-catch-up',
  )
  const byId = new Map(pools.map((pool) => [pool.entry.id, pool]))
  const behind = rows.filter((row) => row.what === 'pool')
  const slots = await loadSlots(
    sql,
    behind.filter((row) => !row.reload && byId.get(row.poolId)!.entry.identified).map((row) => row.poolId),
    Math.min(...pools.map((pool) => pool.loadedFrom)),
  )
  for (const row of rows) {
    const pool = byId.get(row.poolId)!
    if (row.what === 'pool') {
      if (row.reload) continue
      pool.version = row.version
      if (pool.entry.identified) pool.slots = slots.get(row.poolId) ?? null
    } else {
      if (row.from < row.to) pool.ledgers.take(row)
    }
  }
  return behind.filter((row) => row.reload).map((row) => byId.get(row.poolId)!)
}
