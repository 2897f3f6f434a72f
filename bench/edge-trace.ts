/**
 * `npm run bench -- edge-trace`: a day of real requests (data-sets/web-requests.csv.gz) through caches too small for all of
 * it. First the store alone beside exact LRU that counts the same bytes for each object, at every size; then the edge, nginx
 * and Varnish for real, over HTTP, with the same room for bodies; what they fetch from the origin tells their ratios.
 *
 * Options: [--sizes 0.5,1,2,4,8,16,32,64,96] [--driven 2,8,32] [--no-peers]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { StoredHead } from '../src/edge/message.ts'
import { EdgeStore } from '../src/edge/store/store.ts'
import { compare } from './measure.ts'
import { freePort, has, listening } from './peers/caches.ts'

const FILE = fileURLToPath(new URL('../data-sets/web-requests.csv.gz', import.meta.url))
const MEGABYTE = 1_000_000

interface Asked {
  url: string
  bytes: number
}

interface Ratio {
  /** Shares of requests and of bytes, 0 to 1. */
  objects: number
  bytes: number
}

/** GETs that were answered with a body or would have been (304), each with the largest size ever logged for its URL. */
function readTrace(): Asked[] {
  const rows = gunzipSync(readFileSync(FILE)).toString('latin1').trim().split('\n').slice(1)
  const parsed = rows.flatMap((row) => {
    const found = /^\d+,(\w+),"?(\/.*?)"?,(\d+),(\d+)$/.exec(row)
    if (found === null || found[1] !== 'GET' || (found[3] !== '200' && found[3] !== '304')) return []
    return [{ url: found[2]!, isWhole: found[3] === '200', bytes: Number(found[4]) }]
  })
  const sizes = new Map<string, number>()
  for (const { url, isWhole, bytes } of parsed) if (isWhole) sizes.set(url, Math.max(sizes.get(url) ?? 0, bytes))
  return parsed.flatMap(({ url }) => {
    const bytes = sizes.get(url)
    // What a strict cache would not take as a target at all is left out.
    return bytes === undefined || bytes === 0 || !/^[!-~]+$/.test(url) || /[#"<>\\^`{|}]/.test(url)
      ? []
      : [{ url, bytes }]
  })
}

const headOf = (url: string): StoredHead => ({
  status: 200,
  fields: ['content-type', 'application/octet-stream', 'cache-control', 'max-age=36000', 'etag', '"1"'],
  requestMethod: 'GET',
  vary: [],
  requestTime: 1,
  responseTime: 1,
  correctedInitialAgeSeconds: 0,
  lifetimeSeconds: 36_000,
  bodyBytes: null,
  range: null,
  tags: [],
  groups: [],
  property: 'site',
  url,
})

/** The store itself, in a memory of this size. */
function throughStore(trace: readonly Asked[], memoryBytes: number): Ratio & { costs: Map<string, number> } {
  const store = new EdgeStore({ memoryBytes })
  const costs = new Map<string, number>()
  let hits = 0
  let hitBytes = 0
  for (const { url, bytes } of trace) {
    const key = `site${url}`
    const found = store.find(key)[0]
    if (found !== undefined) {
      store.use(found)
      hits++
      hitBytes += bytes
      continue
    }
    const recording = store.record(key, headOf(`site${url}`))
    recording.write(Buffer.allocUnsafe(bytes))
    const object = recording.commit()
    recording.close()
    if (object !== null) costs.set(url, object.sizeBytes)
  }
  return { ...share(trace, hits, hitBytes), costs }
}

/** Exact least-recently-used with the same cost of each object. */
function throughLru(trace: readonly Asked[], roomBytes: number, costOf: (asked: Asked) => number): Ratio {
  const kept = new Map<string, number>()
  let used = 0
  let hits = 0
  let hitBytes = 0
  for (const asked of trace) {
    const known = kept.get(asked.url)
    if (known !== undefined) {
      kept.delete(asked.url)
      kept.set(asked.url, known)
      hits++
      hitBytes += asked.bytes
      continue
    }
    const cost = costOf(asked)
    if (cost > roomBytes) continue
    kept.set(asked.url, cost)
    used += cost
    for (const [url, bytes] of kept) {
      if (used <= roomBytes) break
      kept.delete(url)
      used -= bytes
    }
  }
  return share(trace, hits, hitBytes)
}

function share(trace: readonly Asked[], hits: number, hitBytes: number): Ratio {
  return { objects: hits / trace.length, bytes: hitBytes / trace.reduce((sum, { bytes }) => sum + bytes, 0) }
}

const percent = (value: number): string => `${(value * 100).toFixed(2)} %`

export async function bench(options: string[]): Promise<void> {
  const value = (name: string, otherwise: string) => {
    const at = options.indexOf(`--${name}`)
    return at < 0 ? otherwise : options[at + 1]!
  }
  const numbers = (text: string) =>
    text
      .split(',')
      .filter((each) => each !== '')
      .map(Number)
  const trace = readTrace()
  const urls = new Map(trace.map(({ url, bytes }) => [url, bytes]))
  const total = [...urls.values()].reduce((sum, bytes) => sum + bytes, 0)
  console.log(`${trace.length} requests for ${urls.size} objects of ${(total / MEGABYTE).toFixed(1)} MB together`)

  console.log('\nThe store beside exact LRU, hit ratio by requests and by bytes')
  const costs = throughStore(trace, 10 * total).costs
  for (const size of numbers(value('sizes', '0.5,1,2,4,8,16,32,64,96'))) {
    const ours = throughStore(trace, size * MEGABYTE)
    const lru = throughLru(trace, size * MEGABYTE, ({ url, bytes }) => costs.get(url) ?? bytes)
    console.log(
      `${String(size).padStart(5)} MB  store ${percent(ours.objects)} ${percent(ours.bytes)}   LRU ${percent(lru.objects)} ${percent(lru.bytes)}`,
    )
    compare('edge-trace', ours.objects * 100, lru.objects * 100, {
      megabytes: size,
      by: 'requests',
      exact: [ours.objects, lru.objects],
    })
    compare('edge-trace', ours.bytes * 100, lru.bytes * 100, {
      megabytes: size,
      by: 'bytes',
      exact: [ours.bytes, lru.bytes],
    })
  }
  await drive(trace, urls, numbers(value('driven', '2,8,32')), !options.includes('--no-peers'))
}

/** A cache that runs, and how to end it. */
interface Driven {
  name: string
  url: string
  /** Bytes that it holds, where that can be more than it was given. */
  heldBytes?(): number
  stop(): void
}

async function drive(
  trace: readonly Asked[],
  urls: ReadonlyMap<string, number>,
  sizes: number[],
  peers: boolean,
): Promise<void> {
  const counted = { requests: 0, bytes: 0 }
  const body = Buffer.alloc(Math.max(...urls.values()), 'x')
  const origin: Server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
    const bytes = urls.get(request.url!) ?? 0
    counted.requests++
    counted.bytes += bytes
    response.writeHead(200, { 'cache-control': 'max-age=36000', 'content-length': bytes, etag: '"1"' })
    response.end(body.subarray(0, bytes))
  })
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const { port } = origin.address() as { port: number }
  const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-trace-'))
  // Peers give up being root, and must still enter.
  chmodSync(folder, 0o755)
  const makers = [startOurs]
  if (peers && has('nginx')) makers.push(startNginx)
  if (peers && has('varnishd')) makers.push(startVarnish)
  try {
    if (sizes.length > 0) console.log('\nDriven over HTTP, hit ratio by requests and by bytes')
    for (const size of sizes)
      for (const make of makers) {
        const cache = await make(join(folder, `${make.name}-${size}`), size * MEGABYTE, port)
        counted.requests = counted.bytes = 0
        let heldMost = 0
        let broken = 0
        try {
          broken = await replay(trace, cache.url, () => {
            heldMost = Math.max(heldMost, cache.heldBytes?.() ?? 0)
          })
        } finally {
          cache.stop()
        }
        const asked = trace.reduce((sum, { bytes }) => sum + bytes, 0)
        const ratio = { objects: 1 - counted.requests / trace.length, bytes: 1 - counted.bytes / asked }
        console.log(
          `${String(size).padStart(5)} MB  ${cache.name.padEnd(8)} ${percent(ratio.objects)} ${percent(ratio.bytes)}${heldMost > 0 ? `   (held up to ${(heldMost / MEGABYTE).toFixed(1)} MB)` : ''}${broken > 0 ? `   (${broken} answers broke off)` : ''}`,
        )
        console.log(
          JSON.stringify({
            bench: 'edge-trace-driven',
            cache: cache.name,
            megabytes: size,
            ...ratio,
            heldMost,
            broken,
          }),
        )
      }
  } finally {
    origin.close()
    origin.closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * One request after the other over one connection: the order decides what is evicted, so it must be that of the log.
 * Returns how many answers broke off: a cache without room for an object may end the answer instead of passing it through.
 */
async function replay(trace: readonly Asked[], url: string, look: () => void): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let broken = 0
  for (const [at, { url: path, bytes }] of trace.entries()) {
    if (at % 1_000 === 999) look()
    const got = await new Promise<number>((resolve) => {
      let received = 0
      const sent = request(url, { agent, path, headers: { host: 'site.example' } }, (response) => {
        response.on('data', (chunk: Buffer) => {
          received += chunk.length
        })
        response.on('close', () => resolve(received))
        response.on('error', () => {})
      })
      sent.on('error', () => resolve(received))
      sent.end()
    })
    if (got !== bytes) broken++
  }
  agent.destroy()
  return broken
}

