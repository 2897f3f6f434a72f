/** `/offerings` and `/estimates`: what can be bought, at which price, and what a choice would cost and whether it is free. */
import Type, { type Static } from 'typebox'
import { estimate } from '../catalogue/estimate.ts'
import { checkedConfig, demandsOf, familyOf } from '../catalogue/family.ts'
import { checkCharges, MAX_CHARGES, MAX_TIERS, type Offering, type PricePlan } from '../catalogue/model.ts'
import { findOffering, insertOffering, insertPlan, listOfferings, plansOf, updateOffering } from '../catalogue/store.ts'
import { retailPlan, termsFor } from '../catalogue/terms.ts'
import { BadInput, NotFound } from '../core/errors.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import { fromIso, toIso } from '../core/time.ts'
import { appendEvents } from '../database/events.ts'
import { estimateJson } from '../orders/estimate-json.ts'
import { claimLines } from '../orders/model.ts'
import { siteIds } from '../orders/place.ts'
import type { App } from './app.ts'
import { deskOf, EstimateShape, KINDS_OF_CHARGE, operatorCalendar, PERS, Price, RESERVATIONS } from './desk.ts'
import { tag } from './etag.ts'
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

const OFFERING_STATES = ['draft', 'active', 'retired'] as const

const TierShape = Shape({ from: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000_000 }), price: Price })

const ChargeBody = Shape({
  kind: OneOf(KINDS_OF_CHARGE),
  name: Text(100),
  nameJa: Type.Optional(Nullable(Text(100))),
  resource: Type.Optional(Nullable(Code)),
  reservation: Type.Optional(OneOf(RESERVATIONS)),
  per: Type.Optional(Nullable(OneOf(PERS))),
  price: Price,
  tiers: Type.Optional(Type.Array(TierShape, { maxItems: MAX_TIERS })),
})

const PlanJson = Shape(
  {
    id: Id,
    offering: Code,
    seller: Id,
    planVersion: Type.Integer(),
    currency: CurrencyCode,
    effectiveFrom: Instant,
    effectiveTo: OpenInstant,
    minimumTermMonths: Type.Integer(),
    charges: Type.Array(
      Shape({
        line: Type.Integer(),
        kind: OneOf(KINDS_OF_CHARGE),
        name: Text(),
        nameJa: Nullable(Text()),
        resource: Nullable(Text(63)),
        reservation: OneOf(RESERVATIONS),
        per: Nullable(OneOf(PERS)),
        price: Price,
        tiers: Type.Array(TierShape),
      }),
    ),
  },
  { title: 'PricePlan' },
)

const OfferingJson = Shape(
  {
    id: Id,
    code: Code,
    family: Text(63),
    name: Text(),
    nameJa: Nullable(Text()),
    description: Nullable(Type.String()),
    descriptionJa: Nullable(Type.String()),
    defaults: Json,
    taxCode: Text(20),
    state: OneOf(OFFERING_STATES),
    version: Type.Integer(),
    configSchema: Json,
    prices: Type.Array(PlanJson),
  },
  { title: 'Offering' },
)

const changeable = {
  name: Text(200),
  nameJa: Type.Optional(Nullable(Text(200))),
  description: Type.Optional(Nullable(Text(2_000))),
  descriptionJa: Type.Optional(Nullable(Text(2_000))),
  defaults: Type.Optional(Json),
  taxCode: Type.Optional(OneOf(['standard', 'reduced', 'exempt'])),
  state: Type.Optional(OneOf(OFFERING_STATES)),
}

const OFFERS = { scope: 'orders', parties: ['operator'], roles: ['owner', 'engineer'] } as const
const PRICES = { scope: 'orders', parties: ['operator', 'reseller'], roles: ['owner', 'finance'] } as const

