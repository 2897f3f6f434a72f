/** Writes `docs/openapi.json`, the API's description as of this checkout: `node bin/run.mjs bin/openapi.ts`. */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describeApi } from '../src/api/server.ts'

writeFileSync(fileURLToPath(new URL('../docs/openapi.json', import.meta.url)), await describeApi())
