import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted, WrongState } from '../core/errors.ts'
import { DAY_MS, FOREVER } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { auditCapacity } from './audit.ts'
import { openCapacityEngine } from './engine.ts'
import { endFailOver, failOver } from './fail-over.ts'
import { makeContainers, makeParty, makeSites } from './fixtures.ts'
import type { ClaimLine } from './model.ts'
import { unprotectedClaims } from './protection.ts'
import { changeSite } from './supply.ts'

const database = await testDatabase()
const party = await makeParty(database, 'operator')
const by = { actor: SYSTEM, partyId: party }
const engine = await openCapacityEngine(database)
after(() => engine.close())
const NOW = Date.now()

/** Sites of their own for each test: a, b and c are protected, the last one holds the standby. */
let worlds = 0
async function world(units: number, kinds = ['floor']) {
  const { siteIds, poolIds } = await makeSites(database, { sites: 4, kinds, units, prefix: `w${worlds++}-` })
  const [a, b, c, home] = siteIds as [number, number, number, number]
  const claim = (lines: ClaimLine[], from = NOW) =>
    engine.claim({ partyId: party, from, to: FOREVER, lines, mode: 'firm', actor: SYSTEM })
  const line = (siteId: number, units: number, protectsSiteId: number | null = null, kind = kinds[0]!): ClaimLine => ({
    siteId,
    kind,
    quantity: units * 1_000,
    type: protectsSiteId === null ? 'firm' : 'standby',
    protectsSiteId,
  })
  const free = async () => (await engine.availability(home, Date.now(), FOREVER)).map((pool) => pool.free / 1_000)
  return { a, b, c, home, poolIds, claim, line, free }
}
const stateOf = async () =>
  database.query(
    `select claim_id, part, type, quantity, starts_at, ends_at, protects_site_id, unprotected_at is null as honoured
     from reservation order by claim_id, part`,
  )
const audited = async () => assert.deepEqual((await auditCapacity(database)).findings, [])

test('a drill of a site with 1,000 protected claims is atomic, and fail-back restores exactly what was', async () => {
  const { a, b, c, home, claim, line, free } = await world(4_000)
  await Promise.all([
    ...Array.from({ length: 1_000 }, () => claim([line(a, 1), line(home, 1, a)])),
    ...Array.from({ length: 100 }, () => claim([line(b, 1), line(home, 1, b)])),
    claim([line(home, 500)]),
  ])
  assert.deepEqual(await free(), [4_000 - 500 - 1_000])
  const before = await stateOf()
  for (const mode of ['drill', 'real'] as const) {
    const failed = await failOver(engine, a, mode, by)
    assert.equal(failed.activated, 1_000)
    assert.equal(failed.unprotected, 0)
    assert.ok(failed.durationMs < 5_000)
    // A thousand are in use, and b's hundred must still be survived on top of them.
    assert.deepEqual(await free(), [4_000 - 500 - 1_000 - 100])
    await audited()
    await assert.rejects(failOver(engine, a, mode, by), WrongState)
    await endFailOver(engine, failed.id, by)
    assert.deepEqual(await stateOf(), before)
    assert.deepEqual(await free(), [2_500])
    await audited()
  }
  assert.equal(c > 0, true)
})

test('a claim made just before a failure is changed as the failure has left it', async () => {
  const { a, home, claim, line } = await world(100)
  const made = await claim([line(a, 10), line(home, 10, a)])
  const failed = await failOver(engine, a, 'real', by)
  const typeAtHome = async () =>
    database.query(
      `select r.type from reservation r join pool p on p.id = r.pool_id where r.claim_id = $1 and p.site_id = $2`,
      [made.id, home],
    )
  assert.deepEqual(await typeAtHome(), [{ type: 'firm' }])
  await engine.release(made.id, Date.now() + DAY_MS, SYSTEM)
  assert.deepEqual(await typeAtHome(), [{ type: 'firm' }])
  const fresh = await openCapacityEngine(database)
  const from = Date.now()
  assert.deepEqual(await engine.availability(home, from, FOREVER), await fresh.availability(home, from, FOREVER))
  await fresh.close()
  await audited()
  await endFailOver(engine, failed.id, by)
  await audited()
})

