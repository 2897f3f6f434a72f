/**
 * Supply: sites, kinds, pools, dated steps and containers. Whatever changes what a pool can give holds the pool's lock,
 * raises its version and its `reload_version` (so every process reads it anew), and is refused when it would take away
 * what is reserved, with the claims that stand in the way.
 */
import { BadInput, CapacityExhausted, NotFound, StaleVersion } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import { type Quantity, unitsFromQuantity } from '../core/quantity.ts'
import { DAY_MS, type Instant, toEpochSeconds, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import type { Engine } from './engine.ts'
import { type PoolState, readCapacity } from './load.ts'
import { Skyline } from './skyline.ts'

/** Who changes supply, on behalf of which party (the operator). */
export interface By {
  actor: Actor
  partyId: string
}

export interface NewSite {
  code: string
  name: string
  nameJa?: string | null
  address?: string | null
  latitude?: number | null
  longitude?: number | null
  timeZone?: string
  coveredFailures?: number
  floor?: unknown
}

/** @throws WrongState when the code is taken */
export function createSite(engine: Engine, site: NewSite, by: By): Promise<number> {
  checkTimeZone(site.timeZone)
  return engine.alone(async () => {
    const id = await engine.database.transaction(async (sql) => {
      const [row] = await sql.query<{ id: number }>(
        `insert into site (code, name, name_ja, address, latitude, longitude, time_zone, covered_failures, floor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`,
        [
          site.code,
          site.name,
          site.nameJa ?? null,
          site.address ?? null,
          site.latitude ?? null,
          site.longitude ?? null,
          site.timeZone ?? 'Asia/Tokyo',
          site.coveredFailures ?? 1,
          site.floor === undefined ? null : JSON.stringify(site.floor),
        ],
      )
      await record(sql, by, 'site.created', 'site', site.code, undefined, site)
      return row!.id
    })
    await engine.registry.refresh(engine.database)
    return id
  })
}

/**
 * Changes a site.
 * @throws StaleVersion; CapacityExhausted when more failures cannot be covered by what is there.
 */
export async function changeSite(
  engine: Engine,
  siteId: number,
  changes: Partial<Omit<NewSite, 'code'>>,
  expectedVersion: number | null,
  by: By,
): Promise<void> {
  checkTimeZone(changes.timeZone)
  const work = async (sql: Sql) => {
    const [before] = await sql.query<NewSite & { version: number }>(
      `select code, name, name_ja as "nameJa", address, latitude, longitude, time_zone as "timeZone",
         covered_failures as "coveredFailures", floor, version from site where id = $1 for update`,
      [siteId],
    )
    if (!before) throw new NotFound('site', String(siteId))
    if (expectedVersion !== null && expectedVersion !== before.version)
      throw new StaleVersion(expectedVersion, before.version)
    const { version: _, ...old } = before
    const site = { ...old, ...changes }
    await sql.query(
      `update site set name = $2, name_ja = $3, address = $4, latitude = $5, longitude = $6, time_zone = $7,
         covered_failures = $8, floor = $9, version = version + 1 where id = $1`,
      [
        siteId,
        site.name,
        site.nameJa,
        site.address,
        site.latitude,
        site.longitude,
        site.timeZone,
        site.coveredFailures,
        site.floor == null ? null : JSON.stringify(site.floor),
      ],
    )
    await record(sql, by, 'site.changed', 'site', before.code, old, site)
  }
  const more = changes.coveredFailures
  if (more === undefined) {
    await engine.alone(async () => {
      await engine.database.transaction(work)
      await engine.registry.refresh(engine.database)
    })
    return
  }
  await engine.exclusively(
    () =>
      [...engine.registry.pools.values()].filter((pool) => pool.siteId === siteId && !pool.partyId).map(({ id }) => id),
    async (sql, pools) => {
      await work(sql)
      for (const pool of pools) {
        const short = pool.ledgers.covering(more).overdrawnAt()
        if (short) throw await refusedFor(sql, pool, short.at, `${more} failed sites cannot be covered`)
      }
    },
  )
}

/** A new kind of capacity. @throws WrongState when the code is taken */
export async function createKind(
  engine: Engine,
  kind: { code: string; name: string; nameJa?: string | null; unit: string; identified?: boolean },
  by: By,
): Promise<void> {
  await engine.database.transaction(async (sql) => {
    await sql.query('insert into resource_kind (code, name, name_ja, unit, identified) values ($1, $2, $3, $4, $5)', [
      kind.code,
      kind.name,
      kind.nameJa ?? null,
      kind.unit,
      kind.identified ?? false,
    ])
    await record(sql, by, 'resource-kind.created', 'resource-kind', kind.code, undefined, kind)
  })
}

/** A new pool, with a first open step when a quantity is given. @throws WrongState when the site has one of the kind */
export function createPool(
  engine: Engine,
  pool: { siteId: number; kind: string; name: string; oversubscription?: number; quantity?: Quantity },
  by: By,
): Promise<number> {
  return engine.alone(async () => {
    const id = await engine.database.transaction(async (sql) => {
      const [kind] = await sql.query<{ identified: boolean }>('select identified from resource_kind where code = $1', [
        pool.kind,
      ])
      if (!kind) throw new NotFound('resource kind', pool.kind)
      checkOversubscription(kind.identified, pool.oversubscription)
      const [row] = await sql.query<{ id: number }>(
        'insert into pool (site_id, kind, name, oversubscription) values ($1, $2, $3, $4) returning id',
        [pool.siteId, pool.kind, pool.name, pool.oversubscription ?? 1],
      )
      if (pool.quantity)
        await insertStep(sql, row!.id, {
          effectiveAt: Number.NEGATIVE_INFINITY,
          quantity: pool.quantity,
          state: 'open',
        })
      await record(sql, by, 'pool.created', 'pool', String(row!.id), undefined, pool)
      return row!.id
    })
    await engine.registry.refresh(engine.database)
    return id
  })
}

/** Changes a pool's name or oversubscription. @throws CapacityExhausted when less is left than is reserved */
export function changePool(
  engine: Engine,
  poolId: number,
  changes: { name?: string; oversubscription?: number },
  by: By,
): Promise<void> {
  return engine.exclusively(
    () => [poolId],
    async (sql, [pool]) => {
      if (!pool) throw new NotFound('pool', String(poolId))
      checkOversubscription(pool.entry.identified, changes.oversubscription)
      const [before] = await sql.query<{ name: string; oversubscription: string }>(
        'select name, oversubscription from pool where id = $1',
        [poolId],
      )
      await sql.query(
        'update pool set name = coalesce($2, name), oversubscription = coalesce($3, oversubscription) where id = $1',
        [poolId, changes.name ?? null, changes.oversubscription ?? null],
      )
      await checkCapacity(engine, sql, pool)
      await record(sql, by, 'pool.changed', 'pool', String(poolId), before, changes)
    },
  )
}

export interface NewStep {
  effectiveAt: Instant
  quantity: Quantity
  state: 'planned' | 'committed' | 'open'
  cost?: bigint | null
  currency?: string | null
  leadTimeDays?: number
  note?: string | null
}

/** Adds a dated step. @throws CapacityExhausted when a negative one takes away what is reserved */
export async function addStep(engine: Engine, poolId: number, step: NewStep, by: By): Promise<string> {
  checkStep(step)
  return engine.exclusively(
    () => [poolId],
    async (sql, [pool]) => {
      if (!pool) throw new NotFound('pool', String(poolId))
      const id = await insertStep(sql, poolId, step)
      await checkCapacity(engine, sql, pool)
      await record(sql, by, 'step.created', 'step', id, undefined, { pool: poolId, ...shown(step) })
      return id
    },
  )
}

/** Changes a step. @throws CapacityExhausted when less is left than is reserved */
export function changeStep(
  engine: Engine,
  poolId: number,
  stepId: string,
  changes: Partial<NewStep>,
  by: By,
): Promise<void> {
  return engine.exclusively(
    () => [poolId],
    async (sql, [pool]) => {
      const before = await stepOf(sql, poolId, stepId)
      if (!pool || !before) throw new NotFound('step', stepId)
      const step = { ...before, ...changes }
      checkStep(step)
      await sql.query(
        `update capacity_step set effective_at = to_timestamp($3), quantity = $4, state = $5, cost = $6, currency = $7,
           lead_time_days = $8, note = $9 where id = $1 and pool_id = $2`,
        [stepId, poolId, ...stepValues(step)],
      )
      await checkCapacity(engine, sql, pool)
      await record(sql, by, 'step.changed', 'step', stepId, shown(before), shown(step))
    },
  )
}

/** Removes a step. @throws CapacityExhausted when less is left than is reserved */
export function removeStep(engine: Engine, poolId: number, stepId: string, by: By): Promise<void> {
  return engine.exclusively(
    () => [poolId],
    async (sql, [pool]) => {
      const before = await stepOf(sql, poolId, stepId)
      if (!pool || !before) throw new NotFound('step', stepId)
      await sql.query('delete from capacity_step where id = $1', [stepId])
      await checkCapacity(engine, sql, pool)
      await record(sql, by, 'step.removed', 'step', stepId, shown(before), undefined)
    },
  )
}

export interface NewContainer {
  siteId: number
  kind: string
  name: string
  slots: number
  faultDomain?: string | null
  slotLabels?: string[] | null
  x?: number | null
  y?: number | null
  width?: number | null
  depth?: number | null
  opensAt?: Instant
  /** Whether its slots are capacity on top of the pool's steps: adds an open step of as many units. */
  addsCapacity?: boolean
}

/** Adds racks, rooms or panels in one transaction. Their pools must be of identified kinds. */
export function addContainers(engine: Engine, containers: readonly NewContainer[], by: By): Promise<number[]> {
  const poolOf = ({ siteId, kind }: NewContainer) => {
    const pool = engine.registry.pool(siteId, kind)
    if (!pool) throw new NotFound('pool', `of ${kind} at ${engine.registry.siteName(siteId)}`)
    if (!pool.identified)
      throw new BadInput('/kind', `${kind} has no identified units`, 'a kind whose units are assigned one by one')
    return pool.id
  }
  return engine.exclusively(
    () => [...new Set(containers.map(poolOf))],
    async (sql) => {
      const ids: number[] = []
      for (const container of containers) {
        const opensAt = toEpochSeconds(container.opensAt ?? Number.NEGATIVE_INFINITY)
        const [row] = await sql.query<{ id: number }>(
          `insert into container (pool_id, name, fault_domain, slots, slot_labels, x, y, width, depth, opens_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10)) returning id`,
          [
            poolOf(container),
            container.name,
            container.faultDomain ?? null,
            container.slots,
            container.slotLabels ?? null,
            container.x ?? null,
            container.y ?? null,
            container.width ?? null,
            container.depth ?? null,
            opensAt,
          ],
        )
        ids.push(row!.id)
        if (container.addsCapacity)
          await insertStep(sql, poolOf(container), {
            effectiveAt: container.opensAt ?? Number.NEGATIVE_INFINITY,
            quantity: container.slots * 1_000,
            state: 'open',
            note: container.name,
          })
      }
      // One event for the lot, on the first: a list of a thousand numbers is no subject.
      await record(sql, by, 'container.created', 'container', String(ids[0] ?? ''), undefined, containers)
      return ids
    },
  )
}

async function insertStep(sql: Sql, poolId: number, step: NewStep): Promise<string> {
  const id = newId()
  await sql.query(
    `insert into capacity_step (id, pool_id, effective_at, quantity, state, cost, currency, lead_time_days, note)
     values ($1, $2, to_timestamp($3), $4, $5, $6, $7, $8, $9)`,
    [id, poolId, ...stepValues(step)],
  )
  return id
}

const stepValues = (step: NewStep): unknown[] => [
  toEpochSeconds(step.effectiveAt),
  step.quantity,
  step.state,
  step.cost ?? null,
  step.currency ?? null,
  step.leadTimeDays ?? 0,
  step.note ?? null,
]

async function stepOf(sql: Sql, poolId: number, stepId: string): Promise<NewStep | undefined> {
  const [row] = await sql.query<NewStep>(
    `select effective_at as "effectiveAt", quantity::float8 as quantity, state, cost, currency,
       lead_time_days as "leadTimeDays", note from capacity_step where id = $1 and pool_id = $2`,
    [stepId, poolId],
  )
  return row
}

const shown = (step: NewStep) => ({
  ...step,
  effectiveAt: Number.isFinite(step.effectiveAt) ? toIso(step.effectiveAt) : null,
  cost: step.cost?.toString() ?? null,
})

/** After a change in this transaction: whether the pool still holds all that is reserved from now on. */
async function checkCapacity(engine: Engine, sql: Sql, pool: PoolState): Promise<void> {
  const capacity = await readCapacity(sql, pool.entry.id)
  const old = [...pool.capacity.points()].map(({ at, value }) => ({ at, value: -value }))
  const short = pool.ledgers.overdrawnAt(Skyline.sum([capacity, Skyline.from(old)]), engine.clock())
  if (short) throw await refusedFor(sql, pool, short.at, 'Less capacity would be left than is reserved')
}

/** The refusal that names the claims in the way, the newest first. */
export async function refusedFor(sql: Sql, pool: PoolState, at: Instant, why: string): Promise<CapacityExhausted> {
  const claims = await sql.query<{ id: string; quantity: number }>(
    `select claim_id as id, sum(quantity)::float8 as quantity from reservation
     where pool_id = $1 and starts_at <= to_timestamp($2) and ends_at > to_timestamp($2)
     group by claim_id order by claim_id desc limit 20`,
    [pool.entry.id, toEpochSeconds(at)],
  )
  const when = Number.isFinite(at) ? toIso(at) : 'always'
  return new CapacityExhausted(`${why} at ${when}.`, {
    pool: pool.entry.id,
    kind: pool.entry.kind,
    at: when,
    claims: claims.map(({ id, quantity }) => ({ id, quantity: unitsFromQuantity(quantity) })),
  })
}

function checkStep(step: NewStep): void {
  if (!Number.isSafeInteger(step.quantity) || step.quantity === 0)
    throw new BadInput('/quantity', 'it is not an amount', 'an amount other than 0; negative where capacity goes away')
  if (step.effectiveAt > Date.now() + LIMITS.horizonYears * 366 * DAY_MS)
    throw new BadInput('/effectiveAt', 'it is too far ahead', `an instant within ${LIMITS.horizonYears} years`)
}

function checkOversubscription(identified: boolean, oversubscription = 1): void {
  if (identified && oversubscription !== 1)
    throw new BadInput('/oversubscription', 'units with identities cannot be sold twice', '1 for identified kinds')
}

function checkTimeZone(timeZone: string | undefined): void {
  if (timeZone === undefined) return
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw new BadInput('/timeZone', `${timeZone} is not a time zone`, 'an IANA name such as "Asia/Tokyo"')
  }
}

export function record(
  sql: Sql,
  by: By,
  type: string,
  subjectKind: string,
  subjectId: string,
  before: unknown,
  after: unknown,
): Promise<void> {
  return appendEvents(sql, [{ ...by, type, subjectKind, subjectId, before, after }])
}
