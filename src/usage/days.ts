/**
 * Packed days: samples leave the table of rows when their day is over, in transactions that lock what they merge, and
 * histories of other systems come in by the same way without ever having been rows. What a later sample changes in a packed
 * day is kept as it was before.
 */
import { DAY_MS, type Instant } from '../core/time.ts'
import { type Database, type Sql, sqlArray } from '../database/connection.ts'
import { type DaySamples, pack, unpack } from './packing.ts'

const DAY_MINUTES = 1_440
/** Rows that leave in one transaction. */
const ROWS_AT_ONCE = 100_000
/** Days that are merged in one transaction, and days kept while a history is read. */
const DAYS_AT_ONCE = 4_000
const DAYS_KEPT = 20_000

export const slotsOfDay = (slotSeconds: number): number => 86_400 / slotSeconds

interface Day {
  meterId: number
  firstSlot: number
  samples: DaySamples
}

const firstMinute = ({ firstSlot, samples }: Day): number => (firstSlot * DAY_MINUTES) / samples.in.length

const emptyDay = (slots: number): DaySamples => ({
  in: new Float64Array(slots).fill(Number.NaN),
  out: new Float64Array(slots).fill(Number.NaN),
})

/**
 * Packs samples of days that ended before an instant, a bounded number at a time.
 * @returns how many rows left; zero when there is nothing to do, or another process is at it
 */
export async function packDays(database: Database, before: Instant): Promise<number> {
  return database.transaction(async (sql) => {
    const [lock] = await sql.query<{ mine: boolean }>(
      `select pg_try_advisory_xact_lock(hashtextextended('pack days', 0)) as mine`,
    )
    if (!lock!.mine) return 0
    const rows = await sql.query<{ meterId: number; slots: number; minute: number; in: number; out: number }>(
      `with due as (select minute, meter_id from sample where minute < $1 order by minute, meter_id limit $2),
       gone as (delete from sample s using due d where s.minute = d.minute and s.meter_id = d.meter_id returning s.*)
       select g.meter_id as "meterId", 86400 / m.slot_seconds as slots, g.minute, g.octets_in::float8 as "in", g.octets_out::float8 as out
       from gone g join meter m on m.id = g.meter_id order by g.meter_id, g.minute`,
      [Math.floor(before / DAY_MS) * DAY_MINUTES, ROWS_AT_ONCE],
    )
    const days: Day[] = []
    let day: Day | undefined
    for (const { meterId, slots, minute, in: inward, out } of rows) {
      const slot = (minute * slots) / DAY_MINUTES
      const firstSlot = Math.floor(slot / slots) * slots
      if (day?.meterId !== meterId || day.firstSlot !== firstSlot) {
        day = { meterId, firstSlot, samples: emptyDay(slots) }
        days.push(day)
      }
      day.samples.in[slot - firstSlot] = inward
      day.samples.out[slot - firstSlot] = out
    }
    for (let first = 0; first < days.length; first += DAYS_AT_ONCE)
      await mergeDays(sql, days.slice(first, first + DAYS_AT_ONCE))
    return rows.length
  })
}

/** Writes days, over what is packed of them. */
async function mergeDays(sql: Sql, days: readonly Day[]): Promise<void> {
  const keys = [sqlArray(days.map(({ meterId }) => meterId)), sqlArray(days.map(firstMinute))]
  const known = await sql.query<{ meterId: number; firstMinute: number; packed: Buffer }>(
    `select d.meter_id as "meterId", d.first_minute as "firstMinute", d.packed
     from sample_day d join unnest($1::integer[], $2::integer[]) as k(m, f) on d.meter_id = k.m and d.first_minute = k.f
     order by d.meter_id, d.first_minute for update of d`,
    keys,
    'days-known',
  )
  const before = new Map(known.map(({ meterId, firstMinute: minute, packed }) => [`${meterId} ${minute}`, packed]))
  const changes = { meters: [] as number[], minutes: [] as number[], in: [] as number[], out: [] as number[] }
  const parts: Buffer[] = []
  for (const day of days) {
    const { meterId, samples } = day
    const packed = before.get(`${meterId} ${firstMinute(day)}`)
    if (packed) {
      const old = unpack(packed)
      for (let i = 0; i < old.in.length; i++) {
        if (Number.isNaN(old.in[i]!)) continue
        if (Number.isNaN(samples.in[i]!)) {
          samples.in[i] = old.in[i]!
          samples.out[i] = old.out[i]!
        } else if (samples.in[i] !== old.in[i] || samples.out[i] !== old.out[i]) {
          changes.meters.push(meterId)
          changes.minutes.push(firstMinute(day) + (i * DAY_MINUTES) / samples.in.length)
          changes.in.push(old.in[i]!)
          changes.out.push(old.out[i]!)
        }
      }
    }
    parts.push(pack(samples))
  }
  let end = 0
  const ends = parts.map((part) => (end += part.length))
  // All days in one parameter: as an array they would be written and read as text, at twice the bytes.
  await sql.query(
    `insert into sample_day (meter_id, first_minute, packed)
     select m, f, substring($4::bytea from e - l + 1 for l)
     from unnest($1::integer[], $2::integer[], $3::integer[], $5::integer[]) as d(m, f, e, l)
     on conflict (meter_id, first_minute) do update set packed = excluded.packed`,
    [...keys, sqlArray(ends), Buffer.concat(parts), sqlArray(parts.map((part) => part.length))],
    'days-write',
  )
  if (changes.meters.length > 0)
    await sql.query(
      `insert into sample_change (meter_id, minute, octets_in, octets_out)
       select * from unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[])`,
      [sqlArray(changes.meters), sqlArray(changes.minutes), sqlArray(changes.in), sqlArray(changes.out)],
    )
}

/** Takes a history: samples in any order, packed as days; a file is best in order of time or of meters. */
export class HistoryImport {
  readonly #database: Database
  readonly #slots: number
  readonly #days = new Map<number, Day>()
  #lastKey = -1
  #last: Day | null = null
  imported = 0

  /** All meters of one history have slots of one length. */
  constructor(database: Database, slotSeconds: number) {
    this.#database = database
    this.#slots = slotsOfDay(slotSeconds)
  }

  /** Takes one sample; true: call `flush` before the next one. */
  add(meterId: number, slot: number, inward: number, outward: number): boolean {
    const dayNumber = Math.floor(slot / this.#slots)
    const key = meterId * 2 ** 20 + dayNumber
    let day = this.#last
    if (key !== this.#lastKey || day === null) {
      day = this.#days.get(key) ?? null
      if (day === null) {
        day = { meterId, firstSlot: dayNumber * this.#slots, samples: emptyDay(this.#slots) }
        this.#days.set(key, day)
      }
      this.#lastKey = key
      this.#last = day
    }
    day.samples.in[slot - day.firstSlot] = inward
    day.samples.out[slot - day.firstSlot] = outward
    this.imported++
    return this.#days.size >= DAYS_KEPT
  }

  /** Writes what was taken; the last call is when the history ends. */
  async flush(): Promise<void> {
    const days = [...this.#days.values()].sort((a, b) => a.meterId - b.meterId || a.firstSlot - b.firstSlot)
    this.#days.clear()
    this.#last = null
    this.#lastKey = -1
    for (let first = 0; first < days.length; first += DAYS_AT_ONCE)
      await this.#database.transaction((sql) => mergeDays(sql, days.slice(first, first + DAYS_AT_ONCE)))
  }
}
