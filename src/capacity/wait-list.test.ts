import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted } from '../core/errors.ts'
import { DAY_MS, FOREVER, HOUR_MS } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { auditCapacity } from './audit.ts'
import { openCapacityEngine } from './engine.ts'
import { makeParty, makeSites } from './fixtures.ts'
import { addStep } from './supply.ts'

const database = await testDatabase()
const party = await makeParty(database, 'operator')
const { siteIds, poolIds } = await makeSites(database, { sites: 5, kinds: ['floor'], units: 10 })
let now = Date.now()
const engine = await openCapacityEngine(database, { clock: () => now })
after(() => engine.close())

const claim = (site: number, units: number, more: { wait?: boolean; to?: number; hold?: number } = {}) =>
  engine.claim({
    partyId: party,
    from: now,
    to: more.to ?? FOREVER,
    lines: [{ siteId: siteIds[site]!, kind: 'floor', quantity: units * 1_000, type: 'firm' }],
    mode: more.hold ? 'hold' : 'firm',
    holdUntil: more.hold,
    waitUntil: more.wait ? now + 30 * DAY_MS : undefined,
    actor: SYSTEM,
  })
const stateOf = async (id: string) =>
  (await database.query<{ state: string }>('select state from claim where id = $1', [id]))[0]!.state

test('a waiting claim takes nothing and fills when somebody gives back', async () => {
  const first = await claim(0, 8)
  const waiting = await claim(0, 5, { wait: true })
  assert.equal(waiting.state, 'waiting')
  assert.deepEqual(waiting.lines, [])
  assert.deepEqual(await engine.sweep(), { expired: 0, filled: 0 })
  await engine.release(first.id, now, SYSTEM)
  await engine.sweep()
  assert.equal(await stateOf(waiting.id), 'active')
  const [event] = await database.query<{ after: { lines: { quantity: number }[] } }>(
    `select after from event where subject_id = $1 and type = 'claim.filled'`,
    [waiting.id],
  )
  assert.equal(event!.after.lines[0]!.quantity, 5)
})

test('it fills when a step opens, when an interval ends and when a hold lapses; it gives up on its date', async () => {
  const short = await claim(1, 4, { to: now + HOUR_MS })
  const hold = await claim(1, 3, { hold: now + 2 * HOUR_MS })
  const first = await claim(1, 7, { wait: true })
  const second = await claim(1, 10, { wait: true })
  const third = await claim(1, 100, { wait: true })
  assert.equal(short.state, 'active')
  assert.deepEqual(await engine.sweep(), { expired: 0, filled: 0 })
  now += HOUR_MS
  assert.deepEqual(await engine.sweep(), { expired: 0, filled: 1 })
  assert.equal(await stateOf(first.id), 'active')
  await addStep(
    engine,
    poolIds.get(`${siteIds[1]}/floor`)!,
    { effectiveAt: now + HOUR_MS, quantity: 7_000, state: 'committed' },
    { actor: SYSTEM, partyId: party },
  )
  assert.deepEqual(await engine.sweep(), { expired: 0, filled: 0 })
  now += HOUR_MS
  assert.deepEqual(await engine.sweep(), { expired: 1, filled: 1 })
  assert.equal(await stateOf(hold.id), 'expired')
  assert.equal(await stateOf(second.id), 'active')
  now += 31 * DAY_MS
  assert.deepEqual(await engine.sweep(), { expired: 1, filled: 0 })
  assert.equal(await stateOf(third.id), 'expired')
})

test('small ones pass a large one for a day, then wait behind it', async () => {
  const holders = [await claim(2, 5), await claim(2, 4)]
  const large = await claim(2, 9, { wait: true })
  await engine.sweep()
  const passed = await claim(2, 1)
  assert.equal(passed.state, 'active')
  now += DAY_MS
  await engine.sweep()
  await engine.release(holders[0]!.id, now, SYSTEM)
  // Five are free, but the large one has waited its day.
  await assert.rejects(claim(2, 1), (error: CapacityExhausted) => error.facts.waitingClaim === large.id)
  const behind = await claim(2, 1, { wait: true })
  assert.equal(behind.state, 'waiting')
  assert.deepEqual(await engine.sweep(), { expired: 0, filled: 0 })
  await engine.release(holders[1]!.id, now, SYSTEM)
  await engine.sweep()
  assert.equal(await stateOf(large.id), 'active')
  assert.equal(await stateOf(behind.id), 'waiting')
  await engine.release(passed.id, now, SYSTEM)
  await engine.sweep()
  assert.equal(await stateOf(behind.id), 'active')
})

test('a waiting claim can be withdrawn; a change cannot take what another waits for', async () => {
  const holder = await claim(3, 6)
  const waiting = await claim(3, 10, { wait: true })
  now += DAY_MS
  await engine.sweep()
  const lines = [{ siteId: siteIds[3]!, kind: 'floor', quantity: 8_000, type: 'firm' as const }]
  await assert.rejects(engine.change({ claimId: holder.id, lines, actor: SYSTEM }), CapacityExhausted)
  assert.equal((await engine.release(waiting.id, now, SYSTEM)).state, 'cancelled')
  await engine.sweep()
  await engine.change({ claimId: holder.id, lines, actor: SYSTEM })
  assert.equal((await auditCapacity(database)).ok, true)
})
