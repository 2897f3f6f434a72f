/** Bandwidth by percentile over any interval of whole slots: of one meter, of all ports of a service, of many meters at once. */
import { dayBounds } from '../core/calendar.ts'
import { BadInput, NotFound } from '../core/errors.ts'
import { DAY_MS, type Instant, type Interval } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { slotsOfDay } from './days.ts'
import { type Meter, metersOf, ownerOf } from './meters.ts'
import {
  type BilledPercentile,
  billedPercentile,
  type PercentileTerms,
  type SlotSeries,
  USUAL_TERMS,
} from './percentile.ts'
import { type SlotRange, seriesOf } from './samples.ts'

/** Days one question may span. */
export const BANDWIDTH_DAYS_MAX = 400

export interface Bandwidth extends BilledPercentile {
  bitsPerSecond: number
  /** When the billed sample's slot began. */
  at: Instant | null
  meters: string[]
}

/** The slots of an interval. @throws BadInput when it does not begin and end with one */
function slotsIn({ from, to }: Interval, slotSeconds: number): SlotRange {
  const range = { from: from / (slotSeconds * 1_000), to: to / (slotSeconds * 1_000) }
  for (const side of ['from', 'to'] as const)
    if (!Number.isInteger(range[side]))
      throw new BadInput(`/query/${side}`, 'lies within a slot', `a multiple of ${slotSeconds} s`)
  if (range.to <= range.from) throw new BadInput('/query/to', 'is not after the beginning', 'a later instant')
  if (to - from > BANDWIDTH_DAYS_MAX * DAY_MS)
    throw new BadInput('/query/to', 'is too far away', `at most ${BANDWIDTH_DAYS_MAX} days`)
  return range
}

/** How many slots each local day of an interval has. */
function slotsOfDays(interval: Interval, zone: string, slotSeconds: number): number[] {
  const bounds = dayBounds(interval, zone).map((at) => Math.min(Math.max(at, interval.from), interval.to))
  return bounds.slice(1).map((end, i) => (end - bounds[i]!) / (slotSeconds * 1_000))
}

/**
 * The percentile of the ports of one contract, added slot by slot first.
 * @throws BadInput when they have slots of different lengths, or the interval is none of slots; NotFound without a sample
 */
export async function bandwidthOf(
  sql: Sql,
  meters: readonly Meter[],
  interval: Interval,
  zone: string,
  terms: PercentileTerms,
): Promise<Bandwidth> {
  const slotSeconds = meters[0]?.slotSeconds
  if (slotSeconds === undefined) throw new NotFound('meter', 'of this service')
  if (meters.some((meter) => meter.slotSeconds !== slotSeconds))
    throw new BadInput('/query/service', 'has meters with slots of different lengths', 'meters of one length')
  const range = slotsIn(interval, slotSeconds)
  const ports: SlotSeries[] = []
  for await (const { series } of seriesOf(
    sql,
    meters.map(({ id }) => id),
    range,
    slotsOfDay(slotSeconds),
  ))
    ports.push({ in: series.in.slice(), out: series.out.slice() })
  const billed = ports.length === 0 ? null : billedPercentile(ports, terms, slotsOfDays(interval, zone, slotSeconds))
  if (billed === null) throw new NotFound('sample', 'in this interval')
  return {
    ...billed,
    bitsPerSecond: (billed.octets * 8) / slotSeconds,
    at: billed.slot === null ? null : (range.from + billed.slot) * slotSeconds * 1_000,
    meters: meters.map(({ code }) => code),
  }
}

/** The terms of services that have some of their own. */
export async function termsOf(sql: Sql, serviceIds: readonly string[]): Promise<Map<string, PercentileTerms>> {
  const rows = await sql.query<PercentileTerms & { serviceId: string }>(
    `select service_id as "serviceId", percentile, direction, rank, missing from bandwidth_terms where service_id = any($1)`,
    [serviceIds],
  )
  return new Map(rows.map(({ serviceId, ...terms }) => [serviceId, terms]))
}

/** Sets by which convention a service is billed from the next billing run on. @throws NotFound */
export async function setTerms(sql: Sql, serviceId: string, terms: PercentileTerms, actor: Actor): Promise<void> {
  const partyId = await ownerOf(sql, serviceId)
  const before = (await termsOf(sql, [serviceId])).get(serviceId) ?? USUAL_TERMS
  await sql.query(
    `insert into bandwidth_terms (service_id, party_id, percentile, direction, rank, missing) values ($1, $2, $3, $4, $5, $6)
     on conflict (service_id) do update set percentile = excluded.percentile, direction = excluded.direction,
       rank = excluded.rank, missing = excluded.missing`,
    [serviceId, partyId, terms.percentile, terms.direction, terms.rank, terms.missing],
  )
  const event = { partyId, actor, type: 'service.bandwidth-terms', subjectKind: 'service', subjectId: serviceId }
  await appendEvents(sql, [{ ...event, before, after: terms }])
}

/** What is billed of a service's ports, each over its own life in the period, by its own terms; services without samples are left out. */
export async function* billedBandwidth(
  sql: Sql,
  services: readonly (Interval & { id: string })[],
  zone: string,
): AsyncGenerator<{ id: string; bandwidth: Bandwidth; terms: PercentileTerms }> {
  const meters = Map.groupBy(
    await metersOf(
      sql,
      services.map(({ id }) => id),
    ),
    ({ serviceId }) => serviceId,
  )
  if (meters.size === 0) return
  const terms = await termsOf(
    sql,
    services.map(({ id }) => id),
  )
  for (const { id, from, to } of services) {
    const ports = meters.get(id)
    if (!ports) continue
    // Slots that the service was there for as a whole.
    const slotMs = Math.max(...ports.map(({ slotSeconds }) => slotSeconds)) * 1_000
    const whole = { from: Math.ceil(from / slotMs) * slotMs, to: Math.floor(to / slotMs) * slotMs }
    if (whole.to <= whole.from) continue
    const of = terms.get(id) ?? USUAL_TERMS
    const bandwidth = await bandwidthOf(sql, ports, whole, zone, of).catch((error) => {
      if (error instanceof NotFound) return null
      throw error
    })
    if (bandwidth) yield { id, bandwidth, terms: of }
  }
}

/** The percentiles of many meters, each by itself: a month's close. Meters without a sample that counts are left out. */
export async function* percentiles(
  sql: Sql,
  meterIds: readonly number[],
  slotSeconds: number,
  interval: Interval,
  zone: string,
  terms: PercentileTerms,
): AsyncGenerator<{ meterId: number; billed: BilledPercentile }> {
  const range = slotsIn(interval, slotSeconds)
  const days = slotsOfDays(interval, zone, slotSeconds)
  for await (const { meterId, series } of seriesOf(sql, meterIds, range, slotsOfDay(slotSeconds))) {
    const billed = billedPercentile([series], terms, days)
    if (billed !== null) yield { meterId, billed }
  }
}
