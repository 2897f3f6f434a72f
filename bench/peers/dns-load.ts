/** The load of `bench/dns.ts`: dnsperf, and for subnets that differ from query to query a sender of our own (dnsperf has one for all). */
import { execFile } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { promisify } from 'node:util'
import { cpuMs } from '../measure.ts'

const run = promisify(execFile)

export interface DnsSample {
  perSecond: number
  cpuMicroseconds: number
  /** Of those sent. */
  lostShare: number
}

export interface DnsLoad {
  port: number
  processId: number
  core: number
  seconds: number
  /** A file of `name type` lines. */
  queries: string
  /** More words for dnsperf: `-E` for a subnet, `-D` for DO. */
  more: string[]
}

/** Asks as fast as 100 queries under way allow. @throws when an answer has another code than NOERROR or NXDOMAIN */
export async function dnsperf({ port, processId, core, seconds, queries, more }: DnsLoad): Promise<DnsSample> {
  const before = cpuMs(processId)
  const { stdout } = await run('taskset', [
    '-c',
    String(core),
    'dnsperf',
    '-s',
    '127.0.0.1',
    '-p',
    String(port),
    '-d',
    queries,
    '-l',
    String(seconds),
    '-q',
    '100',
    '-c',
    '4',
    ...more,
  ])
  const cpu = cpuMs(processId) - before
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0)
  const completed = number(/Queries completed:\s+(\d+)/)
  const wrong = /Response codes:.*(SERVFAIL|REFUSED|FORMERR)/.exec(stdout)
  if (completed === 0 || wrong) throw new Error(`dnsperf on ${port}: ${stdout}`)
  return {
    perSecond: number(/Queries per second:\s+([\d.]+)/),
    cpuMicroseconds: (cpu * 1_000) / completed,
    lostShare: number(/Queries lost:\s+(\d+)/) / number(/Queries sent:\s+(\d+)/),
  }
}

const WINDOW = 100
/** An answer that takes longer is lost. */
const LOST_MS = 200

/** Sends so many queries, each another one of those given, 100 under way; CPU of the server an answer. */
export async function askAll(
  port: number,
  processId: number,
  queries: readonly Buffer[],
  count: number,
): Promise<DnsSample> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 })
  await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve))
  let sent = 0
  let answered = 0
  let last = performance.now()
  const before = cpuMs(processId)
  const started = last
  const send = () => {
    if (sent < count) socket.send(queries[sent++ % queries.length]!)
  }
  await new Promise<void>((resolve) => {
    const watch = setInterval(() => {
      if (performance.now() - last < LOST_MS) return
      // Those under way are lost: the window is filled anew, or it is the end.
      if (sent >= count) {
        clearInterval(watch)
        resolve()
      } else for (let each = 0; each < WINDOW; each++) send()
    }, LOST_MS / 4)
    socket.on('message', () => {
      answered++
      last = performance.now()
      send()
    })
    for (let each = 0; each < WINDOW; each++) send()
  })
  const cpu = cpuMs(processId) - before
  socket.close()
  return {
    perSecond: (answered * 1_000) / (last - started),
    cpuMicroseconds: (cpu * 1_000) / answered,
    lostShare: 1 - answered / count,
  }
}
