/** `/services` and `/usage`: what runs for whom, what becomes of it, and what was reserved for how long. */
import Type, { type Static } from 'typebox'
import { listClaims } from '../capacity/claim-list.ts'
import { BadInput } from '../core/errors.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import { DAY_MS, fromIso, toIso } from '../core/time.ts'
import { MAX_NAME } from '../orders/model.ts'
import { amendmentsOf } from '../orders/store.ts'
import { changeService, desiredOf, suspendOrResume, terminateService } from '../services/life.ts'
import type { Service } from '../services/model.ts'
import { findService, listServices } from '../services/store.ts'
import { reservedUsage } from '../usage/readings.ts'
import type { App } from './app.ts'
import { deskOf, operatorCalendar, RESERVATIONS } from './desk.ts'
import { tag } from './etag.ts'
import { AmendmentJson, amendmentJson, filterOf, listQuery, ORDERS, startOf, visible } from './orders.ts'
import { page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  CalendarDate,
  Code,
  Id,
  Instant,
  Json,
  Nullable,
  OneOf,
  OpenInstant,
  Page,
  PartyRef,
  Shape,
  Text,
} from './schemas.ts'

const SERVICE_STATES = ['pending', 'active', 'suspended', 'terminated'] as const

const serviceFields = {
  id: Id,
  name: Text(),
  partyId: Id,
  partyName: Text(),
  contractId: Id,
  contractNumber: Text(20),
  offering: Code,
  offeringName: Text(),
  family: Text(63),
  config: Json,
  claimId: Id,
  state: OneOf(SERVICE_STATES),
  startsAt: Instant,
  endsAt: OpenInstant,
  minimumTermUntil: OpenInstant,
  version: Type.Integer(),
  createdAt: Instant,
}
const ServiceJson = Shape(serviceFields, { title: 'Service' })

const ServiceInFull = Shape({
  ...serviceFields,
  amendments: Type.Array(AmendmentJson),
  claim: Nullable(
    Shape({
      id: Id,
      state: Text(20),
      from: Instant,
      to: OpenInstant,
      version: Type.Integer(),
      lines: Type.Array(
        Shape({
          line: Type.Integer(),
          site: Code,
          kind: Code,
          unit: Text(40),
          quantity: Type.Number(),
          type: Text(10),
          from: Instant,
          to: OpenInstant,
          protects: Nullable(Code),
          unprotected: Type.Boolean(),
          assignments: Type.Array(Shape({ container: Text(100), start: Type.Integer(), length: Type.Integer() })),
        }),
      ),
    }),
  ),
  workOrders: Type.Array(Shape({ node: Text(), key: Text(), kind: Text(), body: Json })),
})

const serviceJson = ({ planIds: _, ...service }: Service): Static<typeof ServiceJson> => ({
  ...service,
  startsAt: toIso(service.startsAt)!,
  endsAt: toIso(service.endsAt),
  minimumTermUntil: service.minimumTermUntil === null ? null : toIso(service.minimumTermUntil),
  createdAt: toIso(service.createdAt)!,
})

const ServiceParams = Shape({ service: Id })
const AtBody = Nullable(Shape({ at: Type.Optional(Instant) }))

