/**
 * A full disk under load: the data folder lies on a small file system that is filled up while clients claim. Until there
 * is room again claims are refused with a problem that says so, and nothing acknowledged is lost; then it goes on by
 * itself. Needs root, to mount the file system.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { auditCapacity } from '../../src/capacity/audit.ts'
import { openDatabase } from '../../src/database/connection.ts'
import { startEmbedded } from '../../src/database/embedded.ts'
import { skipWithout } from '../support/engine.ts'
import { temporaryFolder } from '../support/folder.ts'
import { operatorWithCapacity } from '../support/operator.ts'
import { startServer } from '../support/process.ts'

const DISK = '260m'
const LEFT_BYTES = 1_000_000
const BLOCK = Buffer.alloc(65_536, 1)
const KEPT_WAITING_MS = 60_000

function mounted(folder: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0755`, 'tmpfs', folder]).status === 0
}

/** Fills a file system up to a rest; returns how to make room again. */
function fillUp(folder: string): () => void {
  const file = join(folder, 'ballast')
  const handle = openSync(file, 'w')
  const free = () => {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  }
  while (free() > LEFT_BYTES) writeSync(handle, BLOCK, 0, Math.min(BLOCK.length, free() - LEFT_BYTES + 1))
  closeSync(handle)
  return () => rmSync(file)
}

test('a full disk refuses claims, loses none, and is got over', async (t) => {
  const folder = temporaryFolder('izumi-disk-')
  if (!mounted(folder)) {
    rmSync(folder, { recursive: true })
    skipWithout(t, 'a small file system of its own', 'run it as root, which may mount one')
    return
  }
  const server = await startServer({ dataFolder: folder })
  try {
    const { headers, sites } = await operatorWithCapacity(server.url, { sites: 1, quantity: 1_000_000 })
    const acknowledged: string[] = []
    const claim = async () => {
      const response = await fetch(`${server.url}/api/v1/claims`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ lines: [{ site: sites[0]!, kind: 'power', quantity: 1 }] }),
      })
      const json = (await response.json()) as { id: string; code?: string }
      if (response.status === 201) acknowledged.push(json.id)
      return { status: response.status, type: response.headers.get('content-type'), json }
    }
    assert.equal((await claim()).status, 201)

    const makeRoom = fillUp(folder)
    let refused = await claim()
    while (refused.status === 201) refused = await claim()
    assert.equal(refused.status, 503, JSON.stringify(refused.json))
    assert.match(refused.type ?? '', /problem\+json/)
    makeRoom()

    const from = performance.now()
    while ((await claim()).status !== 201) {
      assert.ok(performance.now() - from < KEPT_WAITING_MS, 'claims are taken again once there is room')
      await pause(50)
    }
    await server.kill()
    const postgres = await startEmbedded(folder, { adopt: true })
    const database = openDatabase(postgres.url)
    try {
      const found = await database.query<{ id: string }>('select id from claim where id = any($1)', [acknowledged])
      assert.equal(found.length, acknowledged.length)
      assert.deepEqual((await auditCapacity(database)).findings, [])
    } finally {
      await database.close()
      await postgres.stop()
    }
  } finally {
    await server.stop()
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  }
})
