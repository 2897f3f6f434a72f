/**
 * Plays recorded orders through the same code as the API, below HTTP: each order is priced, prepared and claimed with its
 * rows as companion; each end is a termination. Time is simulated and moves from one instant of the file to the next: what
 * ends gives back first, waiting orders are filled, then what arrives is decided in order. So the result depends on the
 * file, the start and the supply alone, and a second run into an equal database gives the same.
 *
 * When the file ends, time goes on until nobody waits, and then what still runs is given back: the recording stopped there.
 *
 * Each site has an engine of its own, as two processes would: their pools are not the same, so their groups are written
 * side by side and both cores have work.
 */
import { setImmediate } from 'node:timers/promises'
import { auditCapacity } from '../capacity/audit.ts'
import { openCapacityEngine } from '../capacity/engine.ts'
import { type Terms, termsFor } from '../catalogue/terms.ts'
import { addDays, dateOf, monthOf, monthsOf, startOfDate } from '../core/calendar.ts'
import { CapacityExhausted, WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Instant, SECOND_MS } from '../core/time.ts'
import type { Database } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { followCapacity } from '../orders/follow.ts'
import type { Desk } from '../orders/model.ts'
import { type PreparedOrder, prepareOrder, siteIds, submitOrder } from '../orders/place.ts'
import { submitTermination } from '../services/life.ts'
import type { RecordedOrder } from './orders-file.ts'
import { configOf, PATIENCE_MS, sitesOf, tenantOf, waits } from './rule.ts'
import { type PoolPeak, peaks, type Tenant, tenants, violations } from './store.ts'

export const REPLAY: Actor = { kind: 'system', id: null, name: 'Replay' }

export interface ReplayOptions {
  /** Offering under which the orders are placed. */
  offering: string
  /** The two sites, the larger first. */
  sites: readonly [string, string]
  start: Instant
  progress?: (played: Played) => void
}

export interface Played {
  orders: number
  of: number
  accepted: number
  /** Of those accepted, how many at the site tried second. */
  elsewhere: number
  waitListed: number
  /** Of those wait-listed, how many were filled in time. */
  filled: number
  refused: number
  ended: number
  at: Instant
}

export interface ReplayResult extends Played {
  start: Instant
  seconds: number
  ordersPerSecond: number
  peaks: PoolPeak[]
  months: string[]
  /** Broken invariants; empty when all is well. */
  problems: string[]
}

interface Running {
  site: string
  id: string
  contractId: string
  partyId: string
  claimId: string
}

/** An order on the wait list. */
interface Waiting {
  order: RecordedOrder
  site: string
  prepared: PreparedOrder
}

/** The default start: two days before the month before last ends, so that two months, both over, are covered. */
export function defaultStart(now: Instant, zone: string): Instant {
  const firstOfMonth = `${monthOf(now, zone)}-01`
  const firstOfLast = `${addDays(firstOfMonth, -1).slice(0, 7)}-01`
  return startOfDate(addDays(firstOfLast, -2), zone)
}

/** Seconds between the instants looked at when no order arrives any more. */
const AFTER_SECONDS = 300

/** Plays all orders. @throws WrongState when the sites or the offering are not there */
export async function replayOrders(
  { database, families }: Pick<Desk, 'database' | 'families'>,
  orders: readonly RecordedOrder[],
  options: ReplayOptions,
): Promise<ReplayResult> {
  const player = await Player.open(database, families, orders, options)
  const from = performance.now()
  await player.play()
  const seconds = (performance.now() - from) / 1_000
  await player.close()
  const to = player.played.at
  const audit = await auditCapacity(database, options.start)
  const problems = [
    ...audit.findings.map(({ finding, detail }) => `${finding}: ${detail}`),
    ...(await violations(database, options.start)),
  ]
  return {
    ...player.played,
    start: options.start,
    seconds,
    ordersPerSecond: orders.length / seconds,
    peaks: await peaks(database, options.start, to),
    months: monthsOf({ from: options.start, to: to + 1 }, player.zone),
    problems,
  }
}

class Player {
  readonly database: Database
  /** One for each site. */
  readonly desks: ReadonlyMap<string, Desk>
  readonly orders: readonly RecordedOrder[]
  readonly options: ReplayOptions
  readonly tenants: Tenant[]
  readonly terms: Terms[]
  readonly sites: Map<string, number>
  readonly played: Played
  readonly #ends = new Map<number, Running[]>()
  /** What still ran when the recording stopped. */
  readonly #endless: Running[] = []
  readonly #contracts = new Map<number, string>()
  readonly #waiting = new Map<string, Waiting>()

