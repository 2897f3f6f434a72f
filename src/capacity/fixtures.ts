/** What capacity tests and benchmarks start from: an operator, sites, kinds and pools with one open step each. */
import { newId } from '../core/ids.ts'
import { THOUSANDTHS } from '../core/quantity.ts'
import type { Sql } from '../database/connection.ts'

/** Makes a party below another; the first one is the operator. */
export async function makeParty(sql: Sql, code: string, parentId: string | null = null): Promise<string> {
  const id = newId()
  await sql.query(
    `insert into party (id, kind, code, name, parent_id, ancestors)
     select $1, $2, $3, $3, $4, coalesce((select ancestors from party where id = $4), '{}') || $1::uuid`,
    [id, parentId === null ? 'operator' : 'customer', code, parentId],
  )
  return id
}

/** Makes kinds (identified where the name starts with `slot`) and sites with a pool of each kind. */
export async function makeSites(
  sql: Sql,
  options: { sites: number; kinds: string[]; units: number; prefix?: string },
): Promise<{ siteIds: number[]; poolIds: Map<string, number> }> {
  await sql.query(
    `insert into resource_kind (code, name, unit, identified)
     select k, k, 'unit', k like 'slot%' from unnest($1::text[]) k on conflict do nothing`,
    [options.kinds],
  )
  const sites = await sql.query<{ id: number }>(
    `insert into site (code, name) select $1 || n, 'Site ' || n from generate_series(1, $2::integer) n returning id`,
    [options.prefix ?? 'site-', options.sites],
  )
  const siteIds = sites.map(({ id }) => id)
  const pools = await sql.query<{ id: number; siteId: number; kind: string }>(
    `with made as (
       insert into pool (site_id, kind, name) select s, k, k from unnest($1::integer[]) s, unnest($2::text[]) k returning *),
     steps as (
       insert into capacity_step (id, pool_id, effective_at, quantity, state)
       select gen_random_uuid(), id, '-infinity', $3::bigint, 'open' from made)
     select id, site_id as "siteId", kind from made`,
    [siteIds, options.kinds, options.units * THOUSANDTHS],
  )
  return { siteIds, poolIds: new Map(pools.map(({ id, siteId, kind }) => [`${siteId}/${kind}`, id])) }
}

/** Makes containers of slots in a pool. */
export async function makeContainers(
  sql: Sql,
  poolId: number,
  containers: { name: string; slots: number; faultDomain?: string }[],
): Promise<number[]> {
  const rows = await sql.query<{ id: number }>(
    `insert into container (pool_id, name, slots, fault_domain)
     select $1, name, slots, domain from unnest($2::text[], $3::integer[], $4::text[]) as c(name, slots, domain) returning id`,
    [
      poolId,
      containers.map(({ name }) => name),
      containers.map(({ slots }) => slots),
      containers.map(({ faultDomain }) => faultDomain ?? null),
    ],
  )
  return rows.map(({ id }) => id)
}
