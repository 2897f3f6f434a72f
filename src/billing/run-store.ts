/** The SQL of the billing run: services with their reservation rows in, drafts, lines and rated charges out, set-based. */
import type { Offering, PricePlan } from '../catalogue/model.ts'
import type { ReservedTime } from '../catalogue/rating.ts'
import { plansById } from '../catalogue/store.ts'
import { divideRounded } from '../core/money.ts'
import { type Instant, type Interval, toIso } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'
import { appendEvents, SYSTEM } from '../database/events.ts'
import type { DatedChange } from '../services/model.ts'
import { billedBandwidth } from '../usage/bandwidth.ts'
import { meteredUsage } from '../usage/edge-slots.ts'
import type { ChargeKind } from './ledger.ts'
import type { Explanation } from './model.ts'
import { type DatedRate, taxTotals } from './tax.ts'

/** Everything about prices that a run needs, read once. */
export async function billingTerms(sql: Sql, sellerId: string) {
  const planIds = await sql.query<{ id: string }>('select id from price_plan where seller_id = $1', [sellerId])
  const offerings = await sql.query<Offering>(
    `select id, code, family, name, name_ja as "nameJa", tax_code as "taxCode" from offering`,
  )
  const kinds = await sql.query<{ code: string; unit: string }>('select code, unit from resource_kind')
  const taxRates = await sql.query<DatedRate>(
    'select code, percent, effective_from as "effectiveFrom" from tax_rate order by code, effective_from',
  )
  return {
    plans: (await plansById(
      sql,
      planIds.map(({ id }) => id),
    )) as ReadonlyMap<string, PricePlan>,
    offerings: new Map(offerings.map((offering) => [offering.id, offering])) as ReadonlyMap<string, Offering>,
    units: new Map(kinds.map(({ code, unit }) => [code, unit])) as ReadonlyMap<string, string>,
    taxRates,
  }
}

export interface BilledService {
  id: string
  contractId: string
  offeringId: string
  family: string
  claimId: string
  planId: string
  buyerId: string
  startsAt: Instant
  endsAt: Instant
  reserved: ReservedTime[]
}

/**
 * Every service below a seller that the month touches, by contract, with the reservation rows of its claim that the month
 * touches; the plan is the one between this seller and its direct buyer.
 */
export async function* servicesOf(
  sql: Sql,
  sellerId: string,
  period: Interval,
  zone: string,
  limit: number,
): AsyncGenerator<BilledService[]> {
  let after: { contractId: string; id: string } | null = null
  for (;;) {
    const services: BilledService[] = await sql.query<BilledService>(
      `select s.id, s.contract_id as "contractId", s.offering_id as "offeringId", s.family, s.claim_id as "claimId",
         pp.id as "planId", p.ancestors[array_position(p.ancestors, $1) + 1] as "buyerId",
         s.starts_at as "startsAt", s.ends_at as "endsAt"
       from service s join party p on p.id = s.party_id
         join price_plan pp on pp.id = any(s.price_plan_ids) and pp.seller_id = $1
       where p.ancestors @> array[$1::uuid] and s.starts_at < $3 and s.ends_at > $2
         and ($4::uuid is null or (s.contract_id, s.id) > ($4, $5::uuid))
       order by s.contract_id, s.id limit $6`,
      [sellerId, sqlInstant(period.from), sqlInstant(period.to), after?.contractId ?? null, after?.id ?? null, limit],
    )
    if (services.length === 0) return
    const byClaim = new Map<string, BilledService>()
    for (const service of services) {
      service.reserved = []
      byClaim.set(service.claimId, service)
    }
    const rows = await sql.query<ReservedTime & { claimId: string }>(
      `select r.claim_id as "claimId", p.kind,
         case when r.protects_site_id is null then 'firm' else 'standby' end as reservation,
         r.quantity::float8 as quantity, r.starts_at as "from", r.ends_at as "to"
       from reservation r join pool p on p.id = r.pool_id
       where r.claim_id = any($1) and r.type in ('firm', 'standby') and r.starts_at < $3 and r.ends_at > $2
       order by r.claim_id, r.part`,
      [[...byClaim.keys()], sqlInstant(period.from), sqlInstant(period.to)],
    )
    for (const row of rows) byClaim.get(row.claimId)!.reserved.push(row)
    await addMetered(sql, services, period, zone)
    yield services
    if (services.length < limit) return
    const last = services.at(-1)!
    after = { contractId: last.contractId, id: last.id }
  }
}

