/**
 * Usage that is reserved: amount × time of each kind of capacity, by local day, straight from the reservation rows. What
 * nodes count (kWh, bytes) will join it as readings of its own; what is billed of reservations is always these rows.
 */
import { dayBounds } from '../core/calendar.ts'
import { BadInput } from '../core/errors.ts'
import { type Interval, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'

export interface UsageReading {
  /** `2026-10-31`, in the operator's zone. */
  date: string
  site: string
  kind: string
  unit: string
  reservation: 'firm' | 'standby'
  /** Unit-hours. */
  unitHours: number
  /** The largest amount reserved at any instant of the day is not told by sums: services counted instead. */
  services: number
}

/** Days one question may span. */
export const MAX_USAGE_DAYS = 400

/**
 * Reserved unit-hours by day, site, kind and reservation over an interval, of a party (and those below it) or a service.
 * @throws BadInput when the interval is too long
 */
export async function reservedUsage(
  sql: Sql,
  filter: Interval & { partyId: string | null; serviceId: string | null },
  zone: string,
): Promise<UsageReading[]> {
  const bounds = dayBounds(filter, zone)
  if (bounds.length - 1 > MAX_USAGE_DAYS)
    throw new BadInput('/query/to', `${bounds.length - 1} days`, `at most ${MAX_USAGE_DAYS} days`)
  return sql.query<UsageReading>(
    `with day as (
       select greatest(to_timestamp(a), to_timestamp($4)) as starts, least(to_timestamp(b), to_timestamp($5)) as ends,
         to_char(to_timestamp(a) at time zone $6, 'YYYY-MM-DD') as date
       from unnest($1::float8[], $2::float8[]) as d(a, b)),
     held as (
       select s.id, r.pool_id, r.protects_site_id is not null as standby, r.quantity,
         greatest(r.starts_at, s.starts_at) as starts, least(r.ends_at, s.ends_at) as ends
       from service s join party p on p.id = s.party_id join reservation r on r.claim_id = s.claim_id
       where r.type in ('firm', 'standby') and ($3::uuid is null or p.ancestors @> array[$3::uuid])
         and ($7::uuid is null or s.id = $7)
         and r.starts_at < to_timestamp($5) and r.ends_at > to_timestamp($4))
     select day.date, site.code as site, pool.kind, k.unit, case when h.standby then 'standby' else 'firm' end as reservation,
       sum(h.quantity * extract(epoch from least(h.ends, day.ends) - greatest(h.starts, day.starts)))::float8 / 3600000 as "unitHours",
       count(distinct h.id)::int as services
     from held h join day on h.starts < day.ends and h.ends > day.starts
       join pool on pool.id = h.pool_id join site on site.id = pool.site_id join resource_kind k on k.code = pool.kind
     where least(h.ends, day.ends) > greatest(h.starts, day.starts)
     group by day.date, site.code, pool.kind, k.unit, h.standby
     order by day.date, site.code, pool.kind, h.standby`,
    [
      bounds.slice(0, -1).map(toEpochSeconds),
      bounds.slice(1).map(toEpochSeconds),
      filter.partyId,
      toEpochSeconds(filter.from),
      toEpochSeconds(filter.to),
      zone,
      filter.serviceId,
    ],
  )
}
