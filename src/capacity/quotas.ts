/**
 * Quotas: how much of a kind a party and all parties below it may have, at one site or over all. A quota is a pool like
 * any other whose capacity is the quota; each claim also reserves there (rows of type `quota`), so the same engine keeps
 * it exactly, whoever of the family claims.
 */
import { CapacityExhausted, NotFound } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Quantity, unitsFromQuantity } from '../core/quantity.ts'
import { toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { Engine } from './engine.ts'
import { loadPools } from './load.ts'
import { type By, record, refusedFor } from './supply.ts'

export interface QuotaKey {
  partyId: string
  kind: string
  /** Null for a quota over all sites. */
  siteId: number | null
}

/** The pools whose claims a quota concerns, and the quota itself if it is there. */
const poolsConcerned = (engine: Engine, { partyId, kind, siteId }: QuotaKey): number[] =>
  [...engine.registry.pools.values()]
    .filter(
      (pool) =>
        pool.kind === kind &&
        (pool.partyId === null
          ? siteId === null || pool.siteId === siteId
          : pool.partyId === partyId && pool.siteId === siteId),
    )
    .map(({ id }) => id)

/**
 * Sets a quota. What the family already has counts at once.
 * @throws CapacityExhausted when it already has more, with its claims; NotFound
 */
export function putQuota(engine: Engine, key: QuotaKey, quantity: Quantity, by: By): Promise<number> {
  return engine.exclusively(
    () => poolsConcerned(engine, key),
    async (sql) => {
      const now = engine.clock()
      const [party] = await sql.query<{ name: string }>('select name from party where id = $1', [key.partyId])
      if (!party) throw new NotFound('party', key.partyId)
      const [kind] = await sql.query('select from resource_kind where code = $1', [key.kind])
      if (!kind) throw new NotFound('resource kind', key.kind)
      const poolId = await quotaPool(sql, key, party.name, now)
      const [before] = await sql.query<{ quantity: number }>(
        'select coalesce(sum(quantity), 0)::float8 as quantity from capacity_step where pool_id = $1',
        [poolId],
      )
      await sql.query('delete from capacity_step where pool_id = $1', [poolId])
      if (quantity > 0)
        await sql.query(
          `insert into capacity_step (id, pool_id, effective_at, quantity, state) values ($1, $2, '-infinity', $3, 'open')`,
          [newId(), poolId, quantity],
        )
      await engine.registry.refresh(sql)
      const [pool] = await loadPools(sql, engine.registry, [poolId], now)
      const short = pool!.ledgers.overdrawnAt(null, now)
      if (short) {
        const refusal = await refusedFor(sql, pool!, Math.max(short.at, now), 'More is reserved than the quota')
        throw new CapacityExhausted(refusal.message, { ...refusal.facts, quota: unitsFromQuantity(quantity) })
      }
      await record(sql, { ...by, partyId: key.partyId }, 'quota.set', 'quota', String(poolId), before, {
        ...key,
        quantity,
      })
      return poolId
    },
  )
}

/** The quota's pool, made or revived with what the family has reserved. */
async function quotaPool(sql: Sql, key: QuotaKey, partyName: string, now: number): Promise<number> {
  const [found] = await sql.query<{ id: number; retired: boolean }>(
    `select id, retired_at is not null as retired from pool
     where party_id = $1 and kind = $2 and site_id is not distinct from $3 for update`,
    [key.partyId, key.kind, key.siteId],
  )
  if (found && !found.retired) return found.id
  const [pool] = found
    ? await sql.query<{ id: number }>(
        `update pool set retired_at = null, version = version + 1, reload_version = version + 1 where id = $1 returning id`,
        [found.id],
      )
    : await sql.query<{ id: number }>(
        'insert into pool (site_id, kind, party_id, name) values ($1, $2, $3, $4) returning id',
        [key.siteId, key.kind, key.partyId, `Quota of ${partyName}`],
      )
  await sql.query(
    `insert into reservation (claim_id, part, line, pool_id, quantity, type, starts_at, ends_at, born_version, pool_version)
     select r.claim_id, last.part + row_number() over (partition by r.claim_id order by r.part), r.line, q.id, r.quantity,
       'quota', greatest(r.starts_at, to_timestamp($2)), r.ends_at, q.version, q.version
     from pool q
       join pool p on p.kind = q.kind and p.party_id is null and (q.site_id is null or p.site_id = q.site_id)
       join reservation r on r.pool_id = p.id and r.ends_at > greatest(r.starts_at, to_timestamp($2))
       join claim c on c.id = r.claim_id
       join party y on y.id = c.party_id and y.ancestors @> array[q.party_id]
       cross join lateral (select max(part) as part from reservation x where x.claim_id = r.claim_id) last
     where q.id = $1`,
    [pool!.id, toEpochSeconds(now)],
  )
  return pool!.id
}

/** Withdraws a quota. @throws NotFound */
export function removeQuota(engine: Engine, key: QuotaKey, by: By): Promise<void> {
  return engine.exclusively(
    () => poolsConcerned(engine, key),
    async (sql) => {
      const now = toEpochSeconds(engine.clock())
      const [pool] = await sql.query<{ id: number }>(
        `update pool set retired_at = to_timestamp($4)
         where party_id = $1 and kind = $2 and site_id is not distinct from $3 and retired_at is null returning id`,
        [key.partyId, key.kind, key.siteId, now],
      )
      if (!pool) throw new NotFound('quota', `of ${key.kind}`)
      await sql.query(
        `update reservation r set ends_at = greatest(r.starts_at, to_timestamp($2)), pool_version = p.version
         from pool p where p.id = r.pool_id and r.pool_id = $1 and r.ends_at > greatest(r.starts_at, to_timestamp($2))`,
        [pool.id, now],
      )
      await sql.query('delete from capacity_step where pool_id = $1', [pool.id])
      await record(sql, { ...by, partyId: key.partyId }, 'quota.removed', 'quota', String(pool.id), key, undefined)
    },
  )
}
