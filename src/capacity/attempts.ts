/**
 * One attempt at a group of decisions: everything they need is found, they are made in memory one after the other, and
 * written by one statement that holds only if no pool and no claim has moved on (`write.ts`), with the rows of other
 * nouns behind it in the same transaction.
 */
import { CapacityExhausted, NotFound } from '../core/errors.ts'
import type { Database, Sql } from '../database/connection.ts'
import { readClaims } from './claims.ts'
import {
  claimIdOf,
  type Decided,
  decideTask,
  decideToWait,
  earliest,
  type Job,
  placementOf,
  poolsOfTask,
} from './jobs.ts'
import { KnownClaims } from './known-claims.ts'
import type { KnownPools } from './known-pools.ts'
import type { ClaimOutcome, Companion } from './model.ts'
import { findPlaces, type Places } from './placement.ts'
import type { Registry } from './registry.ts'
import type { WaitList } from './wait-list.ts'
import { type KnownClaim, World } from './world.ts'
import { type SeenPool, stillAt, type Written, writeGroup } from './write.ts'

export interface Attempt {
  world: World
  claims: Map<string, KnownClaim>
  places: Map<Job, Places>
  decided: Map<Job, Decided>
  refused: Map<Job, unknown>
  pools: SeenPool[]
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

export class Attempts {
  readonly #database: Database
  readonly #registry: Registry
  readonly #pools: KnownPools
  readonly #waitList: WaitList
  readonly claims = new KnownClaims()

  constructor(database: Database, registry: Registry, pools: KnownPools, waitList: WaitList) {
    this.#database = database
    this.#registry = registry
    this.#pools = pools
    this.#waitList = waitList
    pools.onAnew = () => this.claims.forget()
  }

  /**
   * Decides a group, leaving what it takes in the known pools until `world.undo()`. `settled` waits for whatever is being
   * written when pools have to be read; `bumps` says by how many versions a pool will have moved on by then.
   * @throws NeedsLock, or what the database says; then nothing is left behind
   */
  async make(
    sql: Sql,
    group: Job[],
    locked: boolean,
    settled: () => Promise<void> = async () => {},
    bumps: (poolId: number) => number = () => 0,
  ): Promise<Attempt> {
    const attempt = await this.#prepare(sql, group, locked, settled)
    // From here on without a pause: the versions are those of what is decided on.
    for (const pool of attempt.pools) pool.version = this.#pools.get(pool.id)!.version + bumps(pool.id)
    for (const job of group) if (!attempt.refused.has(job)) this.#decide(attempt, job)
    const bumped = new Set(
      writersOf(attempt).flatMap(([, { writes }]) => [
        ...writes!.parts.map((part) => part.poolId),
        ...writes!.changes.map((change) => change.known.poolId),
      ]),
    )
    for (const pool of attempt.pools) pool.bump = bumped.has(pool.id)
    return attempt
  }

