import assert from 'node:assert/strict'
import { test } from 'node:test'
import { insertSites } from '../../test/support/provider.ts'
import { testWorld } from '../../test/support/server.ts'
import { DAY_MS } from '../core/time.ts'

let now = Date.parse('2026-10-20T00:00:00Z')
const world = await testWorld({ clock: () => now })
const { call, keys, customer, reseller } = world
await insertSites(world.database, 100)

const power = (price: string) => ({
  kind: 'unit',
  name: 'Power',
  nameJa: '電力',
  resource: 'power',
  per: 'hour',
  price,
})
const post = (path: string, key: string, body?: unknown, headers?: Record<string, string>) =>
  call('POST', path, { key, body, headers })

test('an offering is made by the operator and priced by each seller', async () => {
  const offering = { code: 'rack', family: 'colocation', name: 'Rack space', defaults: { site: 'yokohama-1' } }
  assert.equal((await post('/offerings', keys.reseller.owner, offering)).status, 403)
  const made = await post('/offerings', keys.operator.owner, offering)
  assert.equal(made.status, 201)
  assert.equal(made.body.configSchema.properties.site.title, 'Site')
  assert.equal((await post('/offerings', keys.operator.owner, { ...offering, code: 'x', family: 'none' })).status, 404)
  const from = { effectiveFrom: '2026-01-01T00:00:00Z' }
  const wholesale = { ...from, charges: [{ kind: 'monthly', name: 'Basic fee', price: '3100' }, power('10')] }
  const retail = {
    ...from,
    minimumTermMonths: 3,
    charges: [{ kind: 'monthly', name: 'Basic fee', price: '6200' }, power('20')],
  }
  assert.equal((await post('/offerings/rack/prices', keys.operator.finance, wholesale)).status, 201)
  const own = await post('/offerings/rack/prices', keys.reseller.owner, retail)
  assert.deepEqual([own.status, own.body.planVersion, own.body.seller], [201, 1, reseller.id])
  const wrong = await post('/offerings/rack/prices', keys.operator.owner, {
    charges: [{ ...power('1'), resource: 'nothing' }],
  })
  assert.deepEqual([wrong.status, wrong.body.fields[0].at], [400, '/charges/0/resource'])
  const seen = await call('GET', '/offerings', { key: keys.customer['read-only'] })
  assert.deepEqual(
    seen.body.items[0].prices.map((plan: { seller: string }) => plan.seller),
    [reseller.id],
  )
})

test('an estimate says the price and what is short', async () => {
  const choice = { offering: 'rack', config: { power: 2 } }
  const { status, body } = await post('/estimates', keys.customer['read-only'], choice)
  assert.equal(status, 200)
  assert.deepEqual([body.monthly.amount, body.available, body.shortOf], [String(6_200 + 2 * 20 * 31 * 24), true, []])
  const much = await post('/estimates', keys.operator.owner, {
    ...choice,
    party: 'customer',
    config: { power: 200, seats: 5 },
  })
  assert.deepEqual(
    much.body.shortOf.map((short: { kind: string; free: number }) => [short.kind, short.free]),
    [['power', 100]],
  )
  const wrong = await post('/estimates', keys.customer.owner, { ...choice, config: { power: 'much', colour: 1 } })
  assert.equal(wrong.status, 400)
  assert.ok(wrong.body.fields.some((field: { at: string }) => field.at === '/config/power'))
})

test('a customer orders, grows, suspends and ends; nobody else may', async () => {
  const body = { offering: 'rack', config: { power: 2 }, name: 'web' }
  assert.equal((await post('/orders', keys.customer['read-only'], body)).status, 403)
  assert.equal((await post('/orders', keys.other.owner, { ...body, party: customer.id })).status, 404)
  const key = { 'idempotency-key': 'order-1' }
  const first = await post('/orders', keys.customer.engineer, body, key)
  assert.deepEqual([first.status, first.body.state, first.body.partyId], [201, 'completed', customer.id])
  const again = await post('/orders', keys.customer.engineer, body, key)
  assert.deepEqual([again.body.id, again.headers['idempotency-replayed']], [first.body.id, 'true'])
  assert.equal((await post('/orders', keys.customer.owner, { ...body, name: 'other' }, key)).status, 409)

  const path = `/services/${first.body.serviceId}`
  assert.equal((await call('GET', path, { key: keys.other.owner })).status, 404)
  const service = await call('GET', path, { key: keys.reseller['read-only'] })
  assert.deepEqual([service.body.claim.lines[0].quantity, service.body.workOrders.length], [2, 1])
  assert.ok(service.body.minimumTermUntil)
  const grow = { config: { power: 3 } }
  assert.equal((await call('PATCH', path, { key: keys.customer.owner, body: grow })).status, 428)
  const etag = String(service.headers.etag)
  const grown = await call('PATCH', path, { key: keys.customer.owner, body: grow, headers: { 'if-match': etag } })
  assert.deepEqual([grown.status, grown.body.config.power], [200, 3])
  const stale = await call('PATCH', path, { key: keys.customer.owner, body: grow, headers: { 'if-match': etag } })
  assert.equal(stale.status, 412)
  const exhausted = await call('PATCH', path, {
    key: keys.customer.owner,
    body: { config: { power: 900 } },
    headers: { 'if-match': '*' },
  })
  assert.deepEqual([exhausted.status, exhausted.body.code], [409, 'capacity-exhausted'])
  assert.equal((await post(`${path}/suspend`, keys.customer.owner)).body.state, 'suspended')
  assert.equal((await post(`${path}/resume`, keys.customer.owner, {})).body.state, 'active')
  now += DAY_MS
  assert.equal((await post(`${path}/terminate`, keys.customer.owner)).body.state, 'terminated')
  const contract = await call('GET', `/contracts/${first.body.contractId}`, { key: keys.customer.owner })
  assert.deepEqual([contract.body.state, contract.body.sellerName], ['ended', 'reseller (test)'])
  assert.deepEqual(
    contract.body.amendments.map((amendment: { kind: string }) => amendment.kind),
    ['add', 'change', 'suspend', 'resume', 'terminate'],
  )
})

