/**
 * Backup and restore without any tool but Izumi: one repeatable-read snapshot of every table as JSON lines, gzipped, taken
 * while everything runs. A backup names its migrations and their checksums and goes only into a database of exactly
 * those. Restoring is one transaction: all of it or nothing, with foreign keys taken off and put on again, so that the
 * database itself checks what was read.
 *
 *     {"izumi":1,"createdAt":…,"migrations":[…],"tables":[{"name","columns","rows"}…],"sequences":{…}}
 *     {"table":"party"}
 *     ["019…","operator",null,…]          one array of texts a row
 *     {"end":"party","rows":12}
 *     {"complete":true,"rows":123456}
 *
 * Transaction numbers mean nothing in another cluster: events come out as of one old transaction, in order of id, and
 * followers at the last id before anything they have not handled; at worst they handle a few again.
 */
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { WrongState } from '../core/errors.ts'
import type { Database, Sql } from './connection.ts'
import { migrate } from './migrate.ts'

const FORMAT = 1
/** Rows read, and rows written, at a time. */
const BATCH_ROWS = 2_000
/** The transaction that restored events are said to be of: older than any that runs. */
const OLD_TRANSACTION = '3'

export interface BackupProgress {
  table: string
  rows: number
  of: number
}

interface Table {
  name: string
  columns: { name: string; type: string }[]
  rows: number
}

interface Header {
  izumi: number
  createdAt: string
  migrations: { name: string; checksum: string }[]
  tables: { name: string; columns: string[]; rows: number }[]
  sequences: Record<string, { last: string; called: boolean }>
}

