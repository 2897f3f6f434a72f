/**
 * Bandwidth samples: a month of 1,000 circuits every five minutes (8.64 million), each circuit a real link scaled and
 * shifted. Taken in as a history (a file of lines) and as polls of 1,000; then the 95th percentile of every circuit, each
 * compared with sorting; and what a sample costs on disk. Beside it PostgreSQL with a row for each sample, and rrdtool.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { makeParty } from '../src/capacity/fixtures.ts'
import { type Database, openDatabase } from '../src/database/connection.ts'
import { startEmbedded } from '../src/database/embedded.ts'
import { migrate } from '../src/database/migrate.ts'
import { percentiles } from '../src/usage/bandwidth.ts'
import { importHistory } from '../src/usage/history.ts'
import { addMeter } from '../src/usage/meters.ts'
import { USUAL_TERMS } from '../src/usage/percentile.ts'
import { takeSamples } from '../src/usage/samples.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { compare } from './measure.ts'

const SLOT_SECONDS = 300
const DAYS = 30
const SLOTS = DAYS * 288
/** 1 September 2026, UTC. */
const FIRST = Date.UTC(2026, 8, 1) / 1_000 / SLOT_SECONDS
const MONTH = { from: FIRST * SLOT_SECONDS * 1_000, to: (FIRST + SLOTS) * SLOT_SECONDS * 1_000 }
const POLLS = 200

