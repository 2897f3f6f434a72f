/**
 * One way to PostgreSQL. `query` and `transaction` run as the owner, for background work and sign-in; `asTenant` runs a
 * request's work under row-level security, so that a party sees only its own rows and those of the parties below it.
 *
 * What the driver returns is set once, here: `int8` is a bigint, `numeric` and `date` are strings, `timestamptz` is an
 * `Instant` (milliseconds, with `infinity` as `Infinity`). Store code casts to `float8` where it wants a plain number.
 */
import pg from 'pg'
import { BadInput, Overloaded, WrongState } from '../core/errors.ts'
import { FOREVER, type Instant } from '../core/time.ts'

/** Something that runs statements: the pool, or one transaction. */
export interface Sql {
  /** Runs one statement and returns its rows. `name` makes it a prepared statement, kept by each connection. */
  query<Row>(text: string, values?: readonly unknown[], name?: string): Promise<Row[]>
}

export interface Database extends Sql {
  /** The address that was opened; secrets included, so never log it. */
  readonly url: string
  readonly pool: pg.Pool
  /** Runs `work` in one transaction as the owner; rolls back when it throws. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** Runs `work` in one transaction under the row-level security of `partyId`. */
  asTenant<T>(partyId: string, work: (sql: Sql) => Promise<T>): Promise<T>
  close(): Promise<void>
}

const INT8 = 20
const DATE = 1082
const TIMESTAMPTZ = 1184
const NUMERIC = 1700

/** `2026-11-24 08:45:09.123456+00` (sessions run in UTC) to milliseconds. */
export function parseTimestamp(text: string): Instant {
  if (text === 'infinity') return FOREVER
  if (text === '-infinity') return Number.NEGATIVE_INFINITY
  return Date.parse(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
}

const parsers = new Map<number, (text: string) => unknown>([
  [INT8, BigInt],
  [DATE, String],
  [NUMERIC, String],
  [TIMESTAMPTZ, parseTimestamp],
])

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    parsers.get(oid) ?? pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
}

/** An instant as a statement's parameter: ISO 8601, or `infinity`. */
export const sqlInstant = (instant: Instant): string =>
  instant === FOREVER
    ? 'infinity'
    : instant === Number.NEGATIVE_INFINITY
      ? '-infinity'
      : new Date(instant).toISOString()

/** What stands in an array literal without quotes, and is not the word for null. */
const BARE = /^(?!null$)[\w.:+-]+$/i

/**
 * Values as one array parameter, in the text that PostgreSQL reads. The driver would escape every element twice over;
 * most of ours (identifiers, codes, numbers) need no quotes at all, and writes of thousands of rows feel it.
 */
export function sqlArray(values: readonly (string | number | bigint | boolean | null | undefined)[]): string {
  let text = '{'
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (index > 0) text += ','
    if (value == null) text += 'null'
    else if (typeof value !== 'string') text += value
    else text += BARE.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
  }
  return `${text}}`
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function statements(client: pg.Pool | pg.PoolClient): Sql {
  return {
    async query<Row>(text: string, values?: readonly unknown[], name?: string) {
      try {
        const result = await client.query({ text, values: values as unknown[], ...(name ? { name } : {}) })
        return result.rows as Row[]
      } catch (error) {
        throw translated(error)
      }
    },
  }
}

/** Codes of a server that is away or going away (SQLSTATE class 08, 57P0x) and of sockets that broke. */
const AWAY = new Set([
  '57P01',
  '57P02',
  '57P03',
  '08000',
  '08003',
  '08006',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
])

/** The database's disk is full (disk_full, could not write a file). */
const DISK_FULL = new Set(['53100', '58030'])

/** Whether an error says that the database could not be reached, as against having refused the statement. */
export function isDatabaseAway(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string }
  return (
    error instanceof Overloaded ||
    AWAY.has(code ?? '') ||
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      message ?? '',
    )
  )
}

/** Turns what PostgreSQL says about a request's data into a refusal; everything else stays as it is. */
function translated(error: unknown): unknown {
  const { code, constraint, detail } = error as pg.DatabaseError
  if (isDatabaseAway(error))
    return new Overloaded('The database is restarting. Nothing was changed; try again in a moment.')
  if (DISK_FULL.has(code ?? ''))
    return new Overloaded('There is no room left on the disk of the database. Nothing was changed; try again later.')
  if (code === '23505') return new WrongState(`This already exists: ${detail ?? constraint}`, { constraint })
  if (code === '23503')
    return new WrongState(`This refers to something that is not there or is still in use: ${detail ?? constraint}`, {
      constraint,
    })
  if (code === '22021' || code === '22P05')
    return new BadInput('/', 'the text holds a character that cannot be stored', 'text without NUL')
  return error
}

/** Opens a pool of connections to a PostgreSQL that is up. */
export function openDatabase(url: string, options: { connections?: number } = {}): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.connections ?? 10,
    types,
    connectionTimeoutMillis: 10_000,
    // Statements issued one behind the other are sent without waiting for the answer in between.
    pipeline: true,
    options: '-c TimeZone=UTC -c statement_timeout=600000 -c idle_in_transaction_session_timeout=600000',
    application_name: 'izumi',
  })
  // A connection that breaks while idle is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => {})
  // Likewise one that breaks between two statements of a transaction: the next statement says so.
  pool.on('connect', (client) => client.on('error', () => {}))

  async function inTransaction<T>(begin: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    let client: pg.PoolClient
    try {
      client = await pool.connect()
    } catch (error) {
      throw translated(error)
    }
    let broken: Error | undefined
    let over = false
    try {
      await client.query(begin)
      const sql = statements(client)
      const result = await work({
        query(text, values, name) {
          if (over) return Promise.reject(new Error('This transaction is over: nothing more can be done in it.'))
          return sql.query(text, values, name)
        },
      })
      over = true
      await client.query('commit')
      return result
    } catch (error) {
      over = true
      if (isDatabaseAway(error)) broken = error as Error
      else await client.query('rollback').catch((problem: Error) => (broken = problem))
      throw translated(error)
    } finally {
      client.release(broken)
    }
  }

  return {
    ...statements(pool),
    url,
    pool,
    transaction: (work) => inTransaction('begin', work),
    asTenant: (partyId, work) => {
      if (!UUID.test(partyId)) throw new BadInput('/party', `${partyId} is not an identifier`, 'a UUID')
      return inTransaction(`begin; set local role izumi_tenant; set local izumi.party = '${partyId}'`, work)
    },
    close: () => pool.end(),
  }
}
