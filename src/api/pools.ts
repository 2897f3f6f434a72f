/** `/pools` with their dated steps, `/pools/:id/skyline`, forecasts, and `/capacity/audit`. */
import Type from 'typebox'
import { auditCapacity } from '../capacity/audit.ts'
import { bucketed, poolChart } from '../capacity/chart.ts'
import { type Forecast, poolForecast } from '../capacity/forecast.ts'
import { checkInterval } from '../capacity/model.ts'
import { findPool, listPools, type PoolHead, poolsOfSites, type StepRow, stepsOfPool } from '../capacity/store.ts'
import { addStep, changePool, changeStep, createPool, type NewStep, removeStep } from '../capacity/supply.ts'
import { BadInput, NotFound } from '../core/errors.ts'
import { quantityFromUnits, unitsFromQuantity } from '../core/quantity.ts'
import { DAY_MS, fromIso, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { App } from './app.ts'
import { likePattern } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  Code,
  Id,
  Instant,
  MoneyJson,
  Nullable,
  NumberId,
  OneOf,
  OpenInstant,
  Page,
  PageQuery,
  Shape,
  Text,
  Units,
} from './schemas.ts'
import { OPERATES, PoolJson, STEP_STATES, siteByCode } from './sites.ts'

const Oversubscription = Type.Number({
  minimum: 0.001,
  maximum: 100,
  multipleOf: 0.001,
  description: 'How many times over the capacity may be sold; 1 is never.',
})
const SignedUnits = Type.Number({
  minimum: -1_000_000_000,
  maximum: 1_000_000_000,
  description: 'Units; negative where capacity goes away.',
})
const Days = Type.Integer({ minimum: 0, maximum: 3_650 })
const PoolParams = Shape({ pool: NumberId })
const StepParams = Shape({ pool: NumberId, step: Id })

const StepJson = Shape(
  {
    id: Id,
    effectiveAt: Nullable(Instant),
    quantity: SignedUnits,
    state: OneOf(STEP_STATES),
    cost: Nullable(MoneyJson),
    leadTimeDays: Days,
    note: Nullable(Text()),
  },
  { title: 'Step' },
)

const STEP_FIELDS = {
  effectiveAt: Instant,
  quantity: SignedUnits,
  state: OneOf(STEP_STATES),
  cost: Nullable(MoneyJson),
  leadTimeDays: Days,
  note: Nullable(Text()),
}

const ForecastJson = Shape(
  {
    poolId: NumberId,
    site: Code,
    kind: Code,
    unit: Text(40),
    runsOutAt: Nullable(Instant),
    commitBy: Nullable(Instant),
    trendPerDay: Type.Number(),
    confidence: Type.Number({ minimum: 0, maximum: 1 }),
    points: Type.Array(Shape({ at: Instant, forecast: Type.Number(), low: Type.Number(), high: Type.Number() })),
  },
  { title: 'Forecast' },
)

const stepJson = (step: StepRow) => ({
  id: step.id,
  effectiveAt: Number.isFinite(step.effectiveAt) ? toIso(step.effectiveAt) : null,
  quantity: unitsFromQuantity(step.quantity),
  state: step.state,
  cost: step.cost === null ? null : { amount: String(step.cost), currency: step.currency ?? 'JPY' },
  leadTimeDays: step.leadTimeDays,
  note: step.note,
})

const round = (quantity: number): number => Math.round(quantity) / 1_000

const forecastJson = (forecast: Forecast) => ({
  ...forecast,
  runsOutAt: forecast.runsOutAt === null ? null : toIso(forecast.runsOutAt),
  commitBy: forecast.commitBy === null ? null : toIso(forecast.commitBy),
  trendPerDay: round(forecast.trendPerDay),
  points: forecast.points.map((point) => ({
    at: toIso(point.at)!,
    forecast: round(point.forecast),
    low: round(point.low),
    high: round(point.high),
  })),
})

interface StepBody {
  effectiveAt?: string
  quantity?: number
  state?: NewStep['state']
  cost?: { amount: string; currency: string } | null
  leadTimeDays?: number
  note?: string | null
}

/** The fields of a step that a body names. */
const stepFrom = ({ effectiveAt, quantity, cost, ...rest }: StepBody): Partial<NewStep> => ({
  ...rest,
  ...(effectiveAt === undefined ? {} : { effectiveAt: fromIso(effectiveAt) }),
  ...(quantity === undefined ? {} : { quantity: quantityFromUnits(quantity) }),
  ...(cost === undefined ? {} : { cost: cost === null ? null : BigInt(cost.amount), currency: cost?.currency ?? null }),
})

