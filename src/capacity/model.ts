/**
 * The words of capacity: what a claim asks, what it is answered, and the pure rules on them. A claim takes quantities of
 * pools over `[from, to)`, everywhere it asks or nowhere.
 */
import { BadInput, LimitPassed } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { type Quantity, THOUSANDTHS } from '../core/quantity.ts'
import { DAY_MS, FOREVER, type Instant, type Interval } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { Actor } from '../database/events.ts'
import type { Recurrence } from './recurrence.ts'

export type ClaimState = 'active' | 'held' | 'waiting' | 'released' | 'expired' | 'cancelled'

/** One wish: a quantity of one kind at one site. */
export interface ClaimLine {
  siteId: number
  kind: string
  /** Thousandths of the kind's unit; whole units for identified kinds. */
  quantity: Quantity
  type: 'firm' | 'standby'
  /** For standby: the site whose failure it covers. */
  protectsSiteId?: number | null
  /** For identified kinds: the wanted container and first slot; else best fit. One line is one contiguous run. */
  containerId?: number
  start?: number
}

/** Where a claim stands to others: of the same party unless `claims` names some. */
export interface Placement {
  scope: 'site' | 'fault-domain' | 'container'
  claims?: string[]
}

/** Rows of another noun that are written in the same transaction as the decision. Made by `companion()`. */
export interface Companion {
  write: CompanionWriter<unknown>
  row: unknown
}

/** Writes the rows of every decision of one group at once; throws to refuse (the group is then written one by one). */
export type CompanionWriter<Row> = (sql: Sql, written: { row: Row; claim: ClaimOutcome }[]) => Promise<void>

/** Ties a row to its writer. One writer is called once per group with all its rows. */
export const companion = <Row>(write: CompanionWriter<Row>, row: Row): Companion => ({
  write: write as CompanionWriter<unknown>,
  row,
})

export interface ClaimRequest {
  /** The claim's identifier, when the caller wants to know it beforehand. */
  id?: string
  partyId: string
  from: Instant
  to: Instant
  lines: ClaimLine[]
  mode: 'firm' | 'hold'
  /** When a hold lapses by itself. */
  holdUntil?: Instant
  /** Joins the wait list until then when it does not fit now. */
  waitUntil?: Instant
  recurrence?: Recurrence
  affinity?: Placement
  antiAffinity?: Placement
  idempotencyKey?: string
  /** What tells a repeat from another use of the key, when the request holds defaults such as now. */
  fingerprint?: string
  actor: Actor
  /** The decision's own time; the engine's clock if absent. */
  at?: Instant
  companion?: Companion
}

/** Grow, shrink, move or extend. What is absent stays. */
export interface ChangeRequest {
  claimId: string
  /** When the new lines begin; now if absent. */
  at?: Instant
  /** The new end. */
  to?: Instant
  /** All lines from `at` on, in the order of the claim's lines. */
  lines?: ClaimLine[]
  /** The version the asker saw; a later one is refused with `StaleVersion`. */
  expectedVersion?: number
  actor: Actor
  /** The decision's own time; the engine's clock if absent. */
  now?: Instant
  companion?: Companion
}

export interface ReleaseOptions {
  expectedVersion?: number
  /** The decision's own time; the engine's clock if absent. */
  now?: Instant
  companion?: Companion
}

/** Slots `start .. start + length - 1` of one container. */
export interface SlotRun {
  containerId: number
  containerName: string
  start: number
  length: number
}

/** One reservation of a claim: a line over an interval. */
export interface OutcomeLine {
  /** The line as asked, from 1. */
  line: number
  siteId: number
  kind: string
  poolId: number
  quantity: Quantity
  type: 'firm' | 'standby' | 'hold'
  from: Instant
  to: Instant
  protectsSiteId: number | null
  assignment: SlotRun | null
}

export interface ClaimOutcome {
  id: string
  partyId: string
  state: ClaimState
  from: Instant
  to: Instant
  /** When a hold lapses or a waiting claim gives up. */
  expiresAt: Instant | null
  version: number
  lines: OutcomeLine[]
  /** The idempotency key had been used for the same request: this is what was answered then. */
  repeated: boolean
}

/** What a pool can give over an interval. */
export interface PoolAvailability {
  poolId: number
  siteId: number
  kind: string
  /** The smallest amount free at any instant of the interval, after what is promised as standby. */
  free: Quantity
  /** The smallest capacity open (with oversubscription) at any instant of the interval. */
  open: Quantity
  /** The longest run of slots free over the whole interval, for identified kinds with containers. */
  largestRun: number | null
}

/** A dated change of a pool's capacity. */
export interface CapacityStep {
  effectiveAt: Instant
  quantity: Quantity
  state: 'planned' | 'committed' | 'open'
}

const HORIZON_MS = LIMITS.horizonYears * 366 * DAY_MS

/**
 * Checks an interval of a claim.
 * @throws BadInput when it is reversed, empty, or out of the horizon.
 */
export function checkInterval({ from, to }: Interval, now: Instant): void {
  if (!Number.isFinite(from)) throw new BadInput('/from', 'it is not an instant', 'a date and time')
  if (Number.isNaN(to)) throw new BadInput('/to', 'it is not an instant', 'a date and time, or null for no end')
  if (!(from < to)) throw new BadInput('/to', 'the interval is empty or reversed', 'an end after the start')
  if (from > now + HORIZON_MS || (to !== FOREVER && to > now + HORIZON_MS))
    throw new BadInput('/to', 'it is too far ahead', `an instant within ${LIMITS.horizonYears} years`)
}

/**
 * Checks the lines of a claim against themselves; whether pools exist is for the engine.
 * @throws BadInput, LimitPassed
 */
export function checkLines(lines: readonly ClaimLine[]): void {
  if (lines.length === 0) throw new BadInput('/lines', 'there is none', 'at least one line')
  if (lines.length > LIMITS.claimLines) throw new LimitPassed('claimLines', LIMITS.claimLines, lines.length)
  lines.forEach((line, index) => {
    const at = `/lines/${index}`
    if (!Number.isSafeInteger(line.quantity) || line.quantity <= 0)
      throw new BadInput(`${at}/quantity`, `${line.quantity / THOUSANDTHS} is not an amount`, 'an amount above 0')
    if (line.type === 'standby' && line.protectsSiteId == null)
      throw new BadInput(`${at}/protects`, 'it is absent', 'the site that the standby protects')
    if (line.type === 'firm' && line.protectsSiteId != null)
      throw new BadInput(`${at}/protects`, 'a firm line protects nothing', 'type "standby", or no "protects"')
    if (line.protectsSiteId === line.siteId)
      throw new BadInput(`${at}/protects`, 'a site cannot protect itself', 'another site')
  })
}

/**
 * Open capacity of a pool over time, from its dated steps (planned ones are not counted) and its oversubscription in
 * thousandths: points of a step function, the first at `-Infinity`. Never below zero.
 */
export function capacityPoints(
  steps: readonly CapacityStep[],
  oversubscriptionThousandths: number,
): { at: Instant; value: Quantity }[] {
  const points: { at: Instant; value: Quantity }[] = []
  let sum = 0n
  for (const step of steps.filter((each) => each.state !== 'planned').sort((a, b) => a.effectiveAt - b.effectiveAt)) {
    sum += BigInt(step.quantity)
    const value = sum <= 0n ? 0 : Number((sum * BigInt(oversubscriptionThousandths)) / 1_000n)
    const last = points.at(-1)
    if (last && last.at === step.effectiveAt) last.value = value
    else points.push({ at: step.effectiveAt, value })
  }
  return points
}
