/**
 * The clock jumps, as when a machine wakes, a time server is wrong or an operator sets it by hand: an hour ahead, hours
 * back, ahead again, under a whole server with its database (Debian's libfaketime). Holds lapse and waiting claims fill
 * by the clock there is, nothing is ever oversold, and every answer still makes sense.
 */
import assert from 'node:assert/strict'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { auditCapacity } from '../../src/capacity/audit.ts'
import { HOUR_MS } from '../../src/core/time.ts'
import { openDatabase } from '../../src/database/connection.ts'
import { startEmbedded } from '../../src/database/embedded.ts'
import { skipWithout } from '../support/engine.ts'
import { temporaryFolder } from '../support/folder.ts'
import { operatorWithCapacity } from '../support/operator.ts'
import { startServer } from '../support/process.ts'

const LIBRARY = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path))

test('nothing is oversold or lost when the clock jumps', async (t) => {
  if (!LIBRARY) {
    skipWithout(t, 'Debian’s libfaketime')
    return
  }
  const folder = temporaryFolder('izumi-clock-')
  const setting = join(folder, 'offset')
  let offsetMs = 0
  const jump = (hours: number) => {
    offsetMs += hours * HOUR_MS
    writeFileSync(setting, `${offsetMs >= 0 ? '+' : ''}${offsetMs / 1_000}s\n`)
  }
  jump(0)
  const server = await startServer({
    environment: {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: setting,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  })
  try {
    const { headers, sites } = await operatorWithCapacity(server.url, { sites: 1, quantity: 100 })
    const at = (hours: number) => new Date(Date.now() + offsetMs + hours * HOUR_MS).toISOString()
    const call = async (method: string, path: string, body?: unknown) => {
      const response = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
      })
      return { status: response.status, json: (await response.json()) as { id: string; state: string; code?: string } }
    }
    const claim = (quantity: number, more: object = {}) =>
      call('POST', '/claims', { lines: [{ site: sites[0]!, kind: 'power', quantity }], ...more })
    const becomes = async (id: string, state: string) => {
      while ((await call('GET', `/claims/${id}`)).json.state !== state) await pause(50)
    }

    const firm = await claim(60)
    const held = await claim(40, { hold: { until: at(0.5) } })
    const waiting = await claim(40, { wait: { until: at(24) } })
    assert.deepEqual(
      [firm, held, waiting].map(({ status, json }) => [status, json.state]),
      [
        [201, 'active'],
        [201, 'held'],
        [201, 'waiting'],
      ],
    )

    jump(1)
    await becomes(held.json.id, 'expired')
    await becomes(waiting.json.id, 'active')

    // Before all that was claimed: the future is as full as it was, and there is room until then.
    jump(-4)
    assert.equal((await claim(1)).json.code, 'capacity-exhausted')
    assert.equal((await claim(100, { to: at(1) })).status, 201)
    assert.equal((await claim(1, { to: at(1) })).json.code, 'capacity-exhausted')
    assert.equal((await call('POST', `/claims/${firm.json.id}/release`, {})).status, 200)
    assert.equal((await claim(60, { from: at(1) })).status, 201)
    assert.equal((await claim(1)).json.code, 'capacity-exhausted')

    jump(5)
    assert.equal((await claim(1)).json.code, 'capacity-exhausted')
    assert.equal((await call('POST', `/claims/${waiting.json.id}/release`, {})).status, 200)
    assert.equal((await claim(40)).status, 201)
    assert.equal((await claim(1)).json.code, 'capacity-exhausted')

    await server.kill()
    const postgres = await startEmbedded(server.dataFolder, { adopt: true })
    const database = openDatabase(postgres.url)
    try {
      assert.deepEqual((await auditCapacity(database)).findings, [])
      const [keys] = await database.query<{ ids: number; claims: number }>(
        'select count(distinct id)::int as ids, count(*)::int as claims from claim',
      )
      assert.deepEqual(keys, { ids: 6, claims: 6 })
    } finally {
      await database.close()
      await postgres.stop()
    }
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
