/**
 * The life of a service: pending until its start, then active, at times suspended, at last terminated. Each change is a
 * dated amendment; those that lie ahead are followed by the service's state on their date. While suspended its capacity
 * stays reserved and is charged; its flat monthly charges are not, for each whole day.
 */
import { ratingPeriod } from '../catalogue/estimate.ts'
import type { PricePlan } from '../catalogue/model.ts'
import { lineAmount, type ReservedTime, rate } from '../catalogue/rating.ts'
import { addDays, dateOf, monthInterval, monthsOf, startOfDate } from '../core/calendar.ts'
import type { Instant, Interval } from '../core/time.ts'

export type ServiceState = 'pending' | 'active' | 'suspended' | 'terminated'

export interface Service {
  id: string
  name: string
  partyId: string
  partyName: string
  contractId: string
  contractNumber: string
  offering: string
  offeringName: string
  family: string
  config: Record<string, unknown>
  claimId: string
  planIds: string[]
  state: ServiceState
  startsAt: Instant
  endsAt: Instant
  minimumTermUntil: Instant | null
  version: number
  createdAt: Instant
}

/** A dated change as far as states depend on it. */
export interface DatedChange {
  kind: 'add' | 'change' | 'suspend' | 'resume' | 'terminate'
  effectiveAt: Instant
  withdrawnAt: Instant | null
}

/** The state that a service has at an instant by its amendments, in the order of their dates. */
export function stateAt(changes: readonly DatedChange[], at: Instant): ServiceState {
  let state: ServiceState = 'pending'
  for (const change of inOrder(changes)) {
    if (change.effectiveAt > at) break
    state = after(state, change.kind)
  }
  return state
}

const inOrder = (changes: readonly DatedChange[]): DatedChange[] =>
  changes.filter(({ withdrawnAt }) => withdrawnAt === null).sort((a, b) => a.effectiveAt - b.effectiveAt)

/** What a change makes of a state; what does not apply changes nothing. */
export function after(state: ServiceState, kind: DatedChange['kind']): ServiceState {
  if (state === 'terminated' || kind === 'terminate') return 'terminated'
  if (kind === 'add' && state === 'pending') return 'active'
  if (kind === 'suspend' && state === 'active') return 'suspended'
  if (kind === 'resume' && state === 'suspended') return 'active'
  return state
}

/** The intervals in which a service was suspended, by its amendments. */
export function suspensions(changes: readonly DatedChange[]): Interval[] {
  const intervals: Interval[] = []
  let state: ServiceState = 'pending'
  let since = 0
  for (const { kind, effectiveAt } of inOrder(changes)) {
    const next = after(state, kind)
    if (next === 'suspended' && state !== 'suspended') since = effectiveAt
    if (state === 'suspended' && next !== 'suspended') intervals.push({ from: since, to: effectiveAt })
    state = next
  }
  if (state === 'suspended') intervals.push({ from: since, to: Number.POSITIVE_INFINITY })
  return intervals
}

export interface EarlyTermination {
  amount: bigint
  months: { month: string; charges: { name: string; amount: string }[] }[]
}

/**
 * What ending a service before its minimum term costs: the charges that would have run by the month (flat ones, and
 * capacity priced per month as reserved at the end) from the day after the end until the term, month by month as they
 * would have been invoiced. Charges per hour and day, and set-up, are not part of it.
 */
export function earlyTermination(
  plan: PricePlan,
  reserved: readonly ReservedTime[],
  endsAt: Instant,
  termUntil: Instant,
  zone: string,
): EarlyTermination {
  const date = dateOf(endsAt, zone)
  const midnight = startOfDate(date, zone)
  const from = midnight === endsAt ? endsAt : startOfDate(addDays(date, 1), zone)
  const left = { from, to: termUntil }
  const monthly = { ...plan, charges: plan.charges.filter(({ kind, per }) => kind === 'monthly' || per === 'month') }
  const history = { ...left, reserved: reserved.map((row) => ({ ...row, ...left })), suspended: [] }
  const months: EarlyTermination['months'] = []
  let amount = 0n
  for (const month of from < termUntil ? monthsOf(left, zone) : []) {
    const charges = rate(monthly, history, ratingPeriod(monthInterval(month, zone), zone)).map((rated) => ({
      name: rated.charge.name,
      amount: lineAmount(rated.rate, rated.measure, rated.divisor),
    }))
    amount += charges.reduce((sum, charge) => sum + charge.amount, 0n)
    months.push({ month, charges: charges.map((charge) => ({ ...charge, amount: String(charge.amount) })) })
  }
  return { amount, months }
}
