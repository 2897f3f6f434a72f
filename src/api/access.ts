/**
 * Who may do what, in one hook before anything else: credential → principal → the route's `config.access`. Refused
 * unless allowed: a route without `config.access` does not let the server start. A session's cookie counts for changes
 * only when the request comes from our own pages (`Origin`), on top of the cookie's `SameSite=Strict`.
 */
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { NotAllowed, NotFound, NotSignedIn } from '../core/errors.ts'
import type { Database } from '../database/connection.ts'
import { type Party, scopeAllows } from '../parties/model.ts'
import { type Principal, Principals } from '../parties/principal.ts'
import { findParty } from '../parties/store.ts'
import type { Access, App } from './app.ts'

export const SESSION_COOKIE = 'izumi_session'
const READS = new Set(['GET', 'HEAD', 'OPTIONS'])
const BEARER = /^Bearer +(\S+)$/i
const COOKIE = new RegExp(`(?:^|;\\s*)${SESSION_COOKIE}=([A-Za-z0-9_-]+)`)
/** Parties found visible, kept at once. */
const KEPT_PARTIES = 20_000

/** The session token of a request's cookie header, if any. */
export const sessionToken = (request: FastifyRequest): string | null =>
  COOKIE.exec(request.headers.cookie ?? '')?.[1] ?? null

/** Why a principal may not use a route with this method; null when it may. Also used to describe routes. */
export function refusalReason(principal: Principal, access: Access, method: string): string | null {
  if ('public' in access) return null
  if (access.node) return 'This is for nodes that have enrolled.'
  const reads = READS.has(method)
  if (access.session && principal.via !== 'session') return 'This is for people who are signed in, not for API keys.'
  if (access.parties && !access.parties.includes(principal.partyKind))
    return `This is for ${access.parties.join(' and ')} only.`
  if (access.roles ? !access.roles.includes(principal.role) : !reads && principal.role === 'read-only')
    return access.roles
      ? `This needs the role ${access.roles.join(' or ')}; yours is ${principal.role}.`
      : 'Your role is read-only.'
  if (access.scope && !scopeAllows(principal.scopes, access.scope, reads ? 'read' : 'write'))
    return `This API key lacks the scope ${access.scope}:${reads ? 'read' : 'write'}.`
  if (!access.scope && !access.anyScope && principal.scopes !== null)
    return 'This API key is limited to scopes, and this route is in none.'
  return null
}

/** Refuses changes that a page of another site makes with the session's cookie. */
function refuseForeignOrigin(request: FastifyRequest, publicUrl: string): void {
  const { origin } = request.headers
  if (origin !== undefined) {
    if (origin === publicUrl || (URL.canParse(origin) && new URL(origin).host === request.headers.host)) return
    throw new NotAllowed(`Changes with a session are taken from this server's own pages only, not from ${origin}.`)
  }
  const site = request.headers['sec-fetch-site']
  if (site === 'cross-site' || site === 'same-site')
    throw new NotAllowed("Changes with a session are taken from this server's own pages only.")
}

/** Adds the hook, `request.principal`, `request.tenant` and `request.visibleParty`. */
export function guard(app: App, database: Database, publicUrl: string): void {
  const principals = new Principals(database)
  const visible = new Map<string, Party>()
  let forgotten = 0

  app.decorateRequest('principal', null as unknown as Principal)
  app.decorateRequest('tenant', function tenant(this: FastifyRequest, work) {
    return database.asTenant(this.principal.partyId, work)
  })
  app.decorateRequest('visibleParty', async function visibleParty(this: FastifyRequest, idOrCode: string) {
    const key = `${this.principal.partyId} ${idOrCode}`
    const kept = visible.get(key)
    if (kept) return kept
    const asked = forgotten
    const party = await this.tenant((sql) => findParty(sql, idOrCode))
    if (!party) throw new NotFound('party', idOrCode)
    if (visible.size >= KEPT_PARTIES) visible.clear()
    // What was read before something changed is not kept after it.
    if (asked === forgotten) visible.set(key, party)
    return party
  })

  app.addHook('onRoute', (route: RouteOptions) => {
    if (!route.config?.access)
      throw new Error(`${String(route.method)} ${route.url} says nothing of who may use it: add config.access.`)
  })

  const admit = (request: FastifyRequest, access: Access, principal: Principal | null) => {
    if (principal) request.principal = principal
    if ('public' in access) return
    if (!principal) throw new NotSignedIn()
    if (principal.via === 'session' && !READS.has(request.method)) refuseForeignOrigin(request, publicUrl)
    const reason = refusalReason(principal, access, request.method)
    if (reason !== null) throw new NotAllowed(reason)
  }

  app.addHook('onRequest', (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    if (request.is404) return done()
    const { access } = request.routeOptions.config
    const bearer = request.headers.authorization
    if (!('public' in access) && access.node && bearer?.startsWith('Izumi-Node ')) return done()
    const secret = bearer === undefined ? sessionToken(request) : (BEARER.exec(bearer)?.[1] ?? '')
    const via = bearer === undefined ? 'session' : 'api-key'
    const settle = (principal: Principal | null) => {
      try {
        admit(request, access, principal)
        done()
      } catch (error) {
        done(error as Error)
      }
    }
    if (secret === null || secret === '') return settle(null)
    const known = principals.known(via, secret)
    if (known) return settle(known)
    principals.find(via, secret).then(settle, done)
  })

  app.decorate('forgetAccess', () => {
    forgotten++
    principals.forget()
    visible.clear()
    for (const tell of app.signals.access) tell()
  })
}
