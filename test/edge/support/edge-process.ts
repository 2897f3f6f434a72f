/**
 * An edge as its own process, the way people run it, for tests that end it the hard way. Ready when its admin listener
 * answers; started again on the same folder it must find what it had.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./run-edge.ts', import.meta.url))
/** What was compiled is kept from run to run: an edge then starts in a third of the time. */
const COMPILED = fileURLToPath(new URL('../../../node_modules/.cache/izumi', import.meta.url))
/** No edge takes near this long to start. */
const READY_MS = 60_000

export interface EdgeProcess {
  readonly folder: string
  /** Where it serves and where it takes purges; new after each start. */
  readonly http: string
  readonly admin: string
  stats(): Promise<Record<string, number>>
  purge(selector: Record<string, unknown>): Promise<{ objects: number | null }>
  /** The most memory that the process ever had resident, in bytes. */
  peakBytes(): number
  /** Ends it as a power cut would. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends it for good and removes its folder. */
  stop(): Promise<void>
}

/** `config` is the edge.yaml as an object; listeners are on free ports. `prelude` is shell run before it (limits). */
export async function startEdgeProcess(config: Record<string, unknown>, prelude = ''): Promise<EdgeProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-'))
  const file = join(folder, 'edge.json')
  writeFileSync(file, JSON.stringify({ listen: { http: '127.0.0.1:0', admin: '127.0.0.1:0' }, ...config }))
  let child: ChildProcess | null = null
  let http = ''
  let admin = ''

  const ended = (process: ChildProcess) =>
    process.exitCode !== null || process.signalCode !== null
      ? Promise.resolve()
      : new Promise<void>((resolve) => process.once('exit', () => resolve()))

  const start = async () => {
    const started = spawn(
      'sh',
      ['-c', `${prelude} exec "$0" "$@"`, process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, file],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_COMPILE_CACHE: COMPILED } },
    )
    child = started
    let said = ''
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`The edge did not start:\n${said}`)), READY_MS)
      const take = (chunk: Buffer) => {
        said += chunk
        const line = /^\{"http".*\}$/m.exec(said)
        if (line === null) return
        const addresses = JSON.parse(line[0]) as { http: string[]; admin: string }
        http = addresses.http[0]!
        admin = addresses.admin
        clearTimeout(late)
        resolve()
      }
      started.stdout.on('data', take)
      started.stderr.on('data', take)
      started.once('exit', () => {
        clearTimeout(late)
        reject(new Error(`The edge ended while starting:\n${said}`))
      })
    })
  }
  await start()

  return {
    folder,
    get http() {
      return http
    },
    get admin() {
      return admin
    },
    start,
    stats: async () => (await (await fetch(`${admin}/health`)).json()) as Record<string, number>,
    purge: async (selector) => {
      const response = await fetch(`${admin}/purge`, { method: 'POST', body: JSON.stringify(selector) })
      if (!response.ok) throw new Error(await response.text())
      return (await response.json()) as { objects: number | null }
    },
    peakBytes: () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child!.pid}/status`, 'utf8'))![1]) * 1024,
    kill: async () => {
      child!.kill('SIGKILL')
      await ended(child!)
    },
    stop: async () => {
      child?.kill('SIGKILL')
      if (child) await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
