/**
 * Offerings and their price plans. A plan belongs to one seller, holds from one date on and never changes: a new price
 * is a new version, and a service keeps the plan it was ordered under. A buyer pays the plan of the seller directly
 * above it, and that seller pays the plan of the one above it, up to the operator.
 */
import { BadInput, WrongState } from '../core/errors.ts'
import { type Currency, rateFromDecimal } from '../core/money.ts'
import type { Instant } from '../core/time.ts'

export interface Offering {
  id: string
  code: string
  family: string
  name: string
  nameJa: string | null
  description: string | null
  descriptionJa: string | null
  defaults: Record<string, unknown>
  taxCode: string
  state: 'draft' | 'active' | 'retired'
  version: number
}

export type Per = 'hour' | 'day' | 'month'

/** From so many units on, the whole quantity costs `price` each. */
export interface Tier {
  from: number
  price: string
}

export interface PriceCharge {
  line: number
  /** Once at the start; flat per month by days; or per unit of capacity and time. */
  kind: 'setup' | 'monthly' | 'unit'
  name: string
  nameJa: string | null
  /** For `unit`: the kind of capacity, whether its firm or its standby reservations, and per which time. */
  resource: string | null
  reservation: 'firm' | 'standby'
  per: Per | null
  /** Decimal in the currency's major unit, up to six places. */
  price: string
  tiers: Tier[]
}

export interface PricePlan {
  id: string
  offeringId: string
  sellerId: string
  planVersion: number
  currency: Currency
  effectiveFrom: Instant
  effectiveTo: Instant
  minimumTermMonths: number
  charges: PriceCharge[]
}

/** Bounds of one plan. */
export const MAX_CHARGES = 32
export const MAX_TIERS = 16

/**
 * The plan that holds at an instant: of those effective then, the newest version.
 * @throws WrongState when the seller has no price for it then.
 */
export function planAt(plans: readonly PricePlan[], at: Instant, what: string): PricePlan {
  const holding = plans
    .filter((plan) => plan.effectiveFrom <= at && at < plan.effectiveTo)
    .sort((a, b) => b.planVersion - a.planVersion)
  if (!holding[0]) throw new WrongState(`${what} has no price on that date.`)
  return holding[0]
}

/** The price of a unit, in millionths of a minor unit, when so many thousandths are taken: that of the highest step reached. */
export function rateFor(charge: PriceCharge, quantity: number, currency: Currency): bigint {
  let price = charge.price
  for (const tier of charge.tiers) if (quantity >= Math.round(tier.from * 1_000)) price = tier.price
  return rateFromDecimal(price, currency)
}

/**
 * Checks what a schema cannot say of a plan's charges.
 * @throws BadInput naming the charge.
 */
export function checkCharges(charges: readonly PriceCharge[], currency: Currency): void {
  if (charges.length === 0) throw new BadInput('/charges', 'there are none', 'at least one charge')
  if (charges.length > MAX_CHARGES)
    throw new BadInput('/charges', `there are ${charges.length}`, `at most ${MAX_CHARGES} charges`)
  for (const [index, charge] of charges.entries()) {
    const at = `/charges/${index}`
    const isUnit = charge.kind === 'unit'
    if (isUnit !== (charge.resource !== null) || isUnit !== (charge.per !== null))
      throw new BadInput(at, `it is ${charge.kind}`, 'resource and per on unit charges, and on no others')
    if (!isUnit && charge.tiers.length > 0)
      throw new BadInput(`${at}/tiers`, 'only unit charges have steps', 'no tiers')
    if (charge.tiers.length > MAX_TIERS)
      throw new BadInput(`${at}/tiers`, `there are ${charge.tiers.length}`, `at most ${MAX_TIERS} steps`)
    if (rateFromDecimal(charge.price, currency, `${at}/price`) < 0n)
      throw new BadInput(`${at}/price`, 'it is negative', 'a price of zero or more')
    let last = 0
    for (const [step, tier] of charge.tiers.entries()) {
      if (!(tier.from > last))
        throw new BadInput(`${at}/tiers/${step}/from`, `${tier.from} does not rise`, `more than ${last}`)
      if (rateFromDecimal(tier.price, currency, `${at}/tiers/${step}/price`) < 0n)
        throw new BadInput(`${at}/tiers/${step}/price`, 'it is negative', 'a price of zero or more')
      last = tier.from
    }
  }
  const keys = charges
    .filter(({ kind }) => kind === 'unit')
    .map(({ resource, reservation }) => `${resource} ${reservation}`)
  const twice = keys.find((key, index) => keys.indexOf(key) !== index)
  if (twice) throw new BadInput('/charges', `${twice} is priced twice`, 'one unit charge per resource and reservation')
}