export function serviceRoutes(app: App, platform: Platform): void {
  const { clock } = platform
  const desk = deskOf(platform)

  app.get(
    '/services',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['services'],
        summary: 'Services, newest first',
        querystring: Shape({
          ...listQuery,
          state: Type.Optional(OneOf(SERVICE_STATES)),
          family: Type.Optional(Text(63)),
          contract: Type.Optional(Id),
        }),
        response: { 200: Page(ServiceJson) },
      },
    },
    async (request) => {
      const { limit, state, family, contract } = request.query
      const filter = await filterOf(request, state)
      const rows = await request.tenant((sql) =>
        listServices(sql, { ...filter, family: family ?? null, contractId: contract ?? null }),
      )
      return page(rows, limit, ({ id }) => [id], serviceJson)
    },
  )

  const serviceOf = (request: Parameters<typeof visible>[0], id: string) =>
    visible(request, 'service', id, (sql) => findService(sql, id))

  app.get(
    '/services/:service',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['services'],
        summary: 'One service with its amendments, capacity and work orders',
        params: ServiceParams,
        response: { 200: ServiceInFull },
      },
    },
    async (request, reply) => {
      const service = await serviceOf(request, request.params.service)
      tag(reply, service.version)
      return request.tenant(async (sql) => {
        const [claim] = await listClaims(sql, { ids: [service.claimId], limit: 1, now: clock() })
        return {
          ...serviceJson(service),
          amendments: (await amendmentsOf(sql, { serviceId: service.id })).map(amendmentJson),
          claim: claim
            ? {
                id: claim.id,
                state: claim.state,
                from: toIso(claim.from)!,
                to: toIso(claim.to),
                version: claim.version,
                lines: claim.lines.map((line) => ({
                  line: line.line,
                  site: line.site,
                  kind: line.kind,
                  unit: line.unit,
                  quantity: unitsFromQuantity(line.quantity),
                  type: line.type,
                  from: toIso(line.from)!,
                  to: toIso(line.to),
                  protects: line.protects,
                  unprotected: line.unprotected,
                  assignments:
                    line.containerId === null
                      ? []
                      : [{ container: line.container!, start: line.start!, length: line.length! }],
                })),
              }
            : null,
          workOrders: await desiredOf(desk, service, sql),
        }
      })
    },
  )

  app.patch(
    '/services/:service',
    {
      config: { access: ORDERS },
      schema: {
        tags: ['services'],
        summary: 'Grow, shrink, move, rename or extend a service, now or on a date',
        params: ServiceParams,
        body: Shape({
          config: Type.Optional(
            Type.Unsafe<Record<string, unknown>>({
              ...Json,
              description: 'Merged over the present choice; null takes a field out.',
            }),
          ),
          name: Type.Optional(Text(MAX_NAME)),
          at: Type.Optional(Instant),
          to: Type.Optional(OpenInstant),
        }),
        response: { 200: ServiceJson },
      },
    },
    async (request, reply) => {
      const { config, name, at, to } = request.body
      if (config === undefined && name === undefined && to === undefined)
        throw new BadInput('/', 'nothing would change', 'config, name or to')
      const service = await changeService(desk, await serviceOf(request, request.params.service), {
        config,
        name,
        at: startOf(at, clock(), '/at'),
        to: to === undefined ? undefined : fromIso(to),
        version: request.ifMatch(),
        actor: request.principal.actor,
      })
      tag(reply, service.version)
      return serviceJson(service)
    },
  )

  const actions = {
    suspend: (service: Service, options: Options) => suspendOrResume(desk, service, 'suspend', options),
    resume: (service: Service, options: Options) => suspendOrResume(desk, service, 'resume', options),
    terminate: (service: Service, options: Options) => terminateService(desk, service, options),
  }
  type Options = Parameters<typeof terminateService>[2]
  const summaries = {
    suspend: 'Suspend a service: its capacity stays reserved',
    resume: 'Take a suspended service up again',
    terminate: 'End a service and give its capacity back',
  }

  for (const action of ['suspend', 'resume', 'terminate'] as const)
    app.post(
      `/services/:service/${action}`,
      {
        config: { access: ORDERS },
        schema: {
          tags: ['services'],
          summary: `${summaries[action]}, now or on a date`,
          params: ServiceParams,
          body: AtBody,
          response: { 200: ServiceJson },
        },
      },
      async (request, reply) => {
        const { service: id } = request.params as { service: string }
        const body = request.body as { at?: string } | null | undefined
        const service = await actions[action](await serviceOf(request, id), {
          at: startOf(body?.at, clock(), '/at'),
          version: request.ifMatch(),
          actor: request.principal.actor,
        })
        tag(reply, service.version)
        return serviceJson(service)
      },
    )

  app.get(
    '/usage',
    {
      config: { access: { scope: 'orders' } },
      schema: {
        tags: ['services'],
        summary: 'Reserved amount × time by day, site and kind; the last 31 days unless said otherwise',
        querystring: Shape({
          party: Type.Optional(PartyRef),
          service: Type.Optional(Id),
          from: Type.Optional(Instant),
          to: Type.Optional(Instant),
        }),
        response: {
          200: Shape({
            from: Instant,
            to: Instant,
            items: Type.Array(
              Shape({
                date: CalendarDate,
                site: Code,
                kind: Code,
                unit: Text(40),
                reservation: OneOf(RESERVATIONS),
                unitHours: Type.Number(),
                services: Type.Integer(),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { party, service, from, to } = request.query
      const till = to === undefined ? clock() : fromIso(to)
      const since = from === undefined ? till - 31 * DAY_MS : fromIso(from)
      if (!(since < till)) throw new BadInput('/query/to', 'it is not after the start', 'a later instant')
      const partyId = (await request.visibleParty(party ?? request.principal.partyId)).id
      const { zone } = await operatorCalendar(platform)
      const asked = { from: since, to: till, partyId, serviceId: service ?? null }
      // The party was seen through the tenant's view; reading below it as the owner spares the operator a policy check on
      // each of a million reservations.
      const items =
        request.principal.partyKind === 'operator'
          ? await reservedUsage(platform.database, asked, zone)
          : await request.tenant((sql) => reservedUsage(sql, asked, zone))
      return { from: toIso(since)!, to: toIso(till)!, items }
    },
  )
}
