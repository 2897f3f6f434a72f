/**
 * What edges counted, as readings: a batch is taken once however often it is sent, because its number and its slots are
 * written in one transaction. Edges of one site add up in one row for each property and slot of five minutes.
 */
import { WrongState } from '../core/errors.ts'
import { type Database, type Sql, sqlArray, sqlInstant } from '../database/connection.ts'
import type { UsageBatch, UsageSlot } from '../feed/messages.ts'

/** The length of a slot. */
export const SLOT_MS = 300_000

const ADD_SLOTS = `
  insert into cdn_usage as u (property_id, slot, site_id, party_id, requests, bytes_in, bytes_out, by_class, by_result,
    peak_requests_per_second, peak_bytes_out_per_second)
  select p.id, to_timestamp(t.slot / 1000.0), $1, p.party_id, t.requests, t.bytes_in, t.bytes_out, t.by_class::bigint[], t.by_result,
    t.peak_requests, t.peak_bytes
  from unnest($2::text[], $3::float8[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::jsonb[], $9::bigint[], $10::bigint[])
    as t(property, slot, requests, bytes_in, bytes_out, by_class, by_result, peak_requests, peak_bytes)
    join cdn_property p on p.edge_name = t.property
  order by p.id, t.slot
  on conflict (property_id, slot, site_id) do update set
    requests = u.requests + excluded.requests, bytes_in = u.bytes_in + excluded.bytes_in,
    bytes_out = u.bytes_out + excluded.bytes_out,
    by_class = array(select a + b from unnest(u.by_class, excluded.by_class) with ordinality as c(a, b, place) order by place),
    by_result = (select jsonb_object_agg(name, coalesce((u.by_result->>name)::bigint, 0) + coalesce((excluded.by_result->>name)::bigint, 0))
      from (select jsonb_object_keys(u.by_result) as name union select jsonb_object_keys(excluded.by_result)) as names),
    peak_requests_per_second = u.peak_requests_per_second + excluded.peak_requests_per_second,
    peak_bytes_out_per_second = u.peak_bytes_out_per_second + excluded.peak_bytes_out_per_second`

/**
 * Takes a batch; a repeat changes nothing. Returns the number of the newest batch that is on record.
 * @throws WrongState when one in between is missing: the node has lost count
 */
export async function takeBatch(
  database: Database,
  node: { id: string; siteId: number },
  { batch, slots }: UsageBatch,
): Promise<number> {
  return database.transaction(async (sql) => {
    const [row] = await sql.query<{ lastBatch: bigint }>(
      'select last_batch as "lastBatch" from node where id = $1 for no key update',
      [node.id],
      'last-batch',
    )
    const last = Number(row!.lastBatch)
    if (batch <= last) return last
    if (batch > last + 1)
      throw new WrongState(`Batch ${last + 1} was not taken yet; send it before ${batch}.`, { last })
    await sql.query('update node set last_batch = $2 where id = $1', [node.id, batch])
    await sql.query('insert into usage_batch (node_id, batch, slots) values ($1, $2, $3)', [
      node.id,
      batch,
      slots.length,
    ])
    if (slots.length > 0) await addSlots(sql, node.siteId, merged(slots))
    return batch
  })
}

type Sum = { -readonly [name in keyof UsageSlot]: UsageSlot[name] } & {
  byClass: number[]
  byResult: Record<string, number>
}

/** One row for each property and slot: an insert may not meet the same row twice. */
function merged(slots: readonly UsageSlot[]): UsageSlot[] {
  const byKey = new Map<string, Sum>()
  for (const slot of slots) {
    const from = slot.from - (slot.from % SLOT_MS)
    const key = `${slot.property} ${from}`
    const known = byKey.get(key)
    if (!known) {
      byKey.set(key, { ...slot, from, byClass: [...slot.byClass], byResult: { ...slot.byResult } })
      continue
    }
    known.requests += slot.requests
    known.bytesIn += slot.bytesIn
    known.bytesOut += slot.bytesOut
    for (const [index, count] of slot.byClass.entries()) known.byClass[index]! += count
    for (const [name, count] of Object.entries(slot.byResult))
      known.byResult[name] = (known.byResult[name] ?? 0) + count
    known.peakRequestsPerSecond = Math.max(known.peakRequestsPerSecond, slot.peakRequestsPerSecond)
    known.peakBytesOutPerSecond = Math.max(known.peakBytesOutPerSecond, slot.peakBytesOutPerSecond)
  }
  return [...byKey.values()]
}

