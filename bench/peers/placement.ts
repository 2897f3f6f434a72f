/**
 * OpenStack Placement from Debian's `placement-api`, as its documentation runs it: uwsgi with four processes over
 * PostgreSQL (the one that comes with Izumi, in a folder of its own), without Keystone (`noauth2`). 100 resource
 * providers with four resource classes; a pair is "find candidates" then "claim on one of them", which is the nearest it
 * has to one claim of ours. It knows no time: a claim holds from now on.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../src/database/connection.ts'
import { startEmbedded } from '../../src/database/embedded.ts'
import type { Connection } from '../measure.ts'

const PROGRAM = '/usr/bin/placement-api'
const PORT = 18_779
const PROVIDERS = 100
const START_TIMEOUT_MS = 60_000
const HEADERS = { 'x-auth-token': 'admin', 'openstack-api-version': 'placement 1.38', accept: 'application/json' }
const ASKED = { VCPU: 1, MEMORY_MB: 5, DISK_GB: 3, CUSTOM_PORT: 1 }

export interface Placement {
  url: string
  /** Find candidates, then claim: all on one provider when `hot`, else on a random one of those found. */
  pair(hot: boolean): (connection: Connection) => Promise<number>
  /** The claim alone, on a random provider that is known beforehand. */
  claim(connection: Connection): Promise<number>
  stop(): Promise<void>
}

/** Starts it with its data; null where it is not installed. */
export async function startPlacement(): Promise<Placement | null> {
  if (!existsSync(PROGRAM) || spawnSync('uwsgi', ['--version']).status !== 0) return null
  const folder = mkdtempSync(join(tmpdir(), 'izumi-placement-'))
  const embedded = await startEmbedded(folder)
  const database = openDatabase(embedded.url, { connections: 1 })
  await database.query('create database placement')
  await database.close()
  // SQLAlchemy wants the folder of a socket behind the question mark.
  const { username, password, hostname, port } = new URL(embedded.url)
  const connection = `postgresql+psycopg2://${username}:${password}@/placement?host=${decodeURIComponent(hostname)}&port=${port}`
  writeFileSync(
    join(folder, 'placement.conf'),
    `[api]\nauth_strategy = noauth2\n[placement_database]\nconnection = ${connection}\n[DEFAULT]\ndebug = false\n`,
  )
  const sync = spawnSync('placement-manage', ['--config-file', join(folder, 'placement.conf'), 'db', 'sync'], {
    encoding: 'utf8',
  })
  if (sync.status !== 0) throw new Error(`placement-manage db sync failed: ${sync.stderr}`)
  const server: ChildProcess = spawn(
    'uwsgi',
    [
      '--plugin',
      'python3',
      '--http-socket',
      `127.0.0.1:${PORT}`,
      '--master',
      '--die-on-term',
      '--processes',
      '4',
      '--threads',
      '1',
      '--lazy-apps',
      '--disable-logging',
      '--wsgi-file',
      PROGRAM,
    ],
    { env: { ...process.env, OS_PLACEMENT_CONFIG_DIR: folder }, stdio: 'ignore' },
  )
  const url = `http://127.0.0.1:${PORT}`
  const stop = async () => {
    server.kill('SIGTERM')
    await new Promise((resolve) => (server.exitCode === null ? server.once('exit', resolve) : resolve(null)))
    await embedded.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const providers = await furnish(url)
    const query = `/allocation_candidates?limit=${PROVIDERS}&resources=${Object.entries(ASKED)
      .map((pair) => pair.join(':'))
      .join(',')}`
    const claimOn = async (connection: Connection, provider: string): Promise<number> => {
      const body = {
        allocations: { [provider]: { resources: ASKED } },
        consumer_generation: null,
        consumer_type: 'INSTANCE',
        project_id: 'bench',
        user_id: 'bench',
      }
      return (await connection.request('PUT', `/allocations/${randomUUID()}`, HEADERS, JSON.stringify(body))).status
    }
    const random = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)]!
    return {
      url,
      pair: (hot) => async (connection) => {
        const found = await connection.request('GET', query, HEADERS)
        const candidates = Object.keys(JSON.parse(found.body).provider_summaries)
        return claimOn(connection, hot ? providers[0]! : random(candidates))
      },
      claim: (connection) => claimOn(connection, random(providers)),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Waits until it answers, then makes the resource class and the providers with plenty of everything. */
async function furnish(url: string): Promise<string[]> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (
    !(await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    ))
  ) {
    if (Date.now() > deadline) throw new Error('Placement did not start.')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const send = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(url + path, {
      method,
      headers: { ...HEADERS, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  }
  await send('PUT', '/resource_classes/CUSTOM_PORT')
  const providers: string[] = []
  for (let index = 0; index < PROVIDERS; index++) {
    const uuid = randomUUID()
    await send('POST', '/resource_providers', { name: `site-${index}`, uuid })
    await send('PUT', `/resource_providers/${uuid}/inventories`, {
      resource_provider_generation: 0,
      inventories: Object.fromEntries(Object.keys(ASKED).map((name) => [name, { total: 1_000_000 }])),
    })
    providers.push(uuid)
  }
  return providers
}
