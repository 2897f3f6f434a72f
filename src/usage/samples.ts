/**
 * Samples as they come and as they are read. A batch of a source is taken once: its number, its samples and what it
 * corrected are one transaction. Fresh samples are rows; once their day is over they are packed (`days.ts`), and a late or
 * corrected one lies over its packed day as a row until it is packed as well. Whoever reads sees both at one instant.
 */
import { BadInput, KeyReused } from '../core/errors.ts'
import { DAY_MS, type Instant, toEpochSeconds } from '../core/time.ts'
import { type Database, type Sql, sqlArray } from '../database/connection.ts'
import { type CounterStep, type CounterTerms, firstReading, nextReading } from './counters.ts'
import {
  counterState,
  lockCounters,
  type Meter,
  metersByCodes,
  requireAll,
  type StoredCounter,
  storedCounter,
} from './meters.ts'
import { OCTETS_MAX, slotsOf, unpackInto } from './packing.ts'
import type { SlotSeries } from './percentile.ts'

/** Octets of one slot of a meter, which `at` begins. */
export interface Sample {
  meter: string
  at: Instant
  in: number
  out: number
}

/** One poll of a meter's counters. */
export interface Reading {
  meter: string
  at: Instant
  in: bigint
  out: bigint
  uptimeMs: number | null
}

export interface Batch {
  partyId: string
  /** Who counts: a poller's name. */
  source: string
  number: number
  /** Of the whole request, to tell a repeat from another use of the number. */
  hash: string
}

export interface BatchAnswer {
  /** Samples taken, those that changed an earlier one, and those refused because the link cannot have carried them. */
  taken: number
  corrected: number
  refused: { meter: string; at: Instant }[]
}

/** Samples or readings of one batch. */
export const BATCH_MAX = 10_000
/** How old a sample may be when it comes. */
const OLDEST_MS = 400 * DAY_MS

interface Columns {
  meters: number[]
  /** When the slot begins, in minutes since the epoch. */
  minutes: number[]
  in: (number | bigint)[]
  out: (number | bigint)[]
}

/**
 * Takes a batch of samples.
 * @throws BadInput for an unknown meter, a time that begins no slot, lies ahead or is too old; KeyReused for a number that
 *   had other content. Then nothing is taken.
 */
export async function takeSamples(
  database: Database,
  batch: Batch,
  samples: readonly Sample[],
  now: Instant,
): Promise<BatchAnswer> {
  const meters = await metersByCodes(database, new Set(samples.map(({ meter }) => meter)))
  const columns: Columns = { meters: [], minutes: [], in: [], out: [] }
  const refused: { meter: Meter; sample: Sample }[] = []
  const seen = new Set<string>()
  for (const [index, sample] of samples.entries()) {
    const meter = meters.get(sample.meter)!
    const slot = slotOf(sample.at, meter, now, `/samples/${index}/at`)
    for (const side of ['in', 'out'] as const)
      if (!Number.isInteger(sample[side]) || sample[side] < 0 || sample[side] > OCTETS_MAX)
        throw new BadInput(`/samples/${index}/${side}`, `${sample[side]} is no count of octets`, '0 to 2^47 − 1')
    const key = `${meter.id} ${slot}`
    if (seen.has(key))
      throw new BadInput(`/samples/${index}`, 'this slot was given before', 'each slot once in a batch')
    seen.add(key)
    if (isAboveLink(meter, Math.max(sample.in, sample.out))) {
      refused.push({ meter, sample })
      continue
    }
    columns.meters.push(meter.id)
    columns.minutes.push((slot * meter.slotSeconds) / 60)
    columns.in.push(sample.in)
    columns.out.push(sample.out)
  }
  return once(database, batch, async (sql) => {
    const corrected = await put(sql, columns)
    await keepFindings(
      sql,
      refused.map(({ meter, sample }) => ({
        meterId: meter.id,
        kind: 'above-link-speed',
        from: sample.at,
        to: sample.at + meter.slotSeconds * 1_000,
        in: sample.in,
        out: sample.out,
      })),
    )
    return {
      taken: columns.meters.length,
      corrected,
      refused: refused.map(({ sample }) => ({ meter: sample.meter, at: sample.at })),
    }
  })
}

/**
 * Takes a batch of counter readings: `counters.ts` makes slots of them, from the state that each meter keeps.
 * @throws as `takeSamples`
 */
