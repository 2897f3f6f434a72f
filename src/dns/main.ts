/**
 * Starts a request router: a state, its workers on all cores, its own checks of the edges, and the admin listener. A new state is
 * checked whole before any of it takes effect; a wrong one changes nothing. When `apply` resolves, every worker answers from it.
 */
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { type ConfigFaultAt, ConfigRefused } from '../core/config-text.ts'
import { BadInput } from '../core/errors.ts'
import { type Admin, openAdmin } from './admin.ts'
import { type Counter, figuresBytes, readFigures, siteFigure } from './answer/figures.ts'
import { type CompiledMap, compileMaps } from './choice/maps.ts'
import type { View } from './choice/routed.ts'
import { nextShed } from './choice/rules.ts'
import { compile, wellView } from './compile.ts'
import { type LocalSettings, loadDnsFile } from './config.ts'
import { explain, type Step } from './explain.ts'
import { Monitor } from './health/monitor.ts'
import { isUp } from './health/rules.ts'
import type { LogLine } from './serve/answerer.ts'
import { RemoteUnit } from './serve/remote.ts'
import { LocalUnit, newCookieSecret, type Prepared, type Unit, type UnitOptions } from './serve/unit.ts'
import { DNS_LIMITS, type DnsState } from './state.ts'

/** Where the state comes from: a file, or whoever starts the router. */
export type DnsSource = { file: string } | { state: DnsState }

export interface DnsOptions {
  /** `host:port`, each by UDP and TCP; overrides the file's. */
  listen?: string | readonly string[]
  workers?: number
  /** False: every datagram by itself; see serve/batch.ts. */
  batches?: boolean
  /** `host:port`; false: none, which is also what it is when nothing is said. */
  admin?: string | false
  log?: (line: LogLine) => void
}

export interface EdgeHealth {
  edge: string
  site: string
  up: boolean
  drained: boolean
  /** What this router sees itself; null: it does not look. */
  own: boolean | null
  problem: string | null
}

export interface SiteHealth {
  site: string
  up: boolean
  shed: number
  answers: number
}

export interface Dns {
  /** Where it answers (`host:port`, by UDP and TCP) and tells of itself. */
  readonly addresses: { readonly dns: readonly string[]; readonly admin: string | null }
  /** In force in every worker when it resolves. @throws ConfigRefused and stays as it was */
  apply(state: DnsState): Promise<void>
  /** Reads its file again. @throws ConfigRefused and stays as it was */
  reload(): Promise<void>
  health(): { edges: EdgeHealth[]; sites: SiteHealth[] }
  figures(): Record<Counter, number>
  explain(name: string, from: string, type?: string): Step[]
  close(): Promise<void>
}

const DEFAULT_LISTEN = '127.0.0.1:5353'

/** @throws BadInput, ConfigRefused, or the system's error when it cannot listen */
export async function startDns(source: DnsSource, options: DnsOptions = {}): Promise<Dns> {
  const router = new Router(source, options)
  await router.start()
  return router
}

class Router implements Dns {
  readonly #source: DnsSource
  readonly #options: DnsOptions
  readonly #monitor = new Monitor(() => this.#healthChanged())
  #units: Unit[] = []
  #figures: Float64Array[] = []
  #prepared!: Prepared
  #compiled: { from: DnsState['maps']; sites: string | undefined; maps: CompiledMap[] } | null = null
  #local: LocalSettings = {}
  readonly #siteSlots = new Map<string, number>()
  readonly #loads = new Map<string, { openBitsPerSecond: number; rateBitsPerSecond: number; shed: number }>()
  #epoch = 0
  #isClosed = false
  /** Orders to the workers go one after another. */
  #turn: Promise<void> = Promise.resolve()
  #dns: string[] = []
  #admin: Admin | null = null

  constructor(source: DnsSource, options: DnsOptions) {
    this.#source = source
    this.#options = options
  }

