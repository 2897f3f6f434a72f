/**
 * A disk that takes no more: nobody notices but the figures. And an object many times larger than the memory it may use:
 * it passes through, is stored, and is served from disk, to a stalled reader as well.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { startEdgeProcess } from '../support/edge-process.ts'

const MEGABYTE = 1024 * 1024
const HUGE_BYTES = 300 * MEGABYTE
const piece = Buffer.alloc(MEGABYTE)
for (let at = 0; at < piece.length; at += 4) piece.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)

let asked = 0
const origin = createServer((request, response) => {
  asked++
  response.setHeader('cache-control', 'max-age=3600')
  if (request.url !== '/huge') {
    response.end(Buffer.alloc(50_000, request.url!))
    return
  }
  response.setHeader('content-length', HUGE_BYTES)
  let left = HUGE_BYTES / MEGABYTE
  const send = () => {
    while (left > 0) {
      left--
      if (!response.write(piece)) {
        response.once('drain', send)
        return
      }
    }
    response.end()
  }
  send()
})
await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
const { port } = origin.address() as { port: number }
after(() => {
  origin.close()
  origin.closeAllConnections()
})
const properties = [{ name: 'site', hosts: ['*'], origin: `http://127.0.0.1:${port}` }]

test('a full disk: everything is served, from memory what fits, and the figures tell', async () => {
  // Files may grow to 1 MB: every write behind that fails as on a full disk.
  const edge = await startEdgeProcess(
    { store: { memory: '4 MB', disk: { folder: 'store', size: '128 MB' } }, properties },
    "trap '' XFSZ; ulimit -f 2048;",
  )
  try {
    for (let round = 0; round < 2; round++)
      for (let at = 0; at < 100; at++) {
        const response = await fetch(`${edge.http}/${at}`)
        assert.equal(response.status, 200)
        assert.ok(Buffer.from(await response.arrayBuffer()).equals(Buffer.alloc(50_000, `/${at}`)))
      }
    const before = asked
    await fetch(`${edge.http}/99`)
    assert.equal(asked, before, 'what was used last is in memory')
    const { diskWriteFaults, objects } = await edge.stats()
    assert.ok(diskWriteFaults! > 0)
    assert.ok(objects! > 20)
    assert.equal((await edge.purge({ all: true })).objects, objects)
    await fetch(`${edge.http}/99`)
    assert.equal(asked, before + 1)
  } finally {
    await edge.stop()
  }
})

/** Reads an answer and checks each byte of its body; `stallAt` bytes it stops reading until `go` resolves. */
async function download(url: string, stallAt = -1, go: Promise<void> = Promise.resolve()): Promise<number> {
  const { hostname, port: at, host } = new URL(url)
  const socket = connect(Number(at), hostname)
  socket.write(`GET /huge HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  let head: string | null = ''
  let got = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    let body = chunk
    if (head !== null) {
      head += chunk.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) continue
      assert.match(head, /^HTTP\/1\.1 200 /)
      body = Buffer.from(head.slice(end + 4), 'latin1')
      head = null
    }
    for (let from = 0; from < body.length; ) {
      const offset = (got + from) % MEGABYTE
      const length = Math.min(body.length - from, MEGABYTE - offset)
      assert.equal(body.compare(piece, offset, offset + length, from, from + length), 0, `wrong bytes at ${got + from}`)
      from += length
    }
    got += body.length
    if (stallAt >= 0 && got > stallAt) {
      stallAt = -1
      await go
    }
  }
  return got
}

test('an object many times larger than memory passes through and stays, with a stalled reader at its side', async () => {
  const edge = await startEdgeProcess({
    store: { memory: '16 MB', disk: { folder: 'store', size: '1500 MB' } },
    properties,
  })
  try {
    const before = asked
    let go = () => {}
    const stalled = download(edge.http, 5 * MEGABYTE, new Promise((resolve) => (go = resolve)))
    assert.equal(await download(edge.http), HUGE_BYTES)
    go()
    assert.equal(await stalled, HUGE_BYTES)
    assert.equal(await download(edge.http), HUGE_BYTES)
    assert.equal(asked, before + 1, 'one fill for all of them')
    const part = await fetch(`${edge.http}/huge`, { headers: { range: `bytes=${HUGE_BYTES - 10}-` } })
    assert.equal(part.status, 206)
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), piece.subarray(-10))
    const { diskBytes, memoryBytes } = await edge.stats()
    assert.ok(diskBytes! > HUGE_BYTES && memoryBytes! < 16 * MEGABYTE)
    assert.ok(edge.peakBytes() < 280 * MEGABYTE, `${Math.round(edge.peakBytes() / MEGABYTE)} MB at most`)
  } finally {
    await edge.stop()
  }
})
