/** `/invoices`, `/billing-runs` and the books. */
import Type, { type Static } from 'typebox'
import { issueInvoices, issueMonth, voidInvoice } from '../billing/issue.ts'
import { type Invoice, type InvoiceInFull, quantityText } from '../billing/model.ts'
import { invoicePdf } from '../billing/pdf.ts'
import { type BillingRun, runBilling } from '../billing/run.ts'
import {
  findInvoice,
  findLine,
  listInvoices,
  listJournal,
  listRuns,
  ratedCharges,
  readInvoice,
  trialBalance,
} from '../billing/store.ts'
import { NotAllowed, NotFound } from '../core/errors.ts'
import { moneyToJson } from '../core/money.ts'
import { toIso } from '../core/time.ts'
import type { App } from './app.ts'
import { operatorCalendar } from './desk.ts'
import { tag } from './etag.ts'
import { filterOf, listQuery, visible } from './orders.ts'
import { cursorKey, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import {
  CalendarDate,
  CurrencyCode,
  Id,
  Instant,
  Json,
  LOCALES,
  MoneyJson,
  Nullable,
  OneOf,
  Page,
  PageQuery,
  PartyRef,
  Shape,
  Text,
} from './schemas.ts'

const INVOICE_STATES = ['draft', 'issued', 'void'] as const
const Month = Type.String({
  pattern: '^(19[7-9]\\d|20\\d\\d|21\\d\\d)-(0[1-9]|1[0-2])$',
  maxLength: 7,
  examples: ['2026-10'],
})
/** Money is for owners and finance; sellers are the operator and resellers. */
const BILLS = { scope: 'billing', parties: ['operator', 'reseller'], roles: ['owner', 'finance'] } as const
const BOOKS = { scope: 'billing', parties: ['operator', 'reseller'] } as const

const invoiceFields = {
  id: Id,
  kind: OneOf(['invoice', 'credit-note']),
  number: Nullable(Text(20)),
  partyId: Id,
  partyName: Text(),
  sellerId: Id,
  sellerName: Type.String(),
  correctsId: Nullable(Id),
  correctsNumber: Nullable(Text(20)),
  period: Month,
  periodFrom: Instant,
  periodTo: Instant,
  currency: CurrencyCode,
  subtotal: MoneyJson,
  tax: MoneyJson,
  total: MoneyJson,
  state: OneOf(INVOICE_STATES),
  issuedOn: Nullable(CalendarDate),
  dueOn: Nullable(CalendarDate),
  version: Type.Integer(),
  createdAt: Instant,
}
const InvoiceJson = Shape(invoiceFields, { title: 'Invoice' })

const LineJson = Shape({
  line: Type.Integer(),
  description: Text(500),
  descriptionJa: Nullable(Text(500)),
  family: Text(63),
  charge: OneOf(['setup', 'monthly', 'unit', 'early-termination']),
  contractId: Nullable(Id),
  contractNumber: Nullable(Text(20)),
  quantity: Type.String({ description: 'A decimal with three places at most.' }),
  unit: Nullable(Text(60)),
  price: Type.String({ description: "A decimal in the currency's major unit." }),
  amount: MoneyJson,
  taxCode: Text(20),
  taxPercent: Type.String(),
  services: Type.Integer(),
})

const PartyOnInvoice = Shape({
  name: Text(),
  address: Nullable(Type.String()),
  email: Nullable(Type.String()),
  taxRegistration: Nullable(Type.String()),
})

const InvoiceInFullJson = Shape({
  ...invoiceFields,
  lines: Type.Array(LineJson),
  taxes: Type.Array(Shape({ code: Text(20), percent: Type.String(), base: MoneyJson, tax: MoneyJson })),
  seller: PartyOnInvoice,
  buyer: PartyOnInvoice,
})

const RunJson = Shape(
  {
    id: Id,
    period: Month,
    state: OneOf(['completed', 'failed']),
    invoices: Type.Integer(),
    services: Type.Integer(),
    issued: Type.Optional(Type.Integer()),
    subtotals: Type.Array(MoneyJson),
    problem: Nullable(Type.String()),
    startedAt: Instant,
    endedAt: Instant,
  },
  { title: 'BillingRun' },
)

const invoiceJson = (invoice: Invoice): Static<typeof InvoiceJson> => {
  const money = (amount: bigint) => moneyToJson({ amount, currency: invoice.currency })
  return {
    ...invoice,
    subtotal: money(invoice.subtotal),
    tax: money(invoice.tax),
    total: money(invoice.total),
    periodFrom: toIso(invoice.periodFrom)!,
    periodTo: toIso(invoice.periodTo)!,
    createdAt: toIso(invoice.createdAt)!,
  }
}

const plainPercent = (percent: string): string => (percent.includes('.') ? percent.replace(/\.?0+$/, '') : percent)

const lineJson = (line: InvoiceInFull['lines'][number], currency: string): Static<typeof LineJson> => ({
  line: line.line,
  description: line.description,
  descriptionJa: line.descriptionJa,
  family: line.family,
  charge: line.charge,
  contractId: line.contractId,
  contractNumber: line.contractNumber,
  quantity: quantityText(line.measure, line.divisor),
  unit: line.unit,
  price: plainPercent(line.price),
  amount: moneyToJson({ amount: line.amount, currency }),
  taxCode: line.taxCode,
  taxPercent: plainPercent(line.taxPercent),
  services: line.services,
})

const inFullJson = (invoice: InvoiceInFull): Static<typeof InvoiceInFullJson> => {
  const { lines, taxes, seller, buyer, ...head } = invoice
  const money = (amount: bigint) => moneyToJson({ amount, currency: invoice.currency })
  return {
    ...invoiceJson(head),
    lines: lines.map((line) => lineJson(line, invoice.currency)),
    taxes: taxes.map((tax) => ({
      code: tax.code,
      percent: plainPercent(tax.percent),
      base: money(tax.base),
      tax: money(tax.tax),
    })),
    seller,
    buyer,
  }
}

const runJson = (run: BillingRun, issued?: number): Static<typeof RunJson> => ({
  ...run,
  ...(issued === undefined ? {} : { issued }),
  subtotals: Object.entries(run.subtotals).map(([currency, amount]) => ({ amount, currency })),
  startedAt: toIso(run.startedAt)!,
  endedAt: toIso(run.endedAt)!,
})

const InvoiceParams = Shape({ invoice: Id })

export function billingRoutes(app: App, platform: Platform): void {
  const { database, clock } = platform

  app.get(
    '/invoices',
    {
      config: { access: { scope: 'billing' } },
      schema: {
        tags: ['billing'],
        summary: 'Invoices and credit notes, newest first',
        querystring: Shape({
          ...listQuery,
          state: Type.Optional(OneOf(INVOICE_STATES)),
          period: Type.Optional(Month),
          seller: Type.Optional(PartyRef),
        }),
        response: { 200: Page(InvoiceJson) },
      },
    },
    async (request) => {
      const { limit, state, period, seller } = request.query
      const filter = await filterOf(request, state)
      const sellerId = seller === undefined ? null : (await request.visibleParty(seller)).id
      const rows = await request.tenant((sql) => listInvoices(sql, { ...filter, sellerId, period: period ?? null }))
      return page(rows, limit, ({ id }) => [id], invoiceJson)
    },
  )

  const invoiceOf = (request: Parameters<typeof visible>[0], id: string) =>
    visible(request, 'invoice', id, (sql) => readInvoice(sql, id))

  app.get(
    '/invoices/:invoice',
    {
      config: { access: { scope: 'billing' } },
      schema: {
        tags: ['billing'],
        summary: 'One invoice with its lines and taxes',
        params: InvoiceParams,
        response: { 200: InvoiceInFullJson },
      },
    },
    async (request, reply) => {
      const invoice = await invoiceOf(request, request.params.invoice)
      tag(reply, invoice.version)
      return inFullJson(invoice)
    },
  )

  app.get(
    '/invoices/:invoice/lines/:line',
    {
      config: { access: { scope: 'billing' } },
      schema: {
        tags: ['billing'],
        summary: 'The services behind a line, each with its arithmetic',
        params: Shape({ invoice: Id, line: Type.Integer({ minimum: 1, maximum: 2_147_483_647 }) }),
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: {
          200: Shape({
            line: LineJson,
            items: Type.Array(
              Shape({
                serviceId: Id,
                serviceName: Type.String(),
                quantity: Type.String(),
                amount: Type.String({
                  description: "A decimal in the currency's minor unit, before the line's rounding.",
                }),
                explanation: Json,
              }),
            ),
            next: Nullable(Type.String()),
          }),
        },
      },
    },
    async (request) => {
      const { invoice: id, line: number } = request.params
      const { limit, cursor } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      return request.tenant(async (sql) => {
        const invoice = await findInvoice(sql, id)
        const line = invoice && (await findLine(sql, id, number))
        if (!line) throw new NotFound('invoice line', `${id}/${number}`)
        const rows = await ratedCharges(sql, id, number, { limit: limit + 1, after: after?.[0] ?? null })
        const { items, next } = page(
          rows,
          limit,
          ({ serviceId }) => [serviceId],
          (row) => ({
            serviceId: row.serviceId,
            serviceName: row.serviceName,
            quantity: quantityText(row.measure, line.divisor),
            amount: decimal(row.amountMillionths),
            explanation: row.explanation as Record<string, unknown>,
          }),
        )
        return { line: lineJson(line, invoice.currency), items, next }
      })
    },
  )

  app.get(
    '/invoices/:invoice/pdf',
    {
      config: { access: { scope: 'billing' } },
      schema: {
        tags: ['billing'],
        summary: 'An invoice or credit note as a PDF document',
        params: InvoiceParams,
        querystring: Shape({ locale: Type.Optional(OneOf(LOCALES)) }),
      },
    },
    async (request, reply) => {
      const invoice = await invoiceOf(request, request.params.invoice)
      const locale =
        request.query.locale ?? ((await request.visibleParty(request.principal.partyId)).locale === 'ja' ? 'ja' : 'en')
      const pdf = await invoicePdf(invoice, locale)
      return reply
        .type('application/pdf')
        .header('content-disposition', `inline; filename="${invoice.number ?? `draft-${invoice.period}`}.pdf"`)
        .send(pdf)
    },
  )

  /** A seller's own invoice, for a change of it. */
  async function ownInvoice(request: Parameters<typeof visible>[0] & { principal: { partyId: string } }, id: string) {
    const invoice = await visible(request, 'invoice', id, (sql) => findInvoice(sql, id))
    if (invoice.sellerId !== request.principal.partyId)
      throw new NotAllowed('Only the seller of an invoice issues and voids it.')
    return invoice
  }

  app.post(
    '/invoices/:invoice/issue',
    {
      config: { access: BILLS },
      schema: {
        tags: ['billing'],
        summary: 'Issue a draft: its number, its date, its postings',
        params: InvoiceParams,
        response: { 200: InvoiceInFullJson },
      },
    },
    async (request, reply) => {
      const { id } = await ownInvoice(request, request.params.invoice)
      const { zone } = await operatorCalendar(platform)
      await issueInvoices(database, [id], {
        actor: request.principal.actor,
        now: clock(),
        zone,
        version: request.ifMatch(),
      })
      const invoice = await invoiceOf(request, id)
      tag(reply, invoice.version)
      return inFullJson(invoice)
    },
  )

  app.post(
    '/invoices/:invoice/void',
    {
      config: { access: BILLS },
      schema: {
        tags: ['billing'],
        summary: 'Take an issued invoice back by a credit note, which is answered',
        params: InvoiceParams,
        response: { 200: InvoiceInFullJson },
      },
    },
    async (request, reply) => {
      const { id } = await ownInvoice(request, request.params.invoice)
      const { zone } = await operatorCalendar(platform)
      const noteId = await voidInvoice(database, id, {
        actor: request.principal.actor,
        now: clock(),
        zone,
        version: request.ifMatch(),
      })
      const note = await invoiceOf(request, noteId)
      tag(reply, note.version)
      return inFullJson(note)
    },
  )

  app.post(
    '/billing-runs',
    {
      config: { access: BILLS },
      schema: {
        tags: ['billing'],
        summary: 'Make the drafts of a month for all your customers; with `issue` they are issued at once',
        body: Shape({ period: Month, issue: Type.Optional(Type.Boolean({ default: false })) }),
        response: { 201: RunJson },
      },
    },
    async (request, reply) => {
      const { period, issue } = request.body
      const { partyId, actor } = request.principal
      const { zone } = await operatorCalendar(platform)
      const run = await runBilling(database, partyId, period, zone, actor)
      const issued = issue ? await issueMonth(database, partyId, period, { actor, now: clock(), zone }) : undefined
      return reply.code(201).send(runJson(run, issued))
    },
  )

  app.get(
    '/billing-runs',
    {
      config: { access: BOOKS },
      schema: {
        tags: ['billing'],
        summary: 'Billing runs, newest first',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: { 200: Page(RunJson) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const rows = await request.tenant((sql) => listRuns(sql, { limit: limit + 1, before: after?.[0] ?? null }))
      return page(
        rows,
        limit,
        ({ id }) => [id],
        (run) => runJson(run),
      )
    },
  )

  app.get(
    '/accounts',
    {
      config: { access: BOOKS },
      schema: {
        tags: ['billing'],
        summary: 'The trial balance of your books',
        querystring: Shape({ until: Type.Optional(CalendarDate) }),
        response: {
          200: Shape({
            items: Type.Array(
              Shape({
                code: Text(10),
                name: Text(),
                nameJa: Text(),
                type: OneOf(['asset', 'liability', 'equity', 'revenue', 'expense']),
                currency: CurrencyCode,
                debit: MoneyJson,
                credit: MoneyJson,
                balance: MoneyJson,
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const rows = await request.tenant((sql) =>
        trialBalance(sql, request.principal.partyId, request.query.until ?? null),
      )
      return {
        items: rows.map((row) => {
          const money = (amount: bigint) => moneyToJson({ amount, currency: row.currency })
          return { ...row, debit: money(row.debit), credit: money(row.credit), balance: money(row.balance) }
        }),
      }
    },
  )

  app.get(
    '/journal',
    {
      config: { access: BOOKS },
      schema: {
        tags: ['billing'],
        summary: 'The journal of your books, newest first',
        querystring: Shape({
          limit: PageQuery.limit,
          cursor: PageQuery.cursor,
          from: Type.Optional(CalendarDate),
          to: Type.Optional(CalendarDate),
        }),
        response: {
          200: Page(
            Shape({
              id: Type.String(),
              at: Instant,
              effectiveOn: CalendarDate,
              description: Text(500),
              invoiceId: Nullable(Id),
              postings: Type.Array(
                Shape({
                  account: Text(10),
                  accountName: Text(),
                  family: Nullable(Text(63)),
                  amount: MoneyJson,
                }),
              ),
            }),
          ),
        },
      },
    },
    async (request) => {
      const { limit, cursor, from, to } = request.query
      const after = cursorKey(cursor, ['bigint']) as [string] | null
      const rows = await request.tenant((sql) =>
        listJournal(sql, request.principal.partyId, {
          limit: limit + 1,
          before: after?.[0] ?? null,
          from: from ?? null,
          to: to ?? null,
        }),
      )
      return page(
        rows,
        limit,
        ({ id }) => [id],
        (entry) => ({
          id: String(entry.id),
          at: toIso(entry.at)!,
          effectiveOn: entry.effectiveOn,
          description: entry.description,
          invoiceId: entry.invoiceId,
          postings: (entry.postings ?? []).map(({ currency, amount, ...posting }) => ({
            ...posting,
            amount: { amount, currency },
          })),
        }),
      )
    },
  )
}

/** Millionths as a decimal. */
function decimal(millionths: string): string {
  const negative = millionths.startsWith('-')
  const digits = millionths.replace('-', '').padStart(7, '0')
  const fraction = digits.slice(-6).replace(/0+$/, '')
  return `${negative ? '-' : ''}${digits.slice(0, -6)}${fraction ? `.${fraction}` : ''}`
}
