import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testWorld } from '../../test/support/server.ts'
import { DAY_MS } from '../core/time.ts'

const { call, keys, platform } = await testWorld()
after(() => platform.capacity.close())
const key = keys.operator.engineer
const iso = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString()

test('an operator furnishes two sites', async () => {
  for (const [code, unit, identified] of [
    ['floor', 'm²', false],
    ['rack-unit', 'U', true],
  ])
    assert.equal(
      (await call('POST', '/resource-kinds', { key, body: { code, name: code, unit, identified } })).status,
      201,
    )
  for (const site of ['yokohama-1', 'saitama-1']) {
    assert.equal((await call('POST', '/sites', { key, body: { code: site, name: site } })).status, 201)
    for (const kind of ['floor', 'rack-unit'])
      assert.equal((await call('POST', '/pools', { key, body: { site, kind, name: kind, quantity: 84 } })).status, 201)
    for (const name of ['A1', 'A2']) {
      const { status } = await call('POST', `/sites/${site}/racks`, {
        key,
        body: { kind: 'rack-unit', name, slots: 42 },
      })
      assert.equal(status, 201)
    }
  }
  const { body } = await call('GET', '/sites', { key })
  assert.deepEqual(
    body.items[0].pools.map((pool: { kind: string; open: number; free: number }) => [pool.kind, pool.open, pool.free]),
    [
      ['floor', 84, 84],
      ['rack-unit', 84, 84],
    ],
  )
  assert.equal((await call('POST', '/sites', { key: keys.customer.owner, body: { code: 'x', name: 'x' } })).status, 403)
})

test('a claim is taken, seen by its party alone, grown, held against and released', async () => {
  const lines = [
    { site: 'yokohama-1', kind: 'floor', quantity: 20.5 },
    { site: 'yokohama-1', kind: 'rack-unit', quantity: 4 },
    { site: 'saitama-1', kind: 'floor', quantity: 20.5, type: 'standby', protects: 'yokohama-1' },
  ]
  const headers = { 'idempotency-key': 'once' }
  const made = await call('POST', '/claims', { key, headers, body: { party: 'customer', lines } })
  assert.equal(made.status, 201)
  assert.deepEqual(made.body.lines[1].assignments, [
    { container: 'A1', containerId: made.body.lines[1].assignments[0].containerId, start: 1, length: 4 },
  ])
  const again = await call('POST', '/claims', { key, headers, body: { party: 'customer', lines } })
  assert.deepEqual(again.body, made.body)
  assert.equal(
    (await call('POST', '/claims', { key, headers, body: { party: 'customer', lines: lines.slice(1) } })).body.code,
    'idempotency-key-reused',
  )
  const { id } = made.body
  const seen = await call('GET', `/claims/${id}`, { key: keys.customer['read-only'] })
  assert.deepEqual(seen.body.lines, made.body.lines)
  assert.equal((await call('GET', `/claims/${id}`, { key: keys.other.owner })).status, 404)
  assert.equal((await call('GET', '/claims', { key: keys.reseller.owner })).body.items.length, 1)
  assert.equal((await call('GET', '/claims', { key: keys.other.owner })).body.items.length, 0)

  const tooMuch = await call('POST', '/claims', { key, body: { lines: [{ ...lines[0], quantity: 63.501 }] } })
  assert.equal(tooMuch.status, 409)
  assert.equal(tooMuch.body.free, 63.5)
  const grown = await call('PATCH', `/claims/${id}`, {
    key,
    headers: { 'if-match': seen.headers.etag as string },
    body: { at: iso(10), lines: [{ ...lines[0], quantity: 84 }, lines[1], lines[2]] },
  })
  assert.equal(grown.status, 200)
  assert.equal((await call('PATCH', `/claims/${id}`, { key, body: {} })).status, 428)
  assert.equal(
    (await call('PATCH', `/claims/${id}`, { key, headers: { 'if-match': '"1"' }, body: { to: iso(99) } })).status,
    412,
  )
  const { body: available } = await call('GET', `/availability?site=yokohama-1&from=${iso(10)}&to=${iso(20)}`, {
    key: keys.customer.owner,
  })
  assert.deepEqual(
    available.pools.map((pool: { kind: string; free: number; largestRun?: number }) => [
      pool.kind,
      pool.free,
      pool.largestRun,
    ]),
    [
      ['floor', 0, undefined],
      ['rack-unit', 80, 42],
    ],
  )
  const racks = await call('GET', '/sites/yokohama-1/racks', { key: keys.customer.owner })
  assert.equal(racks.body.items[0].assignments[0].length, 4)
  assert.equal(
    (await call('GET', '/sites/yokohama-1/racks', { key: keys.other.owner })).body.items[0].assignments.length,
    0,
  )
  assert.equal((await call('POST', `/claims/${id}/release`, { key, body: { at: iso(5) } })).body.state, 'active')
  assert.equal((await call('GET', `/availability?site=yokohama-1&from=${iso(10)}`, { key })).body.pools[0].free, 84)
})