  /** Writes what was decided; false, with nothing written, when it was decided on what no longer is. */
  async write(sql: Sql, attempt: Attempt, locked: boolean): Promise<boolean> {
    const writers = writersOf(attempt)
    if (writers.length === 0) return locked || (await stillAt(sql, attempt.pools))
    const written = writers.map(
      ([job, { writes, events }]): Written => ({
        writes: writes!,
        changeId: job.changeId,
        at: job.now,
        idempotencyKey: job.task.kind === 'claim' ? (job.task.request.idempotencyKey ?? null) : null,
        requestHash: job.task.kind === 'claim' ? job.task.hash : null,
        events,
      }),
    )
    const companions = companionsOf(writers)
    if (companions.size === 0 || locked) {
      const ok = await writeGroup(sql, attempt.pools, written)
      if (ok) await writeCompanions(sql, companions)
      return ok
    }
    try {
      await this.#database.transaction(async (transaction) => {
        const group = writeGroup(transaction, attempt.pools, written)
        // Sent right behind, so that the database need not wait for us; with a stale group they are rolled back.
        const [ok, followed] = await Promise.allSettled([group, writeCompanions(transaction, companions)])
        if (ok.status === 'rejected') throw ok.reason
        if (!ok.value) throw new Stale()
        if (followed.status === 'rejected') throw followed.reason
      })
      return true
    } catch (error) {
      if (error instanceof Stale) return false
      throw error
    }
  }

  #decide(attempt: Attempt, job: Job): void {
    const { world, claims, places, decided, refused } = attempt
    const claimId = claimIdOf(job.task)
    const mark = world.mark
    try {
      const claim = claimId === null ? null : (claims.get(claimId) ?? null)
      const decision = decideTask(world, job, claim, places.get(job) ?? null)
      if (decision.writes) this.#waitList.check(decision.writes.claim.id, decision.writes.parts)
      decided.set(job, decision)
    } catch (error) {
      world.undo(mark)
      const waits = job.task.kind === 'claim' && job.task.request.waitUntil !== undefined
      if (waits && error instanceof CapacityExhausted) decided.set(job, decideToWait(world, job))
      else refused.set(job, error)
    }
  }

  /** Finds everything a group's decisions need: parties, claims, pools. */
  async #prepare(sql: Sql, group: Job[], locked: boolean, settled: () => Promise<void>): Promise<Attempt> {
    await this.#registry.learnParties(
      sql,
      group.flatMap(({ task }) => (task.kind === 'claim' ? [task.request.partyId] : [])),
    )
    const ids = group.flatMap(({ task }) => claimIdOf(task) ?? [])
    const refused = new Map<Job, unknown>()
    for (const job of group)
      if (job.task.kind === 'claim' && !this.#registry.knowsParty(job.task.request.partyId))
        refused.set(job, new NotFound('party', job.task.request.partyId))
    const strangers = new Map(refused)
    group = group.filter((job) => !refused.has(job))
    const { generation: known } = this.claims
    let claims = locked ? await readClaims(sql, ids) : await this.claims.know(sql, ids)
    await this.#registry.learnParties(
      sql,
      [...claims.values()].map(({ partyId }) => partyId),
    )
    let wanted = this.#poolsOf(group, claims, refused)
    if (refused.size > strangers.size || [...wanted].some((id) => !this.#registry.pools.has(id))) {
      // A site, pool or quota made by another process, or a quota withdrawn.
      await this.#registry.refresh(sql)
      refused.clear()
      for (const [job, problem] of strangers) refused.set(job, problem)
      wanted = this.#poolsOf(group, claims, refused)
    }
    const choosy = new Map(
      group.flatMap((job) => {
        const wishes = placementOf(job.task, claims.get(claimIdOf(job.task) ?? '') ?? null)
        return wishes ? [[job, wishes] as const] : []
      }),
    )
    if (choosy.size > 0 && (!locked || group.length > 1)) throw new NeedsLock(new Set(choosy.keys()))
    if (locked) {
      await sql.query('select from pool where id = any($1) order by id for update', [[...wanted]])
      claims = await readClaims(sql, ids, true)
    }
    const places = new Map<Job, Places>()
    for (const [job, wishes] of choosy) {
      const claim = job.task.kind === 'claim' ? null : claims.get(job.task.claimId)!
      const { partyId, from, to } = job.task.kind === 'claim' ? job.task.request : claim!
      places.set(job, await findPlaces(sql, claim?.id ?? NOBODY, partyId, { from, to }, wishes))
    }
    const from = Math.min(
      ...group.map((job) => earliest(job.task, claims.get(claimIdOf(job.task) ?? '') ?? null, job.now)),
    )
    // What is read now must not lack what is being written.
    if (!this.#pools.knows(wanted, from)) await settled()
    for (;;) {
      const { generation } = this.#registry
      const pools = await this.#pools.know(sql, wanted, from, locked)
      if (locked) await this.#pools.follow(sql, pools, true)
      if (this.#registry.generation === generation) break
      // Reading pools has told of quotas or pools that were not known: they count too.
      wanted = this.#poolsOf(group, claims, refused)
      if (locked) await sql.query('select from pool where id = any($1) order by id for update', [[...wanted]])
    }
    // Pools were read anew on the way: a fail-over may have changed rows without their claims' versions.
    if (!locked && this.claims.generation !== known) claims = await readClaims(sql, ids)
    return {
      world: new World(this.#registry, this.#pools.states),
      claims,
      places,
      decided: new Map(),
      refused,
      pools: [...wanted]
        .sort((a, b) => a - b)
        .flatMap((id) => {
          const pool = this.#pools.get(id)
          return pool ? [{ id, version: pool.version, bump: false }] : []
        }),
    }
  }

  #poolsOf(group: Job[], claims: Map<string, KnownClaim>, refused: Map<Job, unknown>): Set<number> {
    const wanted = new Set<number>()
    for (const job of group) {
      try {
        for (const id of poolsOfTask(this.#registry, job.task, claims.get(claimIdOf(job.task) ?? '') ?? null))
          wanted.add(id)
      } catch (error) {
        refused.set(job, error)
      }
    }
    return wanted
  }
}

/** The decisions that write something. */
export const writersOf = (attempt: Attempt): [Job, Decided][] =>
  [...attempt.decided].filter(([, { writes }]) => writes !== null)

/** Ends the transaction of a group that was turned down. */
class Stale extends Error {}

async function writeCompanions(sql: Sql, companions: Companions): Promise<void> {
  for (const [write, rows] of companions) await write(sql, rows)
}

/** Jobs that have to be decided one by one under a lock: those with affinity rules. */
export class NeedsLock extends Error {
  readonly jobs: ReadonlySet<Job>
  constructor(jobs: ReadonlySet<Job>) {
    super('to be decided under a lock')
    this.jobs = jobs
  }
}

type Companions = Map<Companion['write'], { row: unknown; claim: ClaimOutcome }[]>

/** Each companion writer with all its rows of a group. */
function companionsOf(writers: [Job, Decided][]): Companions {
  const rows: Companions = new Map()
  for (const [job, { outcome }] of writers) {
    if (!job.companion) continue
    const mine = rows.get(job.companion.write) ?? []
    mine.push({ row: job.companion.row, claim: outcome })
    rows.set(job.companion.write, mine)
  }
  return rows
}
