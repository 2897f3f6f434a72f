/**
 * A whole CDN for tests, of real processes: control-plane processes over one database, and edges that join them as the
 * command does. Ready when each says so; nothing here waits for a fixed time.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Database } from '../../../src/database/connection.ts'
import { testDatabase } from '../../support/database.ts'
import { temporaryFolder } from '../../support/folder.ts'
import { freePort } from '../../support/process.ts'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const NODE = fileURLToPath(new URL('./run-node.ts', import.meta.url))
const COMPILED = fileURLToPath(new URL('../../../node_modules/.cache/izumi', import.meta.url))
/** No program takes near this long to start. */
const READY_MS = 60_000

/** A program that is started, killed and started again. */
export interface Program {
  readonly pid: number
  output(): string
  start(): Promise<void>
  kill(): Promise<void>
  stop(): Promise<void>
}

function program(
  args: () => string[],
  environment: Record<string, string>,
  isReady: (output: string) => boolean | Promise<boolean>,
): Program {
  let child: ChildProcess | null = null
  let printed = ''
  const ended = async () => {
    const running = child
    if (running && running.exitCode === null && running.signalCode === null)
      await new Promise<void>((resolve) => running.once('exit', () => resolve()))
  }
  return {
    get pid() {
      return child!.pid!
    },
    output: () => printed,
    async start() {
      printed = ''
      const started = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args()], {
        env: { ...process.env, NODE_COMPILE_CACHE: COMPILED, ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = started
      started.stdout.on('data', (chunk: Buffer) => (printed += chunk))
      started.stderr.on('data', (chunk: Buffer) => (printed += chunk))
      const deadline = Date.now() + READY_MS
      while (!(await isReady(printed))) {
        if (started.exitCode !== null) throw new Error(`It ended while starting:\n${printed.slice(-4_000)}`)
        if (Date.now() > deadline) throw new Error(`It did not become ready:\n${printed.slice(-4_000)}`)
        await pause(20)
      }
    },
    async kill() {
      child?.kill('SIGKILL')
      await ended()
    },
    async stop() {
      child?.kill('SIGTERM')
      await ended()
    },
  }
}

export interface EdgeProgram extends Program {
  readonly name: string
  /** Its data folder. */
  readonly data: string
  /** Where it serves. */
  readonly http: string
  /** One request for a host. */
  get(
    host: string,
    path: string,
  ): Promise<{ status: number; body: string; headers: Record<string, string | string[] | undefined> }>
}

export interface Origin {
  url: string
  /** What it answers; `requests` counts. */
  body: string
  requests: number
  close(): void
}

/** A web server whose answers may be kept for an hour and carry the tag `all`. */
export async function startOrigin(): Promise<Origin> {
  const origin: Origin = { url: '', body: 'first', requests: 0, close: () => server.close() }
  const server: Server = createServer((request, response) => {
    origin.requests++
    response.writeHead(200, { 'cache-control': 'max-age=3600', 'cache-tag': `all,${request.url!.slice(1)}` })
    response.end(`${origin.body} ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  origin.url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  return origin
}

export function get(base: string, host: string, path: string) {
  const { hostname, port } = new URL(base)
  return new Promise<Awaited<ReturnType<EdgeProgram['get']>>>((resolve, reject) => {
    const sent = httpRequest({ hostname, port, path, headers: { host } }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode!, body, headers: response.headers }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}

export interface World {
  planes: (Program & { url: string })[]
  edges: EdgeProgram[]
  /** One request to a control-plane process, as the operator unless a key is given. */
  call(
    method: string,
    path: string,
    body?: unknown,
    options?: { plane?: number; key?: string; headers?: Record<string, string> },
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  ): Promise<{ status: number; body: any }>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  ok(method: string, path: string, body?: unknown, options?: { plane?: number; key?: string }): Promise<any>
  database: Database
  addEdge(name: string, site: string, more?: Record<string, unknown>, addresses?: string[]): Promise<EdgeProgram>
  /** A request router; answers at the address. */
  addDns(name: string, site: string): Promise<Program & { address: string }>
  /** Orders a property for a customer and waits until it is live. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  order(party: string, property: Record<string, unknown>, sites?: 'everywhere' | string[]): Promise<any>
  close(): Promise<void>
}

/** Starts control-plane processes over one fresh database, sets the operator up and furnishes sites with edge bandwidth. */
export async function startWorld(options: {
  planes: number
  sites: string[]
  /** Migrated and empty; one for the test file unless given. */
  database?: Database
}): Promise<World> {
  const database = options.database ?? (await testDatabase())
  const folder = temporaryFolder('izumi-cdn-')
  const planes: World['planes'] = []
  for (let index = 0; index < options.planes; index++) {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const plane = program(
      () => [MAIN],
      { DATABASE_URL: database.url, IZUMI_PORT: String(port), IZUMI_CDN_PRIVATE_ORIGINS: '1' },
      () =>
        fetch(`${url}/api/v1/set-up`).then(
          (response) => response.ok,
          () => false,
        ),
    )
    planes.push(Object.assign(plane, { url }))
  }
  await Promise.all(planes.map((plane) => plane.start()))

  let operatorKey = ''
  const call: World['call'] = async (method, path, body, { plane = 0, key, headers } = {}) => {
    const response = await fetch(`${planes[plane]!.url}/api/v1${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        authorization: `Bearer ${key ?? operatorKey}`,
        'if-match': '*',
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text) }
  }
  const ok: World['ok'] = async (method, path, body, more) => {
    const answer = await call(method, path, body, more)
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  const owner = { name: 'Owner', email: 'owner@example.net', password: 'correct horse battery' }
  const setUp = await fetch(`${planes[0]!.url}/api/v1/set-up`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ operator: { code: 'operator', name: 'Test Operator' }, owner }),
  })
  const cookie = setUp.headers.get('set-cookie')!.split(';')[0]!
  const made = await fetch(`${planes[0]!.url}/api/v1/api-keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie, origin: planes[0]!.url },
    body: JSON.stringify({ name: 'test', role: 'owner', scopes: ['*'] }),
  })
  operatorKey = ((await made.json()) as { secret: string }).secret
  for (const site of options.sites) {
    await ok('POST', '/sites', { code: site, name: site })
    await ok('POST', '/pools', { site, kind: 'edge-bandwidth', name: 'Edge bandwidth', quantity: 10_000 })
  }
  await ok('POST', '/offerings', { code: 'cdn', family: 'cdn', name: 'CDN', defaults: {}, state: 'active' })

  const edges: EdgeProgram[] = []
  const others: Program[] = []
  const urls = planes.map(({ url }) => url).join(',')
  return {
    planes,
    edges,
    call,
    ok,
    database,
    async addEdge(name, site, more = {}, addresses = []) {
      const { token } = await ok('POST', '/node-tokens', { kind: 'edge', name, site, addresses })
      const data = join(folder, name)
      const addressOf = (output: string) => /^\{.*"http".*\}$/m.exec(output)?.[0]
      const started = program(
        () => [
          NODE,
          JSON.stringify({
            kind: 'edge',
            join: urls,
            token,
            data,
            listen: '127.0.0.1:0',
            memory: '16 MB',
            workers: '1',
            usageMs: 100,
            json: true,
            ...more,
          }),
        ],
        {},
        (output) => addressOf(output) !== undefined,
      )
      await started.start()
      const edge: EdgeProgram = {
        ...started,
        get pid() {
          return started.pid
        },
        name,
        data,
        get http() {
          return (JSON.parse(addressOf(started.output())!) as { http: string[] }).http[0]!
        },
        get: (host, path) => get(edge.http, host, path),
      }
      edges.push(edge)
      edges.sort((a, b) => (a.name < b.name ? -1 : 1))
      return edge
    },
    async addDns(name, site) {
      const { token } = await ok('POST', '/node-tokens', { kind: 'dns', name, site })
      const options = {
        kind: 'dns',
        join: urls,
        token,
        data: join(folder, name),
        listen: '127.0.0.1:0',
        workers: '1',
        json: true,
      }
      const addressOf = (output: string) => /^\{.*"dns".*\}$/m.exec(output)?.[0]
      const started = program(
        () => [NODE, JSON.stringify(options)],
        {},
        (output) => addressOf(output) !== undefined,
      )
      await started.start()
      others.push(started)
      return {
        ...started,
        get pid() {
          return started.pid
        },
        get address() {
          return (JSON.parse(addressOf(started.output())!) as { dns: string[] }).dns[0]!
        },
      }
    },
    async order(party, property, sites = 'everywhere') {
      const order = await ok('POST', '/orders', {
        party,
        offering: 'cdn',
        // As far back as a start may lie: usage of the slot before this one is its own too.
        from: new Date(Date.now() - 295_000).toISOString(),
        config: { property, sites, reserved: [{ site: options.sites[0], bandwidth: 100 }] },
      })
      const deadline = Date.now() + 15_000
      for (;;) {
        const { status, body } = await call('GET', `/cdn/properties/${order.serviceId}`)
        if (status === 200 && body.state === 'live' && body.complete) return body
        assert.ok(Date.now() < deadline, `not live: ${JSON.stringify(body)}`)
        await pause(20)
      }
    },
    async close() {
      await Promise.all([...edges, ...others].map((node) => node.kill()))
      await Promise.all(planes.map((plane) => plane.kill()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Asks again and again, with a breath in between, until the answer is yes. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await pause(25)
}
