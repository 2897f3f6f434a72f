/**
 * The program of one worker: does what the primary orders, and answers the other workers over its own socket when they ask
 * for keys that it owns. It ends with the primary, and heeds no signal of a terminal: the primary tells it when to drain.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Invalidation, incoming, type Owners } from '../flow/inside.ts'
import type { Hits } from '../front/fast.ts'
import { Front } from '../front/front.ts'
import { DEFAULT_LIMITS } from '../front/limits.ts'
import type { Handler, OriginPool } from '../message.ts'
import { DEFAULT_SERVER_LIMITS, poolAt, serverAt } from '../origin/settings.ts'
import { Serving } from '../serving.ts'
import type { OrderName, Orders, PrimaryMessage, Start, WorkerMessage } from './orders.ts'
import { ownerOf } from './ownership.ts'
import { SharedStore } from './shared-store.ts'

/** Bounds between workers: clients are bounded where they come in, origins where they are asked. */
const MANY = 1_000_000
const LONG_MS = 24 * 3_600_000
/** Connections to one other worker. */
const CONNECTIONS = 1_024

const tell = (message: WorkerMessage): void => {
  process.send!(message)
}

let serving: Serving | null = null
let inside: { front: Front; server: Server } | null = null
let invalidations = 0
const invalidated = new Map<number, () => void>()

const socketOf = (folder: string, index: number): string => join(folder, `${index}.sock`)

/** Asks over local sockets; what waits there is bounded by what the other worker does for it. */
function ownersOf({ sockets, index, count }: Start): Owners {
  const pools = Array.from({ length: count }, (_, each): OriginPool | null => {
    if (each === index) return null
    const limits = {
      ...DEFAULT_SERVER_LIMITS,
      connections: CONNECTIONS,
      waiting: MANY,
      waitMs: LONG_MS,
      firstByteMs: LONG_MS,
      betweenBytesMs: LONG_MS,
    }
    const server = serverAt('http://worker', { path: socketOf(sockets, each) })
    return poolAt(`worker ${each}`, 'http://worker', { servers: [server], attempts: 1, limits })
  })
  return {
    of: (key) => pools[ownerOf(key, count)]!,
    invalidate: (invalidation: Invalidation) =>
      new Promise((resolve) => {
        invalidations++
        invalidated.set(invalidations, resolve)
        tell({ kind: 'invalidate', number: invalidations, invalidation })
      }),
  }
}

const NO_HITS: Hits = { find: () => null, again: () => false, sent: () => false, tell: () => {} }

/** Where the other workers ask. */
async function listenInside(flow: Handler, { sockets, index }: Start): Promise<{ front: Front; server: Server }> {
  const front = new Front({
    handler: {
      serve: (request, reply) => {
        const asked = incoming(request)
        if (asked === null) reply.abort()
        else flow.serve(asked, reply)
      },
    },
    limits: {
      ...DEFAULT_LIMITS,
      headMaxBytes: DEFAULT_LIMITS.headMaxBytes * 2,
      fieldsMax: DEFAULT_LIMITS.fieldsMax * 2,
      idleMs: LONG_MS,
      rateMinBytesPerSecond: 0,
      connectionsPerAddressMax: MANY,
      connectionsMax: MANY,
    },
    hits: NO_HITS,
  })
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => front.accept(socket, null))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(socketOf(sockets, index), resolve)
  })
  return { front, server }
}

type Do = {
  [name in OrderName]: (takes: Orders[name]['takes']) => Promise<Orders[name]['gives']> | Orders[name]['gives']
}

const DO: Do = {
  start: async (start) => {
    const { index, count } = start
    const ticketKeys = Buffer.from(start.options.ticketKeys)
    serving = await Serving.open(start.given, {
      ...start.options,
      ticketKeys,
      share: { index, count, owners: ownersOf(start) },
    })
    inside = await listenInside(serving.flow, start)
    return undefined
  },
  listen: (ports) => serving!.listen(ports),
  prepare: ({ given, ports }) => serving!.prepare(given, ports),
  commit: () => serving!.commit() as undefined,
  abandon: () => serving!.abandon() as undefined,
  purge: async ({ selector, again }) => {
    if (again) {
      if (serving!.store instanceof SharedStore) serving!.store.purgeCopies(selector)
      return 0
    }
    const { objects } = serving!.store.purge(selector)
    await serving!.own.settled()
    return objects ?? 0
  },
  invalidate: (list) => {
    for (const each of list) serving!.flow.invalidate(each)
    return undefined
  },
  explain: (request) => serving!.explain(request),
  report: () => ({
    usage: serving!.sight.take(),
    store: serving!.store.stats(),
    front: serving!.front.counters,
    logDropped: serving!.sight.logDropped,
  }),
  drain: async () => {
    await serving!.drain()
    return undefined
  },
  close: async () => {
    inside?.server.close()
    inside?.front.close()
    await serving?.close()
    // What was told is on its way once the channel is let go.
    setImmediate(() => process.exit(0))
    return undefined
  },
}

process.on('message', (message: PrimaryMessage) => {
  if (message.kind === 'invalidated') {
    invalidated.get(message.number)?.()
    invalidated.delete(message.number)
    return
  }
  const { number, name, takes } = message
  const work = DO[name] as (takes: unknown) => unknown
  new Promise((resolve) => resolve(work(takes))).then(
    (gives) => tell({ kind: 'done', number, gives }),
    (error: Error & { code?: string }) => tell({ kind: 'failed', number, message: error.message, code: error.code }),
  )
})
process.on('disconnect', () => process.exit(0))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
