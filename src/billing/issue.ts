/**
 * From draft to document: an invoice is issued once, under the next number without a gap, with both parties as they stand
 * that day, and posted to the books. What was issued never changes: it is voided by a credit note that names it and turns
 * every sign.
 */
import { addDays, dateOf, shiftMonth } from '../core/calendar.ts'
import { NotFound, StaleVersion, WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Instant, toIso } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { ACCOUNTS, type ChargeKind, invoicePostings, isBalanced, type Posting, reversed } from './ledger.ts'
import { PARTY_JSON } from './store.ts'

interface Issuing {
  id: string
  sellerId: string
  partyId: string
  currency: string
  subtotal: bigint
  tax: bigint
  total: bigint
  state: 'draft' | 'issued' | 'void'
  kind: 'invoice' | 'credit-note'
  number: string | null
  period: string
  periodTo: Instant
  version: number
  isFirst: boolean
}

const ISSUING = `
  select i.id, i.seller_id as "sellerId", i.party_id as "partyId", i.currency, i.subtotal, i.tax, i.total, i.state, i.kind,
    i.number, to_char(i.period, 'YYYY-MM') as period, i.period_to as "periodTo", i.version,
    not exists (select from invoice o where o.party_id = i.party_id and o.seller_id = i.seller_id
      and o.period_from = i.period_from and o.currency = i.currency and o.state = 'void') as "isFirst"
  from invoice i`

/** Days a buyer has at least. */
const PAYMENT_DAYS = 14

/** The last day of the month after the period, and two weeks after the issue at least. */
export function dueDate(period: string, issuedOn: string): string {
  const usual = addDays(`${shiftMonth(period, 2)}-01`, -1)
  const least = addDays(issuedOn, PAYMENT_DAYS)
  return usual > least ? usual : least
}

/**
 * Issues drafts of one seller. Those that are issued already are left as they are.
 * @throws NotFound, StaleVersion, WrongState when the month is not over
 */
export async function issueInvoices(
  database: Database,
  ids: readonly string[],
  by: { actor: Actor; now: Instant; zone: string; version?: number | null },
): Promise<number> {
  return database.transaction(async (sql) => {
    const invoices = await sql.query<Issuing>(`${ISSUING} where i.id = any($1) order by i.id for update of i`, [ids])
    if (invoices.length < ids.length)
      throw new NotFound('invoice', ids.find((id) => !invoices.some((one) => one.id === id))!)
    const drafts = invoices.filter(({ state }) => state === 'draft')
    for (const invoice of invoices) {
      if (by.version != null && by.version !== invoice.version) throw new StaleVersion(by.version, invoice.version)
      if (invoice.state === 'void') throw new WrongState('The invoice is void.')
      if (invoice.state === 'draft' && invoice.periodTo > by.now)
        throw new WrongState(
          `The month ${invoice.period} is not over; it is invoiced after ${toIso(invoice.periodTo)}.`,
        )
    }
    if (drafts.length === 0) return 0
    const issuedOn = dateOf(by.now, by.zone)
    const numbers = await takeNumbers(sql, drafts[0]!.sellerId, 'invoice', drafts.length)
    await sql.query(
      `update invoice i set state = 'issued', number = d.number, issued_on = $3, due_on = d.due, version = version + 1,
         seller = (select ${PARTY_JSON} from party p where p.id = i.seller_id),
         buyer = (select ${PARTY_JSON} from party p where p.id = i.party_id)
       from unnest($1::uuid[], $2::text[], $4::date[]) as d(id, number, due) where i.id = d.id`,
      [drafts.map(({ id }) => id), numbers, issuedOn, drafts.map(({ period }) => dueDate(period, issuedOn))],
    )
    const lines = await postableLines(sql, drafts)
    await post(
      sql,
      drafts.map((draft, index) => ({
        sellerId: draft.sellerId,
        invoiceId: draft.id,
        // Revenue belongs to the month it was earned in; once that was corrected, to the day of the correction.
        effectiveOn: draft.isFirst ? addDays(`${shiftMonth(draft.period, 1)}-01`, -1) : issuedOn,
        description: `Invoice ${numbers[index]} for ${draft.period}`,
        postings: invoicePostings(draft, lines.get(draft.id) ?? []),
      })),
    )
    await appendEvents(
      sql,
      drafts.map(({ id, partyId, total, currency, period }, index) => ({
        partyId,
        actor: by.actor,
        type: 'invoice.issued',
        subjectKind: 'invoice',
        subjectId: id,
        after: { number: numbers[index], period, total: String(total), currency },
      })),
    )
    return drafts.length
  })
}

