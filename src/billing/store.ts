/** Invoices, runs and the books read from SQL. Through a tenant's view: a buyer sees what was issued to it, no drafts. */
import type { Sql } from '../database/connection.ts'
import type { Invoice, InvoiceInFull, InvoiceLine, InvoiceParty, InvoiceTax, RatedChargeRow } from './model.ts'
import type { BillingRun } from './run.ts'

const INVOICE = `
  select i.id, i.kind, i.number, i.party_id as "partyId", p.name as "partyName", i.seller_id as "sellerId",
    coalesce(seller_name(i.seller_id), i.seller ->> 'name', '') as "sellerName", i.corrects_id as "correctsId",
    c.number as "correctsNumber", to_char(i.period, 'YYYY-MM') as period, i.period_from as "periodFrom",
    i.period_to as "periodTo", i.currency, i.subtotal, i.tax, i.total, i.state, i.issued_on as "issuedOn",
    i.due_on as "dueOn", i.version, i.created_at as "createdAt"
  from invoice i join party p on p.id = i.party_id left join invoice c on c.id = i.corrects_id`

/** A draft is shown to its seller and to those above the seller only. */
const SHOWN = `(i.state <> 'draft' or current_party() is null
  or exists (select from party s where s.id = i.seller_id and s.ancestors @> array[current_party()]))`

export interface InvoiceFilter {
  limit: number
  before: string | null
  partyId: string | null
  sellerId: string | null
  state: string | null
  period: string | null
  like: string | null
}

/** A page of invoices and credit notes, newest first. */
export const listInvoices = (sql: Sql, filter: InvoiceFilter): Promise<Invoice[]> =>
  sql.query<Invoice>(
    `${INVOICE} where ${SHOWN} and ($1::uuid is null or i.id < $1) and ($2::uuid is null or i.party_id = $2)
       and ($3::uuid is null or i.seller_id = $3) and ($4::text is null or i.state = $4)
       and ($5::text is null or i.period = ($5 || '-01')::date)
       and ($6::text is null or i.number ilike $6 or p.name ilike $6)
     order by i.id desc limit $7`,
    [filter.before, filter.partyId, filter.sellerId, filter.state, filter.period, filter.like, filter.limit],
  )

/** One invoice; null when there is none to see. */
export async function findInvoice(sql: Sql, id: string): Promise<Invoice | null> {
  const [invoice] = await sql.query<Invoice>(`${INVOICE} where i.id = $1 and ${SHOWN}`, [id])
  return invoice ?? null
}

const LINES = `
  select l.line, l.contract_id as "contractId", c.number as "contractNumber", l.family, l.charge, l.description,
    l.description_ja as "descriptionJa", l.measure, l.divisor, l.unit, l.price, l.amount, l.tax_code as "taxCode",
    l.tax_percent as "taxPercent", l.services
  from invoice_line l left join contract c on c.id = l.contract_id`

/** Lines shown with one invoice at most; a document of more is read as PDF or page by page. */
export const SHOWN_LINES = 20_000

/** An invoice with its lines, taxes and both parties; as issued, or for a draft as they are now. */
export async function readInvoice(sql: Sql, id: string): Promise<InvoiceInFull | null> {
  const invoice = await findInvoice(sql, id)
  if (!invoice) return null
  const lines = await sql.query<InvoiceLine>(`${LINES} where l.invoice_id = $1 order by l.line limit ${SHOWN_LINES}`, [
    id,
  ])
  const taxes = await sql.query<InvoiceTax>(
    'select tax_code as code, percent, base, tax from invoice_tax where invoice_id = $1 order by tax_code',
    [id],
  )
  const [parties] = await sql.query<{ seller: InvoiceParty | null; buyer: InvoiceParty | null }>(
    `select coalesce(i.seller, (select ${PARTY_JSON} from party p where p.id = i.seller_id)) as seller,
       coalesce(i.buyer, (select ${PARTY_JSON} from party p where p.id = i.party_id)) as buyer
     from invoice i where i.id = $1`,
    [id],
  )
  const unseen = (name: string): InvoiceParty => ({ name, address: null, email: null, taxRegistration: null })
  return {
    ...invoice,
    lines,
    taxes,
    seller: parties?.seller ?? unseen(invoice.sellerName),
    buyer: parties?.buyer ?? unseen(invoice.partyName),
  }
}

