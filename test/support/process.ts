/**
 * A whole Izumi as its own process, the way people run it: for fault, end-to-end and browser tests. Ready when it
 * answers; nothing here waits for a fixed time.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from './folder.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const READY_TIMEOUT_MS = 90_000

export interface TestServer {
  url: string
  dataFolder: string
  /** What the process has printed so far. */
  output(): string
  /** Ends the process at once, as a power cut would; PostgreSQL goes on. */
  kill(): Promise<void>
  /** Sends a signal so many times and waits for the process to end. */
  signal(name: NodeJS.Signals, times: number): Promise<void>
  /** Starts it again on the same data and port. */
  start(): Promise<void>
  /** Stops it as a person would, and removes the data. */
  stop(): Promise<void>
}

/** Ports that no system gives out by itself: between finding one free and its use nobody else gets it by chance. */
const PORTS = { first: 20_000, count: 12_000 }

/** A port that is free now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

/** Starts `src/main.ts` on a free port and an empty data folder, or one that is given. */
export async function startServer(
  options: { demo?: boolean; environment?: Record<string, string>; dataFolder?: string } = {},
): Promise<TestServer> {
  const dataFolder = options.dataFolder ?? temporaryFolder('izumi-server-')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  let child: ChildProcess | null = null
  let printed = ''

  const exited = (process: ChildProcess) =>
    process.exitCode !== null || process.signalCode !== null
      ? Promise.resolve()
      : new Promise<void>((resolve) => process.once('exit', () => resolve()))

  const start = async () => {
    const started = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', MAIN, ...(options.demo ? ['--demo'] : [])],
      {
        env: {
          ...process.env,
          DATABASE_URL: '',
          IZUMI_PORT: String(port),
          IZUMI_DATA: dataFolder,
          ...options.environment,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    child = started
    started.stdout.on('data', (chunk: Buffer) => (printed += chunk))
    started.stderr.on('data', (chunk: Buffer) => (printed += chunk))
    const deadline = Date.now() + READY_TIMEOUT_MS
    for (;;) {
      if (started.exitCode !== null) throw new Error(`The server ended while starting:\n${printed.slice(-4_000)}`)
      const ready = await fetch(`${url}/api/v1/set-up`).then(
        (response) => response.ok,
        () => false,
      )
      if (ready) return
      if (Date.now() > deadline) throw new Error(`The server did not become ready:\n${printed.slice(-4_000)}`)
      await pause(50)
    }
  }
  await start()

  return {
    url,
    dataFolder,
    output: () => printed,
    start,
    async signal(name, times) {
      for (let sent = 0; sent < times; sent++) child?.kill(name)
      if (child) await exited(child)
    },
    async kill() {
      child?.kill('SIGKILL')
      if (child) await exited(child)
    },
    async stop() {
      child?.kill('SIGTERM')
      if (child) await exited(child)
      if (!options.dataFolder) rmSync(dataFolder, { recursive: true, force: true })
    },
  }
}
