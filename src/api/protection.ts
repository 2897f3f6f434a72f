/** `/protection`, `/sites/:site/fail-over` and `/fail-overs`: disaster recovery. */
import Type from 'typebox'
import { endFailOver, failOver } from '../capacity/fail-over.ts'
import { listFailOvers, standbyAtSites, unprotectedClaims, worstFailure } from '../capacity/protection.ts'
import { listSites } from '../capacity/store.ts'
import { LIMITS } from '../core/limits.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import { toIso } from '../core/time.ts'
import type { App } from './app.ts'
import { cursorKey, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Code, Id, Instant, Nullable, OneOf, OpenInstant, Page, PageQuery, Shape, Text } from './schemas.ts'
import { OPERATES, siteByCode } from './sites.ts'

const ProtectionJson = Shape({
  unprotected: Type.Array(
    Shape({
      claimId: Id,
      partyId: Id,
      partyName: Text(),
      serviceId: Nullable(Id),
      serviceName: Nullable(Text()),
      site: Code,
      reason: OneOf(['no-standby', 'not-honoured']),
    }),
    {
      description: `At most ${LIMITS.pageItems}; standby that cannot be honoured comes last in the alphabet and first in importance.`,
    },
  ),
  sites: Type.Array(
    Shape({
      site: Code,
      name: Text(),
      failedAt: OpenInstant,
      protectedClaims: Type.Integer({ description: 'Claims that have standby here.' }),
      pools: Type.Array(
        Shape({
          kind: Code,
          unit: Text(40),
          standby: Type.Number({ description: 'All standby here, added up.' }),
          sum: Type.Number({ description: 'The same.' }),
          worstFailure: Type.Number({ description: 'What the worst failure covered would claim: this is kept free.' }),
          protects: Type.Record(Type.String(), Type.Number()),
        }),
      ),
    }),
  ),
})

const FailOverJson = Shape(
  {
    id: Id,
    site: Code,
    mode: OneOf(['drill', 'real']),
    state: OneOf(['active', 'ended']),
    startedAt: Instant,
    endedAt: OpenInstant,
    durationMs: Nullable(Type.Number()),
    activated: Type.Integer({ description: 'Claims whose standby became firm.' }),
    unprotected: Type.Integer({ description: 'Claims whose standby cannot be honoured meanwhile.' }),
    startedBy: Nullable(Text()),
  },
  { title: 'FailOver' },
)

export function protectionRoutes(app: App, { database, capacity, clock }: Platform): void {
  async function failOverJson(id: string) {
    const [row] = await listFailOvers(database, { id, after: null, limit: 1 })
    return shown(row!)
  }

  app.get(
    '/protection',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'What is protected where, and what is not',
        response: { 200: ProtectionJson },
      },
    },
    async (request) =>
      request.tenant(async (sql) => {
        const now = clock()
        const standby = Map.groupBy(await standbyAtSites(sql, now), ({ site }) => site)
        const sites = await listSites(sql, { like: null, after: null, limit: LIMITS.pageItems })
        return {
          unprotected: await unprotectedClaims(sql, now, LIMITS.pageItems),
          sites: sites.map(({ code, name, failedAt }) => {
            const rows = standby.get(code) ?? []
            return {
              site: code,
              name,
              failedAt: failedAt === null ? null : toIso(failedAt),
              protectedClaims: rows.reduce((most, row) => Math.max(most, row.claims), 0),
              pools: rows.map((row) => {
                const sum = Object.values(row.demands).reduce((total, amount) => total + amount, 0)
                return {
                  kind: row.kind,
                  unit: row.unit,
                  standby: unitsFromQuantity(sum),
                  sum: unitsFromQuantity(sum),
                  worstFailure: unitsFromQuantity(worstFailure(row)),
                  protects: Object.fromEntries(
                    Object.entries(row.demands).map(([site, amount]) => [site, unitsFromQuantity(amount)]),
                  ),
                }
              }),
            }
          }),
        }
      }),
  )

  app.get(
    '/fail-overs',
    {
      config: { access: { scope: 'capacity', parties: ['operator'] } },
      schema: {
        tags: ['capacity'],
        summary: 'Fail-overs and drills, the latest first',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: { 200: Page(FailOverJson) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const rows = await request.tenant((sql) =>
        listFailOvers(sql, { id: null, after: after?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, ({ id }) => [id], shown)
    },
  )

  app.post(
    '/sites/:site/fail-over',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Turn the standby of a site into firm: a drill, or because it has failed',
        params: Shape({ site: Code }),
        body: Shape({ mode: OneOf(['drill', 'real']) }),
        response: { 201: FailOverJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      const site = await siteByCode(database, request.params.site)
      const started = await failOver(capacity, site.id, body.mode, {
        actor: principal.actor,
        partyId: principal.partyId,
      })
      return reply.code(201).send(await failOverJson(started.id))
    },
  )

  app.post(
    '/fail-overs/:failOver/end',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Fail back: what became firm is standby again',
        params: Shape({ failOver: Id }),
        response: { 200: FailOverJson },
      },
    },
    async (request) => {
      const { principal } = request
      const ended = await endFailOver(capacity, request.params.failOver, {
        actor: principal.actor,
        partyId: principal.partyId,
      })
      return failOverJson(ended.id)
    },
  )
}

const shown = (row: Awaited<ReturnType<typeof listFailOvers>>[number]) => ({
  ...row,
  startedAt: toIso(row.startedAt)!,
  endedAt: row.endedAt === null ? null : toIso(row.endedAt),
})
