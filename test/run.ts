/**
 * `npm test`: starts one PostgreSQL for all test files, runs them with Node's test runner, and ends with the plain line
 * `N passed, N failed`. Arguments choose files: `npm test -- src/capacity` runs what lies under that path.
 */
import { spawn } from 'node:child_process'
import { globSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startEmbedded } from '../src/database/embedded.ts'
import { prepareTemplate } from './support/database.ts'
import { temporaryFolder } from './support/folder.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const CONCURRENCY = 2
/** No test takes near this long: one that does hangs, and is ended and told of. */
const TIMEOUT_MS = 180_000

const wanted = process.argv.slice(2)
const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts', 'portal/**/*.test.ts'], { cwd: root })
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()

const folder = temporaryFolder('izumi-test-')
const embedded = process.env.IZUMI_TEST_DATABASE_URL ? null : await startEmbedded(folder)
const url = embedded?.url ?? process.env.IZUMI_TEST_DATABASE_URL!
await prepareTemplate(url)

const child = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    '--test',
    `--test-concurrency=${CONCURRENCY}`,
    `--test-timeout=${TIMEOUT_MS}`,
    '--test-reporter=spec',
    ...files,
  ],
  { cwd: root, env: { ...process.env, IZUMI_TEST_DATABASE_URL: url }, stdio: ['ignore', 'pipe', 'inherit'] },
)
let tail = ''
child.stdout.on('data', (chunk: Buffer) => {
  process.stdout.write(chunk)
  tail = (tail + chunk.toString()).slice(-20_000)
})
const code = await new Promise<number>((resolve) => child.on('exit', (status) => resolve(status ?? 1)))
await embedded?.stop()
rmSync(folder, { recursive: true, force: true })

const count = (name: string) => Number(new RegExp(`^. ${name} (\\d+)$`, 'm').exec(tail)?.[1] ?? 0)
const failed = count('fail') + count('cancelled')
console.log(`${count('pass')} passed, ${failed || (code === 0 ? 0 : 1)} failed`)
process.exit(code)
