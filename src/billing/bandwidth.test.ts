import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { testDesk, testProvider, unitCharge } from '../../test/support/provider.ts'
import { SYSTEM } from '../database/events.ts'
import { placeOrder } from '../orders/place.ts'
import { setTerms } from '../usage/bandwidth.ts'
import { HistoryImport } from '../usage/days.ts'
import { addMeter } from '../usage/meters.ts'
import { USUAL_TERMS } from '../usage/percentile.ts'
import { runBilling } from './run.ts'
import { listInvoices, ratedCharges, readInvoice } from './store.ts'

const ZONE = 'Asia/Tokyo'
const at = (text: string) => Date.parse(`${text}+09:00`)
const database = await testDatabase()
const charges = [unitCharge('bandwidth-p95', '1000', { per: 'month', tiers: [{ from: 50, price: '800' }] })]
const { operator, direct } = await testProvider(database, { wholesale: { charges } })
const desk = await testDesk(database, at('2026-09-20T00:00'))
const actor = SYSTEM

/** A service with two ports that carry 1, 2, 3 … Mbit/s together, slot by slot, on the given days of October. */
async function measured(name: string, days: number): Promise<string> {
  const { order } = await placeOrder(desk, { party: direct, offering: 'rack', config: { rackUnits: 1 }, actor })
  const serviceId = order.serviceId!
  const meter = {
    partyId: direct.id,
    serviceId,
    counterBits: 64 as const,
    linkBitsPerSecond: null,
    gap: 'drop' as const,
  }
  const history = new HistoryImport(database, 300)
  for (const port of [1, 2]) {
    const { id } = await addMeter(database, { ...meter, code: `${name}/${port}`, slotSeconds: 300 })
    const first = at('2026-10-01T00:00') / 300_000
    // A hundredth of a Mbit/s each, 375,000 octets: a day ends at 2.88 Mbit/s and a port.
    for (let i = 0; i < days * 288; i++) history.add(id, first + i, (i + 1) * 375_000, 0)
  }
  await history.flush()
  return serviceId
}

/** What the month's draft says of a service: quantity, price, amount, and how it came about. */
async function billed(serviceId: string) {
  await runBilling(database, operator.id, '2026-10', ZONE, actor)
  const all = { before: null, partyId: null, sellerId: null, state: null, period: '2026-10', like: null }
  const [invoice] = await listInvoices(database, { limit: 10, ...all })
  const { id } = invoice!
  const { lines } = (await readInvoice(database, id))!
  for (const line of lines) {
    const rated = (await ratedCharges(database, id, line.line, { limit: 10, after: null })).find(
      (each) => each.serviceId === serviceId,
    )
    if (rated) return { price: line.price, explanation: rated.explanation, amount: BigInt(rated.amountMillionths) }
  }
  return null
}

test('bandwidth is invoiced by the percentile of all ports, at the step it reaches, and says how it came about', async () => {
  const serviceId = await measured('whole', 31)
  desk.now = at('2026-11-02T00:00')
  const line = await billed(serviceId)
  // 8,928 slots of 0.02 Mbit/s more each: the 8,482nd is 169.64 Mbit/s, in the step of 800.
  assert.equal(Number(line?.price), 800)
  assert.equal(line?.amount, 135_712n * 1_000_000n)
  const { metered } = line!.explanation as { metered: Record<string, unknown> }
  assert.deepEqual(
    [
      metered.bitsPerSecond,
      metered.rank,
      metered.dropped,
      metered.expected,
      metered.present,
      metered.at,
      metered.meters,
    ],
    [
      169_640_000,
      8_482,
      446,
      8_928,
      8_928,
      new Date(at('2026-10-01T00:00') + 8_481 * 300_000).toISOString(),
      ['whole/1', 'whole/2'],
    ],
  )
})

test('another convention, another bill: valid days count whole, and so much of the price', async () => {
  desk.now = at('2026-09-21T00:00')
  const serviceId = await measured('valid', 16)
  desk.now = at('2026-11-02T00:00')
  await setTerms(database, serviceId, { ...USUAL_TERMS, missing: 'valid_days' }, actor)
  const line = await billed(serviceId)
  // 4,608 slots: the 4,378th is 87.56 Mbit/s; 87.56 × 800 × 16/31.
  assert.equal(Number(line?.price), 800)
  assert.equal(line?.amount, BigInt(Math.round((87.56 * 800 * 16 * 1e6) / 31)))
  await setTerms(database, serviceId, { ...USUAL_TERMS, missing: 'zero', rank: 'drop_ceil' }, actor)
  const zeros = await billed(serviceId)
  // 8,928 slots with 4,320 of nothing: 447 dropped, the next is the 4,161st of the 4,608.
  assert.equal(zeros?.amount, BigInt(Math.round(83.22 * 800 * 1e6)))
})
