import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { testDesk, testProvider } from '../../test/support/provider.ts'
import { WrongState } from '../core/errors.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { placeOrder } from '../orders/place.ts'
import { changeService, suspendOrResume, terminateService } from '../services/life.ts'
import { findService } from '../services/store.ts'
import { issueInvoices, issueMonth, receivableOf, voidInvoice } from './issue.ts'
import { runBilling } from './run.ts'
import { findInvoice, listInvoices, ratedCharges, readInvoice, trialBalance } from './store.ts'

const ZONE = 'Asia/Tokyo'
const at = (text: string) => Date.parse(`${text}+09:00`)
const database = await testDatabase()
const { operator, reseller, retail, direct } = await testProvider(database, { retail: { minimumTermMonths: 2 } })
const desk = await testDesk(database, at('2026-10-05T00:00'))
const actor = SYSTEM
const all = { limit: 100, before: null, partyId: null, sellerId: null, state: null, period: null, like: null }
const run = (seller: string, month: string) => runBilling(database, seller, month, ZONE, actor)
const snapshot = async () =>
  JSON.stringify(
    await Promise.all(
      ['invoice', 'invoice_line', 'invoice_tax', 'rated_charge', 'posting'].map((table) =>
        database.query(`select * from ${table} t order by t::text`),
      ),
    ),
    (_, value) => (typeof value === 'bigint' ? String(value) : value),
  )

// The life that is billed: a reseller's customer takes 2 units and 1 kVA, grows after 10 hours, is suspended for three
// days and ends before its term; the operator's own customer takes an hour of power; a third goes past the month's end.
const order = async (party: { id: string; ancestors: string[] }, config: Record<string, unknown>) => {
  const { order: placed } = await placeOrder(desk, { party, offering: 'rack', config, actor })
  return async () => (await findService(database, placed.serviceId!))!
}
const first = await order(retail, { rackUnits: 2, power: 1 })
const short = await order(direct, { power: 4 })
desk.now += HOUR_MS
await terminateService(desk, await short(), { actor })
desk.now += 9 * HOUR_MS
await changeService(desk, await first(), { config: { power: 2 }, actor })
desk.now = at('2026-10-10T00:00')
await suspendOrResume(desk, await first(), 'suspend', { actor })
desk.now += 3 * DAY_MS
await suspendOrResume(desk, await first(), 'resume', { actor })
desk.now = at('2026-10-25T00:00')
await terminateService(desk, await first(), { actor })
const long = await order(direct, { rackUnits: 1 })
desk.now = at('2026-11-02T09:00')

describe('a billing run', () => {
  test('rates the same reservations wholesale to the reseller and retail to its customer', async () => {
    const operators = await run(operator.id, '2026-10')
    const resellers = await run(reseller.id, '2026-10')
    assert.deepEqual([operators.invoices, operators.services, resellers.invoices, resellers.services], [2, 3, 1, 1])
    const invoices = await listInvoices(database, all)
    const lines = async (seller: string, buyer: string) => {
      const { id } = invoices.find((one) => one.sellerId === seller && one.partyId === buyer)!
      return (await readInvoice(database, id))!.lines.map(({ description, amount }) => [description, Number(amount)])
    }
    // 20 days of 480 hours; 10 hours of 1 kVA and 470 of 2; 17 of 31 days, three having been suspended whole.
    assert.deepEqual(await lines(operator.id, reseller.id), [
      ['Rack space: Installation', 10_000],
      ['Rack space: Basic fee', 1_700],
      ['Rack space: rack-unit time', 480 * 2 * 10],
      ['Rack space: power time', (10 + 470 * 2) * 20],
    ])
    assert.deepEqual(await lines(reseller.id, retail.id), [
      ['Rack space: Installation', 12_000],
      ['Rack space: Basic fee', 3_400],
      ['Rack space: rack-unit time', 480 * 2 * 15],
      ['Rack space: power time', (10 + 470 * 2) * 30],
      // To 5 December: 7 days of October, November, 4 days of December.
      ['Rack space: early termination of Rack space', 1_400 + 6_200 + 800],
    ])
    assert.deepEqual(await lines(operator.id, direct.id), [
      ['Rack space: Installation', 10_000],
      ['Rack space: Basic fee', 100],
      ['Rack space: power time', 80],
      ['Rack space: Installation', 10_000],
      ['Rack space: Basic fee', 700],
      ['Rack space: rack-unit time', 7 * 24 * 10],
    ])
  })

  test('taxes once per rate, damages not at all', async () => {
    const [invoice] = await listInvoices(database, { ...all, sellerId: reseller.id })
    const { taxes, subtotal, tax, total } = (await readInvoice(database, invoice!.id))!
    const taxed = 12_000 + 3_400 + 14_400 + 28_500
    assert.deepEqual(
      taxes.map((one) => [one.code, Number(one.base), Number(one.tax)]),
      [
        ['exempt', 8_400, 0],
        ['standard', taxed, Math.floor(taxed / 10)],
      ],
    )
    assert.equal(total, subtotal + tax)
  })

  test('explains each line down to its services', async () => {
    const [invoice] = await listInvoices(database, { ...all, sellerId: operator.id, partyId: reseller.id })
    const [power] = await ratedCharges(database, invoice!.id, 4, { limit: 10, after: null })
    assert.deepEqual(power!.explanation.stretches, [
      ['2026-10-04T15:00:00.000Z', '2026-10-05T01:00:00.000Z', 1],
      ['2026-10-05T01:00:00.000Z', '2026-10-24T15:00:00.000Z', 2],
    ])
    const [month] = await ratedCharges(database, invoice!.id, 2, { limit: 10, after: null })
    assert.deepEqual(month!.explanation.days, [17, 31])
    assert.equal(month!.amountMillionths, '1700000000')
  })

  test('run again changes nothing', async () => {
    const before = await snapshot()
    await run(operator.id, '2026-10')
    await run(reseller.id, '2026-10')
    assert.equal(await snapshot(), before)
  })

  test('takes what was ordered meanwhile into its drafts, and leaves issued invoices alone', async () => {
    const [draft] = await listInvoices(database, { ...all, partyId: direct.id })
    desk.now = at('2026-10-30T00:00')
    const late = await order(direct, { power: 1 })
    await run(operator.id, '2026-10')
    const grown = (await findInvoice(database, draft!.id))!
    assert.ok(grown.subtotal > draft!.subtotal)
    desk.now = at('2026-11-02T09:00')
    await terminateService(desk, await late(), { actor })
    assert.equal(await issueMonth(database, operator.id, '2026-10', { actor, now: desk.now, zone: ZONE }), 2)
    const before = await snapshot()
    await run(operator.id, '2026-10')
    assert.equal(await snapshot(), before)
  })
})