/** Bytes in a thousandth of a GB, requests in a thousandth of 10,000, bit/s in a thousandth of a Mbit/s. */
const THOUSANDTH = { bytes: 1_000_000n, requests: 10n, bitsPerSecond: 1_000 } as const

/** What was counted joins what was reserved, as quantities of the whole month. */
async function addMetered(sql: Sql, services: readonly BilledService[], period: Interval, zone: string): Promise<void> {
  const byId = new Map(services.map((service) => [service.id, service]))
  const lives = services.map(({ id, family, startsAt, endsAt }) => ({
    id,
    family,
    from: Math.max(startsAt, period.from),
    to: Math.min(endsAt, period.to),
  }))
  const add = (
    id: string,
    kind: string,
    quantity: number,
    of: Interval = period,
    metered: Record<string, unknown> = {},
  ) => {
    if (quantity > 0)
      byId.get(id)!.reserved.push({ from: of.from, to: of.to, kind, reservation: 'firm', quantity, metered })
  }
  const delivered = lives.filter(({ family }) => family === 'cdn')
  const usage = delivered.length === 0 ? [] : await meteredUsage(sql, delivered)
  for (const { id, bytesOut, requests, p95BitsPerSecond } of usage) {
    add(id, 'edge-traffic', Number(divideRounded(bytesOut, THOUSANDTH.bytes)))
    add(id, 'edge-requests', Number(divideRounded(requests, THOUSANDTH.requests)))
    add(id, 'edge-p95', Math.round(p95BitsPerSecond / THOUSANDTH.bitsPerSecond))
  }
  for await (const { id, bandwidth, terms } of billedBandwidth(sql, lives, zone)) {
    const { bitsPerSecond, days, at, ...facts } = bandwidth
    // Where only some days count, so much of the month's price is owed.
    const share = terms.missing === 'valid_days' ? days.counted / days.all : 1
    const of = { from: period.from, to: period.from + Math.round((period.to - period.from) * share) }
    const metered = { ...terms, ...facts, days, bitsPerSecond, at: at === null ? null : toIso(at) }
    add(id, 'bandwidth-p95', Math.round(bitsPerSecond / THOUSANDTH.bitsPerSecond), of, metered)
  }
}

/** Suspensions and resumptions up to the month's end, by service. */
export async function suspensionsOf(
  sql: Sql,
  sellerId: string,
  period: Interval,
): Promise<ReadonlyMap<string, DatedChange[]>> {
  const rows = await sql.query<DatedChange & { serviceId: string }>(
    `select a.service_id as "serviceId", a.kind, a.effective_at as "effectiveAt", a.withdrawn_at as "withdrawnAt"
     from amendment a join party p on p.id = a.party_id
     where a.kind in ('suspend', 'resume') and a.withdrawn_at is null and a.effective_at < $2 and p.ancestors @> array[$1::uuid]
     order by a.effective_at, a.created_at`,
    [sellerId, sqlInstant(period.to)],
  )
  const byService = new Map<string, DatedChange[]>()
  for (const { serviceId, ...change } of rows) {
    const known = byService.get(serviceId)
    if (known) known.push(change)
    else byService.set(serviceId, [change])
  }
  return byService
}

/** Early-termination charges whose day falls into the month. */
export const earlyTerminationsOf = (sql: Sql, sellerId: string, period: Interval) =>
  sql.query<{
    id: string
    contractId: string
    serviceId: string
    serviceName: string
    offeringId: string
    buyerId: string
    currency: string
    amount: bigint
    explanation: unknown
  }>(
    `select e.id, e.contract_id as "contractId", e.service_id as "serviceId", s.name as "serviceName",
       s.offering_id as "offeringId", e.party_id as "buyerId", e.currency, e.amount, e.explanation
     from early_termination e join service s on s.id = e.service_id
     where e.seller_id = $1 and e.at >= $2 and e.at < $3 and e.withdrawn_at is null order by e.id`,
    [sellerId, sqlInstant(period.from), sqlInstant(period.to)],
  )

