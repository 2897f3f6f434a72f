/** SQL of the replay: its tenants, the peaks it reached, and the invariants that must hold afterwards. */
import { readFileSync } from 'node:fs'
import { newId } from '../core/ids.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'
import { TENANTS } from './rule.ts'

export interface Tenant {
  id: string
  ancestors: string[]
}

/** The customers over whom the orders are dealt, made on the first replay. */
export async function tenants(sql: Sql): Promise<Tenant[]> {
  const codes = Array.from({ length: TENANTS }, (_, index) => `replay-${String(index + 1).padStart(3, '0')}`)
  const ids = codes.map(() => newId())
  await sql.query(
    `insert into party (id, kind, code, name, parent_id, ancestors, currency, locale, time_zone)
     select t.id, 'customer', t.code, 'Replay customer ' || right(t.code, 3), o.id, array[o.id, t.id], o.currency, o.locale, o.time_zone
     from unnest($1::uuid[], $2::text[]) as t(id, code) cross join party o where o.kind = 'operator'
     on conflict (code) do nothing`,
    [ids, codes],
  )
  return sql.query<Tenant>('select id, ancestors from party where code = any($1) order by code', [codes])
}

export interface PoolPeak {
  site: string
  kind: string
  unit: string
  open: number
  peak: number
  at: Instant
}

/** The most that was taken of each pool at any instant of an interval, and when first, in units. */
export const peaks = (sql: Sql, from: Instant, to: Instant): Promise<PoolPeak[]> =>
  sql.query<PoolPeak>(
    `with moves as (
       select pool_id, greatest(starts_at, to_timestamp($1)) as at, quantity as step from reservation
       where type = 'firm' and starts_at <= to_timestamp($2) and ends_at > to_timestamp($1) and starts_at < ends_at
       union all
       select pool_id, ends_at, -quantity from reservation
       where type = 'firm' and starts_at <= to_timestamp($2) and ends_at > to_timestamp($1) and starts_at < ends_at
         and ends_at <= to_timestamp($2)),
     levels as (select pool_id, at, sum(sum(step)) over (partition by pool_id order by at) as level from moves group by pool_id, at),
     tops as (select distinct on (pool_id) pool_id, level, at from levels order by pool_id, level desc, at)
     select s.code as site, p.kind, k.unit, t.level::float8 / 1000 as peak, t.at,
       coalesce((select sum(c.quantity) * p.oversubscription from capacity_step c
         where c.pool_id = p.id and c.state <> 'planned' and c.effective_at <= t.at), 0)::float8 / 1000 as open
     from tops t join pool p on p.id = t.pool_id and p.party_id is null join site s on s.id = p.site_id
       join resource_kind k on k.code = p.kind
     order by s.code desc, p.kind`,
    [toEpochSeconds(from), toEpochSeconds(to)],
  )

const INVARIANTS = readFileSync(new URL('./invariants.sql', import.meta.url), 'utf8')

/** Sentences on whatever does not hold between orders, contracts, services and claims since an instant. */
export async function violations(sql: Sql, since: Instant): Promise<string[]> {
  const rows = await sql.query<{ problem: string; count: number; example: string }>(INVARIANTS, [sqlInstant(since)])
  return rows.map(({ problem, count, example }) => `${problem}: ${count}, such as ${example}`)
}