export async function takeReadings(
  database: Database,
  batch: Batch,
  readings: readonly Reading[],
  now: Instant,
): Promise<BatchAnswer> {
  for (const [index, { at }] of readings.entries())
    if (at > now + DAY_MS / 24 || at < now - OLDEST_MS)
      throw new BadInput(`/readings/${index}/at`, 'lies ahead, or too far back', 'a time of the last 400 days')
  return once(database, batch, async (sql) => {
    const codes = [...new Set(readings.map(({ meter }) => meter))]
    const meters = new Map((await lockCounters(sql, codes)).map((meter) => [meter.code, meter]))
    requireAll(codes, meters)
    const columns: Columns = { meters: [], minutes: [], in: [], out: [] }
    const findings: NewFinding[] = []
    const states = new Map<number, StoredCounter>()
    const refused: BatchAnswer['refused'] = []
    for (const reading of readings) {
      const meter = meters.get(reading.meter)!
      const step = read(meter, reading)
      meter.counter = storedCounter(step.state)
      states.set(meter.id, meter.counter)
      for (const { slot, in: inward, out } of step.closed) {
        columns.meters.push(meter.id)
        columns.minutes.push((slot * meter.slotSeconds) / 60)
        columns.in.push(inward)
        columns.out.push(out)
      }
      for (const finding of step.findings) {
        findings.push({ meterId: meter.id, ...finding, in: null, out: null })
        if (finding.kind === 'above-link-speed' || finding.kind === 'out-of-order')
          refused.push({ meter: meter.code, at: reading.at })
      }
    }
    const corrected = await put(sql, columns)
    await keepFindings(sql, findings)
    await sql.query(
      `update meter set counter = s.counter from unnest($1::integer[], $2::json[]) as s(id, counter) where meter.id = s.id`,
      [[...states.keys()], [...states.values()].map((state) => JSON.stringify(state))],
    )
    return { taken: columns.meters.length, corrected, refused }
  })
}

const termsOf = (meter: Meter): CounterTerms => ({
  bits: meter.counterBits,
  linkBitsPerSecond: meter.linkBitsPerSecond === null ? null : Number(meter.linkBitsPerSecond),
  slotMs: meter.slotSeconds * 1_000,
  gap: meter.gap,
})

function read(meter: Meter & { counter: StoredCounter | null }, { meter: _, ...reading }: Reading): CounterStep {
  if (meter.counter === null) return { state: firstReading(reading, termsOf(meter)), closed: [], findings: [] }
  return nextReading(counterState(meter.counter), reading, termsOf(meter))
}

function slotOf(at: Instant, { slotSeconds }: Meter, now: Instant, where: string): number {
  const slot = at / (slotSeconds * 1_000)
  if (!Number.isInteger(slot)) throw new BadInput(where, 'begins no slot', `a multiple of ${slotSeconds} s`)
  if (at > now) throw new BadInput(where, 'lies ahead', 'a slot that has begun')
  if (at < now - OLDEST_MS) throw new BadInput(where, 'is too old', 'a slot of the last 400 days')
  return slot
}

const isAboveLink = ({ linkBitsPerSecond, slotSeconds }: Meter, octets: number): boolean =>
  linkBitsPerSecond !== null && BigInt(octets) * 8n > linkBitsPerSecond * BigInt(slotSeconds + 1)

/** The answer to a batch that was taken before. @throws KeyReused when that had other content */
async function answered(sql: Sql, { partyId, source, number, hash }: Batch): Promise<BatchAnswer | null> {
  const [row] = await sql.query<{ hash: string; answer: BatchAnswer }>(
    'select hash, answer from sample_batch where party_id = $1 and source = $2 and number = $3',
    [partyId, source, number],
    'sample-batch-known',
  )
  if (!row) return null
  if (row.hash !== hash) throw new KeyReused(`${source} ${number}`)
  return row.answer
}

/**
 * Does the work of a batch in one transaction with its number. The number goes in first, so that of two at once the second
 * waits, and then gets the first one's answer.
 */
async function once(database: Database, batch: Batch, work: (sql: Sql) => Promise<BatchAnswer>): Promise<BatchAnswer> {
  const { partyId, source, number, hash } = batch
  const done = await database.transaction(async (sql) => {
    const [mine] = await sql.query(
      `insert into sample_batch (party_id, source, number, hash) values ($1, $2, $3, $4) on conflict do nothing returning number`,
      [partyId, source, number, hash],
      'sample-batch-take',
    )
    if (!mine) return null
    const answer = await work(sql)
    await sql.query(
      'update sample_batch set answer = $4 where party_id = $1 and source = $2 and number = $3',
      [partyId, source, number, JSON.stringify(answer)],
      'sample-batch-answer',
    )
    return answer
  })
  return done ?? (await answered(database, batch))!
}

/**
 * Writes samples, keeps what they change, and tells how many that were. Most are new, so that is tried first. A row that was
 * there then may be packed away before it is changed: so it goes on until each is either added or found.
 */
async function put(sql: Sql, columns: Columns): Promise<number> {
  const values = [sqlArray(columns.meters), sqlArray(columns.minutes), sqlArray(columns.in), sqlArray(columns.out)]
  let left = columns.meters.length
  let corrected = 0
  while (left > 0) {
    const [added] = await sql.query<{ count: number }>(ADD, values, 'samples-add')
    left -= added!.count
    if (left === 0) break
    const [found] = await sql.query<{ count: number; changed: number }>(CHANGE, values, 'samples-change')
    corrected += found!.changed
    // What was added is found as well, unchanged.
    left = columns.meters.length - found!.count
  }
  return corrected
}