export interface BackupResult {
  tables: number
  rows: number
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Every table with its columns, in order of name; what migrations have run is in the header instead. */
async function tablesOf(sql: Sql): Promise<Table[]> {
  const columns = await sql.query<{ table: string; name: string; type: string }>(
    `select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
     where n.nspname = 'public' and c.relkind = 'r' and c.relname <> 'migration' and a.attnum > 0
       and not a.attisdropped and a.attgenerated = ''
     order by c.relname, a.attnum`,
  )
  const tables = new Map<string, Table>()
  for (const { table, name, type } of columns) {
    if (!tables.has(table)) tables.set(table, { name: table, columns: [], rows: 0 })
    tables.get(table)!.columns.push({ name, type })
  }
  return [...tables.values()]
}

const migrationsOf = (sql: Sql): Promise<Header['migrations']> =>
  sql.query('select name, checksum from migration order by name')

/** What stands for a column in a backup. */
function exported(table: string, column: string): string {
  if (table === 'event' && column === 'transaction') return `'${OLD_TRANSACTION}'`
  if (column === 'last_transaction') return `'${OLD_TRANSACTION}'`
  if (column === 'last_event_id')
    return `coalesce(
      (select min(e.id) - 1 from event e where (e.transaction, e.id) > (t.last_transaction, t.last_event_id)),
      (select max(id) from event), 0)::text`
  return `t.${quoted(column)}::text`
}

async function* lines(
  sql: Sql,
  header: Header,
  tables: readonly Table[],
  progress: (progress: BackupProgress) => void,
): AsyncGenerator<string> {
  yield `${JSON.stringify(header)}\n`
  let total = 0
  for (const table of tables) {
    yield `${JSON.stringify({ table: table.name })}\n`
    const columns = table.columns.map(({ name }) => exported(table.name, name)).join(', ')
    await sql.query(
      `declare backup_rows no scroll cursor for select array[${columns}] as row from ${quoted(table.name)} t`,
    )
    let rows = 0
    for (;;) {
      const batch = await sql.query<{ row: (string | null)[] }>(`fetch ${BATCH_ROWS} from backup_rows`)
      if (batch.length === 0) break
      rows += batch.length
      progress({ table: table.name, rows, of: table.rows })
      yield batch.map(({ row }) => `${JSON.stringify(row)}\n`).join('')
    }
    await sql.query('close backup_rows')
    total += rows
    yield `${JSON.stringify({ end: table.name, rows })}\n`
  }
  yield `${JSON.stringify({ complete: true, rows: total })}\n`
}

/**
 * Writes a backup of the whole database to a file, which is there whole or not at all.
 * @throws WrongState when the file exists
 */
export async function backUp(
  database: Database,
  file: string,
  progress: (progress: BackupProgress) => void = () => {},
): Promise<BackupResult> {
  if (existsSync(file)) throw new WrongState(`${file} exists already; choose another name.`)
  const part = `${file}.part`
  try {
    const result = await database.transaction(async (sql) => {
      await sql.query('set transaction isolation level repeatable read, read only')
      await sql.query('set local statement_timeout = 0')
      const tables = await tablesOf(sql)
      for (const table of tables) {
        const [count] = await sql.query<{ rows: number }>(`select count(*)::int as rows from ${quoted(table.name)}`)
        table.rows = count!.rows
      }
      const header: Header = {
        izumi: FORMAT,
        createdAt: new Date().toISOString(),
        migrations: await migrationsOf(sql),
        tables: tables.map(({ name, columns, rows }) => ({
          name,
          columns: columns.map((column) => column.name),
          rows,
        })),
        sequences: await sequencesOf(sql),
      }
      await pipeline(
        Readable.from(lines(sql, header, tables, progress)),
        createGzip({ level: 6 }),
        createWriteStream(part, { mode: 0o600 }),
      )
      return { tables: tables.length, rows: tables.reduce((sum, { rows }) => sum + rows, 0) }
    })
    const handle = await open(part, 'r')
    await handle.sync()
    await handle.close()
    renameSync(part, file)
    return result
  } catch (error) {
    rmSync(part, { force: true })
    throw error
  }
}

async function sequencesOf(sql: Sql): Promise<Header['sequences']> {
  const names = await sql.query<{ name: string }>(
    `select sequencename as name from pg_sequences where schemaname = 'public' order by 1`,
  )
  const sequences: Header['sequences'] = {}
  for (const { name } of names) {
    const [value] = await sql.query<{ last: string; called: boolean }>(
      `select last_value::text as last, is_called as called from ${quoted(name)}`,
    )
    sequences[name] = value!
  }
  return sequences
}

/** Reads a file line by line. @throws WrongState when it is no backup or is damaged */
async function* readLines(file: string): AsyncGenerator<unknown> {
  if (!existsSync(file)) throw new WrongState(`There is no file ${file}.`)
  const source = createReadStream(file)
  const unzipped = source.pipe(createGunzip())
  let problem: Error | null = null
  for (const stream of [source, unzipped])
    stream.on('error', (error) => {
      problem = error
      unzipped.destroy()
    })
  try {
    for await (const line of createInterface({ input: unzipped, crlfDelay: Number.POSITIVE_INFINITY }))
      yield JSON.parse(line)
  } catch (error) {
    problem ??= error as Error
  } finally {
    source.destroy()
  }
  if (problem !== null) throw new WrongState(`${file} is not a backup, or is damaged: ${(problem as Error).message}`)
}

/**
 * Fills an empty database from a backup: everything or, when anything is wrong, nothing.
 * @throws WrongState when the file is damaged, is of other migrations, or the database is not empty or in use
 */
export async function restore(
  database: Database,
  file: string,
  progress: (progress: BackupProgress) => void = () => {},
): Promise<BackupResult> {
  await migrate(database)
  const input = readLines(file)
  const header = (await input.next()).value as Header | undefined
  if (header?.izumi !== FORMAT) throw new WrongState(`${file} is not a backup that this Izumi can read.`)
  return database.transaction(async (sql) => {
    await sql.query('set local statement_timeout = 0')
    await requireEmpty(sql)
    requireSameMigrations(header.migrations, await migrationsOf(sql))
    const tables = new Map((await tablesOf(sql)).map((table) => [table.name, table]))
    const names = [...tables.keys()].map(quoted)
    const foreignKeys = await sql.query<{ table: string; name: string; definition: string }>(
      `select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as definition
       from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace order by 1, 2`,
    )
    for (const { table, name } of foreignKeys) await sql.query(`alter table ${table} drop constraint ${quoted(name)}`)
    await sql.query(`truncate ${names.join(', ')}`)
    for (const name of names) await sql.query(`alter table ${name} disable trigger user`)
    const rows = await load(sql, input, header, tables, file, progress)
    for (const name of names) await sql.query(`alter table ${name} enable trigger user`)
    for (const { table, name, definition } of foreignKeys)
      await sql.query(`alter table ${table} add constraint ${quoted(name)} ${definition}`)
    for (const [name, { last, called }] of Object.entries(header.sequences))
      await sql.query('select setval($1::regclass, $2::bigint, $3)', [`public.${quoted(name)}`, last, called])
    return { tables: header.tables.length, rows }
  })
}

async function requireEmpty(sql: Sql): Promise<void> {
  const [party] = await sql.query('select id from party limit 1')
  if (party) throw new WrongState('The database is not empty. Restore into a new data folder or a new database.')
  const [other] = await sql.query(
    `select pid from pg_stat_activity where datname = current_database() and application_name = 'izumi-listen' limit 1`,
  )
  if (other) throw new WrongState('An Izumi is running on this database. Stop it first.')
}

function requireSameMigrations(of: Header['migrations'], here: Header['migrations']): void {
  const text = (migrations: Header['migrations']) =>
    migrations.map(({ name, checksum }) => `${name} ${checksum}`).join('\n')
  if (text(of) !== text(here))
    throw new WrongState(
      `The backup is of another version (its last migration is ${of.at(-1)?.name}, here ${here.at(-1)?.name}). Restore it with the version that made it, then upgrade.`,
    )
}

/** Reads the rows into their tables and holds the counts to what the file says. */
async function load(
  sql: Sql,
  input: AsyncGenerator<unknown>,
  header: Header,
  tables: ReadonlyMap<string, Table>,
  file: string,
  progress: (progress: BackupProgress) => void,
): Promise<number> {
  const damaged = (what: string) => new WrongState(`${file} is damaged: ${what}. Nothing was restored.`)
  let current: { table: Table; columns: string[]; of: number } | null = null
  let batch: (string | null)[][] = []
  let rows = 0
  let total = 0
  const flush = async () => {
    if (!current || batch.length === 0) return
    const { table, columns, of } = current
    const types = new Map(table.columns.map(({ name, type }) => [name, type]))
    await sql.query(
      `insert into ${quoted(table.name)} (${columns.map(quoted).join(', ')}) overriding system value
       select ${columns.map((name, index) => `c${index}::${types.get(name)}`).join(', ')}
       from unnest(${columns.map((_, index) => `$${index + 1}::text[]`).join(', ')}) as u(${columns.map((_, index) => `c${index}`).join(', ')})`,
      columns.map((_, index) => batch.map((row) => row[index])),
    )
    rows += batch.length
    batch = []
    progress({ table: table.name, rows, of })
  }
  for await (const line of input) {
    if (Array.isArray(line)) {
      if (!current || line.length !== current.columns.length) throw damaged('a row is not where it belongs')
      batch.push(line)
      if (batch.length >= BATCH_ROWS) await flush()
      continue
    }
    const mark = line as { table?: string; end?: string; rows?: number; complete?: boolean }
    if (mark.table !== undefined) {
      const table = tables.get(mark.table)
      const listed = header.tables.find(({ name }) => name === mark.table)
      if (!table || !listed) throw damaged(`it has a table ${mark.table} that is not known`)
      current = { table, columns: listed.columns, of: listed.rows }
      rows = 0
    } else if (mark.end !== undefined) {
      await flush()
      const [count] = await sql.query<{ rows: number }>(`select count(*)::int as rows from ${quoted(mark.end)}`)
      if (rows !== mark.rows || count!.rows !== mark.rows)
        throw damaged(`${mark.end} has ${count!.rows} rows instead of ${mark.rows}`)
      total += rows
      current = null
    } else if (mark.complete) {
      if (mark.rows !== total) throw damaged(`it has ${total} rows instead of ${mark.rows}`)
      return total
    }
  }
  throw damaged('it ends early')
}
