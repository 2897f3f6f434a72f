/**
 * All that an edge says of what it does: it hears of each request that is over, adds it up per property, writes the slots
 * each second and the access log as it comes, and tells figures to whoever asks (Prometheus, `izumi edge top`).
 */
import { firstValue, sectionBytes } from '../http/fields.ts'
import type { EdgeRequest, Finished } from '../message.ts'
import { AccessLog, type AccessLogOptions } from './access-log.ts'
import { Account, CLASSES, Figures, RESULTS } from './account.ts'
import { Slots, slotOf, type UsageSlot, usageOf, withId } from './slots.ts'

export interface SightOptions {
  /** Where slots are kept; null: in memory only. */
  folder: string | null
  log: AccessLogOptions | null
  /** True: somebody else ticks, or takes what was counted (`take`). */
  isFollower?: boolean
}

/** Requests that no property is named for. */
const NOBODY = '-'
/** Lines of closed slots kept in memory where there is no folder; the oldest go first. */
const CLOSED_MAX = 100_000
/** How often rates are taken and slots written: what `kill -9` can lose. */
const TICK_MS = 1_000

/** One line of `top`. */
export interface TopLine {
  property: string
  requestsPerSecond: number
  hitsPerSecond: number
  bytesOutPerSecond: number
  requests: number
  bytesOut: number
  byClass: readonly number[]
  byResult: Readonly<Record<string, number>>
}

export class Sight {
  readonly #accounts = new Map<string, Account>()
  readonly #slots: Slots | null
  #log: AccessLog | null
  readonly #timer: NodeJS.Timeout | null
  /** By logs that were before this one. */
  #droppedBefore = 0
  #slot = slotOf(Date.now())
  /** Without a folder: slots that are over. */
  #closed: UsageSlot[] = []

