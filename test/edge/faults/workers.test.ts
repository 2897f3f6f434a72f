/**
 * Two workers under load while things happen to them: purges by URL and tag, POSTs, reloads, and workers that are killed. An
 * auditor knows of each object which version the origin had when a purge of it was answered; no request that began after
 * that may get an older one. Connections break only with the worker that was killed. `RUNS` and `SEED` as elsewhere.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startEdge } from '../../../src/edge/main.ts'

const RUNS = Number(process.env.RUNS ?? 16)
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const OBJECTS = 40
const CLIENTS = 8

/** A generator of one's own, so that a seed says all (Mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

test(`whatever happens to workers, what was purged stays purged (seed ${SEED})`, { timeout: 600_000 }, async () => {
  const random = randomFrom(SEED)
  const folder = mkdtempSync(join(tmpdir(), 'izumi-workers-faults-'))
  /** Of each object: what the origin says now, and the least that may be seen. */
  const current = new Array<number>(OBJECTS).fill(1)
  const least = new Array<number>(OBJECTS).fill(1)
  const origin = createServer((message, response) => {
    const id = Number(message.url!.slice(1))
    response.setHeader('cache-control', 'max-age=600')
    response.setHeader('cache-tag', `tag-${id % 4}`)
    const version = current[id]!
    // Some take a while, so that purges meet fills under way.
    if (random(3) === 0) setTimeout(() => response.end(String(version)), random(5))
    else response.end(String(version))
  })
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const file = join(folder, 'edge.json')
  const write = (mark: number) =>
    writeFileSync(
      file,
      JSON.stringify({
        workers: 2,
        listen: { http: '127.0.0.1:0' },
        store: { memory: '64 MB', disk: { folder: 'store', size: '64 MB' } },
        properties: [
          {
            name: 'all',
            hosts: ['*'],
            origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
            response: { set: { 'x-mark': String(mark) } },
          },
        ],
      }),
    )
  write(0)
  const edge = await startEdge({ file }, { admin: false })
  const { port } = new URL(edge.addresses.http[0]!)
  const ask = (id: number, method: string, agent: Agent) =>
    new Promise<{ version: number; mark: number }>((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', path: `/${id}`, method, agent, headers: { host: 'a.example' } })
      sent.on('response', (response) => {
        let body = ''
        response.on('data', (chunk) => (body += chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ version: Number(body), mark: Number(response.headers['x-mark']) }))
      })
      sent.on('error', reject)
      sent.end()
    })
  let stop = false
  let answered = 0
  let broken = 0
  let kills = 0
  let mark = 0
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!stop) {
      const id = random(OBJECTS)
      const [atLeast, marked] = [least[id]!, mark]
      try {
        const got = await ask(id, 'GET', agent)
        answered++
        assert.ok(got.version >= atLeast, `${id} is of version ${got.version}, purged at ${atLeast}`)
        assert.ok(got.mark >= marked, `answered by configuration ${got.mark} after ${marked}`)
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        broken++
      }
    }
    agent.destroy()
  }
  const things: (() => Promise<void>)[] = [
    async () => {
      const id = random(OBJECTS)
      const version = ++current[id]!
      await edge.purge({ url: `http://a.example/${id}` })
      least[id] = version
    },
    async () => {
      const tag = random(4)
      const of = current.map((_, id) => id).filter((id) => id % 4 === tag)
      for (const id of of) current[id]!++
      const versions = of.map((id) => current[id]!)
      await edge.purge({ tag: `tag-${tag}` })
      for (const [at, id] of of.entries()) least[id] = versions[at]!
    },
    async () => {
      const id = random(OBJECTS)
      const version = ++current[id]!
      const agent = new Agent()
      // The connection may be one to a worker that was just killed.
      const done = await ask(id, 'POST', agent).catch(() => null)
      if (done !== null) least[id] = version
    },
    async () => {
      write(mark + 1)
      await edge.reload()
      mark++
    },
    async () => {
      const alive = edge.workers
      if (alive.length < 2) return
      kills++
      process.kill(alive[random(2)]!, 'SIGKILL')
    },
  ]
  try {
    const clients = Promise.all(Array.from({ length: CLIENTS }, client))
    const happening = (async () => {
      for (let run = 0; run < RUNS; run++) {
        // Kills are rare, and one is sure.
        await things[run === Math.floor(RUNS / 2) ? 4 : random(run % 25 === 24 ? 5 : 4)]!()
        const target = answered + 50
        while (answered < target && !stop) await new Promise((resolve) => setImmediate(resolve))
      }
      stop = true
    })()
    await Promise.race([clients, happening])
    await happening
    await clients
    assert.ok(kills >= 1)
    // Each kill breaks what is on the connections of one worker, and connections that wait to be accepted there.
    assert.ok(broken <= kills * CLIENTS * 2, `${broken} broken by ${kills} kills`)
  } finally {
    stop = true
    await edge.close()
    origin.closeAllConnections()
    origin.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
