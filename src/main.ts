/**
 * `npm start` and `npm run demo`: puts Izumi together and runs it. Database first (embedded, or `DATABASE_URL`), then
 * migrations, the capacity engine, the demonstration if asked for, what runs in the background, and the server. It stops
 * in the opposite order, and the next start after a crash is like any other.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { serveMetrics } from './api/metrics.ts'
import type { Platform } from './api/platform.ts'
import { buildServer } from './api/server.ts'
import { serveSite } from './api/site.ts'
import { type Background, startBackground } from './background.ts'
import { openCapacityEngine } from './capacity/engine.ts'
import { type Database, isDatabaseAway, openDatabase } from './database/connection.ts'
import { type EmbeddedPostgres, startEmbedded } from './database/embedded.ts'
import { migrate } from './database/migrate.ts'
import { DEMO_ACCOUNTS, demoState, seedDemo } from './demo/seed.ts'
import { FAMILIES } from './families.ts'
import { oidcFromEnvironment } from './parties/oidc.ts'
import { findOperator } from './parties/store.ts'

const PORTAL = fileURLToPath(new URL('../portal/dist', import.meta.url))
const CONNECTIONS = 20
const OLDEST_POSTGRES = 150_000
/** How long a database of one's own may take to answer at the start. */
const DATABASE_PATIENCE_MS = 60_000
/** How long a stop may take before the program ends anyway. */
const STOP_PATIENCE_MS = 20_000

/** Signals closer together than this are one. */
const SAME_SIGNAL_MS = 1_000

/** A start that cannot go on, with the sentence to print. */
class CannotStart extends Error {}

const say = (line: string) => process.stdout.write(`${line}\n`)

const HELP = `Izumi: sell and run Internet services on demand.

  npm start        your own Izumi; the first visit sets it up
  npm run demo     the demonstration provider, in a data folder of its own

Environment
  IZUMI_PORT (8080), IZUMI_HOST (127.0.0.1)   where it listens
  IZUMI_PUBLIC_URL                            where people reach it, behind a proxy for instance
  IZUMI_TRUST_PROXY=1                         believe the client addresses that the proxy tells
  IZUMI_DATA (./data, ./data/demo)            the data folder
  DATABASE_URL                                a PostgreSQL 15 or later instead of the embedded one
  IZUMI_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET, _NAME   single sign-on
  IZUMI_WEBHOOK_PRIVATE=1                     let webhooks go to private addresses
  IZUMI_CDN_PRIVATE_ORIGINS=1                 let CDN properties fetch from private networks
  IZUMI_METRICS=public                        answer /metrics to other machines
  IZUMI_LOG (warn)                            what is logged to standard error: debug, info, warn, error`

interface Settings {
  demo: boolean
  host: string
  port: number
  publicUrl: string
  dataFolder: string
  databaseUrl: string | null
}

function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings {
  const unknown = args.find((arg) => arg !== '--demo')
  if (unknown !== undefined) throw new CannotStart(`${unknown} is not known. ${HELP}`)
  const demo = args.includes('--demo')
  const host = env.IZUMI_HOST || '127.0.0.1'
  const port = Number(env.IZUMI_PORT || 8080)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new CannotStart(`IZUMI_PORT is ${JSON.stringify(env.IZUMI_PORT)}; it must be a port from 1 to 65535.`)
  const shownHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  const publicUrl = (env.IZUMI_PUBLIC_URL || `http://${shownHost}:${port}`).replace(/\/+$/, '')
  if (!URL.canParse(publicUrl) || !/^https?:$/.test(new URL(publicUrl).protocol))
    throw new CannotStart(`IZUMI_PUBLIC_URL is ${JSON.stringify(publicUrl)}; it must be an http or https address.`)
  return {
    demo,
    host,
    port,
    publicUrl,
    dataFolder: env.IZUMI_DATA || (demo ? 'data/demo' : 'data'),
    databaseUrl: env.DATABASE_URL || null,
  }
}

const portInUse = (port: number) =>
  new CannotStart(
    `Port ${port} is in use. Stop the program that has it, or choose another port: IZUMI_PORT=${port + 1} npm start`,
  )

/** Finds out before anything is started whether the port is free. */
function requireFreePort(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? portInUse(port)
          : new CannotStart(`Cannot listen at ${host}:${port}: ${error.message}.`),
      ),
    )
    probe.listen(port, host, () => probe.close(() => resolve()))
  })
}

/** Waits for a database to answer and refuses one that is too old. */
async function requireDatabase(database: Database): Promise<void> {
  const deadline = Date.now() + DATABASE_PATIENCE_MS
  for (let told = false; ; ) {
    try {
      const [row] = await database.query<{ number: number; version: string }>(
        `select current_setting('server_version_num')::int as number, current_setting('server_version') as version`,
      )
      if (row!.number < OLDEST_POSTGRES)
        throw new CannotStart(`The database is PostgreSQL ${row!.version}; Izumi needs PostgreSQL 15 or later.`)
      return
    } catch (error) {
      if (!isDatabaseAway(error) || Date.now() > deadline)
        throw error instanceof CannotStart
          ? error
          : new CannotStart(`The database of DATABASE_URL cannot be used: ${(error as Error).message}`)
      if (!told) say('Waiting for the database of DATABASE_URL…')
      told = true
      await pause(500)
    }
  }
}

