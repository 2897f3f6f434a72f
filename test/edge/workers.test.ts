/**
 * An edge of two workers behaves as one: each object is fetched once, a purge and a reload are in force in both before the
 * answer, figures are summed, and the end of one costs the other nothing.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, type IncomingHttpHeaders, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startEdge } from '../../src/edge/main.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-workers-'))
const asked: string[] = []
/** Answers that wait until they are let go. */
const held: ServerResponse[] = []
let version = 1
const origin = createServer((message, response) => {
  const path = message.url!
  asked.push(`${message.method} ${path}`)
  if (path.startsWith('/gone')) {
    message.socket.destroy()
    return
  }
  const [, kind] = path.split('/')
  response.setHeader('cache-control', kind === 'private' ? 'no-store' : kind === 'brief' ? 'max-age=0' : 'max-age=600')
  response.setHeader('cache-tag', `t-${kind}`)
  response.setHeader('etag', `"${version}"`)
  response.setHeader('x-from', String(message.headers['x-forwarded-for']))
  if (message.headers['if-none-match'] === `"${version}"`) {
    response.writeHead(304).end()
    return
  }
  if (kind === 'held') held.push(response)
  else response.end(kind === 'large' ? 'x'.repeat(300_000) : `${path} ${version}`)
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const file = join(folder, 'edge.json')
const write = (mark: string, more: object = {}) =>
  writeFileSync(
    file,
    JSON.stringify({
      workers: 2,
      listen: { http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      store: { memory: '64 MB', disk: { folder: 'store', size: '64 MB' } },
      usage: { folder: 'usage' },
      properties: [
        {
          name: 'all',
          hosts: ['*'],
          origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
          response: { set: { 'x-mark': mark }, append: { 'x-once': 'yes' } },
          ...more,
        },
      ],
    }),
  )
write('0')
const edge = await startEdge({ file })
const { port } = new URL(edge.addresses.http[0]!)
after(async () => {
  await edge.close()
  origin.close()
  origin.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

interface Got {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

function get(
  path: string,
  { agent, ...options }: { agent?: Agent; method?: string; headers?: object } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        port,
        host: '127.0.0.1',
        path,
        agent: agent ?? false,
        ...options,
        headers: { host: 'a.example', ...options.headers },
      },
      (response) => {
        let body = ''
        response.setEncoding('latin1')
        response.on('data', (chunk) => (body += chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
      },
    )
    sent.on('error', reject)
    sent.end()
  })
}

const admin = async (path: string, body?: unknown) =>
  (
    await fetch(edge.addresses.admin + path, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })
  ).json() as Promise<Record<string, number>>

const agents: Agent[] = []
/** Connections enough that both workers have some: 2^-15 that they have not. */
for (let i = 0; i < 16; i++) agents.push(new Agent({ keepAlive: true, maxSockets: 1 }))
after(() => {
  for (const agent of agents) agent.destroy()
})
/** The same from all connections, so from both workers. */
const fromAll = (path: string, options: object = {}) =>
  Promise.all(agents.map((agent) => get(path, { agent, ...options })))

test('one fill for all who ask at once, whichever worker they came to; then hits in both', async () => {
  const waiting = fromAll('/held/1')
  while (held.length === 0) await new Promise((resolve) => setImmediate(resolve))
  // Every connection has asked once the edge says so: nothing tells this from outside but the origin being asked once.
  held.splice(0)[0]!.end('late')
  for (const { body, headers } of await waiting) {
    assert.equal(body, 'late')
    assert.equal(headers['x-once'], 'yes')
    assert.equal(headers['x-from'], '127.0.0.1')
    assert.equal(headers['izumi-result'], undefined)
  }
  assert.deepEqual(
    asked.filter((each) => each.endsWith('/held/1')),
    ['GET /held/1'],
  )
  for (const { headers } of await fromAll('/held/1'))
    assert.match(headers['cache-status'] as string, /^izumi; hit; ttl=\d+$/)
})

test('what one worker owns the other serves as it is: ranges, conditions, large bodies, HEAD', async () => {
  for (const { body } of await fromAll('/large/1')) assert.equal(body.length, 300_000)
  for (const each of await fromAll('/large/1', { headers: { range: 'bytes=10-19' } })) assert.equal(each.status, 206)
  for (const each of await fromAll('/large/1', { headers: { 'if-none-match': '"1"' } })) assert.equal(each.status, 304)
  for (const each of await fromAll('/large/1', { method: 'HEAD' }))
    assert.equal(each.headers['content-length'], '300000')
  assert.equal(asked.filter((each) => each.endsWith('/large/1')).length, 1)
})

test('a purge is in force in both when it is answered, under load and with fills under way', async () => {
  let stop = false
  const load = agents.map(async (agent, index) => {
    for (let i = 0; !stop; i++) assert.equal((await get(`/load/${(i + index) % 50}`, { agent })).status, 200)
  })
  try {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 10; i++) await get(`/load/${i}`)
      version++
      await admin('/purge', { tag: 't-load' })
      for (let i = 0; i < 12; i++) assert.match((await get(`/load/${i}`)).body, new RegExp(` ${version}$`))
    }
  } finally {
    stop = true
  }
  await Promise.all(load)
  for (const { body } of await fromAll('/load/1')) assert.match(body, new RegExp(` ${version}$`))
})

test('what a POST makes invalid is so in both before the client hears of it', async () => {
  for (let i = 0; i < 8; i++) {
    await fromAll(`/posted/${i}`)
    version++
    assert.equal((await get(`/posted/${i}`, { method: 'POST' })).status, 200)
    for (const { body } of await fromAll(`/posted/${i}`)) assert.equal(body, `/posted/${i} ${version}`)
  }
})

test('validation, private answers and an origin that fails come through the owner as they are', async () => {
  await fromAll('/brief/1')
  for (const { body } of await fromAll('/brief/1')) assert.equal(body, `/brief/1 ${version}`)
  for (const { body, headers } of await fromAll('/private/1')) {
    assert.equal(body, `/private/1 ${version}`)
    assert.match(headers['cache-status'] as string, /^izumi; fwd=uri-miss/)
  }
  for (let i = 0; i < 4; i++)
    for (const each of await fromAll(`/gone/${i}`)) {
      assert.equal(each.status, 502)
      assert.equal(each.headers['cache-status']!.includes('izumi'), true)
    }
})

test('a reload is in force in both when it is answered, and a wrong one in neither', async () => {
  for (let round = 1; round <= 3; round++) {
    write(String(round))
    assert.equal((await admin('/reload', {})).properties, 1)
    for (const { headers } of await fromAll('/load/1')) assert.equal(headers['x-mark'], String(round))
  }
  write('wrong', { hosts: [] })
  await assert.rejects(edge.reload(), /hosts/)
  for (const { headers } of await fromAll('/load/1')) assert.equal(headers['x-mark'], '3')
})

test('figures and usage are those of both together, each counted once', async () => {
  const requests = async () => (await edge.live()).reduce((sum, each) => sum + each.requests, 0)
  const before = await requests()
  await fromAll('/load/1')
  await fromAll('/counted/1')
  assert.equal((await requests()) - before, 2 * agents.length)
  const health = await admin('/health')
  assert.equal(health.workers, 2)
  assert.ok(health.objects! > 0)
  const metrics = await (await fetch(`${edge.addresses.admin}/metrics`)).text()
  const total = [...metrics.matchAll(/requests_total\{.*\} (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
  assert.equal(total, await requests())
  for (const path of ['/load/1', '/load/2', '/load/3', '/load/4', '/never'])
    assert.equal((await admin(`/explain?url=http://a.example${path}`)).result, path === '/never' ? 'miss' : 'hit')
})

test('one that is killed is started again; the other serves on, and what was purged meanwhile stays purged', async () => {
  await fromAll('/kill/1')
  const [first] = edge.workers
  const usage = (await edge.live()).reduce((sum, each) => sum + each.requests, 0)
  version++
  process.kill(first!, 'SIGKILL')
  await admin('/purge', { tag: 't-kill' })
  assert.equal((await admin('/health')).workers, 2)
  assert.equal(edge.workers.length, 2)
  assert.equal(edge.workers.includes(first!), false)
  const answers = await Promise.all(agents.map((agent) => get('/kill/1', { agent }).catch(() => get('/kill/1'))))
  for (const { body } of answers) assert.equal(body, `/kill/1 ${version}`)
  assert.ok((await edge.live()).reduce((sum, each) => sum + each.requests, 0) >= usage)
})

test('all of it ends when it is drained, and is there again when it is started again', async () => {
  await fromAll('/again/1')
  const count = asked.length
  await edge.drain()
  assert.deepEqual(edge.workers, [])
  write('4')
  const again = await startEdge({ file }, { admin: false })
  const response = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    request(`${again.addresses.http[0]}/again/1`, { headers: { host: 'a.example' } }, (each) =>
      resolve(each.resume().headers),
    )
      .on('error', reject)
      .end()
  })
  await again.close()
  assert.match(response['cache-status'] as string, /hit/)
  assert.equal(asked.length, count)
})
