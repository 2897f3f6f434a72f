/**
 * What a browser gets beside the API: the portal's built files with one page for all its addresses, and the reference at
 * `/api`, all from this server and under a content security policy that lets in nothing from elsewhere.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import scalar from '@scalar/fastify-api-reference'
import type { FastifyInstance } from 'fastify'
import { PROBLEM_TYPE, problemJson, unknownRoute } from './problems.ts'
import { API_BASE } from './server.ts'

const POLICY = [
  "default-src 'self'",
  // The component library sets colours and sizes in style attributes and one style element.
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The reference is one generated page with its script inside. */
const REFERENCE_POLICY = POLICY.replace("default-src 'self'", "default-src 'self'; script-src 'self' 'unsafe-inline'")

const YEAR_SECONDS = 31_536_000

/** Adds the portal and the reference to a server. */
export async function serveSite(server: FastifyInstance, portalFolder: string): Promise<void> {
  await server.register(async (scope) => {
    scope.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', REFERENCE_POLICY)
    })
    await scope.register(scalar, {
      routePrefix: '/api',
      configuration: {
        url: `${API_BASE}/openapi.json`,
        pageTitle: 'Izumi API',
        withDefaultFonts: false,
        hideClientButton: true,
        // Nothing of its maker's services: they would send the reader, or the description, elsewhere.
        showDeveloperTools: 'never',
        telemetry: false,
        agent: { disabled: true },
        mcp: { disabled: true },
        favicon: '/izumi.svg',
      },
    })
  }, {})
  const index = join(portalFolder, 'index.html')
  const isBuilt = existsSync(index)
  if (isBuilt)
    await server.register(fastifyStatic, {
      root: portalFolder,
      index: false,
      wildcard: false,
      setHeaders(reply, path) {
        reply.header('content-security-policy', POLICY)
        // Names of built files carry a hash of what is in them; the page that names them must be asked for anew.
        reply.header(
          'cache-control',
          path.includes('/assets/') ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache',
        )
      },
    })
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!
    const isPage = (request.method === 'GET' || request.method === 'HEAD') && !/^\/(api|assets)(\/|$)|\.\w+$/.test(path)
    if (isPage && isBuilt) return reply.sendFile('index.html')
    if (isPage)
      return reply
        .code(503)
        .type('text/plain; charset=utf-8')
        .send('The portal is not built. Start Izumi with `npm start`, which builds it.\n')
    const problem = problemJson(unknownRoute(request.url))
    return reply.code(problem.status).type(PROBLEM_TYPE).send(JSON.stringify(problem))
  })
}
