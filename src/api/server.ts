/**
 * The HTTP server: one Fastify instance, `/api/v1` inside it with its own hooks, and the list of nouns that add routes.
 * To add a noun, write `src/api/<noun>.ts` and add one line to `nouns.ts`.
 */
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { pino } from 'pino'
import { LIMITS } from '../core/limits.ts'
import { EVENT_CHANNEL } from '../database/events.ts'
import { listen } from '../database/notifications.ts'
import { ACCESS_CHANNEL } from '../parties/principal.ts'
import { guard } from './access.ts'
import type { App, ListedRoute } from './app.ts'
import { ifMatchVersion, requireIfMatch } from './etag.ts'
import { idempotency } from './idempotency.ts'
import { NOUNS } from './nouns.ts'
import { openApiDocument } from './openapi.ts'
import type { Platform } from './platform.ts'
import { answerError, PROBLEM_TYPE, problemJson, unknownRoute, wrongMethod } from './problems.ts'
import { refuseUnstorableAddress, refuseUnstorableText, validatorCompiler } from './validation.ts'

export const API_BASE = '/api/v1'

export type Server = FastifyInstance & { izumiRoutes: ListedRoute[] }

/** Builds the server; the caller listens (or injects) and closes it. `offline` only describes itself: it opens nothing. */
export async function buildServer(platform: Platform, options: { offline?: boolean } = {}): Promise<Server> {
  const server = Fastify({
    loggerInstance: platform.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: LIMITS.requestBodyBytes,
    trustProxy: platform.trustProxy ?? false,
    requestTimeout: 120_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 300, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => answerError(error, request as FastifyRequest, reply as never),
  })
  const routes: ListedRoute[] = []
  server.setErrorHandler(answerError)
  const always = {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'x-frame-options': 'DENY',
    ...(platform.publicUrl.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  }
  server.addHook('onRequest', (request, reply, done) => {
    reply.headers(always)
    if (request.url.startsWith('/api/v1/')) reply.header('cache-control', 'no-store')
    done()
  })

  await server.register(
    async (scope) => {
      const app = scope as unknown as App
      readJson(app)
      app.setValidatorCompiler(validatorCompiler)
      app.setErrorHandler(answerError)
      app.decorate('signals', { access: new Set<() => void>(), event: new Set<() => void>() })
      guard(app, platform.database, platform.publicUrl)
      if (!options.offline) await hear(app, platform)
      app.decorateRequest('ifMatch', function ifMatch(this: FastifyRequest) {
        return ifMatchVersion(this)
      })
      const once = idempotency(platform.database, Date.now)
      app.addHook('onRoute', (route) => {
        const method = String(route.method)
        routes.push({ method, url: route.url, options: route })
        if (
          method === 'POST' &&
          route.config &&
          !('public' in route.config.access) &&
          route.config.idempotency !== 'own'
        ) {
          route.preHandler = [once.preHandler, ...[route.preHandler ?? []].flat()]
          route.onSend = [...[route.onSend ?? []].flat(), once.onSend]
        }
        if (method === 'PATCH' && route.config?.ifMatch !== 'optional')
          route.preHandler = [
            async (request: FastifyRequest) => requireIfMatch(request),
            ...[route.preHandler ?? []].flat(),
          ]
      })
      app.addHook('onRequest', (request, _reply, done) => {
        try {
          refuseUnstorableAddress(request)
          ifMatchVersion(request)
          done()
        } catch (error) {
          done(error as Error)
        }
      })
      app.setNotFoundHandler((request, reply) => {
        const allowed = methodsAt(routes, request.url)
        if (allowed.length > 0) reply.header('allow', allowed.join(', '))
        const problem = problemJson(
          allowed.length > 0 ? wrongMethod(request.method, allowed) : unknownRoute(request.url),
        )
        return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
      })
      for (const noun of NOUNS) noun(app, platform)
      let document: string | null = null
      app.get(
        '/openapi.json',
        { config: { access: { public: true } }, schema: { tags: ['api'], summary: 'This description' } },
        async (_request, reply) => {
          document ??= JSON.stringify(openApiDocument(routes, API_BASE))
          return reply.type('application/json').send(document)
        },
      )
    },
    { prefix: API_BASE },
  )
  return Object.assign(server as unknown as FastifyInstance, { izumiRoutes: routes })
}

/** Passes on what other processes announce. */
async function hear(app: App, platform: Platform): Promise<void> {
  const notifications = await listen(platform.database, [ACCESS_CHANNEL, EVENT_CHANNEL], (channel) => {
    if (channel === ACCESS_CHANNEL) app.forgetAccess()
    else for (const tell of app.signals.event) tell()
  })
  app.addHook('onClose', () => notifications.close())
}

/** The API's description without a database: of the routes as this program declares them. */
export async function describeApi(): Promise<string> {
  const nothing = { log: pino({ level: 'silent' }), clock: Date.now, publicUrl: 'http://localhost:8080', families: [] }
  const server = await buildServer(nothing as unknown as Platform, { offline: true })
  const document = openApiDocument(server.izumiRoutes, API_BASE)
  await server.close()
  return `${JSON.stringify(document, null, 1)}\n`
}

/** JSON bodies: refused when malformed, poisoned or holding text that cannot be stored; empty ones are no body. */
function readJson(app: App): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, raw, done) => {
    const text = raw as string
    const { access } = request.routeOptions.config
    if (!('public' in access) && access.node) request.rawText = text
    if (text === '') return done(null, undefined)
    parse(request, text, (error, body) => {
      if (error) return done(error)
      try {
        refuseUnstorableText(text, body)
        done(null, body)
      } catch (problem) {
        done(problem as Error)
      }
    })
  })
}

/** The methods that are known at an address; empty when nothing is there. */
function methodsAt(routes: readonly ListedRoute[], url: string): string[] {
  const path = url.split('?')[0]!.replace(/\/$/, '')
  return [
    ...new Set(
      routes
        .filter((route) => new RegExp(`^${route.url.replace(/:[A-Za-z]+/g, '[^/]+').replace(/\*/g, '.*')}$`).test(path))
        .map((route) => route.method),
    ),
  ]
}
