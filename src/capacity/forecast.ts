/**
 * When does a pool run out, and by when must its next step be committed? The trend is the Theil–Sen estimator over the
 * daily peaks of the last 180 days: the median of the slopes between all pairs of days (Theil 1950, Sen 1968), which a
 * single large customer or a bad week does not bend. The forecast is what the trend says, but never less than what is
 * already reserved for that day. The band runs along the quartiles of the slopes.
 */
import type { Quantity } from '../core/quantity.ts'
import { DAY_MS, type Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type ChartPoint, poolChart } from './chart.ts'
import type { PoolHead } from './store.ts'

const HISTORY_DAYS = 180
const HORIZON_DAYS = 5 * 365
/** Lead time taken when no step of the pool says one. */
const USUAL_LEAD_DAYS = 180
/** Points of the forecast shown. */
const SHOWN_EVERY_DAYS = 7
/** Below this many days of history there is no trend to speak of. */
const LEAST_DAYS = 7

export interface Forecast {
  poolId: number
  site: string
  kind: string
  unit: string
  runsOutAt: Instant | null
  /** By when the next step must be committed; null when nothing runs out. */
  commitBy: Instant | null
  trendPerDay: Quantity
  /** 0 to 1: how much of the variation the trend explains, less with little history. */
  confidence: number
  points: { at: Instant; forecast: Quantity; low: Quantity; high: Quantity }[]
}

/** The forecast of one pool, from its reservations and steps. */
export async function poolForecast(sql: Sql, pool: PoolHead, now: Instant): Promise<Forecast> {
  const today = Math.floor(now / DAY_MS) * DAY_MS
  const chart = await poolChart(sql, pool, today - HISTORY_DAYS * DAY_MS, today + HORIZON_DAYS * DAY_MS)
  const [lead] = await sql.query<{ days: number | null }>(
    `select lead_time_days as days from capacity_step
     where pool_id = $1 and lead_time_days > 0 order by (state = 'planned') desc, effective_at limit 1`,
    [pool.id],
  )
  const days = dailyPeaks(chart, today - HISTORY_DAYS * DAY_MS, HISTORY_DAYS + HORIZON_DAYS)
  return {
    poolId: pool.id,
    site: pool.siteCode,
    kind: pool.kind,
    unit: pool.unit,
    ...project(days, HISTORY_DAYS, today, (lead?.days ?? USUAL_LEAD_DAYS) * DAY_MS),
  }
}

/** What one day needs at most and has at least. */
export interface Day {
  used: Quantity
  open: Quantity
}

/** The peak use and least capacity of each day. */
export function dailyPeaks(chart: readonly ChartPoint[], from: Instant, count: number): Day[] {
  const days: Day[] = []
  let place = 0
  let last: Day = { used: 0, open: 0 }
  for (let index = 0; index < count; index++) {
    const begin = from + index * DAY_MS
    const day = { ...last }
    for (; place < chart.length && chart[place]!.at < begin + DAY_MS; place++) {
      const point = chart[place]!
      last = { used: point.firm + point.standby + point.held, open: point.open }
      if (point.at <= begin) Object.assign(day, last)
      day.used = Math.max(day.used, last.used)
      day.open = Math.min(day.open, last.open)
    }
    days.push(day)
  }
  return days
}

/** Projects days of history (the first `known`, today the next) over the days to come. Pure. */
export function project(
  days: readonly Day[],
  known: number,
  today: Instant,
  leadTimeMs: number,
): Pick<Forecast, 'runsOutAt' | 'commitBy' | 'trendPerDay' | 'confidence' | 'points'> {
  const level = days[known]?.used ?? 0
  const began = days.findIndex((day) => day.used > 0)
  const history = began < 0 || began >= known ? [] : days.slice(began, known + 1).map((day) => day.used)
  const slopes = pairSlopes(history)
  const [low, trend, high] = [quantile(slopes, 0.25), quantile(slopes, 0.5), quantile(slopes, 0.75)]
  const points: Forecast['points'] = []
  let runsOutAt: Instant | null = null
  for (let ahead = 0; known + ahead < days.length; ahead++) {
    const { used, open } = days[known + ahead]!
    const along = (slope: number) => Math.max(used, Math.round(level + slope * ahead))
    const forecast = along(trend)
    const at = today + ahead * DAY_MS
    if (runsOutAt === null && forecast > open) runsOutAt = at
    if (ahead % SHOWN_EVERY_DAYS === 0) points.push({ at, forecast, low: Math.max(0, along(low)), high: along(high) })
  }
  return {
    runsOutAt,
    commitBy: runsOutAt === null ? null : runsOutAt - leadTimeMs,
    trendPerDay: trend,
    confidence: confidenceOf(history, trend),
    points,
  }
}

/** Slopes between all pairs of days, sorted; none when there is too little history. */
function pairSlopes(history: readonly number[]): number[] {
  if (history.length < LEAST_DAYS) return []
  const slopes: number[] = []
  for (let a = 0; a < history.length; a++)
    for (let b = a + 1; b < history.length; b++) slopes.push((history[b]! - history[a]!) / (b - a))
  return slopes.sort((a, b) => a - b)
}

/** A quantile of sorted values, 0 of none. */
function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0
  const place = (sorted.length - 1) * share
  const below = Math.floor(place)
  const value = sorted[below]!
  return value + ((sorted[below + 1] ?? value) - value) * (place - below)
}

/** One less the share of absolute variation that the trend leaves, scaled down below 60 days of history. */
function confidenceOf(history: readonly number[], trend: number): number {
  if (history.length < LEAST_DAYS) return 0
  const spread = (values: readonly number[]) => {
    const middle = quantile(
      [...values].sort((a, b) => a - b),
      0.5,
    )
    return values.reduce((sum, value) => sum + Math.abs(value - middle), 0)
  }
  const all = spread(history)
  const left = spread(history.map((value, day) => value - trend * day))
  const explained = all === 0 ? 1 : Math.max(0, 1 - left / all)
  return Math.round(explained * Math.min(1, history.length / 60) * 100) / 100
}