/** Issues every draft of a seller's month; returns how many. */
export async function issueMonth(
  database: Database,
  sellerId: string,
  month: string,
  by: { actor: Actor; now: Instant; zone: string },
): Promise<number> {
  const drafts = await database.query<{ id: string }>(
    `select id from invoice where seller_id = $1 and period = ($2 || '-01')::date and state = 'draft' order by id`,
    [sellerId, month],
  )
  return drafts.length === 0
    ? 0
    : issueInvoices(
        database,
        drafts.map(({ id }) => id),
        by,
      )
}

/** The next numbers of a seller's documents of a kind; the row's lock keeps them without a gap. */
async function takeNumbers(
  sql: Sql,
  sellerId: string,
  kind: 'invoice' | 'credit-note',
  count: number,
): Promise<string[]> {
  const [row] = await sql.query<{ last: bigint }>(
    `insert into document_number (seller_id, kind, last) values ($1, $2, $3)
     on conflict (seller_id, kind) do update set last = document_number.last + $3 returning last`,
    [sellerId, kind, count],
  )
  const letter = kind === 'invoice' ? 'I' : 'N'
  return Array.from(
    { length: count },
    (_, index) => `${letter}${String(Number(row!.last) - count + 1 + index).padStart(8, '0')}`,
  )
}

/** Amounts of lines by invoice, charge and family. */
async function postableLines(sql: Sql, invoices: readonly Issuing[]) {
  const rows = await sql.query<{ invoiceId: string; charge: ChargeKind; family: string; amount: bigint }>(
    `select invoice_id as "invoiceId", charge, family, sum(amount)::bigint as amount from invoice_line
     where invoice_id = any($1) group by invoice_id, charge, family order by invoice_id, family, charge`,
    [invoices.map(({ id }) => id)],
  )
  const byInvoice = new Map<string, typeof rows>()
  for (const row of rows) byInvoice.set(row.invoiceId, [...(byInvoice.get(row.invoiceId) ?? []), row])
  return byInvoice
}

interface Entry {
  sellerId: string
  invoiceId: string
  effectiveOn: string
  description: string
  postings: Posting[]
}

/** Adds entries to the books. */
async function post(sql: Sql, entries: readonly Entry[]): Promise<void> {
  const unbalanced = entries.find(({ postings }) => !isBalanced(postings))
  if (unbalanced) throw new Error(`${unbalanced.description} does not balance`)
  const inserted = await sql.query<{ id: bigint; invoiceId: string }>(
    `insert into journal_entry (seller_id, effective_on, description, invoice_id)
     select * from unnest($1::uuid[], $2::date[], $3::text[], $4::uuid[]) returning id, invoice_id as "invoiceId"`,
    [
      entries.map(({ sellerId }) => sellerId),
      entries.map(({ effectiveOn }) => effectiveOn),
      entries.map(({ description }) => description),
      entries.map(({ invoiceId }) => invoiceId),
    ],
  )
  const ids = new Map(inserted.map(({ id, invoiceId }) => [invoiceId, id]))
  const rows = entries.flatMap(({ invoiceId, postings }) =>
    postings.map((posting, index) => ({ ...posting, entryId: ids.get(invoiceId)!, line: index + 1 })),
  )
  await sql.query(
    `insert into posting (entry_id, line, account, party_id, family, currency, amount)
     select * from unnest($1::bigint[], $2::integer[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bigint[])`,
    [
      rows.map(({ entryId }) => entryId),
      rows.map(({ line }) => line),
      rows.map(({ account }) => account),
      rows.map(({ partyId }) => partyId),
      rows.map(({ family }) => family),
      rows.map(({ currency }) => currency),
      rows.map(({ amount }) => amount),
    ],
  )
}

