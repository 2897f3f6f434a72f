/**
 * Fills and faults with bodies larger than every buffer: readers that stall, leave and come late; origins that are down, slow,
 * half-closed or lie about lengths. Real sockets on both sides.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import type { PoolOptions } from '../../src/edge/origin/pool.ts'
import { DEFAULT_SERVER_LIMITS, poolAt, serverAt } from '../../src/edge/origin/settings.ts'
import { type PlainEdge, type PlainEdgeOptions, startPlainEdge } from './support/plain-edge.ts'

const closers: (() => void | Promise<void>)[] = []
after(async () => {
  for (const close of closers.reverse()) await close()
})

async function httpOrigin(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const server = createHttpServer(handle)
  return listening(server, () => server.closeAllConnections())
}

/** An origin that is only a socket: the test says every byte. */
async function rawOrigin(handle: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    handle(socket)
  })
  return listening(server, () => {
    for (const socket of sockets) socket.destroy()
  })
}

async function listening(server: Server, stop: () => void): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    stop()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function edgeFor(
  port: number,
  options: PlainEdgeOptions = {},
  pool: Partial<PoolOptions> = {},
): Promise<PlainEdge> {
  const edge = await startPlainEdge({ pool: poolAt('origin', `http://127.0.0.1:${port}`, pool), ...options })
  closers.push(edge.close)
  return edge
}

