/**
 * The race for the last units: many clients at once against pools that hold 20, through one engine or through several
 * processes on one database. Whatever the interleaving, exactly 20 are sold.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { openCapacityEngine } from '../src/capacity/engine.ts'
import { makeParty, makeSites } from '../src/capacity/fixtures.ts'
import { CapacityExhausted } from '../src/core/errors.ts'
import { newId } from '../src/core/ids.ts'
import { FOREVER } from '../src/core/time.ts'
import { type Database, openDatabase } from '../src/database/connection.ts'
import { SYSTEM } from '../src/database/events.ts'

export const UNITS = 20

/** What one racing process is told: which pool of the prepared site to storm, how, and for whom. */
interface Storm {
  siteId: number
  partyId: string
  clients: number
  attempts: number
}

/** How one process fared. */
interface Tally {
  sold: number
  refused: number
  failed: string[]
}

/** `clients` loops of `attempts` claims of one unit each, all at once, on one engine. */
async function storm(
  engine: Awaited<ReturnType<typeof openCapacityEngine>>,
  { siteId, partyId, clients, attempts }: Storm,
): Promise<Tally> {
  const tally: Tally = { sold: 0, refused: 0, failed: [] }
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let attempt = 0; attempt < attempts; attempt++) {
        try {
          await engine.claim({
            partyId,
            from: Date.now(),
            to: FOREVER,
            lines: [{ siteId, kind: 'race', quantity: 1_000, type: 'firm' }],
            mode: 'firm',
            actor: SYSTEM,
          })
          tally.sold++
        } catch (error) {
          if (error instanceof CapacityExhausted) tally.refused++
          else tally.failed.push(String(error))
        }
      }
    }),
  )
  return tally
}

/** One round's outcome: what clients were told, and what the database holds. */
export interface Round {
  sold: number
  refused: number
  reserved: number
  failed: string[]
}

/** Runs rounds, each on a fresh pool of 20 units; `processes` 0 races inside this process. */
export async function race(
  database: Database,
  options: { processes: number; clients: number; attempts: number; rounds: number },
): Promise<Round[]> {
  const code = newId()
  const [operator] = await database.query<{ id: string }>(`select id from party where kind = 'operator'`)
  const partyId = await makeParty(database, `race-${code}`, operator?.id ?? (await makeParty(database, `op-${code}`)))
  const { siteIds } = await makeSites(database, {
    sites: options.rounds,
    kinds: ['race'],
    units: UNITS,
    prefix: `race-${code}-`,
  })
  const engine = await openCapacityEngine(database)
  const workers = await Promise.all(Array.from({ length: options.processes }, () => startWorker(database.url)))
  const rounds: Round[] = []
  for (const siteId of siteIds) {
    const { clients, attempts } = options
    const tallies =
      workers.length === 0
        ? [await storm(engine, { siteId, partyId, clients, attempts })]
        : await Promise.all(
            workers.map((worker) =>
              ask(worker, { siteId, partyId, clients: Math.ceil(clients / workers.length), attempts }),
            ),
          )
    const [{ reserved } = { reserved: -1 }] = await database.query<{ reserved: number }>(
      `select coalesce(sum(r.quantity), 0)::float8 / 1000 as reserved
       from reservation r join pool p on p.id = r.pool_id where p.site_id = $1`,
      [siteId],
    )
    rounds.push({
      sold: tallies.reduce((sum, tally) => sum + tally.sold, 0),
      refused: tallies.reduce((sum, tally) => sum + tally.refused, 0),
      failed: tallies.flatMap((tally) => tally.failed),
      reserved,
    })
  }
  await engine.close()
  for (const worker of workers) worker.kill()
  return rounds
}

async function startWorker(url: string): Promise<ChildProcess> {
  const worker = fork(fileURLToPath(import.meta.url), ['worker'], { env: { ...process.env, RACE_DATABASE_URL: url } })
  await once(worker, 'message')
  return worker
}

async function ask(worker: ChildProcess, task: Storm): Promise<Tally> {
  worker.send(task)
  const [tally] = await once(worker, 'message')
  return tally as Tally
}

// As a child: an engine of its own on the same database.
if (process.argv[2] === 'worker' && process.send) {
  const database = openDatabase(process.env.RACE_DATABASE_URL!, { connections: 3 })
  const engine = await openCapacityEngine(database)
  process.on('message', (task: Storm) => void storm(engine, task).then((tally) => process.send!(tally)))
  process.on('disconnect', () => process.exit(0))
  process.send('ready')
}
