/** `/cdn`: properties, their versions and certificates, purges, warm-ups, and what they were asked for. */
import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { BadInput, NotFound, WrongState } from '../core/errors.ts'
import { fromIso, HOUR_MS, toIso } from '../core/time.ts'
import { PROPERTY_RULES } from '../families.ts'
import { FEED_LIMITS, type PurgeOrder } from '../feed/messages.ts'
import { type Confirmation, confirmationsOf, waitForConfirmation } from '../nodes/confirm.ts'
import { feedOf } from '../nodes/feed.ts'
import { toldNodes } from '../nodes/store.ts'
import { activateVersion, addCertificate, draftVersion, removeCertificate } from '../services/families/cdn/activate.ts'
import { faultsOf } from '../services/families/cdn/check.ts'
import { differences } from '../services/families/cdn/diff.ts'
import { liveOf, percentile95 } from '../services/families/cdn/live.ts'
import { findPurge, listPurges, type Purge, PurgeDesk } from '../services/families/cdn/purge.ts'
import { findRouting, setRouting, targetOf } from '../services/families/cdn/routing.ts'
import {
  type Certificate,
  findProperty,
  findVersion,
  listCertificates,
  listProperties,
  listVersions,
  PROPERTY_STATES,
  type Property,
  propertyOfHost,
  type Version,
  versionBefore,
} from '../services/families/cdn/store.ts'
import { edgeUsage, MAX_SLOTS, SLOT_MS } from '../usage/edge-slots.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { idempotencyKey } from './idempotency.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  FieldProblemJson,
  Id,
  Instant,
  Json,
  Nullable,
  OneOf,
  Page,
  PageQuery,
  PartyRef,
  Shape,
  Text,
} from './schemas.ts'

const LOOK = { scope: 'cdn' } as const
const CHANGE = { scope: 'cdn', roles: ['owner', 'engineer'] } as const

const DEFAULT_WAIT_SECONDS = 5
const MAX_WAIT_SECONDS = 60
const WaitSeconds = Type.Optional(
  Type.Number({
    minimum: 0,
    maximum: MAX_WAIT_SECONDS,
    description: `How long to wait for every edge; ${DEFAULT_WAIT_SECONDS} seconds unless said.`,
  }),
)

const ConfirmationsJson = {
  confirmed: Type.Integer({ description: 'Edges that have applied it.' }),
  of: Type.Integer({ description: 'Edges that are to apply it.' }),
  complete: Type.Boolean({ description: 'Whether all of them have.' }),
  confirmations: Type.Array(
    Shape({
      node: Text(63),
      site: Text(63),
      confirmedAt: Nullable(Instant),
      afterMilliseconds: Nullable(Type.Integer()),
      lastSeenAt: Nullable(Instant),
    }),
    { description: 'When each edge confirmed; null: it is still out.' },
  ),
}

