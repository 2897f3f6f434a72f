/**
 * An edge whose configuration somebody else keeps: given as text, changed as a whole or not at all, with certificates in the
 * text, challenges answered, purges by what is not configured any more, and usage that is told until it is taken.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { request as secureRequest } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ConfigRefused } from '../../src/edge/config/read.ts'
import { startEdge } from '../../src/edge/main.ts'
import { Account, SLOT_MS } from '../../src/edge/sight/account.ts'
import { Slots, slotOf } from '../../src/edge/sight/slots.ts'
import type { EdgeStore } from '../../src/edge/store/store.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-managed-'))
let asked = 0
const origin = createServer((_, response) => {
  asked++
  response.setHeader('cache-control', 'max-age=100')
  response.end('body')
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))

const property = (name: string) => ({
  name,
  hosts: [name === 'first' ? '127.0.0.1' : `${name}.example`],
  origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
})
const text = (more: Record<string, unknown>) =>
  JSON.stringify({ listen: { http: '127.0.0.1:0', https: '127.0.0.1:0' }, properties: [], ...more })

const edge = await startEdge({ text: text({}), folder }, { admin: false })
const [http] = edge.addresses.http as [string]
after(async () => {
  await edge.close()
  origin.close()
  origin.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

const get = async (path: string) => {
  const response = await fetch(http + path)
  return { status: response.status, body: await response.text() }
}

test('it starts with nothing, and what is applied is in force; what is wrong changes nothing', async () => {
  assert.equal((await get('/a')).status, 421)
  await edge.apply(text({ properties: [property('first')] }))
  assert.deepEqual(await get('/a'), { status: 200, body: 'body' })
  await assert.rejects(edge.apply(text({ properties: [{ name: 'first' }] })), ConfigRefused)
  await assert.rejects(edge.apply(text({ certificates: [{ certificate: '-----BEGIN A', key: '-----BEGIN B' }] })))
  assert.equal((await get('/a')).status, 200)
  assert.deepEqual(edge.addresses.http, [http])
})

test('an answer to a challenge is there for names with and without a property, and none is stored', async () => {
  const challenge = '/.well-known/acme-challenge/abc_DEF-1'
  const challenges = (answer: string) => [{ host: '127.0.0.1', token: 'abc_DEF-1', answer }]
  await edge.apply(text({ properties: [property('first')] }))
  asked = 0
  assert.equal((await get(challenge)).body, 'body')
  assert.equal((await get(challenge)).body, 'body')
  assert.equal(asked, 2)
  await edge.apply(text({ properties: [property('first')], acmeChallenges: challenges('one') }))
  assert.deepEqual(await get(challenge), { status: 200, body: 'one' })
  await edge.apply(text({ acmeChallenges: challenges('two') }))
  assert.deepEqual(await get(challenge), { status: 200, body: 'two' })
  assert.equal((await get('/a')).status, 421)
})

test('certificates may stand in the text', async () => {
  const [certificate, key] = [join(folder, 'c.pem'), join(folder, 'k.pem')]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=first.example', '-addext', 'subjectAltName=DNS:first.example'],
      ...['-keyout', key, '-out', certificate],
    ],
    { stdio: 'ignore' },
  )
  const pem = { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
  await edge.apply(text({ properties: [property('first')], certificates: [pem] }))
  const status = await new Promise((resolve, reject) => {
    const { port } = new URL(edge.addresses.https[0]!)
    secureRequest(
      { host: '127.0.0.1', port, servername: 'first.example', ca: pem.certificate, headers: { host: '127.0.0.1' } },
      (response) => resolve(response.resume().statusCode),
    )
      .on('error', reject)
      .end()
  })
  assert.equal(status, 200)
})

test('listeners come and go with the configuration; one that cannot be had refuses it whole', async () => {
  const listen = (...list: string[]) =>
    JSON.stringify({ listen: { http: ['127.0.0.1:0', ...list] }, properties: [property('first')] })
  await edge.apply(listen('[::1]:0'))
  assert.equal(edge.addresses.http.length, 2)
  const [, added] = edge.addresses.http as [string, string]
  assert.equal((await fetch(added, { redirect: 'manual' })).status, 421)
  const taken = (origin.address() as AddressInfo).port
  await assert.rejects(edge.apply(listen(`127.0.0.1:${taken}`)), /EADDRINUSE/)
  assert.deepEqual(edge.addresses.http, [http, added])
  await edge.apply(listen())
  assert.deepEqual(edge.addresses.http, [http])
  const again = connect(Number(new URL(added).port), '::1')
  assert.match(String(await once(again, 'error')), /ECONNREFUSED/)
})

test('limits, room in memory and the log change in place; rate limits that read the same keep their counts', async () => {
  const config = (more: object) => text({ properties: [property('first')], ...more })
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x-${i}`, '1']))
  const status = async () => (await fetch(`${http}/limited`, { headers: many })).status
  await edge.apply(config({ limits: { headFields: 10 } }))
  assert.equal(await status(), 431)
  await edge.apply(config({ log: { file: 'access.log' } }))
  assert.equal(await status(), 200)
  for (let i = 0; i < 50; i++) await get(`/room/${i}`)
  const before = edge.store.stats()
  await edge.apply(config({ store: { memory: Math.floor(before.memoryBytes / 2) } }))
  assert.ok(edge.store.stats().memoryBytes <= before.memoryBytes / 2)
  assert.ok(edge.store.stats().objects > 10)
  // The log is written behind the answers, and to its end though it is no more.
  while (!/"target":"\/room\/49"/.test(readFileSync(join(folder, 'access.log'), 'utf8'))) await setImmediate()

  const limited = (requests: number) => [{ ...property('first'), rateLimit: { requests, per: '1h', by: 'property' } }]
  await edge.apply(config({ properties: limited(2) }))
  assert.deepEqual([await status(), await status(), await status()], [200, 200, 429])
  await edge.apply(config({ properties: limited(2), acmeChallenges: [] }))
  assert.equal(await status(), 429)
  await edge.apply(config({ properties: limited(3) }))
  assert.equal(await status(), 200)
})

test('what is not configured any more can still be purged', async () => {
  await edge.apply(text({ properties: [property('first')] }))
  await edge.purge({ all: true })
  await (edge.store as EdgeStore).swept()
  for (const path of ['/p/1', '/p/2', '/q?a=1']) await get(path)
  await edge.apply(text({}))
  assert.deepEqual(await edge.purge({ url: 'http://127.0.0.1/q?a=1' }), { objects: 1 })
  assert.deepEqual(await edge.purge({ prefix: '127.0.0.1/p', soft: true }), { objects: 2 })
  assert.deepEqual(await edge.purge({ property: 'first' }), { objects: 2 })
  assert.deepEqual(await edge.purge({ property: 'unheard-of' }), { objects: 0 })
})

test('closed slots are told until they are taken; the open one is told live', async () => {
  await edge.apply(text({ properties: [property('first')] }))
  const counted = async () =>
    (await edge.live()).filter(({ property }) => property === 'first').reduce((sum, { requests }) => sum + requests, 0)
  const before = await counted()
  await get('/counted')
  assert.equal((await counted()) - before, 1)
  assert.deepEqual(await edge.usage.pending(), [])
  // Slots of an edge that ran here before.
  const slots = new Slots(join(folder, 'usage'))
  const { slot } = new Account('first')
  slot.add(200, 'hit', 10, 20)
  const now = slotOf(Date.now())
  for (const from of [now - 2 * SLOT_MS, now - SLOT_MS])
    for (const name of ['first', 'second']) slots.write(from, [[name, slot]], () => [])
  const pending = await edge.usage.pending()
  assert.deepEqual(
    pending.map(({ id, property, from, bytesOut }) => [id, property, from, bytesOut]),
    [
      [`${now - 2 * SLOT_MS}/first`, 'first', now - 2 * SLOT_MS, 20],
      [`${now - 2 * SLOT_MS}/second`, 'second', now - 2 * SLOT_MS, 20],
      [`${now - SLOT_MS}/first`, 'first', now - SLOT_MS, 20],
      [`${now - SLOT_MS}/second`, 'second', now - SLOT_MS, 20],
    ],
  )
  await edge.usage.taken(pending.slice(0, 3).map(({ id }) => id))
  assert.deepEqual(
    (await edge.usage.pending()).map(({ id }) => id),
    [`${now - SLOT_MS}/second`],
  )
  assert.deepEqual(slots.list().includes(now - 2 * SLOT_MS), false)
})
