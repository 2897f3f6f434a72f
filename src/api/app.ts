/**
 * What every route file sees of the server: the type of the instance it adds routes to, and what a request carries.
 * `config.access` is required on each route by the type, and again when the server starts.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteOptions,
} from 'fastify'
import type { Sql } from '../database/connection.ts'
import type { Party, PartyKind, Role, Scope } from '../parties/model.ts'
import type { Principal } from '../parties/principal.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** One route as declared, for the documents and tests made from the list. */
export interface ListedRoute {
  method: string
  url: string
  options: RouteOptions
}

/**
 * Who may use a route. Everything that is not allowed here is refused.
 * `read-only` never passes a route that changes something unless `roles` names it.
 */
export type Access =
  | { public: true }
  | {
      /** Kinds of party; all three when left out. */
      parties?: readonly PartyKind[]
      /** Roles; every role (for a change: all but `read-only`) when left out. */
      roles?: readonly Role[]
      /** The noun that an API key's scopes must name, `:read` for GET and `:write` for the rest. */
      scope?: Scope
      /** For API keys of any scope (what everybody may know of itself). */
      anyScope?: true
      /** Only for people with a session, not for API keys. */
      session?: true
      /** Only for nodes that have enrolled, which sign each request; the route checks the signature with the body. */
      node?: true
    }

declare module 'fastify' {
  interface FastifyContextConfig {
    access: Access
    /**
     * `own`: the noun itself makes a repeat atomic with the change. `secret`: the answer's `secret`, `token` and `link`
     * are not kept. Left out: the server keeps the first answer of any POST with an `Idempotency-Key`.
     */
    idempotency?: 'own' | 'secret'
    /** PATCH asks for `If-Match` (428 without); `optional` lets a route do without. */
    ifMatch?: 'optional'
  }
  interface FastifySchema {
    tags?: readonly string[]
    summary?: string
    description?: string
  }
  interface FastifyInstance {
    /** Some right has changed: what is kept in memory of who may do what is forgotten at once. */
    forgetAccess(): void
    /** Who wants to know that rights have changed, and that events were appended, in any process. */
    signals: { access: Set<() => void>; event: Set<() => void> }
  }
  interface FastifyRequest {
    /** The body as it came, on routes for nodes: what their signature covers. */
    rawText?: string
    /** Who asks. On a public route it may be missing although the type says otherwise. */
    principal: Principal
    /** Runs work under the row-level security of the asker's party. All reads of tenants' data go through it. */
    tenant<T>(work: (sql: Sql) => Promise<T>): Promise<T>
    /** The party with this id or code, if the asker may see it. @throws NotFound */
    visibleParty(idOrCode: string): Promise<Party>
    /** The version named by `If-Match`, or null when any will do. @throws BadInput */
    ifMatch(): number | null
  }
}
