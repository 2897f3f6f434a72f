/** `/quotes`, `/orders`, `/contracts`: what was offered, ordered and agreed. */
import Type, { type Static } from 'typebox'
import { BadInput, NotFound } from '../core/errors.ts'
import { fromIso, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Contract, MAX_NAME, MAX_QUOTE_HOURS, type Order, QUOTE_HOURS, type Quote } from '../orders/model.ts'
import { acceptQuote, cancelOrder, fingerprintOf, makeQuote, placeOrder, withdrawQuote } from '../orders/place.ts'
import {
  type Amendment,
  amendmentsOf,
  findContract,
  findOrder,
  findQuote,
  listContracts,
  listOrders,
  listQuotes,
} from '../orders/store.ts'
import { terminateContract } from '../services/life.ts'
import { listServices } from '../services/store.ts'
import type { App } from './app.ts'
import { asEstimate, BACKDATED_MS, deskOf, EstimateShape } from './desk.ts'
import { tag } from './etag.ts'
import { idempotencyKey } from './idempotency.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  Code,
  CurrencyCode,
  Id,
  Instant,
  Json,
  Nullable,
  OneOf,
  OpenInstant,
  Page,
  PageQuery,
  PartyRef,
  Shape,
  Text,
} from './schemas.ts'

const QUOTE_STATES = ['open', 'accepted', 'expired', 'withdrawn'] as const
const ORDER_STATES = ['completed', 'waiting', 'cancelled'] as const
const CONTRACT_STATES = ['pending', 'active', 'ended'] as const
/** Orders are placed by whoever runs services. */
export const ORDERS = { scope: 'orders', roles: ['owner', 'engineer'] } as const

