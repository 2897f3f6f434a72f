import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testWorld } from '../../test/support/server.ts'

const { call, keys, customer, operator } = await testWorld()

test('without a credential everything is 401 problem details', async () => {
  const { status, body, headers } = await call('GET', '/parties/operator')
  assert.equal(status, 401)
  assert.equal(body.code, 'not-signed-in')
  assert.match(String(headers['content-type']), /^application\/problem\+json/)
})

test('a party is found by code and by id, as far as it may be seen', async () => {
  const { status, body, headers } = await call('GET', '/parties/customer', { key: keys.operator['read-only'] })
  assert.equal(status, 200)
  assert.equal(body.id, customer.id)
  assert.equal(headers.etag, '"1"')
  assert.equal((await call('GET', `/parties/${customer.id}`, { key: keys.reseller.owner })).status, 200)
  assert.equal((await call('GET', `/parties/${operator.id}`, { key: keys.customer.owner })).status, 404)
})

test('unknown route 404, wrong method 405 with Allow, bad address 400', async () => {
  assert.equal((await call('GET', '/nothing')).status, 404)
  const { status, headers } = await call('DELETE', '/parties/operator', { key: keys.operator.owner })
  assert.equal(status, 405)
  assert.match(String(headers.allow), /GET/)
  assert.equal((await call('GET', '/parties/%00', { key: keys.operator.owner })).status, 400)
  assert.equal((await call('GET', '/parties/%zz', { key: keys.operator.owner })).status, 400)
})

test('a wrong path value says where, what and what would be right', async () => {
  const { status, body } = await call('GET', '/parties/UPPER', { key: keys.operator.owner })
  assert.equal(status, 400)
  assert.deepEqual(
    body.fields.map((field: { at: string }) => field.at),
    ['/path/party'],
  )
  assert.match(body.fields[0].expected, /aoba-cable/)
})
