/** Figures for Prometheus at `/metrics`: requests by route and outcome, and the process itself. Only for this machine. */
import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import { NotAllowed } from '../core/errors.ts'

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/

/** Adds `/metrics`. `everywhere` answers other machines too. */
export function serveMetrics(server: FastifyInstance, everywhere: boolean): void {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const duration = new Histogram({
    name: 'izumi_request_seconds',
    help: 'Requests by method, route and status, with how long they took',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers: [registry],
  })
  server.addHook('onResponse', (request, reply, done) => {
    duration.observe(
      { method: request.method, route: request.routeOptions.url ?? 'none', status: reply.statusCode },
      reply.elapsedTime / 1_000,
    )
    done()
  })
  server.get('/metrics', { config: { access: { public: true } } }, async (request, reply) => {
    const isLocal =
      LOOPBACK.test(request.socket.remoteAddress ?? '') && request.headers['x-forwarded-for'] === undefined
    if (!everywhere && !isLocal)
      throw new NotAllowed('Figures are for this machine; set IZUMI_METRICS=public to answer others.')
    reply.type(registry.contentType)
    return registry.metrics()
  })
}
