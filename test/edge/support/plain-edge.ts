/**
 * An edge in this process with one property that takes every host name: the flow, the store and the exact front as they are,
 * without a configuration file. For conformance, wire and fault tests.
 */
import { createServer, type Socket } from 'node:net'
import { Flow } from '../../../src/edge/flow/flow.ts'
import { createExactServer } from '../../../src/edge/front/exact.ts'
import { DEFAULT_LIMITS } from '../../../src/edge/front/limits.ts'
import type { CachingRules, ContentCoding, Finished, OriginPool, Property } from '../../../src/edge/message.ts'
import { poolAt } from '../../../src/edge/origin/settings.ts'
import { EdgeStore } from '../../../src/edge/store/store.ts'

export interface PlainEdgeOptions {
  origin?: { host: string; port: number }
  pool?: OriginPool
  caching?: Partial<CachingRules>
  memoryBytes?: number
  compression?: ContentCoding[]
}

export interface PlainEdge {
  port: number
  store: EdgeStore
  /** Requests that are over, in order. */
  finished: Finished[]
  close(): Promise<void>
}

const CACHING: CachingRules = {
  enabled: true,
  ttlSeconds: null,
  negativeTtlSeconds: new Map(),
  targetedFields: ['cdn-cache-control', 'surrogate-control'],
  staleWhileRevalidateSeconds: null,
  staleIfErrorSeconds: null,
  heuristicMaximumSeconds: 86_400,
  obeyRequestDirectives: true,
  sliceBytes: null,
}

export async function startPlainEdge(options: PlainEdgeOptions): Promise<PlainEdge> {
  const pool = options.pool ?? poolAt('origin', `http://${options.origin!.host}:${options.origin!.port}`)
  const caching = { ...CACHING, ...options.caching }
  const property: Property = {
    name: 'all',
    plan: (request) => ({
      kind: 'serve',
      target: request.target,
      originHost: null,
      key: request.host + request.target,
      keyIsPlain: true,
      caching,
      requestChanges: [],
      responseChanges: [],
      compression: options.compression ?? [],
      pool,
      errorPages: new Map(),
    }),
    plainKey: (target) => target,
  }
  const store = new EdgeStore({ memoryBytes: options.memoryBytes ?? 64 * 1024 * 1024 })
  const finished: Finished[] = []
  const flow = new Flow({
    name: 'izumi',
    store,
    properties: { find: () => property },
    finished: (one) => finished.push(one),
  })
  const exact = createExactServer({ handler: flow, limits: DEFAULT_LIMITS })
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    exact.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    store,
    finished,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      exact.close()
      pool.close()
      await new Promise((resolve) => server.close(resolve))
      await store.close()
    },
  }
}
