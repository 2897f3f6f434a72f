/**
 * Commands that work on the database itself, beside or without a running server: backup, restore, replay, import-samples. They open the
 * data folder as `npm start` does (joining its PostgreSQL when it runs), or `DATABASE_URL`.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, statSync } from 'node:fs'
import { issueMonth } from '../billing/issue.ts'
import { runBilling } from '../billing/run.ts'
import { WrongState } from '../core/errors.ts'
import { toIso } from '../core/time.ts'
import { backUp, restore } from '../database/backup.ts'
import { type Database, openDatabase } from '../database/connection.ts'
import { startEmbedded } from '../database/embedded.ts'
import { migrate } from '../database/migrate.ts'
import { FAMILIES } from '../families.ts'
import { findOperator } from '../parties/store.ts'
import { readOrders } from '../replay/orders-file.ts'
import {
  defaultStart,
  type Played,
  REPLAY,
  type ReplayResult,
  rememberedReplay,
  rememberReplay,
  replayId,
  replayOrders,
} from '../replay/replay.ts'
import { importHistory } from '../usage/history.ts'
import { BadWords, readInstant } from './input.ts'
import { type Progress, progressOf } from './progress.ts'
import { readerLocale, table, Writer } from './table.ts'

export interface LocalOptions {
  data?: string
  json?: boolean
}

const folderOf = (options: LocalOptions): string => options.data ?? process.env.IZUMI_DATA ?? 'data'

/** Runs work on the database of the data folder. `make` lets a folder that is not there be made. */
async function withDatabase<T>(
  options: LocalOptions,
  make: boolean,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const url = process.env.DATABASE_URL
  const folder = folderOf(options)
  if (!url && !make && !existsSync(folder))
    throw new BadWords(
      `There is no data folder ${folder}. Name it with --data (the demonstration's is data/demo), or set DATABASE_URL.`,
    )
  const embedded = url ? null : await startEmbedded(folder)
  const database = openDatabase(url ?? embedded!.url)
  try {
    return await work(database)
  } finally {
    await database.close()
    await embedded?.stop()
  }
}

const say = (options: LocalOptions, facts: unknown, text: string): void => {
  process.stdout.write(options.json ? `${JSON.stringify(facts, null, 2)}\n` : `${text}\n`)
}

const percent = (rows: number, of: number): string => (of > 0 ? `${Math.floor((rows / of) * 100)} %` : '')

const telling = (progress: Progress, verb: string) => (now: { table: string; rows: number; of: number }) =>
  progress.say(`${verb} ${now.table} ${now.rows} ${percent(now.rows, now.of)}`)

export async function backupCommand(file: string, options: LocalOptions): Promise<void> {
  const progress = progressOf('Opening the database…')
  try {
    const { tables, rows } = await withDatabase(options, false, (database) =>
      backUp(database, file, telling(progress, 'Reading')),
    )
    progress.end()
    say(options, { file, tables, rows }, `Backed up ${rows} rows of ${tables} tables to ${file}.`)
  } finally {
    progress.end()
  }
}

export async function restoreCommand(file: string, options: LocalOptions): Promise<void> {
  if (!existsSync(file)) throw new BadWords(`There is no file ${file}.`)
  const progress = progressOf('Opening the database…')
  try {
    const { tables, rows } = await withDatabase(options, true, (database) =>
      restore(database, file, telling(progress, 'Writing')),
    )
    progress.end()
    say(options, { file, tables, rows }, `Restored ${rows} rows of ${tables} tables, counted and checked.`)
  } finally {
    progress.end()
  }
}

/** Takes a history of samples into the data folder's database. */
export async function importSamplesCommand(file: string, options: LocalOptions): Promise<void> {
  if (!existsSync(file)) throw new BadWords(`There is no file ${file}.`)
  const { size } = statSync(file)
  const progress = progressOf('Opening the database…')
  try {
    const { samples } = await withDatabase(options, false, async (database) => {
      await migrate(database)
      const source = createReadStream(file, { highWaterMark: 1 << 20 })
      return importHistory(database, source, (done) =>
        progress.say(
          `${percent(done.bytes, size).padStart(5)}  ${done.samples.toLocaleString(readerLocale())} samples`,
        ),
      )
    })
    progress.end()
    say(options, { file, samples }, `Took ${samples.toLocaleString(readerLocale())} samples from ${file}.`)
  } finally {
    progress.end()
  }
}

