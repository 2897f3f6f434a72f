/** A whole edge from its configuration file: what a file says takes effect over HTTP, purges hold, a wrong file changes nothing. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ConfigRefused } from '../../src/edge/config/read.ts'
import { startEdge } from '../../src/edge/main.ts'
import type { EdgeStore } from '../../src/edge/store/store.ts'

const asked: string[] = []
const origin = createServer((request, response) => {
  asked.push(request.url!)
  const missing = request.url!.startsWith('/missing')
  response.writeHead(missing ? 404 : 200, {
    ...(missing ? {} : { 'cache-control': 'max-age=600' }),
    'cache-tag': 'all-of-it, odd',
    'cache-groups': '"g"',
    'x-secret': 'of the origin',
  })
  response.end(`${request.url} for ${request.headers['x-edge'] ?? 'nobody'}`)
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const { port } = origin.address() as { port: number }
const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-'))
const file = join(folder, 'edge.yaml')

const text = (more = '') => `
listen: { http: 127.0.0.1:0, admin: 127.0.0.1:0 }
store: { memory: 16 MB, disk: { folder: store, size: 64 MB } }
properties:
  - name: shop
    hosts: [shop.example, '*.shop.example']
    origin: http://127.0.0.1:${port}
    key: { query: { drop: ['utm_*'] }, sort: true }
    request: { set: { X-Edge: shop } }
    response: { remove: [X-Secret] }
    caching: { negative: { 404: 1m } }
    errorPages: { 404: { body: not here } }
    rules:
      - when: { path: /old/* }
        redirect: { to: 'https://shop.example/new/$1', status: 301 }
      - when: { path: /private/* }
        signed: { keys: [{ id: a, secret: 0123456789abcdef }] }
${more}`
writeFileSync(file, text())
const edge = await startEdge({ file })
after(async () => {
  await edge.close()
  origin.close()
  origin.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

const { request } = await import('node:http')

/** One request over HTTP with a Host of one's own, which fetch does not allow. */
function get(
  path: string,
  host = 'shop.example',
): Promise<{ status: number; headers: Record<string, string>; body: string }> {
  return new Promise((resolve, reject) => {
    request(`${edge.addresses.http[0]}${path}`, { headers: { host } }, (response) => {
      let body = ''
      response.on('data', (chunk) => (body += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers as Record<string, string>, body }),
      )
    })
      .on('error', reject)
      .end()
  })
}
const admin = async (path: string, body?: unknown) => {
  const response = await fetch(
    `${edge.addresses.admin}${path}`,
    body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
  )
  return { status: response.status, body: await response.text() }
}
const purge = async (selector: unknown) => JSON.parse((await admin('/purge', selector)).body) as { objects: number }
/** Whether a request reached the origin. */
const isFetched = async (path: string, host?: string) => {
  const before = asked.length
  await get(path, host)
  return asked.length > before
}

test('what the file says takes effect', async () => {
  const first = await get('/a?b=2&a=1&utm_source=x')
  assert.equal(first.body, '/a?b=2&a=1&utm_source=x for shop')
  assert.equal(first.headers['x-secret'], undefined)
  assert.equal(await isFetched('/a?a=1&b=2'), false)
  assert.equal((await get('/old/x y'.replace(' ', '%20'))).headers.location, 'https://shop.example/new/x%20y')
  assert.equal((await get('/private/x')).status, 403)
  assert.equal((await get('/%70rivate/x')).status, 403)
  assert.equal((await get('/', 'other.example')).status, 421)
  await get('/missing')
  assert.equal(await isFetched('/missing'), false)
})

test('purge by URL goes by the key that the property makes, whatever the spelling', async () => {
  await get('/p?b=2&a=1')
  assert.equal((await purge({ url: 'https://SHOP.example/p?utm_x=1&b=2&a=1' })).objects, 1)
  assert.equal(await isFetched('/p?a=1&b=2'), true)
})

test('purge by tag, prefix, group, property and all; each tells how many', async () => {
  const paths = ['/x/1', '/x/2', '/y/1']
  const fill = async () => {
    for (const path of paths) await get(path)
  }
  await purge({ all: true })
  for (const [selector, count] of [
    [{ tag: 'odd' }, 3],
    [{ tag: 'odd', property: 'shop' }, 3],
    [{ prefix: 'http://shop.example/x' }, 2],
    [{ group: 'g', origin: 'shop.example' }, 3],
    [{ property: 'shop' }, 3],
    [{ all: true }, 3],
  ] as const) {
    await purge({ all: true })
    // Until they are swept, objects that are gone count as well.
    await (edge.store as EdgeStore).swept()
    await fill()
    assert.equal((await purge(selector)).objects, count, JSON.stringify(selector))
    assert.equal(await isFetched('/x/1'), true)
    assert.equal(await isFetched('/y/1'), count === 3)
  }
  const wrong = async (selector: unknown) => (await admin('/purge', selector)).status
  assert.equal(await wrong({}), 400)
  assert.equal(await wrong({ tag: 'x', url: 'y' }), 400)
  assert.equal(await wrong({ all: false }), 400)
  assert.equal(await wrong({ property: 'nobody' }), 404)
  assert.equal(await wrong({ url: 'http://nowhere.test/' }), 404)
  assert.equal((await admin('/purge')).status, 404)
})

test('a request that comes again and again on one connection is answered by what holds then', async () => {
  const again = async (times = 4) => {
    const before = asked.length
    for (let i = 0; i < times; i++) await get('/again')
    return asked.length - before
  }
  assert.equal(await again(), 1)
  assert.equal(await again(), 0)
  await purge({ tag: 'odd' })
  assert.equal(await again(), 1)
  await purge({ url: 'http://shop.example/again', soft: true })
  assert.equal(await again(), 1)
  await get('/again?b')
  assert.equal(await again(), 0)
  writeFileSync(file, text("      - when: { path: /again }\n        response: { set: { X-Again: 'yes' } }\n"))
  await edge.reload()
  assert.equal((await get('/again')).headers['x-again'], 'yes')
  assert.equal(await again(), 0)
  writeFileSync(file, text())
  await edge.reload()
  assert.equal((await get('/again')).headers['x-again'], undefined)
})

test('figures and health', async () => {
  assert.equal((JSON.parse((await admin('/health')).body) as { status: string }).status, 'ok')
  assert.match((await admin('/metrics')).body, /^izumi_edge_store_objects \d+$/m)
})

test('a wrong file changes nothing, a right one is in force at once, and what is stored stays', async () => {
  await get('/kept')
  writeFileSync(file, text('      - when: { pth: / }\n'))
  await assert.rejects(edge.reload(), ConfigRefused)
  const refused = await admin('/reload', {})
  assert.equal(refused.status, 400)
  assert.match(
    refused.body,
    /edge\.yaml:\d+:\d+ {2}properties\[0\]\.rules\[2\]\.when\.pth: there is no setting pth here; expected path\?/,
  )
  assert.equal(await isFetched('/kept'), false)
  writeFileSync(file, text("      - when: { path: /kept }\n        response: { set: { X-New: 'yes' } }\n"))
  assert.equal((await admin('/reload', {})).status, 200)
  assert.equal((await get('/kept')).headers['x-new'], 'yes')
  assert.equal(await isFetched('/kept'), false)
})
