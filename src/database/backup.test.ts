import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { testDatabase } from '../../test/support/database.ts'
import { furnishedWorld } from '../../test/support/furnished.ts'
import { auditCapacity } from '../capacity/audit.ts'
import { openCapacityEngine } from '../capacity/engine.ts'
import { FOREVER } from '../core/time.ts'
import { backUp, restore } from './backup.ts'
import type { Database } from './connection.ts'
import { followEvents, SYSTEM } from './events.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-backup-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const world = await furnishedWorld()
const file = join(folder, 'world.backup')

/** What every table holds, but for the numbers of transactions. */
async function contents(database: Database): Promise<Record<string, string>> {
  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables
     where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'migration' order by 1`,
  )
  const sums: Record<string, string> = {}
  for (const { name } of tables) {
    const [row] = await database.query<{ sum: string }>(
      `select count(*) || ' ' || md5(coalesce(string_agg(j, '|' order by j), '')) as sum
       from (select (to_jsonb(t) - 'transaction' - 'last_transaction' - 'last_event_id')::text as j from "${name}" t) rows`,
    )
    sums[name] = row!.sum
  }
  return sums
}

test('what was backed up is restored, every row of it, and works', async () => {
  // A follower that has handled what there was so far, and then something more happens.
  // (Until all that was written can be read in order: other tests' transactions may still be running.)
  for (let settled = false; !settled; ) {
    const [row] = await world.database.query<{ settled: boolean }>(
      'select max(transaction) < pg_snapshot_xmin(pg_current_snapshot()) as settled from event',
    )
    settled = row!.settled
    while ((await followEvents(world.database, 'test', ['user.invited'], async () => {})) > 0);
  }
  const progress: string[] = []
  const made = await backUp(world.database, file, ({ table }) => progress.push(table))
  assert.ok(made.rows > 100 && progress.includes('claim'))
  const copy = await testDatabase()
  const got = await restore(copy, file)
  assert.deepEqual(got, made)
  assert.deepEqual(await contents(copy), await contents(world.database))

  assert.deepEqual(await auditCapacity(copy).then(({ findings }) => findings), [])
  const engine = await openCapacityEngine(copy)
  const [site] = await copy.query<{ id: number }>(`select id from site where code = 'yokohama-1'`)
  const claimed = await engine.claim({
    partyId: world.customer.id,
    from: Date.now(),
    to: FOREVER,
    lines: [{ siteId: site!.id, kind: 'power', quantity: 1_000, type: 'firm' }],
    mode: 'firm',
    actor: SYSTEM,
  })
  assert.equal(claimed.state, 'active')
  await engine.close()
  // Followers go on where they were: what comes next is seen, and the append-only record still is one.
  const seen: string[] = []
  await copy.query(
    `insert into event (party_id, actor_kind, type, subject_kind, subject_id) values ($1, 'system', 'user.invited', 'test', 'new')`,
    [world.customer.id],
  )
  const deadline = Date.now() + 10_000
  while (!seen.includes('new')) {
    assert.ok(Date.now() < deadline, `only ${seen} was seen`)
    await followEvents(copy, 'test', ['user.invited'], async (events) => {
      seen.push(...events.map(({ subjectId }) => subjectId))
    })
  }
  assert.deepEqual(seen, ['new'])
  await assert.rejects(copy.query('delete from event'), /append-only/)
  await assert.rejects(copy.query('update reservation set quantity = quantity + 1'), /a reservation keeps/)
})

test('a database that is not empty, a damaged file and another version are refused, and nothing is restored', async () => {
  await assert.rejects(restore(world.database, file), /not empty/)
  await assert.rejects(backUp(world.database, file), /exists already/)
  const copy = await testDatabase()
  const bad = join(folder, 'bad.backup')
  const refuse = async (content: Buffer, why: RegExp) => {
    writeFileSync(bad, content)
    await assert.rejects(restore(copy, bad), why)
    assert.deepEqual(await copy.query('select id from party'), [])
  }
  const whole = readFileSync(file)
  await refuse(Buffer.from('nothing'), /not a backup/)
  await refuse(whole.subarray(0, Math.floor(whole.length / 2)), /damaged/)
  const lines = gunzipSync(whole).toString().trimEnd().split('\n')
  await refuse(gzipSync(lines.slice(0, -1).join('\n')), /ends early/)
  await refuse(
    gzipSync(lines.filter((_, index) => index !== lines.indexOf('{"table":"claim"}') + 1).join('\n')),
    /rows instead of/,
  )
  await refuse(gzipSync(lines.join('\n').replace('0001_parties', '0000_other')), /another version/)
  await assert.rejects(restore(copy, join(folder, 'none')), /no file/)
  assert.equal((await restore(copy, file)).tables > 30, true)
})
