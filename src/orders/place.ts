/**
 * Ordering: choice → terms → demands → claim, with the order's rows as the claim's companion. What the API, a replay and
 * an accepted quote do alike stands here; nothing is written unless the capacity decision is.
 */
import { createHash } from 'node:crypto'
import { companion } from '../capacity/model.ts'
import { estimate } from '../catalogue/estimate.ts'
import { checkedConfig, demandsOf, familyOf } from '../catalogue/family.ts'
import { type Buyer, retailPlan, type Terms, termsFor } from '../catalogue/terms.ts'
import { BadInput, KeyReused, NotFound, WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { FOREVER, HOUR_MS, type Instant, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { estimateJson } from './estimate-json.ts'
import { claimLines, type Desk, MAX_QUOTE_HOURS, minimumTermEnd, type Order, type Quote } from './model.ts'
import { contractToJoin, findOrder, findQuote, orderByKey } from './store.ts'
import { type OrderRow, writeAcceptedQuotes, writeOrders, writeQuotes } from './write.ts'

export interface OrderRequest {
  party: Buyer
  /** Offering code. */
  offering: string
  config: Record<string, unknown>
  name?: string
  /** Now, if absent. */
  from?: Instant
  to?: Instant
  /** An existing contract to add the service to. */
  contractId?: string
  /** Joins the wait list until then when it does not fit. */
  waitUntil?: Instant
  idempotencyKey?: string
  /** What the request was, to tell a repeat from another use of the key. */
  fingerprint?: string
  actor: Actor
}

/** Sites by code. */
export async function siteIds(sql: Sql): Promise<Map<string, number>> {
  const sites = await sql.query<{ code: string; id: number }>('select code, id from site', [], 'site-ids')
  return new Map(sites.map(({ code, id }) => [code, id]))
}

/** An order as it would be taken, before any capacity is asked for. */
export interface PreparedOrder {
  row: OrderRow
  claimId: string
  lines: ReturnType<typeof claimLines>
  antiAffinity?: { scope: 'site' | 'fault-domain' | 'container' }
  affinity?: { scope: 'site' | 'fault-domain' | 'container' }
  waitUntil?: Instant
}

/**
 * The rows and lines of an order under given terms. Pure but for new identifiers.
 * @throws BadInput, Refusal when the choice does not fit the family
 */
export function prepareOrder(
  desk: Pick<Desk, 'families'>,
  request: OrderRequest,
  terms: Terms,
  sites: ReadonlyMap<string, number>,
  now: Instant,
): PreparedOrder {
  const family = familyOf(desk.families, terms.offering.family)
  const config = checkedConfig<unknown>(family, terms.offering.defaults, request.config)
  const from = request.from ?? now
  const to = request.to ?? FOREVER
  const plan = retailPlan(terms)
  const wishes = family.placement?.(config) ?? {}
  return {
    row: {
      orderId: newId(),
      serviceId: newId(),
      contractId: request.contractId ?? newId(),
      opensContract: request.contractId === undefined,
      partyId: request.party.id,
      sellerId: terms.sellerId,
      offeringId: terms.offering.id,
      offeringCode: terms.offering.code,
      family: family.name,
      planIds: terms.plans.map(({ id }) => id),
      currency: plan.currency,
      name: request.name ?? terms.offering.name,
      config: config as Record<string, unknown>,
      from,
      to,
      minimumTermUntil: minimumTermEnd(from, plan.minimumTermMonths, terms.zone),
      quoteId: null,
      idempotencyKey: request.idempotencyKey ?? null,
      requestHash: request.fingerprint ?? null,
      actor: request.actor,
      at: now,
    },
    claimId: newId(),
    lines: claimLines(demandsOf(family, config), sites),
    ...(wishes.apart ? { antiAffinity: { scope: wishes.apart } } : {}),
    ...(wishes.together ? { affinity: { scope: wishes.together } } : {}),
    ...(request.waitUntil === undefined ? {} : { waitUntil: request.waitUntil }),
  }
}

/** Claims for a prepared order; the rows are written with it. Returns whether it was completed or waits. */
export async function submitOrder(
  desk: Pick<Desk, 'capacity'>,
  order: PreparedOrder,
): Promise<'completed' | 'waiting' | 'repeated'> {
  const { row, claimId, lines, antiAffinity, affinity, waitUntil } = order
  const outcome = await desk.capacity.claim({
    id: claimId,
    partyId: row.partyId,
    from: row.from,
    to: row.to,
    lines,
    mode: 'firm',
    waitUntil,
    antiAffinity,
    affinity,
    idempotencyKey: row.idempotencyKey === null ? undefined : `order:${row.idempotencyKey}`,
    fingerprint: row.requestHash ?? undefined,
    actor: row.actor,
    at: row.at,
    companion: companion(writeOrders, row),
  })
  return outcome.repeated ? 'repeated' : outcome.state === 'waiting' ? 'waiting' : 'completed'
}

/** Tells requests apart that use the same idempotency key. */
export const fingerprintOf = (...parts: unknown[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url')

/**
 * Places an order and returns it; a repeat under the same idempotency key returns the first one.
 * @throws CapacityExhausted (nothing is written), BadInput, NotFound, WrongState, KeyReused
 */
export async function placeOrder(desk: Desk, request: OrderRequest): Promise<{ order: Order; repeated: boolean }> {
  const { database } = desk
  const first = await repeated(database, request)
  if (first) return { order: first, repeated: true }
  const now = desk.clock()
  const terms = await termsFor(database, request.party, request.offering, request.from ?? now)
  if (request.contractId !== undefined) await checkContract(database, request, terms)
  if (request.waitUntil !== undefined && request.waitUntil <= now)
    throw new BadInput('/wait/until', 'it has passed', 'an instant in the future')
  const prepared = prepareOrder(desk, request, terms, await siteIds(database), now)
  const result = await submitOrder(desk, prepared)
  if (result === 'repeated') return { order: (await repeated(database, request))!, repeated: true }
  return { order: (await findOrder(database, prepared.row.orderId))!, repeated: false }
}

async function repeated(sql: Sql, request: OrderRequest): Promise<Order | null> {
  if (request.idempotencyKey === undefined) return null
  const known = await orderByKey(sql, request.party.id, request.idempotencyKey)
  if (!known) return null
  if (known.requestHash !== (request.fingerprint ?? null)) throw new KeyReused(request.idempotencyKey)
  return findOrder(sql, known.id)
}

async function checkContract(sql: Sql, request: OrderRequest, terms: Terms): Promise<void> {
  const contract = await contractToJoin(sql, request.contractId!)
  if (!contract || contract.partyId !== request.party.id) throw new NotFound('contract', request.contractId!)
  if (contract.state === 'ended') throw new WrongState('The contract has ended; order without naming it.')
  if (contract.currency !== retailPlan(terms).currency)
    throw new WrongState(`The contract is in ${contract.currency}, the offering in ${retailPlan(terms).currency}.`)
}

export interface QuoteRequest
  extends Omit<OrderRequest, 'contractId' | 'waitUntil' | 'idempotencyKey' | 'fingerprint'> {
  validForHours: number
}

/** Makes a quote: a price that is fixed and capacity that is held until it expires. @throws CapacityExhausted, BadInput */
export async function makeQuote(desk: Desk, request: QuoteRequest): Promise<Quote> {
  const { database, families, capacity } = desk
  if (!(request.validForHours > 0 && request.validForHours <= MAX_QUOTE_HOURS))
    throw new BadInput(
      '/validForHours',
      `${request.validForHours} is out of range`,
      `more than 0 and up to ${MAX_QUOTE_HOURS}`,
    )
  const now = desk.clock()
  const terms = await termsFor(database, request.party, request.offering, request.from ?? now)
  const { row, claimId, lines, ...wishes } = prepareOrder(desk, request, terms, await siteIds(database), now)
  const family = familyOf(families, terms.offering.family)
  const quoted = estimate(retailPlan(terms), demandsOf(family, row.config as unknown), row.from, row.to, terms.zone)
  const expiresAt = now + request.validForHours * HOUR_MS
  const quoteId = newId()
  await capacity.claim({
    id: claimId,
    partyId: row.partyId,
    from: row.from,
    to: row.to,
    lines,
    ...wishes,
    mode: 'hold',
    holdUntil: expiresAt,
    actor: request.actor,
    at: now,
    companion: companion(writeQuotes, {
      ...row,
      quoteId,
      name: request.name ?? null,
      expiresAt,
      estimate: estimateJson(quoted),
    }),
  })
  return (await findQuote(database, quoteId))!
}

/**
 * Accepts a quote: its hold becomes firm, its order is completed at the quoted terms. Accepting again answers the same.
 * @throws WrongState when it is not open any more
 */
export async function acceptQuote(desk: Desk, quote: Quote, party: Buyer, actor: Actor): Promise<Order> {
  const { database, capacity } = desk
  const now = desk.clock()
  if (quote.state === 'accepted') return acceptedOrder(database, quote)
  if (quote.state !== 'open' || quote.expiresAt <= now)
    throw new WrongState(`The quote ${quote.number} is ${quote.state === 'open' ? 'expired' : quote.state}.`, {
      expiresAt: toIso(quote.expiresAt),
    })
  const [fixed] = await database.query<{
    offeringId: string
    family: string
    planIds: string[]
    currency: string
    months: number
    sellerId: string
    zone: string
    offeringName: string
  }>(
    `select q.offering_id as "offeringId", o.family, o.name as "offeringName", q.price_plan_ids as "planIds", p.currency,
       p.minimum_term_months as months, p.seller_id as "sellerId", op.time_zone as zone
     from quote q join offering o on o.id = q.offering_id join price_plan p on p.id = q.price_plan_ids[1]
       join party op on op.kind = 'operator' where q.id = $1`,
    [quote.id],
  )
  const row: OrderRow = {
    orderId: newId(),
    serviceId: newId(),
    contractId: newId(),
    opensContract: true,
    partyId: party.id,
    sellerId: fixed!.sellerId,
    offeringId: fixed!.offeringId,
    offeringCode: quote.offering,
    family: fixed!.family,
    planIds: fixed!.planIds,
    currency: fixed!.currency,
    name: quote.name ?? fixed!.offeringName,
    config: quote.config,
    from: quote.from,
    to: quote.to,
    minimumTermUntil: minimumTermEnd(quote.from, fixed!.months, fixed!.zone),
    quoteId: quote.id,
    idempotencyKey: null,
    requestHash: null,
    actor,
    at: now,
  }
  try {
    await capacity.convert(quote.claimId, actor, { now, companion: companion(writeAcceptedQuotes, row) })
  } catch (error) {
    // Somebody accepted it at the same instant: the answer is the same.
    const again = error instanceof WrongState ? await findQuote(database, quote.id) : null
    if (again?.state === 'accepted') return acceptedOrder(database, again)
    throw error
  }
  return (await findOrder(database, row.orderId))!
}

async function acceptedOrder(sql: Sql, quote: Quote): Promise<Order> {
  const [order] = await sql.query<{ id: string }>('select id from product_order where quote_id = $1', [quote.id])
  return (await findOrder(sql, order!.id))!
}

/** Withdraws an open quote and gives its capacity back. @throws WrongState */
export async function withdrawQuote(desk: Desk, quote: Quote, actor: Actor): Promise<Quote> {
  if (quote.state === 'withdrawn') return quote
  if (quote.state !== 'open') throw new WrongState(`The quote ${quote.number} is ${quote.state}.`)
  const now = desk.clock()
  await desk.capacity.release(quote.claimId, now, actor, {
    now,
    companion: companion(
      async (sql: Sql, written: { row: { quote: Quote; actor: Actor } }[]) => {
        const ids = written.map(({ row }) => row.quote.id)
        const closed = await sql.query(
          `update quote set state = 'withdrawn', version = version + 1 where id = any($1) and state = 'open' returning id`,
          [ids],
        )
        if (closed.length < ids.length) throw new WrongState('The quote is not open any more.')
        await appendEvents(
          sql,
          written.map(({ row }) => ({
            partyId: row.quote.partyId,
            actor: row.actor,
            type: 'quote.withdrawn',
            subjectKind: 'quote',
            subjectId: row.quote.id,
          })),
        )
      },
      { quote, actor },
    ),
  })
  return (await findQuote(desk.database, quote.id))!
}

/** Takes a waiting order off the wait list. Cancelling again answers the same. @throws WrongState when it is completed */
export async function cancelOrder(desk: Desk, order: Order, actor: Actor): Promise<Order> {
  if (order.state === 'cancelled') return order
  if (order.state !== 'waiting')
    throw new WrongState(`The order ${order.number} is ${order.state}; terminate its service instead.`)
  const now = desk.clock()
  await desk.capacity.release(order.claimId, now, actor, {
    now,
    companion: companion(
      async (sql: Sql, written: { row: { order: Order; actor: Actor }; claim: { state: string } }[]) => {
        if (written.some(({ claim }) => claim.state !== 'cancelled' && claim.state !== 'expired'))
          throw new WrongState('The order was completed meanwhile; terminate its service instead.')
        await cancelOrders(
          sql,
          written.map(({ row }) => row),
        )
      },
      { order, actor },
    ),
  })
  return (await findOrder(desk.database, order.id))!
}

/** Marks waiting orders as cancelled. */
export async function cancelOrders(
  sql: Sql,
  orders: readonly { order: { id: string; partyId: string }; actor: Actor }[],
): Promise<void> {
  const cancelled = await sql.query<{ id: string }>(
    `update product_order set state = 'cancelled', version = version + 1 where id = any($1) and state = 'waiting' returning id`,
    [orders.map(({ order }) => order.id)],
  )
  const ids = new Set(cancelled.map(({ id }) => id))
  await appendEvents(
    sql,
    orders
      .filter(({ order }) => ids.has(order.id))
      .map(({ order, actor }) => ({
        partyId: order.partyId,
        actor,
        type: 'order.cancelled',
        subjectKind: 'order',
        subjectId: order.id,
      })),
  )
}
