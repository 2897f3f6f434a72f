/**
 * Starts an edge: a configuration, its properties and origin pools, the store, the flow, the fronts on their listeners, and
 * the admin listener. `izumi edge` and the tests start it the same way. A new configuration is read and checked whole before
 * any of it takes effect; a wrong one changes nothing.
 */
import { randomBytes } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import { BadInput } from '../core/errors.ts'
import { type AdminServer, startAdmin } from './admin/server.ts'
import { type CountryOf, openCountries } from './config/countries.ts'
import { certificatesOf, limitsOf } from './config/front.ts'
import { compileConfig, type LoadedConfig, loadConfig } from './config/load.ts'
import { poolOf } from './config/pool.ts'
import type { EdgeConfig, PropertyConfig } from './config/schema.ts'
import { bytes } from './config/units.ts'
import { Flow } from './flow/flow.ts'
import type { Certificate } from './front/certificates.ts'
import { Front } from './front/front.ts'
import { PreparedHits } from './front/hits.ts'
import { Listener, type TlsSettings } from './front/listener.ts'
import type { OriginPool, Properties } from './message.ts'
import { Sight } from './sight/sight.ts'
import { type EdgeStore, openStore } from './store/store.ts'

/** Where the configuration comes from: a file, or one origin that every host name is served from. */
export type EdgeSource = { file: string } | { origin: string }

export interface EdgeOptions {
  /** `host:port`; overrides `listen.http` of the file. */
  listen?: string
  /** `host:port` of the admin listener; overrides `listen.admin` of the file; false for none. */
  admin?: string | false
  /** False: every read gets a buffer of its own, as Node does by itself. */
  oneReadBuffer?: boolean
}

export interface Edge {
  /** Where it listens, as addresses to open. */
  readonly addresses: {
    readonly http: readonly string[]
    readonly https: readonly string[]
    readonly admin: string | null
  }
  readonly store: EdgeStore
  /** Reads the file again. @throws ConfigRefused and stays as it was */
  reload(): void
  /** Takes no more connections and lets those that are open finish what they do. */
  drain(): Promise<void>
  /** Ends at once, but whole: what was stored stays stored. */
  close(): Promise<void>
}

const DEFAULT_LISTEN = '127.0.0.1:8081'
const DEFAULT_ADMIN = '127.0.0.1:8082'
const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024
/** The name in Cache-Status, Via and CDN-Loop. */
const NAME = 'izumi'

