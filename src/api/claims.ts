/**
 * `/claims` and `/quotas`. A claim takes capacity without an order: for the operator's own needs and its staff's work on
 * behalf of a party. Customers order services instead, whose claims they see here. An `Idempotency-Key` is kept with the
 * claim itself, in the transaction of the decision.
 */
import Type, { type Static } from 'typebox'
import { listClaims, type ShownClaim } from '../capacity/claim-list.ts'
import type { ClaimLine, ClaimOutcome, ClaimRequest } from '../capacity/model.ts'
import { putQuota, removeQuota } from '../capacity/quotas.ts'
import type { Registry } from '../capacity/registry.ts'
import { findSite, listQuotas } from '../capacity/store.ts'
import { BadInput, NotAllowed, NotFound } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { quantityFromUnits, unitsFromQuantity } from '../core/quantity.ts'
import { fromIso, MINUTE_MS, toIso } from '../core/time.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { idempotencyKey } from './idempotency.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import { TIME_ZONES } from './parties.ts'
import type { Platform } from './platform.ts'
import {
  Code,
  Id,
  Instant,
  Nullable,
  NumberId,
  OneOf,
  OpenInstant,
  Page,
  PageQuery,
  PartyRef,
  Shape,
  Text,
  Units,
} from './schemas.ts'
import { OPERATES, siteByCode } from './sites.ts'

const CLAIM_STATES = ['active', 'held', 'waiting', 'released', 'expired', 'cancelled'] as const
/** How far back a claim may begin: clocks differ, and requests take time. */
const BACKDATED_MS = 5 * MINUTE_MS

const LineBody = Shape({
  site: Code,
  kind: Code,
  quantity: Units,
  type: Type.Optional(OneOf(['firm', 'standby'])),
  protects: Type.Optional(Code),
  items: Type.Optional(
    Type.Array(
      Shape({
        container: Type.Optional(NumberId),
        start: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
      }),
      { maxItems: 1, description: 'Where the run of slots is wanted; best fit otherwise.' },
    ),
  ),
})

const PlacementBody = Shape({
  scope: OneOf(['site', 'fault-domain', 'container']),
  claims: Type.Optional(Type.Array(Id, { maxItems: 100, description: "The party's other claims if left out." })),
})

const ClaimBody = Shape({
  party: Type.Optional(PartyRef),
  from: Type.Optional(Instant),
  to: Type.Optional(OpenInstant),
  lines: Type.Array(LineBody, { minItems: 1, maxItems: LIMITS.claimLines }),
  hold: Type.Optional(
    Shape({ until: Instant }, { description: 'Only holds the capacity, until then or until converted.' }),
  ),
  wait: Type.Optional(Shape({ until: Instant }, { description: 'Joins the wait list when it does not fit now.' })),
  recurrence: Type.Optional(
    Shape({
      weekdays: Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), { minItems: 1, maxItems: 7 }),
      startTime: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', maxLength: 5 }),
      endTime: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', maxLength: 5 }),
      timeZone: Type.Optional(TIME_ZONES),
    }),
  ),
  affinity: Type.Optional(PlacementBody),
  antiAffinity: Type.Optional(PlacementBody),
})

const ClaimJson = Shape(
  {
    id: Id,
    partyId: Id,
    partyName: Type.Optional(Text()),
    state: OneOf(CLAIM_STATES),
    from: Instant,
    to: OpenInstant,
    expiresAt: OpenInstant,
    version: Type.Integer(),
    lines: Type.Array(
      Shape({
        line: Type.Integer(),
        site: Code,
        kind: Code,
        unit: Text(40),
        quantity: Type.Number(),
        type: OneOf(['firm', 'standby', 'hold']),
        from: Instant,
        to: OpenInstant,
        protects: Nullable(Code),
        unprotected: Type.Boolean(),
        assignments: Type.Array(
          Shape({ container: Text(100), containerId: NumberId, start: Type.Integer(), length: Type.Integer() }),
        ),
      }),
    ),
  },
  { title: 'Claim' },
)

const QuotaJson = Shape(
  {
    party: PartyRef,
    kind: Code,
    unit: Text(40),
    site: Nullable(Code),
    quantity: Units,
    used: Units,
  },
  { title: 'Quota' },
)

const ClaimParams = Shape({ claim: Id })

/** A claim as it was answered, from what the engine says: the hot path reads nothing from the database again. */
function outcomeJson(registry: Registry, claim: ClaimOutcome): Static<typeof ClaimJson> {
  const code = (siteId: number) => registry.sites.get(siteId)?.code ?? ''
  return {
    id: claim.id,
    partyId: claim.partyId,
    state: claim.state,
    from: toIso(claim.from)!,
    to: toIso(claim.to),
    expiresAt: claim.expiresAt === null ? null : toIso(claim.expiresAt),
    version: claim.version,
    lines: claim.lines.map((line) => ({
      line: line.line,
      site: code(line.siteId),
      kind: line.kind,
      unit: registry.pools.get(line.poolId)?.unit ?? '',
      quantity: unitsFromQuantity(line.quantity),
      type: line.type,
      from: toIso(line.from)!,
      to: toIso(line.to),
      protects: line.protectsSiteId === null ? null : code(line.protectsSiteId),
      unprotected: false,
      assignments:
        line.assignment === null
          ? []
          : [
              {
                container: line.assignment.containerName,
                containerId: line.assignment.containerId,
                start: line.assignment.start,
                length: line.assignment.length,
              },
            ],
    })),
  }
}

