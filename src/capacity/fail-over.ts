/**
 * Fail-over: when a site fails, all standby that protects it becomes firm in one transaction; when it is back, standby
 * again. A drill does the same without a failure, on capacity that is promised to nobody: it is refused where it would
 * take what another failure could need, and dropped when a real failure comes.
 *
 * While a failure lasts, every other failure is looked at on top of it. Standby that could then not be honoured is marked
 * unprotected, oldest claims kept first; the ordinary scenarios still count it, so that the way back stays open and
 * fail-back restores exactly what was.
 */
import { CapacityExhausted, NotFound, WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Quantity, THOUSANDTHS } from '../core/quantity.ts'
import { type Instant, toEpochSeconds, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { Engine } from './engine.ts'
import { PoolLedgers } from './ledgers.ts'
import type { PoolState } from './load.ts'
import type { SlotRun } from './model.ts'
import { Skyline } from './skyline.ts'
import { type By, record } from './supply.ts'

export interface FailOver {
  id: string
  siteId: number
  mode: 'drill' | 'real'
  state: 'active' | 'ended'
  startedAt: Instant
  endedAt: Instant | null
  durationMs: number
  /** Claims whose standby became firm. */
  activated: number
  /** Claims whose standby cannot be honoured now. */
  unprotected: number
}

/** A standby row, whichever type it has now. */
interface StandbyRow {
  claimId: string
  part: number
  poolId: number
  quantity: Quantity
  from: Instant
  to: Instant
  protects: number
  type: 'standby' | 'firm'
  unprotected: boolean
}

/** What a standby row is to be. */
interface Standing {
  row: StandbyRow
  type: 'standby' | 'firm'
  unprotected: boolean
  run: SlotRun | null
}

/**
 * Turns the standby of a site into firm, atomically.
 * @throws WrongState when the site is in a fail-over already, or a drill is asked while any is; CapacityExhausted when a
 * drill would take promised capacity; NotFound
 */
export function failOver(engine: Engine, siteId: number, mode: 'drill' | 'real', by: By): Promise<FailOver> {
  const started = performance.now()
  return engine.exclusively(
    () => engine.poolsWithStandby(siteId),
    async (sql, pools) => {
      const now = engine.clock()
      const [site] = await sql.query<{ code: string; name: string }>(
        'select code, name from site where id = $1 for update',
        [siteId],
      )
      if (!site) throw new NotFound('site', String(siteId))
      const inForce = await activeFailOvers(sql)
      if (inForce.some((each) => each.siteId === siteId && each.mode === 'real'))
        throw new WrongState(`${site.name} is in a fail-over already.`)
      if (mode === 'drill' && inForce.length > 0)
        throw new WrongState('A drill waits until no other fail-over or drill is in force.')
      // A real failure drops every drill: its own site's, for it becomes real; others', for their capacity is needed.
      const drills = inForce.filter((each) => each.mode === 'drill')
      await sql.query(
        `update fail_over set state = 'ended', ended_at = to_timestamp($1) where mode = 'drill' and state = 'active'`,
        [toEpochSeconds(now)],
      )
      for (const drill of drills)
        await record(sql, by, 'site.recovered', 'site', engine.registry.sites.get(drill.siteId)!.code, undefined, {
          mode: 'drill',
          reason: 'dropped',
        })
      const active = new Set([...inForce.filter((each) => each.mode === 'real').map((each) => each.siteId), siteId])
      if (mode === 'drill') for (const pool of pools) refuseTakingPromised(pool, active, now, site.name)
      const standings = await restand(sql, pools, active, now)
      const activated = new Set(
        standings.filter(({ row, type }) => row.protects === siteId && type === 'firm').map(({ row }) => row.claimId),
      )
      const lost = new Set(standings.filter((each) => each.unprotected).map(({ row }) => row.claimId))
      if (mode === 'real')
        await sql.query('update site set failed_at = to_timestamp($2), version = version + 1 where id = $1', [
          siteId,
          toEpochSeconds(now),
        ])
      const failed: FailOver = {
        id: newId(),
        siteId,
        mode,
        state: 'active',
        startedAt: now,
        endedAt: null,
        durationMs: performance.now() - started,
        activated: activated.size,
        unprotected: lost.size,
      }
      await sql.query(
        `insert into fail_over (id, site_id, mode, state, started_at, duration_ms, activated, unprotected, started_by)
         values ($1, $2, $3, 'active', to_timestamp($4), $5, $6, $7, $8)`,
        [failed.id, siteId, mode, toEpochSeconds(now), failed.durationMs, activated.size, lost.size, by.actor.name],
      )
      await record(sql, by, 'site.failed', 'site', site.code, undefined, failed)
      return failed
    },
  )
}

/** Ends a fail-over: what it made firm is standby again, what it left unprotected is protected again. @throws NotFound, WrongState */
export function endFailOver(engine: Engine, failOverId: string, by: By): Promise<FailOver> {
  return engine.exclusively(
    async () => engine.poolsWithStandby(await siteOf(engine, failOverId)),
    async (sql, pools) => {
      const now = engine.clock()
      const [ended] = await sql.query<FailOver>(
        `update fail_over set state = 'ended', ended_at = to_timestamp($2) where id = $1 and state = 'active'
         returning id, site_id as "siteId", mode, state, started_at as "startedAt", ended_at as "endedAt",
           duration_ms as "durationMs", activated, unprotected`,
        [failOverId, toEpochSeconds(now)],
      )
      if (!ended) throw new WrongState('This fail-over has ended already.')
      const active = new Set((await activeFailOvers(sql)).map((each) => each.siteId))
      await restand(sql, pools, active, now)
      if (ended.mode === 'real')
        await sql.query('update site set failed_at = null, version = version + 1 where id = $1', [ended.siteId])
      const code = engine.registry.sites.get(ended.siteId)!.code
      await record(sql, by, 'site.recovered', 'site', code, undefined, { mode: ended.mode, failOver: ended.id })
      return ended
    },
  )
}

async function siteOf({ database }: Engine, failOverId: string): Promise<number> {
  const [row] = await database.query<{ siteId: number }>('select site_id as "siteId" from fail_over where id = $1', [
    failOverId,
  ])
  if (!row) throw new NotFound('fail-over', failOverId)
  return row.siteId
}

const activeFailOvers = (sql: Sql): Promise<{ id: string; siteId: number; mode: 'drill' | 'real' }[]> =>
  sql.query(`select id, site_id as "siteId", mode from fail_over where state = 'active' for update`)

/** @throws CapacityExhausted when the pool could not also honour another failure during the drill */
function refuseTakingPromised(pool: PoolState, active: ReadonlySet<number>, now: Instant, site: string): void {
  const short = pool.ledgers.during(active).overdrawnAt(null, now)
  if (!short) return
  throw new CapacityExhausted(
    `A drill of ${site} would take capacity of ${pool.entry.kind} that is promised to another failure, at ${toIso(Math.max(short.at, now))}.`,
    { pool: pool.entry.id, site: pool.entry.siteId, kind: pool.entry.kind, at: toIso(Math.max(short.at, now)) },
  )
}

/** Decides anew what every standby row is, with these sites in a fail-over, and writes what changed. */
async function restand(
  sql: Sql,
  pools: readonly PoolState[],
  active: ReadonlySet<number>,
  now: Instant,
): Promise<Standing[]> {
  const rows = await sql.query<StandbyRow>(
    `select claim_id as "claimId", part, pool_id as "poolId", quantity::float8 as quantity, starts_at as "from",
       ends_at as "to", protects_site_id as protects, type, unprotected_at is not null as unprotected
     from reservation where pool_id = any($1) and protects_site_id is not null and ends_at > greatest(starts_at, to_timestamp($2))
     order by claim_id, part`,
    [pools.map(({ entry }) => entry.id), toEpochSeconds(now)],
  )
  const standings = pools.flatMap((pool) =>
    standingsOf(
      pool,
      rows.filter((row) => row.poolId === pool.entry.id),
      active,
      now,
    ),
  )
  const changed = standings.filter(({ row, type, unprotected }) => type !== row.type || unprotected !== row.unprotected)
  await sql.query(
    `update reservation r set type = c.type, pool_version = p.version,
       unprotected_at = case when c.unprotected then coalesce(r.unprotected_at, to_timestamp($5)) end
     from unnest($1::uuid[], $2::integer[], $3::text[], $4::boolean[]) as c(claim_id, part, type, unprotected), pool p
     where r.claim_id = c.claim_id and r.part = c.part and p.id = r.pool_id`,
    [
      changed.map(({ row }) => row.claimId),
      changed.map(({ row }) => row.part),
      changed.map(({ type }) => type),
      changed.map(({ unprotected }) => unprotected),
      toEpochSeconds(now),
    ],
  )
  await writeSlots(sql, changed, now)
  return standings
}

/** Which rows of one pool are firm, standby or unprotected: active sites first, then older claims before newer ones. */
function standingsOf(
  pool: PoolState,
  rows: readonly StandbyRow[],
  active: ReadonlySet<number>,
  now: Instant,
): Standing[] {
  if (active.size === 0) return rows.map((row) => ({ row, type: 'standby', unprotected: false, run: null }))
  const ledgers = new PoolLedgers(Skyline.sum([pool.ledgers.base]), pool.ledgers.coveredFailures, active)
  for (const row of rows) ledgers.take({ ...row, unprotected: true })
  const rank = (row: StandbyRow) => (active.has(row.protects) ? 0 : 2) + (row.unprotected ? 1 : 0)
  const standings = new Map<StandbyRow, Standing>()
  for (const row of [...rows].sort((a, b) => rank(a) - rank(b))) {
    const from = Math.max(row.from, now)
    let fits = ledgers.freeDuringFailure(from, row.to, row.protects) >= row.quantity
    const firm = fits && active.has(row.protects)
    const wantsRun = firm && row.type !== 'firm' && pool.slots !== null
    const run = wantsRun
      ? pool.slots!.find({ length: row.quantity / THOUSANDTHS, intervals: [{ from, to: row.to }] })
      : null
    if (wantsRun && !run) fits = false
    if (run) pool.slots!.hold(run, { from, to: row.to })
    if (fits) {
      ledgers.take({ ...row, unprotected: true }, -1)
      ledgers.take({ ...row, unprotected: false })
    }
    standings.set(row, { row, type: fits && firm ? 'firm' : 'standby', unprotected: !fits, run })
  }
  return rows.map((row) => standings.get(row)!)
}

/** Slots of what became firm are taken, those of what is standby again given back. */
async function writeSlots(sql: Sql, changed: readonly Standing[], now: Instant): Promise<void> {
  const back = changed.filter(({ row, type }) => row.type === 'firm' && type === 'standby')
  const arrays = [back.map(({ row }) => row.claimId), back.map(({ row }) => row.part), toEpochSeconds(now)]
  const given =
    'from unnest($1::uuid[], $2::integer[]) as b(claim_id, part) where a.claim_id = b.claim_id and a.part = b.part'
  await sql.query(
    `delete from assignment a using unnest($1::uuid[], $2::integer[]) as b(claim_id, part)
     where a.claim_id = b.claim_id and a.part = b.part and lower(a.during) >= to_timestamp($3)`,
    arrays,
  )
  await sql.query(
    `update assignment a set during = tstzrange(lower(a.during), to_timestamp($3)) ${given} and upper(a.during) > to_timestamp($3)`,
    arrays,
  )
  const taken = changed.filter(({ run }) => run !== null)
  await sql.query(
    `insert into assignment (claim_id, part, container_id, slots, during)
     select claim_id, part, container, int4range(start, start + length), tstzrange(to_timestamp(starts), to_timestamp(ends))
     from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::float8[], $7::float8[])
       as t(claim_id, part, container, start, length, starts, ends)`,
    [
      taken.map(({ row }) => row.claimId),
      taken.map(({ row }) => row.part),
      taken.map(({ run }) => run!.containerId),
      taken.map(({ run }) => run!.start),
      taken.map(({ run }) => run!.length),
      taken.map(({ row }) => toEpochSeconds(Math.max(row.from, now))),
      taken.map(({ row }) => toEpochSeconds(row.to)),
    ],
  )
}
