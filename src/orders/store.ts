/** Orders, quotes and contracts read from SQL. Every read takes any `Sql`: through a tenant's view it shows its own only. */
import type { Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { Contract, Order, Quote } from './model.ts'

/** What every list takes: a page by id, newest first. */
export interface ListFilter {
  limit: number
  /** Only ids before this one. */
  before: string | null
  partyId: string | null
  state: string | null
  like: string | null
}

const ORDER = `
  select o.id, o.number, o.party_id as "partyId", p.name as "partyName", f.code as offering, f.name as "offeringName", o.state,
    case when o.state = 'completed' then o.contract_id end as "contractId",
    case when o.state = 'completed' then o.service_id end as "serviceId",
    c.number as "contractNumber", o.claim_id as "claimId", o.quote_id as "quoteId", o.name, o.config,
    o.starts_at as "from", o.ends_at as "to", cl.expires_at as "waitUntil", o.version, o.created_at as "createdAt"
  from product_order o join party p on p.id = o.party_id join offering f on f.id = o.offering_id
    left join contract c on c.id = o.contract_id and o.state = 'completed'
    left join claim cl on cl.id = o.claim_id and o.state = 'waiting'`

/** One order by id; null when there is none to see. */
export async function findOrder(sql: Sql, id: string): Promise<Order | null> {
  const [order] = await sql.query<Order>(`${ORDER} where o.id = $1`, [id], 'find-order')
  return order ?? null
}

/** The order that was first placed under an idempotency key. */
export async function orderByKey(
  sql: Sql,
  partyId: string,
  key: string,
): Promise<{ id: string; requestHash: string | null } | null> {
  const [order] = await sql.query<{ id: string; requestHash: string | null }>(
    'select id, request_hash as "requestHash" from product_order where party_id = $1 and idempotency_key = $2',
    [partyId, key],
    'order-by-key',
  )
  return order ?? null
}

/** A page of orders, newest first. */
export const listOrders = (sql: Sql, filter: ListFilter): Promise<Order[]> =>
  sql.query<Order>(
    `${ORDER} where ($1::uuid is null or o.id < $1) and ($2::uuid is null or o.party_id = $2)
       and ($3::text is null or o.state = $3)
       and ($4::text is null or o.number ilike $4 or o.name ilike $4 or p.name ilike $4 or f.name ilike $4)
     order by o.id desc limit $5`,
    [filter.before, filter.partyId, filter.state, filter.like, filter.limit],
  )

const QUOTE = `
  select q.id, q.number, q.party_id as "partyId", p.name as "partyName", f.code as offering, f.name as "offeringName", q.name,
    q.config, q.starts_at as "from", q.ends_at as "to",
    q.state, q.expires_at as "expiresAt", q.claim_id as "claimId", q.estimate, q.version, q.created_at as "createdAt"
  from quote q join party p on p.id = q.party_id join offering f on f.id = q.offering_id`

/** One quote by id; null when there is none to see. */
export async function findQuote(sql: Sql, id: string): Promise<Quote | null> {
  const [quote] = await sql.query<Quote>(`${QUOTE} where q.id = $1`, [id])
  return quote ?? null
}

/** A page of quotes, newest first. */
export const listQuotes = (sql: Sql, filter: ListFilter): Promise<Quote[]> =>
  sql.query<Quote>(
    `${QUOTE} where ($1::uuid is null or q.id < $1) and ($2::uuid is null or q.party_id = $2)
       and ($3::text is null or q.state = $3)
       and ($4::text is null or q.number ilike $4 or p.name ilike $4 or f.name ilike $4)
     order by q.id desc limit $5`,
    [filter.before, filter.partyId, filter.state, filter.like, filter.limit],
  )

const CONTRACT = `
  select c.id, c.number, c.party_id as "partyId", p.name as "partyName", c.seller_id as "sellerId",
    coalesce(seller_name(c.seller_id), '') as "sellerName", c.state, c.currency, c.starts_at as "startsAt",
    c.minimum_term_until as "minimumTermUntil", c.ends_at as "endsAt",
    (select count(*)::int from service s where s.contract_id = c.id) as services,
    c.version, c.created_at as "createdAt"
  from contract c join party p on p.id = c.party_id`

/** One contract by id; null when there is none to see. */
export async function findContract(sql: Sql, id: string): Promise<Contract | null> {
  const [contract] = await sql.query<Contract>(`${CONTRACT} where c.id = $1`, [id])
  return contract ?? null
}

/** A page of contracts, newest first. */
export const listContracts = (sql: Sql, filter: ListFilter): Promise<Contract[]> =>
  sql.query<Contract>(
    `${CONTRACT} where ($1::uuid is null or c.id < $1) and ($2::uuid is null or c.party_id = $2)
       and ($3::text is null or c.state = $3) and ($4::text is null or c.number ilike $4 or p.name ilike $4)
     order by c.id desc limit $5`,
    [filter.before, filter.partyId, filter.state, filter.like, filter.limit],
  )

/** What an order that names a contract must know of it. */
export async function contractToJoin(
  sql: Sql,
  id: string,
): Promise<{ partyId: string; state: Contract['state']; currency: string } | null> {
  const [contract] = await sql.query<{ partyId: string; state: Contract['state']; currency: string }>(
    'select party_id as "partyId", state, currency from contract where id = $1',
    [id],
  )
  return contract ?? null
}

export interface Amendment {
  id: string
  contractId: string
  serviceId: string
  kind: 'add' | 'change' | 'suspend' | 'resume' | 'terminate'
  effectiveAt: Instant
  withdrawnAt: Instant | null
  appliedAt: Instant | null
  before: unknown
  after: unknown
  createdAt: Instant
}

/** Amendments shown with one contract or service at most. */
const SHOWN_AMENDMENTS = 500

/** The dated changes of a contract or of one of its services, oldest first. */
export const amendmentsOf = (sql: Sql, by: { contractId: string } | { serviceId: string }): Promise<Amendment[]> =>
  sql.query<Amendment>(
    `select id, contract_id as "contractId", service_id as "serviceId", kind, effective_at as "effectiveAt",
       withdrawn_at as "withdrawnAt", applied_at as "appliedAt", before, after, created_at as "createdAt"
     from amendment
     where service_id ${'contractId' in by ? 'in (select id from service where contract_id = $1)' : '= $1'}
     order by effective_at, created_at, id limit ${SHOWN_AMENDMENTS}`,
    ['contractId' in by ? by.contractId : by.serviceId],
  )
