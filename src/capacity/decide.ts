/**
 * Decisions on claims, in memory: pure over the pools as this process sees them, which they change tentatively (the
 * journal of `world.ts` takes it back). New claims, holds and the wait list stand here; changes and releases in
 * `target.ts`.
 */
import { createHash } from 'node:crypto'
import { CapacityExhausted, NotFound, WrongState } from '../core/errors.ts'
import { type Quantity, THOUSANDTHS, unitsFromQuantity } from '../core/quantity.ts'
import { type Instant, type Interval, toIso } from '../core/time.ts'
import type { PoolState } from './load.ts'
import { type ClaimLine, type ClaimOutcome, type ClaimRequest, checkLines, type SlotRun } from './model.ts'
import type { Places } from './placement.ts'
import { occurrences, type Recurrence } from './recurrence.ts'
import type { PoolEntry, Registry } from './registry.ts'
import type { SlotMap } from './slots.ts'
import type { KnownClaim, Part, ReservationType, StoredRequest, World, Writes } from './world.ts'

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
export interface Wish {
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
  // The sum first: in a full pool it spares a look into every container.
  for (const interval of wish.intervals)
    if (pool.ledgers.free(interval.from, interval.to, wish.protects) < wish.quantity)
      throw exhausted(world, pool, wish, interval)
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
  throw noRun(world, pool.slots, wish)
}

export function noRun(world: World, slots: SlotMap, wish: Wish): CapacityExhausted {
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

export function exhausted(world: World, pool: PoolState, wish: Wish, interval: Interval): CapacityExhausted {
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
  const told =
    request.fingerprint ?? JSON.stringify([partyId, from, String(to), lines, mode, recurrence, affinity, antiAffinity])
  return createHash('sha256').update(told).digest('base64url')
}
