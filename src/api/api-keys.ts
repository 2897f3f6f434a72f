/** `/api-keys`: programs that act for a party. A secret is shown once, when it is made. */
import Type from 'typebox'
import { BadInput, NotAllowed } from '../core/errors.ts'
import { fromIso, toIso } from '../core/time.ts'
import { type ApiKey, createApiKey, findApiKey, listApiKeys, revokeApiKey } from '../parties/api-keys.ts'
import { ROLES, SCOPE_WORDS } from '../parties/model.ts'
import type { App } from './app.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Id, Instant, Nullable, OneOf, Page, PageQuery, PartyRef, Shape, Text } from './schemas.ts'

const fields = {
  id: Id,
  partyId: Id,
  partyName: Text(),
  name: Text(),
  role: OneOf(ROLES),
  scopes: Type.Array(Text(40)),
  createdAt: Instant,
  expiresAt: Nullable(Instant),
  revokedAt: Nullable(Instant),
}
const ApiKeyJson = Shape(fields, { title: 'ApiKey' })

const toJson = ({ createdAt, expiresAt, revokedAt, ...key }: ApiKey) => ({
  ...key,
  createdAt: toIso(createdAt)!,
  expiresAt: expiresAt === null ? null : toIso(expiresAt),
  revokedAt: revokedAt === null ? null : toIso(revokedAt),
})

export function apiKeyRoutes(app: App, { database, clock }: Platform): void {
  const access = { scope: 'parties', roles: ['owner'] } as const

  app.get(
    '/api-keys',
    {
      config: { access },
      schema: {
        tags: ['api-keys'],
        summary: 'API keys, newest first',
        querystring: Shape({ ...PageQuery, party: Type.Optional(PartyRef) }),
        response: { 200: Page(ApiKeyJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, party } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listApiKeys(sql, { partyId, like: likePattern(q), after: after?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, (row) => [row.id], toJson)
    },
  )

  app.post(
    '/api-keys',
    {
      config: { access, idempotency: 'secret' },
      schema: {
        tags: ['api-keys'],
        summary: 'Make an API key; its secret is shown this once',
        body: Shape({
          party: Type.Optional(PartyRef),
          name: Text(),
          role: OneOf(ROLES),
          scopes: Type.Array(OneOf(SCOPE_WORDS as [string, ...string[]]), {
            minItems: 1,
            maxItems: SCOPE_WORDS.length,
            uniqueItems: true,
            description: 'What the key may do; `*` is all that its role may.',
          }),
          expiresAt: Type.Optional(Nullable(Instant)),
        }),
        response: { 201: Shape({ ...fields, secret: Text(100) }) },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      if (principal.scopes !== null)
        throw new NotAllowed('An API key that is limited to scopes cannot make other keys.')
      const expiresAt = body.expiresAt == null ? null : fromIso(body.expiresAt)
      if (expiresAt !== null && expiresAt <= clock())
        throw new BadInput('/expiresAt', `${body.expiresAt} is past`, 'an instant to come, or null')
      const party = await request.visibleParty(body.party ?? principal.partyId)
      const { key, secret } = await createApiKey(
        database,
        party,
        { name: body.name, role: body.role, scopes: body.scopes, expiresAt },
        principal.actor,
      )
      return reply.code(201).send({ ...toJson(key), secret })
    },
  )

  app.delete(
    '/api-keys/:key',
    {
      config: { access },
      schema: {
        tags: ['api-keys'],
        summary: 'Revoke an API key',
        params: Shape({ key: Id }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const key = await request.tenant((sql) => findApiKey(sql, request.params.key))
      await revokeApiKey(database, key.id, request.principal.actor)
      app.forgetAccess()
      return reply.code(204).send(null)
    },
  )
}
