import assert from 'node:assert/strict'
import { test } from 'node:test'
import { race, UNITS } from './race.ts'
import { testDatabase } from './support/database.ts'

const database = await testDatabase()

for (const { name, processes, rounds } of [
  { name: 'one engine', processes: 0, rounds: 5 },
  { name: 'four processes', processes: 4, rounds: 5 },
])
  test(`16 clients with 40 attempts each sell exactly the last ${UNITS} units: ${name}`, async () => {
    for (const round of await race(database, { processes, clients: 16, attempts: 40, rounds }))
      assert.deepEqual(round, { sold: UNITS, reserved: UNITS, refused: 16 * 40 - UNITS, failed: [] })
  })
