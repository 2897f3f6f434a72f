/**
 * Clients that do not behave, beside some that do: thousands that send their head byte by byte or take nothing of their
 * answer hold bounded memory and hold nobody up; a configuration is read again under load without a broken answer.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type EdgeProcess, startEdgeProcess } from '../support/edge-process.ts'
import { answersIn, exchange } from '../support/wire.ts'

const SLOW_CLIENTS = 5_000
/** What one connection of the edge may cost while it waits: sockets, streams, and the part of a head that came. */
const BYTES_A_CLIENT = 24 * 1024

const origin = createServer((request, response) => {
  response.setHeader('cache-control', request.url!.startsWith('/miss') ? 'no-store' : 'max-age=1000')
  response.end(request.url === '/large' ? Buffer.alloc(4 * 1024 * 1024, 'x') : 'body')
})
before(() => new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve)))
after(() => {
  origin.closeAllConnections()
  origin.close()
})
const site = () => ({
  properties: [{ name: 'site', hosts: ['*'], origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}` }],
  limits: { connectionsPerAddress: 20_000, head: '60s', leastBytesWindow: '60s' },
})
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`
const portOf = (edge: EdgeProcess) => Number(new URL(edge.http).port)

/** Opens connections a few hundred at a time, so that no backlog overflows. */
async function open(port: number, count: number, first: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Array.from(
      { length: Math.min(250, count - sockets.length) },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(first, () => resolve(socket)))
          socket.pause()
          socket.on('error', reject)
        }),
    )
    sockets.push(...(await Promise.all(batch)))
  }
  return sockets
}

test(`${SLOW_CLIENTS} slow clients hold bounded memory, and load goes on`, { timeout: 60_000 }, async () => {
  const edge = await startEdgeProcess(site())
  const port = portOf(edge)
  try {
    await exchange(port, [get('/cached')])
    await exchange(port, [get('/large')])
    const before = edge.peakBytes()
    // Nine of ten never finish their head, the others take nothing of four megabytes.
    const slow = await open(port, SLOW_CLIENTS * 0.9, 'GET /slow HTTP/1.1\r\nHost: a.exam')
    slow.push(...(await open(port, SLOW_CLIENTS * 0.1, get('/large'))))
    const started = performance.now()
    for (let i = 0; i < 20; i++) {
      const answers = answersIn(await exchange(port, [get('/cached') + get(`/miss/${i}`)]), ['GET', 'GET'])
      assert.deepEqual(
        answers.map(({ status, body }) => [status, body]),
        [
          [200, 'body'],
          [200, 'body'],
        ],
      )
    }
    assert.ok(performance.now() - started < 30_000)
    const grown = edge.peakBytes() - before
    assert.ok(grown < SLOW_CLIENTS * BYTES_A_CLIENT, `${Math.round(grown / SLOW_CLIENTS)} bytes a client`)
    for (const socket of slow) socket.destroy()
  } finally {
    await edge.stop()
  }
})

test('a configuration read again under load breaks no answer and no connection', { timeout: 30_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-reload-'))
  const { startEdge } = await import('../../../src/edge/main.ts')
  const file = join(folder, 'edge.json')
  const write = (mark: string) =>
    writeFileSync(
      file,
      JSON.stringify({
        listen: { http: '127.0.0.1:0' },
        ...site(),
        properties: site().properties.map((property) => ({ ...property, response: { set: { 'x-mark': mark } } })),
      }),
    )
  write('0')
  const edge = await startEdge({ file }, { admin: false })
  const port = Number(new URL(edge.addresses.http[0]!).port)
  const sockets = await open(port, 8, '')
  let stop = false
  let broken = 0
  let answered = 0
  try {
    const clients = sockets.map(async (socket, index) => {
      let text = ''
      let heard: () => void = () => {}
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1')
        heard()
      })
      socket.on('close', () => {
        if (!stop) broken++
        heard()
      })
      socket.resume()
      for (let i = 0; !stop; i++) {
        text = ''
        socket.write(get(i % 2 === 0 ? '/cached' : `/miss/${index}`))
        while (!text.endsWith('body') && !socket.destroyed)
          await new Promise<void>((resolve) => {
            heard = resolve
          })
        if (socket.destroyed) return
        if (!text.startsWith('HTTP/1.1 200 OK\r\n')) broken++
        answered++
      }
    })
    for (let round = 1; round <= 10; round++) {
      const target = answered + 200
      while (answered < target && broken === 0) await new Promise((resolve) => setImmediate(resolve))
      write(String(round))
      await edge.reload()
      const [answer] = answersIn(await exchange(port, [get('/cached')]), [])
      assert.ok(answer!.fields.includes(`x-mark: ${round}`), `round ${round}: ${answer!.fields}`)
    }
    // A wrong file changes nothing.
    writeFileSync(file, '{"properties": 1}')
    await assert.rejects(edge.reload())
    const [answer] = answersIn(await exchange(port, [get('/cached')]), [])
    assert.ok(answer!.fields.includes('x-mark: 10'))
    stop = true
    for (const socket of sockets) socket.destroy()
    await Promise.all(clients)
    assert.equal(broken, 0)
    assert.ok(answered >= 2_000)
  } finally {
    stop = true
    for (const socket of sockets) socket.destroy()
    await edge.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
