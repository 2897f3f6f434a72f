/** Every noun of the API, one line each. */
import type { App } from './app.ts'
import { partyRoutes } from './parties.ts'
import type { Platform } from './platform.ts'

export const NOUNS: readonly ((app: App, platform: Platform) => void)[] = [partyRoutes]
