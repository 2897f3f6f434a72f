/** What a running Izumi is made of, as the routes see it. `main.ts` builds one; tests build one with `testPlatform`. */
import type { FastifyBaseLogger } from 'fastify'
import type { Instant } from '../core/time.ts'
import type { Database } from '../database/connection.ts'

export interface Platform {
  database: Database
  log: FastifyBaseLogger
  clock: () => Instant
  /** Where people reach this server, without a slash at the end. */
  publicUrl: string
}
