/** Every noun of the API, one line each. */
import { apiKeyRoutes } from './api-keys.ts'
import type { App } from './app.ts'
import { claimRoutes } from './claims.ts'
import { meRoutes } from './me.ts'
import { partyRoutes } from './parties.ts'
import type { Platform } from './platform.ts'
import { poolRoutes } from './pools.ts'
import { protectionRoutes } from './protection.ts'
import { siteRoutes } from './sites.ts'
import { userRoutes } from './users.ts'

export const NOUNS: readonly ((app: App, platform: Platform) => void)[] = [
  meRoutes,
  partyRoutes,
  userRoutes,
  apiKeyRoutes,
  claimRoutes,
  poolRoutes,
  protectionRoutes,
  siteRoutes,
]
