/** Signing in and out, who one is, the set-up of a new platform, and invitations: the routes before and about oneself. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { BadInput, NotAllowed, NotFound } from '../core/errors.ts'
import { toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { PARTY_KINDS, ROLES } from '../parties/model.ts'
import { OIDC_FLOW_MS, OidcSignIn } from '../parties/oidc.ts'
import { PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH } from '../parties/password.ts'
import { SESSION_MS, type Session, signIn, signOut } from '../parties/sessions.ts'
import { setUp } from '../parties/set-up.ts'
import { findOperator, findParty } from '../parties/store.ts'
import { acceptInvitation, changeUser, findInvitation, findUser } from '../parties/users.ts'
import { SESSION_COOKIE, sessionToken } from './access.ts'
import type { App } from './app.ts'
import { TIME_ZONES } from './parties.ts'
import type { Platform } from './platform.ts'
import { Code, CurrencyCode, EmailAddress, Id, Instant, LOCALES, Nullable, OneOf, Shape, Text } from './schemas.ts'

const OIDC_COOKIE = 'izumi_oidc'
const OIDC_PATH = '/api/v1/sign-in/oidc'

const Password = Type.String({
  minLength: PASSWORD_MIN_LENGTH,
  maxLength: PASSWORD_MAX_LENGTH,
  description: `A password of at least ${PASSWORD_MIN_LENGTH} characters.`,
})
const Locale = OneOf(LOCALES, { description: 'Language of pages and documents.' })

export const MeJson = Shape(
  {
    user: Nullable(Shape({ id: Id, name: Text(), email: EmailAddress, role: OneOf(ROLES), locale: Text(10) })),
    party: Shape({
      id: Id,
      kind: OneOf(PARTY_KINDS),
      code: Text(63),
      name: Text(),
      currency: CurrencyCode,
      locale: Text(10),
      timeZone: Text(60),
    }),
    role: OneOf(ROLES),
    scopes: Nullable(Type.Array(Text(40))),
    operator: Shape({
      id: Id,
      name: Text(),
      fiscalYearStartMonth: Type.Integer(),
      timeZone: Text(60),
      currency: CurrencyCode,
    }),
  },
  { title: 'Me' },
)

/** Everything one needs to know about oneself. */
async function me(sql: Sql, partyId: string, userId: string | null, keyRole?: string, scopes: string[] | null = null) {
  const [party, user, operator] = [
    await findParty(sql, partyId),
    userId === null ? null : await findUser(sql, userId),
    await findOperator(sql),
  ]
  if (!party || !operator) throw new NotFound('party', partyId)
  return {
    user: user && { id: user.id, name: user.name, email: user.email, role: user.role, locale: user.locale },
    party: {
      id: party.id,
      kind: party.kind,
      code: party.code,
      name: party.name,
      currency: party.currency,
      locale: party.locale,
      timeZone: party.timeZone,
    },
    role: (user?.role ?? keyRole ?? 'read-only') as (typeof ROLES)[number],
    scopes,
    operator: {
      id: operator.id,
      name: operator.name,
      fiscalYearStartMonth: operator.fiscalYearStartMonth,
      timeZone: operator.timeZone,
      currency: operator.currency,
    },
  }
}