  private constructor(
    database: Database,
    desks: ReadonlyMap<string, Desk>,
    orders: readonly RecordedOrder[],
    options: ReplayOptions,
    found: { tenants: Tenant[]; terms: Terms[]; sites: Map<string, number> },
  ) {
    this.database = database
    this.desks = desks
    this.orders = orders
    this.options = options
    this.tenants = found.tenants
    this.terms = found.terms
    this.sites = found.sites
    this.played = {
      orders: 0,
      of: orders.length,
      accepted: 0,
      elsewhere: 0,
      waitListed: 0,
      filled: 0,
      refused: 0,
      ended: 0,
      at: options.start,
    }
  }

  static async open(
    database: Database,
    families: Desk['families'],
    orders: readonly RecordedOrder[],
    options: ReplayOptions,
  ): Promise<Player> {
    const sites = await siteIds(database)
    for (const site of options.sites)
      if (!sites.has(site)) throw new WrongState(`There is no site ${site}; name two that there are.`)
    const parties = await tenants(database)
    const terms = await Promise.all(parties.map((party) => termsFor(database, party, options.offering, options.start)))
    let player: Player | null = null
    const clock = () => player?.played.at ?? options.start
    const desks = new Map<string, Desk>()
    for (const site of options.sites)
      desks.set(site, {
        database,
        families,
        capacity: await openCapacityEngine(database, { clock, offers: false }),
        clock,
      })
    player = new Player(database, desks, orders, options, { tenants: parties, terms, sites })
    return player
  }

  get zone(): string {
    return this.terms[0]!.zone
  }

  async close(): Promise<void> {
    await Promise.all([...this.desks.values()].map(({ capacity }) => capacity.close()))
  }

  /** From instant to instant, until no order is left to arrive and nobody waits; then all that still runs is given back. */
  async play(): Promise<void> {
    let next = 0
    const instants = new Set<number>()
    for (const { arrivalSeconds } of this.orders) instants.add(arrivalSeconds)
    let seconds = 0
    for (seconds of instants) {
      const ended = await this.#moveTo(seconds)
      const arrived: RecordedOrder[] = []
      while (next < this.orders.length && this.orders[next]!.arrivalSeconds === seconds)
        arrived.push(this.orders[next++]!)
      await Promise.all([...ended, this.#place(arrived)])
      this.played.orders += arrived.length
      this.options.progress?.(this.played)
    }
    while (this.#waiting.size > 0) {
      seconds += AFTER_SECONDS
      await Promise.all(await this.#moveTo(seconds))
    }
    await this.#giveBack([...this.#ends.values(), this.#endless].flat())
    this.#ends.clear()
  }

  /**
   * Lets time go on to an instant: what ends by then gives back. With nobody waiting, what ends and what arrives next are
   * one group of the engine's, decided in the order of time, so the endings are handed back on their way. Who waits comes
   * before who arrives, at the instant at which something is given back.
   */
  async #moveTo(seconds: number): Promise<Promise<void>[]> {
    const due = [...this.#ends.keys()].filter((end) => end <= seconds).sort((a, b) => a - b)
    const ended: Promise<void>[] = []
    for (const end of due) {
      ended.push(this.#end(end))
      if (this.#waiting.size === 0) continue
      await Promise.all(ended)
      await this.#fillWaiting()
    }
    this.played.at = this.options.start + seconds * SECOND_MS
    if (this.#waiting.size > 0) await this.#fillWaiting()
    return ended
  }

  #end(seconds: number): Promise<void> {
    const ending = this.#ends.get(seconds)!
    this.#ends.delete(seconds)
    this.played.at = this.options.start + seconds * SECOND_MS
    return this.#giveBack(ending)
  }

  async #giveBack(running: readonly Running[]): Promise<void> {
    const { at } = this.played
    await Promise.all(
      running.map((service) => submitTermination(this.desks.get(service.site)!, service, at, at, REPLAY, null)),
    )
    this.played.ended += running.length
  }

  /** First come, first served at the preferred site, then at the other, then on the wait list. */
  async #place(arrived: readonly RecordedOrder[]): Promise<void> {
    const second = await this.#try(arrived, 0, false)
    const third = await this.#try(second, 1, false)
    this.played.elsewhere += second.length - third.length
    const patient = third.filter(waits)
    this.played.refused += third.length - patient.length
    await this.#try(patient, 0, true)
  }

  /** Orders at their first or second site; those that found no room come back. */
  async #try(orders: readonly RecordedOrder[], choice: 0 | 1, wait: boolean): Promise<RecordedOrder[]> {
    const tried = await Promise.all(
      orders.map(async (order) => {
        const site = sitesOf(order.batch, this.options.sites)[choice]
        const prepared = this.#prepare(order, site, wait)
        try {
          const state = await submitOrder(this.desks.get(site)!, prepared)
          if (state === 'waiting') {
            this.played.waitListed++
            this.#waiting.set(prepared.claimId, { order, site, prepared })
          } else this.#begin(order, site, prepared, this.played.at)
          return null
        } catch (error) {
          if (error instanceof CapacityExhausted) return order
          throw error
        }
      }),
    )
    return tried.filter((order) => order !== null)
  }

  #prepare(order: RecordedOrder, site: string, wait: boolean): PreparedOrder {
    const { at } = this.played
    const tenant = tenantOf(order.batch)
    const prepared = prepareOrder(
      this.desks.get(site)!,
      {
        party: this.tenants[tenant]!,
        offering: this.options.offering,
        config: configOf(order.vcpu, site),
        name: `${order.vcpu} vCPU`,
        waitUntil: wait ? at + PATIENCE_MS : undefined,
        actor: REPLAY,
      },
      this.terms[tenant]!,
      this.sites,
      at,
    )
    // The batch is the contract, opened by whichever of its orders is the first to find room.
    let contractId = this.#contracts.get(order.batch)
    if (contractId === undefined) {
      contractId = newId()
      this.#contracts.set(order.batch, contractId)
    }
    prepared.row.contractId = contractId
    return prepared
  }

  #begin(order: RecordedOrder, site: string, { row, claimId }: PreparedOrder, at: Instant): void {
    this.played.accepted++
    if (order.lifetimeSeconds === null) {
      this.#endless.push({ site, id: row.serviceId, contractId: row.contractId, partyId: row.partyId, claimId })
      return
    }
    const end = (at - this.options.start) / SECOND_MS + order.lifetimeSeconds
    const running = { site, id: row.serviceId, contractId: row.contractId, partyId: row.partyId, claimId }
    const same = this.#ends.get(end)
    if (same) same.push(running)
    else this.#ends.set(end, [running])
  }