/** Invoices of the month that stand, by `buyer currency`. */
export async function draftsOf(
  sql: Sql,
  sellerId: string,
  period: Interval,
): Promise<Map<string, { id: string; state: 'draft' | 'issued' }>> {
  const rows = await sql.query<{ id: string; key: string; state: 'draft' | 'issued' }>(
    `select id, party_id || ' ' || currency as key, state from invoice
     where seller_id = $1 and period_from = $2 and kind = 'invoice' and state <> 'void' for update`,
    [sellerId, sqlInstant(period.from)],
  )
  return new Map(rows.map(({ key, ...row }) => [key, row]))
}

interface DraftHead {
  id: string
  buyerId: string
  currency: string
}

/** Makes room for drafts: new ones are inserted empty, known ones are emptied. */
export async function openDrafts(
  sql: Sql,
  sellerId: string,
  period: Interval,
  lastDay: string,
  drafts: readonly DraftHead[],
  known: ReadonlyMap<string, { id: string }>,
): Promise<void> {
  if (drafts.length === 0) return
  const old = drafts.filter(({ buyerId, currency }) => known.has(`${buyerId} ${currency}`)).map(({ id }) => id)
  if (old.length > 0) {
    await sql.query('delete from rated_charge where invoice_id = any($1)', [old])
    await sql.query('delete from invoice_line where invoice_id = any($1)', [old])
    await sql.query('delete from invoice_tax where invoice_id = any($1)', [old])
  }
  await sql.query(
    `insert into invoice (id, party_id, seller_id, period_from, period_to, period, currency, subtotal, tax, total, state)
     select id, buyer, $4, $5, $6, date_trunc('month', $7::date), currency, 0, 0, 0, 'draft'
     from unnest($1::uuid[], $2::uuid[], $3::text[]) as d(id, buyer, currency) on conflict (id) do nothing`,
    [
      drafts.map(({ id }) => id),
      drafts.map(({ buyerId }) => buyerId),
      drafts.map(({ currency }) => currency),
      sellerId,
      sqlInstant(period.from),
      sqlInstant(period.to),
      lastDay,
    ],
  )
}

export interface RatedToWrite {
  invoiceId: string
  line: number
  serviceId: string
  partyId: string
  measure: bigint
  amountMillionths: bigint
  explanation: Explanation
}

/** Array parameters of values that need no quoting, without the driver's own pass over each. */
const plain = (values: readonly unknown[]): string => `{${values.join(',')}}`

/** Rated charges, some ten thousand at a time. */
export async function insertRatedCharges(sql: Sql, rated: readonly RatedToWrite[]): Promise<void> {
  if (rated.length === 0) return
  await sql.query(
    `insert into rated_charge (invoice_id, line, service_id, party_id, measure, amount_millionths, explanation)
     select * from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::uuid[], $5::numeric[], $6::numeric[], $7::jsonb[])`,
    [
      plain(rated.map((one) => one.invoiceId)),
      plain(rated.map((one) => one.line)),
      plain(rated.map((one) => one.serviceId)),
      plain(rated.map((one) => one.partyId)),
      plain(rated.map((one) => one.measure)),
      plain(rated.map((one) => one.amountMillionths)),
      `{${rated.map((one) => `"${JSON.stringify(one.explanation).replace(/[\\"]/g, '\\$&')}"`).join(',')}}`,
    ],
  )
}

export interface LineToWrite {
  invoiceId: string
  line: number
  contractId: string
  offeringId: string
  family: string
  charge: ChargeKind
  description: string
  descriptionJa: string | null
  measure: bigint
  divisor: bigint
  unit: string
  rate: bigint
  price: string
  amount: bigint
  taxCode: string
  taxPercent: string
  services: number
}

/** Lines written in one statement. */
const LINES_AT_ONCE = 50_000

