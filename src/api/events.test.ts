import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { testWorld } from '../../test/support/server.ts'
import { DAY_MS } from '../core/time.ts'
import { checkWebhookUrl, deliverDue, isPublicAddress, signature } from '../parties/deliver.ts'
import { enqueueDeliveries, wants } from '../parties/webhooks.ts'

const { call, keys, server, database, customer } = await testWorld({ privateWebhooks: true })
const address = await server.listen({ port: 0, host: '127.0.0.1' })

/** Reads a stream until `count` events have come; returns them as `[id, type, data]`. */
async function readStream(key: string, count: number, headers: Record<string, string> = {}, onOpen = async () => {}) {
  const abort = new AbortController()
  const response = await fetch(`${address}/api/v1/events/stream`, {
    headers: { authorization: `Bearer ${key}`, ...headers },
    signal: abort.signal,
  })
  assert.equal(response.status, 200)
  await onOpen()
  const events: { id: string; type: string; data: { subjectId: string; partyId: string } }[] = []
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = Object.fromEntries(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => line.split(/: (.*)/s).slice(0, 2)),
      )
      text = text.slice(end + 2)
      if (block.id) events.push({ id: block.id, type: block.event, data: JSON.parse(block.data) })
    }
    if (events.length >= count) break
  }
  abort.abort()
  return events
}

const addParty = (key: string, name: string) =>
  call('POST', '/parties', { key, body: { kind: 'customer', name } }).then(({ body }) => body)

test('a stream sends what happens, to those who may see it, and goes on where a reader left off', async () => {
  const seen = await readStream(keys.reseller.owner, 2, {}, async () => {
    await addParty(keys.operator.owner, 'Not for the reseller')
    await addParty(keys.reseller.owner, 'One')
    await addParty(keys.reseller.owner, 'Two')
  })
  assert.deepEqual(
    seen.map(({ type }) => type),
    ['party.created', 'party.created'],
  )
  const three = await addParty(keys.reseller.owner, 'Three')
  const rest = await readStream(keys.reseller.owner, 2, { 'last-event-id': seen[0]!.id })
  assert.equal(rest[0]!.id, seen[1]!.id)
  assert.equal(rest[1]!.data.subjectId, three.id)
  const bad = await call('GET', '/events/stream', { key: keys.reseller.owner, headers: { 'last-event-id': 'x' } })
  assert.equal(bad.status, 400)
})

test('the record is filtered by type, subject and time, page by page', async () => {
  const made = await addParty(keys.operator.owner, 'Recorded')
  const { body } = await call('GET', `/events?subject=${made.id}&type=party.*`, { key: keys.operator.owner })
  assert.equal(body.items[0].after.name, 'Recorded')
  assert.equal(body.items[0].actorKind, 'api-key')
  const first = await call('GET', '/events?limit=1', { key: keys.operator.owner })
  const second = await call('GET', `/events?limit=1&cursor=${first.body.next}`, { key: keys.operator.owner })
  assert.ok(Number(second.body.items[0].id) < Number(first.body.items[0].id))
  const none = await call('GET', '/events', { key: keys.customer.owner })
  assert.ok(none.body.items.every((event: { partyId: string }) => event.partyId === customer.id))
  const reversed = await call('GET', '/events?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z', {
    key: keys.operator.owner,
  })
  assert.equal(reversed.status, 400)
})

