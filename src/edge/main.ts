/**
 * Starts an edge: what serves, and the admin listener beside it. `izumi edge`, nodes of a control plane and the tests start
 * it the same way. A new configuration is read and checked whole before any of it takes effect; a wrong one changes nothing.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { BadInput, Refusal } from '../core/errors.ts'
import { purgeOf } from './admin/purge.ts'
import { type AdminServer, startAdmin } from './admin/server.ts'
import type { EdgeConfig } from './config/schema.ts'
import { Alone, type Crew } from './crew.ts'
import { checkGiven, type Given, memoryOf, needingStart, splitAddress } from './serving.ts'
import type { UsageSlot } from './sight/slots.ts'
import type { EdgeStore } from './store/store.ts'
import { Fleet } from './workers/fleet.ts'

/**
 * Where the configuration comes from: a file; one origin that every host name is served from; or its text, given by whoever
 * starts the edge and keeps it up to date, with a folder of the edge's own.
 */
export type EdgeSource = { file: string } | { origin: string } | { text: string; folder: string }

export interface EdgeOptions {
  /** `host:port`; overrides `listen.http` of the file. */
  listen?: string
  /** `host:port` of the admin listener; overrides `listen.admin` of the file; false for none. */
  admin?: string | false
  /** False: every read gets a buffer of its own, as Node does by itself. */
  oneReadBuffer?: boolean
  /** How many processes serve where the configuration does not say; 1 unless told: this one. */
  workers?: number
  /** How many serve, whatever the configuration says. */
  exactWorkers?: number
}

/** What to purge; what is not in the configuration (any more) may be named too. */
export type PurgeOrder = (
  | { url: string }
  | { tag: string; property?: string }
  | { prefix: string }
  | { property: string }
  | { all: true }
) & { soft?: boolean }

export interface Edge {
  /** Where it listens, as addresses to open. */
  readonly addresses: {
    readonly http: readonly string[]
    readonly https: readonly string[]
    readonly admin: string | null
  }
  /** With workers: the sum of what they said last. */
  readonly store: Pick<EdgeStore, 'stats'>
  /** Process ids of the workers; empty where this process serves itself. */
  readonly workers: readonly number[]
  /** Reads the file again; says which settings of it wait for a start. @throws ConfigRefused and stays as it was */
  reload(): Promise<string[]>
  /** Checked whole, in force everywhere when it resolves. @throws ConfigRefused and stays as it was */
  apply(text: string): Promise<void>
  /** In force everywhere, and for answers under way, when it resolves; also after a crash. */
  purge(order: PurgeOrder): Promise<{ objects: number }>
  readonly usage: {
    /** Closed slots that were not taken, oldest first, some thousands at a time. */
    pending(): Promise<UsageSlot[]>
    /** They are counted elsewhere and forgotten here. */
    taken(ids: readonly string[]): Promise<void>
  }
  /** The open slot so far. */
  live(): Promise<UsageSlot[]>
  /** Takes no more connections and lets those that are open finish what they do. */
  drain(): Promise<void>
  /** Ends at once, but whole: what was stored stays stored. */
  close(): Promise<void>
}

const DEFAULT_ADMIN = '127.0.0.1:8082'

/** @throws BadInput, ConfigRefused, or the system's error when it cannot listen */
export async function startEdge(source: EdgeSource, options: EdgeOptions = {}): Promise<Edge> {
  const given = givenBy(source)
  const serving = {
    listen: options.listen,
    oneReadBuffer: options.oneReadBuffer,
    ticketKeys: randomBytes(48),
    isManaged: 'text' in source,
  }
  const workers = !PORTS_ARE_SHARED
    ? 1
    : (options.exactWorkers ?? workersOf(checkGiven(given).config, options.workers ?? 1))
  const crew: Crew & { pids?: readonly (number | undefined)[] } =
    workers === 1 ? await Alone.start(given, serving) : await Fleet.start(given, serving, workers)
  /** One new configuration after the other. */
  let applying: Promise<void> = Promise.resolve()
  const apply = (next: () => Given): Promise<void> => {
    const applied = applying.then(async () => {
      await crew.apply(next())
    })
    applying = applied.catch(() => {})
    return applied
  }
  const started = crew.loaded.config
  const reload = async () => {
    if (!('file' in source)) throw new Refusal('no-file', 409, 'This edge was started without a configuration file.')
    await apply(() => givenBy(source))
    return needingStart(started, crew.loaded.config)
  }
  const purge = async (order: unknown, strict: boolean) => {
    const selector = purgeOf(order, crew.loaded.properties, strict)
    return { purged: selector, objects: await crew.purge(selector) }
  }

  let admin: AdminServer | null = null
  const close = async () => {
    await admin?.close()
    await crew.close()
  }
  try {
    const adminAt = options.admin ?? crew.loaded.config.listen?.admin ?? DEFAULT_ADMIN
    if (adminAt !== false)
      admin = await startAdmin(splitAddress(adminAt), {
        crew,
        purge: (body) => purge(body, true),
        reload,
      })
    return {
      get addresses() {
        return { ...crew.addresses, admin: admin?.url ?? null }
      },
      store: crew.store,
      get workers() {
        return (crew.pids ?? []).filter((pid) => pid !== undefined)
      },
      reload,
      apply: (text) => apply(() => ({ ...given, text })),
      purge: async (order) => ({ objects: (await purge(order, false)).objects }),
      usage: {
        pending: async () => {
          await crew.figures()
          return crew.sight.pending()
        },
        taken: async (ids) => crew.sight.taken(ids),
      },
      live: async () => {
        await crew.figures()
        return crew.sight.live()
      },
      close,
      drain: async () => {
        await crew.drain()
        await admin?.close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Reads and checks a file as a start would. @throws BadInput, ConfigRefused */
export const checkEdge = (file: string): EdgeConfig => checkGiven(givenBy({ file })).config

/** Where several processes may listen on one port and the system spreads connections over them. */
const PORTS_ARE_SHARED = ['linux', 'freebsd', 'sunos', 'aix'].includes(process.platform)

/** A worker that is given less than this keeps too little to be worth its process. */
const WORKER_LEAST_BYTES = 32 * 1024 * 1024

/** As many as are said; otherwise as many as may be and have memory to share. */
function workersOf(config: EdgeConfig, most: number): number {
  return config.workers ?? Math.max(1, Math.min(most, Math.floor(memoryOf(config) / WORKER_LEAST_BYTES)))
}

function givenBy(source: EdgeSource): Given {
  if ('text' in source) return { text: source.text, name: 'configuration', folder: source.folder }
  if ('origin' in source) {
    const property = { name: 'site', hosts: ['*'], origin: originOf(source.origin) }
    return { text: JSON.stringify({ properties: [property] }), name: '--origin', folder: '.' }
  }
  try {
    return { text: readFileSync(source.file, 'utf8'), name: source.file, folder: dirname(source.file) }
  } catch (error) {
    throw new BadInput(source.file, `the file cannot be read (${(error as Error).message})`, 'an edge.yaml')
  }
}

function originOf(origin: string): string {
  const written = /^https?:\/\//.test(origin) ? origin : `http://${origin}`
  if (!URL.canParse(written) || new URL(written).pathname !== '/')
    throw new BadInput(
      '--origin',
      `${origin} is not an origin`,
      'an address such as http://127.0.0.1:3000, without a path',
    )
  return written.replace(/\/$/, '')
}
