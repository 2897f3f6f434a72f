/** Meters: a port or a link whose octets are counted for a service. Registered once; their samples refer to them by number. */
import { BadInput, NotFound } from '../core/errors.ts'
import type { Sql } from '../database/connection.ts'
import { type Actor, appendEvents, SYSTEM } from '../database/events.ts'
import type { CounterState, CounterTerms, Finding } from './counters.ts'

export interface Meter {
  id: number
  code: string
  partyId: string
  serviceId: string | null
  slotSeconds: number
  counterBits: 32 | 64
  linkBitsPerSecond: bigint | null
  gap: CounterTerms['gap']
  createdAt: number
}

const COLUMNS = `m.id, m.code, m.party_id as "partyId", m.service_id as "serviceId", m.slot_seconds as "slotSeconds",
  m.counter_bits as "counterBits", m.link_bits_per_second as "linkBitsPerSecond", m.gap, m.created_at as "createdAt"`

/** Whose a service is. @throws NotFound */
export async function ownerOf(sql: Sql, serviceId: string): Promise<string> {
  const [row] = await sql.query<{ partyId: string }>('select party_id as "partyId" from service where id = $1', [
    serviceId,
  ])
  if (!row) throw new NotFound('service', serviceId)
  return row.partyId
}

/** Registers a meter for a service, or for a party alone. @throws WrongState when the code is taken */
export async function addMeter(
  sql: Sql,
  meter: Omit<Meter, 'id' | 'createdAt'>,
  actor: Actor = SYSTEM,
): Promise<Meter> {
  const [row] = await sql.query<Meter>(
    `insert into meter as m (code, party_id, service_id, slot_seconds, counter_bits, link_bits_per_second, gap)
     values ($1, $2, $3, $4, $5, $6, $7) returning ${COLUMNS}`,
    [
      meter.code,
      meter.partyId,
      meter.serviceId,
      meter.slotSeconds,
      meter.counterBits,
      meter.linkBitsPerSecond,
      meter.gap,
    ],
  )
  const { id, linkBitsPerSecond, ...after } = row!
  await appendEvents(sql, [
    {
      partyId: meter.partyId,
      actor,
      type: 'meter.added',
      subjectKind: 'meter',
      subjectId: String(id),
      after: { ...after, linkBitsPerSecond: linkBitsPerSecond === null ? null : String(linkBitsPerSecond) },
    },
  ])
  return row!
}

/** Meters in order of their number, after `cursor`. */
export function listMeters(
  sql: Sql,
  filter: { serviceId: string | null; like: string | null; after: number; limit: number },
): Promise<Meter[]> {
  return sql.query<Meter>(
    `select ${COLUMNS} from meter m
     where ($1::uuid is null or m.service_id = $1) and ($2::text is null or m.code ilike $2) and m.id > $3
     order by m.id limit $4`,
    [filter.serviceId, filter.like, filter.after, filter.limit],
  )
}

/** @throws NotFound */
export async function findMeter(sql: Sql, id: number): Promise<Meter> {
  const [meter] = await sql.query<Meter>(`select ${COLUMNS} from meter m where m.id = $1`, [id])
  if (!meter) throw new NotFound('meter', String(id))
  return meter
}

/** All meters of services. */
export const metersOf = (sql: Sql, serviceIds: readonly string[]): Promise<Meter[]> =>
  sql.query<Meter>(`select ${COLUMNS} from meter m where m.service_id = any($1) order by m.id`, [serviceIds])

/** Meters with the state of their counters, locked in order of their number until the transaction ends. */
export function lockCounters(
  sql: Sql,
  codes: readonly string[],
): Promise<(Meter & { counter: StoredCounter | null })[]> {
  return sql.query(`select ${COLUMNS}, m.counter from meter m where m.code = any($1) order by m.id for update`, [codes])
}

/** Meters found before, by database: what a poll asks for is the same each time, and meters never change. */
const kept = new WeakMap<Sql, Map<string, Meter>>()
const KEPT_MAX = 200_000

/** @throws BadInput naming the first code that no meter has */
export async function metersByCodes(sql: Sql, codes: ReadonlySet<string>): Promise<ReadonlyMap<string, Meter>> {
  let known = kept.get(sql)
  if (known === undefined || known.size > KEPT_MAX) {
    known = new Map()
    kept.set(sql, known)
  }
  const asked: string[] = []
  for (const code of codes) if (!known.has(code)) asked.push(code)
  if (asked.length > 0) {
    const rows = await sql.query<Meter>(
      `select ${COLUMNS} from meter m where m.code = any($1)`,
      [asked],
      'meters-by-code',
    )
    for (const meter of rows) known.set(meter.code, meter)
    requireAll(asked, known)
  }
  return known
}

export function requireAll(codes: readonly string[], found: ReadonlyMap<string, unknown>): void {
  const missing = codes.findIndex((code) => !found.has(code))
  if (missing >= 0)
    throw new BadInput('/samples', `there is no meter ${codes[missing]}`, 'codes of meters; add them with POST /meters')
}

/** How a counter's state lies in the database: JSON has no integers beyond 2^53. */
export interface StoredCounter {
  at: number
  in: string
  out: string
  uptimeMs: number | null
  open: { slot: number; in: string; out: string } | null
}

export const storedCounter = ({ last, open }: CounterState): StoredCounter => ({
  at: last.at,
  in: String(last.in),
  out: String(last.out),
  uptimeMs: last.uptimeMs,
  open: open && { slot: open.slot, in: String(open.in), out: String(open.out) },
})

export const counterState = ({ open, ...last }: StoredCounter): CounterState => ({
  last: { at: last.at, in: BigInt(last.in), out: BigInt(last.out), uptimeMs: last.uptimeMs },
  open: open && { slot: open.slot, in: BigInt(open.in), out: BigInt(open.out) },
})

export interface MeterFinding {
  kind: Finding
  from: number
  to: number
  in: bigint | null
  out: bigint | null
}

/** What was found at a meter's readings, newest first. */
export function findingsOf(sql: Sql, meterId: number, limit: number): Promise<MeterFinding[]> {
  return sql.query<MeterFinding>(
    `select kind, starts_at as "from", ends_at as "to", octets_in as "in", octets_out as "out"
     from meter_finding where meter_id = $1 order by starts_at desc, id desc limit $2`,
    [meterId, limit],
  )
}
