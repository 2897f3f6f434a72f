/**
 * What a pool has free, exactly, under every failure it must survive. Standby capacity is shared N:1: a line that
 * protects site A counts only in the scenarios in which A has failed, so two lines that protect different sites share
 * the same units. One ledger is kept per scenario (shared mesh restoration's rule: reserve the largest single failure,
 * not the sum); scenarios are the sets of up to `coveredFailures` protected sites, and only the largest sets need be
 * kept, since more failed sites never need less. Ordinary claims count in every ledger.
 *
 * While sites have really failed or are drilled (`active`), their standby is in use: beside the ordinary scenarios,
 * which keep the way back open, every scenario is also kept together with the active sites. A line that cannot be
 * honoured there (`unprotected`) counts only in the ordinary ones.
 */
import { LimitPassed } from '../core/errors.ts'
import type { Quantity } from '../core/quantity.ts'
import type { Instant } from '../core/time.ts'
import { Skyline } from './skyline.ts'

/** Ledgers one pool may have. */
const MAXIMUM_LEDGERS = 2_000

/** What a reservation takes of its pool. */
export interface Take {
  from: Instant
  to: Instant
  quantity: Quantity
  /** The site whose failure a standby covers, also while a fail-over has made it firm; null for ordinary claims. */
  protects: number | null
  /** A standby that cannot be honoured while the active failures last. */
  unprotected?: boolean
}

interface Ledger {
  sites: ReadonlySet<number>
  /** Counts the active sites too, and not what is marked unprotected. */
  withActive: boolean
  free: Skyline
}

export class PoolLedgers {
  /** Capacity less firm and held. */
  readonly base: Skyline
  readonly coveredFailures: number
  readonly active: ReadonlySet<number>
  /** Standby of each protected site, as negative amounts: all of it, and that which is honoured now. */
  #demand = new Map<number, { all: Skyline; honoured: Skyline }>()
  #ledgers: Ledger[] = []

  constructor(base: Skyline, coveredFailures: number, active: ReadonlySet<number> = new Set()) {
    this.base = base
    this.coveredFailures = coveredFailures
    this.active = active
  }

  /** Puts in the standby of sites as read from the database, all at once. */
  load(demand: ReadonlyMap<number, { all: Skyline; honoured: Skyline }>): void {
    for (const [site, lines] of demand) this.#demand.set(site, lines)
    this.#rebuild()
  }

