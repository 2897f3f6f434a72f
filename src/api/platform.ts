/** What a running Izumi is made of, as the routes see it. `main.ts` builds one; tests build one with `testPlatform`. */
import type { FastifyBaseLogger } from 'fastify'
import type { Engine } from '../capacity/engine.ts'
import type { ServiceFamily } from '../catalogue/family.ts'
import type { Instant } from '../core/time.ts'
import type { Database } from '../database/connection.ts'
import type { OidcSettings } from '../parties/oidc.ts'

export interface Platform {
  database: Database
  capacity: Engine
  families: readonly ServiceFamily[]
  log: FastifyBaseLogger
  clock: () => Instant
  /** Where people reach this server, without a slash at the end. */
  publicUrl: string
  /** Accounts to show on the sign-in page of a demonstration; null elsewhere. */
  demo?: { name: string; email: string; password: string }[] | null
  /** Asked for at set-up when the server can be reached from other machines; printed at its start. */
  setUpCode?: string | null
  oidc?: OidcSettings | null
  /** Whether webhooks may go to private addresses. */
  privateWebhooks?: boolean
  /** Whether the addresses that a proxy in front tells of are believed. */
  trustProxy?: boolean
}