/**
 * Takes an issued invoice back with a credit note of the same lines, signs turned; returns the credit note's id. Voiding
 * again returns the same one.
 * @throws NotFound, StaleVersion, WrongState for drafts and credit notes
 */
export async function voidInvoice(
  database: Database,
  id: string,
  by: { actor: Actor; now: Instant; zone: string; version?: number | null },
): Promise<string> {
  return database.transaction(async (sql) => {
    const [invoice] = await sql.query<Issuing>(`${ISSUING} where i.id = $1 for update of i`, [id])
    if (!invoice) throw new NotFound('invoice', id)
    if (invoice.kind === 'credit-note')
      throw new WrongState('A credit note is not voided; issue a new invoice instead.')
    if (invoice.state === 'draft')
      throw new WrongState('A draft has no effect yet: the next billing run makes it anew.')
    if (invoice.state === 'void') {
      const [note] = await sql.query<{ id: string }>('select id from invoice where corrects_id = $1', [id])
      return note!.id
    }
    if (by.version != null && by.version !== invoice.version) throw new StaleVersion(by.version, invoice.version)
    const today = dateOf(by.now, by.zone)
    const [number] = await takeNumbers(sql, invoice.sellerId, 'credit-note', 1)
    const noteId = newId()
    await sql.query(`update invoice set state = 'void', version = version + 1 where id = $1`, [id])
    await sql.query(
      `insert into invoice (id, kind, number, party_id, seller_id, corrects_id, period_from, period_to, period, currency,
         subtotal, tax, total, state, issued_on, seller, buyer)
       select $2, 'credit-note', $3, party_id, seller_id, id, period_from, period_to, period, currency, -subtotal, -tax,
         -total, 'issued', $4, seller, buyer from invoice where id = $1`,
      [id, noteId, number, today],
    )
    await sql.query(
      `insert into invoice_line (invoice_id, line, contract_id, offering_id, family, charge, description, description_ja,
         measure, divisor, unit, price, amount, tax_code, tax_percent, services)
       select $2, line, contract_id, offering_id, family, charge, description, description_ja, -measure, divisor, unit, price,
         -amount, tax_code, tax_percent, services from invoice_line where invoice_id = $1`,
      [id, noteId],
    )
    await sql.query(
      `insert into invoice_tax (invoice_id, tax_code, percent, base, tax)
       select $2, tax_code, percent, -base, -tax from invoice_tax where invoice_id = $1`,
      [id, noteId],
    )
    const lines = await postableLines(sql, [invoice])
    await post(sql, [
      {
        sellerId: invoice.sellerId,
        invoiceId: noteId,
        effectiveOn: today,
        description: `Credit note ${number} for invoice ${invoice.number}`,
        postings: reversed(invoicePostings(invoice, lines.get(id) ?? [])),
      },
    ])
    await appendEvents(sql, [
      {
        partyId: invoice.partyId,
        actor: by.actor,
        type: 'invoice.voided',
        subjectKind: 'invoice',
        subjectId: id,
        before: { state: 'issued', number: invoice.number },
        after: { state: 'void', creditNote: number },
      },
    ])
    return noteId
  })
}

/** What is owed to a seller by party: the receivable account, for the books' cross-check. */
export const receivableOf = (sql: Sql, sellerId: string) =>
  sql.query<{ partyId: string; currency: string; balance: bigint }>(
    `select p.party_id as "partyId", p.currency, sum(p.amount)::bigint as balance
     from posting p join journal_entry e on e.id = p.entry_id
     where e.seller_id = $1 and p.account = '${ACCOUNTS.receivable}' group by p.party_id, p.currency`,
    [sellerId],
  )