const addSlots = (sql: Sql, siteId: number, slots: readonly UsageSlot[]) =>
  sql.query(
    ADD_SLOTS,
    [
      siteId,
      sqlArray(slots.map(({ property }) => property)),
      sqlArray(slots.map(({ from }) => from)),
      sqlArray(slots.map(({ requests }) => requests)),
      sqlArray(slots.map(({ bytesIn }) => bytesIn)),
      sqlArray(slots.map(({ bytesOut }) => bytesOut)),
      sqlArray(slots.map(({ byClass }) => `{${byClass.join(',')}}`)),
      sqlArray(slots.map(({ byResult }) => JSON.stringify(byResult))),
      sqlArray(slots.map(({ peakRequestsPerSecond }) => peakRequestsPerSecond)),
      sqlArray(slots.map(({ peakBytesOutPerSecond }) => peakBytesOutPerSecond)),
    ],
    'add-usage',
  )

export interface EdgeUsage {
  /** Null: all sites together. */
  site: string | null
  slot: number
  requests: number
  bytesIn: number
  bytesOut: number
  byClass: number[]
  byResult: Record<string, number>
  peakBytesOutPerSecond: number
}

/** Slots that one question may span: a month at five minutes. */
export const MAX_SLOTS = 9_000

/** The history of a property in slots of `stepMs` (a multiple of five minutes), by site or all together. */
export async function edgeUsage(
  sql: Sql,
  propertyId: string,
  asked: { from: number; to: number; stepMs: number; bySite: boolean },
): Promise<EdgeUsage[]> {
  const rows = await sql.query<EdgeUsage & { byResult: [string, number][] | null }>(
    `with chosen as (
       select u.*, to_timestamp(floor(extract(epoch from u.slot) / $4::float8) * $4::float8) as step,
         case when $5 then s.code end as site
       from cdn_usage u join site s on s.id = u.site_id
       where u.property_id = $1 and u.slot >= $2 and u.slot < $3),
     results as (
       select step, site, name, sum(count::bigint)::float8 as count
       from chosen, jsonb_each_text(by_result) as r(name, count) group by step, site, name)
     select site, step as slot, sum(requests)::float8 as requests, sum(bytes_in)::float8 as "bytesIn",
       sum(bytes_out)::float8 as "bytesOut",
       array[sum(by_class[1]), sum(by_class[2]), sum(by_class[3]), sum(by_class[4]), sum(by_class[5])]::float8[] as "byClass",
       (select json_agg(json_build_array(r.name, r.count)) from results r
        where r.step = chosen.step and r.site is not distinct from chosen.site) as "byResult",
       max(peak_bytes_out_per_second)::float8 as "peakBytesOutPerSecond"
     from chosen group by step, site order by step, site`,
    [propertyId, sqlInstant(asked.from), sqlInstant(asked.to), asked.stepMs / 1_000, asked.bySite],
  )
  return rows.map((row) => ({ ...row, byResult: Object.fromEntries(row.byResult ?? []) }))
}

/** What a month's invoice counts of a property. */
export interface MeteredUsage {
  id: string
  bytesOut: bigint
  requests: bigint
  /** Nearest rank over all slots of the property's life in the period, those without traffic too. */
  p95BitsPerSecond: number
}

/** The metered usage of properties in a period, each over its own life in it; those that were asked for nothing are left out. */
export const meteredUsage = (
  sql: Sql,
  properties: readonly { id: string; from: number; to: number }[],
): Promise<MeteredUsage[]> =>
  sql.query<MeteredUsage>(
    `with asked as (
       select id, to_timestamp(starts) as starts, to_timestamp(ends) as ends, greatest(1, ceil((ends - starts) / 300))::bigint as slots
       from unnest($1::uuid[], $2::float8[], $3::float8[]) as a(id, starts, ends)),
     sums as (
       select a.id, a.slots, u.slot, sum(u.bytes_out) as bytes, sum(u.requests) as requests
       from asked a join cdn_usage u on u.property_id = a.id and u.slot > a.starts - interval '5 minutes' and u.slot < a.ends
       group by a.id, a.slots, u.slot),
     ranked as (
       select id, bytes, requests, row_number() over (partition by id order by bytes)
         + greatest(0, slots - count(*) over (partition by id)) as rank,
         ceil(0.95 * greatest(slots, count(*) over (partition by id))) as wanted
       from sums)
     select id, sum(bytes)::bigint as "bytesOut", sum(requests)::bigint as requests,
       coalesce(max(bytes) filter (where rank = wanted), 0)::float8 * 8 / 300 as "p95BitsPerSecond"
     from ranked group by id order by id`,
    [
      properties.map(({ id }) => id),
      properties.map(({ from }) => from / 1_000),
      properties.map(({ to }) => to / 1_000),
    ],
  )