export async function insertLines(sql: Sql, lines: readonly LineToWrite[]): Promise<void> {
  for (let start = 0; start < lines.length; start += LINES_AT_ONCE) {
    const some = lines.slice(start, start + LINES_AT_ONCE)
    await sql.query(
      `insert into invoice_line (invoice_id, line, contract_id, offering_id, family, charge, description, description_ja,
         measure, divisor, unit, price, amount, tax_code, tax_percent, services)
       select * from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
         $9::numeric[], $10::numeric[], $11::text[], $12::numeric[], $13::bigint[], $14::text[], $15::numeric[], $16::integer[])`,
      [
        plain(some.map((line) => line.invoiceId)),
        plain(some.map((line) => line.line)),
        plain(some.map((line) => line.contractId)),
        plain(some.map((line) => line.offeringId)),
        some.map((line) => line.family),
        some.map((line) => line.charge),
        some.map((line) => line.description),
        some.map((line) => line.descriptionJa),
        plain(some.map((line) => line.measure)),
        plain(some.map((line) => line.divisor)),
        some.map((line) => line.unit),
        plain(some.map((line) => line.price)),
        plain(some.map((line) => line.amount)),
        some.map((line) => line.taxCode),
        plain(some.map((line) => line.taxPercent)),
        plain(some.map((line) => line.services)),
      ],
    )
  }
}

/** Totals and taxes of the drafts; drafts that came to nothing any more are deleted. Says what changed in the events. */
export async function settleDrafts(
  sql: Sql,
  sellerId: string,
  period: Interval,
  drafts: readonly (DraftHead & { lines: ReadonlyMap<string, LineToWrite> })[],
): Promise<{ invoices: number; subtotals: Record<string, string> }> {
  const totals = drafts
    .filter(({ lines }) => lines.size > 0)
    .map((draft) => {
      const lines = [...draft.lines.values()]
      const taxes = taxTotals(lines)
      const subtotal = lines.reduce((sum, { amount }) => sum + amount, 0n)
      return { ...draft, taxes, subtotal, tax: taxes.reduce((sum, { tax }) => sum + tax, 0n) }
    })
  const taxes = totals.flatMap(({ id, taxes: own }) => own.map((tax) => ({ id, ...tax })))
  await sql.query(
    `insert into invoice_tax (invoice_id, tax_code, percent, base, tax)
     select * from unnest($1::uuid[], $2::text[], $3::numeric[], $4::bigint[], $5::bigint[])`,
    [
      taxes.map(({ id }) => id),
      taxes.map(({ code }) => code),
      taxes.map(({ percent }) => percent),
      taxes.map(({ base }) => base),
      taxes.map(({ tax }) => tax),
    ],
  )
  const changed = await sql.query<{ id: string; partyId: string; total: bigint }>(
    `update invoice i set subtotal = t.subtotal, tax = t.tax, total = t.subtotal + t.tax, version = i.version + 1
     from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as t(id, subtotal, tax)
     where i.id = t.id and (i.subtotal, i.tax) <> (t.subtotal, t.tax)
     returning i.id, i.party_id as "partyId", i.total`,
    [totals.map(({ id }) => id), totals.map(({ subtotal }) => subtotal), totals.map(({ tax }) => tax)],
  )
  await sql.query(
    `delete from invoice where seller_id = $1 and period_from = $2 and kind = 'invoice' and state = 'draft' and not (id = any($3))`,
    [sellerId, sqlInstant(period.from), totals.map(({ id }) => id)],
  )
  await appendEvents(
    sql,
    changed.map(({ id, partyId, total }) => ({
      // A draft is the seller's own matter until it is issued.
      partyId: sellerId,
      actor: SYSTEM,
      type: 'invoice.drafted',
      subjectKind: 'invoice',
      subjectId: id,
      after: { buyer: partyId, total: String(total) },
    })),
  )
  const subtotals = new Map<string, bigint>()
  for (const { currency, subtotal } of totals) subtotals.set(currency, (subtotals.get(currency) ?? 0n) + subtotal)
  return {
    invoices: totals.length,
    subtotals: Object.fromEntries([...subtotals].map(([currency, amount]) => [currency, String(amount)])),
  }
}