test('charts, forecasts and the audit answer', async () => {
  const { body: site } = await call('GET', '/sites/yokohama-1', { key })
  const pool = site.pools[0].id
  const step = await call('POST', `/pools/${pool}/steps`, {
    key,
    body: {
      effectiveAt: iso(100),
      quantity: 50,
      state: 'planned',
      cost: { amount: '1000', currency: 'JPY' },
      leadTimeDays: 60,
    },
  })
  assert.equal(step.status, 201)
  const skyline = await call('GET', `/pools/${pool}/skyline?from=${iso(-1)}&to=${iso(200)}`, { key })
  assert.deepEqual(
    skyline.body.points.map((point: Record<string, number>) => [point.open, point.planned, point.firm]),
    [
      [84, 0, 0],
      [84, 0, 20.5],
      [84, 0, 0],
      [84, 50, 0],
    ],
  )
  const tooLow = await call('POST', `/pools/${pool}/steps`, {
    key,
    body: { effectiveAt: iso(2), quantity: -80, state: 'committed' },
  })
  assert.equal(tooLow.status, 409)
  assert.equal(tooLow.body.claims.length, 1)
  assert.equal(
    (await call('PATCH', `/pools/${pool}/steps/${step.body.id}`, { key, body: { state: 'committed' } })).status,
    200,
  )
  assert.equal((await call('DELETE', `/pools/${pool}/steps/${step.body.id}`, { key })).status, 204)
  assert.equal((await call('GET', '/forecasts', { key })).body.items.length, 4)
  assert.deepEqual((await call('GET', '/capacity/audit', { key })).body, { ok: true, checkedPools: 4, findings: [] })
})

test('a quota binds a reseller with all its customers', async () => {
  const put = (as: string, party: string, quantity: number) =>
    call('PUT', '/quotas', { key: as, body: { party, kind: 'floor', site: null, quantity } })
  assert.equal((await put(keys.reseller.owner, 'reseller', 100)).status, 403)
  assert.equal((await put(keys.reseller.owner, 'other', 100)).status, 404)
  // The customer has 20.5 firm and as much standby already.
  assert.equal((await put(key, 'reseller', 40)).status, 409)
  assert.equal((await put(key, 'reseller', 50)).body.used, 41)
  const claim = (quantity: number, party: string) =>
    call('POST', '/claims', {
      key,
      body: { party, to: iso(1), lines: [{ site: 'saitama-1', kind: 'floor', quantity }] },
    })
  assert.equal((await claim(9.5, 'customer')).status, 409)
  assert.equal((await claim(9, 'customer')).status, 201)
  assert.equal((await claim(9.5, 'other')).status, 201)
  assert.deepEqual((await call('GET', '/capacity/audit', { key })).body.findings, [])
  assert.equal((await call('DELETE', '/quotas?party=reseller&kind=floor', { key })).status, 204)
  assert.equal((await claim(9.5, 'customer')).status, 201)
})

test('a drill and a failure turn standby into firm, and back', async () => {
  const before = (await call('GET', '/protection', { key })).body
  assert.deepEqual(
    before.sites.map((site: { site: string; protectedClaims: number }) => [site.site, site.protectedClaims]),
    [
      ['yokohama-1', 0],
      ['saitama-1', 1],
    ],
  )
  for (const mode of ['drill', 'real']) {
    const failed = await call('POST', '/sites/yokohama-1/fail-over', { key, body: { mode } })
    assert.equal(failed.status, 201)
    assert.equal(failed.body.activated, 1)
    assert.equal((await call('POST', '/sites/yokohama-1/fail-over', { key, body: { mode } })).status, 409)
    assert.equal((await call('GET', '/capacity/audit', { key })).body.ok, true)
    assert.equal((await call('POST', `/fail-overs/${failed.body.id}/end`, { key, body: {} })).body.state, 'ended')
  }
  assert.deepEqual((await call('GET', '/protection', { key })).body.sites, before.sites)
  assert.equal((await call('GET', '/fail-overs', { key })).body.items.length, 2)
})
