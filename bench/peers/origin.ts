/**
 * The origin of the edge's benchmarks: `/1024` is so many bytes that may be kept for hours, `/miss/1024` the same that may
 * not. Prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const bodies = new Map<number, Buffer>()
const LAST_MODIFIED = 'Tue, 01 Sep 2026 00:00:00 GMT'
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const [, miss, size] = /^\/(miss\/)?(\d{1,8})/.exec(request.url!) ?? []
  const bytes = Number(size ?? 0)
  const body = bodies.get(bytes) ?? Buffer.alloc(bytes, 'x')
  bodies.set(bytes, body)
  response.writeHead(200, {
    'Content-Type': 'application/octet-stream',
    'Cache-Control': miss ? 'no-store' : 'public, max-age=36000',
    'Last-Modified': LAST_MODIFIED,
    ETag: `"${bytes}"`,
    'Content-Length': bytes,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
})
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
process.on('SIGTERM', () => process.exit(0))
