/**
 * Decisions on claims, in memory: pure over the pools as this process sees them, which they change tentatively. The
 * journal remembers every tentative change, so that a refused claim leaves nothing behind and a group whose write the
 * database turned down can be taken back whole.
 */
import { createHash } from 'node:crypto'
import { CapacityExhausted, NotFound, WrongState } from '../core/errors.ts'
import { type Quantity, THOUSANDTHS, unitsFromQuantity } from '../core/quantity.ts'
import { type Instant, type Interval, toIso } from '../core/time.ts'
import type { Take } from './ledgers.ts'
import type { PoolState } from './load.ts'
import {
  type ClaimLine,
  type ClaimOutcome,
  type ClaimRequest,
  type ClaimState,
  checkLines,
  type SlotRun,
} from './model.ts'
import type { Places } from './placement.ts'
import { occurrences, type Recurrence } from './recurrence.ts'
import type { PoolEntry, Registry } from './registry.ts'
import type { SlotMap } from './slots.ts'

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

/** The pool of a line. @throws NotFound */
export function poolOf(registry: Registry, line: ClaimLine): PoolEntry {
  const pool = registry.pool(line.siteId, line.kind)
  if (!pool) throw new NotFound('pool', `of ${line.kind} at ${registry.siteName(line.siteId)}`)
  return pool
}

/** Every pool that the lines of a party count in: where they lie, and the quotas above them. */
export function poolsOfLines(registry: Registry, partyId: string, lines: readonly ClaimLine[]): number[] {
  const ids: number[] = []
  for (const line of lines) {
    ids.push(poolOf(registry, line).id)
    for (const quota of registry.quotas(partyId, line.siteId, line.kind)) ids.push(quota.id)
  }
  return ids
}

/** The intervals of a line: the claim's one, or the occurrences in the zone of the line's site. */
export const lineIntervals = (
  registry: Registry,
  line: ClaimLine,
  window: Interval,
  recurrence: Recurrence | undefined,
): Interval[] =>
  recurrence ? occurrences(recurrence, window, registry.sites.get(line.siteId)?.timeZone ?? 'UTC') : [window]

/** The type a line's rows have now: standby of a site in a fail-over is firm from the start. */
export function typeOfLine(registry: Registry, line: ClaimLine, mode: 'firm' | 'hold'): ReservationType {
  if (line.type === 'standby') return registry.active.has(line.protectsSiteId!) ? 'firm' : 'standby'
  return mode === 'hold' ? 'hold' : 'firm'
}

/** What one line takes of one pool over its intervals: the pool it lies in, or a quota above it. */
interface Wish {
  line: number
  pool: PoolEntry
  quantity: Quantity
  type: ReservationType
  protects: number | null
  intervals: Interval[]
  asked: ClaimLine
}

/** All that lines take, in order, quotas after the pool of each line. */
export function wishesOf(
  registry: Registry,
  partyId: string,
  lines: readonly ClaimLine[],
  mode: 'firm' | 'hold',
  window: Interval,
  recurrence: Recurrence | undefined,
): Wish[] {
  return lines.flatMap((asked, index) => {
    const pool = poolOf(registry, asked)
    const intervals = lineIntervals(registry, asked, window, recurrence)
    const own: Wish = {
      line: index + 1,
      pool,
      quantity: asked.quantity,
      type: typeOfLine(registry, asked, mode),
      protects: asked.type === 'standby' ? asked.protectsSiteId! : null,
      intervals,
      asked,
    }
    if (!registry.hasQuotas) return [own]
    const quotas = registry
      .quotas(partyId, asked.siteId, asked.kind)
      .map((quota): Wish => ({ ...own, pool: quota, type: 'quota', protects: null }))
    return [own, ...quotas]
  })
}

/**
 * Takes a wish, or throws saying where, when and by how much it is short. On a throw the caller undoes to its mark.
 * @throws CapacityExhausted
 */
export function takeWish(
  world: World,
  wish: Wish,
  nextPart: number,
  places: Places | null,
  own: readonly Part[],
  preferred: SlotRun | null = null,
): Part[] {
  const pool = world.pools.get(wish.pool.id)!
  const run = wish.type === 'quota' ? null : findRun(world, pool, wish, places, own, preferred)
  return wish.intervals.map(({ from, to }, index) => {
    const { quantity, protects } = wish
    if (pool.ledgers.free(from, to, protects) < quantity) throw exhausted(world, pool, wish, { from, to })
    world.take(pool, { from, to, quantity, protects }, run, 1)
    return {
      part: nextPart + index,
      line: wish.line,
      poolId: pool.entry.id,
      quantity,
      type: wish.type,
      from,
      to,
      protects,
      run,
    }
  })
}

