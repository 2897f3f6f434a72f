/** The pool that a property's `origin` describes: durations to milliseconds, files of authorities to their text. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { OriginPool } from '../message.ts'
import { DEFAULT_SERVER_LIMITS, type PoolDescription, poolFrom } from '../origin/settings.ts'
import type { PoolConfig } from './schema.ts'
import { seconds } from './units.ts'

/**
 * `folder`: what file names are relative to; `sharers`: processes that share its bounds. Throws a sentence that says what is
 * wrong.
 */
export function poolOf(name: string, origin: string | PoolConfig, folder: string, sharers = 1): OriginPool {
  if (typeof origin === 'string') return poolOf(name, { servers: [origin] }, folder, sharers)
  const { servers, choose, attempts, connections, waiting, timeouts, rest, check } = origin
  const ms = (duration: string | number) => seconds(duration) * 1000
  const times = { ...timeouts }
  const description: PoolDescription = {
    servers: servers.map((one) => {
      if (typeof one === 'string' || one.tls?.authorities === undefined) return one
      return { ...one, tls: { ...one.tls, authorities: readFileSync(resolve(folder, one.tls.authorities), 'utf8') } }
    }),
    ...(choose !== undefined && { choose }),
    ...(attempts !== undefined && { attempts }),
    limits: {
      connections: Math.ceil((connections ?? DEFAULT_SERVER_LIMITS.connections) / sharers),
      waiting: Math.ceil((waiting ?? DEFAULT_SERVER_LIMITS.waiting) / sharers),
      ...(times.wait !== undefined && { waitMs: ms(times.wait) }),
      ...(times.connect !== undefined && { connectMs: ms(times.connect) }),
      ...(times.firstByte !== undefined && { firstByteMs: ms(times.firstByte) }),
      ...(times.betweenBytes !== undefined && { betweenBytesMs: ms(times.betweenBytes) }),
      ...(times.idle !== undefined && { idleMs: ms(times.idle) }),
      ...(rest?.faults !== undefined && { faults: rest.faults }),
      ...(rest?.for !== undefined && { restMs: ms(rest.for) }),
    },
    ...(check !== undefined && {
      check: {
        path: check.path,
        ...(check.host !== undefined && { host: check.host }),
        ...(check.every !== undefined && { everyMs: ms(check.every) }),
        ...(check.bad !== undefined && { bad: check.bad }),
        ...(check.good !== undefined && { good: check.good }),
      },
    }),
  }
  return poolFrom(name, description)
}
