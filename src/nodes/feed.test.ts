/** The order of the feed under concurrent writers, and who gets in. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { newId } from '../core/ids.ts'
import { openDatabase } from '../database/connection.ts'
import { SYSTEM } from '../database/events.ts'
import { readPrivateKey, signRequest } from '../feed/signature.ts'
import { NodeAuthenticator } from './authenticate.ts'
import { Grouped } from './grouped.ts'
import { publish } from './publish.ts'
import { actOnNode, createToken, enrolNode } from './store.ts'

const database = await testDatabase()
const id = newId()
await database.query(
  `insert into party (id, kind, code, name, ancestors) values ($1, 'operator', 'op', 'Op', array[$1::uuid])`,
  [id],
)
await database.query(`insert into site (code, name) values ('tokyo-1', 'Tokyo')`)

test('whoever sees a number sees every smaller one, with many writers on two pools', async () => {
  const other = openDatabase(database.url, { connections: 8 })
  let reading = true
  const reader = (async () => {
    let seen = 0
    while (reading) {
      const rows = await database.query<{ sequence: bigint }>(
        'select sequence from feed_entry where sequence > $1 order by sequence',
        [seen],
      )
      for (const { sequence } of rows) {
        assert.equal(Number(sequence), seen + 1, 'a smaller number was committed later')
        seen++
      }
    }
    return seen
  })()
  const write = (pool: typeof database, count: number) =>
    pool.transaction((sql) =>
      publish(
        sql,
        Array.from({ length: count }, () => ({
          nodeKind: 'edge' as const,
          siteIds: null,
          type: 'event' as const,
          event: { kind: 'preload' as const, id: newId(), urls: [] },
        })),
      ),
    )
  await Promise.all(Array.from({ length: 60 }, (_, index) => write(index % 2 ? database : other, 1 + (index % 4))))
  const [head] = await database.query<{ sequence: bigint }>('select sequence from feed_head')
  reading = false
  await reader
  const [all] = await database.query<{ count: bigint }>('select count(*) from feed_entry')
  assert.equal(all!.count, head!.sequence)
  await other.close()
})

const keys = () =>
  generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
const enrol = (token: string, publicKey: Buffer, now = Date.now()) =>
  enrolNode(database, { token, kind: 'edge', publicKey: publicKey.toString('base64url'), software: 't' }, now)
const tokenFor = (name: string, needsApproval = false) =>
  createToken(
    database,
    { kind: 'edge', name, site: 'tokyo-1', addresses: [], needsApproval },
    Date.now() + 1_000,
    SYSTEM,
  )

test('a token is good once, for one key, in its time', async () => {
  const { token } = await tokenFor('edge-1', true)
  const [own, foreign] = [keys(), keys()]
  await assert.rejects(enrol(`${token}x`, own.publicKey), /not known/)
  await assert.rejects(enrol(token, own.publicKey, Date.now() + 60_000), /expired/)
  const node = await enrol(token, own.publicKey)
  assert.equal(node.state, 'pending')
  assert.equal((await enrol(token, own.publicKey, Date.now() + 60_000)).id, node.id)
  await assert.rejects(enrol(token, foreign.publicKey), /was used/)
  const [kept] = await database.query<{ hash: string }>('select token_hash as hash from node_token')
  assert.ok(!kept!.hash.includes(token))
})

test('a request is let in by its own signature, now and once', async () => {
  const { token } = await tokenFor('edge-2')
  const pair = keys()
  const node = await enrol(token, pair.publicKey)
  const authenticator = new NodeAuthenticator(database)
  const request = { method: 'POST', path: '/api/v1/feed/usage', body: '{}' }
  const key = readPrivateKey(pair.privateKey.toString('base64url'))
  const now = Date.now()
  const header = signRequest(request, node.id, key, now)
  assert.equal((await authenticator.authenticate(header, request, now)).id, node.id)
  const refused = (reason: string) => (error: { facts: { reason: string } }) => error.facts.reason === reason
  await assert.rejects(authenticator.authenticate(header, request, now), refused('nonce'))
  const fresh = () => signRequest(request, node.id, key, now)
  await assert.rejects(authenticator.authenticate(fresh(), { ...request, body: '{"a":1}' }, now), refused('signature'))
  await assert.rejects(authenticator.authenticate(fresh(), { ...request, path: '/else' }, now), refused('signature'))
  await assert.rejects(authenticator.authenticate(fresh(), request, now + 61_000), refused('clock'))
  await assert.rejects(authenticator.authenticate(undefined, request, now), refused('unknown'))
  await actOnNode(database, node.id, 'revoke', { version: null, actor: SYSTEM })
  authenticator.forget(node.id)
  await assert.rejects(authenticator.authenticate(fresh(), request, now), refused('revoked'))
})

test('what arrives during a write goes out with the next, and one refusal is one only', async () => {
  const groups: number[][] = []
  const grouped = new Grouped<number, number>(async (items) => {
    groups.push(items)
    await new Promise((resolve) => setImmediate(resolve))
    return items.map((item) => (item === 3 ? new Error('three') : item * 2))
  })
  const first = grouped.add(1)
  await new Promise((resolve) => process.nextTick(resolve))
  const rest = [2, 3, 4].map((item) => grouped.add(item))
  assert.equal(await first, 2)
  const settled = await Promise.allSettled(rest)
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.ok(groups.length <= 2)
})
