/**
 * `scale-server.ts OBJECTS PROPERTIES`: an edge whose store holds so many objects of 1 KB under so many properties, for
 * `edge-scale.ts`. Prints one JSON line with what it measured of itself, then serves.
 */
import { compileConfig } from '../../src/edge/config/load.ts'
import { Flow } from '../../src/edge/flow/flow.ts'
import { Front } from '../../src/edge/front/front.ts'
import { PreparedHits } from '../../src/edge/front/hits.ts'
import { DEFAULT_LIMITS } from '../../src/edge/front/limits.ts'
import { Listener } from '../../src/edge/front/listener.ts'
import { poolAt } from '../../src/edge/origin/settings.ts'
import { EdgeStore } from '../../src/edge/store/store.ts'

/** Objects that are asked for; the others lie there. */
export const HOT_OBJECTS = 1_000
const BODY_BYTES = 1_024
/** Objects of one tag. */
const TAGGED = 1_000

export interface ScaleFigures {
  url: string
  bytesPerObject: number
  tagPurgeMs: number
  allPurgeMs: number
}

export const pathOf = (object: number): string => `/catalogue/${object % 1_000}/item-${object}.html`
export const hostOf = (object: number, properties: number): string => `p${object % properties}.example`

if (process.argv[1] === import.meta.filename) await serve(Number(process.argv[2]), Number(process.argv[3]))

async function serve(objects: number, properties: number): Promise<void> {
  const pool = poolAt('none', 'http://127.0.0.1:9')
  const table = compileConfig(
    JSON.stringify({
      properties: Array.from({ length: properties }, (_, at) => ({
        name: `p${at}`,
        hosts: [`p${at}.example`],
        origin: 'http://127.0.0.1:9',
      })),
    }),
    'generated',
    { countryOf: () => null, poolOf: () => pool },
  ).properties
  const store = new EdgeStore({ memoryBytes: 64e9 })
  const before = used()
  for (let at = 0; at < objects; at++) put(store, at, properties)
  const bytesPerObject = (used() - before) / objects - BODY_BYTES

  // Purges are measured on objects of their own, so that what is asked for later is still there.
  const tagPurges: number[] = []
  for (let round = 0; round < 5; round++) {
    for (let at = 0; at < TAGGED; at++) put(store, objects + at, properties, [`round-${round}`])
    const started = performance.now()
    const { objects: purged } = store.purge({ tag: `round-${round}` })
    tagPurges.push(performance.now() - started)
    if (purged !== TAGGED) throw new Error(`${purged} objects were purged`)
    for (let at = 0; at < TAGGED; at++)
      if (store.find(keyOf(objects + at, properties)).length > 0) throw new Error('a purged object was found')
  }
  const started = performance.now()
  store.purge({ all: true, soft: true })
  const allPurgeMs = performance.now() - started
  for (let at = 0; at < objects; at++) {
    const [object] = store.find(keyOf(at, properties))
    if (object?.softPurgedAt == null) throw new Error('an object missed the purge of all')
    if (at % Math.max(1, Math.floor(objects / HOT_OBJECTS)) === 0) put(store, at, properties)
  }
  const front = new Front({
    handler: new Flow({ name: 'izumi', store, properties: table }),
    limits: DEFAULT_LIMITS,
    hits: new PreparedHits({ properties: () => table, store, cacheName: 'izumi' }),
  })
  await front.shareReadBuffer()
  const listener = await Listener.open(front, { address: '127.0.0.1', port: 0, tls: null, proxies: null })
  // Nothing of the purges is to be under way while hits are measured.
  await store.swept()
  globalThis.gc?.()
  const figures: ScaleFigures = {
    url: `http://127.0.0.1:${listener.address.port}`,
    bytesPerObject,
    tagPurgeMs: Math.max(...tagPurges),
    allPurgeMs,
  }
  console.log(JSON.stringify(figures))
}

function keyOf(object: number, properties: number): string {
  return hostOf(object, properties) + pathOf(object)
}

function put(store: EdgeStore, object: number, properties: number, tags: string[] = []): void {
  const host = hostOf(object, properties)
  const now = Date.now() + 1
  const recording = store.record(host + pathOf(object), {
    status: 200,
    fields: [
      ...[
        'content-type',
        'text/html; charset=utf-8',
        'cache-control',
        'public, max-age=36000',
        'etag',
        `"${object}-1"`,
      ],
      ...[
        'last-modified',
        'Tue, 01 Sep 2026 00:00:00 GMT',
        'date',
        'Tue, 24 Nov 2026 00:00:00 GMT',
        'vary',
        'Accept-Encoding',
      ],
    ],
    requestMethod: 'GET',
    vary: [],
    requestTime: now,
    responseTime: now,
    correctedInitialAgeSeconds: 0,
    lifetimeSeconds: 36_000,
    bodyBytes: BODY_BYTES,
    range: null,
    tags,
    groups: [],
    property: `p${object % properties}`,
    url: host + pathOf(object),
  })
  recording.write(Buffer.alloc(BODY_BYTES, 'x'))
  recording.commit()
  recording.close()
}

/** Bytes in use, heap and buffers. */
function used(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
