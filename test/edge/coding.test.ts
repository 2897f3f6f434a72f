/** Compression at the edge: each coding is a stored variant, validated like any other, and only where it is allowed. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { chosenCoding, isCompressible } from '../../src/edge/flow/coding.ts'
import { startPlainEdge } from './support/plain-edge.ts'

const closers: (() => void | Promise<void>)[] = []
after(async () => {
  for (const close of closers.reverse()) await close()
})

test('the coding of most weight, the first offered among equals', () => {
  const offered = ['br', 'zstd', 'gzip'] as const
  const rows: [string | null, string | null][] = [
    ['gzip, deflate, br', 'br'],
    ['gzip', 'gzip'],
    ['br;q=0.5, gzip', 'gzip'],
    ['br;q=0, *;q=0.1', 'zstd'],
    ['identity', null],
    ['', null],
    [null, null],
  ]
  for (const [value, coding] of rows) assert.equal(chosenCoding(value, offered), coding, String(value))
})

test('what is compressed: text of some size, not coded yet, not forbidden', () => {
  const html = ['content-type', 'text/html; charset=utf-8']
  assert.equal(isCompressible(200, html, 1000), true)
  assert.equal(isCompressible(200, ['content-type', 'application/problem+json'], null), true)
  assert.equal(isCompressible(200, html, 100), false)
  assert.equal(isCompressible(404, html, 1000), false)
  assert.equal(isCompressible(200, ['content-type', 'image/png'], 1000), false)
  assert.equal(isCompressible(200, ['content-type', 'text/event-stream'], null), false)
  assert.equal(isCompressible(200, [...html, 'content-encoding', 'br'], 1000), false)
  assert.equal(isCompressible(200, [...html, 'cache-control', 'max-age=1, No-Transform'], 1000), false)
})

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Buffer
}

test('one origin answer a coding, stored, ranged and validated', async () => {
  const text = Buffer.from('All work and no play makes Jack a dull boy.\n'.repeat(20_000))
  const asked: (string | undefined)[] = []
  const origin = createServer((request, response) => {
    asked.push(request.headers['accept-encoding'])
    response.setHeader('etag', '"a"')
    response.setHeader('content-type', 'text/plain')
    response.setHeader('cache-control', request.url === '/stale' ? 'max-age=0' : 'max-age=60')
    if (request.headers['if-none-match']?.includes('"a"')) response.writeHead(304).end()
    else response.end(text)
  }).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  closers.push(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const edge = await startPlainEdge({
    origin: { host: '127.0.0.1', port: (origin.address() as AddressInfo).port },
    compression: ['br', 'zstd', 'gzip'],
  })
  closers.push(edge.close)
  const ask = (path: string, headers: Record<string, string>) =>
    new Promise<Answer>((resolve, reject) => {
      const request = send({ port: edge.port, path, headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
        )
      })
      request.on('error', reject)
      request.end()
    })

  for (const [accepted, coding, decode] of [
    ['gzip, br', 'br', brotliDecompressSync],
    ['zstd', 'zstd', zstdDecompressSync],
    ['gzip;q=0.8', 'gzip', gunzipSync],
  ] as const) {
    const first = await ask('/a', { 'accept-encoding': accepted })
    assert.equal(first.headers['content-encoding'], coding)
    assert.match(String(first.headers.vary), /accept-encoding/i)
    assert.equal(first.headers.etag, 'W/"a"')
    assert.ok(first.body.length < text.length / 10)
    assert.ok(decode(first.body).equals(text))
    const again = await ask('/a', { 'accept-encoding': `${coding}, identity` })
    assert.match(String(again.headers['cache-status']), /hit/)
    assert.ok(again.body.equals(first.body))
    assert.equal(Number(again.headers['content-length']), first.body.length)
  }
  const plain = await ask('/a', {})
  assert.ok(plain.body.equals(text))
  assert.match(String(plain.headers.vary), /accept-encoding/i)
  assert.match(String((await ask('/a', {})).headers['cache-status']), /hit/)
  assert.equal(edge.store.stats().objects, 4)

  await ask('/stale', { 'accept-encoding': 'br' })
  const validated = await ask('/stale', { 'accept-encoding': 'br' })
  assert.match(String(validated.headers['cache-status']), /fwd=stale; fwd-status=304/)
  assert.equal(validated.headers['content-encoding'], 'br')
  assert.equal(validated.headers.etag, 'W/"a"')
  assert.match(String(validated.headers.vary), /accept-encoding/i)
  assert.ok(brotliDecompressSync(validated.body).equals(text))
  const known = await ask('/a', { 'accept-encoding': 'br', 'if-none-match': 'W/"a"' })
  assert.equal(known.status, 304)
})
