/** The front as clients meet it: TLS by name, resumption, HTTP/2, PROXY protocol, limits, drain. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createOrigin } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Certificate } from '../../src/edge/front/certificates.ts'
import type { TlsSettings } from '../../src/edge/front/listener.ts'
import { startEdge } from '../../src/edge/main.ts'
import { type BothWays, startBothWays } from './support/both-ways.ts'
import { answersIn, exchange } from './support/wire.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-front-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function certificate(name: string, names: string[]): Certificate {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  const alternatives = names.map((each) => `DNS:${each}`).join(',')
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
      '-addext',
      `subjectAltName=${alternatives}`,
      '-keyout',
      key,
      '-out',
      cert,
    ],
    { stdio: 'ignore' },
  )
  return { names, certificate: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
}

/** The origin says who asked, so that a test sees what the front made of it. */
const origin = (request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => {
  response.setHeader('cache-control', request.url === '/cached' ? 'max-age=1000' : 'no-store')
  if (request.url === '/large') response.end(Buffer.alloc(8 * 1024 * 1024, 'x'))
  else response.end(`${request.method} ${request.headers['x-forwarded-for']} ${request.headers['x-forwarded-proto']}`)
}
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${more}\r\n`

const closed = (socket: Socket) =>
  new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })

describe('TLS', () => {
  let ways: BothWays
  let port: number
  let settings: TlsSettings
  let swap: (settings: TlsSettings) => void
  before(async () => {
    ways = await startBothWays(origin)
    settings = {
      certificates: [
        certificate('first.example', ['first.example']),
        certificate('wild', ['*.shop.example', 'shop.example']),
      ],
      minVersion: 'TLSv1.2',
      ticketKeys: Buffer.alloc(48, 7),
    }
    const listener = await ways.listen({ tls: settings })
    swap = (next) => listener.setTls(next)
    port = listener.address.port
  })
  after(() => ways.close())

  const secure = (options: object = {}) =>
    new Promise<TLSSocket>((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () =>
        resolve(socket),
      )
      socket.on('error', reject)
    })
  const nameFor = async (servername?: string) => {
    const socket = await secure(servername ? { servername } : {})
    const { CN } = socket.getPeerCertificate().subject
    socket.destroy()
    return CN
  }

  test('each name gets its certificate, an unknown one the first', async () => {
    assert.equal(await nameFor('first.example'), 'first.example')
    assert.equal(await nameFor('www.shop.example'), 'wild')
    assert.equal(await nameFor('shop.example'), 'wild')
    assert.equal(await nameFor('a.b.shop.example'), 'first.example')
    assert.equal(await nameFor('other.example'), 'first.example')
    assert.equal(await nameFor(), 'first.example')
  })

  test('1.2 and 1.3 are spoken, 1.1 is not; a session is resumed in both', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { minVersion: version, maxVersion: version, servername: 'www.shop.example' }
      const first = await secure(options)
      assert.equal(first.getProtocol(), version)
      const session = new Promise<Buffer>((resolve) => first.on('session', resolve))
      first.write(get('/cached'))
      // 1.2 has its ticket with the handshake, 1.3 gets it behind.
      const kept = version === 'TLSv1.2' ? first.getSession()! : await session
      first.destroy()
      const second = await secure({ ...options, session: kept })
      assert.equal(second.isSessionReused(), true, version)
      second.destroy()
    }
    await assert.rejects(secure({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' }))
  })

  test('hits come the fast way, HTTP/2 by ALPN; the scheme is https', async () => {
    const socket = await secure({ ALPNProtocols: ['http/1.1'] })
    const all = closed(socket)
    socket.write(get('/cached') + get('/who'))
    socket.end()
    const answers = answersIn(await all, ['GET', 'GET'])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200],
    )
    assert.equal(answers[1]!.body, 'GET 127.0.0.1 https')

    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    const stream = session.request({ ':path': '/who', ':authority': 'a.example' })
    let body = ''
    for await (const chunk of stream) body += chunk
    assert.equal(body, 'GET 127.0.0.1 https')
    session.destroy()
  })

  test('new certificates are for new handshakes; what is open goes on', async () => {
    const open = await secure({ servername: 'first.example' })
    const all = closed(open)
    swap({ ...settings, certificates: [certificate('second.example', ['second.example'])] })
    assert.equal(await nameFor('first.example'), 'second.example')
    assert.throws(() => swap({ ...settings, certificates: [{ names: [], certificate: 'x', key: 'y' }] }))
    assert.equal(await nameFor('first.example'), 'second.example')
    open.write(get('/who'))
    open.end()
    assert.equal(answersIn(await all, [])[0]!.status, 200)
    swap(settings)
  })

  test('a client that does not finish its handshake, or speaks something else, is let go', async () => {
    const plain = connect(port, '127.0.0.1')
    const all = closed(plain)
    plain.write('GET / HTTP/1.1\r\n\r\n')
    assert.equal(await all, '')
  })
})

describe('PROXY protocol', () => {
  let ways: BothWays
  let plain: number
  let secured: number
  before(async () => {
    ways = await startBothWays(origin)
    plain = (await ways.listen({ proxies: ['127.0.0.0/8'] })).address.port
    const certificates = [certificate('proxied', ['a.example'])]
    secured = (
      await ways.listen({
        proxies: ['127.0.0.1'],
        tls: { certificates, minVersion: 'TLSv1.2', ticketKeys: Buffer.alloc(48) },
      })
    ).address.port
  })
  after(() => ways.close())
  const signature = '\r\n\r\n\0\r\nQUIT\n'
  const version2 = `${signature}\x21\x11\0\x0c\xc6\x33\x64\x07\x7f\0\0\x01\x30\x39\x01\xbb`

  test('version 1 and 2 name the client, wherever they are cut', async () => {
    for (const [header, address] of [
      ['PROXY TCP4 198.51.100.7 127.0.0.1 4444 443\r\n', '198.51.100.7'],
      ['PROXY TCP6 2001:db8::7 ::1 4444 443\r\n', '2001:db8::7'],
      ['PROXY UNKNOWN\r\n', '127.0.0.1'],
      [version2, '198.51.100.7'],
      [`${signature}\x20\0\0\0`, '127.0.0.1'],
    ] as const)
      for (const cut of [0, 1, 7, header.length - 1]) {
        const text = header + get('/who')
        const [answer] = answersIn(await exchange(plain, [text.slice(0, cut), text.slice(cut)]), [])
        assert.equal(answer?.body, `GET ${address} http`, JSON.stringify([header, cut]))
      }
  })

  test('it stands before TLS', async () => {
    const raw = connect(secured, '127.0.0.1')
    await new Promise<void>((resolve) => raw.write('PROXY TCP4 198.51.100.9 127.0.0.1 4444 443\r\n', () => resolve()))
    const socket = connectTls({ socket: raw, rejectUnauthorized: false, servername: 'a.example' })
    const all = closed(socket)
    socket.end(get('/who'))
    assert.equal(answersIn(await all, [])[0]!.body, 'GET 198.51.100.9 https')
  })

  test('without a header, or with a wrong one, nothing is answered', async () => {
    for (const text of [
      get('/who'),
      'PROXY TCP4 x y 1 2\r\n',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n',
      `PROXY ${'x'.repeat(200)}`,
      signature.replace('Q', 'q'),
    ])
      assert.equal(await exchange(plain, [text + get('/who')]), '', JSON.stringify(text.slice(0, 40)))
    const other = await ways.listen({ proxies: ['203.0.113.0/24'] })
    assert.equal(await exchange(other.address.port, [`PROXY UNKNOWN\r\n${get('/who')}`]), '')
  })
})

describe('limits', () => {
  test('a head that does not end is 408, on both ways and after an answer', async () => {
    const ways = await startBothWays(origin, { limits: { headMs: 300 } })
    const slow = connect(ways.port.fast, '127.0.0.1')
    const slowExact = connect(ways.port.fast, '127.0.0.1')
    const [fast, exact] = [closed(slow), closed(slowExact)]
    slow.write(`${get('/cached')}GET /slow HTTP/1.1\r\nHost:`)
    slowExact.write('POST /slow HTTP/1.1\r\nHost:')
    assert.deepEqual(
      answersIn(await fast, []).map(({ status }) => status),
      [200, 408],
    )
    assert.deepEqual(
      answersIn(await exact, []).map(({ status }) => status),
      [408],
    )
    await ways.close()
  })

  test('an idle connection is closed; one more than an address may have is not taken', async () => {
    const ways = await startBothWays(origin, { limits: { idleMs: 300, connectionsPerAddressMax: 2 } })
    const first = connect(ways.port.fast, '127.0.0.1')
    const second = connect(ways.port.fast, '127.0.0.1')
    const [one, two] = [closed(first), closed(second)]
    for (const socket of [first, second])
      await new Promise<void>((resolve) => socket.write(get('/cached'), () => resolve()))
    await new Promise<void>((resolve) => second.once('data', () => resolve()))
    assert.equal(await exchange(ways.port.fast, [get('/cached')]), '')
    assert.equal(ways.front.fast.counters.refusedConnections, 1)
    assert.equal(answersIn(await one, []).length, 1)
    assert.equal(answersIn(await two, []).length, 1)
    await ways.close()
  })

  test('a reader that takes nothing is let go after a while, and holds no more than its socket', async () => {
    const ways = await startBothWays(origin, { limits: { rateWindowMs: 500, rateMinBytesPerSecond: 1_000 } })
    const reader = connect(ways.port.fast, '127.0.0.1')
    reader.pause()
    const gone = new Promise((resolve) => reader.on('close', resolve))
    reader.on('error', () => {})
    reader.write(get('/large'))
    while (ways.front.fast.counters.tooSlow === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    reader.resume()
    await gone
    assert.ok(reader.bytesRead < 8 * 1024 * 1024)
    await ways.close()
  })
})

test('a miss leaves its connection on the fast way, and holds up no other', async () => {
  const waiting: (() => void)[] = []
  const ways = await startBothWays((request, response) => {
    response.setHeader('cache-control', request.url === '/cached' ? 'max-age=1000' : 'no-store')
    if (request.url === '/slow') waiting.push(() => response.end('late'))
    else response.end('soon')
  })
  const { port, front } = ways
  await exchange(port.fast, [get('/cached')])
  const slow = connect(port.fast, '127.0.0.1')
  const all = closed(slow)
  slow.write(get('/slow') + get('/cached') + get('/miss') + get('/cached'))
  slow.end()
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
  // The slow one is at the origin; others are answered, hits and misses alike.
  for (const path of ['/cached', '/miss'])
    assert.equal(answersIn(await exchange(port.fast, [get(path)]), [])[0]!.body, 'soon')
  waiting[0]!()
  assert.deepEqual(
    answersIn(await all, []).map(({ body }) => body),
    ['late', 'soon', 'soon', 'soon'],
  )
  assert.equal(front.fast.counters.handedOver, 0)
  await ways.close()
})

test('a WebSocket passes through, both ways and in full, and so does a long upload', async () => {
  const server = createOrigin((request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    request.on('end', () => response.end(String(bytes)))
  })
  server.on('upgrade', (request, socket, head) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
    )
    socket.write(head)
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port: originPort } = server.address() as AddressInfo
  const edge = await startEdge({ origin: `http://127.0.0.1:${originPort}` }, { listen: '127.0.0.1:0', admin: false })
  const port = Number(new URL(edge.addresses.http[0]!).port)
  try {
    const socket = connect(port, '127.0.0.1')
    const sent = 'x'.repeat(3 * 1024 * 1024)
    let got = ''
    const echoed = new Promise<void>((resolve) =>
      socket.on('data', (chunk: Buffer) => {
        got += chunk.toString('latin1')
        if (got.length >= got.indexOf('\r\n\r\n') + 4 + sent.length) resolve()
      }),
    )
    socket.write(get('/chat', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n') + sent)
    await echoed
    assert.match(got, /^HTTP\/1\.1 101 /)
    assert.ok(got.endsWith(sent))
    socket.destroy()
    const counted = async () => (await edge.live()).find(({ bytesIn }) => bytesIn > sent.length)
    while ((await counted()) === undefined) await new Promise((resolve) => setImmediate(resolve))
    const usage = (await counted())!
    assert.equal(usage.requests, 1)
    assert.ok(usage.bytesOut > sent.length)
    assert.equal(usage.byClass[0], 1)

    const body = 'y'.repeat(3 * 1024 * 1024)
    const head = `POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: ${body.length}\r\n\r\n`
    const [answer] = answersIn(await exchange(port, [head, body]), ['POST'])
    assert.equal(answer!.body, String(body.length))
  } finally {
    await edge.close()
    server.closeAllConnections()
    server.close()
  }
})

test('a body that does not come is 408', async () => {
  const whole: typeof origin = (request, response) => request.resume().on('end', () => response.end())
  const ways = await startBothWays(whole, { limits: { rateWindowMs: 500, rateMinBytesPerSecond: 1_000 } })
  const slow = connect(ways.port.fast, '127.0.0.1')
  const all = closed(slow)
  slow.write('POST /who HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nabc')
  assert.deepEqual(
    answersIn(await all, []).map(({ status }) => status),
    [408],
  )
  await ways.close()
})

test('draining lets idle connections go, answers what is asked, and takes no more', async () => {
  let release: () => void = () => {}
  const asked = new Promise<void>((resolve) => {
    release = resolve
  })
  let arrived: () => void = () => {}
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const ways = await startBothWays((request, response) => {
    request.resume()
    arrived()
    void asked.then(() => response.writeHead(200, { 'cache-control': 'no-store' }).end('done'))
  })
  const idle = connect(ways.port.fast, '127.0.0.1')
  const busy = connect(ways.port.fast, '127.0.0.1')
  const [nothing, something] = [closed(idle), closed(busy)]
  busy.write(get('/slow'))
  await arrival
  while (ways.front.fast.counters.connections < 2) await new Promise((resolve) => setImmediate(resolve))
  const drained = ways.front.fast.drain()
  assert.equal(await nothing, '')
  release()
  const [answer] = answersIn(await something, [])
  assert.equal(answer!.body, 'done')
  assert.ok(answer!.fields.includes('connection: close'))
  await drained
  await ways.close()
})
