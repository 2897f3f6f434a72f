/**
 * A whole server in a process of its own, for benchmarks: embedded PostgreSQL (or `DATABASE_URL`), 100 sites with four
 * kinds each, the real HTTP API. Sends its address, key and sites to the parent, and does what the parent asks.
 */
import { rmSync } from 'node:fs'
import { pino } from 'pino'
import type { Platform } from '../src/api/platform.ts'
import { buildServer } from '../src/api/server.ts'
import { auditCapacity } from '../src/capacity/audit.ts'
import { openCapacityEngine } from '../src/capacity/engine.ts'
import { makeParty, makeSites } from '../src/capacity/fixtures.ts'
import { hashSecret, newId, newSecret } from '../src/core/ids.ts'
import { openDatabase } from '../src/database/connection.ts'
import { startEmbedded } from '../src/database/embedded.ts'
import { migrate } from '../src/database/migrate.ts'
import { temporaryFolder } from '../test/support/folder.ts'

export const KINDS = ['rack-units', 'power', 'area', 'ports']
const SITES = 100
const UNITS = 100_000_000

/** What the child says when it is ready. */
export interface Ready {
  url: string
  secret: string
  sites: string[]
  databaseProcess: number | null
}

/** What the parent may ask: a number of live reservations to be there, the audit, an end. */
export type Ask = { reservations: number } | 'audit' | 'stop'

if (process.send) {
  const folder = process.env.DATABASE_URL ? null : temporaryFolder('izumi-bench-')
  const embedded = folder ? await startEmbedded(folder) : null
  const database = openDatabase(embedded?.url ?? process.env.DATABASE_URL!)
  await migrate(database)
  const partyId = await makeParty(database, `bench-${newId()}`)
  const { siteIds } = await makeSites(database, { sites: SITES, kinds: KINDS, units: UNITS })
  const secret = newSecret('izumi')
  await database.query(
    `insert into api_key (id, party_id, name, secret_hash, role, scopes) values ($1, $2, 'bench', $3, 'owner', '{*}')`,
    [newId(), partyId, hashSecret(secret)],
  )
  const capacity = await openCapacityEngine(database)
  const platform = {
    database,
    capacity,
    log: pino({ level: 'error' }),
    clock: Date.now,
    publicUrl: 'http://127.0.0.1',
  } as unknown as Platform
  const server = await buildServer(platform)
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  process.on('message', async (ask: Ask) => {
    if (ask === 'stop') {
      await server.close()
      await capacity.close()
      await database.close()
      await embedded?.stop()
      if (folder) rmSync(folder, { recursive: true, force: true })
      process.exit(0)
    } else if (ask === 'audit') process.send!(await auditCapacity(database))
    else {
      await fill(ask.reservations)
      process.send!('filled')
    }
  })
  process.on('disconnect', () => process.exit(1))
  const sites = siteIds.map((_, index) => `site-${index + 1}`)
  process.send({ url, secret, sites, databaseProcess: embedded?.processId() ?? null } satisfies Ready)

  /** Writes live reservations, four to a claim, spread over all pools; half of them open-ended. */
  async function fill(count: number): Promise<void> {
    await database.transaction(async (sql) => {
      await sql.query('update pool set version = version + 1, reload_version = version + 1')
      await sql.query(
        `with wish as (
           select gen_random_uuid() as id, n, (array(select id from site order by id))[1 + n % $3::integer] as site,
             now() - random() * interval '30 days' as starts, now() + interval '1 hour' + random() * interval '180 days' as ends
           from generate_series(1, $2::integer / 4) n),
         made as (
           insert into claim (id, party_id, state, starts_at, ends_at, change_id)
           select id, $1, 'active', starts, case when n % 2 = 0 then ends else 'infinity' end, id from wish returning id, starts_at, ends_at)
         insert into reservation (claim_id, part, line, pool_id, quantity, type, starts_at, ends_at, born_version, pool_version)
         select m.id, row_number() over (partition by m.id), row_number() over (partition by m.id), p.id, 1000, 'firm',
           m.starts_at, m.ends_at, p.version, p.version
         from made m join wish w using (id) join pool p on p.site_id = w.site`,
        [partyId, count, SITES],
      )
    })
    await database.query('vacuum analyze claim, reservation')
    await database.query('checkpoint')
  }
}
