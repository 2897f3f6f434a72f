/**
 * Consumption tax on an invoice. Under Japan's qualified-invoice system tax is rounded once per rate and invoice, never
 * per line (National Tax Agency, Q&A on the invoice system, question 57); the direction is the issuer's choice. Izumi
 * rounds down, as is customary.
 */
import { divideRounded, type Rounding } from '../core/money.ts'

export interface TaxableLine {
  amount: bigint
  taxCode: string
  /** `10.000`: percent with up to three decimals. */
  taxPercent: string
}

export interface TaxTotal {
  code: string
  percent: string
  base: bigint
  tax: bigint
}

/** What damages for an early end fall under: not a supply, so no consumption tax. */
export const DAMAGES_TAX_CODE = 'exempt'

/** Percent as integer thousandths of a percent. */
export function percentThousandths(percent: string): bigint {
  const [whole, fraction = ''] = percent.split('.')
  return BigInt(whole!) * 1_000n + BigInt(fraction.slice(0, 3).padEnd(3, '0'))
}

/** Base and tax per rate, each rounded once, in the order of the codes. */
export function taxTotals(lines: readonly TaxableLine[], rounding: Rounding = 'down'): TaxTotal[] {
  const bases = new Map<string, TaxTotal>()
  for (const { amount, taxCode, taxPercent } of lines) {
    const key = `${taxCode} ${percentThousandths(taxPercent)}`
    const total = bases.get(key) ?? { code: taxCode, percent: taxPercent, base: 0n, tax: 0n }
    total.base += amount
    bases.set(key, total)
  }
  return [...bases.values()]
    .map((total) => ({
      ...total,
      tax: divideRounded(total.base * percentThousandths(total.percent), 100_000n, rounding),
    }))
    .sort((a, b) => (a.code < b.code ? -1 : a.code > b.code ? 1 : 0))
}

export interface DatedRate {
  code: string
  percent: string
  /** A date. */
  effectiveFrom: string
}

/** The percent of a code on a date, or null when it had none yet. */
export function percentOn(rates: readonly DatedRate[], code: string, date: string): string | null {
  let found: DatedRate | null = null
  for (const rate of rates)
    if (rate.code === code && rate.effectiveFrom <= date && (!found || rate.effectiveFrom > found.effectiveFrom))
      found = rate
  return found?.percent ?? null
}

/**
 * Whether a qualified-invoice registration number is well formed: T and thirteen digits, of which the first is the check
 * digit of a corporate number (9 less the remainder by 9 of the digits weighted 1 and 2 from the right).
 */
export function isRegistrationNumber(text: string): boolean {
  if (!/^T\d{13}$/.test(text)) return false
  const digits = [...text.slice(2)].reverse().map(Number)
  const sum = digits.reduce((total, digit, index) => total + digit * (index % 2 === 0 ? 1 : 2), 0)
  return Number(text[1]) === 9 - (sum % 9)
}
