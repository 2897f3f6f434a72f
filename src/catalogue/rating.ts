/**
 * Rating: what one service owes in one period, from its reservation history, its plan and its dates. Pure, exact and the
 * same for an estimate before the order as for the invoice after it. Nothing is rounded here: an amount is a whole number
 * over a divisor, and the invoice line rounds once over all that it sums.
 *
 * - **Set-up** is charged in the period in which the service starts.
 * - **Monthly** charges are prorated by day in the operator's zone: each local day that the service touches counts once,
 *   over the days of that month. Days on which it was suspended from midnight to midnight are not charged.
 * - **Unit** charges are quantity × elapsed time: an hour is 3,600 s, a day 86,400 s, a month that calendar month's own
 *   length. They run as long as the capacity is reserved, also while the service is suspended, for nobody else can have
 *   it. Volume steps look at the service's whole quantity of the kind at each instant.
 */
import type { Currency } from '../core/money.ts'
import { divideRounded, minorDigits, RATE_DECIMALS, RATE_SCALE, rateFromDecimal } from '../core/money.ts'
import { DAY_MS, HOUR_MS, type Instant, type Interval } from '../core/time.ts'
import { type Per, type PriceCharge, type PricePlan, rateFor } from './model.ts'

/** One row of the reservation history. */
export interface ReservedTime extends Interval {
  kind: string
  reservation: 'firm' | 'standby'
  /** Thousandths of a unit. */
  quantity: number
  /**
   * Counted, not reserved: it is owed for its whole interval, however short the service's life in the period. What is kept
   * is shown to whoever opens the line.
   */
  metered?: Record<string, unknown>
}

/** What rating looks at of a service. */
export interface ServiceHistory extends Interval {
  reserved: readonly ReservedTime[]
  suspended: readonly Interval[]
}

/** One month, with the instants that bound its days in the operator's zone. */
export interface RatingPeriod extends Interval {
  /** `n + 1` instants for `n` days, as `dayBounds` gives them. */
  days: readonly Instant[]
}

/** A stretch of the period at one quantity and price: the arithmetic that an explanation shows. */
export interface RatedStretch extends Interval {
  quantity: number
  metered?: Record<string, unknown>
}

/**
 * One charge of one service at one price. Its exact amount in millionths of a minor unit is
 * `rate × measure / divisor`; set-up and monthly charges measure in services and days, unit charges in thousandths × ms.
 */
export interface RatedCharge {
  charge: PriceCharge
  rate: bigint
  measure: bigint
  divisor: bigint
  stretches: RatedStretch[]
}

/** Thousandths × milliseconds in one unit and one `per`. */
export const perUnitTime = (per: Per, period: Interval): bigint =>
  1_000n * BigInt(per === 'hour' ? HOUR_MS : per === 'day' ? DAY_MS : period.to - period.from)

/** All that a service owes in the period, charge by charge; charges that come to nothing are left out. */
export function rate(plan: PricePlan, history: ServiceHistory, period: RatingPeriod): RatedCharge[] {
  const rated: RatedCharge[] = []
  for (const charge of plan.charges) {
    if (charge.kind === 'setup') {
      if (history.from >= period.from && history.from < period.to && history.to > history.from)
        rated.push({ charge, rate: flatRate(charge, plan.currency), measure: 1n, divisor: 1n, stretches: [] })
    } else if (charge.kind === 'monthly') {
      const stretches = activeStretches(history, period)
      const days = daysTouched(stretches, period.days)
      if (days > 0)
        rated.push({
          charge,
          rate: flatRate(charge, plan.currency),
          measure: BigInt(days),
          divisor: BigInt(period.days.length - 1),
          stretches: stretches.map((stretch) => ({ ...stretch, quantity: 1_000 })),
        })
    } else rated.push(...rateUnit(charge, plan.currency, history, period))
  }
  return rated
}

const flatRates = new WeakMap<PriceCharge, bigint>()
function flatRate(charge: PriceCharge, currency: Currency): bigint {
  let known = flatRates.get(charge)
  if (known === undefined) {
    known = rateFromDecimal(charge.price, currency)
    flatRates.set(charge, known)
  }
  return known
}

