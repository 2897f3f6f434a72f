/**
 * What a configuration may say of an origin: an address, or a pool with its servers, choice, limits and checks. Checked
 * here at the door; everything has a default, so that an address alone is a whole pool.
 */
import { Pool, type PoolOptions } from './pool.ts'
import type { ServerLimits, ServerOptions } from './server.ts'

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  connections: 512,
  waiting: 10_000,
  waitMs: 10_000,
  idleMs: 30_000,
  connectMs: 5_000,
  firstByteMs: 60_000,
  betweenBytesMs: 30_000,
  faults: 3,
  restMs: 10_000,
}

/** How many servers are tried for one request, unless told otherwise. */
const ATTEMPTS = 2

/** @example poolAt('shop', 'https://origin.example:8443') */
export function poolAt(name: string, address: string, changes: Partial<PoolOptions> = {}): Pool {
  return new Pool({
    name,
    servers: [serverAt(address)],
    choose: 'spread',
    attempts: ATTEMPTS,
    limits: DEFAULT_SERVER_LIMITS,
    check: null,
    ...changes,
  })
}

/** Throws a sentence that says what is wrong with the address. */
export function serverAt(address: string, changes: Partial<ServerOptions> = {}): ServerOptions {
  let url: URL
  try {
    url = new URL(address)
  } catch {
    throw new Error(`${address} is no address`)
  }
  const secure = url.protocol === 'https:'
  if (!secure && url.protocol !== 'http:') throw new Error(`${address} is neither http nor https`)
  if (url.pathname !== '/' || url.search !== '') throw new Error(`${address} has a path`)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return {
    host,
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    weight: 1,
    backup: false,
    tls: secure ? { name: host, authorities: null, verify: true } : null,
    ...changes,
  }
}

/** A pool as a configuration describes it; times in seconds, absent parts by default. */
export interface PoolDescription {
  readonly servers: readonly (string | ServerDescription)[]
  readonly choose?: 'spread' | 'hash'
  readonly attempts?: number
  readonly limits?: Partial<ServerLimits>
  readonly check?: { path: string; host?: string; everyMs?: number; bad?: number; good?: number }
}
interface ServerDescription {
  readonly address: string
  readonly weight?: number
  readonly backup?: boolean
  /** `authorities`: PEM text. */
  readonly tls?: { name?: string; authorities?: string; verify?: boolean }
}

const CHECK_EVERY_MS = 5_000

export function poolFrom(name: string, description: PoolDescription): Pool {
  const servers = description.servers.map((one) => {
    if (typeof one === 'string') return serverAt(one)
    const { address, weight, backup, tls } = one
    const server = serverAt(address, {
      ...(weight !== undefined && { weight }),
      ...(backup !== undefined && { backup }),
    })
    if (tls === undefined) return server
    if (server.tls === null) throw new Error(`${address} is http, so it has no TLS to set`)
    return {
      ...server,
      tls: { name: tls.name ?? server.tls.name, authorities: tls.authorities ?? null, verify: tls.verify ?? true },
    }
  })
  const { choose, attempts, limits, check } = description
  return new Pool({
    name,
    servers,
    choose: choose ?? 'spread',
    attempts: attempts ?? ATTEMPTS,
    limits: { ...DEFAULT_SERVER_LIMITS, ...limits },
    check:
      check === undefined
        ? null
        : {
            path: check.path,
            host: check.host ?? servers[0]!.host,
            everyMs: check.everyMs ?? CHECK_EVERY_MS,
            bad: check.bad ?? 2,
            good: check.good ?? 2,
            statusFrom: 200,
            statusTo: 399,
          },
  })
}
