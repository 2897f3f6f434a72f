/**
 * One pool over time, for charts and forecasts: what is open and planned, and what firm claims, holds and the worst
 * failure's standby take of it. Standby is shared, so what counts of it at an instant is not its sum but the most that
 * the covered number of failed sites would claim then.
 */
import type { Quantity } from '../core/quantity.ts'
import { FOREVER, type Instant, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { capacityPoints } from './model.ts'

export interface ChartPoint {
  at: Instant
  open: Quantity
  /** What planned steps would add to `open`. */
  planned: Quantity
  firm: Quantity
  standby: Quantity
  held: Quantity
}

interface UseChange {
  at: Instant
  type: 'firm' | 'standby' | 'hold'
  protects: number | null
  amount: Quantity
}

/** Every instant in `[from, to)` at which something changes, with what holds from it on; the first point is at `from`. */
export async function poolChart(
  sql: Sql,
  pool: { id: number; coveredFailures: number },
  from: Instant,
  to: Instant,
): Promise<ChartPoint[]> {
  const uses = await sql.query<UseChange>(
    `select round(extract(epoch from at)::float8 * 1000) as at, type, protects, sum(amount)::float8 as amount
     from (
       select greatest(starts_at, to_timestamp($2)) as at, type, protects_site_id as protects, quantity as amount
       from reservation where pool_id = $1 and starts_at < ends_at and ends_at > to_timestamp($2) and starts_at < to_timestamp($3)
       union all
       select ends_at, type, protects_site_id, -quantity
       from reservation where pool_id = $1 and starts_at < ends_at and ends_at > to_timestamp($2) and ends_at < to_timestamp($3)
     ) change group by 1, 2, 3 order by 1`,
    [pool.id, toEpochSeconds(from), toEpochSeconds(to)],
  )
  const [head] = await sql.query<{ thousandths: number }>(
    'select (oversubscription * 1000)::integer as thousandths from pool where id = $1',
    [pool.id],
  )
  const steps = await sql.query<{ effectiveAt: Instant; quantity: Quantity; state: 'planned' | 'committed' | 'open' }>(
    'select effective_at as "effectiveAt", quantity::float8 as quantity, state from capacity_step where pool_id = $1',
    [pool.id],
  )
  const open = steps.length === 0 ? [] : capacityPoints(steps, head!.thousandths)
  const withPlanned = capacityPoints(
    steps.map((step) => ({ ...step, state: 'open' as const })),
    head!.thousandths,
  )
  return merged(uses, open, withPlanned, pool.coveredFailures, from, to)
}

function merged(
  uses: readonly UseChange[],
  open: readonly { at: Instant; value: Quantity }[],
  withPlanned: readonly { at: Instant; value: Quantity }[],
  coveredFailures: number,
  from: Instant,
  to: Instant,
): ChartPoint[] {
  const instants = [
    ...new Set([from, ...uses.map(({ at }) => at), ...open.map(({ at }) => at), ...withPlanned.map(({ at }) => at)]),
  ]
    .filter((at) => at >= from && at < to)
    .sort((a, b) => a - b)
  const demand = new Map<number, Quantity>()
  const now = { firm: 0, held: 0 }
  const places = { use: 0, open: -1, planned: -1 }
  return instants.map((at) => {
    for (; places.use < uses.length && uses[places.use]!.at <= at; places.use++) {
      const { type, protects, amount } = uses[places.use]!
      if (type === 'hold') now.held += amount
      else if (type === 'firm') now.firm += amount
      else if (protects !== null) demand.set(protects, (demand.get(protects) ?? 0) + amount)
    }
    while (places.open + 1 < open.length && open[places.open + 1]!.at <= at) places.open++
    while (places.planned + 1 < withPlanned.length && withPlanned[places.planned + 1]!.at <= at) places.planned++
    const opened = open[places.open]?.value ?? 0
    return {
      at,
      open: opened,
      planned: Math.max(0, (withPlanned[places.planned]?.value ?? 0) - opened),
      firm: now.firm,
      standby: worst([...demand.values()], coveredFailures),
      held: now.held,
    }
  })
}

/** What the worst `failures` of the sites would claim together. */
export const worst = (demands: readonly Quantity[], failures: number): Quantity =>
  [...demands]
    .sort((a, b) => b - a)
    .slice(0, failures)
    .reduce((sum, amount) => sum + amount, 0)

/** At most `buckets` points: of each stretch the least that was open and the most that was used. */
export function bucketed(points: readonly ChartPoint[], from: Instant, to: Instant, buckets: number): ChartPoint[] {
  if (points.length <= buckets || to === FOREVER) return points.slice(0, Math.max(buckets, 1))
  const width = (to - from) / buckets
  const shown: ChartPoint[] = []
  let place = 0
  let last = points[0]!
  for (let bucket = 0; bucket < buckets; bucket++) {
    const begin = from + bucket * width
    const peak = { ...last, at: Math.round(begin) }
    for (; place < points.length && points[place]!.at < begin + width; place++) {
      last = points[place]!
      // What holds from the bucket's first instant on replaces what came before it.
      if (last.at <= begin) Object.assign(peak, { ...last, at: peak.at })
      peak.open = Math.min(peak.open, last.open)
      peak.planned = Math.max(peak.planned, last.planned)
      peak.firm = Math.max(peak.firm, last.firm)
      peak.standby = Math.max(peak.standby, last.standby)
      peak.held = Math.max(peak.held, last.held)
    }
    shown.push(peak)
  }
  return shown
}
