/**
 * What a group of decisions writes, in one statement: it locks the pools in order of id, then the claims it changes,
 * checks every version the decisions were made on, and only if all still hold bumps the pools and writes claims,
 * reservations, assignments and events. A version that moved on writes nothing at all.
 *
 * `materialized` and the "first" sub-selects fix the order in which PostgreSQL runs the parts: pools before claims (one
 * lock order, so no deadlock), what gives up slots before what takes them (the `EXCLUDE` constraint looks row by row).
 */
import { type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { NewEvent } from '../database/events.ts'
import type { Writes } from './world.ts'

/** One decision as it is written. */
export interface Written {
  writes: Writes
  /** Its own identifier, by which a lost commit is looked for. */
  changeId: string
  at: Instant
  idempotencyKey: string | null
  requestHash: string | null
  events: NewEvent[]
}

export interface SeenPool {
  id: number
  version: number
  /** Whether rows of it are written; a refusal only checks that it was decided on what still is. */
  bump: boolean
}

const LOCK = `
  locked as materialized (
    select p.id, p.version from pool p where p.id = any($1::integer[]) order by p.id for update)`

const POOLS_FRESH = `
  (select count(*) from unnest($1::integer[], $2::bigint[]) as s(id, version) join locked l using (id, version))
    = cardinality($1::integer[])`

const INSERTS = `
  bumped as materialized (
    update pool set version = pool.version + 1 from unnest($1::integer[], $3::boolean[]) as s(id, bump)
    where pool.id = s.id and s.bump and (select ok from fresh) returning pool.id, pool.version),
  claims as (
    insert into claim (id, party_id, state, starts_at, ends_at, expires_at, request, change_id, created_at, idempotency_key, request_hash)
    select id, party_id, state, to_timestamp(starts), to_timestamp(ends), to_timestamp(expires), request, change_id,
      to_timestamp(at), key, hash
    from unnest($4::uuid[], $5::uuid[], $6::text[], $7::float8[], $8::float8[], $9::float8[], $10::jsonb[], $11::uuid[],
      $12::float8[], $13::text[], $14::text[])
      as c(id, party_id, state, starts, ends, expires, request, change_id, at, key, hash)
    where (select ok from fresh)),
  parts as (
    insert into reservation (claim_id, part, line, pool_id, quantity, type, starts_at, ends_at, protects_site_id,
      born_version, pool_version)
    select claim_id, part, line, pool_id, quantity, type, to_timestamp(starts), to_timestamp(ends), protects,
      b.version, b.version
    from unnest($15::uuid[], $16::integer[], $17::smallint[], $18::integer[], $19::bigint[], $20::text[], $21::float8[],
      $22::float8[], $23::integer[]) as r(claim_id, part, line, pool_id, quantity, type, starts, ends, protects)
      join bumped b on b.id = r.pool_id),
  events as (
    insert into event (party_id, actor_kind, actor_id, actor_name, type, subject_kind, subject_id, before, after)
    select e.* from unnest($24::uuid[], $25::text[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[],
      $31::json[], $32::json[]) as e
    where (select ok from fresh))`

const ASSIGN = `
  assigned as (
    insert into assignment (claim_id, part, container_id, slots, during)
    select claim_id, part, container_id, int4range(first, first + length), tstzrange(to_timestamp(starts), to_timestamp(ends))
    from unnest($33::uuid[], $34::integer[], $35::integer[], $36::integer[], $37::integer[], $38::float8[], $39::float8[])
      as a(claim_id, part, container_id, first, length, starts, ends)
    where (select ok from fresh)`

/** New claims alone: the hot path. Each part of a statement costs even when it finds nothing to do, so there are two. */
const NEW = `with ${LOCK}, fresh as materialized (select ${POOLS_FRESH} as ok),${INSERTS}`
const WRITE_NEW = `${NEW} select ok from fresh`
const WRITE_NEW_IN_SLOTS = `${NEW},${ASSIGN}) select ok from fresh`

/** New claims and changes of claims that are there. */
const WRITE_ALL = `with ${LOCK},
  mine as materialized (
    select c.id, c.version from claim c where c.id = any($40::uuid[]) and (select count(*) from locked) >= 0
    order by c.id for update),
  fresh as materialized (
    select ${POOLS_FRESH}
      and (select count(*) from unnest($40::uuid[], $41::integer[]) as s(id, version) join mine m using (id, version))
        = cardinality($40::uuid[]) as ok),${INSERTS},
  changed_claims as (
    update claim set state = c.state, starts_at = to_timestamp(c.starts), ends_at = to_timestamp(c.ends),
      expires_at = to_timestamp(c.expires), request = c.request, change_id = c.change_id, version = claim.version + 1
    from unnest($40::uuid[], $42::text[], $43::float8[], $44::float8[], $45::float8[], $46::jsonb[], $47::uuid[])
      as c(id, state, starts, ends, expires, request, change_id)
    where claim.id = c.id and (select ok from fresh)),
  changed_parts as (
    update reservation r set ends_at = to_timestamp(c.ends), type = c.type, pool_version = b.version
    from unnest($48::uuid[], $49::integer[], $50::integer[], $51::float8[], $52::text[]) as c(claim_id, part, pool_id, ends, type)
      join bumped b on b.id = c.pool_id
    where r.claim_id = c.claim_id and r.part = c.part),
  log as (
    insert into reservation_change (pool_id, pool_version, born_version, quantity, starts_at, ends_at, protects_site_id, unprotected)
    select l.pool_id, b.version, l.born, l.quantity, to_timestamp(l.starts), to_timestamp(l.ends), l.protects, l.unprotected
    from unnest($53::integer[], $54::bigint[], $55::bigint[], $56::float8[], $57::float8[], $58::integer[], $59::boolean[])
      as l(pool_id, born, quantity, starts, ends, protects, unprotected) join bumped b on b.id = l.pool_id),
  -- Only the assignment that lasts as long as its row: one that an ended fail-over left is history.
  dropped as (
    delete from assignment a using unnest($60::uuid[], $61::integer[], $62::float8[]) as c(claim_id, part, ends), reservation r
    where a.claim_id = c.claim_id and a.part = c.part and lower(a.during) >= to_timestamp(c.ends) and (select ok from fresh)
      and r.claim_id = c.claim_id and r.part = c.part and upper(a.during) = r.ends_at
    returning a.part),
  shortened as (
    update assignment a set during = tstzrange(lower(a.during), to_timestamp(c.ends))
    from unnest($60::uuid[], $61::integer[], $62::float8[]) as c(claim_id, part, ends), reservation r
    where a.claim_id = c.claim_id and a.part = c.part and lower(a.during) < to_timestamp(c.ends)
      and r.claim_id = c.claim_id and r.part = c.part and upper(a.during) = r.ends_at
      and (select count(*) from dropped) >= 0 and (select ok from fresh)
    returning a.part),${ASSIGN} and (select count(*) from shortened) >= 0)
  select ok from fresh`

/** An array parameter from values that need no quoting: numbers, booleans, uuids. */
const plain = (values: readonly (number | boolean | string | null)[]): string =>
  `{${values.map((v) => v ?? 'null').join(',')}}`

const seconds = (instant: Instant | null): number | null => (instant === null ? null : toEpochSeconds(instant))

/**
 * Writes a group. Returns false, with nothing written, when a version has moved on.
 * @throws whatever the database refuses; then nothing is written either.
 */
export async function writeGroup(sql: Sql, pools: readonly SeenPool[], group: readonly Written[]): Promise<boolean> {
  const inserts = group.filter(({ writes }) => writes.claim.seen === null)
  const updates = group.filter(({ writes }) => writes.claim.seen !== null)
  const parts = group.flatMap(({ writes }) => writes.parts.map((part) => ({ claimId: writes.claim.id, ...part })))
  const runs = parts.filter((part) => part.run !== null)
  const events = group.flatMap((each) => each.events)
  const values: unknown[] = [
    plain(pools.map((pool) => pool.id)),
    plain(pools.map((pool) => pool.version)),
    plain(pools.map((pool) => pool.bump)),
    plain(inserts.map(({ writes }) => writes.claim.id)),
    plain(inserts.map(({ writes }) => writes.claim.partyId)),
    plain(inserts.map(({ writes }) => writes.claim.state)),
    plain(inserts.map(({ writes }) => seconds(writes.claim.from))),
    plain(inserts.map(({ writes }) => seconds(writes.claim.to))),
    plain(inserts.map(({ writes }) => seconds(writes.claim.expiresAt))),
    inserts.map(({ writes }) => json(writes.claim.request)),
    plain(inserts.map((each) => each.changeId)),
    plain(inserts.map((each) => seconds(each.at))),
    inserts.map((each) => each.idempotencyKey),
    inserts.map((each) => each.requestHash),
    plain(parts.map((part) => part.claimId)),
    plain(parts.map((part) => part.part)),
    plain(parts.map((part) => part.line)),
    plain(parts.map((part) => part.poolId)),
    plain(parts.map((part) => part.quantity)),
    plain(parts.map((part) => part.type)),
    plain(parts.map((part) => seconds(part.from))),
    plain(parts.map((part) => seconds(part.to))),
    plain(parts.map((part) => part.protects)),
    plain(events.map((event) => event.partyId)),
    plain(events.map((event) => event.actor.kind)),
    events.map((event) => event.actor.id),
    events.map((event) => event.actor.name),
    plain(events.map((event) => event.type)),
    plain(events.map((event) => event.subjectKind)),
    events.map((event) => event.subjectId),
    events.map((event) => json(event.before)),
    events.map((event) => json(event.after)),
  ]
  if (updates.length + runs.length === 0) return succeeded(await sql.query(WRITE_NEW, values, 'capacity-write-new'))
  values.push(
    plain(runs.map((part) => part.claimId)),
    plain(runs.map((part) => part.part)),
    plain(runs.map((part) => part.run!.containerId)),
    plain(runs.map((part) => part.run!.start)),
    plain(runs.map((part) => part.run!.length)),
    plain(runs.map((part) => seconds(part.from))),
    plain(runs.map((part) => seconds(part.to))),
  )
  if (updates.length === 0) return succeeded(await sql.query(WRITE_NEW_IN_SLOTS, values, 'capacity-write-new-in-slots'))
  const changes = updates.flatMap(({ writes }) => writes.changes)
  const log = changes.filter((change) => change.to !== change.known.to)
  const placed = changes.filter((change) => change.known.run !== null)
  values.push(
    plain(updates.map(({ writes }) => writes.claim.id)),
    plain(updates.map(({ writes }) => writes.claim.seen)),
    plain(updates.map(({ writes }) => writes.claim.state)),
    plain(updates.map(({ writes }) => seconds(writes.claim.from))),
    plain(updates.map(({ writes }) => seconds(writes.claim.to))),
    plain(updates.map(({ writes }) => seconds(writes.claim.expiresAt))),
    updates.map(({ writes }) => json(writes.claim.request)),
    plain(updates.map((each) => each.changeId)),
    plain(changes.map((change) => change.claimId)),
    plain(changes.map((change) => change.known.part)),
    plain(changes.map((change) => change.known.poolId)),
    plain(changes.map((change) => seconds(change.to))),
    plain(changes.map((change) => change.type)),
    plain(log.map(({ known }) => known.poolId)),
    plain(log.map(({ known }) => known.bornVersion)),
    plain(log.map(({ known, to }) => (to > known.to ? known.quantity : -known.quantity))),
    plain(log.map(({ known, to }) => seconds(Math.min(to, known.to)))),
    plain(log.map(({ known, to }) => seconds(Math.max(to, known.to)))),
    plain(log.map(({ known }) => known.protects)),
    plain(log.map(({ known }) => known.unprotected)),
    plain(placed.map((change) => change.claimId)),
    plain(placed.map((change) => change.known.part)),
    plain(placed.map((change) => seconds(change.to))),
  )
  return succeeded(await sql.query(WRITE_ALL, values, 'capacity-write-all'))
}

const json = (value: unknown): string | null => (value == null ? null : JSON.stringify(value))

const succeeded = (rows: unknown[]): boolean => (rows as { ok: boolean }[])[0]!.ok

/** Whether pools still are at the versions seen: for groups that write nothing, so that no refusal is out of date. */
export async function stillAt(sql: Sql, pools: readonly SeenPool[]): Promise<boolean> {
  if (pools.length === 0) return true
  const [row] = await sql.query<{ same: boolean }>(
    `select count(*) = cardinality($1::integer[]) as same
     from unnest($1::integer[], $2::bigint[]) as s(id, version) join pool p using (id, version)`,
    [plain(pools.map((pool) => pool.id)), plain(pools.map((pool) => pool.version))],
    'capacity-still-at',
  )
  return row!.same
}
