/** An estimate as the API and a kept quote show it. */
import type { Estimate } from '../catalogue/estimate.ts'
import { moneyToJson } from '../core/money.ts'

export const estimateJson = (estimate: Estimate) => ({
  charges: estimate.charges.map((charge) => ({ ...charge, amount: moneyToJson(charge.amount) })),
  monthly: moneyToJson(estimate.monthly),
  setup: moneyToJson(estimate.setup),
  total: estimate.total ? moneyToJson(estimate.total) : null,
  minimumTermMonths: estimate.minimumTermMonths,
})

export type EstimateJson = ReturnType<typeof estimateJson>