  /** Takes an amount (or gives it back with `sign` -1). */
  take(take: Take, sign: 1 | -1 = 1): void {
    const amount = -sign * take.quantity
    if (take.protects === null) {
      this.base.add(take.from, take.to, amount)
      for (const ledger of this.#ledgers) ledger.free.add(take.from, take.to, amount)
      return
    }
    const demand = this.#demandOf(take.protects)
    demand.all.add(take.from, take.to, amount)
    if (!take.unprotected) demand.honoured.add(take.from, take.to, amount)
    for (const ledger of this.#ledgers)
      if (ledger.sites.has(take.protects) && !(ledger.withActive && take.unprotected))
        ledger.free.add(take.from, take.to, amount)
  }

  /** The least that is free for a line at any instant of `[from, to)` in any scenario that it counts in. */
  free(from: Instant, to: Instant, protects: number | null = null): Quantity {
    let least = Number.POSITIVE_INFINITY
    for (const ledger of this.#counting(protects)) least = Math.min(least, ledger.minimum(from, to))
    return least
  }

  /** The first instant at which less than `quantity` is free for a line, or null when it fits. */
  shortAt(from: Instant, to: Instant, quantity: Quantity, protects: number | null = null): Instant | null {
    let first: Instant | null = null
    for (const ledger of this.#counting(protects)) {
      const at = ledger.firstBelow(from, to, quantity)
      if (at !== null && (first === null || at < first)) first = at
    }
    return first
  }

  /** The same reservations with another number of failures to cover. */
  covering(coveredFailures: number): PoolLedgers {
    const other = new PoolLedgers(this.base, coveredFailures, this.active)
    other.load(this.#demand)
    return other
  }

  /** The same reservations while other sites are in a fail-over. Shares what it is made from: to ask, not to change. */
  during(active: ReadonlySet<number>): PoolLedgers {
    const other = new PoolLedgers(this.base, this.coveredFailures, active)
    other.load(this.#demand)
    return other
  }

  /** What is free for a standby in every scenario on top of the active failures. */
  freeDuringFailure(from: Instant, to: Instant, protects: number): Quantity {
    this.#demandOf(protects)
    let least = Number.POSITIVE_INFINITY
    for (const ledger of this.#ledgers)
      if (ledger.withActive && ledger.sites.has(protects)) least = Math.min(least, ledger.free.minimum(from, to))
    return least
  }

  /**
   * The first instant from `from` on at which any scenario lacks capacity, or null. With `added`, as if that capacity
   * were added.
   */
  overdrawnAt(
    added: Skyline | null = null,
    from: Instant = Number.NEGATIVE_INFINITY,
  ): { at: Instant; sites: number[] } | null {
    let first: { at: Instant; sites: number[] } | null = null
    const ledgers = this.#ledgers.length > 0 ? this.#ledgers : [{ sites: new Set<number>(), free: this.base }]
    for (const ledger of ledgers) {
      const free = added ? Skyline.sum([ledger.free, added]) : ledger.free
      const at = free.firstBelow(from, Number.POSITIVE_INFINITY, 0)
      if (at !== null && (first === null || at < first.at)) first = { at, sites: [...ledger.sites] }
    }
    return first
  }

  /** Drops what was before an instant. */
  forgetBefore(instant: Instant): void {
    this.base.forgetBefore(instant)
    for (const { all, honoured } of this.#demand.values()) {
      all.forgetBefore(instant)
      honoured.forgetBefore(instant)
    }
    for (const { free } of this.#ledgers) free.forgetBefore(instant)
  }

  /** The sites that standby here protects. */
  get protectedSites(): number[] {
    return [...this.#demand.keys()]
  }

  #counting(protects: number | null): Skyline[] {
    if (protects !== null) this.#demandOf(protects)
    if (this.#ledgers.length === 0) return [this.base]
    const counting = protects === null ? this.#ledgers : this.#ledgers.filter((ledger) => ledger.sites.has(protects))
    return counting.map((ledger) => ledger.free)
  }

  #demandOf(site: number) {
    let demand = this.#demand.get(site)
    if (!demand) {
      demand = { all: new Skyline(), honoured: new Skyline() }
      this.#demand.set(site, demand)
      this.#rebuild()
    }
    return demand
  }

  #rebuild(): void {
    const sites = this.protectedSites
    const ordinary = scenarios(sites, this.coveredFailures)
    const active = sites.filter((site) => this.active.has(site))
    const others = sites.filter((site) => !this.active.has(site))
    const joined =
      this.active.size === 0 ? [] : scenarios(others, this.coveredFailures).map((failed) => [...active, ...failed])
    if (ordinary.length + joined.length > MAXIMUM_LEDGERS)
      throw new LimitPassed('ledgers of a pool', MAXIMUM_LEDGERS, ordinary.length + joined.length)
    const ledger = (failed: number[], withActive: boolean): Ledger => ({
      sites: new Set(failed),
      withActive,
      free: Skyline.sum([this.base, ...failed.map((site) => this.#demand.get(site)![withActive ? 'honoured' : 'all'])]),
    })
    this.#ledgers = [
      ...ordinary.map((failed) => ledger(failed, false)),
      ...joined.map((failed) => ledger(failed, true)),
    ].filter(({ sites: failed }) => failed.size > 0)
  }
}

/** The largest sets of at most `size` of the sites: all sets of exactly `size`, or the one set of all when fewer. */
export function scenarios(sites: readonly number[], size: number): number[][] {
  if (sites.length <= size) return [[...sites]]
  if (size === 0) return [[]]
  const [first, ...rest] = sites
  return [...scenarios(rest, size - 1).map((failed) => [first!, ...failed]), ...scenarios(rest, size)]
}
