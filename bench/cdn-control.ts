/**
 * How fast the CDN's control plane is: a version active on every edge, a purge confirmed by every edge, measured from
 * before the API call to its answer; first with real edges and two control-plane processes, then with simulated feeds
 * (the node's own code with nothing behind it) on one. CPU and memory are of the control-plane process.
 */
import { fork } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Database, openDatabase } from '../src/database/connection.ts'
import { startEmbedded } from '../src/database/embedded.ts'
import { migrate } from '../src/database/migrate.ts'
import { startOrigin, startWorld, type World } from '../test/cdn/support/world.ts'
import { temporaryFolder } from '../test/support/folder.ts'

const FEEDS = fileURLToPath(new URL('./peers/feeds.ts', import.meta.url))
const HOST = 'www.shop.example'
/** USER_HZ of Linux. */
const TICKS_PER_SECOND = 100

const quantile = (sorted: readonly number[], part: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]!

function print(what: string, times: number[]): void {
  const sorted = times.sort((a, b) => a - b)
  const of = (part: number) => `${quantile(sorted, part).toFixed(0)} ms`
  console.log(`${what.padEnd(46)} n ${sorted.length}  p50 ${of(0.5)}  p90 ${of(0.9)}  p99 ${of(0.99)}  most ${of(1)}`)
}

async function timed(times: number, work: (round: number) => Promise<{ complete: boolean }>): Promise<number[]> {
  const took: number[] = []
  for (let round = 0; round < times; round++) {
    const started = performance.now()
    const { complete } = await work(round)
    took.push(performance.now() - started)
    if (!complete) throw new Error('not every edge confirmed')
  }
  return took
}

