/** What waits for the engine's next group, and how each kind is decided once its pools and claims are known. */
import { BadInput, CapacityExhausted, NotFound, StaleVersion, WrongState } from '../core/errors.ts'
import { type Instant, toIso } from '../core/time.ts'
import type { Actor, NewEvent } from '../database/events.ts'
import { recordOf } from './claim-record.ts'
import { decideClaim, decideConvert, decideWaiting, outcomeOf, poolsOfLines } from './decide.ts'
import type { ChangeRequest, ClaimLine, ClaimOutcome, ClaimRequest, Companion } from './model.ts'
import { hasPlacement, type PlacementWishes, type Places } from './placement.ts'
import type { Registry } from './registry.ts'
import { decideTarget, lastChange, linesAt } from './target.ts'
import type { KnownClaim, World, Writes } from './world.ts'

/** What is asked of the engine. */
export type Task =
  | { kind: 'claim'; id: string; request: ClaimRequest; hash: string | null }
  | { kind: 'change'; claimId: string; request: ChangeRequest }
  | { kind: 'release'; claimId: string; at: Instant; expectedVersion?: number }
  | { kind: 'convert'; claimId: string; expectedVersion?: number }
  | { kind: 'expire'; claimId: string }
  | { kind: 'fill'; claimId: string }

/** One task on its way. */
export interface Job {
  task: Task
  actor: Actor
  now: Instant
  changeId: string
  companion: Companion | null
  resolve: (outcome: ClaimOutcome) => void
  reject: (problem: unknown) => void
}

/** A decision: what to write, and what to answer when it is written. */
export interface Decided {
  writes: Writes | null
  outcome: ClaimOutcome
  events: NewEvent[]
}

export const claimIdOf = (task: Task): string | null => (task.kind === 'claim' ? null : task.claimId)

/** Where a task's claim wants to stand to others; null when it does not care. */
export function placementOf(task: Task, claim: KnownClaim | null): PlacementWishes | null {
  const wishes =
    task.kind === 'claim' ? task.request : task.kind === 'fill' || task.kind === 'change' ? claim?.request : null
  return wishes && hasPlacement(wishes) ? wishes : null
}

/** The pools a task may touch. */
export function poolsOfTask(registry: Registry, task: Task, claim: KnownClaim | null): number[] {
  if (task.kind === 'claim') return poolsOfLines(registry, task.request.partyId, task.request.lines)
  if (!claim) return []
  const ids = claim.parts.map((part) => part.poolId)
  if (task.kind === 'fill') ids.push(...poolsOfLines(registry, claim.partyId, claim.request?.lines ?? []))
  if (task.kind === 'change') {
    const lines = task.request.lines ?? claim.request?.lines ?? []
    ids.push(...poolsOfLines(registry, claim.partyId, lines))
    // An extension takes from the quotas of today, also where the claim had none before.
    ids.push(
      ...poolsOfLines(registry, claim.partyId, linesAt(registry, claim, lastChange(claim, Number.POSITIVE_INFINITY))),
    )
  }
  return ids
}

/** The earliest instant a task looks at. */
export function earliest(task: Task, claim: KnownClaim | null, now: Instant): Instant {
  if (task.kind === 'claim') return Math.min(task.request.from, now)
  if (task.kind === 'release') return Math.min(task.at, now)
  if (task.kind === 'change') return Math.min(task.request.at ?? now, now)
  return claim?.expiresAt ? Math.min(claim.expiresAt, now) : now
}

/**
 * Decides one task on the world, leaving its takes there.
 * @throws the refusal, with nothing left behind.
 */
export function decideTask(world: World, job: Job, claim: KnownClaim | null, places: Places | null): Decided {
  const { task } = job
  if (task.kind === 'claim') {
    refuseFailedSite(world.registry, task.request.lines, task.request.from, job.now)
    return decided(world, job, decideClaim(world, task.id, task.request, { places }), null, 'claim.created')
  }
  if (!claim) throw new NotFound('claim', task.claimId)
  const seen =
    task.kind === 'change'
      ? task.request.expectedVersion
      : task.kind === 'release' || task.kind === 'convert'
        ? task.expectedVersion
        : undefined
  if (seen !== undefined && seen !== claim.version) throw new StaleVersion(seen, claim.version)
  switch (task.kind) {
    case 'release':
      return decideRelease(world, job, claim, Math.max(task.at, job.now))
    case 'convert':
      return decided(world, job, decideConvert(claim, job.now), claim, 'claim.converted')
    case 'change':
      return decideChange(world, job, claim, task.request, places)
    case 'expire':
      return decideExpiry(world, job, claim)
    case 'fill':
      return decideFill(world, job, claim, places)
  }
}

/** @throws CapacityExhausted when a claim would begin at a site that has failed: it may wait until it is back. */
function refuseFailedSite(registry: Registry, lines: readonly ClaimLine[], from: Instant, now: Instant): void {
  if (registry.failed.size === 0 || from > now) return
  for (const { siteId } of lines)
    if (registry.failed.has(siteId))
      throw new CapacityExhausted(`${registry.siteName(siteId)} has failed; nothing can begin there now.`, {
        site: registry.siteName(siteId),
        failed: true,
      })
}