const PropertyJson = Shape(
  {
    id: Id,
    partyId: Id,
    partyName: Text(),
    name: Text(63),
    edgeName: Text(63, { description: 'What edges and their logs call it.' }),
    hosts: Type.Array(Text(253)),
    target: Nullable(Text(255, { description: 'What the DNS records (CNAME) of the hosts are to point to.' })),
    sites: Nullable(Type.Array(Text(63), { description: 'null: everywhere.' })),
    state: OneOf(PROPERTY_STATES),
    problem: Nullable(Text(1_000)),
    activeVersion: Nullable(Type.Integer()),
    lastVersion: Type.Integer(),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Property' },
)

const VersionJson = Shape(
  {
    number: Type.Integer(),
    state: OneOf(['draft', 'active', 'past']),
    config: Json,
    note: Nullable(Text(500)),
    author: Text(),
    createdAt: Instant,
    activatedAt: Nullable(Instant),
  },
  { title: 'PropertyVersion' },
)

const CertificateJson = Shape(
  {
    id: Id,
    names: Type.Array(Text(253)),
    issuer: Text(500),
    notBefore: Instant,
    notAfter: Instant,
    source: OneOf(['own', 'acme']),
    createdAt: Instant,
  },
  { title: 'Certificate' },
)

const purgeFields = {
  id: Id,
  propertyId: Nullable(Id),
  kind: OneOf(['purge', 'preload']),
  request: Json,
  actorName: Nullable(Text()),
  at: Instant,
}
const PurgeJson = Shape(purgeFields, { title: 'Purge' })
const PurgeInFull = Shape({ ...purgeFields, ...ConfirmationsJson })

const Config = Type.Unsafe<Record<string, unknown>>({
  ...Json,
  description: 'The property in the words of the edge: docs/services/cdn-edge.md.',
})

const instant = (at: number | null) => (at === null ? null : toIso(at))
const propertyJson = (
  { siteIds: _, sequence: _sequence, ...property }: Property,
  zone: string | null,
): Static<typeof PropertyJson> => ({
  ...property,
  target: zone === null ? null : targetOf(property.edgeName, zone),
  createdAt: toIso(property.createdAt)!,
})
const versionJson = (
  { propertyId: _, sequence: _sequence, ...version }: Version,
  property: Property,
): Static<typeof VersionJson> => ({
  ...version,
  config: version.config as Record<string, unknown>,
  state: version.number === property.activeVersion ? 'active' : version.activatedAt === null ? 'draft' : 'past',
  createdAt: toIso(version.createdAt)!,
  activatedAt: instant(version.activatedAt),
})
const certificateJson = ({ propertyId: _, ...certificate }: Certificate): Static<typeof CertificateJson> => ({
  ...certificate,
  notBefore: toIso(certificate.notBefore)!,
  notAfter: toIso(certificate.notAfter)!,
  createdAt: toIso(certificate.createdAt)!,
})
const purgeJson = ({ partyId: _, sequence: _sequence, nodes: _nodes, ...purge }: Purge): Static<typeof PurgeJson> => ({
  ...purge,
  at: toIso(purge.at)!,
})
const confirmationsJson = (confirmations: readonly Confirmation[], since: number) => {
  const confirmed = confirmations.filter(({ confirmedAt }) => confirmedAt !== null).length
  return {
    confirmed,
    of: confirmations.length,
    complete: confirmed === confirmations.length,
    confirmations: confirmations.map(({ name, site, confirmedAt, lastSeenAt }) => ({
      node: name,
      site,
      confirmedAt: instant(confirmedAt),
      afterMilliseconds: confirmedAt === null ? null : Math.max(0, Math.round(confirmedAt - since)),
      lastSeenAt: instant(lastSeenAt),
    })),
  }
}

export function cdnRoutes(app: App, { database, clock }: Platform): void {
  const PropertyParams = Shape({ property: Id })
  const VersionParams = Shape({
    property: Id,
    versionNumber: Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'The number of the version.' }),
  })
  const purges = new PurgeDesk(database)

  /** Waits for all edges and says who has confirmed. */
  const confirmed = async (sequence: number, nodes: readonly string[], waitSeconds: number, since: number) => {
    if (waitSeconds > 0) await waitForConfirmation(feedOf(database).hub, database, sequence, nodes, waitSeconds * 1_000)
    return confirmationsJson(await confirmationsOf(database, sequence, nodes), since)
  }
  const zoneOf = async () => (await findRouting(database))?.deliveryZone ?? null
  const edgesOf = async (siteIds: readonly number[] | null) =>
    (await toldNodes(database, 'edge', siteIds)).map(({ id }) => id)

  app.get(
    '/cdn/properties',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'Properties, newest first',
        querystring: Shape({
          ...PageQuery,
          party: Type.Optional(PartyRef),
          state: Type.Optional(OneOf(PROPERTY_STATES)),
        }),
        response: { 200: Page(PropertyJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, party, state } = request.query
      const before = cursorKey(cursor, ['uuid']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listProperties(sql, {
          partyId,
          state: state ?? null,
          like: likePattern(q),
          before: before?.[0] ?? null,
          limit: limit + 1,
        }),
      )
      const zone = await zoneOf()
      return page(
        rows,
        limit,
        ({ id }) => [id],
        (property) => propertyJson(property, zone),
      )
    },
  )

  app.get(
    '/cdn/properties/:property',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'One property, and which edges serve its active version since when',
        params: PropertyParams,
        response: { 200: Shape({ ...PropertyJson.properties, ...ConfirmationsJson }) },
      },
    },
    async (request, reply) => {
      const { property, active } = await request.tenant(async (sql) => {
        const found = await findProperty(sql, request.params.property)
        const { activeVersion } = found
        return {
          property: found,
          active: activeVersion === null ? null : await findVersion(sql, found.id, activeVersion),
        }
      })
      tag(reply, property.version)
      const sequence = Number(property.sequence ?? 0)
      const confirmations =
        property.sequence === null ? [] : await confirmationsOf(database, sequence, await edgesOf(property.siteIds))
      return {
        ...propertyJson(property, await zoneOf()),
        ...confirmationsJson(confirmations, active?.activatedAt ?? property.createdAt),
      }
    },
  )

  app.post(
    '/cdn/check',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: "Whether a configuration is right, by the edge's own check; nothing is kept",
        body: Shape({ config: Config }),
        response: { 200: Shape({ ok: Type.Boolean(), faults: Type.Array(FieldProblemJson) }) },
      },
    },
    async (request) => {
      const faults = faultsOf(request.body.config, PROPERTY_RULES)
      return { ok: faults.length === 0, faults }
    },
  )

  app.get(
    '/cdn/properties/:property/versions',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'Versions of a property, newest first',
        params: PropertyParams,
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: { 200: Page(VersionJson) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const before = cursorKey(cursor, ['number']) as [number] | null
      return request.tenant(async (sql) => {
        const property = await findProperty(sql, request.params.property)
        const rows = await listVersions(sql, property.id, before?.[0] ?? null, limit + 1)
        return page(
          rows,
          limit,
          ({ number }) => [number],
          (version) => versionJson(version, property),
        )
      })
    },
  )

  app.post(
    '/cdn/properties/:property/versions',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: 'Keep a checked draft as the next version; edges do not see it yet',
        params: PropertyParams,
        body: Shape({ config: Config, note: Type.Optional(Text(500)) }),
        response: { 201: VersionJson },
      },
    },
    async (request, reply) => {
      const { config, note } = request.body
      const property = await request.tenant((sql) => findProperty(sql, request.params.property))
      const { actor } = request.principal
      const number = await draftVersion(database, property, config, {
        rules: PROPERTY_RULES,
        actor,
        note: note ?? null,
      })
      return reply.code(201).send(versionJson(await findVersion(database, property.id, number), property))
    },
  )

  app.get(
    '/cdn/properties/:property/versions/:versionNumber',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'One version, and what differs from another (the active one unless said)',
        params: VersionParams,
        querystring: Shape({
          against: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'The number to compare with.' }),
          ),
        }),
        response: {
          200: Shape({
            ...VersionJson.properties,
            against: Nullable(Type.Integer()),
            differences: Type.Array(
              Shape({
                at: Type.String(),
                before: Type.Optional(Type.Unsafe<unknown>({})),
                after: Type.Optional(Type.Unsafe<unknown>({})),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { property: id, versionNumber } = request.params
      return request.tenant(async (sql) => {
        const property = await findProperty(sql, id)
        const version = await findVersion(sql, id, versionNumber)
        const against = request.query.against ?? property.activeVersion
        const other = against === null ? null : await findVersion(sql, id, against)
        return {
          ...versionJson(version, property),
          against,
          differences: other ? differences(other.config, version.config) : [],
        }
      })
    },
  )

  const activate = async (
    property: Property,
    number: number,
    actor: Parameters<typeof activateVersion>[3]['actor'],
    waitSeconds: number,
  ) => {
    const since = clock()
    const sequence = await activateVersion(database, property.id, number, { rules: PROPERTY_RULES, actor, now: since })
    const waited = await confirmed(sequence, await edgesOf(property.siteIds), waitSeconds, since)
    const now = await findProperty(database, property.id)
    return { ...propertyJson(now, await zoneOf()), ...waited }
  }
  const Activated = Shape({ ...PropertyJson.properties, ...ConfirmationsJson })
  const WaitBody = Nullable(Shape({ waitSeconds: WaitSeconds }))

  app.post(
    '/cdn/properties/:property/versions/:versionNumber/activate',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: 'Bring a version into force on every edge, and say when each confirmed',
        params: VersionParams,
        body: WaitBody,
        response: { 200: Activated },
      },
    },
    async (request, reply) => {
      const { property: id, versionNumber } = request.params
      const property = await request.tenant((sql) => findProperty(sql, id))
      const answer = await activate(
        property,
        versionNumber,
        request.principal.actor,
        request.body?.waitSeconds ?? DEFAULT_WAIT_SECONDS,
      )
      tag(reply, answer.version)
      return answer
    },
  )

  app.post(
    '/cdn/properties/:property/roll-back',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: 'Bring the version back into force that was so before the present one',
        params: PropertyParams,
        body: WaitBody,
        response: { 200: Activated },
      },
    },
    async (request, reply) => {
      const { property, before } = await request.tenant(async (sql) => {
        const found = await findProperty(sql, request.params.property)
        return { property: found, before: await versionBefore(sql, found) }
      })
      if (!before) throw new WrongState('No version was in force before this one.')
      const answer = await activate(
        property,
        before.number,
        request.principal.actor,
        request.body?.waitSeconds ?? DEFAULT_WAIT_SECONDS,
      )
      tag(reply, answer.version)
      return answer
    },
  )

  app.get(
    '/cdn/properties/:property/certificates',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'Certificates of a property, without their keys',
        params: PropertyParams,
        response: { 200: Shape({ items: Type.Array(CertificateJson) }) },
      },
    },
    async (request) =>
      request.tenant(async (sql) => {
        const { id } = await findProperty(sql, request.params.property)
        return { items: (await listCertificates(sql, id)).map(certificateJson) }
      }),
  )

  app.post(
    '/cdn/properties/:property/certificates',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: 'Add a certificate with its key; edges get it at once, nobody sees the key again',
        params: PropertyParams,
        body: Shape({
          certificate: Type.String({ minLength: 1, maxLength: 65_536, description: 'PEM, the chain after it.' }),
          key: Type.String({
            minLength: 1,
            maxLength: 16_384,
            description: 'The private key, PEM, without a password.',
          }),
        }),
        response: { 201: CertificateJson },
      },
    },
    async (request, reply) => {
      const property = await request.tenant((sql) => findProperty(sql, request.params.property))
      const { certificate, key } = request.body
      const { id } = await addCertificate(
        database,
        property.id,
        { certificate, key, source: 'own' },
        { actor: request.principal.actor, now: clock() },
      )
      const added = (await listCertificates(database, property.id)).find((one) => one.id === id)!
      return reply.code(201).send(certificateJson(added))
    },
  )

  app.delete(
    '/cdn/properties/:property/certificates/:certificate',
    {
      config: { access: CHANGE },
      schema: {
        tags: ['cdn'],
        summary: 'Take a certificate from every edge',
        params: Shape({ property: Id, certificate: Id }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { id } = await request.tenant((sql) => findProperty(sql, request.params.property))
      await removeCertificate(database, id, request.params.certificate, request.principal.actor)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/cdn/properties/:property/usage',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary:
          'What a property was asked for, in slots of five minutes or longer; the last day unless said otherwise',
        params: PropertyParams,
        querystring: Shape({
          from: Type.Optional(Instant),
          to: Type.Optional(Instant),
          stepMinutes: Type.Integer({
            minimum: 5,
            maximum: 1_440,
            multipleOf: 5,
            default: 5,
            description: 'The length of a slot.',
          }),
          bySite: Type.Boolean({ default: false, description: 'A row for each site.' }),
        }),
        response: {
          200: Shape({
            from: Instant,
            to: Instant,
            p95BitsPerSecond: Type.Number({
              description: 'Nearest rank over all slots of five minutes, all sites together.',
            }),
            bytesOut: Type.Number(),
            requests: Type.Number(),
            items: Type.Array(
              Shape({
                slot: Instant,
                site: Nullable(Text(63)),
                requests: Type.Number(),
                bytesIn: Type.Number(),
                bytesOut: Type.Number(),
                bitsPerSecond: Type.Number(),
                peakBitsPerSecond: Type.Number(),
                byClass: Type.Array(Type.Number()),
                byResult: Type.Unsafe<Record<string, number>>({
                  type: 'object',
                  additionalProperties: { type: 'number' },
                }),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { from, to, stepMinutes, bySite } = request.query
      const till = to === undefined ? clock() : fromIso(to)
      const since = from === undefined ? till - 24 * HOUR_MS : fromIso(from)
      if (!(since < till)) throw new BadInput('/query/to', 'it is not after the start', 'a later instant')
      const stepMs = stepMinutes * 60_000
      if ((till - since) / SLOT_MS > MAX_SLOTS)
        throw new BadInput('/query/to', 'the interval is too long', `at most ${MAX_SLOTS} slots of five minutes`)
      const { fine, steps } = await request.tenant(async (sql) => {
        const { id } = await findProperty(sql, request.params.property)
        const span = { from: since, to: till }
        return {
          fine: await edgeUsage(sql, id, { ...span, stepMs: SLOT_MS, bySite: false }),
          steps: await edgeUsage(sql, id, { ...span, stepMs, bySite }),
        }
      })
      const rate = (bytes: number, milliseconds: number) => (bytes * 8) / (milliseconds / 1_000)
      return {
        from: toIso(since)!,
        to: toIso(till)!,
        p95BitsPerSecond: percentile95(
          fine.map(({ bytesOut }) => rate(bytesOut, SLOT_MS)),
          Math.ceil((till - since) / SLOT_MS),
        ),
        bytesOut: fine.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
        requests: fine.reduce((sum, { requests }) => sum + requests, 0),
        items: steps.map(({ slot, peakBytesOutPerSecond, ...row }) => ({
          ...row,
          slot: toIso(slot)!,
          bitsPerSecond: rate(row.bytesOut, stepMs),
          peakBitsPerSecond: peakBytesOutPerSecond * 8,
        })),
      }
    },
  )

  app.get(
    '/cdn/properties/:property/live',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'The open slot of five minutes so far, by edge, some ten seconds old',
        params: PropertyParams,
        response: {
          200: Shape({
            items: Type.Array(
              Shape({
                node: Text(63),
                site: Text(63),
                at: Instant,
                slot: Instant,
                requests: Type.Number(),
                bytesOut: Type.Number(),
                byClass: Type.Array(Type.Number()),
                byResult: Type.Unsafe<Record<string, number>>({
                  type: 'object',
                  additionalProperties: { type: 'number' },
                }),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const { edgeName } = await request.tenant((sql) => findProperty(sql, request.params.property))
      const rows = await liveOf(database, edgeName)
      return {
        items: rows.map(({ node, site, at, slot }) => ({
          node,
          site,
          at: toIso(at)!,
          slot: toIso(slot.from)!,
          requests: slot.requests,
          bytesOut: slot.bytesOut,
          byClass: [...slot.byClass],
          byResult: { ...slot.byResult },
        })),
      }
    },
  )

  const RoutingJson = Shape(
    { deliveryZone: Nullable(Text(253)), state: Json, version: Type.Integer() },
    { title: 'Routing' },
  )
  app.get(
    '/cdn/routing',
    {
      config: { access: { scope: 'cdn', parties: ['operator'] } },
      schema: { tags: ['cdn'], summary: 'How visitors are led to edges', response: { 200: RoutingJson } },
    },
    async (_request, reply) => {
      const routing = (await findRouting(database)) ?? { deliveryZone: null, state: {}, version: 0 }
      tag(reply, routing.version)
      return { ...routing, state: routing.state as Record<string, unknown> }
    },
  )

  app.put(
    '/cdn/routing',
    {
      config: { access: { ...CHANGE, parties: ['operator'] } },
      schema: {
        tags: ['cdn'],
        summary: 'Set zones, maps and settings of the request routers; every router is told at once',
        body: Shape({
          deliveryZone: Type.String({
            pattern: '^[a-z0-9_-]{1,63}(\\.[a-z0-9_-]{1,63}){1,8}$',
            maxLength: 253,
            description: 'The zone in which properties get their names.',
            examples: ['cdn.example.net'],
          }),
          state: Type.Unsafe<Record<string, unknown>>({
            ...Json,
            description: 'zones, maps and settings, as in docs/services/dns.md.',
          }),
        }),
        response: { 200: RoutingJson },
      },
    },
    async (request, reply) => {
      const { actor, partyId } = request.principal
      const { deliveryZone, state } = request.body
      const routing = await setRouting(database, deliveryZone, state, { version: request.ifMatch(), actor, partyId })
      tag(reply, routing.version)
      return { ...routing, state: routing.state as Record<string, unknown> }
    },
  )

  const Url = (description: string) =>
    Type.String({ minLength: 1, maxLength: 8_192, description, examples: ['https://www.shop.example/'] })

  app.post(
    '/cdn/purges',
    {
      config: { access: CHANGE, idempotency: 'own' },
      schema: {
        tags: ['cdn'],
        summary: 'Purge what edges have stored, and say when each confirmed',
        description:
          'One of url, prefix, tag and all; tag and all name the property. Waits until every edge has confirmed or the time is over, and then says which are still out; an edge that was away applies what it missed before it serves again.',
        body: Shape({
          url: Type.Optional(Url('One address, with all its variants.')),
          prefix: Type.Optional(Url('All under a path: www.shop.example/img/.')),
          tag: Type.Optional(Text(1_024, { description: 'All with this Cache-Tag or Surrogate-Key.' })),
          property: Type.Optional(Id),
          all: Type.Optional(Type.Boolean({ description: 'Everything of the property.' })),
          soft: Type.Optional(
            Type.Boolean({ description: 'Mark as stale: it may be served while it is fetched anew.' }),
          ),
          waitSeconds: WaitSeconds,
        }),
        response: { 200: PurgeInFull },
      },
    },
    async (request) => {
      const { waitSeconds = DEFAULT_WAIT_SECONDS, soft = false, ...asked } = request.body
      const { url, prefix, tag: tagged, all } = asked
      if ([url, prefix, tagged, all || undefined].filter((each) => each !== undefined).length !== 1)
        throw new BadInput('/', 'it does not say one thing to purge', 'one of url, prefix, tag and all: true')
      const property = await request.tenant((sql) => {
        if (asked.property !== undefined) return findProperty(sql, asked.property)
        const host = hostOf(url ?? prefix)
        if (host === null)
          throw new BadInput('/property', 'it is missing', 'the property whose tag, or all of which, is to be purged')
        return requireHost(sql, host)
      })
      const host = hostOf(url ?? prefix)
      if (host !== null && asked.property !== undefined) {
        const owner = await request.tenant((sql) => requireHost(sql, host))
        if (owner.id !== property.id) throw new BadInput('/property', `it does not serve ${host}`, owner.id)
      }
      const order: PurgeOrder = {
        ...(url !== undefined
          ? { url: withScheme(url) }
          : prefix !== undefined
            ? { prefix: prefix.replace(/^https?:\/\//i, '') }
            : tagged !== undefined
              ? { tag: tagged, property: property.edgeName }
              : { property: property.edgeName }),
        ...(soft ? { soft } : {}),
      }
      const purge = await purges.submit({
        ...who(request),
        property,
        order: { kind: 'purge', order },
        request: { ...asked, ...(soft ? { soft } : {}) },
        idempotencyKey: idempotencyKey(request) ?? null,
        requestHash: hashOf(request.url, request.body),
      })
      return { ...purgeJson(purge), ...(await confirmed(Number(purge.sequence), purge.nodes, waitSeconds, purge.at)) }
    },
  )

  app.post(
    '/cdn/preloads',
    {
      config: { access: CHANGE, idempotency: 'own' },
      schema: {
        tags: ['cdn'],
        summary: 'Have every edge fetch addresses before visitors ask for them',
        body: Shape({
          property: Id,
          urls: Type.Array(Url('An address of the property.'), { minItems: 1, maxItems: FEED_LIMITS.preloadUrls }),
          waitSeconds: WaitSeconds,
        }),
        response: { 200: PurgeInFull },
      },
    },
    async (request) => {
      const { property: id, urls, waitSeconds = DEFAULT_WAIT_SECONDS } = request.body
      const property = await request.tenant((sql) => findProperty(sql, id))
      for (const [index, url] of urls.entries()) {
        const host = hostOf(url)
        if (host === null || !serves(property, host))
          throw new BadInput(`/urls/${index}`, `${url} is not of this property`, property.hosts.join(' or '))
      }
      const purge = await purges.submit({
        ...who(request),
        property,
        order: { kind: 'preload', urls: urls.map(withScheme) },
        request: { property: id, urls },
        idempotencyKey: idempotencyKey(request) ?? null,
        requestHash: hashOf(request.url, request.body),
      })
      return { ...purgeJson(purge), ...(await confirmed(Number(purge.sequence), purge.nodes, waitSeconds, purge.at)) }
    },
  )

  app.get(
    '/cdn/purges',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'Purges and warm-ups, newest first',
        querystring: Shape({
          limit: PageQuery.limit,
          cursor: PageQuery.cursor,
          property: Type.Optional(Id),
        }),
        response: { 200: Page(PurgeJson) },
      },
    },
    async (request) => {
      const { limit, cursor, property } = request.query
      const before = cursorKey(cursor, ['uuid']) as [string] | null
      const rows = await request.tenant((sql) =>
        listPurges(sql, { propertyId: property ?? null, before: before?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, ({ id }) => [id], purgeJson)
    },
  )

  app.get(
    '/cdn/purges/:purge',
    {
      config: { access: LOOK },
      schema: {
        tags: ['cdn'],
        summary: 'One purge, and when each edge confirmed',
        params: Shape({ purge: Id }),
        response: { 200: PurgeInFull },
      },
    },
    async (request) => {
      const { purge: id } = request.params
      const purge = await request.tenant((sql) => findPurge(sql, id))
      if (!purge) throw new NotFound('purge', id)
      return { ...purgeJson(purge), ...(await confirmed(Number(purge.sequence), purge.nodes, 0, purge.at)) }
    },
  )
}

const who = ({
  principal,
}: {
  principal: { partyId: string; partyKind: string; actor: Parameters<PurgeDesk['submit']>[0]['actor'] }
}) => ({
  partyId: principal.partyId,
  isLimited: principal.partyKind !== 'operator',
  actor: principal.actor,
})

const hashOf = (url: string, body: unknown): string =>
  createHash('sha256')
    .update(`${url}\n${JSON.stringify(body)}`)
    .digest('hex')

const withScheme = (url: string): string => (/^https?:\/\//i.test(url) ? url : `https://${url}`)

/** The host that an address names, in small letters; null when it is none. @throws BadInput */
function hostOf(address: string | undefined): string | null {
  if (address === undefined) return null
  const url = withScheme(address)
  if (!URL.canParse(url))
    throw new BadInput('/url', `${address} is no address`, 'such as https://www.shop.example/a.css')
  return new URL(url).hostname
}

async function requireHost(sql: Parameters<typeof propertyOfHost>[0], host: string): Promise<Property> {
  const property = await propertyOfHost(sql, host)
  if (!property) throw new NotFound('property that serves', host)
  return property
}

/** Whether a property serves a host, by its own name or a wildcard above it. */
const serves = ({ hosts }: Property, host: string): boolean =>
  hosts.some((own) => own === host || (own.startsWith('*.') && host.endsWith(own.slice(1))))