export interface ReplayCommandOptions extends LocalOptions {
  offering: string
  sites: string
  start?: string
}

const hashOf = (file: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    createReadStream(file)
      .on('data', (chunk) => hash.update(chunk))
      .on('error', reject)
      .on('end', () => resolve(hash.digest('hex')))
  })

/** Plays a file of orders, bills the months it covers, and prints what came of it. */
export async function replayCommand(file: string, options: ReplayCommandOptions): Promise<void> {
  if (!existsSync(file)) throw new BadWords(`There is no file ${file}.`)
  const [first, second] = options.sites.split(',').map((site) => site.trim())
  if (!first || !second) throw new BadWords('--sites is two codes with a comma between, the larger site first.')
  const progress = progressOf('Reading the orders…')
  try {
    const result = await withDatabase(options, false, async (database) => {
      await migrate(database)
      const operator = await findOperator(database)
      if (!operator)
        throw new WrongState('This Izumi is not set up yet; `npm run demo` makes a provider to play orders to.')
      const start = options.start
        ? Date.parse(readInstant(options.start, '--start'))
        : defaultStart(Date.now(), operator.timeZone)
      const id = replayId(await hashOf(file), start, operator.timeZone)
      const before = await rememberedReplay(database, id)
      if (before) return { id, result: before, isRepeat: true }
      const orders = await readOrders(file)
      const played = await replayOrders({ database, families: FAMILIES }, orders, {
        offering: options.offering,
        sites: [first, second],
        start,
        progress: (now) => progress.say(playing(now)),
      })
      for (const month of played.months) {
        progress.say(`Billing ${month}…`)
        await runBilling(database, operator.id, month, operator.timeZone, REPLAY)
        await issueMonth(database, operator.id, month, { actor: REPLAY, now: Date.now(), zone: operator.timeZone })
      }
      await rememberReplay(database, operator.id, id, played)
      return { id, result: played, isRepeat: false }
    })
    progress.end()
    say(options, { id: result.id, ...result.result }, report(result.result, result.isRepeat))
    if (result.result.problems.length > 0) process.exitCode = 1
  } finally {
    progress.end()
  }
}

const playing = ({ orders, of, accepted, waitListed, refused }: Played): string =>
  `Playing ${percent(orders, of)}  ${orders} of ${of}  accepted ${accepted}  wait-listed ${waitListed}  refused ${refused}`

function report(result: ReplayResult, isRepeat: boolean): string {
  const writer = new Writer(readerLocale())
  const number = (value: number) => writer.show(value, 'number')
  const lines = [
    ...(isRepeat ? ['Played before into this database; this is what came of it then.'] : []),
    `${number(result.of)} orders from ${toIso(result.start)} in ${number(Math.round(result.seconds * 10) / 10)} s, ${number(Math.round(result.ordersPerSecond))} a second`,
    `  accepted     ${number(result.accepted)} (${number(result.elsewhere)} at the other site)`,
    `  wait-listed  ${number(result.waitListed)}, of which filled in time ${number(result.filled)}`,
    `  refused      ${number(result.refused)}`,
    `  ended        ${number(result.ended)}`,
    '',
    table(
      result.peaks.map((peak) => ({ ...peak, at: toIso(peak.at), part: peak.open > 0 ? peak.peak / peak.open : null })),
      [
        { title: 'Site', path: 'site' },
        { title: 'Kind', path: 'kind' },
        { title: 'Peak', path: 'peak', as: 'number' },
        { title: 'Open', path: 'open', as: 'number' },
        { title: 'Used', path: 'part', as: 'percent' },
        { title: 'Unit', path: 'unit' },
        { title: 'At', path: 'at', as: 'instant' },
      ],
      writer,
    ),
    '',
    result.problems.length === 0
      ? 'Every invariant holds.'
      : `These invariants do not hold:\n${result.problems.map((problem) => `  ${problem}`).join('\n')}`,
    `Invoices are there for ${result.months.join(', ')}.`,
  ]
  return lines.join('\n')
}
