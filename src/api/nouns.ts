/** Every noun of the API, one line each. */
import { apiKeyRoutes } from './api-keys.ts'
import type { App } from './app.ts'
import { billingRoutes } from './billing.ts'
import { catalogueRoutes } from './catalogue.ts'
import { cdnRoutes } from './cdn.ts'
import { claimRoutes } from './claims.ts'
import { eventRoutes } from './events.ts'
import { meRoutes } from './me.ts'
import { meterRoutes } from './meters.ts'
import { nodeRoutes } from './nodes.ts'
import { orderRoutes } from './orders.ts'
import { partyRoutes } from './parties.ts'
import type { Platform } from './platform.ts'
import { poolRoutes } from './pools.ts'
import { protectionRoutes } from './protection.ts'
import { resultRoutes } from './results.ts'
import { serviceRoutes } from './services.ts'
import { siteRoutes } from './sites.ts'
import { userRoutes } from './users.ts'
import { webhookRoutes } from './webhooks.ts'

export const NOUNS: readonly ((app: App, platform: Platform) => void)[] = [
  meRoutes,
  partyRoutes,
  userRoutes,
  apiKeyRoutes,
  eventRoutes,
  webhookRoutes,
  claimRoutes,
  poolRoutes,
  protectionRoutes,
  siteRoutes,
  catalogueRoutes,
  orderRoutes,
  serviceRoutes,
  billingRoutes,
  resultRoutes,
  nodeRoutes,
  cdnRoutes,
  meterRoutes,
]
