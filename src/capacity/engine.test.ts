import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted, KeyReused, type Refusal } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import { DAY_MS, FOREVER } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { auditCapacity } from './audit.ts'
import { openCapacityEngine } from './engine.ts'
import { makeContainers, makeParty, makeSites } from './fixtures.ts'
import { type ClaimLine, companion, type SlotRun } from './model.ts'
import { putQuota, removeQuota } from './quotas.ts'

const database = await testDatabase()
const operator = await makeParty(database, 'operator')
const customer = await makeParty(database, 'customer', operator)
const { siteIds, poolIds } = await makeSites(database, {
  sites: 4,
  kinds: ['floor', 'power', 'slot-rack'],
  units: 100,
})
const engine = await openCapacityEngine(database)
after(() => engine.close())

const NOW = Date.now()
const at = (days: number) => NOW + days * DAY_MS
const line = (site: number, units: number, kind = 'floor', more: Partial<ClaimLine> = {}): ClaimLine => ({
  siteId: siteIds[site]!,
  kind,
  quantity: units * 1_000,
  type: 'firm',
  ...more,
})
const ask = (from: number, to: number, ...lines: ClaimLine[]) => ({
  partyId: customer,
  from,
  to,
  lines,
  mode: 'firm' as const,
  actor: SYSTEM,
})
const slots = ({ containerId, start, length }: SlotRun) => ({ containerId, start, length })
const free = async (site: number, kind = 'floor', from = NOW, to = FOREVER) =>
  (await engine.availability(siteIds[site]!, from, to)).find((pool) => pool.kind === kind)!.free / 1_000

test('a claim takes all its lines or nothing, over its interval alone', async () => {
  const first = await engine.claim(ask(at(10), at(20), line(0, 60), line(0, 50, 'power')))
  assert.equal(first.state, 'active')
  assert.equal(await free(0), 40)
  assert.equal(await free(0, 'floor', NOW, at(10)), 100)
  assert.equal(await free(0, 'floor', at(20)), 100)
  await assert.rejects(engine.claim(ask(at(15), at(16), line(0, 40), line(0, 51, 'power'))), CapacityExhausted)
  assert.equal(await free(0), 40)
  await engine.claim(ask(at(5), at(10), line(0, 100)))
  await engine.claim(ask(at(20), FOREVER, line(0, 100)))
  await engine.release(first.id, at(12), SYSTEM)
  assert.equal(await free(0, 'floor', at(12), at(20)), 100)
  assert.equal(await free(0, 'floor', at(10), at(20)), 40)
})

test('a repeat with the same key answers the same and takes nothing; another request under it is refused', async () => {
  const request = { ...ask(at(30), at(40), line(1, 100)), idempotencyKey: 'k1' }
  const [first, again] = await Promise.all([engine.claim(request), engine.claim(request)])
  assert.deepEqual({ ...again, repeated: false }, first)
  assert.equal(again.repeated, true)
  await engine.release(first.id, at(30), SYSTEM)
  assert.deepEqual({ ...(await engine.claim(request)), repeated: false }, first)
  await assert.rejects(engine.claim({ ...request, lines: [line(1, 99)] }), KeyReused)
})