async function poolById(sql: Sql, id: number): Promise<PoolHead> {
  const pool = await findPool(sql, id)
  if (!pool) throw new NotFound('pool', String(id))
  return pool
}

export function poolRoutes(app: App, { database, capacity, clock }: Platform): void {
  async function poolJson(id: number) {
    const { siteId } = await poolById(database, id)
    const pool = (await poolsOfSites(database, [siteId], clock())).find((each) => each.id === id)!
    const now = clock()
    const free = (await capacity.availability(siteId, now, now + 1)).find(({ poolId }) => poolId === id)?.free ?? 0
    const { siteId: _, ...shown } = pool
    return {
      ...shown,
      open: unitsFromQuantity(pool.open),
      planned: unitsFromQuantity(pool.planned),
      firm: unitsFromQuantity(pool.firm),
      standby: unitsFromQuantity(pool.standby),
      held: unitsFromQuantity(pool.held),
      free: unitsFromQuantity(free),
    }
  }

  app.post(
    '/pools',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Add a pool of one kind at a site',
        body: Shape({
          site: Code,
          kind: Code,
          name: Text(),
          oversubscription: Type.Optional(Oversubscription),
          quantity: Type.Optional(Units),
        }),
        response: { 201: PoolJson },
      },
    },
    async (request, reply) => {
      const { principal } = request
      const { site, quantity, ...pool } = request.body
      const { id: siteId } = await siteByCode(database, site)
      const id = await createPool(
        capacity,
        { ...pool, siteId, quantity: quantity === undefined ? undefined : quantityFromUnits(quantity) },
        { actor: principal.actor, partyId: principal.partyId },
      )
      return reply.code(201).send(await poolJson(id))
    },
  )

  app.patch(
    '/pools/:pool',
    {
      config: { access: OPERATES, ifMatch: 'optional' },
      schema: {
        tags: ['capacity'],
        summary: 'Rename a pool or change its oversubscription',
        params: PoolParams,
        body: Shape({ name: Type.Optional(Text()), oversubscription: Type.Optional(Oversubscription) }),
        response: { 200: PoolJson },
      },
    },
    async (request) => {
      const { principal, body } = request
      const { id } = await poolById(database, request.params.pool)
      await changePool(capacity, id, body, { actor: principal.actor, partyId: principal.partyId })
      return poolJson(id)
    },
  )

  app.get(
    '/pools/:pool/steps',
    {
      config: { access: { scope: 'capacity', parties: ['operator'] } },
      schema: {
        tags: ['capacity'],
        summary: 'Dated steps of a pool',
        params: PoolParams,
        response: { 200: Page(StepJson) },
      },
    },
    async (request) =>
      request.tenant(async (sql) => {
        const { id } = await poolById(sql, request.params.pool)
        return { items: (await stepsOfPool(sql, id)).map(stepJson), next: null }
      }),
  )

  app.post(
    '/pools/:pool/steps',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Add a dated step',
        params: PoolParams,
        body: Shape({
          effectiveAt: STEP_FIELDS.effectiveAt,
          quantity: STEP_FIELDS.quantity,
          state: STEP_FIELDS.state,
          cost: Type.Optional(STEP_FIELDS.cost),
          leadTimeDays: Type.Optional(STEP_FIELDS.leadTimeDays),
          note: Type.Optional(STEP_FIELDS.note),
        }),
        response: { 201: StepJson },
      },
    },
    async (request, reply) => {
      const { principal } = request
      const { id: poolId } = await poolById(database, request.params.pool)
      const id = await addStep(capacity, poolId, stepFrom(request.body) as NewStep, {
        actor: principal.actor,
        partyId: principal.partyId,
      })
      return reply.code(201).send(stepJson((await stepsOfPool(database, poolId)).find((step) => step.id === id)!))
    },
  )

  app.patch(
    '/pools/:pool/steps/:step',
    {
      config: { access: OPERATES, ifMatch: 'optional' },
      schema: {
        tags: ['capacity'],
        summary: 'Change a step: its date, quantity, state or cost',
        params: StepParams,
        body: Type.Partial(Shape(STEP_FIELDS), { additionalProperties: false }),
        response: { 200: StepJson },
      },
    },
    async (request) => {
      const { principal } = request
      const { pool: poolId, step: id } = request.params
      await changeStep(capacity, poolId, id, stepFrom(request.body), {
        actor: principal.actor,
        partyId: principal.partyId,
      })
      return stepJson((await stepsOfPool(database, poolId)).find((step) => step.id === id)!)
    },
  )

  app.delete(
    '/pools/:pool/steps/:step',
    {
      config: { access: OPERATES },
      schema: { tags: ['capacity'], summary: 'Remove a step', params: StepParams, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const { principal } = request
      const { pool, step } = request.params
      await removeStep(capacity, pool, step, { actor: principal.actor, partyId: principal.partyId })
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/pools/:pool/skyline',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'Supply and use of a pool over time, a step function',
        params: PoolParams,
        querystring: Shape({
          from: Type.Optional(Instant),
          to: Type.Optional(Instant),
          buckets: Type.Integer({ minimum: 1, maximum: 5_000, default: 1_000, description: 'Points at most.' }),
        }),
        response: {
          200: Shape({
            from: Instant,
            to: Instant,
            unit: Text(40),
            points: Type.Array(
              Shape({
                at: Instant,
                open: Type.Number(),
                planned: Type.Number({ description: 'What planned steps would add.' }),
                firm: Type.Number(),
                standby: Type.Number({ description: 'What the worst failure covered would claim.' }),
                held: Type.Number(),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { buckets } = request.query
      const from = request.query.from === undefined ? clock() - 30 * DAY_MS : fromIso(request.query.from)
      const to = request.query.to === undefined ? from + 395 * DAY_MS : fromIso(request.query.to)
      checkInterval({ from, to }, clock())
      return request.tenant(async (sql) => {
        const pool = await poolById(sql, request.params.pool)
        const points = bucketed(await poolChart(sql, pool, from, to), from, to, buckets)
        return {
          from: toIso(from)!,
          to: toIso(to)!,
          unit: pool.unit,
          points: points.map((point) => ({
            at: toIso(point.at)!,
            open: unitsFromQuantity(point.open),
            planned: unitsFromQuantity(point.planned),
            firm: unitsFromQuantity(point.firm),
            standby: unitsFromQuantity(point.standby),
            held: unitsFromQuantity(point.held),
          })),
        }
      })
    },
  )

  app.get(
    '/pools/:pool/forecast',
    {
      config: { access: { scope: 'capacity', parties: ['operator'] } },
      schema: {
        tags: ['capacity'],
        summary: 'When a pool runs out',
        params: PoolParams,
        response: { 200: ForecastJson },
      },
    },
    async (request) =>
      request.tenant(async (sql) =>
        forecastJson(await poolForecast(sql, await poolById(sql, request.params.pool), clock())),
      ),
  )

  app.get(
    '/forecasts',
    {
      config: { access: { scope: 'capacity', parties: ['operator'] } },
      schema: {
        tags: ['capacity'],
        summary: 'When every pool runs out, the most urgent first',
        querystring: Shape(PageQuery),
        response: { 200: Page(ForecastJson) },
      },
    },
    async (request) => {
      const { limit, q, cursor } = request.query
      const skip = cursor === undefined ? 0 : Number(cursor)
      if (!Number.isSafeInteger(skip) || skip < 0)
        throw new BadInput('/query/cursor', 'is not a cursor of this list', 'the `next` of the page before, unchanged')
      const like = likePattern(q)?.slice(1, -1).toLowerCase()
      return request.tenant(async (sql) => {
        const forecasts: Forecast[] = []
        for (const pool of await listPools(sql))
          if (like === undefined || `${pool.siteCode} ${pool.kind}`.includes(like))
            forecasts.push(await poolForecast(sql, pool, clock()))
        forecasts.sort((a, b) => (a.commitBy ?? Infinity) - (b.commitBy ?? Infinity) || a.poolId - b.poolId)
        const items = forecasts.slice(skip, skip + limit).map(forecastJson)
        return { items, next: skip + limit < forecasts.length ? String(skip + limit) : null }
      })
    },
  )

  app.get(
    '/capacity/audit',
    {
      config: { access: { scope: 'capacity', parties: ['operator'] } },
      schema: {
        tags: ['capacity'],
        summary: 'Recompute from the rows alone that nothing is oversold',
        querystring: Shape({ since: Type.Optional(Instant) }),
        response: {
          200: Shape({
            ok: Type.Boolean(),
            checkedPools: Type.Integer(),
            findings: Type.Array(
              Shape({
                finding: Text(40),
                poolId: Nullable(Type.Integer()),
                claimId: Nullable(Id),
                at: OpenInstant,
                detail: Text(500),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { since } = request.query
      const audit = await auditCapacity(database, since === undefined ? clock() : fromIso(since))
      return {
        ...audit,
        findings: audit.findings.map((finding) => ({
          ...finding,
          at: finding.at !== null && Number.isFinite(finding.at) ? toIso(finding.at) : null,
        })),
      }
    },
  )
}