/** A claim that does not fit joins the wait list instead. */
export function decideToWait(world: World, job: Job): Decided {
  if (job.task.kind !== 'claim') throw new WrongState('Only a new claim can wait.')
  return decided(world, job, decideWaiting(job.task.id, job.task.request), null, 'claim.waiting')
}

function decideRelease(world: World, job: Job, claim: KnownClaim, at: Instant): Decided {
  if (claim.state === 'waiting')
    return decided(world, job, ended(claim, 'cancelled', claim.to), claim, 'claim.released')
  if (claim.state !== 'active' && claim.state !== 'held') {
    // Released before: nothing more to do, unless another noun's rows come with it.
    if (!job.companion) return { ...unchanged(world, claim), events: [] }
    return decided(world, job, ended(claim, claim.state, claim.to), claim, 'claim.released')
  }
  if (at >= claim.to) {
    if (!job.companion) return { ...unchanged(world, claim), events: [] }
    return decided(world, job, ended(claim, claim.state, claim.to), claim, 'claim.released')
  }
  const state = at > job.now ? claim.state : 'released'
  return decided(world, job, decideTarget(world, claim, { at, to: at, lines: [] }, state), claim, 'claim.released')
}

function decideChange(
  world: World,
  job: Job,
  claim: KnownClaim,
  request: ChangeRequest,
  places: Places | null,
): Decided {
  if (claim.state !== 'active' && claim.state !== 'held')
    throw new WrongState(`Claim ${claim.id} is ${claim.state}; only active and held claims can be changed.`, {
      state: claim.state,
    })
  if (claim.to <= job.now) throw new WrongState(`Claim ${claim.id} has ended.`, { state: 'released' })
  const asked = Math.max(request.at ?? job.now, claim.from, job.now)
  const to = request.to ?? claim.to
  if (to <= job.now)
    throw new BadInput('/to', 'it is not in the future', 'a later end; to end the claim now, release it')
  if (request.lines && asked >= to) throw new BadInput('/at', 'it is not before the end', `an instant before the end`)
  // A new end alone changes nothing that is arranged before it.
  const last = Math.max(lastChange(claim, to), Math.min(asked, to - 1))
  const at = request.lines ? asked : Math.max(last, claim.from)
  const lines = request.lines ?? linesAt(world.registry, claim, at)
  return decided(world, job, decideTarget(world, claim, { at, to, lines }, claim.state, places), claim, 'claim.changed')
}

function decideExpiry(world: World, job: Job, claim: KnownClaim): Decided {
  if (claim.expiresAt === null || claim.expiresAt > job.now) return { ...unchanged(world, claim), events: [] }
  if (claim.state === 'waiting') return decided(world, job, ended(claim, 'expired', claim.to), claim, 'claim.expired')
  if (claim.state !== 'held') return { ...unchanged(world, claim), events: [] }
  const at = Math.max(claim.expiresAt, claim.from)
  return decided(world, job, decideTarget(world, claim, { at, to: at, lines: [] }, 'expired'), claim, 'claim.expired')
}

function decideFill(world: World, job: Job, claim: KnownClaim, places: Places | null): Decided {
  if (claim.state !== 'waiting') return { ...unchanged(world, claim), events: [] }
  const from = Math.max(claim.from, job.now)
  if (from >= claim.to || (claim.expiresAt !== null && claim.expiresAt <= job.now))
    return decided(world, job, ended(claim, 'expired', claim.to), claim, 'claim.expired')
  const { lines, mode, holdUntil, recurrence } = claim.request!
  refuseFailedSite(world.registry, lines, from, job.now)
  const request = { partyId: claim.partyId, from, to: claim.to, lines, mode, holdUntil, recurrence }
  const writes = decideClaim(world, claim.id, request, { seen: claim.version, places })
  return decided(world, job, { ...writes, claim: { ...writes.claim, request: claim.request } }, claim, 'claim.filled')
}

/** A claim whose state ends without anything to give back. */
const ended = (claim: KnownClaim, state: 'cancelled' | 'expired' | KnownClaim['state'], to: Instant): Writes => ({
  claim: {
    id: claim.id,
    partyId: claim.partyId,
    state,
    from: claim.from,
    to,
    expiresAt: null,
    request: claim.request,
    seen: claim.version,
  },
  parts: [],
  changes: [],
})

function decided(world: World, job: Job, writes: Writes, before: KnownClaim | null, type: string): Decided {
  const outcome = outcomeOf(world.registry, writes, before)
  return {
    writes,
    outcome,
    events: [
      {
        partyId: writes.claim.partyId,
        actor: job.actor,
        type,
        subjectKind: 'claim',
        subjectId: writes.claim.id,
        before: before
          ? { state: before.state, from: toIso(before.from), to: toIso(before.to), version: before.version }
          : undefined,
        after: recordOf(world.registry, outcome),
      },
    ],
  }
}

function unchanged(world: World, claim: KnownClaim): { writes: null; outcome: ClaimOutcome } {
  const writes = ended(claim, claim.state, claim.to)
  const outcome = outcomeOf(world.registry, writes, claim)
  return { writes: null, outcome: { ...outcome, expiresAt: claim.expiresAt, version: claim.version, repeated: true } }
}
