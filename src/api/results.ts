/** `/results`: how the quarters went, out of the same rows as everything else. */
import Type, { type Static } from 'typebox'
import { moneyToJson } from '../core/money.ts'
import { toIso } from '../core/time.ts'
import { type QuarterResult, readResults } from '../results/results.ts'
import type { App } from './app.ts'
import { operatorCalendar } from './desk.ts'
import type { Platform } from './platform.ts'
import { CurrencyCode, Instant, MoneyJson, Nullable, Shape, Text } from './schemas.ts'

const QuarterName = Type.String({ pattern: '^(FY)?\\d{4}Q[1-4]$', maxLength: 8, examples: ['2026Q2'] })
const MoneyByKey = Type.Unsafe<Record<string, { amount: string; currency: string }>>({
  type: 'object',
  additionalProperties: MoneyJson,
})

const QuarterJson = Shape(
  {
    quarter: QuarterName,
    from: Instant,
    to: Instant,
    open: Type.Boolean({ description: 'The quarter is not over yet.' }),
    contracts: Type.Integer(),
    newContracts: Type.Integer(),
    endedContracts: Type.Integer(),
    services: Type.Integer(),
    revenue: MoneyJson,
    revenueByFamily: MoneyByKey,
    revenueByMonth: Type.Array(Shape({ month: Text(7), revenue: MoneyJson })),
    otherRevenue: MoneyByKey,
    contractMonths: Type.Integer(),
    arpu: MoneyJson,
    capacity: Type.Array(
      Shape({
        site: Text(63),
        kind: Text(63),
        unit: Text(40),
        open: Type.Number(),
        peak: Type.Number(),
        averageUsed: Type.Number(),
      }),
    ),
    revenueGrowth: Shape({
      quarterOnQuarter: Nullable(Type.Number()),
      yearOnYear: Nullable(Type.Number()),
    }),
  },
  { title: 'Quarter' },
)

const quarterJson = (result: QuarterResult): Static<typeof QuarterJson> => {
  const byKey = (amounts: QuarterResult['revenueByFamily']) =>
    Object.fromEntries(Object.entries(amounts).map(([key, money]) => [key, moneyToJson(money)]))
  return {
    ...result,
    from: toIso(result.from)!,
    to: toIso(result.to)!,
    revenue: moneyToJson(result.revenue),
    revenueByFamily: byKey(result.revenueByFamily),
    revenueByMonth: result.revenueByMonth.map(({ month, revenue }) => ({ month, revenue: moneyToJson(revenue) })),
    otherRevenue: byKey(result.otherRevenue),
    arpu: moneyToJson(result.arpu),
  }
}

export function resultRoutes(app: App, platform: Platform): void {
  app.get(
    '/results',
    {
      config: { access: { scope: 'results', parties: ['operator', 'reseller'] } },
      schema: {
        tags: ['results'],
        summary: 'Contracts, revenue, ARPU and capacity by fiscal quarter; the last four unless said otherwise',
        description:
          'ARPU is the revenue of the quarter over the sum, for each of its months that is over, of the contracts alive at any instant of it.',
        querystring: Shape({ from: Type.Optional(QuarterName), to: Type.Optional(QuarterName) }),
        response: {
          200: Shape({
            fiscalYearStartMonth: Type.Integer(),
            currency: CurrencyCode,
            quarters: Type.Array(QuarterJson),
          }),
        },
      },
    },
    async (request) => {
      const { zone, fiscalYearStartMonth } = await operatorCalendar(platform)
      const seller = await request.visibleParty(request.principal.partyId)
      const { currency } = seller
      const of = { sellerId: seller.id, currency, zone, fiscalYearStartMonth, now: platform.clock() }
      // The operator sees every row; reading as the owner spares it a policy check on each of a million reservations.
      const quarters =
        seller.kind === 'operator'
          ? await readResults(platform.database, of, request.query)
          : await request.tenant((sql) => readResults(sql, of, request.query))
      return { fiscalYearStartMonth, currency, quarters: quarters.map(quarterJson) }
    },
  )
}
