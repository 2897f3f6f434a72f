/**
 * `izumi edge --join`: an edge whose configuration comes from a control plane. The state that the feed brings becomes one
 * configuration text, checked whole by the edge; a property that the edge refuses keeps what it had before. Nothing is
 * served before the edge has caught up on the purges it missed.
 */
import { mkdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ConfigRefused } from '../edge/config/read.ts'
import type { EdgeConfig } from '../edge/config/schema.ts'
import { type Edge, startEdge } from '../edge/main.ts'
import type { FeedEvent, StateItem, UsageSlot } from '../feed/messages.ts'
import { type AppliedState, type RunningNode, startNode } from '../node/node.ts'

export interface JoinOptions {
  /** The control plane, or several addresses with commas between. */
  join: string
  token?: string
  data: string
  /** `host:port` for http and https; none for https unless said. */
  listen?: string
  listenSecure?: string
  admin?: string | false
  /** Amounts such as `2 GB`. */
  memory?: string
  disk?: string
  /** Processes that serve; one for each core unless said. */
  workers?: number
  /** How often usage is looked for. */
  usageMs?: number
  /** How long to try to catch up before it serves from disk. */
  catchUpMs?: number
  software: string
  /** It was removed or revoked, and serves no more. */
  dismissed(reason: string): void
  log?(line: string): void
}

export interface JoinedEdge {
  readonly addresses: Edge['addresses']
  readonly node: RunningNode
  close(): Promise<void>
}

const PROPERTY = 'cdn-property'
/** An edge serves something; until the first property arrives it serves this, to nobody. */
const NOTHING = {
  name: 'nothing',
  hosts: ['nothing.invalid'],
  origin: 'http://127.0.0.1:9',
  rules: [{ answer: { status: 404, body: '' } }],
}
/** Warm-ups under way at once, and how long one may take. */
const PRELOADS_AT_ONCE = 8
const PRELOAD_MS = 60_000

interface Body {
  property: EdgeConfig['properties'][number]
  certificates: NonNullable<EdgeConfig['certificates']>
  acmeChallenges?: EdgeConfig['acmeChallenges']
}

/** Starts an edge that follows a control plane. Resolves when it serves. */
export async function joinEdge(options: JoinOptions): Promise<JoinedEdge> {
  const folder = join(options.data, 'edge')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  /** What is in force of each property; a refused one stays as it was. */
  let inForce = new Map<string, Body>()
  const rate = new Rate()
  let edge: Edge | null = null
  let serves = false
  const textOf = (bodies: ReadonlyMap<string, Body>): string => {
    const all = [...bodies.values()]
    const config: EdgeConfig = {
      listen: {
        // Nobody is let in before what was missed is applied.
        http: serves ? (options.listen ?? '127.0.0.1:8081') : '127.0.0.1:0',
        ...(serves && options.listenSecure ? { https: options.listenSecure } : {}),
      },
      store: {
        ...(options.memory ? { memory: options.memory } : {}),
        ...(options.disk ? { disk: { folder: 'cache', size: options.disk } } : {}),
      },
      certificates: all.flatMap(({ certificates }) => certificates),
      acmeChallenges: all.flatMap(({ acmeChallenges }) => acmeChallenges ?? []),
      properties: all.length > 0 ? all.map(({ property }) => property) : [NOTHING],
    }
    return JSON.stringify(config)
  }
  const begin = async () => {
    edge ??= await startEdge(
      { text: textOf(inForce), folder },
      { admin: options.admin ?? false, exactWorkers: options.workers ?? availableParallelism() },
    )
    return edge
  }

  const take = async ({ items, changed }: AppliedState): Promise<void> => {
    const wanted = bodiesOf(items)
    const gone = [...inForce].filter(([key]) => !wanted.has(key))
    try {
      await (await begin()).apply(textOf(wanted))
      inForce = wanted
    } catch (error) {
      if (!(error instanceof ConfigRefused)) throw error
      // One that is refused must not keep the others from being right.
      const kept = new Map(wanted)
      for (const name of changed) {
        const key = name.slice(name.indexOf(' ') + 1)
        const before = inForce.get(key)
        if (before) kept.set(key, before)
        else kept.delete(key)
      }
      await edge!.apply(textOf(kept))
      inForce = kept
      throw error
    } finally {
      // What is not served here any more must not come back as it was, should it be served here again.
      for (const [, { property }] of gone) await edge?.purge({ property: property.name })
    }
  }

  const event = async (happened: FeedEvent): Promise<void> => {
    const running = await begin()
    if (happened.kind === 'purge') await running.purge(happened.order)
    else void preload(running, happened.urls)
  }

  const node = await startNode({
    folder: join(options.data, 'node'),
    controlPlane: options.join,
    ...(options.token === undefined ? {} : { token: options.token }),
    kind: 'edge',
    software: options.software,
    apply: take,
    event,
    usage: {
      pending: async () => (await begin()).usage.pending(),
      taken: async (ids) => (await begin()).usage.taken(ids),
    },
    async live() {
      const slots = await (await begin()).live()
      rate.measure(slots, performance.now())
      return [...slots]
    },
    figures: () => ({
      bitsPerSecond: rate.bitsPerSecond,
      ...figuresOf(edge),
      ...(edge ? { listens: [...edge.addresses.http, ...edge.addresses.https].join(' ').slice(0, 200) } : {}),
    }),
    ...(options.usageMs === undefined ? {} : { usageMs: options.usageMs }),
    ...(options.catchUpMs === undefined ? {} : { catchUpMs: options.catchUpMs }),
    dismissed: (reason) => options.dismissed(reason),
    ...(options.log ? { log: options.log } : {}),
  })
  serves = true
  const running = await begin()
  await running.apply(textOf(inForce))
  return {
    get addresses() {
      return running.addresses
    },
    node,
    close: async () => {
      await node.close()
      await running.drain()
    },
  }
}

