/**
 * Money: an integer number of the currency's minor units (yen, cents) as bigint, never a float. Prices per unit are
 * decimals with up to six places and are carried as integers of millionths of a minor unit until the one rounding that
 * ends a calculation.
 */
import { BadInput } from './errors.ts'

/** ISO 4217 code. */
export type Currency = string

export interface Money {
  /** Minor units. */
  amount: bigint
  currency: Currency
}

/** Digits after the point per currency (ISO 4217); two where not listed. */
const MINOR_DIGITS: Record<string, number> = { JPY: 0, KRW: 0, VND: 0, CLP: 0, KWD: 3, BHD: 3, TND: 3 }

export const minorDigits = (currency: Currency): number => MINOR_DIGITS[currency] ?? 2

/** How a fraction of a minor unit is rounded: towards zero, away from zero, or to the nearest with halves away. */
export type Rounding = 'down' | 'up' | 'half-up'

/** `numerator / denominator` rounded once to an integer. The denominator is positive. */
export function divideRounded(numerator: bigint, denominator: bigint, rounding: Rounding = 'half-up'): bigint {
  const quotient = numerator / denominator
  const remainder = numerator % denominator
  if (remainder === 0n || rounding === 'down') return quotient
  const away = numerator < 0n ? -1n : 1n
  const magnitude = remainder < 0n ? -remainder : remainder
  return rounding === 'up' || magnitude * 2n >= denominator ? quotient + away : quotient
}

/** Decimal places that a unit price may have. */
export const RATE_DECIMALS = 6
export const RATE_SCALE = 10n ** BigInt(RATE_DECIMALS)

/**
 * A decimal price such as `1200.50` in the currency's major unit, as millionths of a **minor** unit.
 * @throws BadInput when it is not a plain decimal with at most six places.
 */
export function rateFromDecimal(text: string, currency: Currency, at = '/price'): bigint {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,6}))?$/.exec(text)
  if (!match) throw new BadInput(at, `${JSON.stringify(text)} is not a price`, 'a decimal such as "1200.50"')
  const millionths = BigInt(match[2]! + (match[3] ?? '').padEnd(RATE_DECIMALS, '0'))
  return (match[1] ? -1n : 1n) * millionths * 10n ** BigInt(minorDigits(currency))
}

/**
 * Splits an amount over weights so that the parts are proportional and sum exactly to it: largest remainders first,
 * earlier parts before later ones. With weights that sum to zero the first part takes all.
 */
export function allocate(amount: bigint, weights: readonly bigint[]): bigint[] {
  if (weights.length === 0) return []
  const sum = weights.reduce((total, weight) => total + weight, 0n)
  if (sum === 0n) return weights.map((_, index) => (index === 0 ? amount : 0n))
  const parts = weights.map((weight) => (amount * weight) / sum)
  const order = weights
    .map((weight, index) => ({ index, remainder: (amount * weight) % sum }))
    .sort((a, b) => Number(abs(b.remainder) - abs(a.remainder)) || a.index - b.index)
  let left = amount - parts.reduce((total, part) => total + part, 0n)
  const one = left < 0n ? -1n : 1n
  for (const { index } of order) {
    if (left === 0n) break
    parts[index]! += one
    left -= one
  }
  return parts
}

const abs = (value: bigint): bigint => (value < 0n ? -value : value)

/** `{amount: "12345", currency: "JPY"}` as the API shows money: minor units as a string. */
export const moneyToJson = (money: Money): { amount: string; currency: Currency } => ({
  amount: money.amount.toString(),
  currency: money.currency,
})
