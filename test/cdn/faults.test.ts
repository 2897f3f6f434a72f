/**
 * What breaks between the halves: control-plane processes killed under load, an edge away during a thousand purges, the
 * feed cut in the middle of a message, a node whose clock is an hour off, a node that is revoked. Edges go on serving,
 * and what a purge was confirmed for is never served again.
 */
import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startOrigin, startWorld, until } from './support/world.ts'

const world = await startWorld({ planes: 2, sites: ['tokyo-1', 'osaka-1'] })
after(() => world.close())
const origin = await startOrigin()

/** Passes bytes on to a control-plane process; `cutAfter` ends each connection after so many bytes towards the node. */
const sockets = new Set<Socket>()
const wire = { cutAfter: Number.POSITIVE_INFINITY, cuts: 0 }
const proxy = createServer((near) => {
  const { hostname, port } = new URL(world.planes[0]!.url)
  const far = connect(Number(port), hostname)
  let left = wire.cutAfter
  for (const socket of [near, far]) {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      near.destroy()
      far.destroy()
    })
  }
  near.pipe(far)
  far.on('data', (chunk: Buffer) => {
    near.write(chunk.subarray(0, left))
    left -= chunk.length
    if (left > 0) return
    wire.cuts++
    near.destroySoon()
  })
})
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
after(() => {
  for (const socket of sockets) socket.destroy()
  proxy.close()
})

const wireUrl = `http://127.0.0.1:${(proxy.address() as { port: number }).port}`
const [far, kept] = await Promise.all([
  world.addEdge('far', 'tokyo-1', { join: wireUrl, clockMs: 3_600_000 }),
  world.addEdge('kept', 'osaka-1', { disk: '64 MB', catchUpMs: 500 }),
])
await world.ok('POST', '/parties', { kind: 'customer', code: 'shop', name: 'Shop' })
await world.ok('POST', '/offerings/cdn/prices', {
  currency: 'JPY',
  effectiveFrom: '2026-01-01T00:00:00Z',
  charges: [{ kind: 'monthly', name: 'Basic', price: '1000' }],
})
const host = 'www.shop.example'
const property = await world.order('shop', { name: 'shop', hosts: [host], origin: origin.url })
const purge = (path: string, plane: number) =>
  world.ok('POST', '/cdn/purges', { url: `https://${host}${path}`, waitSeconds: 30 }, { plane })

test('a node whose clock is an hour off enrols, follows and confirms', async () => {
  assert.equal(property.of, 2)
  await far.get(host, '/clock')
  origin.body = 'clock'
  assert.equal((await purge('/clock', 0)).complete, true)
  assert.equal((await far.get(host, '/clock')).body, 'clock /clock')
})

test('a feed that is cut in the middle of messages loses nothing', async () => {
  // Longer than the head and a snapshot's first line, shorter than what follows.
  wire.cutAfter = 700
  for (const socket of sockets) socket.destroy()
  for (let round = 0; round < 5; round++) {
    await far.get(host, '/cut')
    origin.body = `cut ${round}`
    const { complete, confirmations } = await purge('/cut', 1)
    assert.equal(complete, true, JSON.stringify(confirmations))
    assert.equal((await far.get(host, '/cut')).body, `cut ${round} /cut`)
  }
  assert.ok(wire.cuts > 0)
  wire.cutAfter = Number.POSITIVE_INFINITY
})

test('an edge that was away during a thousand purges applies them before it serves', async () => {
  for (let page = 0; page < 20; page++) await kept.get(host, `/away/${page}`)
  assert.equal((await kept.get(host, '/away/3')).body, 'cut 4 /away/3')
  await kept.kill()
  origin.body = 'later'
  await Promise.all(
    Array.from({ length: 1_000 }, (_, index) =>
      world.ok(
        'POST',
        '/cdn/purges',
        { url: `https://${host}/away/${index % 20}`, waitSeconds: 0 },
        { plane: index % 2 },
      ),
    ),
  )
  const last = await world.ok('POST', '/cdn/purges', { url: `https://${host}/away/0`, waitSeconds: 0 })
  assert.ok(
    last.confirmations.some(
      ({ node, confirmedAt }: { node: string; confirmedAt: string | null }) => node === 'kept' && confirmedAt === null,
    ),
  )
  await kept.start()
  for (let page = 0; page < 20; page++)
    assert.equal((await kept.get(host, `/away/${page}`)).body, `later /away/${page}`)
  await until(async () => (await world.ok('GET', `/cdn/purges/${last.id}`)).complete)
})

test('a control-plane process is killed and started under load: edges serve on, purges go through', async () => {
  let stop = false
  let served = 0
  const load = (async () => {
    while (!stop) {
      const answers = await Promise.all(world.edges.map((edge) => edge.get(host, '/load')))
      for (const { status } of answers) assert.equal(status, 200)
      served += answers.length
      await pause(20)
    }
  })()
  await world.planes[0]!.kill()
  origin.body = 'without'
  const { id, complete } = await world.ok(
    'POST',
    '/cdn/purges',
    { url: `https://${host}/load`, waitSeconds: 0 },
    { plane: 1 },
  )
  // `far` knows no other address than that of the process that is gone.
  assert.equal(complete, false)
  await world.planes[0]!.start()
  await until(async () => (await world.ok('GET', `/cdn/purges/${id}`)).complete)
  for (const edge of world.edges) assert.equal((await edge.get(host, '/load')).body, 'without /load')
  stop = true
  await load
  assert.ok(served > 0)
})

test('with no control plane at all an edge starts from its disk and serves', async () => {
  await kept.kill()
  await Promise.all(world.planes.map((plane) => plane.kill()))
  await kept.start()
  assert.equal((await kept.get(host, '/alone')).status, 200)
  await world.planes[0]!.start()
  assert.equal((await purge('/alone', 0)).complete, true)
})

test('a revoked node is told, ends, and is refused', async () => {
  const { items } = await world.ok('GET', '/nodes?q=far')
  await world.ok('POST', `/nodes/${items[0].id}/revoke`)
  await until(() => /revoked by the control plane/.test(far.output()))
  const { of } = await purge('/revoked', 0)
  assert.equal(of, 1)
})
