import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { DAY_MS, FOREVER } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { auditCapacity } from './audit.ts'
import { openCapacityEngine } from './engine.ts'
import { makeContainers, makeParty, makeSites } from './fixtures.ts'

const database = await testDatabase()
const party = await makeParty(database, 'operator')
const { siteIds, poolIds } = await makeSites(database, { sites: 3, kinds: ['floor', 'slot-rack'], units: 10 })
const [a, b, c] = siteIds as [number, number, number]
const rackPool = poolIds.get(`${a}/slot-rack`)!
await makeContainers(database, rackPool, [{ name: 'R1', slots: 10 }])
const engine = await openCapacityEngine(database)
after(() => engine.close())

const NOW = Date.now()
const claim = (siteId: number, units: number, kind = 'floor', protects: number | null = null) =>
  engine.claim({
    partyId: party,
    from: NOW,
    to: NOW + 30 * DAY_MS,
    lines: [{ siteId, kind, quantity: units * 1_000, type: protects ? 'standby' : 'firm', protectsSiteId: protects }],
    mode: 'firm',
    actor: SYSTEM,
  })

/** Plants an error as a careless hand in the database would, triggers off, and takes it back after looking. */
async function planted(sqlText: string): Promise<string[]> {
  let found: string[] = []
  await assert.rejects(
    database.transaction(async (sql) => {
      await sql.query('set local session_replication_role = replica')
      await sql.query('alter table assignment drop constraint assignment_container_id_slots_during_excl')
      await sql.query(sqlText)
      found = (await auditCapacity(sql)).findings.map(({ finding }) => finding)
      throw new Error('undo')
    }),
    /undo/,
  )
  return [...new Set(found)]
}

test('what the engine wrote passes, planted errors do not', async () => {
  await claim(c, 4)
  await claim(c, 6, 'floor', a)
  await claim(c, 6, 'floor', b)
  await claim(a, 4, 'slot-rack')
  await claim(a, 3, 'slot-rack')
  assert.deepEqual(await auditCapacity(database), { ok: true, checkedPools: 6, findings: [] })

  const floor = poolIds.get(`${c}/floor`)!
  // One unit more counts in every scenario; one more standby for one site in that scenario alone.
  const insert = (type: string, protects: string) => `
    with made as (insert into claim (id, party_id, state, starts_at, ends_at, change_id)
      values (gen_random_uuid(), '${party}', 'active', now(), 'infinity', gen_random_uuid()) returning id)
    insert into reservation (claim_id, part, line, pool_id, quantity, type, starts_at, ends_at, protects_site_id, born_version, pool_version)
    select id, 1, 1, ${floor}, 1, '${type}', now(), 'infinity', ${protects}, 1, 1 from made`
  assert.deepEqual(await planted(insert('firm', 'null')), ['oversold'])
  assert.deepEqual(await planted(insert('standby', String(b))), ['oversold'])
  assert.deepEqual(await planted('update reservation set pool_version = pool_version + 100'), ['version'])
  assert.deepEqual(await planted(`delete from capacity_step where pool_id = ${floor}`), ['oversold'])
  assert.deepEqual(await planted(`update capacity_step set state = 'planned' where pool_id = ${floor}`), ['oversold'])
  assert.deepEqual(
    await planted(`delete from claim where id in (select claim_id from reservation where pool_id = ${floor})`),
    ['orphan'],
  )
  assert.deepEqual(await planted(`delete from reservation where pool_id = ${floor}`), ['half-written'])
  assert.deepEqual(await planted(`update reservation set ends_at = 'infinity' where pool_id = ${floor}`), [
    'outlives-claim',
  ])
  assert.deepEqual(await planted('update assignment set slots = int4range(1, upper(slots) - lower(slots) + 1)'), [
    'assigned-twice',
  ])
  assert.deepEqual(
    await planted('update assignment set slots = int4range(lower(slots), upper(slots) + 1) where lower(slots) = 5'),
    ['wrong-assignment'],
  )
  assert.deepEqual(await planted(`update reservation set quantity = 1000 where pool_id = ${rackPool}`), [
    'wrong-assignment',
  ])
  assert.equal((await auditCapacity(database)).ok, true)
})

test('a peak that is over is judged only when asked for', async () => {
  const early = engine.claim({
    partyId: party,
    from: NOW - 400 * DAY_MS,
    to: NOW - 300 * DAY_MS,
    lines: [{ siteId: b, kind: 'floor', quantity: 10_000, type: 'firm' }],
    mode: 'firm',
    at: NOW - 400 * DAY_MS,
    actor: SYSTEM,
  })
  await early
  await assert.rejects(
    engine.claim({
      partyId: party,
      from: NOW - 350 * DAY_MS,
      to: FOREVER,
      lines: [{ siteId: b, kind: 'floor', quantity: 1, type: 'firm' }],
      mode: 'firm',
      at: NOW - 350 * DAY_MS,
      actor: SYSTEM,
    }),
  )
  await database.transaction(async (sql) => {
    await sql.query('set local session_replication_role = replica')
    await sql.query(`update capacity_step set quantity = 5000 where pool_id = ${poolIds.get(`${b}/floor`)}`)
  })
  assert.equal((await auditCapacity(database)).findings[0]?.finding, 'oversold')
  assert.equal((await auditCapacity(database, NOW)).ok, true)
})