export function catalogueRoutes(app: App, platform: Platform): void {
  const { database, capacity } = platform
  const desk = deskOf(platform)

  const planJson = (plan: PricePlan, code: string): Static<typeof PlanJson> => ({
    id: plan.id,
    offering: code,
    seller: plan.sellerId,
    planVersion: plan.planVersion,
    currency: plan.currency,
    effectiveFrom: toIso(plan.effectiveFrom)!,
    effectiveTo: toIso(plan.effectiveTo),
    minimumTermMonths: plan.minimumTermMonths,
    charges: plan.charges,
  })

  const offeringJson = (offering: Offering, plans: readonly PricePlan[]): Static<typeof OfferingJson> => ({
    ...offering,
    configSchema: (desk.families.find(({ name }) => name === offering.family)?.config ?? {}) as Record<string, unknown>,
    prices: plans.filter((plan) => plan.offeringId === offering.id).map((plan) => planJson(plan, offering.code)),
  })

  app.get(
    '/offerings',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['catalogue'],
        summary: 'What can be bought, with the prices that hold for the asker',
        querystring: Shape({ ...PageQuery, state: Type.Optional(OneOf(OFFERING_STATES)) }),
        response: { 200: Page(OfferingJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, state } = request.query
      const after = cursorKey(cursor, ['text']) as [string] | null
      // Customers see what is for sale, not what is being prepared.
      const shown = request.principal.partyKind === 'operator' ? (state ?? null) : 'active'
      return request.tenant(async (sql) => {
        const rows = await listOfferings(sql, {
          limit: limit + 1,
          after: after?.[0] ?? null,
          like: likePattern(q),
          state: shown,
        })
        const plans = await plansOf(
          sql,
          rows.map(({ id }) => id),
        )
        return page(
          rows,
          limit,
          ({ code }) => [code],
          (row) => offeringJson(row, plans),
        )
      })
    },
  )

  app.get(
    '/offerings/:offering',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['catalogue'],
        summary: 'One offering',
        params: Shape({ offering: Code }),
        response: { 200: OfferingJson },
      },
    },
    async (request, reply) => {
      const { offering: code } = request.params
      return request.tenant(async (sql) => {
        const offering = await findOffering(sql, code)
        if (!offering || (offering.state === 'draft' && request.principal.partyKind !== 'operator'))
          throw new NotFound('offering', code)
        tag(reply, offering.version)
        return offeringJson(offering, await plansOf(sql, [offering.id]))
      })
    },
  )

  app.post(
    '/offerings',
    {
      config: { access: OFFERS },
      schema: {
        tags: ['catalogue'],
        summary: 'Offer something new',
        body: Shape({ code: Code, family: Text(63), ...changeable }),
        response: { 201: OfferingJson },
      },
    },
    async (request, reply) => {
      const { body, principal } = request
      familyOf(desk.families, body.family)
      const offering = await database.transaction(async (sql) => {
        const made = await insertOffering(sql, {
          code: body.code,
          family: body.family,
          name: body.name,
          nameJa: body.nameJa ?? null,
          description: body.description ?? null,
          descriptionJa: body.descriptionJa ?? null,
          defaults: body.defaults ?? {},
          taxCode: body.taxCode ?? 'standard',
          state: body.state ?? 'active',
        })
        await appendEvents(sql, [
          {
            partyId: principal.partyId,
            actor: principal.actor,
            type: 'offering.created',
            subjectKind: 'offering',
            subjectId: made.id,
            after: made,
          },
        ])
        return made
      })
      tag(reply, offering.version)
      return reply.code(201).send(offeringJson(offering, []))
    },
  )

  app.patch(
    '/offerings/:offering',
    {
      config: { access: OFFERS },
      schema: {
        tags: ['catalogue'],
        summary: 'Change how an offering reads, or retire it',
        params: Shape({ offering: Code }),
        body: Shape({ ...changeable, name: Type.Optional(Text(200)) }),
        response: { 200: OfferingJson },
      },
    },
    async (request, reply) => {
      const { principal } = request
      const { after } = await database.transaction(async (sql) => {
        const changed = await updateOffering(sql, request.params.offering, request.body, request.ifMatch())
        await appendEvents(sql, [
          {
            partyId: principal.partyId,
            actor: principal.actor,
            type: 'offering.changed',
            subjectKind: 'offering',
            subjectId: changed.after.id,
            before: changed.before,
            after: changed.after,
          },
        ])
        return changed
      })
      tag(reply, after.version)
      return request.tenant(async (sql) => offeringJson(after, await plansOf(sql, [after.id])))
    },
  )

  app.post(
    '/offerings/:offering/prices',
    {
      config: { access: PRICES },
      schema: {
        tags: ['catalogue'],
        summary: 'A new version of your price plan for an offering; plans that stand never change',
        params: Shape({ offering: Code }),
        body: Shape({
          currency: Type.Optional(CurrencyCode),
          effectiveFrom: Type.Optional(Instant),
          effectiveTo: Type.Optional(OpenInstant),
          minimumTermMonths: Type.Optional(Type.Integer({ minimum: 0, maximum: 120, default: 0 })),
          charges: Type.Array(ChargeBody, { minItems: 1, maxItems: MAX_CHARGES }),
        }),
        response: { 201: PlanJson },
      },
    },
    async (request, reply) => {
      const { body, principal } = request
      const seller = await request.visibleParty(principal.partyId)
      const offering = await findOffering(database, request.params.offering)
      if (!offering) throw new NotFound('offering', request.params.offering)
      const currency = body.currency ?? seller.currency
      const charges = body.charges.map((charge, index) => ({
        line: index + 1,
        kind: charge.kind,
        name: charge.name,
        nameJa: charge.nameJa ?? null,
        resource: charge.resource ?? null,
        reservation: charge.reservation ?? ('firm' as const),
        per: charge.per ?? null,
        price: charge.price,
        tiers: charge.tiers ?? [],
      }))
      checkCharges(charges, currency)
      await checkResources(charges.map(({ resource }) => resource))
      const effectiveFrom = body.effectiveFrom === undefined ? platform.clock() : fromIso(body.effectiveFrom)
      const effectiveTo = fromIso(body.effectiveTo)
      if (!(effectiveFrom < effectiveTo))
        throw new BadInput('/effectiveTo', 'it is not after the start', 'a later instant')
      const plan = await database.transaction(async (sql) => {
        const made = await insertPlan(sql, {
          offeringId: offering.id,
          sellerId: seller.id,
          currency,
          effectiveFrom,
          effectiveTo,
          minimumTermMonths: body.minimumTermMonths ?? 0,
          charges,
        })
        await appendEvents(sql, [
          {
            partyId: seller.id,
            actor: principal.actor,
            type: 'price-plan.created',
            subjectKind: 'price-plan',
            subjectId: made.id,
            after: planJson(made, offering.code),
          },
        ])
        return made
      })
      return reply.code(201).send(planJson(plan, offering.code))
    },
  )

  async function checkResources(resources: readonly (string | null)[]): Promise<void> {
    const kinds = new Set(
      (await database.query<{ code: string }>('select code from resource_kind')).map(({ code }) => code),
    )
    for (const [index, resource] of resources.entries())
      if (resource !== null && !kinds.has(resource))
        throw new BadInput(`/charges/${index}/resource`, `there is no kind ${resource}`, [...kinds].sort().join(', '))
  }

  app.post(
    '/estimates',
    {
      config: { access: { scope: 'orders', roles: ['owner', 'engineer', 'finance', 'read-only'] } },
      schema: {
        tags: ['catalogue'],
        summary: 'What a choice would cost, and whether it is free',
        body: Shape({
          party: Type.Optional(PartyRef),
          offering: Code,
          config: Json,
          from: Type.Optional(Instant),
          to: Type.Optional(OpenInstant),
        }),
        response: {
          200: Shape({
            ...EstimateShape.properties,
            available: Type.Boolean(),
            shortOf: Type.Array(
              Shape({
                site: Code,
                kind: Code,
                asked: Type.Number(),
                free: Type.Number(),
                largestRun: Nullable(Type.Integer()),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { body, principal } = request
      const party = await request.visibleParty(body.party ?? principal.partyId)
      const from = body.from === undefined ? platform.clock() : fromIso(body.from)
      const to = fromIso(body.to)
      if (!(from < to)) throw new BadInput('/to', 'it is not after the start', 'a later instant, or null for no end')
      const buyer = party.kind === 'operator' ? await operatorsView(party.id) : party
      const terms = await termsFor(database, buyer, body.offering, from)
      const family = familyOf(desk.families, terms.offering.family)
      const demands = demandsOf(family, checkedConfig<unknown>(family, terms.offering.defaults, body.config))
      const { zone } = await operatorCalendar(platform)
      const quoted = estimateJson(estimate(retailPlan(terms), demands, from, to, zone))
      return { ...quoted, ...(await shortages(demands, from, to)) }
    },
  )

  /** The operator asks what any direct customer would pay. */
  async function operatorsView(operatorId: string) {
    const [customer] = await database.query<{ id: string; ancestors: string[] }>(
      'select id, ancestors from party where parent_id = $1 order by id limit 1',
      [operatorId],
    )
    if (!customer) throw new BadInput('/party', 'the operator sells to nobody yet', 'the party that would order')
    return customer
  }

  /** Firm amounts that are not free over the whole time, by site and kind. */
  async function shortages(demands: Parameters<typeof claimLines>[0], from: number, to: number) {
    const sites = await siteIds(database)
    const lines = claimLines(demands, sites)
    const codes = new Map([...sites].map(([code, id]) => [id, code]))
    const shortOf = []
    for (const siteId of new Set(lines.filter(({ type }) => type === 'firm').map((line) => line.siteId))) {
      const pools = await capacity.availability(siteId, from, to)
      const mine = lines.filter((line) => line.siteId === siteId && line.type === 'firm')
      for (const kind of new Set(mine.map((line) => line.kind))) {
        const amounts = mine.filter((line) => line.kind === kind).map(({ quantity }) => quantity)
        const asked = amounts.reduce((sum, quantity) => sum + quantity, 0)
        const pool = pools.find((one) => one.kind === kind)
        const run = pool?.largestRun ?? null
        if (!pool || pool.free < asked || (run !== null && run * 1_000 < Math.max(...amounts)))
          shortOf.push({
            site: codes.get(siteId)!,
            kind,
            asked: unitsFromQuantity(asked),
            free: unitsFromQuantity(pool?.free ?? 0),
            largestRun: run,
          })
      }
    }
    return { available: shortOf.length === 0, shortOf }
  }
}