  get addresses() {
    return { dns: this.#dns, admin: this.#admin?.address ?? null }
  }

  async start(): Promise<void> {
    const { state, maps } = this.#read()
    const workers = this.#options.workers ?? this.#local.workers ?? availableParallelism()
    const log = this.#options.log ?? this.#logLine
    const cookieSecret = newCookieSecret()
    const batches = this.#options.batches ?? this.#local.batches ?? true
    try {
      for (let at = 0; at < workers; at++) {
        const figures = new Float64Array(new SharedArrayBuffer(figuresBytes(DNS_LIMITS.sites)))
        this.#figures.push(figures)
        const unit: UnitOptions = { cookieSecret, figures, logEvery: this.#local.log?.every ?? 0, batches, log }
        this.#units.push(
          workers === 1
            ? new LocalUnit(unit)
            : new RemoteUnit(unit, (error) => {
                if (!this.#isClosed) throw error
              }),
        )
      }
      // In turn, for the first checks may end before the workers are there.
      await this.#inTurn(() => this.#take(state, maps))
      for (const each of [this.#options.listen ?? this.#local.listen ?? DEFAULT_LISTEN].flat()) {
        const { host, port } = splitAddress(each)
        // The first worker finds a free port where any will do; the others share it.
        const got = await this.#units[0]!.listen(host, port, workers > 1)
        await Promise.all(this.#units.slice(1).map((unit) => unit.listen(host, got, true)))
        this.#dns.push(host.includes(':') ? `[${host}]:${got}` : `${host}:${got}`)
      }
      const admin = this.#options.admin ?? this.#local.admin ?? false
      if (admin !== false) this.#admin = await openAdmin(splitAddress(admin), this)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  apply(state: DnsState): Promise<void> {
    return this.#inTurn(() => this.#take(state))
  }

  async reload(): Promise<void> {
    if (!('file' in this.#source)) throw new BadInput('reload', 'this router has no file', 'one started with a file')
    const { state, maps } = this.#read()
    await this.#inTurn(() => this.#take(state, maps))
  }

  figures(): Record<Counter, number> {
    return readFigures(this.#figures)
  }

  health(): { edges: EdgeHealth[]; sites: SiteHealth[] } {
    const { state, view } = this.#prepared
    const edges = (state.edges ?? []).map((edge, at) => {
      const watched = this.#monitor.watchedOf(edge.name)
      return {
        edge: edge.name,
        site: edge.site,
        up: view.up[at] === 1,
        drained: edge.drained ?? false,
        own: watched?.up ?? null,
        problem: watched?.problem ?? null,
      }
    })
    const sites = (state.sites ?? []).map(({ name }, at) => ({
      site: name,
      up: edges.some(({ site, up }) => site === name && up),
      shed: view.shed[at]!,
      answers: this.#figures.reduce((sum, each) => sum + siteFigure(each, this.#siteSlots.get(name)!), 0),
    }))
    return { edges, sites }
  }

  explain(name: string, from: string, type = 'A'): Step[] {
    return explain(this.#prepared, { name, from, type })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#monitor.close()
    await this.#admin?.close()
    await Promise.all(this.#units.map((unit) => unit.close()))
  }

  #read(): { state: DnsState; maps?: CompiledMap[] } {
    if ('state' in this.#source) return { state: this.#source.state }
    const { local, ...read } = loadDnsFile(this.#source.file)
    this.#local = local
    return read
  }

  /** `compiled`: its maps, where they are there already. */
  async #take(state: DnsState, compiled?: CompiledMap[]): Promise<void> {
    const faults: ConfigFaultAt[] = []
    const tell = (path: (string | number)[], problem: string, expected: string) =>
      void faults.push({ path, message: problem, expected } as ConfigFaultAt)
    const sites = JSON.stringify(state.sites?.map(({ name }) => name))
    // Maps may hold a million prefixes, and most changes are of something else: the same object with the same sites is compiled once.
    const isKnown = this.#compiled !== null && this.#compiled.from === state.maps && this.#compiled.sites === sites
    const maps =
      compiled ??
      (isKnown ? this.#compiled!.maps : compileMaps(state, tell, { countriesFile: this.#local.countriesFile }))
    compile(state, maps, wellView(state), tell)
    if (faults.length > 0) throw refusal(faults)
    this.#compiled = { from: state.maps, sites, maps }
    for (const { name } of state.sites ?? [])
      if (!this.#siteSlots.has(name)) this.#siteSlots.set(name, this.#siteSlots.size % DNS_LIMITS.sites)
    this.#measure(state)
    this.#monitor.watch(state)
    // The prefixes are in the maps; nobody needs their text again.
    const bare: DnsState = {
      ...state,
      ...(state.maps ? { maps: state.maps.map(({ prefixes: _, ...map }) => map) } : {}),
    }
    const prepared: Prepared = {
      state: bare,
      maps,
      view: this.#view(state),
      siteSlots: (state.sites ?? []).map(({ name }) => this.#siteSlots.get(name)!),
    }
    await Promise.all(this.#units.map((unit) => unit.load(prepared)))
    this.#prepared = prepared
  }

  /** A reading of a site's rate that is new moves its share; the same told again does not. */
  #measure({ sites = [], settings }: DnsState): void {
    const fill = settings?.fill ?? 1
    for (const { name, openBitsPerSecond, rateBitsPerSecond } of sites) {
      if (openBitsPerSecond === undefined || rateBitsPerSecond === undefined) {
        this.#loads.delete(name)
        continue
      }
      const known = this.#loads.get(name)
      if (known?.openBitsPerSecond === openBitsPerSecond && known.rateBitsPerSecond === rateBitsPerSecond) continue
      const shed = nextShed(known?.shed ?? 0, openBitsPerSecond * fill, rateBitsPerSecond)
      this.#loads.set(name, { openBitsPerSecond, rateBitsPerSecond, shed })
    }
  }

  #view({ edges = [], sites = [], settings }: Pick<DnsState, 'edges' | 'sites' | 'settings'>): View {
    const failed = new Set(sites.filter((site) => site.failed).map(({ name }) => name))
    return {
      epoch: ++this.#epoch,
      up: Uint8Array.from(edges, (edge) =>
        !failed.has(edge.site) && isUp(this.#monitor.sees(edge.name), edge.seen, settings?.quorum) ? 1 : 0,
      ),
      shed: Float64Array.from(sites, ({ name, shed }) => shed ?? this.#loads.get(name)?.shed ?? 0),
    }
  }

  #healthChanged(): void {
    void this.#inTurn(async () => {
      if (this.#isClosed) return
      const view = this.#view(this.#prepared.state)
      this.#prepared = { ...this.#prepared, view }
      await Promise.all(this.#units.map((unit) => unit.look(view)))
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  readonly #logLine = (line: LogLine): void => {
    const text = `${JSON.stringify(line)}\n`
    const file = this.#local.log?.file
    if (file === undefined) process.stdout.write(text)
    else appendFileSync(file, text)
  }
}

/** A state has no lines; its faults are told by their place in it. */
function refusal(faults: readonly ConfigFaultAt[]): ConfigRefused {
  return new ConfigRefused(
    'the state',
    faults.map(({ path, message, expected }) => ({
      line: 1,
      column: 1,
      at: path.join('.'),
      problem: message,
      expected,
    })),
  )
}

/** `127.0.0.1:53` or `[::1]:53`. */
function splitAddress(address: string): { host: string; port: number } {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(address)
  if (found === null || Number(found[3]) > 65_535)
    throw new BadInput(
      'listen',
      `${address} is no address to listen at`,
      'host:port such as 127.0.0.1:5353 or [::1]:53',
    )
  return { host: (found[1] ?? found[2])!, port: Number(found[3]) }
}
