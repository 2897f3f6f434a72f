/** A fail-over of a site with 1,000 protected claims, and back: how long, and whether capacity is what it was. */
import { rmSync } from 'node:fs'
import { auditCapacity } from '../src/capacity/audit.ts'
import { openCapacityEngine } from '../src/capacity/engine.ts'
import { endFailOver, failOver } from '../src/capacity/fail-over.ts'
import { makeParty, makeSites } from '../src/capacity/fixtures.ts'
import { FOREVER } from '../src/core/time.ts'
import { openDatabase } from '../src/database/connection.ts'
import { startEmbedded } from '../src/database/embedded.ts'
import { SYSTEM } from '../src/database/events.ts'
import { migrate } from '../src/database/migrate.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { compare, median } from './measure.ts'

const KINDS = ['rack-units', 'power', 'area', 'ports']
const ROUNDS = 5

export async function bench(options: string[]): Promise<void> {
  const at = options.indexOf('--claims')
  const claims = at < 0 ? 1_000 : Number(options[at + 1])
  const folder = process.env.DATABASE_URL ? null : temporaryFolder('izumi-failover-')
  const embedded = folder ? await startEmbedded(folder) : null
  const database = openDatabase(embedded?.url ?? process.env.DATABASE_URL!)
  await migrate(database)
  const partyId = await makeParty(database, 'bench')
  const { siteIds } = await makeSites(database, { sites: 6, kinds: KINDS, units: claims * 4 })
  const engine = await openCapacityEngine(database)
  // Protected services at five sites share the standby of the sixth.
  const standby = siteIds[5]!
  await Promise.all(
    Array.from({ length: claims * 2 }, (_, index) => {
      const siteId = siteIds[index < claims ? 0 : 1 + (index % 4)]!
      return engine.claim({
        partyId,
        from: Date.now(),
        to: FOREVER,
        lines: KINDS.flatMap((kind) => [
          { siteId, kind, quantity: 1_000, type: 'firm' as const },
          { siteId: standby, kind, quantity: 1_000, type: 'standby' as const, protectsSiteId: siteId },
        ]),
        mode: 'firm',
        actor: SYSTEM,
      })
    }),
  )
  const free = async () => (await engine.availability(standby, Date.now(), FOREVER)).map((pool) => pool.free).join(' ')
  const before = await free()
  const by = { actor: SYSTEM, partyId }
  console.log(
    `${claims} protected claims, ${claims * KINDS.length} standby reservations at one site shared with four others`,
  )
  for (const mode of ['drill', 'real'] as const) {
    const over: number[] = []
    const back: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      let began = performance.now()
      const failed = await failOver(engine, siteIds[0]!, mode, by)
      over.push(performance.now() - began)
      if (failed.activated !== claims) throw new Error(`only ${failed.activated} of ${claims} were activated`)
      began = performance.now()
      await endFailOver(engine, failed.id, by)
      back.push(performance.now() - began)
      if ((await free()) !== before) throw new Error('capacity is not what it was before')
    }
    console.log(
      `${mode}: over ${median(over).toFixed(0)} ms (${Math.min(...over).toFixed(0)}–${Math.max(...over).toFixed(0)}), back ${median(back).toFixed(0)} ms`,
    )
    compare(`fail-over of ${claims} claims, ${mode}, ms`, median(over), null, { back: Math.round(median(back)) })
  }
  const audit = await auditCapacity(database)
  console.log(audit.ok ? 'audit: nothing oversold' : `AUDIT FOUND: ${JSON.stringify(audit.findings.slice(0, 5))}`)
  await engine.close()
  await database.close()
  await embedded?.stop()
  if (folder) rmSync(folder, { recursive: true, force: true })
}