const ADD = `
  with put as (
    insert into sample (meter_id, minute, octets_in, octets_out)
    select * from unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[]) as g(meter_id, minute, octets_in, octets_out)
    order by minute, meter_id on conflict do nothing returning minute)
  select count(*)::integer as count from put`

const CHANGE = `
  with found as materialized (
    select s.meter_id, s.minute, s.octets_in as was_in, s.octets_out as was_out, g.octets_in, g.octets_out,
      (s.octets_in, s.octets_out) <> (g.octets_in, g.octets_out) as changed
    from unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[]) as g(meter_id, minute, octets_in, octets_out)
      join sample s using (meter_id, minute)
    order by s.minute, s.meter_id for update of s),
  trace as (
    insert into sample_change (meter_id, minute, octets_in, octets_out)
    select meter_id, minute, was_in, was_out from found where changed),
  put as (
    update sample s set octets_in = f.octets_in, octets_out = f.octets_out
    from found f where f.changed and s.meter_id = f.meter_id and s.minute = f.minute)
  select count(*)::integer as count, (count(*) filter (where changed))::integer as changed from found`

interface NewFinding {
  meterId: number
  kind: string
  from: Instant
  to: Instant
  in: number | null
  out: number | null
}

async function keepFindings(sql: Sql, findings: readonly NewFinding[]): Promise<void> {
  if (findings.length === 0) return
  await sql.query(
    `insert into meter_finding (meter_id, kind, starts_at, ends_at, octets_in, octets_out)
     select m, k, to_timestamp(a), to_timestamp(b), i, o
     from unnest($1::integer[], $2::text[], $3::float8[], $4::float8[], $5::bigint[], $6::bigint[]) as f(m, k, a, b, i, o)`,
    [
      findings.map(({ meterId }) => meterId),
      findings.map(({ kind }) => kind),
      findings.map(({ from }) => toEpochSeconds(from)),
      findings.map(({ to }) => toEpochSeconds(to)),
      findings.map((finding) => finding.in),
      findings.map((finding) => finding.out),
    ],
  )
}

/** Slots `[from, to)` since the epoch. */
export interface SlotRange {
  from: number
  to: number
}

/**
 * The series of meters over slots, meter by meter in order of their number; a meter without samples there is left out. The
 * same two arrays are used for each: whoever keeps them copies them.
 */
export async function* seriesOf(
  sql: Sql,
  meterIds: readonly number[],
  range: SlotRange,
  slotsOfDay: number,
): AsyncGenerator<{ meterId: number; series: SlotSeries }> {
  const minutes = 1_440 / slotsOfDay
  const length = range.to - range.from
  const firstDay = Math.floor(range.from / slotsOfDay) * slotsOfDay
  const slots = Math.ceil((range.to - firstDay) / slotsOfDay) * slotsOfDay
  const whole = { in: new Float64Array(slots), out: new Float64Array(slots) }
  const cut = range.from - firstDay
  const series = { in: whole.in.subarray(cut, cut + length), out: whole.out.subarray(cut, cut + length) }
  for (let first = 0; first < meterIds.length; first += METERS_AT_ONCE) {
    // One statement, so that a sample that is being packed is seen once. Fresh rows are looked for minute by minute between
    // the oldest and the newest there are.
    const rows = await sql.query<StoredSamples>(
      `select meter_id as "meterId", first_minute as minute, packed, null::float8 as "in", null::float8 as out
       from sample_day where meter_id = any($1) and first_minute >= $2 and first_minute < $3
       union all
       select s.meter_id, s.minute, null, s.octets_in::float8, s.octets_out::float8
       from (select greatest($4, min(minute)) as lo, least($3 - 1, max(minute)) as hi from sample) b,
         generate_series(lo - (lo - $4) % $5, hi, $5) as m(minute) join sample s on s.minute = m.minute and s.meter_id = any($1)
       order by 1, 3 nulls last`,
      [
        meterIds.slice(first, first + METERS_AT_ONCE),
        firstDay * minutes,
        range.to * minutes,
        range.from * minutes,
        minutes,
      ],
      'samples-read',
    )
    for (let row = 0; row < rows.length; ) {
      const { meterId } = rows[row]!
      whole.in.fill(Number.NaN)
      whole.out.fill(Number.NaN)
      for (; row < rows.length && rows[row]!.meterId === meterId; row++) {
        const { minute, packed, in: inward, out } = rows[row]!
        const slot = minute / minutes
        if (packed === null) {
          whole.in[slot - firstDay] = inward!
          whole.out[slot - firstDay] = out!
        } else if (slotsOf(packed) === slotsOfDay) unpackInto(packed, whole, slot - firstDay)
      }
      yield { meterId, series }
    }
  }
}

/** Meters whose samples are in memory at once: a month of them is about twelve megabytes. */
const METERS_AT_ONCE = 200

interface StoredSamples {
  meterId: number
  minute: number
  packed: Buffer | null
  in: number | null
  out: number | null
}
