/** The figures of a quarter, each from its rows: contracts and services by their dates, revenue from the postings, capacity
 * from steps and reservations. */
import { toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { Quarter } from './quarters.ts'

export interface BusinessFigures {
  /** Alive at the quarter's end (or now, in a quarter that is not over). */
  contracts: number
  newContracts: number
  endedContracts: number
  services: number
  /** For each month that is over, contracts alive at any instant of it; summed. The divisor of ARPU. */
  contractMonths: number
}

/** Contracts and services of customers below a seller whose direct or indirect seller it is. */
export async function businessFigures(
  sql: Sql,
  sellerId: string,
  quarters: readonly Quarter[],
  now: number,
  monthStarts: readonly number[],
): Promise<BusinessFigures[]> {
  const rows = await sql.query<BusinessFigures>(
    `with c as materialized (
       select c.starts_at, c.ends_at from contract c join party p on p.id = c.party_id
       where p.ancestors @> array[$1::uuid] and p.id <> $1 and c.starts_at < c.ends_at),
     s as materialized (
       select s.starts_at, s.ends_at from service s join party p on p.id = s.party_id
       where p.ancestors @> array[$1::uuid] and p.id <> $1 and s.starts_at < s.ends_at),
     q as (select n, to_timestamp(a) as a, to_timestamp(b) as b, least(to_timestamp(b), to_timestamp($4)) as till
       from unnest($2::float8[], $3::float8[]) with ordinality as u(a, b, n)),
     m as (select to_timestamp(a) as a, lead(to_timestamp(a)) over (order by a) as b from unnest($5::float8[]) as u(a))
     select (select count(*) from c where c.starts_at < q.till and c.ends_at >= q.till)::int as contracts,
       (select count(*) from c where c.starts_at >= q.a and c.starts_at < q.till)::int as "newContracts",
       (select count(*) from c where c.ends_at >= q.a and c.ends_at < q.till)::int as "endedContracts",
       (select count(*) from s where s.starts_at < q.till and s.ends_at >= q.till)::int as services,
       (select count(*) from c join m on m.a >= q.a and m.b <= q.till and c.starts_at < m.b and c.ends_at > m.a)::int
         as "contractMonths"
     from q order by n`,
    [
      sellerId,
      quarters.map(({ from }) => toEpochSeconds(from)),
      quarters.map(({ to }) => toEpochSeconds(to)),
      toEpochSeconds(now),
      monthStarts.map(toEpochSeconds),
    ],
  )
  return rows
}

/** Revenue by quarter, currency and family from the postings to revenue accounts. */
export const revenueByFamily = (sql: Sql, sellerId: string, from: string, to: string) =>
  sql.query<{ month: string; currency: string; family: string; revenue: bigint }>(
    `select to_char(e.effective_on, 'YYYY-MM') as month, p.currency, coalesce(p.family, '') as family,
       (-sum(p.amount))::bigint as revenue
     from posting p join journal_entry e on e.id = p.entry_id join account a on a.code = p.account and a.type = 'revenue'
     where e.seller_id = $1 and e.effective_on >= $2 and e.effective_on < $3
     group by 1, 2, 3 order by 1, 2, 3`,
    [sellerId, from, to],
  )

export interface CapacityFigures {
  quarter: number
  site: string
  kind: string
  unit: string
  /** Open at the quarter's end with oversubscription, in thousandths. */
  open: number
  /** The most that was taken at any instant: firm and hold. */
  peak: number
  /** Taken amount × time over the quarter's elapsed time. */
  averageUsed: number
}

/** Capacity by site and kind for each quarter, from steps and reservations (firm; standby covers failures, not use). */
export const capacityFigures = (sql: Sql, quarters: readonly Quarter[], now: number): Promise<CapacityFigures[]> =>
  sql.query<CapacityFigures>(
    `with q as (select n::int, to_timestamp(a) as a, least(to_timestamp(b), to_timestamp($3)) as b
       from unnest($1::float8[], $2::float8[]) with ordinality as u(a, b, n)
       where a < $3),
     used as materialized (
       select r.pool_id, r.quantity, r.starts_at, r.ends_at from reservation r
       where r.type = 'firm' and r.starts_at < r.ends_at and r.starts_at < (select max(b) from q)
         and r.ends_at > (select min(a) from q)),
     moves as (
       select q.n, u.pool_id, greatest(u.starts_at, q.a) as at, u.quantity as step from used u join q on u.starts_at < q.b and u.ends_at > q.a
       union all
       select q.n, u.pool_id, u.ends_at, -u.quantity from used u join q on u.starts_at < q.b and u.ends_at > q.a and u.ends_at < q.b),
     levels as (
       select n, pool_id, sum(sum(step)) over (partition by n, pool_id order by at) as level from moves group by n, pool_id, at),
     peaks as (select n, pool_id, max(level) as peak from levels group by n, pool_id),
     averages as (
       select q.n, u.pool_id, sum(u.quantity * extract(epoch from least(u.ends_at, q.b) - greatest(u.starts_at, q.a)))
         / extract(epoch from max(q.b) - max(q.a)) as average
       from used u join q on u.starts_at < q.b and u.ends_at > q.a group by q.n, u.pool_id)
     select q.n as quarter, s.code as site, p.kind, k.unit,
       coalesce((select sum(c.quantity) * p.oversubscription from capacity_step c
         where c.pool_id = p.id and c.state <> 'planned' and c.effective_at < q.b), 0)::float8 as open,
       coalesce(peaks.peak, 0)::float8 as peak, coalesce(averages.average, 0)::float8 as "averageUsed"
     from q cross join pool p join site s on s.id = p.site_id join resource_kind k on k.code = p.kind
       left join peaks on peaks.n = q.n and peaks.pool_id = p.id
       left join averages on averages.n = q.n and averages.pool_id = p.id
     where p.party_id is null
     order by q.n, s.code, p.kind`,
    [
      quarters.map(({ from }) => toEpochSeconds(from)),
      quarters.map(({ to }) => toEpochSeconds(to)),
      toEpochSeconds(now),
    ],
  )
