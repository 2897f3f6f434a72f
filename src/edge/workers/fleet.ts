/**
 * The primary: serves nobody itself, but starts the workers, gives each configuration, purge and invalidation to all of them
 * before it says that it is in force, adds up what they count, and starts anew who ended unasked.
 *
 * A purge goes round twice. After the first round every worker has purged, but one that had may meanwhile have copied an
 * object from one that had not; the second round takes such copies. An invalidation does the same.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Refusal } from '../../core/errors.ts'
import type { LoadedConfig } from '../config/load.ts'
import type { Crew, CrewFigures } from '../crew.ts'
import type { Invalidation } from '../flow/inside.ts'
import type { FrontCounters } from '../front/front.ts'
import type { EdgeRequest, PurgeSelector, StoreStats } from '../message.ts'
import {
  type Addresses,
  checkGiven,
  type Given,
  listenersOf,
  type Ports,
  type ServingOptions,
  splitAddress,
  usageFolderOf,
} from '../serving.ts'
import type { Explanation } from '../sight/explain.ts'
import { Sight } from '../sight/sight.ts'
import { Member, WorkerGone } from './member.ts'
import type { Report } from './orders.ts'
import { ownerOf } from './ownership.ts'

const TICK_MS = 1_000
/** Who ended is started again at once, and after each end within ten seconds of its start a little later. */
const RESTART_MIN_MS = 50
const RESTART_MAX_MS = 10_000
/** A purge that not every worker has confirmed by then is told of as not in force. */
const PURGE_MS = 60_000
/** Invalidations kept for a worker that is being started; beyond it, all that it stored is dropped. */
const MISSED_MAX = 10_000

export class Fleet implements Crew {
  /** As of the last second. */
  readonly store = { stats: () => this.#figures().store }
  readonly sight: Sight
  readonly #options: Omit<ServingOptions, 'share'>
  readonly #sockets: string
  readonly #members: readonly Member[]
  readonly #timer: NodeJS.Timeout
  readonly #reports: (Report | null)[]
  #given: Given
  #loaded: LoadedConfig
  #ports: Ports = {}
  /** One change of configuration or start of a worker after the other. */
  #changing: Promise<unknown> = Promise.resolve()
  #waiting: { member: number; resolve: () => void }[] = []
  #missed = new Map<number, Invalidation[]>()
  #pending: { invalidation: Invalidation; resolve: () => void }[] = []
  #isInvalidating = false
  #restartMs: number[]
  #isClosing = false
  #collecting: Promise<void> | null = null

  static async start(given: Given, options: Omit<ServingOptions, 'share'>, count: number): Promise<Fleet> {
    const loaded = checkGiven(given)
    const fleet = new Fleet(given, loaded, options, count)
    try {
      await fleet.#start()
    } catch (error) {
      await fleet.close()
      throw error
    }
    return fleet
  }

  private constructor(given: Given, loaded: LoadedConfig, options: Omit<ServingOptions, 'share'>, count: number) {
    this.#given = given
    this.#loaded = loaded
    this.#options = options
    // A folder that nobody else can enter: whoever may connect there is believed.
    this.#sockets = mkdtempSync(join(tmpdir(), 'izumi-edge-'))
    this.#members = Array.from(
      { length: count },
      (_, index) =>
        new Member(index, {
          invalidate: (invalidation) => this.#invalidate(invalidation),
          ended: (member, how) => this.#ended(member, how),
        }),
    )
    this.#reports = this.#members.map(() => null)
    this.#restartMs = this.#members.map(() => RESTART_MIN_MS)
    const usage = usageFolderOf(loaded.config, options.isManaged)
    this.sight = new Sight({
      folder: usage === null ? null : resolve(given.folder, usage),
      log: null,
      isFollower: true,
    })
    this.#timer = setInterval(() => void this.#collect().then(() => this.sight.tick(Date.now())), TICK_MS)
    this.#timer.unref()
  }

  get loaded(): LoadedConfig {
    return this.#loaded
  }

  /** Process ids of the workers; for tests and `health`. */
  get pids(): (number | undefined)[] {
    return this.#members.map(({ pid }) => pid)
  }

