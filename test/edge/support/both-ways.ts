/**
 * One flow over one store and one origin, reached by both ways of the front: `fast` (scanner on the socket, with or without
 * the shared read buffer) and `exact` (node:http). What they answer may not differ.
 */
import { createServer as createOrigin, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Flow } from '../../../src/edge/flow/flow.ts'
import { Front } from '../../../src/edge/front/front.ts'
import { PreparedHits } from '../../../src/edge/front/hits.ts'
import { DEFAULT_LIMITS, type FrontLimits } from '../../../src/edge/front/limits.ts'
import { Listener, type ListenerOptions } from '../../../src/edge/front/listener.ts'
import type { CachingRules, Property } from '../../../src/edge/message.ts'
import { poolAt } from '../../../src/edge/origin/settings.ts'
import { EdgeStore } from '../../../src/edge/store/store.ts'

const CACHING: CachingRules = {
  enabled: true,
  ttlSeconds: null,
  negativeTtlSeconds: new Map(),
  targetedFields: [],
  staleWhileRevalidateSeconds: null,
  staleIfErrorSeconds: null,
  heuristicMaximumSeconds: 0,
  obeyRequestDirectives: true,
  sliceBytes: null,
}

export interface BothWays {
  front: { fast: Front; exact: Front }
  store: EdgeStore
  port: { fast: number; exact: number; origin: number }
  /** Another listener on the fast front. */
  listen(options: Partial<ListenerOptions>): Promise<Listener>
  close(): Promise<void>
}

/** `answer`: what the origin does, or the port of one that runs already. */
export async function startBothWays(
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | number,
  options: { oneReadBuffer?: boolean; limits?: Partial<FrontLimits> } = {},
): Promise<BothWays> {
  const origin: Server | null = typeof answer === 'number' ? null : createOrigin(answer)
  await new Promise<void>((resolve) => (origin === null ? resolve() : origin.listen(0, '127.0.0.1', resolve)))
  const originPort = typeof answer === 'number' ? answer : (origin!.address() as AddressInfo).port
  const pool = poolAt('origin', `http://127.0.0.1:${originPort}`)
  const property: Property = {
    name: 'all',
    plan: (request) => ({
      kind: 'serve',
      target: request.target,
      originHost: null,
      key: request.target,
      keyIsPlain: true,
      caching: CACHING,
      requestChanges: [],
      responseChanges: [],
      compression: [],
      pool,
      errorPages: new Map(),
    }),
    plainKey: (target) => target,
  }
  const properties = { find: () => property }
  const store = new EdgeStore({ memoryBytes: 64 * 1024 * 1024 })
  const flow = new Flow({ name: 'izumi', store, properties })
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const hits = new PreparedHits({ properties: () => properties, store, cacheName: 'izumi', sight: null })
  const fast = new Front({ handler: flow, limits, hits })
  if (options.oneReadBuffer) await fast.shareReadBuffer()
  const exact = new Front({ handler: flow, limits, hits: null })
  const listeners: Listener[] = []
  const open = async (front: Front, more: Partial<ListenerOptions> = {}) => {
    const listener = await Listener.open(front, { address: '127.0.0.1', port: 0, tls: null, proxies: null, ...more })
    listeners.push(listener)
    return listener
  }
  const [fastListener, exactListener] = [await open(fast), await open(exact)]
  return {
    front: { fast, exact },
    store,
    port: { fast: fastListener.address.port, exact: exactListener.address.port, origin: originPort },
    listen: (more) => open(fast, more),
    close: async () => {
      for (const listener of listeners) listener.close()
      fast.close()
      exact.close()
      pool.close()
      origin?.closeAllConnections()
      await new Promise((resolve) => (origin === null ? resolve(null) : origin.close(resolve)))
      await store.close()
    },
  }
}
