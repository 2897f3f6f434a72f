/** The rows of a service's changes, written set-based: as companions of the capacity decision where capacity changes. */
import type { CompanionWriter } from '../capacity/model.ts'
import { WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import { type Sql, sqlArray } from '../database/connection.ts'
import { type Actor, appendEvents, type NewEvent } from '../database/events.ts'

/** One amendment to write. */
export interface AmendmentRow {
  serviceId: string
  contractId: string
  partyId: string
  kind: 'change' | 'suspend' | 'resume' | 'terminate'
  effectiveAt: Instant
  before: unknown
  after: unknown
  actor: Actor
  now: Instant
}

/** An early-termination charge between one seller and its buyer. */
export interface EarlyTerminationRow {
  sellerId: string
  buyerId: string
  minimumTermUntil: Instant
  currency: string
  amount: bigint
  explanation: unknown
}

const TERMINATE = `
  with ended as (
    update service s set ends_at = to_timestamp(t.ends), version = s.version + 1,
      state = case when t.ends <= t.now then 'terminated' else s.state end
    from unnest($1::uuid[], $2::float8[], $3::float8[]) as t(id, ends, now)
    where s.id = t.id and s.state <> 'terminated' returning s.id),
  withdrawn as (
    update amendment a set withdrawn_at = to_timestamp(t.now)
    from unnest($1::uuid[], $2::float8[], $3::float8[]) as t(id, ends, now)
    where a.service_id = t.id and a.applied_at is null and a.withdrawn_at is null
      and (a.kind = 'terminate' or a.effective_at >= to_timestamp(t.ends))),
  amended as (
    insert into amendment (id, contract_id, service_id, party_id, kind, effective_at, applied_at, before, created_at)
    select t.amendment, t.contract, t.id, t.party, 'terminate', to_timestamp(t.ends),
      case when t.ends <= t.now then to_timestamp(t.now) end, t.before, to_timestamp(t.now)
    from unnest($1::uuid[], $2::float8[], $3::float8[], $4::uuid[], $5::uuid[], $6::uuid[], $7::jsonb[])
      as t(id, ends, now, amendment, contract, party, before))
  select count(*)::integer as ended from ended`

/** A termination to write. */
export interface TerminationRow extends Omit<AmendmentRow, 'kind' | 'after'> {
  /** Null where the service has no minimum term, so that nothing was ever owed. */
  early: readonly EarlyTerminationRow[] | null
}

/** Companion of a release: the services end, and with their last service their contracts. */
export const writeTerminations: CompanionWriter<TerminationRow> = async (sql, written) => {
  const rows = written.map(({ row }) => row)
  const terminated = sql.query<{ ended: number }>(
    TERMINATE,
    [
      sqlArray(rows.map((row) => row.serviceId)),
      sqlArray(rows.map((row) => toEpochSeconds(row.effectiveAt))),
      sqlArray(rows.map((row) => toEpochSeconds(row.now))),
      sqlArray(rows.map((row) => newId(row.now))),
      sqlArray(rows.map((row) => row.contractId)),
      sqlArray(rows.map((row) => row.partyId)),
      sqlArray(rows.map((row) => (row.before === null ? null : JSON.stringify(row.before)))),
    ],
    'terminate-services',
  )
  const done = rows.filter((row) => row.effectiveAt <= row.now)
  const [[terminations], settled] = await Promise.all([
    terminated,
    settleContracts(
      sql,
      rows.map((row) => row.contractId),
      Math.max(...rows.map((row) => row.now)),
      rows[0]!.actor,
    ),
    writeEarlyTerminations(
      sql,
      rows.filter(({ early }) => early !== null),
    ),
    appendEvents(
      sql,
      done.map((row) => serviceEvent(row, 'service.terminated', { endsAt: row.effectiveAt })),
    ),
  ])
  if (terminations!.ended < rows.length) throw new WrongState('The service is terminated already.')
  await appendEvents(sql, settled)
}

/** What is owed now; what was owed for an end set before is not owed any more. */
async function writeEarlyTerminations(sql: Sql, rows: readonly TerminationRow[]): Promise<void> {
  if (rows.length === 0) return
  await sql.query(
    `update early_termination set withdrawn_at = to_timestamp($2) where service_id = any($1) and withdrawn_at is null`,
    [rows.map(({ serviceId }) => serviceId), toEpochSeconds(rows[0]!.now)],
  )
  for (const row of rows)
    for (const charge of row.early ?? [])
      await sql.query(
        `insert into early_termination (id, service_id, contract_id, seller_id, party_id, at, minimum_term_until, currency,
           amount, explanation) values ($1, $2, $3, $4, $5, to_timestamp($6), to_timestamp($7), $8, $9, $10)`,
        [
          newId(row.now),
          row.serviceId,
          row.contractId,
          charge.sellerId,
          charge.buyerId,
          toEpochSeconds(row.effectiveAt),
          toEpochSeconds(charge.minimumTermUntil),
          charge.currency,
          charge.amount,
          JSON.stringify(charge.explanation),
        ],
      )
}

/**
 * Contracts end with the last of their services: sets their ends, and their state once those have come. Returns the
 * events of those that ended, for the caller to append with its own.
 */
export async function settleContracts(
  sql: Sql,
  contractIds: readonly string[],
  now: Instant,
  actor: Actor,
): Promise<NewEvent[]> {
  const ids = sqlArray([...new Set(contractIds)])
  // Locked before its services are read: two that end at once, in two processes, must each see the other.
  const locked = sql.query('select from contract where id = any($1) order by id for update', [ids], 'lock-contracts')
  const changed = sql.query<{ id: string; partyId: string; isEnded: boolean }>(
    `update contract c set ends_at = m.ends, version = c.version + 1,
       state = case when m.ends <= to_timestamp($2) then 'ended' else c.state end
     from (select contract_id, max(ends_at) as ends from service where contract_id = any($1) group by contract_id) m
     where c.id = m.contract_id and c.state <> 'ended' and (c.ends_at <> m.ends or m.ends <= to_timestamp($2))
     returning c.id, c.party_id as "partyId", c.state = 'ended' as "isEnded"`,
    [ids, toEpochSeconds(now)],
    'settle-contracts',
  )
  const [, settled] = await Promise.all([locked, changed])
  return settled
    .filter(({ isEnded }) => isEnded)
    .map(({ id, partyId }) => ({ partyId, actor, type: 'contract.ended', subjectKind: 'contract', subjectId: id }))
}

/** A change of what a service is. `endsAt` only where the end moves. */
export interface ChangeRow extends AmendmentRow {
  config: Record<string, unknown>
  name: string
  endsAt: Instant | null
  seenVersion: number
}

/** Companion of a claim's change: the service reads as changed, at once or from its date on. */
export const writeChanges: CompanionWriter<ChangeRow> = async (sql, written) => {
  for (const { row } of written) await writeChange(sql, row)
}

/** One change; also used alone where capacity stays as it is. */
export async function writeChange(sql: Sql, row: ChangeRow): Promise<void> {
  const isNow = row.effectiveAt <= row.now
  const changed = await sql.query(
    `update service set version = version + 1,
       config = case when $3 then $4::jsonb else config end, name = case when $3 then $5 else name end,
       ends_at = coalesce(to_timestamp($6::float8), ends_at)
     where id = $1 and version = $2 and state <> 'terminated' returning id`,
    [
      row.serviceId,
      row.seenVersion,
      isNow,
      JSON.stringify(row.config),
      row.name,
      row.endsAt === null ? null : toEpochSeconds(row.endsAt),
    ],
  )
  if (changed.length === 0)
    throw new WrongState('The service was changed meanwhile; read it again and redo the change.')
  // What was arranged for later was replaced by the same claim's change.
  await sql.query(
    `update amendment set withdrawn_at = to_timestamp($3)
     where service_id = $1 and applied_at is null and withdrawn_at is null
       and (kind = 'change' and effective_at >= to_timestamp($2) or kind = 'terminate' and $4)`,
    [row.serviceId, toEpochSeconds(row.effectiveAt), toEpochSeconds(row.now), row.endsAt !== null],
  )
  await insertAmendments(sql, [row])
  if (row.endsAt !== null && row.endsAt !== Number.POSITIVE_INFINITY)
    await insertAmendments(sql, [{ ...row, kind: 'terminate', effectiveAt: row.endsAt, before: null, after: null }])
  const ended = row.endsAt === null ? [] : await settleContracts(sql, [row.contractId], row.now, row.actor)
  await appendEvents(sql, [...(isNow ? [serviceEvent(row, 'service.changed', row.after, row.before)] : []), ...ended])
}

/** Amendments as they are; those whose date has come are marked as applied. */
export async function insertAmendments(sql: Sql, rows: readonly AmendmentRow[]): Promise<void> {
  await sql.query(
    `insert into amendment (id, contract_id, service_id, party_id, kind, effective_at, applied_at, before, after, created_at)
     select id, contract, service, party, kind, to_timestamp(effective),
       case when effective <= now then to_timestamp(now) end, before, after, to_timestamp(now)
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::float8[], $7::float8[], $8::jsonb[], $9::jsonb[])
       as a(id, contract, service, party, kind, effective, now, before, after)`,
    [
      rows.map((row) => newId(row.now)),
      rows.map((row) => row.contractId),
      rows.map((row) => row.serviceId),
      rows.map((row) => row.partyId),
      rows.map((row) => row.kind),
      rows.map((row) => toEpochSeconds(row.effectiveAt)),
      rows.map((row) => toEpochSeconds(row.now)),
      rows.map((row) => (row.before == null ? null : JSON.stringify(row.before))),
      rows.map((row) => (row.after == null ? null : JSON.stringify(row.after))),
    ],
  )
}

/** An event of a service. */
export const serviceEvent = (
  row: { serviceId: string; partyId: string; actor: Actor },
  type: string,
  after: unknown,
  before?: unknown,
): NewEvent => ({
  partyId: row.partyId,
  actor: row.actor,
  type,
  subjectKind: 'service',
  subjectId: row.serviceId,
  before: before ?? undefined,
  after,
})
