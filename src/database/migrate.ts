/**
 * Migrations: plain SQL files in order, forward only. Each runs once in a transaction of its own; what has run is kept
 * with its checksum, and a program older than its database, or one whose files were changed afterwards, refuses to start.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WrongState } from '../core/errors.ts'
import type { Database } from './connection.ts'

const FOLDER = fileURLToPath(new URL('./migrations', import.meta.url))
/** One migrating process at a time; the number is arbitrary but fixed. */
const LOCK = 7_250_391

export interface Migration {
  name: string
  checksum: string
  text: string
}

/** The migrations that this program knows, in order. */
export const knownMigrations = (folder: string = FOLDER): Migration[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((file) => {
      const text = readFileSync(join(folder, file), 'utf8')
      return { name: file.slice(0, -4), checksum: createHash('sha256').update(text).digest('hex'), text }
    })

/**
 * Brings the database to this program's version and returns the names of what was run.
 * @throws WrongState when the database is newer than the program, or a migration that has run reads differently now.
 */
export async function migrate(database: Database, migrations: Migration[] = knownMigrations()): Promise<string[]> {
  await database.query(
    'create table if not exists migration (name text primary key, checksum text not null, applied_at timestamptz not null default now())',
  )
  const ran: string[] = []
  for (;;) {
    const name = await database.transaction(async (sql) => {
      await sql.query('select pg_advisory_xact_lock($1)', [LOCK])
      const applied = await sql.query<{ name: string; checksum: string }>(
        'select name, checksum from migration order by name',
      )
      const next = nextMigration(applied, migrations)
      if (!next) return null
      await sql.query(next.text)
      await sql.query('insert into migration (name, checksum) values ($1, $2)', [next.name, next.checksum])
      return next.name
    })
    if (name === null) return ran
    ran.push(name)
  }
}

/** The first migration that has not run; null when all have. */
function nextMigration(applied: { name: string; checksum: string }[], known: Migration[]): Migration | null {
  const byName = new Map(known.map((migration) => [migration.name, migration]))
  for (const { name, checksum } of applied) {
    const migration = byName.get(name)
    if (!migration)
      throw new WrongState(
        `The database has migration ${name}, which this program does not know: it is newer. Update Izumi.`,
      )
    if (migration.checksum !== checksum)
      throw new WrongState(
        `Migration ${name} was changed after it ran on this database. Restore the file; add a new migration instead.`,
      )
  }
  const done = new Set(applied.map(({ name }) => name))
  return known.find((migration) => !done.has(migration.name)) ?? null
}
