/**
 * What serves, in one process: properties and their origins, the store, the flow, the front and its listeners. A new
 * configuration is prepared first, which changes nothing, and then comes into force as a whole: so that several processes can
 * take it together or not at all.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BadInput } from '../core/errors.ts'
import { type CountryOf, openCountries } from './config/countries.ts'
import { certificatesOf, limitsOf } from './config/front.ts'
import { compileConfig, type LoadedConfig } from './config/load.ts'
import { poolOf } from './config/pool.ts'
import type { RateLimit } from './config/rate.ts'
import type { EdgeConfig } from './config/schema.ts'
import { bytes } from './config/units.ts'
import { type Challenges, challengesOf } from './flow/challenges.ts'
import { Flow } from './flow/flow.ts'
import type { Owners } from './flow/inside.ts'
import { Certificates } from './front/certificates.ts'
import { Front } from './front/front.ts'
import { PreparedHits } from './front/hits.ts'
import type { FrontLimits } from './front/limits.ts'
import { Listener, type TlsSettings } from './front/listener.ts'
import { type Draft, Kept } from './kept.ts'
import type { EdgeRequest, OriginPool, Properties, Store } from './message.ts'
import type { AccessLogOptions } from './sight/access-log.ts'
import { type Explanation, explain } from './sight/explain.ts'
import { Sight } from './sight/sight.ts'
import { EdgeStore, openStore, type StoreOptions } from './store/store.ts'
import { ownerOf } from './workers/ownership.ts'
import { SharedStore } from './workers/shared-store.ts'

/** A configuration as it was given: its text, what it is called in messages, and what file names in it are relative to. */
export interface Given {
  text: string
  name: string
  folder: string
}

export interface ServingOptions {
  /** Overrides `listen.http` of the configuration. */
  listen?: string | undefined
  /** 48 bytes that seal TLS session tickets; they stay the same as long as the edge runs, so that a reload ends no session. */
  ticketKeys: Buffer
  /** False: every read gets a buffer of its own, as Node does by itself. */
  oneReadBuffer?: boolean | undefined
  /**
   * Somebody else keeps the configuration and takes the usage: certificates may come later (without one, handshakes fail),
   * and usage is kept on disk whether the configuration says so or not.
   */
  isManaged?: boolean | undefined
  /** Its part of an edge of several workers; left out: it is the whole edge. */
  share?: Share
}

export interface Share {
  index: number
  count: number
  owners: Owners
}

/** Which port each listener has, by its name: several workers have the same, also where any would do. */
export type Ports = Readonly<Record<string, number>>

export interface Addresses {
  readonly http: readonly string[]
  readonly https: readonly string[]
}

/** The name in Cache-Status, Via and CDN-Loop. */
const NAME = 'izumi'
const DEFAULT_LISTEN = '127.0.0.1:8081'
/** Of a managed edge. */
const USAGE_FOLDER = 'usage'
const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024

/** A configuration that was checked whole and can come into force. */
interface Ready {
  readonly loaded: LoadedConfig
  readonly challenges: Challenges
  readonly tls: TlsSettings | null
  readonly wanted: ReadonlySet<string>
  readonly opened: ReadonlyMap<string, Listener>
  readonly drafts: readonly Draft<never>[]
}

export class Serving {
  /** What this process stores for good; with several workers it keeps copies beside it. */
  readonly own: EdgeStore
  readonly store: Store
  readonly flow: Flow
  readonly sight: Sight
  readonly front: Front
  readonly #options: ServingOptions
  readonly #kept: ServingKept
  readonly #folder: string
  readonly #listeners = new Map<string, Listener>()
  #current: LoadedConfig
  #tls: TlsSettings | null
  #challenges: Challenges
  #ready: Ready | null = null