test('a change grows, shrinks, moves and extends, and keeps the history', async () => {
  const claim = await engine.claim(ask(at(50), at(60), line(2, 30), line(2, 10, 'power')))
  await assert.rejects(
    engine.change({ claimId: claim.id, lines: [line(2, 101), line(2, 10, 'power')], actor: SYSTEM }),
    CapacityExhausted,
  )
  await engine.change({ claimId: claim.id, at: at(55), lines: [line(2, 100), line(2, 10, 'power')], actor: SYSTEM })
  assert.equal(await free(2, 'floor', at(50), at(55)), 70)
  assert.equal(await free(2, 'floor', at(55), at(60)), 0)
  const longer = await engine.change({ claimId: claim.id, to: at(70), actor: SYSTEM })
  assert.equal(await free(2, 'floor', at(60), at(70)), 0)
  assert.equal(await free(2, 'power', at(50), at(70)), 90)
  assert.equal(longer.version, 3)
  await engine.change({ claimId: claim.id, at: at(65), lines: [line(3, 100), line(2, 10, 'power')], actor: SYSTEM })
  assert.equal(await free(2, 'floor', at(65), FOREVER), 100)
  assert.equal(await free(3, 'floor', at(65), at(70)), 0)
  const rows = await database.query<{ quantity: number; days: number }>(
    `select quantity::float8 as quantity, extract(day from ends_at - starts_at)::float8 as days from reservation
     where claim_id = $1 and line = 1 and starts_at < ends_at order by starts_at`,
    [claim.id],
  )
  assert.deepEqual(rows, [
    { quantity: 30_000, days: 5 },
    { quantity: 100_000, days: 10 },
    { quantity: 100_000, days: 5 },
  ])
  await engine.release(claim.id, NOW, SYSTEM)
  assert.equal(await free(2), 100)
  assert.equal(await free(3), 100)
})

test('a hold counts, becomes firm, or lapses by itself', async () => {
  const hold = { ...ask(at(80), at(90), line(1, 60)), mode: 'hold' as const, holdUntil: Date.now() + 60_000 }
  const [kept, lost] = [await engine.claim(hold), await engine.claim({ ...hold, lines: [line(1, 40)] })]
  assert.equal(await free(1, 'floor', at(80), at(90)), 0)
  await engine.convert(kept.id, SYSTEM)
  assert.deepEqual(await engine.sweep(Date.now() + 61_000), { expired: 1, filled: 0 })
  assert.equal(await free(1, 'floor', at(80), at(90)), 40)
  await assert.rejects(engine.convert(lost.id, SYSTEM), /expired/)
})

test('rack units are contiguous, best fit, and guarded by the database', async () => {
  const pool = poolIds.get(`${siteIds[3]}/slot-rack`)!
  const [a, b] = await makeContainers(database, pool, [
    { name: 'A', slots: 42 },
    { name: 'B', slots: 10 },
  ])
  engine.forget([pool])
  const claim = await engine.claim(ask(at(1), FOREVER, line(3, 8, 'slot-rack'), line(3, 4, 'slot-rack')))
  assert.deepEqual(
    claim.lines.map(({ assignment }) => assignment && slots(assignment)),
    [
      { containerId: b, start: 1, length: 8 },
      { containerId: a, start: 1, length: 4 },
    ],
  )
  const small = await engine.claim(ask(at(1), FOREVER, line(3, 2, 'slot-rack')))
  assert.deepEqual(slots(small.lines[0]!.assignment!), { containerId: b, start: 9, length: 2 })
  await assert.rejects(engine.claim(ask(at(1), FOREVER, line(3, 39, 'slot-rack'))), /contiguous/)
  await engine.release(claim.id, NOW, SYSTEM)
  const moved = await engine.change({
    claimId: small.id,
    at: at(5),
    lines: [line(3, 3, 'slot-rack', { containerId: a!, start: 40 })],
    actor: SYSTEM,
  })
  assert.deepEqual(slots(moved.lines.at(-1)!.assignment!), { containerId: a, start: 40, length: 3 })
})

test('companion rows are written with the decision, once per group, or not at all', async () => {
  await database.query('create table note (claim_id uuid primary key, body text check (body <> $$bad$$))')
  let calls = 0
  const write = async (
    sql: { query: typeof database.query },
    written: { row: { body: string }; claim: { id: string } }[],
  ) => {
    calls++
    await sql.query('insert into note select * from unnest($1::uuid[], $2::text[])', [
      written.map(({ claim }) => claim.id),
      written.map(({ row }) => row.body),
    ])
  }
  const ids = Array.from({ length: 8 }, () => newId())
  const results = await Promise.allSettled(
    ids.map((id, index) =>
      engine.claim({
        ...ask(at(100), at(110), line(0, 1, 'power')),
        id,
        companion: companion(write, { body: index === 3 ? 'bad' : 'good' }),
      }),
    ),
  )
  assert.deepEqual(
    results.map(({ status }) => status),
    ids.map((_, index) => (index === 3 ? 'rejected' : 'fulfilled')),
  )
  // Half of them as one group, then one by one; the other half, decided on top of the first, as one group again.
  assert.equal(calls, 6)
  assert.equal((await database.query('select from note')).length, 7)
  assert.equal(await free(0, 'power', at(100), at(110)), 93)
})

