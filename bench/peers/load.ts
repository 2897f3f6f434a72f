/** wrk on its own core against a server on another: requests, CPU of the server for each, and times. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cpuMs } from '../measure.ts'
import type { Target } from './caches.ts'

export interface Sample {
  perSecond: number
  cpuMicroseconds: number
  p50Ms: number
  p99Ms: number
  /** Answers that were no success, and broken connections. */
  bad: number
}

/** `wrk` writes 12.3us, 4.5ms or 1.2s. */
function milliseconds(text: string | undefined): number {
  const found = /([\d.]+)(us|ms|s|m)/.exec(text ?? '')
  if (!found) return Number.NaN
  return Number(found[1]) * ({ us: 0.001, ms: 1, s: 1_000, m: 60_000 } as Record<string, number>)[found[2]!]!
}

export interface Load {
  core: number
  seconds: number
  connections: number
  /** Each connection waits so long between an answer and its next request; 0: none. */
  pauseMs?: number
  fields?: string[]
  /** A wrk script of one's own. */
  script?: string
}

export async function wrk(target: Target, url: string, folder: string, load: Load): Promise<Sample> {
  const script = join(folder, `pause-${load.pauseMs ?? 0}.lua`)
  if (load.pauseMs) writeFileSync(script, `function delay() return ${load.pauseMs} end\n`)
  const args = ['-c', String(load.core), 'wrk', '-t1', `-c${load.connections}`, `-d${load.seconds}s`, '--latency']
  for (const field of load.fields ?? []) args.push('-H', field)
  if (load.script) args.push('-s', load.script)
  else if (load.pauseMs) args.push('-s', script)
  const before = target.processes.reduce((sum, id) => sum + cpuMs(id), 0)
  const child = spawn('taskset', [...args, url], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await new Promise((resolve) => child.on('close', resolve))
  const used = target.processes.reduce((sum, id) => sum + cpuMs(id), 0) - before
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0)
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+)/.exec(text)?.slice(1).map(Number) ?? []
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    cpuMicroseconds: requests === 0 ? Number.NaN : (used * 1_000) / requests,
    p50Ms: milliseconds(/50%\s+(\S+)/.exec(text)?.[1]),
    p99Ms: milliseconds(/99%\s+(\S+)/.exec(text)?.[1]),
    bad: Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0) + broken.reduce((sum, each) => sum + each, 0),
  }
}
