/**
 * kill -9 of an edge while it fills and purges: after each restart no body is wrong, and nothing is served that was purged
 * before the purge was answered.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startEdgeProcess } from '../support/edge-process.ts'

const OBJECTS = 24
const ROUNDS = 3

/** The version that the origin gives out of each object. */
const versions = new Array<number>(OBJECTS).fill(1)
const sizeOf = (object: number) => [200, 5_000, 70_000, 1_200_000][object % 4]!

function bodyOf(object: number, version: number): Buffer {
  const line = `object ${object} version ${version}\n`
  return Buffer.alloc(sizeOf(object), line)
}

const origin = createServer((request, response) => {
  const object = Number(request.url!.slice(1))
  const body = bodyOf(object, versions[object]!)
  response.writeHead(200, {
    'cache-control': 'max-age=3600',
    'cache-tag': `object-${object}, group-${object % 5}`,
    'content-length': body.length,
    etag: `"${object}-${versions[object]}"`,
  })
  // In two pieces, so that a kill can come between them.
  response.write(body.subarray(0, body.length >> 1))
  setImmediate(() => response.end(body.subarray(body.length >> 1)))
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const { port } = origin.address() as { port: number }

const edge = await startEdgeProcess({
  store: { memory: '8 MB', disk: { folder: 'store', size: '128 MB' } },
  properties: [{ name: 'site', hosts: ['*'], origin: `http://127.0.0.1:${port}` }],
})
after(async () => {
  await edge.stop()
  origin.close()
  origin.closeAllConnections()
})

/** Fetches one object and returns its version; null when the edge was ended meanwhile. */
async function versionServed(object: number): Promise<number | null> {
  let body: Buffer
  try {
    const response = await fetch(`${edge.http}/${object}`)
    body = Buffer.from(await response.arrayBuffer())
    assert.equal(response.status, 200)
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return null
  }
  const version = Number(/^object \d+ version (\d+)\n/.exec(body.toString('latin1', 0, 60))?.[1])
  assert.ok(body.equals(bodyOf(object, version)), `object ${object}: the bytes of one version, whole`)
  return version
}

test('no wrong byte and no purged byte after kill -9', async () => {
  /** At least this version must be served: it was the origin's when a purge of the object was answered. */
  const least = new Array<number>(OBJECTS).fill(1)
  let hits = 0
  for (let round = 0; round < ROUNDS; round++) {
    let alive = true
    const clients = Array.from({ length: 3 }, async (_, client) => {
      for (let turn = client; alive; turn += 7) {
        const object = turn % OBJECTS
        const bound = least[object]!
        const version = await versionServed(object)
        if (version === null) return
        assert.ok(version >= bound, `object ${object}: version ${version} was purged before ${bound} was asked for`)
      }
    })
    const purger = (async () => {
      for (let turn = round; alive; turn++) {
        const object = (turn * 11) % OBJECTS
        versions[object]!++
        const version = versions[object]!
        const selector =
          turn % 3 === 0
            ? { tag: `object-${object}` }
            : turn % 3 === 1
              ? { url: `${edge.http}/${object}` }
              : { tag: `group-${object % 5}` }
        try {
          await edge.purge(selector)
        } catch {
          return
        }
        least[object] = version
      }
    })()
    // Once something is on disk, at a moment that differs from round to round.
    while ((await edge.stats()).diskWrites! < 20) await pause(5)
    for (let answered = 0; answered < 5 + round * 12; answered++) await versionServed(answered % OBJECTS)
    await edge.kill()
    alive = false
    await Promise.all([...clients, purger])
    await edge.start()
    for (let object = 0; object < OBJECTS; object++) {
      const response = await fetch(`${edge.http}/${object}`)
      const body = Buffer.from(await response.arrayBuffer())
      const version = Number(/version (\d+)\n/.exec(body.toString('latin1', 0, 60))?.[1])
      assert.ok(body.equals(bodyOf(object, version)), `object ${object} is whole after the restart`)
      assert.ok(version >= least[object]!, `object ${object}: version ${version} had been purged for ${least[object]}`)
      if (response.headers.get('cache-status')?.includes('; hit')) hits++
    }
  }
  // Otherwise nothing came back and this test has tested nothing.
  assert.ok(hits > OBJECTS / 2, `${hits} hits after the restarts`)
})