test('the database refuses reservations without the lock and version of their pool', async () => {
  const pool = poolIds.get(`${siteIds[0]}/floor`)!
  const insert = `insert into reservation (claim_id, part, line, pool_id, quantity, type, starts_at, ends_at, born_version, pool_version)
    select gen_random_uuid(), 1, 1, id, 1, 'firm', now(), 'infinity', version, version from pool where id = ${pool}`
  await assert.rejects(database.query(insert), /without the lock and version/)
  await assert.rejects(
    database.transaction(async (sql) => {
      await sql.query('select from pool where id = $1 for update', [pool])
      await sql.query(insert)
    }),
    /without the lock and version/,
  )
  await assert.rejects(database.query('delete from reservation'), /append-only/)
  await assert.rejects(database.query('update reservation set quantity = quantity + 1'), /keeps what|without the lock/)
  await assert.rejects(
    database.query(
      `insert into capacity_step (id, pool_id, effective_at, quantity, state) values (gen_random_uuid(), $1, now(), 1, 'open')`,
      [pool],
    ),
    /without the lock and version/,
  )
})

test('the queue is bounded: more than it holds is told to try again, and the rest is answered', async () => {
  const none = { ...ask(at(1), at(2), line(0, 1)), lines: [{ ...line(0, 1), kind: 'nothing' }] }
  const answers = await Promise.allSettled(Array.from({ length: LIMITS.commitQueue + 5 }, () => engine.claim(none)))
  const codes = answers.map((answer) => (answer.status === 'rejected' ? (answer.reason as Refusal).code : 'made'))
  assert.equal(codes.filter((code) => code === 'overloaded').length, 5)
  assert.equal(codes.filter((code) => code === 'not-found').length, LIMITS.commitQueue)
})

test('quotas bind new claims, changes and extensions of a party and all below it, in every process', async () => {
  const reseller = await makeParty(database, 'reseller', operator)
  const below = await makeParty(database, 'below', reseller)
  const other = await openCapacityEngine(database)
  after(() => other.close())
  const own = { ...ask(at(200), at(210), line(3, 6, 'power')), partyId: below }
  const first = await engine.claim(own)
  const by = { actor: SYSTEM, partyId: operator }
  const key = { partyId: reseller, kind: 'power', siteId: null }
  await assert.rejects(putQuota(engine, key, 5_000, by), CapacityExhausted)
  await putQuota(engine, key, 10_000, by)
  // The other process has not heard of the quota, and is held by it all the same.
  await assert.rejects(other.claim({ ...own, lines: [line(2, 5, 'power')] }), /quota/)
  const second = await other.claim({ ...own, lines: [line(2, 4, 'power')] })
  const third = await openCapacityEngine(database)
  after(() => third.close())
  await assert.rejects(third.change({ claimId: second.id, lines: [line(2, 5, 'power')], actor: SYSTEM }), /quota/)
  await third.change({ claimId: second.id, to: at(220), actor: SYSTEM })
  await other.release(first.id, at(200), SYSTEM)
  await third.change({ claimId: second.id, lines: [line(2, 10, 'power')], actor: SYSTEM })
  await assert.rejects(engine.claim({ ...own, from: at(219), to: at(230), lines: [line(3, 1, 'power')] }), /quota/)
  await engine.claim({ ...own, from: at(220), to: at(230), lines: [line(3, 10, 'power')] })
  await removeQuota(engine, key, by)
  await other.claim({ ...own, from: at(220), to: at(230), lines: [line(3, 1, 'power')] })
  // Claims that counted in the withdrawn quota go on.
  await engine.change({ claimId: second.id, to: at(230), actor: SYSTEM })
  await other.release(second.id, NOW, SYSTEM)
  assert.deepEqual((await auditCapacity(database)).findings, [])
})