const QuoteJson = Shape(
  {
    id: Id,
    number: Text(20),
    partyId: Id,
    partyName: Text(),
    offering: Code,
    offeringName: Text(),
    name: Nullable(Text()),
    config: Json,
    from: Instant,
    to: OpenInstant,
    state: OneOf(QUOTE_STATES),
    expiresAt: Instant,
    claimId: Id,
    estimate: EstimateShape,
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Quote' },
)

const OrderJson = Shape(
  {
    id: Id,
    number: Text(20),
    partyId: Id,
    partyName: Text(),
    offering: Code,
    offeringName: Text(),
    state: OneOf(ORDER_STATES),
    contractId: Nullable(Id),
    contractNumber: Nullable(Text(20)),
    serviceId: Nullable(Id),
    claimId: Id,
    quoteId: Nullable(Id),
    name: Nullable(Text()),
    config: Json,
    from: Instant,
    to: OpenInstant,
    waitUntil: OpenInstant,
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Order' },
)

export const AmendmentJson = Shape(
  {
    id: Id,
    contractId: Id,
    serviceId: Id,
    kind: OneOf(['add', 'change', 'suspend', 'resume', 'terminate']),
    effectiveAt: Instant,
    withdrawnAt: OpenInstant,
    appliedAt: OpenInstant,
    before: Nullable(Json),
    after: Nullable(Json),
    createdAt: Instant,
  },
  { title: 'Amendment' },
)

const contractFields = {
  id: Id,
  number: Text(20),
  partyId: Id,
  partyName: Text(),
  sellerId: Id,
  sellerName: Type.String(),
  state: OneOf(CONTRACT_STATES),
  currency: CurrencyCode,
  startsAt: Instant,
  minimumTermUntil: OpenInstant,
  endsAt: OpenInstant,
  version: Type.Integer(),
  createdAt: Instant,
}

const ContractJson = Shape({ ...contractFields, serviceCount: Type.Integer() }, { title: 'Contract' })
/** Services shown with their contract; the rest is read with `/services?contract=`. */
const SHOWN_SERVICES = 100
const ContractInFull = Shape({
  ...contractFields,
  serviceCount: Type.Integer(),
  services: Type.Array(
    Shape({ id: Id, name: Text(), offeringName: Text(), state: Text(20), startsAt: Instant, endsAt: OpenInstant }),
  ),
  amendments: Type.Array(AmendmentJson),
})

const quoteJson = (quote: Quote): Static<typeof QuoteJson> => ({
  ...quote,
  from: toIso(quote.from)!,
  to: toIso(quote.to),
  expiresAt: toIso(quote.expiresAt)!,
  createdAt: toIso(quote.createdAt)!,
  estimate: asEstimate(quote.estimate),
})

const orderJson = (order: Order): Static<typeof OrderJson> => ({
  ...order,
  from: toIso(order.from)!,
  to: toIso(order.to),
  waitUntil: order.waitUntil === null ? null : toIso(order.waitUntil),
  createdAt: toIso(order.createdAt)!,
})

const contractJson = ({ services, ...contract }: Contract): Static<typeof ContractJson> => ({
  ...contract,
  serviceCount: services,
  startsAt: toIso(contract.startsAt)!,
  minimumTermUntil: contract.minimumTermUntil === null ? null : toIso(contract.minimumTermUntil),
  endsAt: toIso(contract.endsAt),
  createdAt: toIso(contract.createdAt)!,
})

export const amendmentJson = (amendment: Amendment): Static<typeof AmendmentJson> => ({
  ...amendment,
  effectiveAt: toIso(amendment.effectiveAt)!,
  withdrawnAt: amendment.withdrawnAt === null ? null : toIso(amendment.withdrawnAt),
  appliedAt: amendment.appliedAt === null ? null : toIso(amendment.appliedAt),
  before: amendment.before as Record<string, unknown> | null,
  after: amendment.after as Record<string, unknown> | null,
  createdAt: toIso(amendment.createdAt)!,
})

/** What quotes and orders both say. */
const choice = {
  party: Type.Optional(PartyRef),
  offering: Code,
  config: Json,
  name: Type.Optional(Text(MAX_NAME)),
  from: Type.Optional(Instant),
  to: Type.Optional(OpenInstant),
}

/** A start that is not in the past; undefined means now. */
export function startOf(from: string | undefined, now: number, at = '/from'): number | undefined {
  if (from === undefined) return undefined
  const instant = fromIso(from)
  if (instant < now - BACKDATED_MS) throw new BadInput(at, 'it is in the past', 'an instant from now on')
  return instant
}

export const listQuery = { ...PageQuery, party: Type.Optional(PartyRef) }

export function orderRoutes(app: App, platform: Platform): void {
  const { clock } = platform
  const desk = deskOf(platform)

  app.post(
    '/quotes',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['orders'],
        summary: 'Hold capacity at a fixed price until the quote expires',
        body: Shape({
          ...choice,
          validForHours: Type.Optional(
            Type.Number({ exclusiveMinimum: 0, maximum: MAX_QUOTE_HOURS, default: QUOTE_HOURS }),
          ),
        }),
        response: { 201: QuoteJson },
      },
    },
    async (request, reply) => {
      const { body, principal } = request
      const quote = await makeQuote(desk, {
        party: await request.visibleParty(body.party ?? principal.partyId),
        offering: body.offering,
        config: body.config,
        name: body.name,
        from: startOf(body.from, clock()),
        to: fromIso(body.to),
        validForHours: body.validForHours ?? QUOTE_HOURS,
        actor: principal.actor,
      })
      tag(reply, quote.version)
      return reply.code(201).send(quoteJson(quote))
    },
  )

  app.get(
    '/quotes',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['orders'],
        summary: 'Quotes, newest first',
        querystring: Shape({ ...listQuery, state: Type.Optional(OneOf(QUOTE_STATES)) }),
        response: { 200: Page(QuoteJson) },
      },
    },
    async (request) => {
      const { limit, state } = request.query
      const filter = await filterOf(request, state)
      const rows = await request.tenant((sql) => listQuotes(sql, filter))
      return page(rows, limit, ({ id }) => [id], quoteJson)
    },
  )

  const quoteOf = async (request: Parameters<typeof visible>[0], id: string) =>
    visible(request, 'quote', id, (sql) => findQuote(sql, id))

  app.get(
    '/quotes/:quote',
    {
      config: { access: { scope: 'orders' } },
      schema: { tags: ['orders'], summary: 'One quote', params: Shape({ quote: Id }), response: { 200: QuoteJson } },
    },
    async (request, reply) => {
      const quote = await quoteOf(request, request.params.quote)
      tag(reply, quote.version)
      return quoteJson(quote)
    },
  )

  app.post(
    '/quotes/:quote/accept',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['orders'],
        summary: 'Order what was quoted, at the quoted price, from the capacity held',
        params: Shape({ quote: Id }),
        response: { 201: OrderJson },
      },
    },
    async (request, reply) => {
      const quote = await quoteOf(request, request.params.quote)
      const party = await request.visibleParty(quote.partyId)
      const order = await acceptQuote(desk, quote, party, request.principal.actor)
      tag(reply, order.version)
      return reply.code(201).send(orderJson(order))
    },
  )

  app.post(
    '/quotes/:quote/withdraw',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['orders'],
        summary: 'Give a quote up and its capacity back',
        params: Shape({ quote: Id }),
        response: { 200: QuoteJson },
      },
    },
    async (request, reply) => {
      const quote = await quoteOf(request, request.params.quote)
      const withdrawn = await withdrawQuote(desk, quote, request.principal.actor)
      tag(reply, withdrawn.version)
      return quoteJson(withdrawn)
    },
  )

  app.post(
    '/orders',
    {
      config: { access: ORDERS, idempotency: 'own' },
      schema: {
        tags: ['orders'],
        summary: 'Order a service: its capacity is taken at once, or it waits',
        body: Shape({
          ...choice,
          contract: Type.Optional(Nullable(Id)),
          wait: Type.Optional(
            Nullable(Shape({ until: Instant }, { description: 'Joins the wait list when it does not fit now.' })),
          ),
        }),
        response: { 201: OrderJson },
      },
    },
    async (request, reply) => {
      const { body, principal } = request
      const key = idempotencyKey(request)
      const { order, repeated } = await placeOrder(desk, {
        party: await request.visibleParty(body.party ?? principal.partyId),
        offering: body.offering,
        config: body.config,
        name: body.name,
        from: startOf(body.from, clock()),
        to: fromIso(body.to),
        contractId: body.contract ?? undefined,
        waitUntil: body.wait ? fromIso(body.wait.until) : undefined,
        idempotencyKey: key,
        fingerprint: key === undefined ? undefined : fingerprintOf(body),
        actor: principal.actor,
      })
      if (repeated) reply.header('idempotency-replayed', 'true')
      tag(reply, order.version)
      return reply.code(201).send(orderJson(order))
    },
  )

  app.get(
    '/orders',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['orders'],
        summary: 'Orders, newest first',
        querystring: Shape({ ...listQuery, state: Type.Optional(OneOf(ORDER_STATES)) }),
        response: { 200: Page(OrderJson) },
      },
    },
    async (request) => {
      const { limit, state } = request.query
      const filter = await filterOf(request, state)
      const rows = await request.tenant((sql) => listOrders(sql, filter))
      return page(rows, limit, ({ id }) => [id], orderJson)
    },
  )

  const orderOf = async (request: Parameters<typeof visible>[0], id: string) =>
    visible(request, 'order', id, (sql) => findOrder(sql, id))

  app.get(
    '/orders/:order',
    {
      config: { access: { scope: 'orders' } },
      schema: { tags: ['orders'], summary: 'One order', params: Shape({ order: Id }), response: { 200: OrderJson } },
    },
    async (request, reply) => {
      const order = await orderOf(request, request.params.order)
      tag(reply, order.version)
      return orderJson(order)
    },
  )

  app.post(
    '/orders/:order/cancel',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['orders'],
        summary: 'Take a waiting order off the wait list',
        params: Shape({ order: Id }),
        response: { 200: OrderJson },
      },
    },
    async (request, reply) => {
      const order = await cancelOrder(desk, await orderOf(request, request.params.order), request.principal.actor)
      tag(reply, order.version)
      return orderJson(order)
    },
  )

  app.get(
    '/contracts',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['orders'],
        summary: 'Contracts, newest first',
        querystring: Shape({ ...listQuery, state: Type.Optional(OneOf(CONTRACT_STATES)) }),
        response: { 200: Page(ContractJson) },
      },
    },
    async (request) => {
      const { limit, state } = request.query
      const filter = await filterOf(request, state)
      const rows = await request.tenant((sql) => listContracts(sql, filter))
      return page(rows, limit, ({ id }) => [id], contractJson)
    },
  )

  const contractOf = async (request: Parameters<typeof visible>[0], id: string) =>
    visible(request, 'contract', id, (sql) => findContract(sql, id))

  async function contractInFull(request: Parameters<typeof visible>[0], id: string) {
    const contract = await contractOf(request, id)
    return request.tenant(async (sql) => {
      const none = { partyId: null, state: null, like: null, family: null }
      const services = await listServices(sql, { ...none, limit: SHOWN_SERVICES, before: null, contractId: id })
      return {
        ...contractJson(contract),
        services: services.map((service) => ({
          id: service.id,
          name: service.name,
          offeringName: service.offeringName,
          state: service.state,
          startsAt: toIso(service.startsAt)!,
          endsAt: toIso(service.endsAt),
        })),
        amendments: (await amendmentsOf(sql, { contractId: id })).map(amendmentJson),
      }
    })
  }

  app.get(
    '/contracts/:contract',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['orders'],
        summary: 'One contract with its services and amendments',
        params: Shape({ contract: Id }),
        response: { 200: ContractInFull },
      },
    },
    async (request, reply) => {
      const contract = await contractInFull(request, request.params.contract)
      tag(reply, contract.version)
      return contract
    },
  )

  app.post(
    '/contracts/:contract/terminate',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['orders'],
        summary: 'End a contract and all its services, now or on a date',
        params: Shape({ contract: Id }),
        body: Type.Optional(Shape({ at: Type.Optional(Instant) })),
        response: { 200: ContractInFull },
      },
    },
    async (request, reply) => {
      const { contract: id } = request.params
      const contract = await contractOf(request, id)
      const version = request.ifMatch()
      await terminateContract(desk, contract, {
        at: startOf(request.body?.at, clock(), '/at'),
        version,
        actor: request.principal.actor,
      })
      const ended = await contractInFull(request, id)
      tag(reply, ended.version)
      return ended
    },
  )
}

/** Something that the asker may see, or 404. */
export async function visible<T>(
  request: { tenant<R>(work: (sql: Sql) => Promise<R>): Promise<R> },
  kind: string,
  id: string,
  find: (sql: Sql) => Promise<T | null>,
): Promise<T> {
  const found = await request.tenant(find)
  if (found === null) throw new NotFound(kind, id)
  return found
}

/** A list's query as stores take it. */
export async function filterOf(
  request: {
    query: { limit: number; cursor?: string; q?: string; party?: string }
    visibleParty(idOrCode: string): Promise<{ id: string }>
  },
  state: string | undefined,
) {
  const { limit, cursor, q, party } = request.query
  const after = cursorKey(cursor, ['uuid']) as [string] | null
  return {
    limit: limit + 1,
    before: after?.[0] ?? null,
    partyId: party === undefined ? null : (await request.visibleParty(party)).id,
    state: state ?? null,
    like: likePattern(q),
  }
}
