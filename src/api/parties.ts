/** `/parties`: the operator, its resellers and customers, as far as the asker may see. */
import Type from 'typebox'
import { NotAllowed } from '../core/errors.ts'
import { toIso } from '../core/time.ts'
import { PARTY_KINDS, type Party } from '../parties/model.ts'
import { changeParty, createParty, listParties } from '../parties/store.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  Code,
  CurrencyCode,
  EmailAddress,
  Id,
  Instant,
  LOCALES,
  Nullable,
  OneOf,
  Page,
  PageQuery,
  PartyRef,
  Shape,
  Text,
} from './schemas.ts'

/** Time zones that this machine's calendar knows; `UTC` is not in the list but is one. */
const ZONES: readonly string[] = ['UTC', ...Intl.supportedValuesOf('timeZone')]
export const TIME_ZONES = Type.Refine(
  Type.String({
    maxLength: 60,
    description: 'Time zone, IANA.',
    examples: ['Asia/Tokyo'],
    pattern: '^[A-Za-z0-9_+/-]{1,60}$',
  }),
  (zone) => ZONES.includes(zone),
  () => 'is not a time zone',
)

export const PartyJson = Shape(
  {
    id: Id,
    kind: OneOf(PARTY_KINDS),
    code: Text(63),
    name: Text(),
    parentId: Nullable(Id),
    parentName: Nullable(Text()),
    currency: CurrencyCode,
    locale: Text(10),
    timeZone: Text(60),
    email: Nullable(Text(254)),
    address: Nullable(Text(500)),
    taxRegistration: Nullable(Text(40)),
    status: OneOf(['active', 'closed']),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Party' },
)

const PARTY_STATES = ['active', 'closed'] as const

export function partyRoutes(app: App, { database }: Platform): void {
  /** As the asker sees it: what lies above their own party is not shown, not even by name. */
  const toJson = ({ ancestors, fiscalYearStartMonth: _, createdAt, ...party }: Party, askerId: string) => ({
    ...party,
    ...(ancestors.at(-1) === askerId ? { parentName: null } : {}),
    createdAt: toIso(createdAt)!,
  })

  app.get(
    '/parties',
    {
      config: { access: { scope: 'parties' } },
      schema: {
        tags: ['parties'],
        summary: 'Parties, by name',
        querystring: Shape({
          ...PageQuery,
          kind: Type.Optional(OneOf(PARTY_KINDS)),
          parent: Type.Optional(PartyRef),
          status: Type.Optional(OneOf(PARTY_STATES)),
        }),
        response: { 200: Page(PartyJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, kind, parent, status } = request.query
      const after = cursorKey(cursor, ['text', 'uuid']) as [string, string] | null
      const parentId = parent === undefined ? null : (await request.visibleParty(parent)).id
      const rows = await request.tenant((sql) =>
        listParties(sql, {
          kind: kind ?? null,
          parentId,
          status: status ?? null,
          like: likePattern(q),
          after,
          limit: limit + 1,
        }),
      )
      return page(
        rows,
        limit,
        (row) => [row.name, row.id],
        (row) => toJson(row, request.principal.partyId),
      )
    },
  )

  app.get(
    '/parties/:party',
    {
      config: { access: { scope: 'parties' } },
      schema: {
        tags: ['parties'],
        summary: 'One party',
        params: Shape({ party: PartyRef }),
        response: { 200: PartyJson },
      },
    },
    async (request, reply) => {
      const party = await request.visibleParty(request.params.party)
      tag(reply, party.version)
      return toJson(party, request.principal.partyId)
    },
  )

  app.post(
    '/parties',
    {
      config: {
        access: { scope: 'parties', parties: ['operator', 'reseller'], roles: ['owner', 'engineer', 'finance'] },
      },
      schema: {
        tags: ['parties'],
        summary: 'Add a reseller or customer',
        body: Shape({
          kind: OneOf(['reseller', 'customer']),
          name: Text(),
          code: Type.Optional(Code),
          parent: Type.Optional(PartyRef),
          currency: Type.Optional(CurrencyCode),
          locale: Type.Optional(OneOf(LOCALES)),
          timeZone: Type.Optional(TIME_ZONES),
          email: Type.Optional(EmailAddress),
          address: Type.Optional(Text(500)),
          taxRegistration: Type.Optional(Text(40)),
        }),
        response: { 201: PartyJson },
      },
    },
    async (request, reply) => {
      const { parent: parentRef, ...party } = request.body
      const parent = await request.visibleParty(parentRef ?? request.principal.partyId)
      const created = await database.transaction((sql) => createParty(sql, parent, party, request.principal.actor))
      tag(reply, created.version)
      return reply.code(201).send(toJson(created, request.principal.partyId))
    },
  )

  app.patch(
    '/parties/:party',
    {
      config: { access: { scope: 'parties', roles: ['owner', 'finance'] } },
      schema: {
        tags: ['parties'],
        summary: 'Change or close a party',
        params: Shape({ party: PartyRef }),
        body: Shape({
          name: Type.Optional(Text()),
          currency: Type.Optional(CurrencyCode),
          locale: Type.Optional(OneOf(LOCALES)),
          timeZone: Type.Optional(TIME_ZONES),
          email: Type.Optional(Nullable(EmailAddress)),
          address: Type.Optional(Nullable(Text(500))),
          taxRegistration: Type.Optional(Nullable(Text(40))),
          fiscalYearStartMonth: Type.Optional(Type.Integer({ minimum: 1, maximum: 12 })),
          status: Type.Optional(OneOf(PARTY_STATES)),
        }),
        response: { 200: PartyJson },
      },
    },
    async (request, reply) => {
      const party = await request.visibleParty(request.params.party)
      const { principal, body } = request
      if (party.id === principal.partyId && body.status !== undefined)
        throw new NotAllowed('A party cannot close or open itself; the party above it does.')
      if (party.id === principal.partyId && principal.partyKind !== 'operator' && body.currency !== undefined)
        throw new NotAllowed('The currency of a party is set by the party above it.')
      const changed = await changeParty(database, party.id, request.ifMatch(), body, principal.actor)
      app.forgetAccess()
      tag(reply, changed.version)
      return toJson(changed, principal.partyId)
    },
  )
}
