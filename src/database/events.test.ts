import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { newId } from '../core/ids.ts'
import type { Sql } from './connection.ts'
import { appendEvents, EVENT_CHANNEL, followEvents, SYSTEM } from './events.ts'
import { listen } from './notifications.ts'

const database = await testDatabase()
const party = newId()

const append = (sql: Sql, name: string, type = 'test.done') =>
  appendEvents(sql, [{ partyId: party, actor: SYSTEM, type, subjectKind: 'test', subjectId: name }])

async function follow(name: string): Promise<string[]> {
  const seen: string[] = []
  while (
    (await followEvents(database, name, ['test.done'], async (events) => {
      seen.push(...events.map((event) => event.subjectId))
    })) > 0
  );
  return seen
}

/** A transaction held open until `finish` is called. */
async function open(work: (sql: Sql) => Promise<unknown>) {
  let finish = () => {}
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  let started = () => {}
  const running = new Promise<void>((resolve) => {
    started = resolve
  })
  let handle!: Sql
  const done = database.transaction(async (sql) => {
    handle = sql
    await work(sql)
    started()
    await held
  })
  await running
  return {
    sql: handle,
    finish() {
      finish()
      return done
    },
  }
}

/**
 * Follows until as many events have come. What is settled depends on every transaction of the whole server, so that those
 * of other tests may delay it.
 */
async function followed(name: string, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) seen.push(...(await follow(name)))
  return seen
}

test('a younger transaction with the smaller id that commits last is not missed', async () => {
  const elder = await open((sql) => sql.query('select pg_current_xact_id()'))
  const younger = await open((sql) => append(sql, 'younger'))
  try {
    await append(elder.sql, 'elder')
    await elder.finish()
    assert.deepEqual(await followed('f', 1), ['elder'])
  } finally {
    await elder.finish()
    await younger.finish()
  }
  assert.deepEqual(await followed('f', 1), ['younger'])
  assert.deepEqual(await follow('f'), [])
  assert.deepEqual(await followed('another', 2), ['elder', 'younger'])
})

test('events of other types are passed over for good', async () => {
  const placeOf = async (name: string) =>
    (
      await database.query<{ place: bigint }>(
        'select last_transaction::text::bigint as place from event_follower where name = $1',
        [name],
      )
    )[0]?.place
  await follow('patient')
  const before = await placeOf('patient')
  for (let each = 0; each < 101; each++) await append(database, 'of no concern', 'other.type')
  while ((await placeOf('patient')) === before) assert.deepEqual(await follow('patient'), [])
  await append(database, 'of concern')
  assert.deepEqual(await followed('patient', 1), ['of concern'])
})

test('a commit that appends events is announced', async () => {
  const heard: string[] = []
  let wake = () => {}
  const next = new Promise<void>((resolve) => {
    wake = resolve
  })
  const notifications = await listen(database, [EVENT_CHANNEL], (channel) => {
    heard.push(channel)
    wake()
  })
  await append(database, 'announced')
  await next
  assert.deepEqual(heard, [EVENT_CHANNEL])
  await notifications.close()
})

test('a record that was kept cannot be changed', async () => {
  await assert.rejects(database.query("update event set type = 'other'"), /append-only/)
  await assert.rejects(database.query('delete from event'), /append-only/)
})