/** What is sent to visitors, from one look at the open slots to the next. */
class Rate {
  bitsPerSecond = 0
  #bytes = new Map<string, number>()
  #at = 0

  measure(slots: readonly UsageSlot[], nowMs: number): void {
    const bytes = new Map(slots.map(({ id, bytesOut }) => [id, bytesOut]))
    let sent = 0
    for (const [id, now] of bytes) sent += now - (this.#bytes.get(id) ?? 0)
    if (this.#at > 0 && nowMs > this.#at) this.bitsPerSecond = Math.round((sent * 8_000) / (nowMs - this.#at))
    this.#bytes = bytes
    this.#at = nowMs
  }
}

function bodiesOf(items: ReadonlyMap<string, StateItem>): Map<string, Body> {
  const bodies = new Map<string, Body>()
  for (const { kind, key, body } of items.values()) if (kind === PROPERTY) bodies.set(key, body as Body)
  return bodies
}

function figuresOf(edge: Edge | null): Record<string, number> {
  const { rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return {
    memoryBytes: rss,
    cpuMilliseconds: Math.round((user + system) / 1_000),
    uptimeSeconds: Math.round(process.uptime()),
    ...(edge?.store ? { objects: edge.store.stats().objects } : {}),
  }
}

/** Asks this edge for the addresses, so that they are stored when visitors come. */
async function preload(edge: Edge, urls: readonly string[]): Promise<void> {
  const [http] = edge.addresses.http
  if (http === undefined) return
  const { hostname, port } = new URL(http)
  const waiting = [...urls]
  const one = async () => {
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) {
      const { host, pathname, search } = new URL(url)
      await new Promise<void>((resolve) => {
        const sent = httpRequest(
          {
            hostname: hostname.replace(/^\[|\]$/g, ''),
            port,
            path: pathname + search,
            headers: { host },
            timeout: PRELOAD_MS,
          },
          (response) => {
            response.resume()
            response.on('close', resolve)
          },
        )
        sent.on('timeout', () => sent.destroy())
        sent.on('error', () => resolve())
        sent.end()
      })
    }
  }
  await Promise.all(Array.from({ length: PRELOADS_AT_ONCE }, one))
}

/** `izumi edge --join …`, until it is told to end. */
export async function runJoined(options: {
  join: string
  token?: string
  data?: string
  listen?: string
  listenHttps?: string
  admin?: string
  memory?: string
  disk?: string
  workers?: string
  usageMs?: number
  catchUpMs?: number
  json?: boolean
}): Promise<void> {
  const { data = 'data/edge', listenHttps, workers, ...said } = options
  let ended = (_code: number) => {}
  const end = new Promise<number>((resolve) => {
    ended = resolve
  })
  const joined = await joinEdge({
    ...said,
    data,
    software: 'izumi 0.1.0',
    ...(workers === undefined ? {} : { workers: Number(workers) }),
    ...(listenHttps === undefined ? {} : { listenSecure: listenHttps }),
    dismissed: (reason) => {
      process.stderr.write(`This edge was ${reason} by the control plane and serves no more.\n`)
      ended(1)
    },
    log: (line) => process.stderr.write(`${line}\n`),
  })
  const { name, site } = joined.node.identity
  const { http, https, admin } = joined.addresses
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...joined.addresses, name, site })}\n`
      : `${name} at ${site} serves at ${[...http, ...https].join(', ')}${admin === null ? '' : `; figures at ${admin}`}\n`,
  )
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ended(0))
  const code = await end
  await joined.close()
  process.exit(code)
}