describe('an invoice', () => {
  const by = { actor, zone: ZONE, now: at('2026-11-02T09:00') }

  test('is issued once, with the next number, and posted to the last day of its month', async () => {
    const [draft] = await listInvoices(database, { ...all, sellerId: reseller.id })
    await Promise.all([1, 2, 3].map(() => issueInvoices(database, [draft!.id], by)))
    const issued = (await findInvoice(database, draft!.id))!
    assert.deepEqual(
      [issued.number, issued.state, issued.issuedOn, issued.dueOn],
      ['I00000001', 'issued', '2026-11-02', '2026-11-30'],
    )
    const entries = await database.query<{ on: string }>(
      'select effective_on as on from journal_entry where invoice_id = $1',
      [draft!.id],
    )
    assert.deepEqual(entries, [{ on: '2026-10-31' }])
  })

  test('numbers are without a gap for each seller', async () => {
    const numbers = await database.query<{ numbers: string[] }>(
      `select array_agg(number order by number) as numbers from invoice where state = 'issued' and kind = 'invoice' group by seller_id
       order by count(*)`,
    )
    assert.deepEqual(
      numbers.map((row) => row.numbers),
      [['I00000001'], ['I00000001', 'I00000002']],
    )
  })

  test('of a month that is not over is refused', async () => {
    await run(operator.id, '2026-11')
    const drafts = await listInvoices(database, { ...all, period: '2026-11' })
    await assert.rejects(issueInvoices(database, [drafts[0]!.id], by), /not over/)
    await assert.rejects(voidInvoice(database, drafts[0]!.id, by), WrongState)
  })

  test('is taken back by a credit note, and may be made anew', async () => {
    const [invoice] = await listInvoices(database, { ...all, sellerId: reseller.id })
    const [one, two] = await Promise.all([1, 2].map(() => voidInvoice(database, invoice!.id, by)))
    assert.equal(one, two)
    const note = (await readInvoice(database, one!))!
    assert.deepEqual(
      [note.kind, note.number, note.correctsNumber, note.total],
      ['credit-note', 'N00000001', 'I00000001', -invoice!.total],
    )
    assert.deepEqual(
      (await receivableOf(database, reseller.id)).map(({ balance }) => balance),
      [0n],
    )
    await run(reseller.id, '2026-10')
    const again = (await listInvoices(database, { ...all, sellerId: reseller.id, state: 'draft' }))[0]!
    assert.equal(again.total, invoice!.total)
    await issueInvoices(database, [again.id], by)
    assert.equal((await findInvoice(database, again.id))!.number, 'I00000002')
  })

  test('is seen by its buyer when issued, by nobody beside, and its wholesale side never by the customer', async () => {
    const seen = async (party: string) =>
      (await database.asTenant(party, (sql) => listInvoices(sql, all))).map(({ sellerId, state }) => [sellerId, state])
    assert.ok((await seen(operator.id)).some(([, state]) => state === 'draft'))
    assert.ok((await seen(retail.id)).every(([seller, state]) => seller === reseller.id && state !== 'draft'))
    assert.ok((await seen(reseller.id)).some(([seller]) => seller === operator.id))
    assert.deepEqual([...new Set((await seen(direct.id)).map(([seller]) => seller))], [operator.id])
    const own = await database.asTenant(retail.id, (sql) =>
      sql.query<{ n: number }>('select count(*)::int as n from price_plan where seller_id = $1', [operator.id]),
    )
    assert.deepEqual(own, [{ n: 0 }])
  })
})

test('the books balance, and receivables are the invoices', async () => {
  for (const seller of [operator, reseller]) {
    const balances = await trialBalance(database, seller.id, null)
    assert.equal(
      balances.reduce((sum, { balance }) => sum + balance, 0n),
      0n,
    )
    const [issued] = await database.query<{ total: bigint }>(
      `select sum(total)::bigint as total from invoice where seller_id = $1 and state <> 'draft'`,
      [seller.id],
    )
    assert.equal(balances.find(({ code }) => code === '1100')!.balance, issued!.total)
  }
  await assert.rejects(database.query('update posting set amount = amount + 1'), /append-only/)
  await assert.rejects(
    database.query(
      `with e as (insert into journal_entry (seller_id, effective_on, description) values ($1, now(), 'x') returning id)
       insert into posting (entry_id, line, account, currency, amount) select id, 1, '1100', 'JPY', 1 from e`,
      [operator.id],
    ),
    /does not balance/,
  )
  await terminateService(desk, await long(), { actor })
})