const ask = (edge: PlainEdge, path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${edge.port}${path}`, init)
const cacheStatus = (response: Response) => response.headers.get('cache-status') ?? ''
const within = async (condition: () => boolean, what: string) => {
  for (let i = 0; i < 500; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail(`this did not come about: ${what}`)
}

/** A client that has asked and reads nothing. */
async function stalledClient(edge: PlainEdge, path: string): Promise<Socket> {
  const socket = connect({ port: edge.port, host: '127.0.0.1' })
  closers.push(() => void socket.destroy())
  socket.pause()
  await once(socket, 'connect')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  return socket
}

const BIG = Buffer.alloc(24 * 1024 * 1024, 'abcdefghijklmnopqrstuvwxyz')

test('a stalled reader of a large fill holds up nobody, and finds all its bytes when it reads on', async () => {
  let asked = 0
  const port = await httpOrigin((_, response) => {
    asked++
    response.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': BIG.length })
    response.end(BIG)
  })
  const edge = await edgeFor(port, { memoryBytes: 256 * 1024 * 1024 })
  const stalled = await stalledClient(edge, '/big')
  await within(() => asked === 1, 'the origin is asked')
  const body = Buffer.from(await (await ask(edge, '/big')).arrayBuffer())
  assert.ok(body.equals(BIG))
  assert.equal(asked, 1)
  const hit = await ask(edge, '/big', { headers: { range: 'bytes=-4' } })
  assert.match(cacheStatus(hit), /hit/)
  assert.equal(await hit.text(), BIG.subarray(-4).toString())
  let got = 0
  const chunks: Buffer[] = []
  stalled.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    got += chunk.length
  })
  stalled.resume()
  await within(() => got > BIG.length, 'the stalled reader gets the rest')
  const whole = Buffer.concat(chunks)
  assert.ok(whole.subarray(whole.indexOf('\r\n\r\n') + 4).equals(BIG))
})

test('what is not stored comes no faster than its one reader takes it', async () => {
  let sent = 0
  const port = await httpOrigin((_, response) => {
    response.writeHead(200, { 'cache-control': 'no-store' })
    const chunk = Buffer.alloc(64 * 1024)
    const more = () => {
      while (sent < 200 * 1024 * 1024) {
        sent += chunk.length
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
      response.end()
    }
    more()
  })
  const edge = await edgeFor(port)
  const stalled = await stalledClient(edge, '/endless')
  let before = -1
  // Until nothing moves any more: the buffers of two kernels and of the edge are full.
  await within(() => {
    const isStill = sent > 0 && sent === before
    before = sent
    return isStill
  }, 'the origin is held back')
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.ok(sent < 40 * 1024 * 1024, `${sent} bytes went out to a reader that takes none`)
  stalled.destroy()
})

test('answers that cannot be shared do not queue', async () => {
  const waiting: ServerResponse[] = []
  const port = await httpOrigin((_, response) => {
    waiting.push(response)
  })
  const edge = await edgeFor(port)
  const answer = (response: ServerResponse) => {
    response.writeHead(200, { 'cache-control': 'private' })
    response.end('mine')
  }
  const first = [1, 2, 3].map(() => ask(edge, '/private'))
  await within(() => waiting.length === 1, 'one asks, the others wait')
  answer(waiting[0]!)
  // The answer is nobody else's, so those who waited ask side by side.
  await within(() => waiting.length === 3, 'the others ask for themselves')
  for (const response of waiting.slice(1)) answer(response)
  for (const response of await Promise.all(first)) assert.equal(await response.text(), 'mine')
  const next = [1, 2].map(() => ask(edge, '/private'))
  await within(() => waiting.length === 5, 'the next do not wait at all')
  for (const response of waiting.slice(3)) answer(response)
  await Promise.all(next)
})

test('variants fill side by side once Vary is known', async () => {
  const waiting: { request: IncomingMessage; response: ServerResponse }[] = []
  const port = await httpOrigin((request, response) => waiting.push({ request, response }))
  const edge = await edgeFor(port)
  const answer = ({ request, response }: (typeof waiting)[number]) => {
    response.writeHead(200, { 'cache-control': 'max-age=60', vary: 'x-shape' })
    response.end(request.headers['x-shape'])
  }
  const shapes = ['round', 'round', 'square', 'square', 'flat']
  const answers = shapes.map((shape) => ask(edge, '/v', { headers: { 'x-shape': shape } }))
  await within(() => waiting.length === 1, 'one asks')
  answer(waiting[0]!)
  await within(() => waiting.length === 3, 'each other variant asks once, at the same time')
  for (const one of waiting.slice(1)) answer(one)
  assert.deepEqual(await Promise.all(answers.map(async (one) => (await one).text())), shapes)
})

test('a purge while a fill is under way: those who waited get it, those who come after do not', async () => {
  const waiting: ServerResponse[] = []
  const port = await httpOrigin((_, response) => waiting.push(response))
  const edge = await edgeFor(port)
  const before = ask(edge, '/p')
  await within(() => waiting.length === 1, 'the fill begins')
  edge.store.purge({ all: true })
  const afterwards = ask(edge, '/p')
  await within(() => waiting.length === 2, 'the later request asks anew')
  waiting.forEach((response, index) => {
    response.writeHead(200, { 'cache-control': 'max-age=60' })
    response.end(`answer ${index}`)
  })
  assert.equal(await (await before).text(), 'answer 0')
  assert.equal(await (await afterwards).text(), 'answer 1')
  assert.equal(await (await ask(edge, '/p')).text(), 'answer 1')
})

test('an unsafe request that succeeds outdates what is stored, and a fill under way', async () => {
  let version = 1
  let held: ServerResponse | null = null
  const port = await httpOrigin((request, response) => {
    response.setHeader('cache-control', 'max-age=60')
    if (request.method === 'POST') version++
    if (request.url === '/held' && held === null) held = response
    else response.end(`version ${version}`)
  })
  const edge = await edgeFor(port)
  assert.equal(await (await ask(edge, '/a')).text(), 'version 1')
  const early = ask(edge, '/held')
  await within(() => held !== null, 'a fill is under way')
  for (const path of ['/a', '/held']) await (await ask(edge, path, { method: 'POST', body: 'x' })).text()
  held!.end('version 1')
  assert.equal(await (await early).text(), 'version 1')
  for (const path of ['/a', '/held']) assert.equal(await (await ask(edge, path)).text(), 'version 3')
})

test('stale-while-revalidate: served at once, validated once behind', async () => {
  let asked = 0
  const validated: (string | undefined)[] = []
  const port = await httpOrigin((request, response) => {
    asked++
    validated.push(request.headers['if-none-match'])
    response.setHeader('cache-control', asked === 1 ? 'max-age=0, stale-while-revalidate=60' : 'max-age=60')
    response.setHeader('etag', '"a"')
    if (request.headers['if-none-match'] === '"a"') response.writeHead(304).end()
    else response.end('body')
  })
  const edge = await edgeFor(port)
  await (await ask(edge, '/s')).text()
  const stale = await Promise.all([1, 2, 3].map(() => ask(edge, '/s')))
  for (const response of stale) assert.equal(await response.text(), 'body')
  await within(() => asked === 2, 'it is validated')
  await within(() => edge.store.find(`127.0.0.1/s`)[0]?.head.lifetimeSeconds === 60, 'the stored head is new')
  assert.match(cacheStatus(await ask(edge, '/s')), /hit; ttl=(59|60)/)
  assert.deepEqual(validated, [undefined, '"a"'])
})

test('stale-if-error hides an error of the origin, and only that', async () => {
  let isBroken = false
  const port = await httpOrigin((request, response) => {
    if (isBroken) response.writeHead(503).end('broken')
    else
      response
        .writeHead(200, {
          'cache-control': request.url === '/a' ? 'max-age=0, stale-if-error=60' : 'max-age=0',
          etag: '"a"',
        })
        .end('good')
  })
  const edge = await edgeFor(port)
  for (const path of ['/a', '/b']) await (await ask(edge, path)).text()
  isBroken = true
  const hidden = await ask(edge, '/a')
  assert.deepEqual([hidden.status, await hidden.text()], [200, 'good'])
  assert.match(cacheStatus(hidden), /fwd-status=503/)
  assert.equal((await ask(edge, '/b')).status, 503)
})

test('an origin that just failed is not waited for again while what is stored may serve', async () => {
  let asked = 0
  const port = await rawOrigin((socket) => {
    socket.on('data', () => {
      asked++
      if (asked === 1)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=0\r\nETag: "a"\r\n\r\ngood')
      // From then on it never answers.
    })
  })
  const edge = await edgeFor(port, {}, { limits: { ...DEFAULT_SERVER_LIMITS, firstByteMs: 200 }, attempts: 1 })
  await (await ask(edge, '/a')).text()
  assert.match(cacheStatus(await ask(edge, '/a')), /origin-unreachable/)
  const before = asked
  for (let i = 0; i < 5; i++) {
    const response = await ask(edge, '/a')
    assert.match(cacheStatus(response), /hit; ttl=-\d+; detail=origin-in-trouble/)
    assert.equal(await response.text(), 'good')
  }
  assert.equal(asked, before)
})

test('origins that are down, silent, slow or half-closed cost an error, not a hang', async () => {
  const limits = { ...DEFAULT_SERVER_LIMITS, connectMs: 400, firstByteMs: 300, betweenBytesMs: 300 }
  const down = await edgeFor(1, {}, { limits })
  assert.equal((await ask(down, '/')).status, 502)
  const silent = await edgeFor(await rawOrigin(() => {}), {}, { limits })
  assert.equal((await ask(silent, '/')).status, 504)
  const stuck = await edgeFor(
    await rawOrigin((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\nabc'),
    ),
    {},
    { limits },
  )
  await assert.rejects(ask(stuck, '/').then((response) => response.text()))
  assert.equal(stuck.store.stats().objects, 0)
  const halfClosed = await edgeFor(
    await rawOrigin((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\nabc'),
    ),
    {},
    { limits },
  )
  await assert.rejects(ask(halfClosed, '/').then((response) => response.text()))
  assert.equal(halfClosed.store.stats().objects, 0)
})

test('malformed answers are refused, not guessed at', async () => {
  for (const answer of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef',
    'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 1\n\na',
    'HTTP/2.0 200 OK\r\n\r\n',
    'nonsense\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n',
  ]) {
    const edge = await edgeFor(await rawOrigin((socket) => socket.end(answer)))
    assert.equal((await ask(edge, '/')).status, 502, answer)
  }
  const edge = await edgeFor(
    await rawOrigin((socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeX')),
  )
  await assert.rejects(ask(edge, '/').then((response) => response.text()))
})

test('fail-over: a server that is away costs nothing, one that comes back is used again', async () => {
  const good = await httpOrigin((_, response) => response.end('good'))
  const pool = poolAt('two', `http://127.0.0.1:${good}`, {
    servers: [serverAt('http://127.0.0.1:1'), serverAt(`http://127.0.0.1:${good}`)],
    limits: { ...DEFAULT_SERVER_LIMITS, faults: 2, restMs: 50 },
  })
  const edge = await startPlainEdge({ pool })
  closers.push(edge.close)
  for (let i = 0; i < 6; i++) assert.equal(await (await ask(edge, `/${i}`)).text(), 'good')
  const [bad] = pool.servers
  assert.equal(bad!.healthy(Date.now()), false)
  assert.equal(bad!.healthy(Date.now() + 60), true)
  // A body that an origin may have read is not sent twice; one that no connection took may go to the next.
  assert.equal((await ask(edge, '/post', { method: 'POST', body: 'x' })).status, 200)
})