test('a quote is made, accepted and shown', async () => {
  const quote = await post('/quotes', keys.customer.owner, { offering: 'rack', config: { ports: 4 }, validForHours: 2 })
  assert.deepEqual([quote.status, quote.body.state, quote.body.estimate.monthly.amount], [201, 'open', '6200'])
  const order = await post(`/quotes/${quote.body.id}/accept`, keys.customer.owner)
  assert.deepEqual([order.status, order.body.quoteId], [201, quote.body.id])
  const list = await call('GET', '/quotes?state=accepted', { key: keys.reseller.owner })
  assert.equal(list.body.items.length, 1)
  const orders = await call('GET', '/orders?limit=1', { key: keys.customer.owner })
  assert.ok(orders.body.next)
  const second = await call('GET', `/orders?limit=1&cursor=${orders.body.next}`, { key: keys.customer.owner })
  assert.deepEqual([second.body.items.length, second.body.next], [1, null])
})

test('what is wrong is said', async () => {
  const order = (body: unknown) => post('/orders', keys.customer.owner, body)
  const body = { offering: 'rack', config: { power: 1 } }
  assert.equal((await order({ ...body, from: '2020-01-01T00:00:00Z' })).status, 400)
  assert.equal((await order({ ...body, to: '2020-01-01T00:00:00Z' })).status, 400)
  assert.equal((await order({ ...body, config: { site: 'nowhere', power: 1 } })).body.fields[0].at, '/config/site')
  assert.equal((await order({ ...body, config: {} })).status, 400)
  assert.equal((await order({ ...body, offering: 'nothing' })).status, 404)
  assert.equal((await order({ ...body, contract: '01938f5e-7c3a-7d4e-8f21-9a0b1c2d3e4f' })).status, 404)
  assert.equal((await post('/orders', keys.operator.owner, body)).status, 409)
})

test('the month is invoiced at both levels, issued, shown as a document and posted', async () => {
  now = Date.parse('2026-11-02T00:00:00Z')
  assert.equal((await post('/billing-runs', keys.customer.owner, { period: '2026-10' })).status, 403)
  const run = await post('/billing-runs', keys.operator.finance, { period: '2026-10', issue: true })
  assert.deepEqual([run.status, run.body.invoices, run.body.issued], [201, 1, 1])
  await post('/billing-runs', keys.reseller.owner, { period: '2026-10' })
  const mine = async (key: string) =>
    (await call('GET', '/invoices', { key })).body.items as { id: string; state: string; sellerId: string }[]
  assert.equal((await mine(keys.customer.owner)).length, 0)
  const draft = (await mine(keys.reseller.owner)).find(({ sellerId }) => sellerId === reseller.id)!
  assert.equal((await post(`/invoices/${draft.id}/issue`, keys.operator.owner)).status, 403)
  const issued = await post(`/invoices/${draft.id}/issue`, keys.reseller.finance)
  assert.deepEqual([issued.status, issued.body.number, issued.body.seller.name], [200, 'I00000001', 'reseller (test)'])
  const [seen] = await mine(keys.customer.owner)
  const invoice = await call('GET', `/invoices/${seen!.id}`, { key: keys.customer.owner })
  const line = invoice.body.lines.find((one: { charge: string }) => one.charge === 'unit')
  // Three kVA for a day, after an instant of two.
  assert.deepEqual([line.quantity, line.unit, line.price, line.amount.amount], ['72', 'kVA-hour', '20', '1440'])
  const opened = await call('GET', `/invoices/${seen!.id}/lines/${line.line}`, { key: keys.customer.owner })
  assert.equal(opened.body.items[0].amount, '1440000000'.slice(0, 4))
  const pdf = await call('GET', `/invoices/${seen!.id}/pdf?locale=ja`, { key: keys.customer.owner })
  assert.deepEqual([pdf.status, pdf.headers['content-type']], [200, 'application/pdf'])
  const accounts = await call('GET', '/accounts', { key: keys.reseller.owner })
  const sum = accounts.body.items.reduce(
    (total: bigint, one: { balance: { amount: string } }) => total + BigInt(one.balance.amount),
    0n,
  )
  assert.deepEqual([accounts.body.items.length > 2, sum], [true, 0n])
  assert.equal((await call('GET', '/journal', { key: keys.reseller.owner })).body.items.length, 1)
  const results = await call('GET', '/results?from=2026Q3&to=2026Q3', { key: keys.operator.owner })
  assert.equal(results.status, 200)
  assert.deepEqual([results.body.quarters[0].quarter, results.body.quarters[0].newContracts], ['FY2026Q3', 2])
  const voided = await post(`/invoices/${draft.id}/void`, keys.reseller.owner)
  assert.deepEqual([voided.status, voided.body.kind], [200, 'credit-note'])
  const usage = await call('GET', '/usage', { key: keys.customer.owner })
  assert.ok(
    usage.body.items.some((one: { kind: string; unitHours: number }) => one.kind === 'power' && one.unitHours > 0),
  )
})
