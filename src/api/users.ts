/** `/users`: the people of the asker's party and of those below it, and invitations to join. */
import Type from 'typebox'
import { NotAllowed, NotFound } from '../core/errors.ts'
import { toIso } from '../core/time.ts'
import { ROLES } from '../parties/model.ts'
import {
  changeUser,
  findUser,
  type Invitation,
  invite,
  listInvitations,
  listUsers,
  type User,
} from '../parties/users.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
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

const UserJson = Shape(
  {
    id: Id,
    partyId: Id,
    partyName: Text(),
    email: Text(254),
    name: Text(),
    role: OneOf(ROLES),
    locale: Text(10),
    status: OneOf(['active', 'disabled']),
    hasPassword: Type.Boolean(),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'User' },
)
const toJson = ({ partyKind: _, createdAt, ...user }: User) => ({ ...user, createdAt: toIso(createdAt)! })

const invitationFields = {
  id: Id,
  partyId: Id,
  partyName: Text(),
  email: Text(254),
  role: OneOf(ROLES),
  expiresAt: Instant,
  acceptedAt: Nullable(Instant),
  createdAt: Instant,
}
const InvitationJson = Shape(invitationFields, { title: 'Invitation' })
const invitationToJson = ({ expiresAt, acceptedAt, createdAt, ...invitation }: Invitation) => ({
  ...invitation,
  expiresAt: toIso(expiresAt)!,
  acceptedAt: acceptedAt === null ? null : toIso(acceptedAt),
  createdAt: toIso(createdAt)!,
})

export function userRoutes(app: App, { database, clock, publicUrl }: Platform): void {
  const partyFilter = { party: Type.Optional(PartyRef) }

  app.get(
    '/users',
    {
      config: { access: { scope: 'parties' } },
      schema: {
        tags: ['users'],
        summary: 'People, by e-mail address',
        querystring: Shape({ ...PageQuery, ...partyFilter }),
        response: { 200: Page(UserJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, party } = request.query
      const after = cursorKey(cursor, ['text']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listUsers(sql, { partyId, like: likePattern(q), after: after?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, (row) => [row.email], toJson)
    },
  )

  const UserPath = Shape({ user: Id })
  app.get(
    '/users/:user',
    {
      config: { access: { scope: 'parties' } },
      schema: { tags: ['users'], summary: 'One person', params: UserPath, response: { 200: UserJson } },
    },
    async (request, reply) => {
      const user = await request.tenant((sql) => findUser(sql, request.params.user))
      if (!user) throw new NotFound('user', request.params.user)
      tag(reply, user.version)
      return toJson(user)
    },
  )

  app.patch(
    '/users/:user',
    {
      config: { access: { scope: 'parties', roles: ['owner'] } },
      schema: {
        tags: ['users'],
        summary: "Change a person's role, or disable them",
        params: UserPath,
        body: Shape({
          name: Type.Optional(Text()),
          role: Type.Optional(OneOf(ROLES)),
          locale: Type.Optional(OneOf(LOCALES)),
          status: Type.Optional(OneOf(['active', 'disabled'])),
        }),
        response: { 200: UserJson },
      },
    },
    async (request, reply) => {
      const { user: id } = request.params
      if (!(await request.tenant((sql) => findUser(sql, id)))) throw new NotFound('user', id)
      const changed = await changeUser(database, id, request.ifMatch(), request.body, request.principal.actor)
      app.forgetAccess()
      tag(reply, changed.version)
      return toJson(changed)
    },
  )

  app.get(
    '/users/invitations',
    {
      config: { access: { scope: 'parties', roles: ['owner'] } },
      schema: {
        tags: ['users'],
        summary: 'Invitations, newest first',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor, ...partyFilter }),
        response: { 200: Page(InvitationJson) },
      },
    },
    async (request) => {
      const { limit, cursor, party } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listInvitations(sql, { partyId, after: after?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, (row) => [row.id], invitationToJson)
    },
  )

  app.post(
    '/users/invitations',
    {
      config: { access: { scope: 'parties', roles: ['owner'] }, idempotency: 'secret' },
      schema: {
        tags: ['users'],
        summary: 'Invite somebody; the link is shown this once',
        body: Shape({ ...partyFilter, email: EmailAddress, role: OneOf(ROLES) }),
        response: {
          201: Shape({
            ...invitationFields,
            token: Text(100),
            link: Text(500, { description: 'Where the invited person chooses a password.' }),
          }),
        },
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      if (principal.scopes !== null)
        throw new NotAllowed('An API key that is limited to scopes cannot let people in, who are not.')
      const party = await request.visibleParty(body.party ?? principal.partyId)
      const { invitation, token } = await invite(database, party, body.email, body.role, principal.actor, clock())
      return reply.code(201).send({ ...invitationToJson(invitation), token, link: `${publicUrl}/invitations/${token}` })
    },
  )
}
