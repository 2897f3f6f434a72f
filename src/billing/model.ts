/** Invoices and their lines as they are kept and shown. */
import { divideRounded } from '../core/money.ts'
import type { Instant } from '../core/time.ts'
import type { ChargeKind } from './ledger.ts'

export interface Invoice {
  id: string
  kind: 'invoice' | 'credit-note'
  number: string | null
  partyId: string
  partyName: string
  sellerId: string
  sellerName: string
  correctsId: string | null
  correctsNumber: string | null
  /** `2026-10`. */
  period: string
  periodFrom: Instant
  periodTo: Instant
  currency: string
  subtotal: bigint
  tax: bigint
  total: bigint
  state: 'draft' | 'issued' | 'void'
  issuedOn: string | null
  dueOn: string | null
  version: number
  createdAt: Instant
}

export interface InvoiceLine {
  line: number
  contractId: string | null
  contractNumber: string | null
  family: string
  charge: ChargeKind
  description: string
  descriptionJa: string | null
  /** Exact: the amount is price × measure / divisor, rounded once. */
  measure: string
  divisor: string
  unit: string | null
  price: string
  amount: bigint
  taxCode: string
  taxPercent: string
  services: number
}

export interface InvoiceTax {
  code: string
  percent: string
  base: bigint
  tax: bigint
}

/** A party as it stood when the invoice was issued. */
export interface InvoiceParty {
  name: string
  address: string | null
  email: string | null
  taxRegistration: string | null
}

export interface InvoiceInFull extends Invoice {
  lines: InvoiceLine[]
  taxes: InvoiceTax[]
  seller: InvoiceParty
  buyer: InvoiceParty
}

/** How one service came to its share of a line. */
export interface RatedChargeRow {
  serviceId: string
  serviceName: string
  measure: string
  amountMillionths: string
  explanation: Explanation
}

export interface Explanation {
  /** `[from, to, units]` each: ISO 8601, null without end. */
  stretches?: [string, string | null, number][]
  /** Of monthly charges: days charged of the month's days. */
  days?: [number, number]
  /** Of metered charges: how the measured quantity came about. */
  metered?: Record<string, unknown>
  /** Of early terminations: what remained, month by month. */
  remaining?: unknown
}

/** A quantity for people: measure over divisor, with three decimals, exact in its last by half-up rounding. */
export function quantityText(measure: string, divisor: string): string {
  const scaled = divideRounded(BigInt(measure) * 1_000n, BigInt(divisor))
  const digits = String(scaled < 0n ? -scaled : scaled).padStart(4, '0')
  const fraction = digits.slice(-3).replace(/0+$/, '')
  return `${scaled < 0n ? '-' : ''}${digits.slice(0, -3)}${fraction ? `.${fraction}` : ''}`
}