/** Slots for a wish; null where the pool has none. Standby has none either: which slots, a fail-over will say. */
function findRun(
  world: World,
  pool: PoolState,
  wish: Wish,
  places: Places | null,
  own: readonly Part[],
  preferred: SlotRun | null,
): SlotRun | null {
  if (!pool.entry.identified) return null
  if (wish.quantity % THOUSANDTHS !== 0)
    throw new WrongState(`${pool.entry.kind} is taken in whole units; ${unitsFromQuantity(wish.quantity)} is not one.`)
  if (!pool.slots || wish.asked.type === 'standby') return null
  const { containers } = pool.slots
  const used = places
    ? own.flatMap((part) =>
        part.poolId === pool.entry.id && part.run ? containers.filter(({ id }) => id === part.run!.containerId) : [],
      )
    : []
  const run = pool.slots.find({
    length: wish.quantity / THOUSANDTHS,
    intervals: wish.intervals,
    containerId: wish.asked.containerId,
    start: wish.asked.start,
    allowed: places && ((container) => places.allows(container, pool.entry.siteId, used)),
    preferred,
  })
  if (run) return run
  for (const interval of wish.intervals)
    if (pool.ledgers.free(interval.from, interval.to, wish.protects) < wish.quantity)
      throw exhausted(world, pool, wish, interval)
  throw noRun(world, pool.slots, wish)
}

function noRun(world: World, slots: SlotMap, wish: Wish): CapacityExhausted {
  const { pool, quantity, intervals } = wish
  const largestRun = Math.min(...intervals.map((interval) => slots.largestRun(interval)))
  const asked = unitsFromQuantity(quantity)
  return new CapacityExhausted(
    `${world.registry.siteName(pool.siteId)} has no ${asked} contiguous ${pool.unit} of ${pool.kind} free over the whole time${
      wish.asked.containerId === undefined ? '' : ' where asked'
    }; the longest run is ${largestRun}.`,
    { pool: pool.id, site: world.registry.siteName(pool.siteId), kind: pool.kind, asked, largestRun },
  )
}

function exhausted(world: World, pool: PoolState, wish: Wish, interval: Interval): CapacityExhausted {
  const { entry, ledgers } = pool
  const free = ledgers.free(interval.from, interval.to, wish.protects)
  const at = ledgers.shortAt(interval.from, interval.to, wish.quantity, wish.protects)
  const facts = {
    pool: entry.id,
    site: world.registry.siteName(entry.siteId),
    kind: entry.kind,
    at: at === null || !Number.isFinite(at) ? null : toIso(at),
    free: unitsFromQuantity(Math.max(0, free)),
    asked: unitsFromQuantity(wish.quantity),
    quotaOf: entry.partyId,
  }
  const where = entry.partyId === null ? facts.site : `The quota over ${facts.site}`
  return new CapacityExhausted(
    `${where} has ${facts.free} ${entry.unit} of ${entry.kind} free${facts.at ? ` at ${facts.at}` : ''}; ${facts.asked} asked.`,
    facts,
  )
}

/**
 * Decides a new claim (or one that waited: `seen` is its version). Leaves its takes in the world.
 * @throws CapacityExhausted and takes everything back, when a line does not fit.
 */
export function decideClaim(
  world: World,
  id: string,
  request: Omit<ClaimRequest, 'actor' | 'companion'>,
  options: { seen?: number | null; places?: Places | null } = {},
): Writes {
  checkLines(request.lines)
  options.places?.checkSites(world.registry, request.lines)
  const mark = world.mark
  const window = { from: request.from, to: request.to }
  const wishes = wishesOf(world.registry, request.partyId, request.lines, request.mode, window, request.recurrence)
  const parts: Part[] = []
  try {
    for (const wish of wishes) parts.push(...takeWish(world, wish, parts.length + 1, options.places ?? null, parts))
  } catch (error) {
    world.undo(mark)
    throw error
  }
  const stored = storedRequest(request)
  return {
    claim: {
      id,
      partyId: request.partyId,
      state: request.mode === 'hold' ? 'held' : 'active',
      from: request.recurrence ? Math.min(...parts.map((part) => part.from)) : request.from,
      to: request.recurrence ? Math.max(...parts.map((part) => part.to)) : request.to,
      expiresAt: request.mode === 'hold' ? request.holdUntil! : null,
      request: request.recurrence || request.affinity || request.antiAffinity ? stored : null,
      seen: options.seen ?? null,
    },
    parts,
    changes: [],
  }
}

export const storedRequest = (request: Omit<ClaimRequest, 'actor' | 'companion'>): StoredRequest => ({
  lines: request.lines,
  mode: request.mode,
  holdUntil: request.holdUntil,
  recurrence: request.recurrence,
  affinity: request.affinity,
  antiAffinity: request.antiAffinity,
})

