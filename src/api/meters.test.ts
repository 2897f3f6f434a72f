import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testWorld } from '../../test/support/server.ts'

const { call, keys, platform } = await testWorld()
after(() => platform.capacity.close())
const key = keys.operator.engineer
const MONTH = '2026-10'
const at = (slot: number) => new Date(Date.parse('2026-09-30T15:00:00Z') + slot * 300_000).toISOString()

test('a meter is added, counted in batches that may be sent again, and read by whom it belongs to', async () => {
  const code = 'yokohama-1/edge1/xe-0/0/1'
  const made = await call('POST', '/meters', {
    key,
    body: { code, party: 'customer', linkBitsPerSecond: '10000000000' },
  })
  assert.equal(made.status, 201)
  const { id } = made.body
  assert.equal((await call('POST', '/meters', { key, body: { code, party: 'customer' } })).status, 409)
  assert.equal((await call('POST', '/meters', { key, body: { code: 'nobody' } })).status, 400)

  const samples = Array.from({ length: 100 }, (_, i) => ({ meter: code, at: at(i), in: (i + 1) * 37_500, out: 10 }))
  const body = { source: 'poller-1', number: 1, samples }
  for (const _ of [1, 2]) {
    const taken = await call('POST', '/meters/samples', { key, body })
    assert.deepEqual([taken.status, taken.body], [200, { taken: 100, corrected: 0, refused: [] }])
  }
  const other = await call('POST', '/meters/samples', { key, body: { ...body, samples: samples.slice(1) } })
  assert.equal(other.body.code, 'idempotency-key-reused')

  const customer = keys.customer.finance
  const billed = await call('GET', `/meters/${id}/bandwidth?month=${MONTH}`, { key: customer })
  assert.equal(billed.status, 200)
  // The 95th of 1 to 100 kbit/s, in slots of five minutes.
  assert.deepEqual(
    [billed.body.bitsPerSecond, billed.body.at, billed.body.present, billed.body.expected, billed.body.dropped],
    [95_000, at(94), 100, 8_928, 5],
  )
  const zeros = await call('GET', `/meters/${id}/bandwidth?month=${MONTH}&missing=zero`, { key: customer })
  assert.equal(zeros.body.bitsPerSecond, 0)
  const shown = await call('GET', `/meters/${id}/samples?from=${at(98)}&to=${at(102)}`, { key: customer })
  assert.deepEqual(shown.body.in, [99 * 37_500, 100 * 37_500, null, null])
  assert.equal((await call('GET', `/meters/${id}/bandwidth`, { key: customer })).status, 400)
  assert.equal((await call('GET', `/meters/${id}/bandwidth?month=2026-09`, { key: customer })).status, 404)

  assert.equal((await call('GET', `/meters/${id}`, { key: keys.other.owner })).status, 404)
  assert.equal((await call('POST', '/meters/samples', { key: customer, body })).status, 403)
})

test('counter readings of a restarted device are told apart, and the finding is shown', async () => {
  const made = await call('POST', '/meters', { key, body: { code: 'cpe-7', party: 'customer', gap: 'zero' } })
  const reading = (slot: number, value: number, uptimeMs: number) => ({
    meter: 'cpe-7',
    at: at(slot),
    in: String(value),
    out: '0',
    uptimeMs,
  })
  const body = {
    source: 'poller-1',
    number: 2,
    readings: [reading(0, 1_000, 9_000_000), reading(1, 4_000, 9_300_000), reading(2, 600, 60_000)],
  }
  const taken = await call('POST', '/meters/readings', { key, body })
  assert.deepEqual([taken.status, taken.body], [200, { taken: 2, corrected: 0, refused: [] }])
  const { body: samples } = await call('GET', `/meters/${made.body.id}/samples?from=${at(0)}&to=${at(2)}`, { key })
  assert.deepEqual(samples.in, [3_000, 600])
  const { body: found } = await call('GET', `/meters/${made.body.id}/findings`, { key })
  assert.deepEqual(found.items, [{ kind: 'restart', from: at(1), to: at(2), in: null, out: null }])
})