/** @throws BadInput, ConfigRefused, or the system's error when it cannot listen */
export async function startEdge(source: EdgeSource, options: EdgeOptions = {}): Promise<Edge> {
  const folder = 'file' in source ? dirname(source.file) : '.'
  const pools = new Pools(folder)
  const countryOf = lateCountries()
  const load = (): LoadedConfig => {
    const given = { countryOf, poolOf: (property: PropertyConfig) => pools.of(property) }
    return 'file' in source
      ? loadConfig(source.file, given)
      : compileConfig(
          JSON.stringify({ properties: [{ name: 'site', hosts: ['*'], origin: originOf(source.origin) }] }),
          '--origin',
          given,
        )
  }
  let current = load()
  pools.settle()
  const { config } = current
  const properties: Properties = { find: (host, scheme) => current.properties.find(host, scheme) }
  const certificates = certificatesOf(config.certificates, folder)
  const store = await openStore({
    memoryBytes: bytes(config.store?.memory ?? DEFAULT_MEMORY_BYTES),
    disk: config.store?.disk
      ? { folder: resolve(folder, config.store.disk.folder), sizeBytes: bytes(config.store.disk.size) }
      : null,
  })
  const sight = new Sight({
    folder: config.usage ? resolve(folder, config.usage.folder) : null,
    log: config.log
      ? { file: config.log.file ? resolve(folder, config.log.file) : null, sample: config.log.sample ?? 1 }
      : null,
  })
  const flow = new Flow({ name: NAME, store, properties, finished: sight.finished })
  const front = new Front({
    handler: flow,
    limits: limitsOf(config.limits),
    hits: new PreparedHits({ properties: () => properties, store, cacheName: NAME, sight }),
  })
  if (options.oneReadBuffer !== false) await front.shareReadBuffer()
  const listeners: Listener[] = []
  const ticketKeys = randomBytes(48)
  const reload = () => {
    const next = load()
    if (next.config.listen?.https) {
      const tls = tlsOf(next.config, certificatesOf(next.config.certificates, folder), ticketKeys)
      for (const listener of listeners) listener.setTls(tls)
    }
    current = next
    pools.settle()
    sight.reopen()
  }

  let admin: AdminServer | null = null
  const close = async () => {
    for (const listener of listeners) listener.close()
    await admin?.close()
    front.close()
    pools.close()
    await sight.close()
    await store.close()
  }
  try {
    const open = async (addresses: readonly string[], tls: TlsSettings | null): Promise<string[]> => {
      const opened: string[] = []
      for (const each of addresses) {
        const { host: address, port } = splitAddress(each)
        const listener = await Listener.open(front, { address, port, tls, proxies: config.listen?.proxies ?? null })
        listeners.push(listener)
        opened.push(`${tls === null ? 'http' : 'https'}://${addressOf(listener)}`)
      }
      return opened
    }
    const wanted = options.listen ?? config.listen?.http ?? (config.listen?.https ? [] : DEFAULT_LISTEN)
    const http = await open([wanted].flat(), null)
    const https = config.listen?.https
      ? await open([config.listen.https].flat(), tlsOf(config, certificates, ticketKeys))
      : []
    const adminAt = options.admin ?? config.listen?.admin ?? DEFAULT_ADMIN
    if (adminAt !== false)
      admin = await startAdmin(splitAddress(adminAt), {
        store,
        table: () => current.properties,
        sight,
        front,
        reload: 'file' in source ? reload : null,
      })
    return {
      addresses: { http, https, admin: admin?.url ?? null },
      store,
      reload,
      close,
      drain: async () => {
        for (const listener of listeners) listener.close()
        await front.drain()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Reads and checks a file as a start would, pages, secrets and certificates included. @throws BadInput, ConfigRefused */
export function checkEdge(file: string): EdgeConfig {
  const pools = new Pools(dirname(file))
  try {
    const { config } = loadConfig(file, { countryOf: () => null, poolOf: (property) => pools.of(property) })
    certificatesOf(config.certificates, dirname(file))
    return config
  } finally {
    pools.settle()
    pools.close()
  }
}

/** Pools by what the configuration says of them, so that a reload keeps the connections of what has not changed. */
class Pools {
  #inUse = new Map<string, OriginPool>()
  #asked = new Map<string, OriginPool>()
  /** What file names in the configuration are relative to. */
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  of(property: PropertyConfig): OriginPool {
    const key = JSON.stringify(property.origin)
    const pool = this.#asked.get(key) ?? this.#inUse.get(key) ?? poolOf(property.name, property.origin, this.#folder)
    this.#asked.set(key, pool)
    return pool
  }

  /** What was asked for since the last time is in use from now on; pools that nobody asked for are closed. */
  settle(): void {
    const kept = new Set(this.#asked.values())
    for (const pool of this.#inUse.values()) if (!kept.has(pool)) pool.close()
    this.#inUse = this.#asked
    this.#asked = new Map()
  }

  close(): void {
    for (const pool of this.#inUse.values()) pool.close()
  }
}

/** `ticketKeys` stay the same as long as the edge runs, so that a reload ends no session. */
function tlsOf({ tls, listen }: EdgeConfig, certificates: readonly Certificate[], ticketKeys: Buffer): TlsSettings {
  if (certificates.length === 0)
    throw new BadInput('certificates', `there is none for ${listen?.https}`, 'a list of certificate and key files')
  return { certificates, minVersion: tls?.minimum === '1.3' ? 'TLSv1.3' : 'TLSv1.2', ticketKeys }
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

/** The country database is opened at the first rule that asks for it. */
function lateCountries(): CountryOf {
  let countries: CountryOf | null = null
  return (address) => {
    countries ??= openCountries()
    return countries(address)
  }
}

interface ListenAt {
  host: string
  port: number
}

/** `127.0.0.1:8081` or `[::1]:8081`. */
function splitAddress(address: string): ListenAt {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address)
  if (found === null || Number(found[3]) > 65_535)
    throw new BadInput(
      'listen',
      `${address} is no address to listen at`,
      'host:port such as 127.0.0.1:8081 or [::1]:8081',
    )
  return { host: (found[1] ?? found[2])!, port: Number(found[3]) }
}

function addressOf(listener: Listener): string {
  const { address, family, port } = listener.address
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}
