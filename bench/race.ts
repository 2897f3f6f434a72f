/** The race for the last units in full: 16 clients × 40 attempts on pools of 20, over one engine and several processes. */
import { rmSync } from 'node:fs'
import { auditCapacity } from '../src/capacity/audit.ts'
import { openDatabase } from '../src/database/connection.ts'
import { startEmbedded } from '../src/database/embedded.ts'
import { migrate } from '../src/database/migrate.ts'
import { race, UNITS } from '../test/race.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { compare } from './measure.ts'

const option = (options: string[], name: string, usual: number): number => {
  const at = options.indexOf(`--${name}`)
  return at < 0 ? usual : Number(options[at + 1])
}

export async function bench(options: string[]): Promise<void> {
  const rounds = option(options, 'rounds', 50)
  const folder = process.env.DATABASE_URL ? null : temporaryFolder('izumi-race-')
  const embedded = folder ? await startEmbedded(folder) : null
  const database = openDatabase(embedded?.url ?? process.env.DATABASE_URL!)
  await migrate(database)
  const [{ version } = { version: '?' }] = await database
    .query<{ version: string }>('show server_version', [])
    .then((rows) => rows.map((row) => ({ version: (row as unknown as { server_version: string }).server_version })))
  let wrong = 0
  for (const processes of [0, option(options, 'processes', 4)]) {
    const began = performance.now()
    const results = await race(database, { processes, clients: 16, attempts: 40, rounds })
    const sold = results.map((round) => round.sold)
    const bad = results.filter((round) => round.sold !== UNITS || round.reserved !== UNITS || round.failed.length > 0)
    wrong += bad.length
    console.log(
      `PostgreSQL ${version}, ${processes === 0 ? 'one engine' : `${processes} processes`}: ${rounds} rounds of 640 attempts in ${((performance.now() - began) / 1_000).toFixed(1)} s, sold ${Math.min(...sold)} to ${Math.max(...sold)} of ${UNITS}`,
    )
    for (const round of bad.slice(0, 3)) console.log(JSON.stringify(round))
    compare(
      `race, ${processes === 0 ? 'one engine' : `${processes} processes`}, most sold of ${UNITS}`,
      Math.max(...sold),
      null,
    )
  }
  const audit = await auditCapacity(database)
  console.log(audit.ok ? 'audit: nothing oversold' : `AUDIT FOUND: ${JSON.stringify(audit.findings.slice(0, 5))}`)
  await database.close()
  await embedded?.stop()
  if (folder) rmSync(folder, { recursive: true, force: true })
  if (wrong > 0 || !audit.ok) process.exit(1)
}