  /** Everything but listeners. @throws ConfigRefused, BadInput, or the system's error when the store cannot be opened */
  static async open(given: Given, options: ServingOptions): Promise<Serving> {
    const kept = new ServingKept(options.share?.count ?? 1)
    const { loaded, drafts } = kept.load(given)
    const { config } = loaded
    const tls = tlsOf(config, given, options)
    const room = roomOf(config, given.folder, options.share)
    const { index = 0, count = 1 } = options.share ?? {}
    if (room.own.disk && index === 0) forgetParts(room.own.disk.folder, count)
    const own = await openStore(room.own)
    const store = room.copiesBytes === 0 ? own : sharedStore(own, room.copiesBytes, options.share!)
    for (const draft of drafts) draft.keep()
    const serving = new Serving(loaded, tls, own, store, kept, given.folder, options)
    if (options.oneReadBuffer !== false) await serving.front.shareReadBuffer()
    return serving
  }

  private constructor(
    loaded: LoadedConfig,
    tls: TlsSettings | null,
    own: EdgeStore,
    store: Store,
    kept: ServingKept,
    folder: string,
    options: ServingOptions,
  ) {
    const { config } = loaded
    this.#current = loaded
    this.#tls = tls
    this.#challenges = challengesOf(config.acmeChallenges ?? [])
    this.#kept = kept
    this.#folder = folder
    this.#options = options
    this.own = own
    this.store = store
    const usage = options.share ? null : usageFolderOf(config, options.isManaged)
    this.sight = new Sight({
      folder: usage === null ? null : resolve(folder, usage),
      isFollower: options.share !== undefined,
      log: logOf(config, folder),
    })
    const properties: Properties = { find: (host, scheme) => this.#current.properties.find(host, scheme) }
    const flow = new Flow({
      owners: options.share?.owners ?? null,
      name: NAME,
      store,
      properties,
      finished: this.sight.finished,
      challenges: (request) => this.#challenges(request),
    })
    this.flow = flow
    this.front = new Front({
      handler: flow,
      limits: sharedLimits(config, options.share),
      hits: new PreparedHits({
        properties: () => properties,
        configuration: () => this.#current,
        store,
        cacheName: NAME,
        sight: this.sight,
      }),
    })
  }

  /** Begins to take connections. @throws the system's error when it cannot */
  async listen(ports: Ports = {}): Promise<Ports> {
    const { opened } = await this.#openListeners(this.#current.config, this.#tls, ports)
    for (const [name, listener] of opened) this.#listeners.set(name, listener)
    return portsOf(this.#listeners)
  }

  get loaded(): LoadedConfig {
    return this.#current
  }

  /**
   * Checks a configuration whole and opens the listeners that are new in it; all else stays as it is until `commit`.
   * @throws ConfigRefused, BadInput, or the system's error when it cannot listen
   */
  async prepare(given: Given, ports: Ports = {}): Promise<Ports> {
    this.abandon()
    const { loaded, drafts } = this.#kept.load(given)
    try {
      const tls = tlsOf(loaded.config, given, this.#options)
      const challenges = challengesOf(loaded.config.acmeChallenges ?? [])
      const { wanted, opened } = await this.#openListeners(loaded.config, tls, ports)
      this.#ready = { loaded, challenges, tls, wanted, opened, drafts }
      return portsOf(new Map([...this.#listeners, ...opened].filter(([name]) => wanted.has(name))))
    } catch (error) {
      for (const draft of drafts) draft.drop()
      throw error
    }
  }

  /** Those that the configuration wants and are not there yet. */
  async #openListeners(
    config: EdgeConfig,
    tls: TlsSettings | null,
    ports: Ports,
  ): Promise<{ wanted: Set<string>; opened: Map<string, Listener> }> {
    const wanted = listenersOf(config, this.#options.listen)
    const opened = new Map<string, Listener>()
    try {
      for (const [name, { at, isSecure, proxies }] of wanted)
        if (!this.#listeners.has(name)) {
          const { host: address, port } = splitAddress(at)
          opened.set(
            name,
            await Listener.open(this.front, {
              address,
              port: ports[name] ?? port,
              tls: isSecure ? tls : null,
              proxies,
              reusePort: this.#options.share !== undefined,
            }),
          )
        }
    } catch (error) {
      for (const listener of opened.values()) listener.close()
      throw error
    }
    return { wanted: new Set(wanted.keys()), opened }
  }

  /** What was prepared is in force when it returns. */
  commit(): void {
    const ready = this.#ready
    if (ready === null) return
    this.#ready = null
    this.#current = ready.loaded
    this.#tls = ready.tls
    this.#challenges = ready.challenges
    for (const draft of ready.drafts) draft.keep()
    for (const [name, listener] of this.#listeners)
      if (!ready.wanted.has(name)) {
        listener.close()
        this.#listeners.delete(name)
      } else if (ready.tls !== null) listener.setTls(ready.tls)
    for (const [name, listener] of ready.opened) this.#listeners.set(name, listener)
    const { config } = ready.loaded
    this.sight.setLog(logOf(config, this.#folder))
    this.front.setLimits(sharedLimits(config, this.#options.share))
    const { own, copiesBytes } = roomOf(config, this.#folder, this.#options.share)
    if (this.store instanceof SharedStore) this.store.resize(own.memoryBytes, copiesBytes)
    else this.own.resize(own.memoryBytes)
  }

  /** What was prepared is not wanted. */
  abandon(): void {
    for (const listener of this.#ready?.opened.values() ?? []) listener.close()
    for (const draft of this.#ready?.drafts ?? []) draft.drop()
    this.#ready = null
  }

  get addresses(): Addresses {
    const of = (scheme: string) =>
      [...this.#listeners]
        .filter(([name]) => name.startsWith(`${scheme} `))
        .map(([, listener]) => `${scheme}://${addressOf(listener)}`)
    return { http: of('http'), https: of('https') }
  }

  explain(request: EdgeRequest): Explanation {
    return explain(request, this.#current.properties, this.store)
  }

  /** Takes no more connections and lets those that are open finish what they do. */
  async drain(): Promise<void> {
    for (const listener of this.#listeners.values()) listener.close()
    await this.front.drain()
  }

  async close(): Promise<void> {
    this.abandon()
    for (const listener of this.#listeners.values()) listener.close()
    this.front.close()
    this.#kept.close()
    await this.sight.close()
    await this.store.close()
  }
}

/** What a reload keeps as long as the configuration says the same of it. */
class ServingKept {
  readonly #sharers: number
  readonly #pools = new Kept<OriginPool>((pool) => pool.close())
  readonly #limits = new Kept<RateLimit>(() => {})
  readonly #countryOf = lateCountries()

  constructor(sharers = 1) {
    this.#sharers = sharers
  }

  /** @throws ConfigRefused; then nothing is left of it */
  load({ text, name, folder }: Given): { loaded: LoadedConfig; drafts: Draft<never>[] } {
    const pools = this.#pools.draft()
    const limits = this.#limits.draft()
    const drafts = [pools, limits] as unknown as Draft<never>[]
    try {
      const loaded = compileConfig(text, name, {
        folder,
        countryOf: this.#countryOf,
        poolOf: (property) =>
          pools.of(JSON.stringify(property.origin), () =>
            poolOf(property.name, property.origin, folder, this.#sharers),
          ),
        limitOf: (said, make) => limits.of(said, make),
      })
      return { loaded, drafts }
    } catch (error) {
      for (const draft of drafts) draft.drop()
      throw error
    }
  }

  close(): void {
    this.#pools.close()
  }
}

/** Reads and checks a configuration as a start would, pages, secrets and certificates included. @throws BadInput, ConfigRefused */
export function checkGiven(given: Given): LoadedConfig {
  const { loaded, drafts } = new ServingKept().load(given)
  for (const draft of drafts) draft.drop()
  certificatesOf(loaded.config.certificates, given.folder)
  return loaded
}

/** Settings that are only read when an edge starts, and read otherwise now than they did then. */
export function needingStart(then: EdgeConfig, now: EdgeConfig): string[] {
  const read: Record<string, (config: EdgeConfig) => unknown> = {
    workers: ({ workers }) => workers,
    'listen.admin': ({ listen }) => listen?.admin,
    'store.disk': ({ store }) => store?.disk,
    usage: ({ usage }) => usage,
  }
  return Object.keys(read).filter((name) => JSON.stringify(read[name]!(then)) !== JSON.stringify(read[name]!(now)))
}

const logOf = ({ log }: EdgeConfig, folder: string): AccessLogOptions | null =>
  log ? { file: log.file ? resolve(folder, log.file) : null, sample: log.sample ?? 1 } : null

function sharedLimits(config: EdgeConfig, share: Share | undefined): FrontLimits {
  const limits = limitsOf(config.limits)
  return { ...limits, connectionsMax: Math.ceil(limits.connectionsMax / (share?.count ?? 1)) }
}

interface ListenerWanted {
  at: string
  isSecure: boolean
  proxies: readonly string[] | null
}

/** Listeners by what makes them differ, so that a reload keeps those that stay. */
export function listenersOf({ listen }: EdgeConfig, override: string | undefined): Map<string, ListenerWanted> {
  const proxies = listen?.proxies ?? null
  const http = [override ?? listen?.http ?? (listen?.https ? [] : DEFAULT_LISTEN)].flat()
  const https = [listen?.https ?? []].flat()
  const wanted = [
    ...http.map((at) => ({ at, isSecure: false, proxies })),
    ...https.map((at) => ({ at, isSecure: true, proxies })),
  ]
  return new Map(
    wanted.map((each) => [`${each.isSecure ? 'https' : 'http'} ${each.at} ${proxies?.join(' ') ?? ''}`, each]),
  )
}

function tlsOf(
  { tls, listen, certificates: said }: EdgeConfig,
  { folder }: Given,
  { ticketKeys, isManaged }: ServingOptions,
): TlsSettings | null {
  if (listen?.https === undefined) return null
  const certificates = certificatesOf(said, folder)
  if (certificates.length === 0 && !isManaged)
    throw new BadInput('certificates', `there is none for ${listen.https}`, 'a list of certificate and key files')
  const minVersion = tls?.minimum === '1.3' ? 'TLSv1.3' : 'TLSv1.2'
  try {
    return { certificates: new Certificates(certificates, { minVersion }), minVersion, ticketKeys }
  } catch (error) {
    throw new BadInput('certificates', (error as Error).message, 'certificates, each with its own key')
  }
}

/** Where usage is kept, as the configuration says it; null: nowhere. */
export const usageFolderOf = ({ usage }: EdgeConfig, isManaged: boolean | undefined): string | null =>
  usage?.folder ?? (isManaged ? USAGE_FOLDER : null)

/** Memory that the configuration gives to the whole edge. */
export const memoryOf = ({ store }: EdgeConfig): number => bytes(store?.memory ?? DEFAULT_MEMORY_BYTES)

/** Of a worker's memory, what copies of other workers' objects may take. */
const COPIES_SHARE = 0.25

/** What one process may store. The first worker has the folder itself, so that one and several find the same there. */
function roomOf(
  config: EdgeConfig,
  base: string,
  share: Share | undefined,
): { own: StoreOptions; copiesBytes: number } {
  const { index = 0, count = 1 } = share ?? {}
  const disk = config.store?.disk
  const folder = disk && resolve(base, disk.folder)
  const memoryBytes = memoryOf(config) / count
  const copiesBytes = count === 1 ? 0 : memoryBytes * COPIES_SHARE
  return {
    copiesBytes,
    own: {
      memoryBytes: memoryBytes - copiesBytes,
      disk: disk ? { folder: partOf(folder!, index), sizeBytes: Math.floor(bytes(disk.size) / count) } : null,
      ...(count > 1 && { keeps: (key: string) => ownerOf(key, count) === index }),
    },
  }
}

const PART = /^worker-(\d+)$/
const partOf = (folder: string, index: number): string => (index === 0 ? folder : join(folder, `worker-${index}`))

/** Parts of workers that are not there any more: the room on disk is for the whole edge. */
function forgetParts(folder: string, count: number): void {
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder))
    if (Number(PART.exec(name)?.[1] ?? 0) >= count) rmSync(join(folder, name), { recursive: true, force: true })
}

const sharedStore = (own: EdgeStore, copiesBytes: number, { index, count }: Share): SharedStore =>
  new SharedStore(own, new EdgeStore({ memoryBytes: copiesBytes }), (key) => ownerOf(key, count) === index)

const portsOf = (listeners: ReadonlyMap<string, Listener>): Ports =>
  Object.fromEntries([...listeners].map(([name, listener]) => [name, listener.address.port]))

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
export function splitAddress(address: string): ListenAt {
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
