/**
 * The monthly billing run of one seller: every service below it, at the plan between this seller and its direct buyer,
 * from the reservation rows of the month. A reseller's customer is thus rated twice from the same rows: by the operator
 * to the reseller at the wholesale plan, by the reseller to the customer at the retail plan. One transaction makes all
 * drafts or none; running it again makes the same drafts and never touches what was issued.
 */

import { ratingPeriod } from '../catalogue/estimate.ts'
import type { Offering, PricePlan } from '../catalogue/model.ts'
import {
  amountMillionths,
  lineAmount,
  type RatedCharge,
  type RatingPeriod,
  rate,
  rateText,
} from '../catalogue/rating.ts'
import { addDays, dateOf, monthInterval } from '../core/calendar.ts'
import { WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { RATE_SCALE } from '../core/money.ts'
import { type Instant, toIso } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { suspensions } from '../services/model.ts'
import type { Explanation } from './model.ts'
import {
  type BilledService,
  billingTerms,
  draftsOf,
  earlyTerminationsOf,
  insertLines,
  insertRatedCharges,
  type LineToWrite,
  openDrafts,
  type RatedToWrite,
  servicesOf,
  settleDrafts,
  suspensionsOf,
} from './run-store.ts'
import { DAMAGES_TAX_CODE, percentOn } from './tax.ts'

export interface BillingRun {
  id: string
  period: string
  state: 'completed' | 'failed'
  invoices: number
  services: number
  subtotals: Record<string, string>
  problem: string | null
  startedAt: Instant
  endedAt: Instant
}

/** Services rated and written at a time. */
const SERVICES_AT_ONCE = 20_000

/** One invoice in the making. */
interface Draft {
  id: string
  buyerId: string
  currency: string
  lines: Map<string, LineToWrite>
}

/**
 * Makes the drafts of a seller for a month (`2026-10`) in the operator's zone.
 * @throws WrongState when this seller's run is under way already; BadInput when the period is no month.
 */
export async function runBilling(
  database: Database,
  sellerId: string,
  month: string,
  zone: string,
  actor: Actor,
): Promise<BillingRun> {
  const period = ratingPeriod(monthInterval(month, zone), zone)
  const startedAt = Date.now()
  const id = newId()
  const made = await database
    .transaction(async (sql) => {
      const [lock] = await sql.query<{ mine: boolean }>(
        `select pg_try_advisory_xact_lock(hashtextextended('billing ' || $1, 0)) as mine`,
        [sellerId],
      )
      if (!lock!.mine) throw new WrongState('A billing run of this seller is under way; wait for it to end.')
      return makeDrafts(sql, sellerId, period, zone)
    })
    .catch(async (error: Error) => {
      if (!(error instanceof WrongState))
        await record(database, { id, sellerId, month, startedAt, problem: error.message.slice(0, 500) }).catch(() => {})
      throw error
    })
  await record(database, { id, sellerId, month, startedAt, ...made })
  await appendEvents(database, [
    {
      partyId: sellerId,
      actor,
      type: 'billing-run.completed',
      subjectKind: 'billing-run',
      subjectId: id,
      after: { period: month, ...made },
    },
  ])
  return { id, period: month, state: 'completed', ...made, problem: null, startedAt, endedAt: Date.now() }
}

interface Made {
  invoices: number
  services: number
  subtotals: Record<string, string>
}

async function makeDrafts(sql: Sql, sellerId: string, period: RatingPeriod, zone: string): Promise<Made> {
  const lastDay = addDays(dateOf(period.to, zone), -1)
  const { plans, offerings, units, taxRates } = await billingTerms(sql, sellerId)
  const known = await draftsOf(sql, sellerId, period)
  const suspended = await suspensionsOf(sql, sellerId, period)
  const drafts = new Map<string, Draft>()
  const percents = new Map<string, string>()
  const percentOf = (code: string): string => {
    let percent = percents.get(code)
    if (percent === undefined) {
      percent = percentOn(taxRates, code, lastDay) ?? undefined
      if (percent === undefined) throw new WrongState(`The tax code ${code} has no rate on ${lastDay}.`)
      percents.set(code, percent)
    }
    return percent
  }
  const draftFor = (buyerId: string, currency: string): Draft | null => {
    const key = `${buyerId} ${currency}`
    let draft = drafts.get(key)
    if (!draft) {
      const before = known.get(key)
      if (before?.state === 'issued') return null
      draft = { id: before?.id ?? newId(), buyerId, currency, lines: new Map() }
      drafts.set(key, draft)
    }
    return draft
  }
  let services = 0
  let opened = 0

  for await (const batch of servicesOf(sql, sellerId, period, zone, SERVICES_AT_ONCE)) {
    const rated: RatedToWrite[] = []
    for (const service of batch) {
      const plan = plans.get(service.planId)!
      const offering = offerings.get(service.offeringId)!
      const draft = draftFor(service.buyerId, plan.currency)
      if (!draft) continue
      services++
      for (const one of rate(plan, historyOf(service, suspended), period)) {
        const line = lineFor(draft, service, plan, offering, one, units, percentOf)
        line.measure += one.measure
        line.services++
        rated.push({
          invoiceId: draft.id,
          line: line.line,
          serviceId: service.id,
          partyId: draft.buyerId,
          measure: one.measure,
          amountMillionths: amountMillionths(one),
          explanation: explanationOf(one),
        })
      }
    }
    const fresh = [...drafts.values()].slice(opened)
    await openDrafts(sql, sellerId, period, lastDay, fresh, known)
    opened = drafts.size
    await insertRatedCharges(sql, rated)
  }
  const ended = await addEarlyTerminations(sql, sellerId, period, { draftFor, offerings, percentOf })
  await openDrafts(sql, sellerId, period, lastDay, [...drafts.values()].slice(opened), known)
  await insertRatedCharges(sql, ended)
  for (const draft of drafts.values())
    for (const line of draft.lines.values()) line.amount = lineAmount(line.rate, line.measure, line.divisor)
  const lines = [...drafts.values()].flatMap((draft) => [...draft.lines.values()])
  await insertLines(sql, lines)
  const settled = await settleDrafts(sql, sellerId, period, [...drafts.values()])
  return { invoices: settled.invoices, services, subtotals: settled.subtotals }
}

const historyOf = (service: BilledService, suspended: Awaited<ReturnType<typeof suspensionsOf>>) => {
  const changes = suspended.get(service.id)
  return {
    from: service.startsAt,
    to: service.endsAt,
    reserved: service.reserved,
    suspended: changes
      ? suspensions([{ kind: 'add', effectiveAt: service.startsAt, withdrawnAt: null }, ...changes])
      : [],
  }
}

/** The line of an invoice that a rated charge belongs to: one per contract, charge and price. */
function lineFor(
  draft: Draft,
  service: { contractId: string; offeringId: string; family: string },
  plan: PricePlan,
  offering: Offering,
  { charge, rate: price, divisor }: RatedCharge,
  units: ReadonlyMap<string, string>,
  percentOf: (code: string) => string,
): LineToWrite {
  const key = `${service.contractId} ${plan.id} ${charge.line} ${price}`
  let line = draft.lines.get(key)
  if (!line) {
    line = {
      invoiceId: draft.id,
      line: draft.lines.size + 1,
      contractId: service.contractId,
      offeringId: service.offeringId,
      family: service.family,
      charge: charge.kind,
      description: `${offering.name}: ${charge.name}`,
      descriptionJa:
        offering.nameJa || charge.nameJa ? `${offering.nameJa ?? offering.name} ${charge.nameJa ?? charge.name}` : null,
      measure: 0n,
      divisor,
      unit:
        charge.kind === 'unit'
          ? `${units.get(charge.resource!) ?? charge.resource}-${charge.per}`
          : charge.kind === 'monthly'
            ? 'month'
            : 'service',
      rate: price,
      price: rateText(price, plan.currency),
      amount: 0n,
      taxCode: offering.taxCode,
      taxPercent: percentOf(offering.taxCode),
      services: 0,
    }
    draft.lines.set(key, line)
  }
  return line
}

/** How a rated charge came about, for whoever opens the line. */
function explanationOf({ charge, measure, divisor, stretches }: RatedCharge): Explanation {
  if (charge.kind === 'setup') return {}
  const metered = stretches.find((stretch) => stretch.metered)?.metered
  return {
    ...(metered ? { metered } : {}),
    stretches: stretches.map(({ from, to, quantity }) => [toIso(from)!, toIso(to), quantity / 1_000]),
    ...(charge.kind === 'monthly' ? { days: [Number(measure), Number(divisor)] } : {}),
  }
}

/** What was owed for early ends that fall into the month: stated when the end was set, invoiced as stated. */
async function addEarlyTerminations(
  sql: Sql,
  sellerId: string,
  period: RatingPeriod,
  into: {
    draftFor: (buyerId: string, currency: string) => Draft | null
    offerings: ReadonlyMap<string, Offering>
    percentOf: (code: string) => string
  },
): Promise<RatedToWrite[]> {
  const rated: RatedToWrite[] = []
  for (const owed of await earlyTerminationsOf(sql, sellerId, period)) {
    const draft = into.draftFor(owed.buyerId, owed.currency)
    if (!draft) continue
    const offering = into.offerings.get(owed.offeringId)!
    const line = draft.lines.size + 1
    rated.push({
      invoiceId: draft.id,
      line,
      serviceId: owed.serviceId,
      partyId: draft.buyerId,
      measure: 1n,
      amountMillionths: owed.amount * RATE_SCALE,
      explanation: { remaining: owed.explanation },
    })
    draft.lines.set(`early ${owed.id}`, {
      invoiceId: draft.id,
      line,
      contractId: owed.contractId,
      offeringId: owed.offeringId,
      family: offering.family,
      charge: 'early-termination',
      description: `${offering.name}: early termination of ${owed.serviceName}`,
      descriptionJa: `${offering.nameJa ?? offering.name} 中途解約金(${owed.serviceName})`,
      measure: 1n,
      divisor: 1n,
      unit: 'service',
      rate: owed.amount * RATE_SCALE,
      price: rateText(owed.amount * RATE_SCALE, owed.currency),
      amount: owed.amount,
      taxCode: DAMAGES_TAX_CODE,
      taxPercent: into.percentOf(DAMAGES_TAX_CODE),
      services: 1,
    })
  }
  return rated
}

async function record(
  sql: Sql,
  run: { id: string; sellerId: string; month: string; startedAt: Instant; problem?: string } & Partial<Made>,
): Promise<void> {
  await sql.query(
    `insert into billing_run (id, seller_id, period, state, invoices, services, subtotals, problem, started_at, ended_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      run.id,
      run.sellerId,
      `${run.month}-01`,
      run.problem === undefined ? 'completed' : 'failed',
      run.invoices ?? 0,
      run.services ?? 0,
      JSON.stringify(run.subtotals ?? {}),
      run.problem ?? null,
      sqlInstant(run.startedAt),
      sqlInstant(Date.now()),
    ],
  )
}