/** What a claim that joins the wait list writes: nothing is taken. */
export const decideWaiting = (id: string, request: Omit<ClaimRequest, 'actor' | 'companion'>): Writes => ({
  claim: {
    id,
    partyId: request.partyId,
    state: 'waiting',
    from: request.from,
    to: request.to,
    expiresAt: request.waitUntil!,
    request: storedRequest(request),
    seen: null,
  },
  parts: [],
  changes: [],
})

/** What `lines` and a new end make of a claim from an instant on. */
export interface Target {
  at: Instant
  to: Instant
  lines: ClaimLine[]
}

/** The last instant at which a claim's lines change before a new end: what stands there is what an extension prolongs. */
export function lastChange(claim: KnownClaim, to: Instant): Instant {
  let last = claim.from
  for (const part of claim.parts)
    if (part.type !== 'quota' && part.from < part.to && part.from < to && part.from > last) last = part.from
  return last
}

/** The lines of a claim as they stand at an instant: its own reservations there, quotas left out. */
export function linesAt(registry: Registry, claim: KnownClaim, at: Instant): ClaimLine[] {
  if (claim.request?.recurrence) return claim.request.lines
  const lines: ClaimLine[] = []
  const latest = new Map<number, KnownPart>()
  for (const part of claim.parts)
    if (part.type !== 'quota' && part.from <= at && at < part.to) latest.set(part.line, part)
  for (const [, part] of [...latest].sort(([a], [b]) => a - b)) {
    const pool = registry.pools.get(part.poolId)!
    lines.push({
      siteId: pool.siteId!,
      kind: pool.kind,
      quantity: part.quantity,
      type: part.protects === null ? 'firm' : 'standby',
      protectsSiteId: part.protects,
    })
  }
  return lines
}

/**
 * Decides what a claim becomes: rows that still serve are kept and stretched or cut to the new end, the others end and
 * new ones begin. With no lines the claim ends at `at`. Gives back first, then takes, so that a move may use what it
 * leaves.
 * @throws CapacityExhausted and takes everything back, when it does not fit.
 */
export function decideTarget(
  world: World,
  claim: KnownClaim,
  target: Target,
  state: ClaimState,
  places: Places | null = null,
): Writes {
  const { registry } = world
  const mark = world.mark
  const mode = claim.state === 'held' ? 'hold' : 'firm'
  const begin = Math.max(target.at, claim.from)
  const recurrence = claim.request?.recurrence
  const wishes =
    target.lines.length === 0 || begin >= target.to
      ? []
      : wishesOf(registry, claim.partyId, target.lines, mode, { from: begin, to: target.to }, recurrence)
  const current = claim.parts.filter((part) => part.to > begin && part.from < part.to)
  const kept = new Map<KnownPart, Instant>()
  const missing = wishes.flatMap((wish) => {
    const intervals = wish.intervals.filter((interval) => {
      const part = current.find((each) => !kept.has(each) && serves(each, wish, interval, begin))
      if (part) kept.set(part, interval.to)
      return !part
    })
    return intervals.length === 0 ? [] : [{ ...wish, intervals }]
  })
  const changes: PartChange[] = []
  try {
    for (const part of current) {
      const to = kept.get(part) ?? Math.max(part.from, begin)
      if (to < part.to) giveBack(world, part, to)
      if (to !== part.to) changes.push({ claimId: claim.id, known: part, to, type: part.type })
    }
    for (const [part, to] of kept) if (to > part.to) stretch(world, part, to, wishes)
    let next = Math.max(0, ...claim.parts.map((part) => part.part)) + 1
    const parts: Part[] = []
    for (const wish of missing) {
      const before = current.find((part) => part.line === wish.line && part.poolId === wish.pool.id && part.run)
      const staying = current.filter((part) => kept.has(part))
      const own = [...staying, ...parts].filter((part) => part.line !== wish.line)
      const preferred = preferredRun(before?.run ?? null, wish.quantity)
      const taken = takeWish(world, wish, next, places, own, preferred)
      parts.push(...taken)
      next += taken.length
    }
    return {
      claim: {
        id: claim.id,
        partyId: claim.partyId,
        state,
        from: claim.from,
        to: Math.max(claim.from, target.to),
        expiresAt: state === 'held' ? claim.expiresAt : null,
        request: claim.request && target.lines.length > 0 ? { ...claim.request, lines: target.lines } : claim.request,
        seen: claim.version,
      },
      parts,
      changes,
    }
  } catch (error) {
    world.undo(mark)
    throw error
  }
}

/** Whether a row already is what a wish wants over an interval, but for its end. */
const serves = (part: KnownPart, wish: Wish, interval: Interval, begin: Instant): boolean =>
  part.line === wish.line &&
  part.poolId === wish.pool.id &&
  part.quantity === wish.quantity &&
  part.type === wish.type &&
  part.protects === wish.protects &&
  (part.from === interval.from || (interval.from === begin && part.from < begin)) &&
  (wish.type === 'quota' || wish.asked.containerId === undefined || wish.asked.containerId === part.run?.containerId) &&
  (wish.type === 'quota' || wish.asked.start === undefined || wish.asked.start === part.run?.start)