// A receiver that answers as told and keeps what it got.
let answer = 200
const received: { headers: IncomingHttpHeaders; body: string }[] = []
const receiver = createServer((request, response) => {
  let body = ''
  request.on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    received.push({ headers: request.headers, body })
    response.writeHead(answer).end()
  })
})
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
after(() => receiver.close())
const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`

/** Sends what is due, once all that was written can be read in order: other tests' transactions may still be running. */
const pump = async (now = Date.now()) => {
  for (;;) {
    const [row] = await database.query<{ settled: boolean }>(
      'select coalesce(max(transaction) < pg_snapshot_xmin(pg_current_snapshot()), true) as settled from event',
    )
    if (row!.settled) break
  }
  await enqueueDeliveries(database, now)
  return deliverDue(database, { now, privateToo: true })
}

test('a webhook gets its events, signed; failures are tried again, and end in disabling', async () => {
  const made = await call('POST', '/webhooks', { key: keys.operator.owner, body: { url, types: ['party.*'] } })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const { id, secret } = made.body
  const tested = await call('POST', `/webhooks/${id}/test`, { key: keys.operator.owner })
  assert.equal(tested.body.state, 'delivered', JSON.stringify(tested.body))
  assert.equal(received.length, 1)

  const party = await addParty(keys.operator.owner, 'Told')
  await pump()
  const told = received.at(-1)!
  const body = JSON.parse(told.body)
  assert.equal(body.type, 'party.created')
  assert.equal(body.data.subject.id, party.id)
  const signed = `${told.headers['webhook-id']}.${told.headers['webhook-timestamp']}.${told.body}`
  const expected = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64'))
    .update(signed)
    .digest('base64')
  assert.equal(told.headers['webhook-signature'], `v1,${expected}`)
  const count = received.length
  assert.equal(await pump(), 0)
  assert.equal(received.length, count)

  answer = 500
  await addParty(keys.operator.owner, 'Fails')
  assert.equal(await pump(), 1)
  let { body: list } = await call('GET', `/webhooks/${id}/deliveries`, { key: keys.operator.owner })
  assert.equal(list.items[0].state, 'pending')
  assert.equal(list.items[0].status, 500)
  assert.equal((await call('GET', `/webhooks/${id}`, { key: keys.operator.owner })).body.state, 'failing')
  answer = 204
  assert.equal(await pump(Date.now() + 60_000), 1)
  ;({ body: list } = await call('GET', `/webhooks/${id}/deliveries`, { key: keys.operator.owner }))
  assert.equal(list.items[0].state, 'delivered')
  assert.equal(list.items[0].attempts, 2)
  assert.equal((await call('GET', `/webhooks/${id}`, { key: keys.operator.owner })).body.state, 'active')

  answer = 500
  await addParty(keys.operator.owner, 'Fails for days')
  await pump()
  await pump(Date.now() + 4 * DAY_MS)
  assert.equal((await call('GET', `/webhooks/${id}`, { key: keys.operator.owner })).body.state, 'disabled')
  const again = await call('PATCH', `/webhooks/${id}`, {
    key: keys.operator.owner,
    headers: { 'if-match': '*' },
    body: { state: 'active' },
  })
  assert.equal(again.body.state, 'active')
  assert.equal((await call('DELETE', `/webhooks/${id}`, { key: keys.operator.owner })).status, 204)
})

test('a webhook hears of nothing that its party may not see', async () => {
  answer = 200
  const made = await call('POST', '/webhooks', { key: keys.customer.owner, body: { url, types: ['*'] } })
  await pump()
  const before = received.length
  await addParty(keys.operator.owner, 'Elsewhere')
  await pump()
  assert.equal(received.length, before)
  assert.equal((await call('GET', `/webhooks/${made.body.id}`, { key: keys.other.owner })).status, 404)
})

test('addresses inside the network are refused, by number and by name', () => {
  for (const host of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '[::1]',
    '[fd00::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
    '2130706433',
  ])
    assert.throws(() => checkWebhookUrl(`https://${host}/x`, false), /open Internet/, host)
  assert.throws(() => checkWebhookUrl('http://example.com/x', false), /https/)
  assert.throws(() => checkWebhookUrl('https://user:pass@example.com/', false), /name or password/)
  checkWebhookUrl('https://example.com/hook', false)
  assert.equal(isPublicAddress('192.168.0.1'), false)
  assert.equal(isPublicAddress('2606:4700::1111'), true)
})

test('the signature is the one of Standard Webhooks', () => {
  // The example of the specification's reference libraries.
  assert.equal(
    signature(
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1_614_265_330,
      '{"test": 2432232314}',
    ),
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  )
  assert.ok(
    wants(['order.*'], 'order.completed') && wants(['*'], 'x.y') && !wants(['order.completed'], 'order.waiting'),
  )
})
