/**
 * What becomes of a claim that is there: rows that still serve are kept and stretched or cut, the others end and new ones
 * begin. A release is the same with no lines left.
 */
import { type Quantity, THOUSANDTHS } from '../core/quantity.ts'
import type { Instant, Interval } from '../core/time.ts'
import { exhausted, noRun, takeWish, type Wish, wishesOf } from './decide.ts'
import type { Take } from './ledgers.ts'
import type { ClaimLine, ClaimState, SlotRun } from './model.ts'
import type { Places } from './placement.ts'
import type { Registry } from './registry.ts'
import type { KnownClaim, KnownPart, Part, PartChange, World, Writes } from './world.ts'

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
  // A withdrawn quota's rows are history.
  const current = claim.parts.filter(
    (part) => part.to > begin && part.from < part.to && (part.type !== 'quota' || world.pools.has(part.poolId)),
  )
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
