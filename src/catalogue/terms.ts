/**
 * On which terms a party buys an offering: the plan of the seller directly above it and, so that each seller can be
 * invoiced in turn, the plans of every seller above that one, up to the operator's.
 */
import { NotFound, WrongState } from '../core/errors.ts'
import type { Currency } from '../core/money.ts'
import type { Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Offering, type PricePlan, planAt } from './model.ts'
import { findOffering, plansOf } from './store.ts'

export interface Terms {
  offering: Offering
  /** The buyer's seller: its parent. */
  sellerId: string
  /** Nearest seller first, the operator last. */
  plans: PricePlan[]
  /** The operator's zone, in which days and months are counted. */
  zone: string
}

/** The retail plan: what the buyer itself pays. */
export const retailPlan = (terms: Terms): PricePlan => terms.plans[0]!

/** A party as far as terms depend on it. */
export interface Buyer {
  id: string
  /** The operator first, the party itself last. */
  ancestors: readonly string[]
}

/**
 * The terms that hold at an instant. Runs as the owner: a buyer may not see what its seller pays.
 * @throws NotFound, WrongState when it is not for sale to this party then.
 */
export async function termsFor(sql: Sql, buyer: Buyer, offeringCode: string, at: Instant): Promise<Terms> {
  const offering = await findOffering(sql, offeringCode)
  if (!offering) throw new NotFound('offering', offeringCode)
  if (offering.state !== 'active')
    throw new WrongState(`The offering ${offering.code} is ${offering.state}, not for sale.`)
  const sellers = buyer.ancestors.slice(0, -1)
  if (sellers.length === 0) throw new WrongState('The operator sells; name the customer or reseller who orders.')
  const parties = await sql.query<{ id: string; name: string; currency: Currency; timeZone: string }>(
    'select id, name, currency, time_zone as "timeZone" from party where id = any($1)',
    [buyer.ancestors],
    'terms-parties',
  )
  const byId = new Map(parties.map((party) => [party.id, party]))
  const plans = await plansOf(sql, [offering.id], sellers)
  const chain: PricePlan[] = []
  for (let place = buyer.ancestors.length - 1; place > 0; place--) {
    const seller = byId.get(buyer.ancestors[place - 1]!)!
    const { currency } = byId.get(buyer.ancestors[place]!)!
    const own = plans.filter((plan) => plan.sellerId === seller.id)
    const inCurrency = own.filter((plan) => plan.currency === currency)
    chain.push(planAt(inCurrency.length > 0 ? inCurrency : own, at, `${offering.name} from ${seller.name}`))
  }
  return {
    offering,
    sellerId: sellers.at(-1)!,
    plans: chain,
    zone: byId.get(buyer.ancestors[0]!)!.timeZone,
  }
}
