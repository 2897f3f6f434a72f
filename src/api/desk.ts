/** What routes of orders, services and money share: the desk they order at, and the shapes they answer in. */
import Type from 'typebox'
import type { EstimateJson } from '../orders/estimate-json.ts'
import type { Desk } from '../orders/model.ts'
import type { Platform } from './platform.ts'
import { MoneyJson, Nullable, OneOf, Shape, Text } from './schemas.ts'

/** The platform as the way of an order sees it. */
export const deskOf = ({ database, capacity, families, clock }: Platform): Desk => ({
  database,
  capacity,
  families,
  clock,
})

/** How far back a start may lie: clocks differ, and requests take time. */
export const BACKDATED_MS = 5 * 60_000

export const KINDS_OF_CHARGE = ['setup', 'monthly', 'unit'] as const
export const PERS = ['hour', 'day', 'month'] as const
export const RESERVATIONS = ['firm', 'standby'] as const

/** A decimal price in the currency's major unit. */
export const Price = Type.String({
  pattern: '^\\d{1,12}(\\.\\d{1,6})?$',
  maxLength: 19,
  description: "A decimal in the currency's major unit, up to six places.",
  examples: ['14.5'],
})

export const EstimateShape = Shape(
  {
    charges: Type.Array(
      Shape({
        line: Type.Integer(),
        kind: OneOf(KINDS_OF_CHARGE),
        name: Text(),
        nameJa: Nullable(Text()),
        resource: Nullable(Text(63)),
        reservation: OneOf(RESERVATIONS),
        per: Nullable(OneOf(PERS)),
        quantity: Type.Number(),
        price: Price,
        amount: MoneyJson,
      }),
    ),
    monthly: MoneyJson,
    setup: MoneyJson,
    total: Nullable(MoneyJson),
    minimumTermMonths: Type.Integer(),
  },
  { description: 'Before tax. `monthly` is the first calendar month, reserved throughout.' },
)

/** A kept estimate as it is answered. */
export const asEstimate = (kept: unknown): EstimateJson => kept as EstimateJson

/** The operator's calendar and its own currency: how every seller counts days and months. */
export async function operatorCalendar(platform: Platform) {
  const [operator] = await platform.database.query<{ id: string; zone: string; fiscalYearStartMonth: number }>(
    `select id, time_zone as zone, fiscal_year_start_month as "fiscalYearStartMonth" from party where kind = 'operator'`,
    [],
    'operator-calendar',
  )
  return operator!
}