/** Octets of both directions of one circuit. */
class Circuit {
  readonly #link: Float64Array
  readonly #scale: number
  readonly #shift: number
  constructor(link: Float64Array, number: number) {
    this.#link = link
    // From 1 Mbit/s to the whole link and three times it.
    this.#scale = 0.05 * 60 ** ((number * 0.618) % 1)
    this.#shift = (number * 977) % link.length
  }
  in(slot: number): number {
    return Math.round(this.#link[(slot + this.#shift) % this.#link.length]! * this.#scale)
  }
  out(slot: number): number {
    return Math.round(this.#link[(slot + this.#shift + 4_000) % this.#link.length]! * this.#scale * 0.4)
  }
}

export async function bench(options: string[]): Promise<void> {
  const count = options.includes('--quick') ? 100 : 1_000
  const lines = gunzipSync(readFileSync(new URL('../data-sets/link-5min.csv.gz', import.meta.url)))
    .toString()
    .trim()
    .split('\n')
    .slice(1)
  const link = Float64Array.from(lines, (line) => Number(line.split(',')[1]) / 8)
  const circuits = Array.from({ length: count }, (_, number) => new Circuit(link, number))
  const samples = count * SLOTS

  const folder = temporaryFolder('izumi-bench-')
  const file = join(folder, 'history.csv')
  console.log(`${count} circuits, ${samples.toLocaleString('en')} samples`)
  await writeHistory(file, circuits)
  const embedded = await startEmbedded(folder)
  const database = openDatabase(embedded.url)
  try {
    await migrate(database)
    const partyId = await makeParty(database, 'bench')
    const ids: number[] = []
    for (let number = 0; number < count; number++)
      ids.push((await addMeter(database, { ...METER, code: String(number), partyId })).id)

    const bulk = await timed(() => importHistory(database, createReadStream(file, { highWaterMark: 1 << 20 })))
    await database.query('vacuum analyze sample_day')
    const [{ bytes }] = (await database.query<{ bytes: number }>(
      `select pg_total_relation_size('sample_day')::float8 as bytes`,
    )) as [{ bytes: number }]
    print('history, samples/s', samples / bulk.seconds, `${bulk.seconds.toFixed(2)} s, ${megabytes(file)} of text`)
    print('bytes a sample on disk', bytes / samples, 'table and index')

    const expected = circuits.map((circuit) => reference(circuit))
    const closes: number[] = []
    let exact = 0
    for (let repeat = 0; repeat < 5; repeat++) {
      exact = 0
      const { seconds } = await timed(async () => {
        for await (const { meterId, billed } of percentiles(database, ids, SLOT_SECONDS, MONTH, 'UTC', USUAL_TERMS))
          if (billed.octets === expected[meterId - ids[0]!]) exact++
      })
      closes.push(seconds)
    }
    closes.sort((a, b) => a - b)
    print(
      'all percentiles, s',
      closes[2]!,
      `${closes[0]!.toFixed(2)}–${closes[4]!.toFixed(2)}; exact ${exact} of ${count}`,
    )

    const polls = await pollsOf(database, partyId, circuits)
    print(
      'polls, samples/s',
      polls.perSecond,
      `p50 ${polls.p50.toFixed(1)} ms, p99 ${polls.p99.toFixed(1)} ms for ${count}`,
    )

    const rows = options.includes('--no-peers')
      ? null
      : await plainRows(embedded.url, database, file, samples, expected)
    const rrd = options.includes('--no-peers') ? null : rrdtool(folder, circuits.slice(0, 100), expected)
    compare('usage, history, samples/s', samples / bulk.seconds, rows?.ingest ?? null)
    compare('usage, polls of 1,000, samples/s', polls.perSecond, null, { p50: polls.p50, p99: polls.p99 })
    compare('usage, all percentiles, ms', closes[2]! * 1_000, rows && rows.percentiles * 1_000, { exact })
    compare('usage, bytes a sample', bytes / samples, rows?.bytes ?? null)
    if (rrd) {
      compare('usage beside rrdtool, history, samples/s', samples / bulk.seconds, rrd.ingest)
      compare('usage beside rrdtool, all percentiles, ms', closes[2]! * 1_000, rrd.percentile * count * 1_000, {
        exact: rrd.exact,
      })
      compare('usage beside rrdtool, bytes a sample', bytes / samples, rrd.bytes)
    }
  } finally {
    await database.close()
    await embedded.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const METER = {
  serviceId: null,
  slotSeconds: SLOT_SECONDS,
  counterBits: 64 as const,
  linkBitsPerSecond: null,
  gap: 'drop' as const,
}

async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  const began = performance.now()
  const result = await work()
  return { seconds: (performance.now() - began) / 1_000, result }
}

const print = (what: string, value: number, rest: string) =>
  console.log(
    `${what.padEnd(34)} ${value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 }).padStart(12)}   ${rest}`,
  )

const megabytes = (file: string) => `${Math.round(statSync(file).size / 2 ** 20)} MB`

/** In order of time, as a poller's log is. */
async function writeHistory(file: string, circuits: readonly Circuit[]): Promise<void> {
  const out = createWriteStream(file)
  for (let slot = 0; slot < SLOTS; slot++) {
    const seconds = (FIRST + slot) * SLOT_SECONDS
    let text = ''
    for (const [number, circuit] of circuits.entries())
      text += `${number},${seconds},${circuit.in(slot)},${circuit.out(slot)}\n`
    if (!out.write(text)) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
}

/** By sorting: the ⌈0.95 n⌉th of the larger direction. */
function reference(circuit: Circuit): number {
  const values = Array.from({ length: SLOTS }, (_, slot) => Math.max(circuit.in(slot), circuit.out(slot)))
  return values.sort((a, b) => a - b)[(95 * SLOTS) / 100 - 1]!
}

/** The month after, poll by poll, each a numbered batch in a transaction of its own. */
async function pollsOf(database: Database, partyId: string, circuits: readonly Circuit[]) {
  const times: number[] = []
  for (let number = -20; number < POLLS; number++) {
    const at = MONTH.to + (number + 20) * SLOT_SECONDS * 1_000
    const samples = circuits.map((circuit, i) => ({
      meter: String(i),
      at,
      in: circuit.in(number + SLOTS),
      out: circuit.out(number + SLOTS),
    }))
    const { seconds } = await timed(() =>
      takeSamples(database, { partyId, source: 'poller', number: number + 20, hash: '' }, samples, at + 1),
    )
    if (number >= 0) times.push(seconds * 1_000)
  }
  times.sort((a, b) => a - b)
  const total = times.reduce((sum, ms) => sum + ms, 0)
  return {
    perSecond: (circuits.length * times.length * 1_000) / total,
    p50: times[times.length >> 1]!,
    p99: times[Math.floor(times.length * 0.99)]!,
  }
}

/** PostgreSQL with a row and a key for each sample, on the same server; null without `psql`. */
async function plainRows(url: string, database: Database, file: string, samples: number, expected: readonly number[]) {
  if (spawnSync('psql', ['--version']).status !== 0) {
    console.log('psql is not installed (Debian: postgresql-client); no plain rows beside it.')
    return null
  }
  await database.query(
    'create table plain (circuit integer, ts bigint, octets_in bigint, octets_out bigint, primary key (circuit, ts))',
  )
  const copied = await timed(async () => {
    const made = spawnSync('psql', [url, '-qc', `\\copy plain from '${file}' csv`], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(made.stderr)
  })
  await database.query('vacuum analyze plain')
  const [{ bytes }] = (await database.query<{ bytes: number }>(
    `select pg_total_relation_size('plain')::float8 as bytes`,
  )) as [{ bytes: number }]
  let exact = 0
  const asked = await timed(async () => {
    const rows = await database.query<{ circuit: number; p: number }>(
      `select circuit, (percentile_disc(0.95) within group (order by greatest(octets_in, octets_out)))::float8 as p
       from plain group by circuit`,
    )
    for (const { circuit, p } of rows) if (p === expected[circuit]) exact++
  })
  print('PostgreSQL rows: samples/s', samples / copied.seconds, '')
  print('PostgreSQL rows: bytes a sample', bytes / samples, '')
  print('PostgreSQL rows: all percentiles, s', asked.seconds, `exact ${exact} of ${expected.length}`)
  return { ingest: samples / copied.seconds, bytes: bytes / samples, percentiles: asked.seconds }
}

/** rrdtool, a file for each circuit, its graph as wide as there are samples; null where it is not installed. */
function rrdtool(folder: string, circuits: readonly Circuit[], expected: readonly number[]) {
  if (spawnSync('rrdtool', ['--version']).status !== 0) {
    console.log('rrdtool is not installed (Debian: rrdtool); no rrdtool beside it.')
    return null
  }
  const into = join(folder, 'rrd')
  mkdirSync(into)
  const run = (input: string) => {
    const made = spawnSync('rrdtool', ['-'], { input, encoding: 'utf8', cwd: into, maxBuffer: 1 << 28 })
    const failed = /^ERROR.*$/m.exec(made.stdout)
    if (failed) throw new Error(failed[0])
    return made.stdout
  }
  const first = FIRST * SLOT_SECONDS
  run(
    circuits
      .map(
        (_, i) =>
          `create ${i}.rrd --start ${first} --step 300 DS:in:GAUGE:600:0:U DS:out:GAUGE:600:0:U RRA:LAST:0.5:1:${SLOTS}\n`,
      )
      .join(''),
  )
  const updates = circuits
    .map((circuit, i) => {
      let text = ''
      for (let from = 0; from < SLOTS; from += 288) {
        text += `update ${i}.rrd`
        for (let slot = from; slot < from + 288; slot++)
          text += ` ${first + (slot + 1) * 300}:${circuit.in(slot)}:${circuit.out(slot)}`
        text += '\n'
      }
      return text
    })
    .join('')
  let began = performance.now()
  run(updates)
  const ingest = (circuits.length * SLOTS * 1_000) / (performance.now() - began)
  began = performance.now()
  const told = run(
    circuits
      .map(
        (_, i) =>
          `graph /dev/null --width ${SLOTS} --start ${first} --end ${first + SLOTS * 300} DEF:i=${i}.rrd:in:LAST DEF:o=${i}.rrd:out:LAST CDEF:m=i,o,MAX VDEF:p=m,95,PERCENT PRINT:p:%.0lf\n`,
      )
      .join(''),
  )
  const percentile = (performance.now() - began) / 1_000 / circuits.length
  const values = [...told.matchAll(/^(\d+)$/gm)].map(([, value]) => Number(value))
  const exact = values.filter((value, i) => value === expected[i]).length
  const bytes = statSync(join(into, '0.rrd')).size / SLOTS
  print('rrdtool: samples/s', ingest, `${circuits.length} circuits, a day an update`)
  print('rrdtool: bytes a sample', bytes, '')
  print('rrdtool: a percentile, s', percentile, `exact ${exact} of ${circuits.length}, at full width`)
  return { ingest, bytes, percentile, exact }
}
