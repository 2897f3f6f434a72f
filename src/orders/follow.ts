/**
 * What flows back from capacity: a waiting claim that was filled completes its order, one that gave up cancels it, and a
 * hold that lapsed expires its quote. Read from the event record, so that it happens once whatever dies in between.
 */
import type { Instant } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import { appendEvents, followEvents, type RecordedEvent, SYSTEM } from '../database/events.ts'
import { minimumTermEnd } from './model.ts'
import { cancelOrders } from './place.ts'
import { completeWaiting, type OrderRow } from './write.ts'

/** Follows capacity until nothing is left; returns how many events were handled. Call it about every second. */
export async function followCapacity(database: Database, now: Instant): Promise<number> {
  let handled = 0
  for (;;) {
    const count = await followEvents(database, 'orders', ['claim.filled', 'claim.expired'], (events, sql) =>
      handle(events, sql, now),
    )
    handled += count
    if (count === 0) return handled
  }
}

async function handle(events: RecordedEvent[], sql: Sql, now: Instant): Promise<void> {
  const subjects = (type: string) => events.filter((event) => event.type === type).map(({ subjectId }) => subjectId)
  await complete(sql, subjects('claim.filled'), now)
  await giveUp(sql, subjects('claim.expired'))
}

type WaitingRow = Omit<OrderRow, 'actor' | 'opensContract' | 'minimumTermUntil' | 'quoteId' | 'at'> & {
  claimId: string
  months: number
  zone: string
}

/** Orders whose claims were filled begin when their claims do. */
async function complete(sql: Sql, claimIds: readonly string[], now: Instant): Promise<void> {
  if (claimIds.length === 0) return
  const rows = await sql.query<WaitingRow>(
    `select o.id as "orderId", o.service_id as "serviceId", o.contract_id as "contractId", o.party_id as "partyId",
       p.seller_id as "sellerId", o.offering_id as "offeringId", f.code as "offeringCode", f.family,
       o.price_plan_ids as "planIds", p.currency, coalesce(o.name, f.name) as name, o.config, c.starts_at as "from", c.ends_at as "to",
       o.claim_id as "claimId", o.idempotency_key as "idempotencyKey", o.request_hash as "requestHash",
       p.minimum_term_months as months, op.time_zone as zone
     from product_order o join claim c on c.id = o.claim_id join offering f on f.id = o.offering_id
       join price_plan p on p.id = o.price_plan_ids[1] join party op on op.kind = 'operator'
     where o.claim_id = any($1) and o.state = 'waiting' order by o.id for update of o`,
    [claimIds],
  )
  await completeWaiting(
    sql,
    rows.map(({ claimId, months, zone, ...row }) => ({
      row: {
        ...row,
        opensContract: true,
        minimumTermUntil: minimumTermEnd(row.from, months, zone),
        quoteId: null,
        actor: SYSTEM,
        at: now,
      },
      claimId,
    })),
  )
}

async function giveUp(sql: Sql, claimIds: readonly string[]): Promise<void> {
  if (claimIds.length === 0) return
  const orders = await sql.query<{ id: string; partyId: string }>(
    `select id, party_id as "partyId" from product_order where claim_id = any($1) and state = 'waiting'`,
    [claimIds],
  )
  await cancelOrders(
    sql,
    orders.map((order) => ({ order, actor: SYSTEM })),
  )
  const quotes = await sql.query<{ id: string; partyId: string }>(
    `update quote set state = 'expired', version = version + 1 where claim_id = any($1) and state = 'open'
     returning id, party_id as "partyId"`,
    [claimIds],
  )
  await appendEvents(
    sql,
    quotes.map(({ id, partyId }) => ({
      partyId,
      actor: SYSTEM,
      type: 'quote.expired',
      subjectKind: 'quote',
      subjectId: id,
    })),
  )
}