test('a failure leaves others unprotected, the newest first, says so, and keeps the way back open', async () => {
  const { a, b, c, home, claim, line, free } = await world(100)
  await claim([line(a, 80), line(home, 80, a)])
  const older = await claim([line(b, 15), line(home, 15, b)])
  const newer = await claim([line(b, 60), line(home, 60, b)])
  await claim([line(c, 20), line(home, 20, c)])
  assert.deepEqual(await free(), [20])
  const before = await stateOf()
  // A drill may not take what b's failure could need.
  await assert.rejects(failOver(engine, a, 'drill', by), CapacityExhausted)
  assert.deepEqual(await stateOf(), before)

  const failed = await failOver(engine, a, 'real', by)
  assert.deepEqual([failed.activated, failed.unprotected], [1, 1])
  await audited()
  const lost = (await unprotectedClaims(database, NOW, 100)).filter((row) => row.reason === 'not-honoured')
  assert.deepEqual(
    lost.map((row) => row.claimId),
    [newer.id],
  )
  // c's 20 and b's older 15 are still honoured on top of a's 80: nothing is left, and nothing may be sold.
  assert.deepEqual(await free(), [0])
  await assert.rejects(claim([line(home, 1)]), CapacityExhausted)

  const second = await failOver(engine, b, 'real', by)
  assert.deepEqual([second.activated, second.unprotected], [1, 2])
  const [activated] = await database.query<{ id: string }>(
    `select claim_id as id from reservation where protects_site_id = $1 and type = 'firm'`,
    [b],
  )
  assert.equal(activated!.id, older.id)
  await audited()
  await endFailOver(engine, failed.id, by)
  await audited()
  await endFailOver(engine, second.id, by)
  assert.deepEqual(await stateOf(), before)
  assert.deepEqual(await free(), [20])
  await audited()
})

test('a drill is dropped when a real failure comes', async () => {
  const { a, b, home, claim, line, free } = await world(100)
  await claim([line(a, 40), line(home, 40, a)])
  await claim([line(b, 50), line(home, 50, b)])
  const drill = await failOver(engine, a, 'drill', by)
  assert.deepEqual(await free(), [10])
  await audited()
  await assert.rejects(failOver(engine, b, 'drill', by), WrongState)
  const real = await failOver(engine, b, 'real', by)
  assert.deepEqual([real.activated, real.unprotected], [1, 0])
  await assert.rejects(endFailOver(engine, drill.id, by), WrongState)
  const firm = await database.query<{ site: number }>(
    `select protects_site_id as site from reservation where protects_site_id = any($1) and type = 'firm'`,
    [[a, b]],
  )
  assert.deepEqual(firm, [{ site: b }])
  await audited()
  await endFailOver(engine, real.id, by)
  await audited()
})

test('standby claimed and changed during a failure is firm at once; releases during it are kept', async () => {
  const { a, b, home, claim, line, free } = await world(100)
  const gone = await claim([line(a, 30), line(home, 30, a)])
  await claim([line(b, 30), line(home, 30, b)])
  const failed = await failOver(engine, a, 'real', by)
  const during = await claim([line(home, 10, a)])
  assert.equal(during.lines[0]!.type, 'firm')
  await assert.rejects(claim([line(a, 1)], Date.now()), /has failed/)
  await claim([line(a, 1)], Date.now() + DAY_MS)
  await engine.release(gone.id, NOW, SYSTEM)
  assert.deepEqual(await free(), [60])
  await audited()
  await endFailOver(engine, failed.id, by)
  const [row] = await database.query<{ type: string }>('select type from reservation where claim_id = $1', [during.id])
  assert.equal(row!.type, 'standby')
  assert.deepEqual(await free(), [70])
  await audited()
})

test('standby of rack units is given slots when it becomes firm, and gives them back', async () => {
  const { a, home, poolIds, claim, line } = await world(20, ['slot-rack'])
  await makeContainers(database, poolIds.get(`${home}/slot-rack`)!, [{ name: 'R', slots: 20 }])
  engine.forget([poolIds.get(`${home}/slot-rack`)!])
  const claimed = await claim([line(home, 6, a)])
  assert.equal(claimed.lines[0]!.assignment, null)
  const assigned = () =>
    database.query<{ slots: string }>('select slots from assignment where claim_id = $1 and upper(during) > now()', [
      claimed.id,
    ])
  for (let round = 0; round < 2; round++) {
    const failed = await failOver(engine, a, 'real', by)
    assert.deepEqual(await assigned(), [{ slots: '[1,7)' }])
    await audited()
    await endFailOver(engine, failed.id, by)
    assert.deepEqual(await assigned(), [])
  }
  await engine.release(claimed.id, NOW + DAY_MS, SYSTEM)
  await audited()
})

test('more failures to cover need more, or are refused', async () => {
  const { a, b, home, claim, line, free } = await world(100)
  await claim([line(home, 40, a)])
  await claim([line(home, 50, b)])
  await claim([line(home, 10)])
  assert.deepEqual(await free(), [40])
  await changeSite(engine, home, { coveredFailures: 2 }, null, by)
  assert.deepEqual(await free(), [0])
  await audited()
  await changeSite(engine, home, { coveredFailures: 1 }, null, by)
  await claim([line(home, 5)])
  await assert.rejects(changeSite(engine, home, { coveredFailures: 2 }, null, by), CapacityExhausted)
  await audited()
})