/** CPU seconds and resident bytes of a process. */
function costOf(pid: number): { cpuSeconds: number; bytes: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  const bytes = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1_024
  return { cpuSeconds: (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND, bytes }
}

async function furnish(world: World, origin: string) {
  await world.ok('POST', '/parties', { kind: 'customer', code: 'shop', name: 'Shop' })
  await world.ok('POST', '/offerings/cdn/prices', {
    currency: 'JPY',
    effectiveFrom: '2026-01-01T00:00:00Z',
    charges: [{ kind: 'monthly', name: 'Basic', price: '1000' }],
  })
  const ordered = performance.now()
  const property = await world.order('shop', { name: 'shop', hosts: [HOST], origin })
  console.log(`${'order until live on every edge'.padEnd(46)} ${(performance.now() - ordered).toFixed(0)} ms`)
  return property
}

const purgeOf = (world: World) => (round: number) =>
  world.ok(
    'POST',
    '/cdn/purges',
    { url: `https://${HOST}/${round}`, waitSeconds: 30 },
    { plane: round % world.planes.length },
  )

async function activations(world: World, property: { id: string }, origin: string, times: number): Promise<number[]> {
  const numbers: number[] = []
  for (let round = 0; round < times; round++) {
    const config = { name: 'shop', hosts: [HOST], origin, caching: { ttl: 60 + round } }
    numbers.push((await world.ok('POST', `/cdn/properties/${property.id}/versions`, { config })).number)
  }
  return timed(times, (round) =>
    world.ok(
      'POST',
      `/cdn/properties/${property.id}/versions/${numbers[round]}/activate`,
      { waitSeconds: 30 },
      { plane: round % world.planes.length },
    ),
  )
}

export async function bench(options: string[]): Promise<void> {
  const { values } = parseArgs({
    args: options,
    options: {
      purges: { type: 'string', default: '300' },
      activations: { type: 'string', default: '100' },
      feeds: { type: 'string', default: '200' },
    },
  })
  const purges = Number(values.purges)
  await withDatabase((database) => realEdges(database, purges, Number(values.activations)))
  for (const feeds of values.feeds.split(',').map(Number))
    await withDatabase((database) => simulated(database, feeds, purges))
}

/** A database of its own for one part of the benchmark. */
async function withDatabase(work: (database: Database) => Promise<void>): Promise<void> {
  const folder = temporaryFolder('izumi-bench-')
  const embedded = await startEmbedded(folder)
  const database = openDatabase(embedded.url)
  try {
    await migrate(database)
    await work(database)
  } finally {
    await database.close()
    await embedded.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function realEdges(database: Database, purges: number, times: number): Promise<void> {
  const world = await startWorld({ database, planes: 2, sites: ['tokyo-1', 'osaka-1'] })
  const origin = await startOrigin()
  try {
    for (let edge = 1; edge <= 5; edge++) await world.addEdge(`edge-${edge}`, edge % 2 ? 'tokyo-1' : 'osaka-1')
    const property = await furnish(world, origin.url)
    await timed(20, purgeOf(world))
    print('purge confirmed by 5 edges, 2 processes', await timed(purges, purgeOf(world)))
    print('version active on 5 edges, 2 processes', await activations(world, property, origin.url, times))
  } finally {
    await world.close()
    origin.close()
  }
}

async function simulated(database: Database, feeds: number, purges: number): Promise<void> {
  const world = await startWorld({ database, planes: 1, sites: ['tokyo-1', 'osaka-1'] })
  const before = costOf(world.planes[0]!.pid)
  const tokens: string[] = []
  for (let feed = 1; feed <= feeds; feed++) {
    const { token } = await world.ok('POST', '/node-tokens', { kind: 'edge', name: `feed-${feed}`, site: 'tokyo-1' })
    tokens.push(token)
  }
  const folder = temporaryFolder('izumi-feeds-')
  const child = fork(FEEDS, [], { execArgv: ['--disable-warning=ExperimentalWarning'] })
  try {
    const joined = performance.now()
    child.send({ url: world.planes[0]!.url, tokens, folder })
    await new Promise((resolve) => child.once('message', resolve))
    console.log(`\n${`${feeds} feeds enrolled and caught up`.padEnd(46)} ${(performance.now() - joined).toFixed(0)} ms`)
    const property = await furnish(world, 'http://127.0.0.1:9')
    await timed(10, purgeOf(world))
    const idle = costOf(world.planes[0]!.pid)
    const started = performance.now()
    print(`purge confirmed by ${feeds} feeds, 1 process`, await timed(purges, purgeOf(world)))
    const after = costOf(world.planes[0]!.pid)
    const cpuMs = (after.cpuSeconds - idle.cpuSeconds) * 1_000
    console.log(
      `${'  CPU of the control-plane process'.padEnd(46)} ${(cpuMs / purges).toFixed(1)} ms a purge, ${((cpuMs / purges / feeds) * 1_000).toFixed(0)} µs an edge; ${((cpuMs / (performance.now() - started)) * 100).toFixed(0)} % of a core`,
    )
    console.log(
      `${'  memory of the control-plane process'.padEnd(46)} ${(after.bytes / 1e6).toFixed(0)} MB, ${((after.bytes - before.bytes) / feeds / 1_000).toFixed(0)} KB an edge over ${(before.bytes / 1e6).toFixed(0)} MB without`,
    )
    print(
      `version active on ${feeds} feeds, 1 process`,
      await activations(world, property, 'http://127.0.0.1:9', Math.ceil(purges / 10)),
    )
    const pausedAt = costOf(world.planes[0]!.pid)
    await new Promise((resolve) => setTimeout(resolve, 20_000))
    const quiet = costOf(world.planes[0]!.pid)
    console.log(
      `${'  CPU while nothing happens'.padEnd(46)} ${((quiet.cpuSeconds - pausedAt.cpuSeconds) * 5).toFixed(1)} % of a core (${feeds} heartbeats in ten seconds)`,
    )
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await Promise.all([ended, world.close()])
    rmSync(folder, { recursive: true, force: true })
  }
}
