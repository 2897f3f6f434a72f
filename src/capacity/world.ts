/**
 * What decisions are made on and what they write: claims and their reservation rows as the database has them, and the
 * pools of one group with the way back from every tentative change.
 */
import type { Quantity } from '../core/quantity.ts'
import type { Instant, Interval } from '../core/time.ts'
import type { Take } from './ledgers.ts'
import type { PoolState } from './load.ts'
import type { ClaimLine, ClaimRequest, ClaimState, SlotRun } from './model.ts'
import type { Recurrence } from './recurrence.ts'
import type { Registry } from './registry.ts'

export type ReservationType = 'firm' | 'standby' | 'hold' | 'quota'

/** One reservation row. */
export interface Part {
  part: number
  line: number
  poolId: number
  quantity: Quantity
  type: ReservationType
  from: Instant
  to: Instant
  protects: number | null
  run: SlotRun | null
}

/** A reservation row as the database has it. */
export interface KnownPart extends Part {
  unprotected: boolean
  bornVersion: number
}

/** A claim as the database has it. */
export interface KnownClaim {
  id: string
  partyId: string
  state: ClaimState
  from: Instant
  to: Instant
  expiresAt: Instant | null
  version: number
  request: StoredRequest | null
  parts: KnownPart[]
}

/** What of a request is kept with the claim: where more is to be decided from it later. */
export interface StoredRequest {
  lines: ClaimLine[]
  mode: 'firm' | 'hold'
  holdUntil?: Instant
  recurrence?: Recurrence
  affinity?: ClaimRequest['affinity']
  antiAffinity?: ClaimRequest['antiAffinity']
}

/** A change of one known row: its end, its type, or both. */
export interface PartChange {
  claimId: string
  known: KnownPart
  to: Instant
  type: ReservationType
}

/** What one decision writes. */
export interface Writes {
  /** A claim to insert, or one to update from the version seen. */
  claim: {
    id: string
    partyId: string
    state: ClaimState
    from: Instant
    to: Instant
    expiresAt: Instant | null
    request: StoredRequest | null
    /** The version seen, of a claim that is there already; null inserts. */
    seen: number | null
  }
  parts: Part[]
  changes: PartChange[]
}

interface Mark {
  pool: PoolState
  take: Take | null
  run: SlotRun | null
  interval: Interval
  sign: 1 | -1
}

/** The pools of one group of decisions, and the way back from its tentative changes. */
export class World {
  readonly registry: Registry
  readonly pools: ReadonlyMap<number, PoolState>
  #journal: Mark[] = []

  constructor(registry: Registry, pools: ReadonlyMap<number, PoolState>) {
    this.registry = registry
    this.pools = pools
  }

  get mark(): number {
    return this.#journal.length
  }

  /** Takes back everything since a mark. */
  undo(mark = 0): void {
    while (this.#journal.length > mark) this.#apply(this.#journal.pop()!, -1)
  }

  /** The pools changed since a mark. */
  touched(): Set<number> {
    return new Set(this.#journal.map(({ pool }) => pool.entry.id))
  }

  take(pool: PoolState, take: Take, run: SlotRun | null, sign: 1 | -1): void {
    const mark: Mark = { pool, take, run, interval: take, sign }
    this.#journal.push(mark)
    this.#apply(mark, 1)
  }

  /** Marks a run of slots alone. */
  takeRun(pool: PoolState, run: SlotRun, interval: Interval, sign: 1 | -1): void {
    const mark: Mark = { pool, take: null, run, interval, sign }
    this.#journal.push(mark)
    this.#apply(mark, 1)
  }

  #apply({ pool, take, run, interval, sign }: Mark, direction: 1 | -1): void {
    const way = (sign * direction) as 1 | -1
    if (take) pool.ledgers.take(take, way)
    if (run && pool.slots) {
      if (way === 1) pool.slots.hold(run, { from: interval.from, to: interval.to })
      else pool.slots.drop(run, { from: interval.from, to: interval.to })
    }
  }
}
