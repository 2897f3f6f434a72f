/**
 * Claims over HTTP through the real server: four kinds at one of 100 sites over a random window of 1 to 30 days. With 1
 * and 8 clients, 8 clients on one hot site, and again with a million live reservations. Beside it, where it is installed,
 * OpenStack Placement does its nearest: find candidates, then claim (`peers/placement.ts`).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Ask, KINDS, type Ready } from './capacity-server.ts'
import { type Connection, compare, cpuMs, type Load, load, summary } from './measure.ts'
import { startPlacement } from './peers/placement.ts'

const HOUR_MS = 3_600_000
const MILLION = 1_000_000

export async function bench(options: string[]): Promise<void> {
  const quick = options.includes('--quick')
  const repeats = quick ? 1 : 3
  const count = quick ? 2_000 : 10_000
  const child = fork(fileURLToPath(new URL('./capacity-server.ts', import.meta.url)), [], { stdio: 'inherit' })
  const [ready] = (await once(child, 'message')) as [Ready]
  console.log(`${'what'.padEnd(44)} claims/s (low–high)      p50 ms   p99 ms   CPU ms per claim: server, database`)

  const run = async (what: string, clients: number, hot: boolean, claims = count) => {
    const send = claimSender(ready, hot)
    await load(ready.url, clients, Math.min(claims, 2_000), send)
    const before = [cpuMs(child.pid!), ready.databaseProcess ? cpuMs(ready.databaseProcess, true) : 0]
    const loads: Load[] = []
    for (let repeat = 0; repeat < repeats; repeat++) loads.push(await load(ready.url, clients, claims, send))
    const done = claims * repeats
    const server = (cpuMs(child.pid!) - before[0]!) / done
    const database = ready.databaseProcess ? (cpuMs(ready.databaseProcess, true) - before[1]!) / done : Number.NaN
    const refused = loads.reduce(
      (sum, { statuses }) =>
        sum + Object.entries(statuses).reduce((n, [status, times]) => n + (status === '201' ? 0 : times), 0),
      0,
    )
    const line = summary(loads)
    print(what, line, `${server.toFixed(3)}, ${database.toFixed(3)}${refused ? `  (${refused} not 201)` : ''}`)
    return { ...line, server, database }
  }

  // The first claims of a process are decided by code that is not compiled yet.
  await load(ready.url, 8, count, claimSender(ready, false))
  const one = await run('1 client', 1, false, count / 4)
  const eight = await run('8 clients', 8, false)
  const many = await run('32 clients', 32, false)
  const hot = await run('8 clients on one hot site', 8, true)
  let full: typeof eight | null = null
  if (!quick || options.includes('--million')) {
    await ask(child, { reservations: MILLION })
    full = await run('8 clients, a million live reservations', 8, false)
  }
  const audit = (await ask(child, 'audit')) as { ok: boolean; findings: unknown[] }
  console.log(audit.ok ? 'audit: nothing oversold' : `AUDIT FOUND: ${JSON.stringify(audit.findings.slice(0, 5))}`)
  child.send('stop' satisfies Ask)
  await once(child, 'exit')

  const peer = options.includes('--no-peer') ? null : await peerRates(quick)
  compare('capacity, 1 client, claims/s', one.perSecond, peer?.one ?? null, { p50: one.p50, p99: one.p99 })
  compare('capacity, 8 clients, claims/s', eight.perSecond, peer?.eight ?? null, { p50: eight.p50, p99: eight.p99 })
  compare('capacity, 32 clients, claims/s', many.perSecond, null, { p50: many.p50, p99: many.p99 })
  compare('capacity, 8 clients on one site, claims/s', hot.perSecond, peer?.hot ?? null, { p50: hot.p50, p99: hot.p99 })
  if (peer) compare('capacity, the claim alone at 8 clients, claims/s', eight.perSecond, peer.claim)
  if (full)
    compare('capacity, a million live reservations, claims/s', full.perSecond, null, {
      p50: full.p50,
      p99: full.p99,
      slowerPercent: Math.round((1 - full.perSecond / eight.perSecond) * 1_000) / 10,
    })
}

/** Sends one claim; the answer's status. */
function claimSender({ secret, sites }: Ready, hot: boolean): (connection: Connection) => Promise<number> {
  const headers = { authorization: `Bearer ${secret}` }
  return async (connection) => {
    const site = sites[hot ? 0 : Math.floor(Math.random() * sites.length)]!
    const from = (Math.floor(Date.now() / HOUR_MS) + 1 + Math.floor(Math.random() * 3_600)) * HOUR_MS
    const to = from + (24 + Math.floor(Math.random() * 696)) * HOUR_MS
    const units = 1 + Math.floor(Math.random() * 8)
    const body = JSON.stringify({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      lines: KINDS.map((kind, index) => ({ site, kind, quantity: units * [1, 5, 3, 1][index]! })),
    })
    return (await connection.request('POST', '/api/v1/claims', headers, body)).status
  }
}

async function ask(child: ChildProcess, what: Ask): Promise<unknown> {
  child.send(what)
  const [answer] = await once(child, 'message')
  return answer
}

/** Pairs of "find candidates" and "claim" per second, or null where Placement is not installed. */
async function peerRates(quick: boolean): Promise<{ one: number; eight: number; hot: number; claim: number } | null> {
  const placement = await startPlacement()
  if (!placement) {
    console.log(
      'OpenStack Placement is not installed (Debian: placement-api uwsgi-plugin-python3 postgresql); no peer.',
    )
    return null
  }
  try {
    const pairs = quick ? 40 : 200
    const run = async (what: string, clients: number, send: (connection: Connection) => Promise<number>) => {
      await load(placement.url, clients, Math.ceil(pairs / 4), send, false)
      const loads: Load[] = []
      for (let repeat = 0; repeat < (quick ? 1 : 3); repeat++)
        loads.push(await load(placement.url, clients, pairs, send, false))
      const line = summary(loads)
      print(what, line, JSON.stringify(loads.at(-1)!.statuses))
      return line.perSecond
    }
    return {
      one: await run('Placement: find + claim, 1 client', 1, placement.pair(false)),
      eight: await run('Placement: find + claim, 8 clients', 8, placement.pair(false)),
      hot: await run('Placement: find + claim, 8 on one provider', 8, placement.pair(true)),
      claim: await run('Placement: claim alone, 8 clients', 8, placement.claim),
    }
  } finally {
    await placement.stop()
  }
}

function print(what: string, line: ReturnType<typeof summary>, rest: string): void {
  const rate = `${line.perSecond.toFixed(0)} (${line.low.toFixed(0)}–${line.high.toFixed(0)})`
  console.log(
    `${what.padEnd(44)} ${rate.padEnd(24)} ${line.p50.toFixed(2).padStart(6)} ${line.p99.toFixed(2).padStart(8)}   ${rest}`,
  )
}
