/**
 * The rows of orders, written as companions of the capacity decision: in its transaction, and once per group of
 * decisions however many orders it holds. What stands in `claim` and what stands in `product_order`, `contract` and
 * `service` can therefore never disagree.
 */
import type { ClaimOutcome, CompanionWriter } from '../capacity/model.ts'
import { WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { FOREVER, type Instant, toEpochSeconds } from '../core/time.ts'
import { type Sql, sqlArray } from '../database/connection.ts'
import { type Actor, appendEvents, type NewEvent } from '../database/events.ts'

/** Everything that an order's rows say, decided before the claim. */
export interface OrderRow {
  orderId: string
  serviceId: string
  contractId: string
  /** Makes the contract if it is not there yet; otherwise it must be there and not have ended. */
  opensContract: boolean
  partyId: string
  sellerId: string
  offeringId: string
  offeringCode: string
  family: string
  planIds: readonly string[]
  currency: string
  name: string
  config: Record<string, unknown>
  from: Instant
  to: Instant
  minimumTermUntil: Instant | null
  quoteId: string | null
  idempotencyKey: string | null
  requestHash: string | null
  actor: Actor
  /** When it was decided. */
  at: Instant
}

const seconds = (instant: Instant | null): number | null => (instant === null ? null : toEpochSeconds(instant))

/** Arrays of plain values and text as statement parameters, a column each. */
const columns = <Row>(rows: readonly Row[], ...picks: ((row: Row) => string | number | boolean | null)[]): string[] =>
  picks.map((pick) => sqlArray(rows.map(pick)))

const INSERT_ORDERS = `
  insert into product_order (id, party_id, offering_id, price_plan_ids, quote_id, contract_id, service_id, claim_id, name,
    config, starts_at, ends_at, state, idempotency_key, request_hash, created_at)
  select id, party, offering, plans::uuid[], quote, contract, service, claim, name, config, to_timestamp(starts),
    to_timestamp(ends), state, key, hash, to_timestamp(at)
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[],
    $10::jsonb[], $11::float8[], $12::float8[], $13::text[], $14::text[], $15::text[], $16::float8[])
    as o(id, party, offering, plans, quote, contract, service, claim, name, config, starts, ends, state, key, hash, at)`

const INSERT_SERVICES = `
  with contracts as (
    insert into contract (id, party_id, seller_id, state, currency, starts_at, minimum_term_until, ends_at, created_at)
    select id, party, seller, case when starts > at then 'pending' else 'active' end, currency, to_timestamp(starts),
      to_timestamp(term), to_timestamp(ends), to_timestamp(at)
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::float8[], $6::float8[], $7::float8[], $8::float8[],
      $9::boolean[]) as c(id, party, seller, currency, starts, term, ends, at, opens)
    where opens
    on conflict (id) do nothing returning id),
  grown as (
    update contract set version = contract.version + 1, starts_at = least(starts_at, to_timestamp(starts)),
      ends_at = greatest(ends_at, to_timestamp(ends)),
      minimum_term_until = greatest(minimum_term_until, to_timestamp(term)),
      state = case when state = 'ended' and opens then 'active' else state end
    from unnest($1::uuid[], $5::float8[], $6::float8[], $7::float8[], $9::boolean[]) as c(id, starts, term, ends, opens)
    where contract.id = c.id and c.id not in (select id from contracts) returning contract.id, contract.state, c.opens),
  services as (
    insert into service (id, party_id, contract_id, offering_id, price_plan_ids, family, name, config, claim_id, state,
      starts_at, ends_at, minimum_term_until, created_at)
    select id, party, contract, offering, plans::uuid[], family, name, config, claim,
      case when starts > at then 'pending' else 'active' end,
      to_timestamp(starts), to_timestamp(ends), to_timestamp(term), to_timestamp(at)
    from unnest($10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::text[], $15::text[], $16::text[], $17::jsonb[],
      $18::uuid[], $19::float8[], $20::float8[], $21::float8[], $22::float8[])
      as s(id, party, contract, offering, plans, family, name, config, claim, starts, ends, term, at)),
  amendments as (
    insert into amendment (id, contract_id, service_id, party_id, kind, effective_at, applied_at, after, created_at)
    select id, contract, service, party, kind, to_timestamp(effective),
      case when effective <= at then to_timestamp(at) end, after, to_timestamp(at)
    from unnest($23::uuid[], $24::uuid[], $25::uuid[], $26::uuid[], $27::text[], $28::float8[], $29::jsonb[], $30::float8[])
      as a(id, contract, service, party, kind, effective, after, at))
  select id, state from grown where not opens`

interface ServiceToWrite {
  row: OrderRow
  claimId: string
}

/** Contracts, services and the amendments that add them. @throws WrongState when a named contract has ended or is not there. */
async function insertServices(sql: Sql, written: readonly ServiceToWrite[]): Promise<void> {
  if (written.length === 0) return
  const contracts = new Map<string, OrderRow>()
  for (const { row } of written) {
    const known = contracts.get(row.contractId)
    contracts.set(
      row.contractId,
      known
        ? {
            ...known,
            from: Math.min(known.from, row.from),
            to: Math.max(known.to, row.to),
            minimumTermUntil: later(known.minimumTermUntil, row.minimumTermUntil),
            opensContract: known.opensContract || row.opensContract,
          }
        : row,
    )
  }
  const amendments = written.flatMap(({ row }) => [
    { row, kind: 'add', effective: row.from, after: { config: row.config, to: row.to === FOREVER ? null : row.to } },
    ...(row.to === FOREVER ? [] : [{ row, kind: 'terminate', effective: row.to, after: null }]),
  ])
  const grown = await sql.query<{ id: string; state: string }>(
    INSERT_SERVICES,
    [
      ...columns(
        [...contracts.values()],
        (row) => row.contractId,
        (row) => row.partyId,
        (row) => row.sellerId,
        (row) => row.currency,
        (row) => seconds(row.from),
        (row) => seconds(row.minimumTermUntil),
        (row) => seconds(row.to),
        (row) => seconds(row.at),
        (row) => row.opensContract,
      ),
      ...columns(
        written,
        ({ row }) => row.serviceId,
        ({ row }) => row.partyId,
        ({ row }) => row.contractId,
        ({ row }) => row.offeringId,
        ({ row }) => `{${row.planIds.join(',')}}`,
        ({ row }) => row.family,
        ({ row }) => row.name,
        ({ row }) => JSON.stringify(row.config),
        ({ claimId }) => claimId,
        ({ row }) => seconds(row.from),
        ({ row }) => seconds(row.to),
        ({ row }) => seconds(row.minimumTermUntil),
        ({ row }) => seconds(row.at),
      ),
      ...columns(
        amendments,
        ({ row }) => newId(row.at),
        ({ row }) => row.contractId,
        ({ row }) => row.serviceId,
        ({ row }) => row.partyId,
        ({ kind }) => kind,
        ({ effective }) => seconds(effective),
        ({ after }) => (after === null ? null : JSON.stringify(after)),
        ({ row }) => seconds(row.at),
      ),
    ],
    'insert-services',
  )
  const states = new Map(grown.map(({ id, state }) => [id, state]))
  for (const row of contracts.values()) {
    if (row.opensContract) continue
    const state = states.get(row.contractId)
    if (state === undefined || state === 'ended')
      throw new WrongState(state ? 'The contract has ended; order without naming it.' : 'There is no such contract.')
  }
}

const later = (a: Instant | null, b: Instant | null): Instant | null =>
  a === null ? b : b === null ? a : Math.max(a, b)

const eventOf = (row: OrderRow, type: string, subjectKind: string, subjectId: string, after: unknown): NewEvent => ({
  partyId: row.partyId,
  actor: row.actor,
  type,
  subjectKind,
  subjectId,
  after,
})

function completedEvents(row: OrderRow, claimId: string): NewEvent[] {
  const { orderId, serviceId, contractId, offeringCode: offering, config, name } = row
  return [
    eventOf(row, 'order.completed', 'order', orderId, { offering, contractId, serviceId, claimId }),
    eventOf(row, 'service.activated', 'service', serviceId, { name, offering, contractId, claimId, config }),
  ]
}

const contractEvents = (rows: readonly OrderRow[]): NewEvent[] => {
  const opened = new Map(rows.filter((row) => row.opensContract).map((row) => [row.contractId, row]))
  return [...opened.values()].map((row) =>
    eventOf(row, 'contract.created', 'contract', row.contractId, { sellerId: row.sellerId, currency: row.currency }),
  )
}

/** Companion of a firm claim: the order with its contract and service, or the waiting order. */
export const writeOrders: CompanionWriter<OrderRow> = async (sql, written) => {
  const isWaiting = (claim: ClaimOutcome) => claim.state === 'waiting'
  const orders = sql.query(
    INSERT_ORDERS,
    columns(
      written,
      ({ row }) => row.orderId,
      ({ row }) => row.partyId,
      ({ row }) => row.offeringId,
      ({ row }) => `{${row.planIds.join(',')}}`,
      ({ row }) => row.quoteId,
      ({ row }) => row.contractId,
      ({ row }) => row.serviceId,
      ({ claim }) => claim.id,
      ({ row }) => row.name,
      ({ row }) => JSON.stringify(row.config),
      ({ row }) => seconds(row.from),
      ({ row }) => seconds(row.to),
      ({ claim }) => (isWaiting(claim) ? 'waiting' : 'completed'),
      ({ row }) => row.idempotencyKey,
      ({ row }) => row.requestHash,
      ({ row }) => seconds(row.at),
    ),
    'insert-orders',
  )
  const completed = written.filter(({ claim }) => !isWaiting(claim))
  await Promise.all([
    orders,
    insertServices(
      sql,
      completed.map(({ row, claim }) => ({ row, claimId: claim.id })),
    ),
    appendEvents(sql, [
      ...contractEvents(completed.map(({ row }) => row)),
      ...written.flatMap(({ row, claim }) =>
        isWaiting(claim)
          ? [eventOf(row, 'order.waiting', 'order', row.orderId, { offering: row.offeringCode, claimId: claim.id })]
          : completedEvents(row, claim.id),
      ),
    ]),
  ])
}

/** Companion of a hold's conversion: the quote is accepted and its order completed. */
export const writeAcceptedQuotes: CompanionWriter<OrderRow> = async (sql, written) => {
  const accepted = await sql.query<{ id: string }>(
    `update quote set state = 'accepted', version = version + 1 where id = any($1) and state = 'open' returning id`,
    [written.map(({ row }) => row.quoteId)],
  )
  if (accepted.length < written.length) throw new WrongState('The quote is not open any more.')
  await writeOrders(sql, written)
  await appendEvents(
    sql,
    written.map(({ row }) => eventOf(row, 'quote.accepted', 'quote', row.quoteId!, { orderId: row.orderId })),
  )
}

/** Orders whose waiting claim was filled: their contracts and services begin. */
export async function completeWaiting(sql: Sql, filled: readonly { row: OrderRow; claimId: string }[]): Promise<void> {
  if (filled.length === 0) return
  await sql.query(
    `update product_order o set state = 'completed', version = version + 1, starts_at = to_timestamp(f.starts),
       ends_at = to_timestamp(f.ends)
     from unnest($1::uuid[], $2::float8[], $3::float8[]) as f(id, starts, ends) where o.id = f.id`,
    columns(
      filled,
      ({ row }) => row.orderId,
      ({ row }) => seconds(row.from),
      ({ row }) => seconds(row.to),
    ),
    'complete-waiting',
  )
  await insertServices(sql, filled)
  await appendEvents(sql, [
    ...contractEvents(filled.map(({ row }) => row)),
    ...filled.flatMap(({ row, claimId }) => completedEvents(row, claimId)),
  ])
}

/** A quote's row, beside its hold. */
export interface QuoteRow {
  quoteId: string
  partyId: string
  offeringId: string
  offeringCode: string
  planIds: readonly string[]
  name: string | null
  config: Record<string, unknown>
  from: Instant
  to: Instant
  expiresAt: Instant
  estimate: unknown
  actor: Actor
  at: Instant
}

/** Companion of a hold: the quote. */
export const writeQuotes: CompanionWriter<QuoteRow> = async (sql, written) => {
  await sql.query(
    `insert into quote (id, party_id, offering_id, price_plan_ids, name, config, starts_at, ends_at, state, expires_at,
       claim_id, estimate, created_at)
     select id, party, offering, plans::uuid[], name, config, to_timestamp(starts), to_timestamp(ends), 'open',
       to_timestamp(expires), claim, estimate, to_timestamp(at)
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[], $7::float8[], $8::float8[],
       $9::float8[], $10::uuid[], $11::jsonb[], $12::float8[])
       as q(id, party, offering, plans, name, config, starts, ends, expires, claim, estimate, at)`,
    columns(
      written,
      ({ row }) => row.quoteId,
      ({ row }) => row.partyId,
      ({ row }) => row.offeringId,
      ({ row }) => `{${row.planIds.join(',')}}`,
      ({ row }) => row.name,
      ({ row }) => JSON.stringify(row.config),
      ({ row }) => seconds(row.from),
      ({ row }) => seconds(row.to),
      ({ row }) => seconds(row.expiresAt),
      ({ claim }) => claim.id,
      ({ row }) => JSON.stringify(row.estimate),
      ({ row }) => seconds(row.at),
    ),
    'insert-quotes',
  )
  await appendEvents(
    sql,
    written.map(({ row }) => ({
      partyId: row.partyId,
      actor: row.actor,
      type: 'quote.created',
      subjectKind: 'quote',
      subjectId: row.quoteId,
      after: { offering: row.offeringCode, config: row.config },
    })),
  )
}
