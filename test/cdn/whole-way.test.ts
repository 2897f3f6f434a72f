/** The whole way of a property, with two control-plane processes and five edges: order, live, served, purged, changed. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { runBilling } from '../../src/billing/run.ts'
import { SYSTEM } from '../../src/database/events.ts'
import { ask } from '../dns/support/ask.ts'
import { startOrigin, startWorld, until } from './support/world.ts'

const SITES = ['tokyo-1', 'osaka-1', 'nagoya-1']
const world = await startWorld({ planes: 2, sites: SITES })
after(() => world.close())
const origin = await startOrigin()
const [routers] = await Promise.all([
  Promise.all([world.addDns('dns-1', SITES[0]!), world.addDns('dns-2', SITES[1]!)]),
  ...Array.from({ length: 5 }, (_, index) =>
    world.addEdge(`edge-${index + 1}`, SITES[index % 3]!, {}, [`198.51.100.${index + 1}`]),
  ),
])

await world.ok('POST', '/parties', { kind: 'customer', code: 'shop', name: 'Shop' })
await world.ok('POST', '/offerings/cdn/prices', {
  currency: 'JPY',
  effectiveFrom: '2026-01-01T00:00:00Z',
  charges: [
    { kind: 'monthly', name: 'Basic', price: '1000' },
    { kind: 'unit', name: 'Traffic', resource: 'edge-traffic', per: 'month', price: '5' },
    { kind: 'unit', name: 'Requests', resource: 'edge-requests', per: 'month', price: '10' },
  ],
})
const host = 'www.shop.example'
const property = await world.order('shop', { name: 'shop', hosts: [host], origin: origin.url })

const everywhere = async (path: string) =>
  Promise.all(world.edges.map(async (edge) => (await edge.get(host, path)).body))

test('an order is live on every edge, and each serves it from its store', async () => {
  assert.equal(property.of, 5)
  assert.deepEqual(await everywhere('/a'), Array(5).fill('first /a'))
  origin.body = 'second'
  assert.deepEqual(await everywhere('/a'), Array(5).fill('first /a'))
})

for (const [what, body] of [
  ['an address', { url: `https://${host}/a` }],
  ['a tag', { tag: 'all', property: property.id }],
  ['a prefix', { prefix: `${host}/` }],
  ['all of it', { all: true, property: property.id }],
] as const)
  test(`a purge of ${what} is confirmed by every edge and nothing old is served after`, async () => {
    await everywhere('/a')
    origin.body = `after ${what}`
    const plane = Math.round(Math.random())
    const purge = await world.ok('POST', '/cdn/purges', { ...body, waitSeconds: 30 }, { plane })
    assert.equal(purge.complete, true, JSON.stringify(purge))
    assert.equal(purge.of, 5)
    assert.deepEqual(await everywhere('/a'), Array(5).fill(`after ${what} /a`))
    const again = await world.ok('GET', `/cdn/purges/${purge.id}`, undefined, { plane: 1 - plane })
    assert.deepEqual(again.confirmations, purge.confirmations)
  })

test('a purge under the same key is the same purge', async () => {
  const headers = { 'idempotency-key': 'once' }
  const body = { url: `https://${host}/once` }
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, index) => world.call('POST', '/cdn/purges', body, { plane: index % 2, headers })),
  )
  assert.equal(
    new Set(answers.map((answer) => answer.body.id)).size,
    1,
    JSON.stringify(answers.map(({ body }) => body)),
  )
  const other = await world.call('POST', '/cdn/purges', { url: `https://${host}/other` }, { headers })
  assert.equal(other.status, 409)
})

test('versions are drafted, compared, activated everywhere and rolled back', async () => {
  const path = `/cdn/properties/${property.id}`
  const config = {
    name: 'shop',
    hosts: [host],
    origin: origin.url,
    rules: [{ when: { path: '/old' }, redirect: { to: '/new' } }],
  }
  const wrong = await world.call('POST', `${path}/versions`, { config: { ...config, orgin: 'x' } })
  assert.equal(wrong.status, 400)
  assert.match(wrong.body.detail, /there is no setting orgin/)
  const draft = await world.ok('POST', `${path}/versions`, { config, note: 'redirect' })
  assert.equal(draft.state, 'draft')
  const shown = await world.ok('GET', `${path}/versions/${draft.number}`)
  assert.deepEqual(shown.differences, [{ at: 'rules', after: config.rules }])
  const active = await world.ok('POST', `${path}/versions/${draft.number}/activate`, { waitSeconds: 30 }, { plane: 1 })
  assert.equal(active.complete, true)
  for (const edge of world.edges) assert.equal((await edge.get(host, '/old')).status, 302)
  const back = await world.ok('POST', `${path}/roll-back`, { waitSeconds: 30 })
  assert.deepEqual([back.complete, back.activeVersion], [true, 1])
  for (const edge of world.edges) assert.equal((await edge.get(host, '/old')).status, 200)
})

test('a property of one site is served there and nowhere else', async () => {
  const only = 'only.shop.example'
  const there = await world.order('shop', { name: 'only', hosts: [only], origin: origin.url }, ['tokyo-1'])
  assert.deepEqual(
    there.confirmations.map(({ site }: { site: string }) => site),
    ['tokyo-1', 'tokyo-1'],
  )
  const statuses = await Promise.all(world.edges.map(async (edge) => (await edge.get(only, '/')).status))
  assert.deepEqual(statuses, [200, 421, 421, 200, 421])
  await world.ok('POST', `/services/${there.id}/terminate`)
  await until(async () => (await world.edges[0]!.get(only, '/')).status === 421)
})

test('visitors are sent to edges by name, and not to one that drains', async () => {
  await world.ok('PUT', '/cdn/routing', {
    deliveryZone: 'cdn.example.net',
    state: {
      zones: [{ name: 'cdn.example.net', records: [{ name: '@', type: 'NS', data: ['ns1.cdn.example.net'] }] }],
      maps: [{ name: 'world', prefixes: { '203.0.113.0/24': ['osaka-1', 'tokyo-1'] }, default: SITES }],
      settings: { health: { kind: 'none' }, answers: 8 },
    },
  })
  const { target } = await world.ok('GET', `/cdn/properties/${property.id}`)
  const answers = (subnet: string) =>
    Promise.all(
      routers.map(
        async ({ address }) => (await ask(address, target, { subnet }).catch(() => null))?.addresses.sort() ?? [],
      ),
    )
  const until = async (subnet: string, wanted: string[]) => {
    for (;;) {
      const all = await answers(subnet)
      if (all.every((each) => each.join() === wanted.join())) return
      await pause(20)
    }
  }
  await until('198.18.0.0/24', ['198.51.100.1', '198.51.100.4'])
  await until('203.0.113.0/24', ['198.51.100.2', '198.51.100.5'])
  const { items } = await world.ok('GET', '/nodes?q=edge-5')
  await world.ok('POST', `/nodes/${items[0].id}/drain`)
  await until('203.0.113.0/24', ['198.51.100.2'])
  await world.ok('POST', `/nodes/${items[0].id}/resume`)
})

test('every byte is counted once, and stands on the invoice', async () => {
  const [edge] = world.edges
  let received = 0
  origin.body = 'x'.repeat(3_000_000)
  for (let request = 0; request < 5; request++) received += (await edge!.get(host, '/big')).body.length
  const before = await world.ok('GET', `/cdn/properties/${property.id}/usage`)
  // Its slot is over while the edge is off: five minutes in no time.
  await edge!.stop()
  const folder = join(edge!.data, 'edge', 'usage')
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.jsonl'))) {
    const from = name.slice(0, -'.jsonl'.length)
    const earlier = String(Number(from) - 300_000)
    const text = readFileSync(join(folder, name), 'utf8').replaceAll(from, earlier)
    rmSync(join(folder, name))
    writeFileSync(join(folder, `${earlier}.jsonl`), text)
  }
  await edge!.start()
  for (;;) {
    await pause(25)
    const usage = await world.ok('GET', `/cdn/properties/${property.id}/usage`)
    const counted = usage.bytesOut - before.bytesOut
    if (counted < received) continue
    assert.ok(counted < received + 100_000, `${counted} of ${received}`)
    const [batches] = await world.database.query<{ count: number }>('select count(*)::int as count from usage_batch')
    assert.ok(batches!.count >= 1)
    const operator = await world.ok('GET', '/me')
    const month = new Intl.DateTimeFormat('sv-SE', { timeZone: operator.operator.timeZone })
      .format(Date.now())
      .slice(0, 7)
    await runBilling(world.database, operator.operator.id, month, operator.operator.timeZone, SYSTEM)
    // Another edge's slot may have ended this very moment.
    const after = await world.ok('GET', `/cdn/properties/${property.id}/usage`)
    if (after.bytesOut !== usage.bytesOut) continue
    const [invoice] = (await world.ok('GET', `/invoices?party=shop&state=draft`)).items
    const { lines } = await world.ok('GET', `/invoices/${invoice.id}`)
    const traffic = lines.find(({ description }: { description: string }) => description === 'CDN: Traffic')
    assert.equal(traffic.quantity, String(Math.round(usage.bytesOut / 1e6) / 1e3), JSON.stringify(traffic))
    break
  }
})

test('a host of another property is refused, and said', async () => {
  await world.ok('POST', '/parties', { kind: 'customer', code: 'thief', name: 'Thief' })
  const order = await world.ok('POST', '/orders', {
    party: 'thief',
    offering: 'cdn',
    config: {
      property: { name: 'mine', hosts: [host], origin: origin.url },
      sites: 'everywhere',
      reserved: [{ site: 'tokyo-1', bandwidth: 1 }],
    },
  })
  for (;;) {
    await pause(25)
    const { body } = await world.call('GET', `/cdn/properties/${order.serviceId}`)
    if (body.state !== 'refused') continue
    assert.match(body.problem, /served by another property/)
    break
  }
})