function ended(child: ChildProcess): () => void {
  return () => {
    child.kill('SIGTERM')
  }
}

async function startOurs(folder: string, memoryBytes: number, originPort: number): Promise<Driven> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  writeFileSync(
    join(folder, 'edge.json'),
    JSON.stringify({
      listen: { http: `127.0.0.1:${port}` },
      store: { memory: memoryBytes },
      properties: [{ name: 'site', hosts: ['*'], origin: `http://127.0.0.1:${originPort}` }],
    }),
  )
  const program = fileURLToPath(new URL('./peers/edge.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, join(folder, 'edge.json')], {
    stdio: 'ignore',
  })
  await listening(port, 'the edge')
  return { name: 'izumi', url: `http://127.0.0.1:${port}`, stop: ended(child) }
}

/** nginx keeps bodies in files, and its manager looks after their size only every ten seconds: it holds more than it was given. */
async function startNginx(folder: string, memoryBytes: number, originPort: number): Promise<Driven> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log warn; ${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=z:1m max_size=${memoryBytes} inactive=10h use_temp_path=off manager_threshold=10s manager_files=100000;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 8; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache z; proxy_cache_key $request_uri; } }
}
`,
  )
  const child = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], { stdio: 'ignore' })
  await listening(port, 'nginx')
  const heldBytes = () =>
    readdirSync(join(folder, 'cache'), { recursive: true, withFileTypes: true }).reduce((sum, entry) => {
      const size = entry.isFile() ? statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size : 0
      return sum + (size ?? 0)
    }, 0)
  return { name: 'nginx', url: `http://127.0.0.1:${port}`, heldBytes, stop: ended(child) }
}

async function startVarnish(folder: string, memoryBytes: number, originPort: number): Promise<Driven> {
  mkdirSync(folder, { recursive: true })
  const port = await freePort()
  writeFileSync(
    join(folder, 'default.vcl'),
    `vcl 4.1; backend default { .host = "127.0.0.1"; .port = "${originPort}"; }`,
  )
  const child = spawn(
    'varnishd',
    [
      '-F',
      '-n',
      join(folder, 'work'),
      '-a',
      `127.0.0.1:${port}`,
      '-f',
      join(folder, 'default.vcl'),
      '-s',
      `malloc,${memoryBytes}`,
    ],
    { stdio: 'ignore' },
  )
  await listening(port, 'varnish')
  return { name: 'varnish', url: `http://127.0.0.1:${port}`, stop: ended(child) }
}