const takeOf = (part: KnownPart, from: Instant, to: Instant): Take => ({
  from,
  to,
  quantity: part.quantity,
  protects: part.protects,
  unprotected: part.unprotected,
})

/** Cuts a row at an instant. */
function giveBack(world: World, part: KnownPart, to: Instant): void {
  const pool = world.pools.get(part.poolId)!
  world.take(pool, takeOf(part, to, part.to), null, -1)
  if (!part.run) return
  // The run is held as one interval: taken off whole and held again as it is now.
  world.takeRun(pool, part.run, { from: part.from, to: part.to }, -1)
  if (part.from < to) world.takeRun(pool, part.run, { from: part.from, to }, 1)
}

/** Prolongs a row. @throws CapacityExhausted */
function stretch(world: World, part: KnownPart, to: Instant, wishes: readonly Wish[]): void {
  const pool = world.pools.get(part.poolId)!
  const more = { from: part.to, to }
  const wish = wishes.find((each) => each.line === part.line && each.pool.id === part.poolId)!
  if (pool.ledgers.free(more.from, more.to, part.protects) < part.quantity) throw exhausted(world, pool, wish, more)
  if (part.run && pool.slots) {
    if (!pool.slots.find({ ...part.run, intervals: [more] }))
      throw noRun(world, pool.slots, { ...wish, intervals: [more], asked: { ...wish.asked, ...part.run } })
    world.takeRun(pool, part.run, { from: part.from, to: part.to }, -1)
    world.takeRun(pool, part.run, { from: part.from, to }, 1)
  }
  world.take(pool, takeOf(part, more.from, more.to), null, 1)
}

/** Where a changed line would best stay: at its first slots. */
const preferredRun = (run: SlotRun | null, quantity: Quantity): SlotRun | null =>
  run ? { ...run, length: quantity / THOUSANDTHS } : null

/** A hold becomes firm: the same rows, taken as before. @throws WrongState when it is no hold or has lapsed. */
export function decideConvert(claim: KnownClaim, now: Instant): Writes {
  if (claim.state !== 'held')
    throw new WrongState(`Claim ${claim.id} is ${claim.state}, not held.`, { state: claim.state })
  if (claim.expiresAt !== null && claim.expiresAt <= now)
    throw new WrongState(`The hold ${claim.id} lapsed at ${toIso(claim.expiresAt)}.`, { state: 'expired' })
  return {
    claim: {
      id: claim.id,
      partyId: claim.partyId,
      state: 'active',
      from: claim.from,
      to: claim.to,
      expiresAt: null,
      request: claim.request,
      seen: claim.version,
    },
    parts: [],
    changes: claim.parts
      .filter((part) => part.type === 'hold' && part.from < part.to)
      .map((known) => ({ claimId: claim.id, known, to: known.to, type: 'firm' })),
  }
}

/** What a claim is after its writes, for the answer and the event. */
export function outcomeOf(registry: Registry, writes: Writes, before: KnownClaim | null): ClaimOutcome {
  const { claim } = writes
  const changed = new Map(writes.changes.map((change) => [change.known.part, change]))
  const parts: Part[] = [
    ...(before?.parts ?? []).map((part) => {
      const change = changed.get(part.part)
      return change ? { ...part, to: change.to, type: change.type } : part
    }),
    ...writes.parts,
  ]
  return {
    id: claim.id,
    partyId: claim.partyId,
    state: claim.state,
    from: claim.from,
    to: claim.to,
    expiresAt: claim.expiresAt,
    version: (claim.seen ?? 0) + 1,
    lines: parts
      .filter((part) => part.type !== 'quota' && part.from < part.to)
      .map((part) => {
        const pool = registry.pools.get(part.poolId)
        return {
          line: part.line,
          siteId: pool?.siteId ?? 0,
          kind: pool?.kind ?? '',
          poolId: part.poolId,
          quantity: part.quantity,
          type: part.type as 'firm' | 'standby' | 'hold',
          from: part.from,
          to: part.to,
          protectsSiteId: part.protects,
          assignment: part.run,
        }
      }),
    repeated: false,
  }
}

/** Tells a repeat of a request from another use of its idempotency key. */
export function requestHash(request: ClaimRequest): string {
  const { partyId, from, to, lines, mode, recurrence, affinity, antiAffinity } = request
  return (
    request.fingerprint ??
    createHash('sha256')
      .update(JSON.stringify([partyId, from, String(to), lines, mode, recurrence, affinity, antiAffinity]))
      .digest('base64url')
  )
}