export function meRoutes(app: App, platform: Platform): void {
  const { database, clock, publicUrl } = platform
  const secure = publicUrl.startsWith('https:')
  const oidc = platform.oidc ? new OidcSignIn(platform.oidc, `${publicUrl}${OIDC_PATH}/callback`) : null

  const cookie = (name: string, value: string, maxAgeMs: number, sameSite: 'Strict' | 'Lax', path = '/') =>
    `${name}=${value}; Path=${path}; Max-Age=${Math.round(maxAgeMs / 1_000)}; HttpOnly; SameSite=${sameSite}${secure ? '; Secure' : ''}`
  const enter = (reply: FastifyReply, session: Session) =>
    reply.header('set-cookie', cookie(SESSION_COOKIE, session.token, SESSION_MS, 'Strict'))
  const leave = (reply: FastifyReply) => reply.header('set-cookie', cookie(SESSION_COOKIE, '', 0, 'Strict'))
  const meOf = async (session: Session) => {
    const user = await findUser(database, session.userId)
    return me(database, user!.partyId, session.userId)
  }

  app.get(
    '/set-up',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['sign-in'],
        summary: 'Whether this platform still has to be set up, and how one can sign in',
        response: {
          200: Shape({
            needed: Type.Boolean(),
            codeNeeded: Type.Boolean({ description: 'Set-up asks for the code that the server printed at its start.' }),
            demo: Nullable(Type.Array(Shape({ name: Text(), email: Text(254), password: Text() }))),
            oidc: Nullable(Shape({ name: Text() })),
          }),
        },
      },
    },
    async () => ({
      needed: (await findOperator(database)) === null,
      codeNeeded: Boolean(platform.setUpCode),
      demo: platform.demo ?? null,
      oidc: oidc && { name: oidc.settings.name },
    }),
  )

  app.post(
    '/set-up',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['sign-in'],
        summary: 'Set up: the operator and its first owner',
        body: Shape({
          operator: Shape({
            name: Text(),
            code: Type.Optional(Code),
            currency: Type.Optional(CurrencyCode),
            locale: Type.Optional(Locale),
            timeZone: Type.Optional(TIME_ZONES),
            fiscalYearStartMonth: Type.Optional(Type.Integer({ minimum: 1, maximum: 12 })),
            email: Type.Optional(EmailAddress),
            address: Type.Optional(Text(500)),
            taxRegistration: Type.Optional(Text(40)),
          }),
          owner: Shape({ name: Text(), email: EmailAddress, password: Password, locale: Type.Optional(Locale) }),
          code: Type.Optional(Text(100, { description: 'The set-up code, where one is asked for.' })),
        }),
        response: { 201: MeJson },
      },
    },
    async (request, reply) => {
      const { operator, owner, code } = request.body
      if (platform.setUpCode && code !== platform.setUpCode)
        throw new NotAllowed('Give the set-up code that the server printed when it started.')
      const session = await setUp(database, operator, { locale: 'en', ...owner }, clock())
      enter(reply, session)
      return reply.code(201).send(await meOf(session))
    },
  )

  app.post(
    '/sign-in',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['sign-in'],
        summary: 'Sign in with e-mail address and password',
        body: Shape({
          email: Type.String({ minLength: 1, maxLength: 254 }),
          password: Type.String({ minLength: 1, maxLength: PASSWORD_MAX_LENGTH }),
        }),
        response: { 200: MeJson },
      },
    },
    async (request, reply) => {
      const { email, password } = request.body
      const session = await signIn(database, email, password, request.ip, clock())
      enter(reply, session)
      return meOf(session)
    },
  )

  app.post(
    '/sign-out',
    {
      config: { access: { public: true } },
      schema: { tags: ['sign-in'], summary: 'Sign out', response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const token = sessionToken(request)
      if (token !== null) {
        await signOut(database, token)
        app.forgetAccess()
      }
      leave(reply)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/me',
    {
      config: { access: { anyScope: true } },
      schema: { tags: ['sign-in'], summary: 'Who I am', response: { 200: MeJson } },
    },
    async (request) => {
      const { partyId, userId, role, scopes } = request.principal
      return me(database, partyId, userId, role, scopes)
    },
  )

  app.patch(
    '/me',
    {
      config: { access: { session: true, roles: ROLES }, ifMatch: 'optional' },
      schema: {
        tags: ['sign-in'],
        summary: 'Change my name, language or password',
        body: Shape({
          name: Type.Optional(Text()),
          locale: Type.Optional(Locale),
          currentPassword: Type.Optional(Type.String({ minLength: 1, maxLength: PASSWORD_MAX_LENGTH })),
          newPassword: Type.Optional(Password),
        }),
        response: { 200: MeJson },
      },
    },
    async (request) => {
      const { userId, partyId, actor } = request.principal
      const { name, locale, currentPassword, newPassword } = request.body
      if ((currentPassword === undefined) !== (newPassword === undefined))
        throw new BadInput(
          currentPassword === undefined ? '/currentPassword' : '/newPassword',
          'is missing',
          'both passwords, the current and the new',
        )
      await changeUser(
        database,
        userId!,
        request.ifMatch(),
        {
          name,
          locale,
          ...(currentPassword !== undefined && newPassword !== undefined
            ? { password: { current: currentPassword, next: newPassword } }
            : {}),
        },
        actor,
        sessionToken(request),
      )
      app.forgetAccess()
      return me(database, partyId, userId)
    },
  )

  app.get(
    '/sign-in/oidc',
    {
      config: { access: { public: true } },
      schema: { tags: ['sign-in'], summary: 'Begin single sign-on', response: { 302: Type.Null() } },
    },
    async (_request, reply) => {
      if (!oidc) throw new NotFound('single sign-on', 'set up here')
      const { address, cookie: flow } = await oidc.begin()
      // Lax: the way back from the provider is a navigation from another site.
      reply.header('set-cookie', cookie(OIDC_COOKIE, flow, OIDC_FLOW_MS, 'Lax', OIDC_PATH))
      return reply.redirect(address)
    },
  )

  app.get(
    '/sign-in/oidc/callback',
    {
      config: { access: { public: true } },
      schema: { tags: ['sign-in'], summary: 'Back from single sign-on', response: { 302: Type.Null() } },
    },
    async (request: FastifyRequest, reply) => {
      if (!oidc) throw new NotFound('single sign-on', 'set up here')
      const flow = new RegExp(`(?:^|;\\s*)${OIDC_COOKIE}=([A-Za-z0-9_-]+)`).exec(request.headers.cookie ?? '')?.[1]
      const done = cookie(OIDC_COOKIE, '', 0, 'Lax', OIDC_PATH)
      try {
        const session = await oidc.finish(database, request.url.split('?')[1] ?? '', flow, clock())
        reply.header('set-cookie', [cookie(SESSION_COOKIE, session.token, SESSION_MS, 'Strict'), done])
        return reply.redirect('/')
      } catch (error) {
        request.log.warn({ err: error }, 'single sign-on was refused')
        reply.header('set-cookie', done)
        return reply.redirect(`/sign-in?problem=${encodeURIComponent((error as Error).message.slice(0, 300))}`)
      }
    },
  )

  const TokenPath = Shape({
    token: Type.String({
      pattern: '^invite_[A-Za-z0-9_-]{20,80}$',
      maxLength: 100,
      examples: ['invite_…'],
      description: 'The token of the link that came with the invitation.',
    }),
  })
  app.get(
    '/invitations/:token',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['sign-in'],
        summary: 'What an invitation is for',
        params: TokenPath,
        response: { 200: Shape({ email: EmailAddress, role: OneOf(ROLES), partyName: Text(), expiresAt: Instant }) },
      },
    },
    async (request) => {
      const { email, role, partyName, expiresAt } = await findInvitation(database, request.params.token, clock())
      return { email, role, partyName, expiresAt: toIso(expiresAt)! }
    },
  )
  app.post(
    '/invitations/:token',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['sign-in'],
        summary: 'Accept an invitation: choose name and password',
        params: TokenPath,
        body: Shape({ name: Text(), password: Password, locale: Type.Optional(Locale) }),
        response: { 201: MeJson },
      },
    },
    async (request, reply) => {
      const { name, password, locale } = request.body
      const session = await acceptInvitation(database, request.params.token, name, password, locale ?? 'en', clock())
      enter(reply, session)
      return reply.code(201).send(await meOf(session))
    },
  )
}
