import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { testDatabase } from '../../test/support/database.ts'
import { testProvider } from '../../test/support/provider.ts'
import { openCapacityEngine } from '../capacity/engine.ts'
import { SYSTEM } from '../database/events.ts'
import { FAMILIES } from '../families.ts'
import { violations } from '../replay/store.ts'
import { placeOrder } from './place.ts'

const CLIENT = fileURLToPath(new URL('../../test/support/order-client.ts', import.meta.url))
const SEED = Number(process.env.IZUMI_TEST_SEED ?? Date.now() % 100_000)
const ROUNDS = 4

const database = await testDatabase()
const { direct } = await testProvider(database, { units: 100_000 })

/** Lets a client order from a key on and kills it after so many answers. */
async function cutOff(first: number, answers: number, acknowledged: Map<string, string>): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CLIENT, direct.code, String(first)], {
    env: { ...process.env, IZUMI_ORDERS_DATABASE: database.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [key, id] = line.split(' ') as [string, string]
    acknowledged.set(key, id)
    if (++count === answers) child.kill('SIGKILL')
  }
}

test(`orders cut off by kill -9 are whole or not there, and a repeat gives the first answer (seed ${SEED})`, async () => {
  const acknowledged = new Map<string, string>()
  let state = SEED
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return state % below
  }
  for (let round = 0; round < ROUNDS; round++) await cutOff(round * 1_000, 1 + random(60), acknowledged)
  assert.ok(acknowledged.size >= ROUNDS)

  const desk = { database, families: FAMILIES, clock: Date.now, capacity: await openCapacityEngine(database) }
  const keys = await database.query<{ key: string; id: string }>(
    'select idempotency_key as key, id from product_order where idempotency_key is not null',
  )
  const kept = new Map(keys.map(({ key, id }) => [key, id]))
  for (const [key, id] of acknowledged) assert.equal(kept.get(key), id, `${key} was acknowledged`)
  // Every key again, those that were cut off without an answer among them.
  for (const [key, id] of kept) {
    const { order, repeated } = await placeOrder(desk, {
      party: direct,
      offering: 'rack',
      config: { rackUnits: 1, power: 0.1 },
      idempotencyKey: key,
      fingerprint: key,
      actor: SYSTEM,
    })
    assert.deepEqual([order.id, repeated], [id, true])
  }
  assert.deepEqual(await violations(database, 0), [])
  const [counts] = await database.query<{ orders: number; services: number; claims: number }>(
    `select (select count(*)::int from product_order) as orders, (select count(*)::int from service) as services,
       (select count(*)::int from claim) as claims`,
  )
  assert.deepEqual(counts, { orders: kept.size, services: kept.size, claims: kept.size })
})
