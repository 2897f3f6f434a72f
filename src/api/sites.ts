/** `/resource-kinds`, `/sites` with their racks, `/availability`, and the fail-over of a site's claims is in protection.ts. */
import Type, { type Static } from 'typebox'
import { checkInterval } from '../capacity/model.ts'
import {
  assignmentsIn,
  containersOfSite,
  findSite,
  listKinds,
  listSites,
  poolsOfSites,
  type SiteRow,
  stepsOfSites,
} from '../capacity/store.ts'
import { addContainers, changeSite, createKind, createSite } from '../capacity/supply.ts'
import { NotFound } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import { fromIso, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import { TIME_ZONES } from './parties.ts'
import type { Platform } from './platform.ts'
import {
  Code,
  Id,
  Instant,
  Json,
  Nullable,
  NumberId,
  OneOf,
  OpenInstant,
  Page,
  PageQuery,
  Shape,
  Text,
} from './schemas.ts'

/** Only the operator's engineers and owner change supply. */
export const OPERATES = { scope: 'capacity', parties: ['operator'], roles: ['owner', 'engineer'] } as const
export const STEP_STATES = ['planned', 'committed', 'open'] as const

const KindJson = Shape(
  { code: Code, name: Text(), nameJa: Nullable(Text()), unit: Text(40), identified: Type.Boolean() },
  { title: 'ResourceKind' },
)

export const PoolJson = Shape(
  {
    id: NumberId,
    kind: Code,
    unit: Text(40),
    name: Text(),
    identified: Type.Boolean(),
    oversubscription: Type.Number(),
    open: Type.Number({ description: 'Open now, with oversubscription.' }),
    planned: Type.Number({ description: 'Of steps that do not count yet.' }),
    firm: Type.Number(),
    standby: Type.Number(),
    held: Type.Number(),
    free: Type.Number({ description: 'Free now, after what is promised as standby.' }),
  },
  { title: 'Pool' },
)

const SiteStepJson = Shape({
  label: Type.Optional(Text()),
  effectiveAt: OpenInstant,
  state: OneOf(STEP_STATES),
  quantities: Type.Record(Type.String(), Type.Number()),
})

const Latitude = Type.Number({ minimum: -90, maximum: 90 })
const Longitude = Type.Number({ minimum: -180, maximum: 180 })
const CoveredFailures = Type.Integer({
  minimum: 1,
  maximum: LIMITS.simultaneousFailures,
  description: 'Simultaneous site failures that standby kept at this site covers.',
})

const SiteJson = Shape(
  {
    id: NumberId,
    code: Code,
    name: Text(),
    nameJa: Nullable(Text()),
    address: Nullable(Text(500)),
    latitude: Nullable(Latitude),
    longitude: Nullable(Longitude),
    timeZone: Text(60),
    coveredFailures: CoveredFailures,
    failedAt: OpenInstant,
    floor: Nullable(Json),
    version: Type.Integer(),
    pools: Type.Array(PoolJson),
    steps: Type.Array(SiteStepJson),
  },
  { title: 'Site' },
)

const SITE_FIELDS = {
  nameJa: Type.Optional(Nullable(Text())),
  address: Type.Optional(Nullable(Text(500))),
  latitude: Type.Optional(Nullable(Latitude)),
  longitude: Type.Optional(Nullable(Longitude)),
  timeZone: Type.Optional(TIME_ZONES),
  coveredFailures: Type.Optional(CoveredFailures),
  floor: Type.Optional(Nullable(Json)),
}

const Place = Nullable(Type.Number({ minimum: -100_000, maximum: 100_000, description: 'Metres on the floor plan.' }))

const RackJson = Shape(
  {
    id: NumberId,
    name: Text(),
    poolId: NumberId,
    kind: Code,
    faultDomain: Nullable(Text(100)),
    slots: Type.Integer(),
    slotLabels: Nullable(Type.Array(Text(60))),
    x: Place,
    y: Place,
    width: Place,
    depth: Place,
    opensAt: OpenInstant,
    assignments: Type.Array(
      Shape({
        claimId: Id,
        partyId: Id,
        partyName: Nullable(Text()),
        serviceName: Nullable(Text()),
        from: OpenInstant,
        to: OpenInstant,
        start: Type.Integer(),
        length: Type.Integer(),
      }),
    ),
  },
  { title: 'Rack' },
)

const SiteParams = Shape({ site: Code })

/** An instant for the API; null also stands for the beginning of time. */
const shown = (instant: number): string | null => (Number.isFinite(instant) ? toIso(instant) : null)

export async function siteByCode(sql: Sql, code: string): Promise<SiteRow> {
  const site = await findSite(sql, code)
  if (!site) throw new NotFound('site', code)
  return site
}

export function siteRoutes(app: App, { database, capacity, clock }: Platform): void {
  const asOwner = <T>(work: (sql: Sql) => Promise<T>): Promise<T> => work(database)

  /** Sites with what the asker may see of them. What is free is asked of the engine once no connection is held. */
  async function siteJson(
    read: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>,
    find: (sql: Sql) => Promise<SiteRow[]>,
  ): Promise<Static<typeof SiteJson>[]> {
    const now = clock()
    const { sites, pools, steps } = await read(async (sql) => {
      const found = await find(sql)
      const ids = found.map(({ id }) => id)
      return { sites: found, pools: await poolsOfSites(sql, ids, now), steps: await stepsOfSites(sql, ids) }
    })
    const available = await capacity.availability(
      sites.map(({ id }) => id),
      now,
      now + 1,
    )
    const free = new Map(available.map((pool) => [pool.poolId, pool.free]))
    return sites.map(({ failedAt, ...site }) => ({
      ...site,
      failedAt: failedAt === null ? null : toIso(failedAt),
      floor: site.floor as Record<string, unknown> | null,
      pools: pools
        .filter(({ siteId }) => siteId === site.id)
        .map(({ siteId: _, ...pool }) => ({
          ...pool,
          open: unitsFromQuantity(pool.open),
          planned: unitsFromQuantity(pool.planned),
          firm: unitsFromQuantity(pool.firm),
          standby: unitsFromQuantity(pool.standby),
          held: unitsFromQuantity(pool.held),
          free: unitsFromQuantity(free.get(pool.id) ?? 0),
        })),
      steps: steps
        .filter(({ siteId }) => siteId === site.id)
        .map(({ note, effectiveAt, state, quantities }) => ({
          ...(note === null ? {} : { label: note }),
          effectiveAt: shown(effectiveAt),
          state,
          quantities: Object.fromEntries(
            Object.entries(quantities).map(([kind, quantity]) => [kind, unitsFromQuantity(quantity)]),
          ),
        })),
    }))
  }

  app.get(
    '/resource-kinds',
    {
      config: { access: { scope: 'capacity' } },
      schema: { tags: ['capacity'], summary: 'Kinds of capacity', response: { 200: Page(KindJson) } },
    },
    async (request) => ({ items: await request.tenant(listKinds), next: null }),
  )

  app.post(
    '/resource-kinds',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Define a kind of capacity',
        body: Shape({
          code: Code,
          name: Text(),
          nameJa: Type.Optional(Nullable(Text())),
          unit: Text(40),
          identified: Type.Optional(
            Type.Boolean({ description: 'Units are assigned one by one: rack units, seats, ports.' }),
          ),
        }),
        response: { 201: KindJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      await createKind(capacity, body, { actor: principal.actor, partyId: principal.partyId })
      return reply.code(201).send({ ...body, nameJa: body.nameJa ?? null, identified: body.identified ?? false })
    },
  )

  app.get(
    '/sites',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'Sites with their pools and steps',
        querystring: Shape(PageQuery),
        response: { 200: Page(SiteJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q } = request.query
      const after = cursorKey(cursor, ['number']) as [number] | null
      let next: string | null = null
      const items = await siteJson(request.tenant.bind(request), async (sql) => {
        const rows = await listSites(sql, { like: likePattern(q), after: after?.[0] ?? null, limit: limit + 1 })
        const shownSites = page(
          rows,
          limit,
          (site) => [site.id],
          (site) => site,
        )
        next = shownSites.next
        return shownSites.items
      })
      return { items, next }
    },
  )

  app.get(
    '/sites/:site',
    {
      config: { access: { scope: 'capacity' } },
      schema: { tags: ['capacity'], summary: 'One site', params: SiteParams, response: { 200: SiteJson } },
    },
    async (request, reply) => {
      const [site] = await siteJson(request.tenant.bind(request), async (sql) => [
        await siteByCode(sql, request.params.site),
      ])
      tag(reply, site!.version)
      return site!
    },
  )

  app.post(
    '/sites',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Add a site',
        body: Shape({ code: Code, name: Text(), ...SITE_FIELDS }),
        response: { 201: SiteJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      await createSite(capacity, body, { actor: principal.actor, partyId: principal.partyId })
      const [site] = await siteJson(asOwner, async (sql) => [await siteByCode(sql, body.code)])
      tag(reply, site!.version)
      return reply.code(201).send(site!)
    },
  )

  app.patch(
    '/sites/:site',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Change a site',
        params: SiteParams,
        body: Shape({ name: Type.Optional(Text()), ...SITE_FIELDS }),
        response: { 200: SiteJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      const { id } = await siteByCode(database, request.params.site)
      await changeSite(capacity, id, body, request.ifMatch(), { actor: principal.actor, partyId: principal.partyId })
      const [site] = await siteJson(asOwner, async (sql) => [await siteByCode(sql, request.params.site)])
      tag(reply, site!.version)
      return site!
    },
  )

  app.get(
    '/sites/:site/racks',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'Racks, rooms and panels with what is assigned in them, as far as you may see',
        params: SiteParams,
        querystring: Shape({ ...PageQuery, kind: Type.Optional(Code), at: Type.Optional(Instant) }),
        response: { 200: Page(RackJson) },
      },
    },
    async (request) => {
      const { limit, cursor, kind, at } = request.query
      const after = cursorKey(cursor, ['number']) as [number] | null
      return request.tenant(async (sql) => {
        const site = await siteByCode(sql, request.params.site)
        const rows = await containersOfSite(sql, site.id, {
          kind: kind ?? null,
          after: after?.[0] ?? null,
          limit: limit + 1,
        })
        const assigned = Map.groupBy(
          await assignmentsIn(
            sql,
            rows.map(({ id }) => id),
            at === undefined ? clock() : fromIso(at),
          ),
          ({ containerId }) => containerId,
        )
        return page(
          rows,
          limit,
          ({ id }) => [id],
          (row) => ({
            ...row,
            opensAt: shown(row.opensAt),
            assignments: (assigned.get(row.id) ?? []).map(({ containerId: _, from, to, ...rest }) => ({
              ...rest,
              from: shown(from),
              to: shown(to),
            })),
          }),
        )
      })
    },
  )

  app.post(
    '/sites/:site/racks',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Add a rack, room or panel',
        params: SiteParams,
        body: Shape({
          kind: Code,
          name: Text(100),
          slots: Type.Integer({ minimum: 1, maximum: 10_000 }),
          faultDomain: Type.Optional(Nullable(Text(100))),
          slotLabels: Type.Optional(Nullable(Type.Array(Text(60), { maxItems: 10_000 }))),
          x: Type.Optional(Place),
          y: Type.Optional(Place),
          width: Type.Optional(Place),
          depth: Type.Optional(Place),
          opensAt: Type.Optional(OpenInstant),
          addsCapacity: Type.Optional(
            Type.Boolean({ description: "Adds its slots to the pool's capacity as an open step of its own." }),
          ),
        }),
        response: { 201: RackJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      const site = await siteByCode(database, request.params.site)
      const opensAt = body.opensAt ? fromIso(body.opensAt) : Number.NEGATIVE_INFINITY
      const [id] = await addContainers(capacity, [{ ...body, siteId: site.id, opensAt }], {
        actor: principal.actor,
        partyId: principal.partyId,
      })
      const [row] = await containersOfSite(database, site.id, { kind: body.kind, after: id! - 1, limit: 1 })
      return reply.code(201).send({ ...row!, opensAt: shown(row!.opensAt), assignments: [] })
    },
  )

  app.get(
    '/availability',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'What a site can give over an interval',
        querystring: Shape({ site: Code, from: Type.Optional(Instant), to: Type.Optional(Instant) }),
        response: {
          200: Shape({
            site: Code,
            from: Instant,
            to: OpenInstant,
            pools: Type.Array(
              Shape({
                kind: Code,
                unit: Text(40),
                free: Type.Number(),
                open: Type.Number(),
                largestRun: Type.Optional(Type.Integer({ description: 'Longest run of free slots.' })),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { site: code } = request.query
      const from = request.query.from === undefined ? clock() : fromIso(request.query.from)
      const to = fromIso(request.query.to)
      checkInterval({ from, to }, clock())
      const { site, units } = await request.tenant(async (sql) => ({
        site: await siteByCode(sql, code),
        units: new Map((await listKinds(sql)).map((kind) => [kind.code, kind.unit])),
      }))
      const pools = await capacity.availability(site.id, from, to)
      return {
        site: code,
        from: toIso(from)!,
        to: toIso(to),
        pools: pools.map(({ kind, free, open, largestRun }) => ({
          kind,
          unit: units.get(kind) ?? '',
          free: unitsFromQuantity(free),
          open: unitsFromQuantity(open),
          ...(largestRun === null ? {} : { largestRun }),
        })),
      }
    },
  )
}
