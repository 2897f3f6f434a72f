/** Huge objects in blocks: only what is asked for is fetched, each block once; origins that cannot, or that change, are met. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type PlainEdge, startPlainEdge } from './support/plain-edge.ts'

const closers: (() => void | Promise<void>)[] = []
after(async () => {
  for (const close of closers.reverse()) await close()
})

const BLOCK = 1_000
const BODY = Buffer.from(Array.from({ length: 10_500 }, (_, i) => 97 + ((i * 7 + Math.floor(i / 100)) % 26)))

async function slicedEdge(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<PlainEdge> {
  const origin = createServer(handle).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  closers.push(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const { port } = origin.address() as AddressInfo
  const edge = await startPlainEdge({ origin: { host: '127.0.0.1', port }, caching: { sliceBytes: BLOCK } })
  closers.push(edge.close)
  return edge
}

/** Answers ranges of BODY as a good origin does. */
function ranged(request: IncomingMessage, response: ServerResponse, tag = '"a"', body = BODY) {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const first = Number(from)
  const last = Math.min(Number(to), body.length - 1)
  if (first >= body.length) {
    response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end()
    return
  }
  response.writeHead(206, {
    'cache-control': 'max-age=60',
    etag: tag,
    'content-type': 'text/plain',
    'content-range': `bytes ${first}-${last}/${body.length}`,
  })
  response.end(body.subarray(first, last + 1))
}

const ask = (edge: PlainEdge, path: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${edge.port}${path}`, { headers })

test('the whole and any range come out of blocks, each fetched once', async () => {
  const asked: string[] = []
  const edge = await slicedEdge((request, response) => {
    asked.push(request.headers.range!)
    ranged(request, response)
  })
  const one = await ask(edge, '/a', { range: 'bytes=2500-2509' })
  assert.equal(one.status, 206)
  assert.equal(one.headers.get('content-range'), 'bytes 2500-2509/10500')
  assert.equal(await one.text(), BODY.subarray(2500, 2510).toString())
  assert.deepEqual(asked, ['bytes=2000-2999'])
  const whole = await ask(edge, '/a')
  assert.equal(whole.status, 200)
  assert.equal(whole.headers.get('content-length'), '10500')
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(BODY))
  assert.equal(asked.length, 11)

  const range = fc.tuple(fc.nat(10_600), fc.nat(3_000)).map(([first, more]) => `${first}-${first + more}`)
  const suffix = fc.nat(11_000).map((bytes) => `-${bytes}`)
  await fc.assert(
    fc.asyncProperty(fc.oneof(range, suffix), async (spec) => {
      const answer = await ask(edge, '/a', { range: `bytes=${spec}` })
      const [from, to] = spec.split('-') as [string, string]
      const first = from === '' ? Math.max(0, BODY.length - Number(to)) : Number(from)
      const expected = from === '' ? BODY.subarray(first) : BODY.subarray(first, Number(to) + 1)
      if (expected.length === 0) assert.equal(answer.status, 416)
      else assert.equal(await answer.text(), expected.toString())
    }),
    { numRuns: 60 },
  )
  assert.equal(asked.filter((text) => Number(/\d+/.exec(text)![0]) < BODY.length).length, 11)
  await fc.assert(
    fc.asyncProperty(fc.array(range, { minLength: 2, maxLength: 5 }), async (specs) => {
      const answer = await ask(edge, '/a', { range: `bytes=${specs.join(',')}` })
      const text = await answer.text()
      const parts = [...text.matchAll(/Content-Range: bytes (\d+)-(\d+)\/10500\r\n\r\n([a-z]*)/g)]
      for (const [, first, last, content] of parts)
        assert.equal(content, BODY.subarray(Number(first), Number(last) + 1).toString())
      const boundary = /boundary=(.+)$/.exec(answer.headers.get('content-type') ?? '')?.[1]
      if (boundary !== undefined) assert.ok(parts.length > 1 && text.endsWith(`--${boundary}--\r\n`))
    }),
    { numRuns: 40 },
  )
  const near = await (await ask(edge, '/a', { range: 'bytes=0-1,5-6,3-3,999-1000' })).text()
  assert.deepEqual(
    [...near.matchAll(/\r\n\r\n([a-z]+)/g)].map(([, content]) => content),
    [
      BODY.subarray(0, 2).toString(),
      BODY.subarray(5, 7).toString(),
      BODY.subarray(3, 4).toString(),
      BODY.subarray(999, 1001).toString(),
    ],
  )
})

test('readers of the same blocks share their fills', async () => {
  let asked = 0
  const edge = await slicedEdge((request, response) => {
    asked++
    setTimeout(() => ranged(request, response), 20)
  })
  const bodies = await Promise.all(
    [1, 2, 3, 4].map(async () => Buffer.from(await (await ask(edge, '/a')).arrayBuffer())),
  )
  for (const body of bodies) assert.ok(body.equals(BODY))
  assert.equal(asked, 11)
})

test('an origin without ranges is found out once, and its objects are stored whole', async () => {
  const asked: (string | undefined)[] = []
  const edge = await slicedEdge((request, response) => {
    asked.push(request.headers.range)
    response.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': BODY.length }).end(BODY)
  })
  for (let i = 0; i < 3; i++) assert.ok(Buffer.from(await (await ask(edge, '/a')).arrayBuffer()).equals(BODY))
  assert.deepEqual(asked, ['bytes=0-999', undefined])
})

test('an object that changes between blocks breaks off, and is right the next time', async () => {
  let tag = '"a"'
  let body = BODY
  const edge = await slicedEdge((request, response) => {
    ranged(request, response, tag, body)
    if (request.headers.range === 'bytes=3000-3999') {
      tag = '"b"'
      body = Buffer.alloc(BODY.length, 'x')
    }
  })
  await assert.rejects((await ask(edge, '/a')).text())
  assert.ok(Buffer.from(await (await ask(edge, '/a')).arrayBuffer()).equals(body))
})

test('answers that are no blocks go out as they are; an empty object is empty', async () => {
  const edge = await slicedEdge((request, response) => {
    if (request.url === '/none') response.writeHead(404).end('none')
    else if (request.headers.range) response.writeHead(416, { 'content-range': 'bytes */0' }).end()
    else response.writeHead(200, { 'cache-control': 'max-age=60' }).end()
  })
  const none = await ask(edge, '/none')
  assert.deepEqual([none.status, await none.text()], [404, 'none'])
  const empty = await ask(edge, '/empty')
  assert.deepEqual([empty.status, await empty.text()], [200, ''])
})
