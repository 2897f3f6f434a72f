/**
 * What a choice will cost, before it is ordered: the rating of `rating.ts` over the capacity the choice would reserve.
 * A quote keeps it, the order form shows it, and the invoice comes to the same because it is the same arithmetic.
 */
import { dayBounds, monthInterval, monthOf, monthsOf } from '../core/calendar.ts'
import type { Money } from '../core/money.ts'
import { unitsFromQuantity } from '../core/quantity.ts'
import { FOREVER, type Instant, type Interval } from '../core/time.ts'
import type { Demand } from './family.ts'
import type { Per, PriceCharge, PricePlan } from './model.ts'
import { lineAmount, type RatingPeriod, rate, rateText } from './rating.ts'

export interface EstimatedCharge {
  line: number
  kind: PriceCharge['kind']
  name: string
  nameJa: string | null
  resource: string | null
  reservation: 'firm' | 'standby'
  per: Per | null
  /** Units of capacity; 1 for flat charges. */
  quantity: number
  /** Decimal in the currency's major unit: that of the volume step reached. */
  price: string
  /** Set-up: once. Monthly and unit: over the whole of the first month. */
  amount: Money
}

export interface Estimate {
  charges: EstimatedCharge[]
  /** Of one whole month, the one in which it starts, before tax. */
  monthly: Money
  /** Once, before tax. */
  setup: Money
  /** Over the whole interval with set-up, before tax; null without an end. */
  total: Money | null
  minimumTermMonths: number
}

/** A month to rate, with its days. */
export function ratingPeriod(interval: Interval, zone: string): RatingPeriod {
  return { ...interval, days: dayBounds(interval, zone) }
}

/** Prices the demands of a choice over `[from, to)` under a plan, in the operator's zone. */
export function estimate(
  plan: PricePlan,
  demands: readonly Demand[],
  from: Instant,
  to: Instant,
  zone: string,
): Estimate {
  const month = ratingPeriod(monthInterval(monthOf(from, zone), zone), zone)
  const reserved = (interval: Interval) =>
    demands.map(({ kind, quantity, type }) => ({ ...interval, kind, quantity, reservation: type }))
  const whole = rate(plan, { ...month, reserved: reserved(month), suspended: [] }, month)
  const money = (amount: bigint): Money => ({ amount, currency: plan.currency })
  const charges = whole.map((rated): EstimatedCharge => {
    const { line, kind, name, nameJa, resource, reservation, per } = rated.charge
    return {
      line,
      kind,
      name,
      nameJa,
      resource,
      reservation,
      per,
      quantity: kind === 'unit' ? unitsFromQuantity(rated.stretches[0]?.quantity ?? 0) : 1,
      price: rateText(rated.rate, plan.currency),
      amount: money(lineAmount(rated.rate, rated.measure, rated.divisor)),
    }
  })
  const sum = (wanted: (charge: EstimatedCharge) => boolean) =>
    money(charges.filter(wanted).reduce((total, charge) => total + charge.amount.amount, 0n))
  return {
    charges,
    monthly: sum(({ kind }) => kind !== 'setup'),
    setup: sum(({ kind }) => kind === 'setup'),
    total:
      to === FOREVER
        ? null
        : money(totalOver(plan, { from, to, reserved: reserved({ from, to }), suspended: [] }, zone)),
    minimumTermMonths: plan.minimumTermMonths,
  }
}

/** The whole cost of a history with an end, month by month as it would be invoiced. */
function totalOver(plan: PricePlan, history: Parameters<typeof rate>[1], zone: string): bigint {
  let total = 0n
  for (const name of monthsOf(history, zone)) {
    const month = ratingPeriod(monthInterval(name, zone), zone)
    for (const rated of rate(plan, history, month)) total += lineAmount(rated.rate, rated.measure, rated.divisor)
  }
  return total
}