function rateUnit(
  charge: PriceCharge,
  currency: Currency,
  history: ServiceHistory,
  period: RatingPeriod,
): RatedCharge[] {
  const divisor = perUnitTime(charge.per!, period)
  const byRate = new Map<bigint, RatedCharge>()
  for (const stretch of quantityStretches(charge, history, period)) {
    const price = charge.tiers.length === 0 ? flatRate(charge, currency) : rateFor(charge, stretch.quantity, currency)
    let rated = byRate.get(price)
    if (!rated) {
      rated = { charge, rate: price, measure: 0n, divisor, stretches: [] }
      byRate.set(price, rated)
    }
    rated.measure += BigInt(stretch.quantity) * BigInt(stretch.to - stretch.from)
    rated.stretches.push(stretch)
  }
  return [...byRate.values()]
}

/** The service's quantity of the charge's kind over the period, as a step function without its zeros. */
function quantityStretches(charge: PriceCharge, history: ServiceHistory, period: Interval): RatedStretch[] {
  const rows: RatedStretch[] = []
  for (const row of history.reserved) {
    if (row.kind !== charge.resource || row.reservation !== charge.reservation) continue
    if (row.metered) rows.push({ from: row.from, to: row.to, quantity: row.quantity, metered: row.metered })
    else {
      const from = Math.max(row.from, history.from, period.from)
      const to = Math.min(row.to, history.to, period.to)
      if (to > from) rows.push({ from, to, quantity: row.quantity })
    }
  }
  if (rows.length < 2) return rows
  const steps = new Map<Instant, number>()
  for (const { from, to, quantity } of rows) {
    steps.set(from, (steps.get(from) ?? 0) + quantity)
    steps.set(to, (steps.get(to) ?? 0) - quantity)
  }
  const stretches: RatedStretch[] = []
  let quantity = 0
  let since = 0
  for (const at of [...steps.keys()].sort((a, b) => a - b)) {
    const step = steps.get(at)!
    if (step === 0) continue
    if (quantity > 0) stretches.push({ from: since, to: at, quantity })
    quantity += step
    since = at
  }
  return stretches
}

/** The service's life in the period without its suspensions. */
function activeStretches(history: ServiceHistory, period: Interval): Interval[] {
  let active: Interval[] = [{ from: Math.max(history.from, period.from), to: Math.min(history.to, period.to) }]
  for (const gap of history.suspended)
    active = active.flatMap((one) =>
      [
        { from: one.from, to: Math.min(one.to, gap.from) },
        { from: Math.max(one.from, gap.to), to: one.to },
      ].filter((part) => part.to > part.from),
    )
  return active.filter((one) => one.to > one.from).sort((a, b) => a.from - b.from)
}

/** How many days the stretches touch, each day once. */
function daysTouched(stretches: readonly Interval[], days: readonly Instant[]): number {
  let count = 0
  let next = 0
  for (const { from, to } of stretches) {
    // The first day not yet counted that ends after `from`.
    while (next < days.length - 1 && days[next + 1]! <= from) next++
    for (; next < days.length - 1 && days[next]! < to; next++) count++
  }
  return count
}

/** The exact amount in millionths of a minor unit, rounded only for display and traces. */
export const amountMillionths = (rated: RatedCharge): bigint =>
  (2n * rated.rate * rated.measure + rated.divisor) / (2n * rated.divisor)

/** A rate in millionths of a minor unit as a decimal of the major unit, as plans write it. */
export function rateText(rateMillionths: bigint, currency: Currency): string {
  const digits = RATE_DECIMALS + minorDigits(currency)
  const text = String(rateMillionths).padStart(digits + 1, '0')
  const fraction = text.slice(-digits).replace(/0+$/, '')
  return `${text.slice(0, -digits)}${fraction ? `.${fraction}` : ''}`
}

/** The amount in minor units that a rate over summed measures comes to: the one rounding of an invoice line, half up. */
export const lineAmount = (rateMillionths: bigint, measure: bigint, divisor: bigint): bigint =>
  divideRounded(rateMillionths * measure, divisor * RATE_SCALE)
