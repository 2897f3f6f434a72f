/**
 * Origins beyond plain HTTP: TLS with verification and SNI, active health, parents chosen by key, and WebSocket passed through.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { poolAt, poolFrom, serverAt } from '../../src/edge/origin/settings.ts'
import { type PlainEdge, startPlainEdge } from './support/plain-edge.ts'

const closers: (() => void | Promise<void>)[] = []
after(async () => {
  for (const close of closers.reverse()) await close()
})

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}
async function edgeOf(pool: ReturnType<typeof poolAt>): Promise<PlainEdge> {
  const edge = await startPlainEdge({ pool })
  closers.push(edge.close)
  return edge
}
const ask = (edge: PlainEdge, path: string) => fetch(`http://127.0.0.1:${edge.port}${path}`)
const within = async (condition: () => boolean, what: string) => {
  for (let i = 0; i < 500; i++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  assert.fail(`this did not come about: ${what}`)
}

test('an origin over TLS is verified, by the name it is asked for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-origin-tls-'))
  closers.push(() => rmSync(folder, { recursive: true, force: true }))
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const wanted = ['-subj', '/CN=origin.example', '-addext', 'subjectAltName=DNS:origin.example', '-days', '2', '-nodes']
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      ...wanted,
      '-keyout',
      key,
      '-out',
      certificate,
    ],
    { stdio: 'ignore' },
  )
  const names: (string | false)[] = []
  const server = createSecureServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    ({ socket }, response) => {
      names.push((socket as TLSSocket & { servername: string | false }).servername)
      response.end('secret')
    },
  )
  const port = await listening(server as unknown as Server)
  const authorities = readFileSync(certificate, 'utf8')
  const over = async (tls: { name?: string; authorities?: string; verify?: boolean }) =>
    ask(await edgeOf(poolFrom('tls', { servers: [{ address: `https://127.0.0.1:${port}`, tls }] })), '/')

  const trusted = await over({ name: 'origin.example', authorities })
  assert.deepEqual([trusted.status, await trusted.text()], [200, 'secret'])
  assert.deepEqual(names, ['origin.example'])
  assert.equal((await over({ name: 'other.example', authorities })).status, 502)
  assert.equal((await over({ name: 'origin.example' })).status, 502)
  assert.equal((await over({ verify: false })).status, 200)
  assert.equal(names.length, 2)
})

test('checks take a server out and in again', async () => {
  let isWell = true
  const sick = await listening(
    createServer((request, response) => {
      if (request.url === '/health') response.writeHead(isWell ? 204 : 500).end()
      else response.end('first')
    }),
  )
  const other = await listening(
    createServer((request, response) => response.end(request.url === '/health' ? '' : 'second')),
  )
  const pool = poolFrom('checked', {
    servers: [`http://127.0.0.1:${sick}`, { address: `http://127.0.0.1:${other}`, backup: true }],
    check: { path: '/health', everyMs: 20, bad: 2, good: 2 },
  })
  const edge = await edgeOf(pool)
  const [first, backup] = pool.servers
  assert.equal(await (await ask(edge, '/1')).text(), 'first')
  isWell = false
  await within(() => !first!.healthy(Date.now()), 'the sick server is out')
  assert.equal(await (await ask(edge, '/2')).text(), 'second')
  isWell = true
  await within(() => first!.healthy(Date.now()), 'the well server is in')
  assert.equal(await (await ask(edge, '/3')).text(), 'first')
  assert.equal(backup!.healthy(Date.now()), true)
})

test('parents are chosen by key: each object has one home, and another when that is away', async () => {
  const seen: Record<string, string>[] = [{}, {}, {}]
  const ports = await Promise.all(
    seen.map((mine, i) =>
      listening(
        createServer((request, response) => {
          mine[request.url!] = 'seen'
          response.writeHead(200, { 'cache-control': 'max-age=60' }).end(`parent ${i}`)
        }),
      ),
    ),
  )
  const servers = [...ports, 1].map((port) => `http://127.0.0.1:${port}`)
  // Two edges that know the same parents agree on the home of each object, also about the one that is away.
  for (let edgeNumber = 0; edgeNumber < 2; edgeNumber++) {
    const edge = await edgeOf(poolFrom('parents', { servers, choose: 'hash' }))
    for (let i = 0; i < 40; i++) assert.equal((await ask(edge, `/object/${i}`)).status, 200)
  }
  assert.equal(
    seen.map((mine) => Object.keys(mine).length).reduce((a, b) => a + b),
    40,
  )
  for (const mine of seen) assert.ok(Object.keys(mine).length > 4)
})

test('a chain of edges with one name works; a loop is refused', async () => {
  const origin = await listening(createServer((request, response) => response.end(request.headers['cdn-loop'])))
  const parent = await edgeOf(poolAt('origin', `http://127.0.0.1:${origin}`))
  const shield = await edgeOf(poolAt('parent', `http://127.0.0.1:${parent.port}`))
  assert.equal(await (await ask(shield, '/')).text(), 'izumi, izumi')
  const self = await startPlainEdge({
    pool: { name: 'self', request: (...all) => target.request(...all), close: () => {} },
  })
  closers.push(self.close)
  const target = poolAt('self', `http://127.0.0.1:${self.port}`)
  closers.push(() => target.close())
  const looped = await fetch(`http://127.0.0.1:${self.port}/`, { method: 'POST', body: 'x' })
  assert.equal(looped.status, 508)
})

test('WebSocket passes through in both directions; a refusal comes back as it is', async () => {
  const server = createServer((_, response) => response.writeHead(403).end('not you'))
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/no') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nnot you')
      return
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Head: ${head.length}\r\n\r\nhello`,
    )
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    socket.on('error', () => socket.destroy())
  })
  const edge = await edgeOf(poolAt('origin', `http://127.0.0.1:${await listening(server)}`))
  const open = async (path: string) => {
    const socket = connect({ port: edge.port, host: '127.0.0.1' })
    closers.push(() => void socket.destroy())
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n`,
    )
    return { socket, text: () => text }
  }
  const talk = await open('/yes')
  await within(() => talk.text().endsWith('\r\n\r\nhello'), 'the origin switches and speaks')
  assert.match(talk.text(), /^HTTP\/1\.1 101 /)
  talk.socket.write('one')
  await within(() => talk.text().endsWith('echo one'), 'it answers')
  const refused = await open('/no')
  await within(() => refused.text().endsWith('not you'), 'the refusal arrives')
  assert.match(refused.text(), /^HTTP\/1\.1 403 /)
})

test('addresses of origins: what they mean, and what is wrong with one', () => {
  assert.deepEqual(serverAt('http://[::1]:8080'), { host: '::1', port: 8080, weight: 1, backup: false, tls: null })
  assert.deepEqual(serverAt('https://a.example').tls, { name: 'a.example', authorities: null, verify: true })
  for (const [address, problem] of [
    ['nonsense', /no address/],
    ['ftp://a', /neither http nor https/],
    ['http://a/path', /has a path/],
  ] as const)
    assert.throws(() => serverAt(address), problem)
  assert.throws(() => poolFrom('p', { servers: [{ address: 'http://a', tls: {} }] }), /no TLS/)
})