  get addresses(): Addresses {
    const of = (scheme: string) =>
      Object.entries(this.#ports)
        .filter(([name]) => name.startsWith(`${scheme} `))
        .map(([name, port]) => {
          const { host } = splitAddress(name.split(' ')[1]!)
          return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
        })
    return { http: of('http'), https: of('https') }
  }

  async #start(): Promise<void> {
    await probe(listenersOf(this.#loaded.config, this.#options.listen).values())
    for (const member of this.#members) member.start()
    await Promise.all(this.#members.map((member) => this.#brief(member)))
    for (const member of this.#members) {
      this.#ports = await member.ask('listen', this.#ports)
      member.isReady = true
    }
  }

  #brief(member: Member): Promise<undefined> {
    const { index } = member
    return member.ask('start', {
      given: this.#given,
      options: this.#options,
      index,
      count: this.#members.length,
      sockets: this.#sockets,
    })
  }

  apply(given: Given): Promise<void> {
    return this.#inTurn(async () => {
      const loaded = checkGiven(given)
      const wanted = listenersOf(loaded.config, this.#options.listen)
      await probe([...wanted].filter(([name]) => !(name in this.#ports)).map(([, listener]) => listener))
      const ready = this.#members.filter(({ isReady }) => isReady)
      let ports = this.#ports
      try {
        // One after the other only where a new listener's port is still to be found out.
        for (const member of ready) ports = (await unlessGone(member.ask('prepare', { given, ports }))) ?? ports
      } catch (error) {
        await Promise.all(ready.map((member) => unlessGone(member.ask('abandon', undefined))))
        throw error
      }
      this.#given = given
      this.#loaded = loaded
      this.#ports = ports
      await Promise.all(ready.map((member) => unlessGone(member.ask('commit', undefined))))
    })
  }

  async purge(selector: PurgeSelector): Promise<number> {
    let late: NodeJS.Timeout | undefined
    const inTime = new Promise<never>((_, reject) => {
      late = setTimeout(
        () => reject(new Refusal('not-confirmed', 503, 'A worker has not confirmed the purge; send it again.')),
        PURGE_MS,
      )
    })
    try {
      const counts = await Promise.race([inTime, Promise.all(this.#members.map((each) => this.#purge(each, selector)))])
      const again = this.#members.map((member) => unlessGone(member.ask('purge', { selector, again: true })))
      await Promise.race([inTime, Promise.all(again)])
      return counts.reduce((sum, count) => sum + count, 0)
    } finally {
      clearTimeout(late)
    }
  }

  /** One that ends meanwhile does it once it is back: what it stored on disk has not seen the purge. */
  async #purge(member: Member, selector: PurgeSelector): Promise<number> {
    for (;;) {
      if (!member.isReady) {
        if (this.#isClosing) throw new Refusal('closing', 503, 'The edge is being ended.')
        await new Promise<void>((done) => this.#waiting.push({ member: member.index, resolve: done }))
      }
      const count = await unlessGone(member.ask('purge', { selector, again: false }))
      if (count !== null) return count
    }
  }

  /** Those that come while a round is under way go together in the next. */
  async #invalidate(invalidation: Invalidation): Promise<void> {
    const done = new Promise<void>((resolve) => this.#pending.push({ invalidation, resolve }))
    if (!this.#isInvalidating) void this.#goRound()
    return done
  }

  async #goRound(): Promise<void> {
    this.#isInvalidating = true
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0)
      const list = batch.map(({ invalidation }) => invalidation)
      for (const member of this.#members)
        if (!member.isReady) this.#missed.set(member.index, [...(this.#missed.get(member.index) ?? []), ...list])
      for (let round = 0; round < 2; round++)
        await Promise.all(
          this.#members
            .filter(({ isReady }) => isReady)
            .map((member) => unlessGone(member.ask('invalidate', list)).catch(() => null)),
        )
      for (const { resolve: done } of batch) done()
    }
    this.#isInvalidating = false
  }

  explain(request: EdgeRequest): Promise<Explanation> {
    const plan = this.#loaded.properties.find(request.host, request.scheme)?.plan(request)
    const owner = plan?.kind === 'serve' ? ownerOf(plan.key, this.#members.length) : 0
    return this.#members[owner]!.ask('explain', request)
  }

  async figures(): Promise<CrewFigures> {
    await this.#collect()
    return this.#figures()
  }

  #figures(): CrewFigures {
    const reports = this.#reports.filter((report) => report !== null)
    const store = sum<StoreStats>([NO_STORE, ...reports.map((report) => report.store)])
    // Every worker counts each purge, and one whose disk fails is enough to tell of.
    for (const name of ['purges', 'diskFailing'])
      store[name] = Math.max(0, ...reports.map((each) => each.store[name] ?? 0))
    return {
      store: { ...store, workers: this.#members.filter((each) => each.isReady).length },
      front: sum<FrontCounters>([NO_FRONT, ...reports.map((report) => report.front)]),
      logDropped: reports.reduce((all, report) => all + report.logDropped, 0),
    }
  }

  async drain(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.#members.map((member) => unlessGone(member.ask('drain', undefined))))
    await this.#collect()
    await this.close()
  }

  async close(): Promise<void> {
    if (!this.#isClosing) await this.#collect().catch(() => {})
    this.#isClosing = true
    clearInterval(this.#timer)
    await Promise.all(this.#members.map((member) => member.close()))
    for (const { resolve: done } of this.#waiting.splice(0)) done()
    await this.sight.close()
    rmSync(this.#sockets, { recursive: true, force: true })
  }

  /** Takes what the workers counted; each count is taken once. */
  #collect(): Promise<void> {
    this.#collecting ??= Promise.all(
      this.#members
        .filter(({ isReady }) => isReady)
        .map(async (member) => {
          const report = await unlessGone(member.ask('report', undefined))
          if (report === null) return
          this.sight.add(report.usage)
          this.#reports[member.index] = report
        }),
    )
      .then(() => {})
      .finally(() => {
        this.#collecting = null
      })
    return this.#collecting
  }

  #ended(member: Member, how: string): void {
    if (this.#isClosing) return
    const { index } = member
    process.stderr.write(`izumi edge: worker ${index} ended (${how}) and is started again.\n`)
    this.#reports[index] = null
    const isSoon = Date.now() - member.startedAt < RESTART_MAX_MS
    this.#restartMs[index] = isSoon ? Math.min(RESTART_MAX_MS, this.#restartMs[index]! * 2) : RESTART_MIN_MS
    setTimeout(() => {
      this.#inTurn(() => this.#restart(member)).catch((error: Error) => {
        if (error instanceof WorkerGone) return
        process.stderr.write(`izumi edge: worker ${index} cannot start: ${error.message}\n`)
        member.giveUp()
      })
    }, this.#restartMs[index])
  }

  /** What it missed is in force before it takes its first connection. */
  async #restart(member: Member): Promise<void> {
    if (this.#isClosing) return
    rmSync(join(this.#sockets, `${member.index}.sock`), { force: true })
    member.start()
    await this.#brief(member)
    const missed = this.#missed.get(member.index) ?? []
    this.#missed.delete(member.index)
    if (missed.length > MISSED_MAX) await member.ask('purge', { selector: { all: true }, again: false })
    else if (missed.length > 0) await member.ask('invalidate', missed)
    await member.ask('listen', this.#ports)
    member.isReady = true
    const waiting = this.#waiting
    this.#waiting = waiting.filter((each) => each.member !== member.index)
    for (const each of waiting) if (each.member === member.index) each.resolve()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work)
    this.#changing = done.catch(() => {})
    return done
  }
}

async function unlessGone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof WorkerGone) return null
    throw error
  }
}

const NO_STORE: StoreStats = { objects: 0, memoryBytes: 0, diskBytes: 0 }
const NO_FRONT: FrontCounters = {
  connections: 0,
  accepted: 0,
  refusedConnections: 0,
  handedOver: 0,
  timedOut: 0,
  tooSlow: 0,
}

/** Workers share their ports with whoever asks for it the same way, so another edge on one of them must be found out first. */
async function probe(listeners: Iterable<{ at: string }>): Promise<void> {
  for (const { at } of listeners) {
    const { host, port } = splitAddress(at)
    if (port === 0) continue
    const server = createServer()
    await new Promise<void>((done, reject) => {
      server.once('error', reject)
      server.listen({ host, port, exclusive: true }, () => server.close(() => done()))
    })
  }
}

function sum<T extends Readonly<Record<string, number>>>(all: readonly T[]): T & Record<string, number> {
  const total: Record<string, number> = {}
  for (const each of all) for (const [name, value] of Object.entries(each)) total[name] = (total[name] ?? 0) + value
  return total as T & Record<string, number>
}
