/**
 * Runs http-tests/cache-tests against an edge: the suite's own origin server and its own client, with the edge between them.
 * Counts as the suite does, dependencies honoured; tests for browsers are left out.
 */
import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { startEdge } from '../../src/edge/main.ts'

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))

export interface Tally {
  passed: number
  total: number
}
export interface Score {
  required: Tally
  optimal: Tally
  check: Tally
  misses: { id: string; kind: string; why: string }[]
}

interface SuiteTest {
  id: string
  kind?: string
  browser_only?: boolean
}
type Results = Record<string, true | [string, string]>

/** `suite`: a checkout of the suite; null: the cut on npm, which is years older and lacks CDN-Cache-Control and 1xx. */
export async function runCacheTests(suite: string | null, only = ''): Promise<Score & { output: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-cache-tests-'))
  const root = join(folder, 'suite')
  cpSync(suite ?? join(modules, 'http-cache-tests'), root, {
    recursive: true,
    filter: (from) => !/\/(\.git|results|docker)$/.test(from),
  })
  symlinkSync(modules, join(folder, 'node_modules'))
  const engine = existsSync(join(root, 'test-engine')) ? join(root, 'test-engine') : root
  const port = await freePort()
  const environment = (base: string) => ({
    ...process.env,
    npm_config_protocol: 'http',
    npm_config_port: String(port),
    npm_config_pidfile: join(folder, 'pid'),
    npm_config_base: base,
    npm_config_id: only,
    npm_package_config_id: '',
  })
  const origin = spawn(process.execPath, [join(engine, 'server/server.mjs')], {
    cwd: root,
    env: environment(''),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    await new Promise<void>((resolve, reject) => {
      origin.stdout.on('data', (chunk: Buffer) => chunk.includes('Listening') && resolve())
      origin.once('exit', () => reject(new Error('the origin of the suite did not start')))
    })
    // As `izumi edge --config` runs: both ways in, with the settings of a cache that follows its clients' wishes too.
    const config = join(folder, 'edge.yaml')
    writeFileSync(config, CONFIG.replace('PORT', String(port)))
    const edge = await startEdge({ file: config }, { listen: '127.0.0.1:0', admin: false })
    try {
      const output = await run(join(engine, 'cli.mjs'), root, environment(edge.addresses.http[0]!))
      if (only !== '') return { ...NOTHING, output }
      const results = JSON.parse(output.slice(output.indexOf('{'))) as Results
      return { ...(await count(root, engine, results)), output }
    } finally {
      await edge.close()
    }
  } finally {
    origin.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const CONFIG = `
properties:
  - name: suite
    hosts: ['*']
    origin: http://localhost:PORT
    caching:
      obeyRequestDirectives: true
      targetedFields: [cdn-cache-control, surrogate-control]
`

const none = (): Tally => ({ passed: 0, total: 0 })
const NOTHING: Score = { required: none(), optimal: none(), check: none(), misses: [] }

async function count(root: string, engine: string, results: Results): Promise<Score> {
  const load = (path: string) => import(pathToFileURL(path).href)
  const judgeFile = join(engine, existsSync(join(engine, 'lib/results.mjs')) ? 'lib/results.mjs' : 'lib/display.mjs')
  const { determineTestResult } = await load(judgeFile)
  const suites: { tests: SuiteTest[] }[] = [...(await load(join(root, 'tests/index.mjs'))).default]
  const surrogate = join(root, 'tests/surrogate-control.mjs')
  if (existsSync(surrogate)) {
    const extra = (await load(surrogate)).default
    if (!suites.includes(extra)) suites.push(extra)
  }
  const score: Score = { required: none(), optimal: none(), check: none(), misses: [] }
  for (const { tests } of suites)
    for (const test of tests) {
      if (test.browser_only) continue
      const kind = (test.kind ?? 'required') as 'required' | 'optimal' | 'check'
      const symbol: string = determineTestResult(suites, test.id, results)[2]
      const passed = symbol === '✅' || symbol === 'Y'
      score[kind].total++
      if (passed) score[kind].passed++
      else {
        const result = results[test.id]
        const why = Array.isArray(result)
          ? result.join(': ')
          : result === true
            ? 'a test it depends on failed'
            : 'not run'
        score.misses.push({ id: test.id, kind, why })
      }
    }
  return score
}

function run(file: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn(process.execPath, ['--no-warnings', file], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  return new Promise((resolve, reject) =>
    child.once('exit', (code) => (code === 0 ? resolve(output) : reject(new Error(`the suite ended with ${code}`)))),
  )
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
