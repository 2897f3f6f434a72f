/**
 * Power cuts under load: the server, or its PostgreSQL, is killed at random instants while clients claim. Afterwards
 * every acknowledged claim is there, whole, and none is there twice; what was not acknowledged is there whole or not at
 * all; and everything starts again by itself. `IZUMI_FAULT_ROUNDS` sets how many cuts (a few in the everyday run, 100
 * for the acceptance), `IZUMI_FAULT_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { auditCapacity } from '../../src/capacity/audit.ts'
import { openDatabase } from '../../src/database/connection.ts'
import { startEmbedded } from '../../src/database/embedded.ts'
import { operatorWithCapacity } from '../support/operator.ts'
import { startServer } from '../support/process.ts'

const ROUNDS = Number(process.env.IZUMI_FAULT_ROUNDS ?? 4)
const SEED = Number(process.env.IZUMI_FAULT_SEED ?? Date.now() % 1_000_000)
const CLIENTS = 6

/** A small generator with a seed, so that a failing run can be repeated. */
function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** Kills a process; one that is down from the cut before is as dead as it can be. */
function kill(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

test(`every acknowledged claim survives ${ROUNDS} power cuts (seed ${SEED})`, async () => {
  const next = random(SEED)
  const server = await startServer()
  let running = true
  try {
    const operator = await operatorWithCapacity(server.url, { sites: 3, quantity: 1_000_000 })
    const acknowledged = new Map<string, string>()
    let sent = 0

    const client = async (number: number) => {
      for (let index = 0; running; index++) {
        const key = `client-${number}-${index}`
        const site = operator.sites[index % operator.sites.length]!
        const body = JSON.stringify({
          lines: ['power', 'bandwidth'].map((kind) => ({ site, kind, quantity: 1 + (index % 5) })),
        })
        // The same key until there is an answer: a client that is careful, as ours are told to be.
        for (;;) {
          sent++
          const answer = await fetch(`${server.url}/api/v1/claims`, {
            method: 'POST',
            headers: { ...operator.headers, 'idempotency-key': key },
            body,
          }).then(
            async (response) => ({ status: response.status, json: (await response.json()) as { id?: string } }),
            () => null,
          )
          if (answer?.status === 201) {
            acknowledged.set(key, answer.json.id!)
            break
          }
          if (answer && answer.status < 500)
            assert.fail(`unexpected answer ${answer.status} ${JSON.stringify(answer.json)}`)
          if (!running) break
          await pause(20)
        }
      }
    }
    const clients = Array.from({ length: CLIENTS }, (_, number) => client(number))

    for (let round = 0; round < ROUNDS; round++) {
      const before = acknowledged.size
      // A random instant of the load: after so many more acknowledged claims.
      const until = before + 1 + Math.floor(next() * 60)
      while (acknowledged.size < until) await pause(Math.floor(next() * 10))
      if (next() < 0.5) {
        await server.kill()
        await server.start()
      } else {
        const cluster = join(server.dataFolder, 'postgres', 'cluster', 'postmaster.pid')
        kill(Number(readFileSync(cluster, 'utf8').split('\n')[0]))
      }
    }
    const enough = acknowledged.size + 20
    while (acknowledged.size < enough) await pause(20)
    running = false
    await Promise.all(clients)

    const postgres = await startEmbedded(server.dataFolder)
    const database = openDatabase(postgres.url)
    try {
      const claims = await database.query<{ id: string; key: string; lines: number; asked: number }>(
        `select c.id, c.idempotency_key as key, 2 as asked,
           (select count(*)::int from reservation r where r.claim_id = c.id) as lines from claim c`,
      )
      const byKey = new Map(claims.map((claim) => [claim.key, claim]))
      assert.equal(byKey.size, claims.length, 'no key has two claims')
      for (const [key, id] of acknowledged) assert.equal(byKey.get(key)?.id, id, `acknowledged ${key} is there`)
      for (const claim of claims) assert.equal(claim.lines, claim.asked, `claim ${claim.key} is whole`)
      const orphans = await database.query(
        'select from reservation r where not exists (select from claim c where c.id = r.claim_id)',
      )
      assert.equal(orphans.length, 0)
      assert.deepEqual((await auditCapacity(database)).findings, [])
      console.log(
        `${acknowledged.size} acknowledged of ${sent} sent, ${claims.length} in the database, ${ROUNDS} cuts, seed ${SEED}`,
      )
    } finally {
      await database.close()
    }
  } finally {
    running = false
    await server.stop()
  }
})