/** A party as an invoice keeps it. */
export const PARTY_JSON = `jsonb_build_object('name', p.name, 'address', p.address, 'email', p.email,
  'taxRegistration', p.tax_registration)`

/** The services behind a line, largest first, a page at a time. */
export const ratedCharges = (
  sql: Sql,
  invoiceId: string,
  line: number,
  page: { limit: number; after: string | null },
): Promise<RatedChargeRow[]> =>
  sql.query<RatedChargeRow>(
    `select r.service_id as "serviceId", coalesce(s.name, '') as "serviceName", r.measure,
       r.amount_millionths as "amountMillionths", r.explanation
     from rated_charge r left join service s on s.id = r.service_id
     where r.invoice_id = $1 and r.line = $2 and ($3::uuid is null or r.service_id > $3)
     order by r.service_id limit $4`,
    [invoiceId, line, page.after, page.limit],
  )

/** One line of an invoice. */
export async function findLine(sql: Sql, invoiceId: string, line: number): Promise<InvoiceLine | null> {
  const [found] = await sql.query<InvoiceLine>(`${LINES} where l.invoice_id = $1 and l.line = $2`, [invoiceId, line])
  return found ?? null
}

/** Runs of the sellers that may be seen, newest first. */
export const listRuns = (sql: Sql, page: { limit: number; before: string | null }): Promise<BillingRun[]> =>
  sql.query<BillingRun>(
    `select id, to_char(period, 'YYYY-MM') as period, state, invoices, services, subtotals, problem,
       started_at as "startedAt", ended_at as "endedAt"
     from billing_run where ($1::uuid is null or id < $1) order by id desc limit $2`,
    [page.before, page.limit],
  )

export interface AccountBalance {
  code: string
  name: string
  nameJa: string
  type: 'asset' | 'liability' | 'equity' | 'revenue' | 'expense'
  currency: string
  debit: bigint
  credit: bigint
  balance: bigint
}

/** The trial balance of a seller's books up to a date: debits, credits and what is left on each account. */
export const trialBalance = (sql: Sql, sellerId: string, until: string | null): Promise<AccountBalance[]> =>
  sql.query<AccountBalance>(
    `select a.code, a.name, a.name_ja as "nameJa", a.type, p.currency,
       coalesce(sum(p.amount) filter (where p.amount > 0), 0)::bigint as debit,
       coalesce(-sum(p.amount) filter (where p.amount < 0), 0)::bigint as credit, sum(p.amount)::bigint as balance
     from posting p join journal_entry e on e.id = p.entry_id join account a on a.code = p.account
     where e.seller_id = $1 and ($2::date is null or e.effective_on <= $2)
     group by a.code, p.currency order by a.code, p.currency`,
    [sellerId, until],
  )

export interface JournalEntry {
  id: bigint
  at: number
  effectiveOn: string
  description: string
  invoiceId: string | null
  postings: { account: string; accountName: string; family: string | null; currency: string; amount: string }[]
}

/** A page of a seller's journal, newest first. */
export const listJournal = (
  sql: Sql,
  sellerId: string,
  page: { limit: number; before: string | null; from: string | null; to: string | null },
): Promise<JournalEntry[]> =>
  sql.query<JournalEntry>(
    `select e.id, e.at, e.effective_on as "effectiveOn", e.description, e.invoice_id as "invoiceId",
       (select jsonb_agg(jsonb_build_object('account', p.account, 'accountName', a.name, 'family', p.family,
          'currency', p.currency, 'amount', p.amount::text) order by p.line)
        from posting p join account a on a.code = p.account where p.entry_id = e.id) as postings
     from journal_entry e
     where e.seller_id = $1 and ($2::bigint is null or e.id < $2) and ($3::date is null or e.effective_on >= $3)
       and ($4::date is null or e.effective_on <= $4)
     order by e.id desc limit $5`,
    [sellerId, page.before, page.from, page.to, page.limit],
  )
