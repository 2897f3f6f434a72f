/**
 * Double-entry bookkeeping: each entry's postings sum to zero in each currency, debit positive and credit negative;
 * entries are only ever added. What an invoice posts is decided here, purely; the database refuses an entry that does not
 * balance and any change of one that stands.
 */
import type { Currency } from '../core/money.ts'

export const ACCOUNTS = {
  receivable: '1100',
  consumptionTax: '2200',
  revenue: '4100',
  setupRevenue: '4200',
  earlyTerminationRevenue: '4300',
} as const

export type ChargeKind = 'setup' | 'monthly' | 'unit' | 'early-termination'

export interface Posting {
  account: string
  /** Whose receivable it is; on revenue, from whom. */
  partyId: string
  family: string | null
  currency: Currency
  amount: bigint
}

export interface PostableLine {
  charge: ChargeKind
  family: string
  amount: bigint
}

const REVENUE: Record<ChargeKind, string> = {
  setup: ACCOUNTS.setupRevenue,
  monthly: ACCOUNTS.revenue,
  unit: ACCOUNTS.revenue,
  'early-termination': ACCOUNTS.earlyTerminationRevenue,
}

/** What an issued invoice posts: receivable against revenue by account and family, and consumption tax. */
export function invoicePostings(
  invoice: { partyId: string; currency: Currency; tax: bigint; total: bigint },
  lines: readonly PostableLine[],
): Posting[] {
  const { partyId, currency } = invoice
  const postings: Posting[] = [{ account: ACCOUNTS.receivable, partyId, family: null, currency, amount: invoice.total }]
  for (const { charge, family, amount } of lines) {
    const account = REVENUE[charge]
    const known = postings.find((posting) => posting.account === account && posting.family === family)
    if (known) known.amount -= amount
    else postings.push({ account, partyId, family, currency, amount: -amount })
  }
  postings.push({ account: ACCOUNTS.consumptionTax, partyId, family: null, currency, amount: -invoice.tax })
  return postings.filter(({ amount }) => amount !== 0n)
}

/** The same with every sign turned: what takes an entry back. */
export const reversed = (postings: readonly Posting[]): Posting[] =>
  postings.map((posting) => ({ ...posting, amount: -posting.amount }))

/** Whether postings sum to zero in each currency. */
export function isBalanced(postings: readonly Posting[]): boolean {
  const sums = new Map<Currency, bigint>()
  for (const { currency, amount } of postings) sums.set(currency, (sums.get(currency) ?? 0n) + amount)
  return [...sums.values()].every((sum) => sum === 0n)
}