const claimJson = (claim: ShownClaim): Static<typeof ClaimJson> => ({
  id: claim.id,
  partyId: claim.partyId,
  partyName: claim.partyName,
  state: claim.state,
  from: toIso(claim.from)!,
  to: toIso(claim.to),
  expiresAt: claim.expiresAt === null ? null : toIso(claim.expiresAt),
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
        : [{ container: line.container!, containerId: line.containerId, start: line.start!, length: line.length! }],
  })),
})

export function claimRoutes(app: App, { database, capacity, clock }: Platform): void {
  /** Lines of a body: sites by code to ids, units to thousandths. */
  async function linesFrom(lines: readonly Static<typeof LineBody>[]): Promise<ClaimLine[]> {
    const siteId = async (code: string, at: string) => {
      const known = capacity.registry.siteByCode(code) ?? (await findSite(database, code))
      if (!known) throw new BadInput(at, `${code} is not a site`, 'the code of a site')
      return known.id
    }
    const found: ClaimLine[] = []
    for (const [index, line] of lines.entries()) {
      const at = `/lines/${index}`
      found.push({
        siteId: await siteId(line.site, `${at}/site`),
        kind: line.kind,
        quantity: quantityFromUnits(line.quantity, `${at}/quantity`),
        type: line.type ?? 'firm',
        protectsSiteId: line.protects === undefined ? null : await siteId(line.protects, `${at}/protects`),
        containerId: line.items?.[0]?.container,
        start: line.items?.[0]?.start,
      })
    }
    return found
  }

  function fromBody(from: string | undefined, now: number): number {
    if (from === undefined) return now
    const at = fromIso(from)
    if (at < now - BACKDATED_MS) throw new BadInput('/from', 'it is in the past', 'an instant from now on')
    return at
  }

  app.post(
    '/claims',
    {
      config: { access: OPERATES, idempotency: 'own' },
      schema: {
        tags: ['capacity'],
        summary: 'Take capacity, all lines or none',
        body: ClaimBody,
        response: { 201: ClaimJson },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      const now = clock()
      const key = idempotencyKey(request)
      const partyId = body.party === undefined ? principal.partyId : (await request.visibleParty(body.party)).id
      const asked: ClaimRequest = {
        partyId,
        from: fromBody(body.from, now),
        to: fromIso(body.to),
        lines: await linesFrom(body.lines),
        mode: body.hold ? 'hold' : 'firm',
        holdUntil: body.hold ? fromIso(body.hold.until) : undefined,
        waitUntil: body.wait ? fromIso(body.wait.until) : undefined,
        recurrence: body.recurrence,
        affinity: body.affinity,
        antiAffinity: body.antiAffinity,
        idempotencyKey: key,
        fingerprint: key === undefined ? undefined : JSON.stringify(body),
        actor: principal.actor,
      }
      const claim = await capacity.claim(asked)
      tag(reply, claim.version)
      if (claim.repeated) reply.header('idempotency-replayed', 'true')
      return reply.code(201).send(outcomeJson(capacity.registry, claim))
    },
  )

  app.get(
    '/claims',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'Claims, the latest first',
        querystring: Shape({
          ...PageQuery,
          state: Type.Optional(OneOf(CLAIM_STATES)),
          party: Type.Optional(PartyRef),
          site: Type.Optional(Code),
        }),
        response: { 200: Page(ClaimJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, state, party, site } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant(async (sql) =>
        listClaims(sql, {
          state: state ?? null,
          partyId,
          siteId: site === undefined ? null : (await siteByCode(sql, site)).id,
          like: likePattern(q),
          after: after?.[0] ?? null,
          limit: limit + 1,
          now: clock(),
        }),
      )
      return page(rows, limit, ({ id }) => [id], claimJson)
    },
  )

  app.get(
    '/claims/:claim',
    {
      config: { access: { scope: 'capacity' } },
      schema: { tags: ['capacity'], summary: 'One claim', params: ClaimParams, response: { 200: ClaimJson } },
    },
    async (request, reply) => {
      const { claim: id } = request.params
      const [claim] = await request.tenant((sql) => listClaims(sql, { ids: [id], limit: 1, now: clock() }))
      if (!claim) throw new NotFound('claim', id)
      tag(reply, claim.version)
      return claimJson(claim)
    },
  )

  app.patch(
    '/claims/:claim',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Grow, shrink, move or extend a claim, now or on a date',
        params: ClaimParams,
        body: Shape({
          at: Type.Optional(Instant),
          to: Type.Optional(OpenInstant),
          lines: Type.Optional(Type.Array(LineBody, { minItems: 1, maxItems: LIMITS.claimLines })),
        }),
        response: { 200: ClaimJson },
      },
    },
    async (request, reply) => {
      const { at, to, lines } = request.body
      const claim = await capacity.change({
        claimId: request.params.claim,
        at: at === undefined ? undefined : fromIso(at),
        to: to === undefined ? undefined : fromIso(to),
        lines: lines === undefined ? undefined : await linesFrom(lines),
        expectedVersion: request.ifMatch() ?? undefined,
        actor: request.principal.actor,
      })
      tag(reply, claim.version)
      return outcomeJson(capacity.registry, claim)
    },
  )

  app.post(
    '/claims/:claim/release',
    {
      config: { access: OPERATES },
      schema: {
        tags: ['capacity'],
        summary: 'Give a claim back, now or on a date',
        params: ClaimParams,
        body: Shape({ at: Type.Optional(Instant) }),
        response: { 200: ClaimJson },
      },
    },
    async (request, reply) => {
      const at = request.body.at === undefined ? clock() : fromIso(request.body.at)
      const claim = await capacity.release(request.params.claim, at, request.principal.actor, {
        expectedVersion: request.ifMatch() ?? undefined,
      })
      tag(reply, claim.version)
      return outcomeJson(capacity.registry, claim)
    },
  )

  app.post(
    '/claims/:claim/convert',
    {
      config: { access: OPERATES },
      schema: { tags: ['capacity'], summary: 'Make a hold firm', params: ClaimParams, response: { 200: ClaimJson } },
    },
    async (request, reply) => {
      const claim = await capacity.convert(request.params.claim, request.principal.actor, {
        expectedVersion: request.ifMatch() ?? undefined,
      })
      tag(reply, claim.version)
      return outcomeJson(capacity.registry, claim)
    },
  )

  app.get(
    '/quotas',
    {
      config: { access: { scope: 'capacity' } },
      schema: {
        tags: ['capacity'],
        summary: 'The most that parties may have of each kind',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor, party: Type.Optional(PartyRef) }),
        response: { 200: Page(QuotaJson) },
      },
    },
    async (request) => {
      const { limit, cursor, party } = request.query
      const after = cursorKey(cursor, ['number']) as [number] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listQuotas(sql, { partyId, after: after?.[0] ?? null, limit: limit + 1, now: clock() }),
      )
      return page(
        rows,
        limit,
        ({ id }) => [id],
        (row) => ({
          party: row.partyCode,
          kind: row.kind,
          unit: row.unit,
          site: row.siteCode,
          quantity: unitsFromQuantity(row.quantity),
          used: unitsFromQuantity(row.used),
        }),
      )
    },
  )

  /** Quotas bind a party; those above it set them, the operator also its own. */
  const QUOTA_ACCESS = { scope: 'capacity', parties: ['operator', 'reseller'], roles: ['owner', 'engineer'] } as const
  async function bound(request: { principal: { partyId: string; partyKind: string } }, partyId: string): Promise<void> {
    if (partyId === request.principal.partyId && request.principal.partyKind !== 'operator')
      throw new NotAllowed('A quota is set by the parties above the one it binds.')
  }

  app.put(
    '/quotas',
    {
      config: { access: QUOTA_ACCESS },
      schema: {
        tags: ['capacity'],
        summary: 'Set a quota',
        body: Shape({ party: PartyRef, kind: Code, site: Type.Optional(Nullable(Code)), quantity: Units }),
        response: { 200: QuotaJson },
      },
    },
    async (request) => {
      const { principal, body } = request
      const party = await request.visibleParty(body.party)
      await bound(request, party.id)
      const siteId = body.site == null ? null : (await siteByCode(database, body.site)).id
      const poolId = await putQuota(
        capacity,
        { partyId: party.id, kind: body.kind, siteId },
        quantityFromUnits(body.quantity),
        { actor: principal.actor, partyId: principal.partyId },
      )
      const [row] = await listQuotas(database, { partyId: party.id, after: poolId - 1, limit: 1, now: clock() })
      return {
        party: row!.partyCode,
        kind: row!.kind,
        unit: row!.unit,
        site: row!.siteCode,
        quantity: unitsFromQuantity(row!.quantity),
        used: unitsFromQuantity(row!.used),
      }
    },
  )

  app.delete(
    '/quotas',
    {
      config: { access: QUOTA_ACCESS },
      schema: {
        tags: ['capacity'],
        summary: 'Withdraw a quota',
        querystring: Shape({ party: PartyRef, kind: Code, site: Type.Optional(Code) }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { principal, query } = request
      const party = await request.visibleParty(query.party)
      await bound(request, party.id)
      const siteId = query.site === undefined ? null : (await siteByCode(database, query.site)).id
      await removeQuota(
        capacity,
        { partyId: party.id, kind: query.kind, siteId },
        { actor: principal.actor, partyId: principal.partyId },
      )
      return reply.code(204).send(null)
    },
  )
}