/** Fills the demonstration on its first start; tells what a folder that holds something else can be used for. */
async function prepareDemo(platform: Platform, dataFolder: string): Promise<void> {
  const state = await demoState(platform)
  if (state === 'ready') return
  if (state === 'other')
    throw new CannotStart(
      `${dataFolder} holds a demonstration whose first start was cut off, or an operator's own data. Remove the folder to begin anew, or choose another with IZUMI_DATA.`,
    )
  say('Filling the demonstration provider (first start only)…')
  let told = ''
  await seedDemo(platform, (what, part) => {
    const line = `  ${what.padEnd(10)} ${String(Math.round(part * 100)).padStart(3)} %`
    if (process.stdout.isTTY) process.stdout.write(`\r${line}`)
    else if (what !== told) say(line)
    told = what
  })
  if (process.stdout.isTTY) process.stdout.write('\n')
}

const isLoopback = (host: string) => /^(127\.|localhost$|::1$)/.test(host)

async function main(): Promise<void> {
  if (process.argv.includes('--help')) {
    say(HELP)
    return
  }
  const settings = readSettings(process.argv.slice(2), process.env)
  const log = pino({ level: process.env.IZUMI_LOG || 'warn', base: undefined }, pino.destination(2))
  const oidc = oidcFromEnvironment(process.env)
  await requireFreePort(settings.host, settings.port)

  // What is open, in order; a stop closes it from the end.
  const closing: { name: string; close: () => Promise<unknown> }[] = []
  const closeAll = async () => {
    for (const { name, close } of closing.reverse())
      await close().catch((error) => log.error({ err: error }, `could not close ${name}`))
  }
  let stopping = false
  let stoppedAt = 0
  const stop = (signal: NodeJS.Signals) => {
    // Ctrl-C reaches this process twice: from the terminal, and passed on by the launcher. A second one that a person
    // sends ends it at once.
    if (stopping && Date.now() - stoppedAt < SAME_SIGNAL_MS) return
    if (stopping) process.exit(1)
    stopping = true
    stoppedAt = Date.now()
    say(`\nStopping (${signal})…`)
    setTimeout(() => process.exit(1), STOP_PATIENCE_MS).unref()
    closeAll().then(() => process.exit(0))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)

  try {
    let embedded: EmbeddedPostgres | null = null
    if (settings.databaseUrl === null) {
      embedded = await startEmbedded(settings.dataFolder, { adopt: true })
      closing.push({ name: 'PostgreSQL', close: embedded.stop })
    }
    const database = openDatabase(embedded?.url ?? settings.databaseUrl!, { connections: CONNECTIONS })
    closing.push({ name: 'the database', close: database.close })
    await requireDatabase(database)
    const ran = await migrate(database).catch((error: Error & { code?: string }) => {
      if (error.code !== '42501') throw error
      throw new CannotStart(
        `The database user may not do what Izumi needs (${error.message}). Let it own the database and create roles: alter role NAME createrole; alter database NAME owner to NAME.`,
      )
    })
    if (ran.length > 0) say(`Database brought to ${ran.at(-1)}.`)

    const capacity = await openCapacityEngine(database)
    closing.push({ name: 'the capacity engine', close: () => capacity.close() })
    const platform: Platform = {
      database,
      capacity,
      families: FAMILIES,
      log,
      clock: Date.now,
      publicUrl: settings.publicUrl,
      oidc,
      privateWebhooks: process.env.IZUMI_WEBHOOK_PRIVATE === '1',
      trustProxy: process.env.IZUMI_TRUST_PROXY === '1',
    }
    if (settings.demo) {
      await prepareDemo(platform, settings.dataFolder)
      platform.demo = DEMO_ACCOUNTS.map(({ name, email, password }) => ({ name, email, password }))
    }
    const needsSetUp = !settings.demo && (await findOperator(database)) === null
    if (needsSetUp && !isLoopback(settings.host)) platform.setUpCode = randomBytes(6).toString('hex')

    const server = await buildServer(platform)
    closing.push({ name: 'the server', close: () => server.close() })
    serveMetrics(server, process.env.IZUMI_METRICS === 'public')
    await serveSite(server, join(PORTAL))
    const background: Background = startBackground(platform)
    closing.push({ name: 'the background', close: background.stop })
    if (stopping) return
    await server.listen({ host: settings.host, port: settings.port })
    announce(settings, platform, needsSetUp)
  } catch (error) {
    if (stopping) return
    await closeAll()
    // Two started in the same instant: the one that listens second hears of it here.
    throw (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? portInUse(settings.port) : error
  }
}

function announce({ publicUrl, demo }: Settings, platform: Platform, needsSetUp: boolean): void {
  say(`\nIzumi is at ${publicUrl}`)
  if (demo) {
    say('\nSign in as')
    const width = Math.max(...DEMO_ACCOUNTS.map(({ email }) => email.length))
    for (const { name, email, password } of DEMO_ACCOUNTS) say(`  ${email.padEnd(width)}  ${password}  (${name})`)
  } else if (needsSetUp) {
    say('\nOpen it to set it up.')
    if (platform.setUpCode) say(`Set-up code: ${platform.setUpCode}`)
  }
  say(`\nAPI reference: ${publicUrl}/api    Stop with Ctrl-C.`)
}

main().catch((error: Error) => {
  process.stderr.write(`${error instanceof CannotStart ? error.message : (error.stack ?? error.message)}\n`)
  process.exit(1)
})