  /** Fills the wait list with what was given back, lets the impatient go, and completes the orders of the filled. */
  async #fillWaiting(): Promise<void> {
    if (this.#waiting.size === 0) return
    const { database } = this
    // One engine looks after the whole wait list; the other hears of what it fills.
    await this.desks.get(this.options.sites[0])!.capacity.sweep(this.played.at)
    const states = await database.query<{ claimId: string; state: string }>(
      `select id as "claimId", state from claim where id = any($1) and state <> 'waiting'`,
      [[...this.#waiting.keys()]],
    )
    if (states.length === 0) return
    // The record of events is read up to what no running transaction can still slip in front of.
    for (let left = states.length; left > 0; ) {
      const done = await followCapacity(database, this.played.at)
      left -= done
      if (done === 0) await setImmediate()
    }
    for (const { claimId, state } of states) {
      const { order, site, prepared } = this.#waiting.get(claimId)!
      this.#waiting.delete(claimId)
      if (state === 'active') {
        this.played.filled++
        this.#begin(order, site, prepared, this.played.at)
      } else this.played.refused++
    }
  }
}

/** Remembers a replay, so that the same one is not played twice into one database. */
export async function rememberReplay(
  database: Database,
  partyId: string,
  id: string,
  result: ReplayResult,
): Promise<void> {
  await appendEvents(database, [
    { partyId, actor: REPLAY, type: 'replay.completed', subjectKind: 'replay', subjectId: id, after: result },
  ])
}

/** The result of a replay that was played before; null if it was not. */
export async function rememberedReplay(database: Database, id: string): Promise<ReplayResult | null> {
  const [event] = await database.query<{ after: ReplayResult }>(
    `select after from event where subject_id = $1 and type = 'replay.completed' order by id limit 1`,
    [id],
  )
  return event?.after ?? null
}

/** What a replay is known by. */
export const replayId = (fileHash: string, start: Instant, zone: string): string =>
  `replay ${fileHash.slice(0, 12)} from ${dateOf(start, zone)}`
