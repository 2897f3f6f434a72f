/**
 * Quantities of capacity: integer thousandths of a pool's unit (square metres, kVA, rack units, seats, Mbit/s), so that
 * sums are exact. One scale for every kind keeps arithmetic free of conversions; three decimals are finer than any
 * meter of floor or power in the trade. Safe integers reach nine million million units.
 */
import { BadInput } from './errors.ts'

/** Integer thousandths of a unit. */
export type Quantity = number

export const THOUSANDTHS = 1_000

/** The largest amount the API takes in one field, in units. */
export const MAX_UNITS = 1_000_000_000

/**
 * A number of units as written on the API to thousandths.
 * @throws BadInput when it has more than three decimals or is out of range; `at` says where it stood.
 */
export function quantityFromUnits(units: number, at = '/quantity'): Quantity {
  const thousandths = Math.round(units * THOUSANDTHS)
  if (!Number.isFinite(units) || Math.abs(units) > MAX_UNITS)
    throw new BadInput(at, `${units} is out of range`, `a number of units up to ${MAX_UNITS}`)
  if (Math.abs(thousandths / THOUSANDTHS - units) > 1e-9 * Math.max(1, Math.abs(units)))
    throw new BadInput(at, `${units} has more than three decimals`, 'a number with at most three decimals, such as 2.5')
  return thousandths
}

/** Thousandths to the number of units shown on the API. */
export const unitsFromQuantity = (quantity: Quantity): number => quantity / THOUSANDTHS