  constructor({ folder, log, isFollower = false }: SightOptions) {
    this.#slots = folder === null ? null : new Slots(folder)
    this.#log = log === null ? null : new AccessLog(log)
    for (const [property, figures] of this.#slots?.resume(this.#slot) ?? []) this.account(property).slot = figures
    this.#timer = isFollower ? null : setInterval(() => this.tick(Date.now()), TICK_MS)
    this.#timer?.unref()
  }

  account(property: string): Account {
    const known = this.#accounts.get(property)
    if (known !== undefined) return known
    const account = new Account(property)
    this.#accounts.set(property, account)
    return account
  }

  /** A request that the flow dealt with is over. */
  readonly finished = (finished: Finished): void => {
    const { request, property, status, result, bodyBytesSent, headBytesSent, tunnelBytesReceived = 0 } = finished
    const bytesIn = bytesOf(request) + tunnelBytesReceived
    this.account(property ?? NOBODY).add(status, result, bytesIn, headBytesSent + bodyBytesSent)
    if (this.#log?.wants()) this.#log.write(finished)
  }

  /** True when the next prepared answer is to be told of in full. */
  wantsLine(): boolean {
    return this.#log?.wants() ?? false
  }

  /** A prepared answer that `wantsLine` asked for. */
  line(finished: Finished): void {
    this.#log?.write(finished)
  }

  /** What was counted since the last time; whoever takes it has it alone. */
  take(): [property: string, figures: Figures][] {
    const taken: [string, Figures][] = []
    for (const account of this.#accounts.values())
      if (account.changed) {
        account.changed = false
        taken.push([account.property, account.slot])
        account.slot = new Figures()
      }
    return taken
  }

  /** Adds what another process counted and gave away. */
  add(taken: readonly [property: string, figures: Figures][]): void {
    for (const [property, figures] of taken) {
      const account = this.account(property)
      account.changed = true
      account.slot.addAll(figures)
      account.total.addAll(figures)
    }
  }

  /** Once a second: rates, peaks, and what changed goes to disk. */
  tick(now: number): void {
    for (const account of this.#accounts.values()) account.tick()
    this.#turn(now)
  }

  #turn(now: number): void {
    this.#write()
    const slot = slotOf(now)
    // A clock that was set back adds to the slot that is open: one that is closed never changes again.
    if (slot <= this.#slot) return
    if (this.#slots === null) {
      this.#closed.push(...this.live())
      this.#closed.splice(0, this.#closed.length - CLOSED_MAX)
    }
    this.#slot = slot
    for (const account of this.#accounts.values()) account.slot = new Figures()
  }

  /** Usage of slots that are over and not yet taken, oldest first; not all at once where there is very much. */
  pending(): UsageSlot[] {
    this.#turn(Date.now())
    return this.#slots?.pending(this.#slot) ?? [...this.#closed]
  }

  /** It is counted elsewhere: forgotten here. */
  taken(ids: readonly string[]): void {
    this.#slots?.taken(ids)
    const gone = new Set(ids)
    this.#closed = this.#closed.filter(({ id }) => !gone.has(id))
  }

  /** The slot that is open, so far. */
  live(): UsageSlot[] {
    return [...this.#accounts.values()]
      .filter(({ slot }) => slot.requests > 0)
      .map(({ property, slot }) => withId(usageOf(property, this.#slot, slot)))
  }

  top(): TopLine[] {
    return [...this.#accounts.values()]
      .map((account) => ({
        property: account.property,
        requestsPerSecond: account.requestsPerSecond,
        hitsPerSecond: account.hitsPerSecond,
        bytesOutPerSecond: account.bytesOutPerSecond,
        requests: account.total.requests,
        bytesOut: account.total.bytesOut,
        byClass: account.total.byClass,
        byResult: Object.fromEntries(RESULTS.map((result, index) => [result, account.total.byResult[index]!])),
      }))
      .sort((a, b) => b.requestsPerSecond - a.requestsPerSecond || b.requests - a.requests)
  }

  /** In the text format of Prometheus. */
  metrics(dropped: number): string {
    const lines: string[] = []
    const metric = (name: string, help: string, rows: [labels: string, value: number][]) => {
      lines.push(`# HELP izumi_edge_${name} ${help}`, `# TYPE izumi_edge_${name} counter`)
      for (const [labels, value] of rows) lines.push(`izumi_edge_${name}{${labels}} ${value}`)
    }
    const of = (account: Account) => `property="${account.property}"`
    const accounts = [...this.#accounts.values()]
    metric(
      'requests_total',
      'Requests that are over, by class of status.',
      accounts.flatMap((account) =>
        Array.from({ length: CLASSES }, (_, i): [string, number] => [
          `${of(account)},class="${i + 1}xx"`,
          account.total.byClass[i]!,
        ]),
      ),
    )
    metric(
      'results_total',
      'Requests that are over, by what the cache did.',
      accounts.flatMap((account) =>
        RESULTS.map((result, i): [string, number] => [`${of(account)},result="${result}"`, account.total.byResult[i]!]),
      ),
    )
    metric(
      'bytes_out_total',
      'Bytes of answers sent, heads included.',
      accounts.map((account) => [of(account), account.total.bytesOut]),
    )
    metric(
      'bytes_in_total',
      'Bytes of requests.',
      accounts.map((account) => [of(account), account.total.bytesIn]),
    )
    lines.push(
      '# HELP izumi_edge_log_dropped_total Lines that the disk was too slow for.',
      '# TYPE izumi_edge_log_dropped_total counter',
      `izumi_edge_log_dropped_total ${dropped}`,
    )
    return `${lines.join('\n')}\n`
  }

  /** Lines that the disk was too slow for. */
  get logDropped(): number {
    return this.#droppedBefore + (this.#log?.dropped ?? 0)
  }

  /** After a reload, and after log files were moved: lines go where they should from now on. */
  setLog(log: AccessLogOptions | null): void {
    const old = this.#log
    if (old !== null && log !== null && old.isLike(log)) {
      old.reopen()
      return
    }
    this.#droppedBefore += old?.dropped ?? 0
    this.#log = log === null ? null : new AccessLog(log)
    void old?.close()
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#write()
    await this.#log?.close()
  }

  #write(): void {
    if (this.#slots === null) return
    const changed: [string, Figures][] = []
    for (const account of this.#accounts.values())
      if (account.changed) {
        account.changed = false
        changed.push([account.property, account.slot])
      }
    try {
      this.#slots.write(this.#slot, changed, () =>
        [...this.#accounts.values()]
          .filter(({ slot }) => slot.requests > 0)
          .map(({ property, slot }) => [property, slot]),
      )
    } catch {
      // A full disk loses no figure: they are written with the next second that works.
      for (const [property] of changed) this.account(property).changed = true
    }
  }
}

/** What a request took of the line, near enough: its head as it was understood, and the body that it announced. */
function bytesOf(request: EdgeRequest): number {
  const body = Number(firstValue(request.fields, 'content-length') ?? 0) || 0
  return request.method.length + request.target.length + 12 + sectionBytes(request.fields) + body
}
