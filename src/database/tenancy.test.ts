import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { newId } from '../core/ids.ts'
import { migrate } from './migrate.ts'

const database = await testDatabase()

async function party(kind: string, code: string, parent: { id: string; ancestors: string[] } | null) {
  const id = newId()
  const ancestors = [...(parent?.ancestors ?? []), id]
  await database.query(
    'insert into party (id, kind, code, name, parent_id, ancestors) values ($1, $2, $3, $3, $4, $5)',
    [id, kind, code, parent?.id ?? null, ancestors],
  )
  return { id, ancestors }
}

test('a party sees itself and the parties below it, and no other', async () => {
  const operator = await party('operator', 'op', null)
  const reseller = await party('reseller', 're', operator)
  const customer = await party('customer', 'cu', reseller)
  const other = await party('customer', 'ot', operator)
  const seen = async (id: string) =>
    (await database.asTenant(id, (sql) => sql.query<{ code: string }>('select code from party order by code'))).map(
      (row) => row.code,
    )
  assert.deepEqual(await seen(operator.id), ['cu', 'op', 'ot', 're'])
  assert.deepEqual(await seen(reseller.id), ['cu', 're'])
  assert.deepEqual(await seen(customer.id), ['cu'])
  assert.deepEqual(await seen(other.id), ['ot'])
  assert.deepEqual(await seen(newId()), [])
})

test('a database of a newer program is refused', async () => {
  await assert.rejects(migrate(database, []), /newer/)
})

test('a migration that reads differently than when it ran is refused', async () => {
  await assert.rejects(
    migrate(database, [{ name: '0001_parties', checksum: 'other', text: '' }]),
    /changed after it ran/,
  )
})