test('a kept connection that the origin closed is no fault: the request goes again on a new one', async () => {
  let connections = 0
  const port = await rawOrigin((socket) => {
    connections++
    let answered = 0
    socket.on('data', () => {
      answered++
      if (answered === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      // Reads the second request on the connection and closes, as an origin does whose keep-alive just ran out.
      else socket.destroy()
    })
  })
  const edge = await edgeFor(port)
  for (let i = 0; i < 3; i++) assert.equal(await (await ask(edge, `/${i}`)).text(), 'ok')
  assert.equal(connections, 3)
})

test('connections to a server are bounded; requests wait their turn, and not for ever', async () => {
  let open = 0
  let most = 0
  const port = await httpOrigin((_, response) => {
    open++
    most = Math.max(most, open)
    setTimeout(() => {
      open--
      response.end('ok')
    }, 30)
  })
  const limits = { ...DEFAULT_SERVER_LIMITS, connections: 2, waiting: 4, waitMs: 5_000 }
  const edge = await edgeFor(port, {}, { limits, attempts: 1 })
  const answers = await Promise.all(Array.from({ length: 9 }, (_, i) => ask(edge, `/${i}`)))
  const statuses = answers.map(({ status }) => status).sort()
  assert.equal(most, 2)
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 200, 503, 503, 503])
})
