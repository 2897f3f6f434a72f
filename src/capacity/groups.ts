/**
 * Group commit: whatever waits is decided in memory as one group and written by one statement that holds only if no pool
 * has moved on (`write.ts`). A group that was turned down is taken back, the pools are caught up, and everything is
 * decided anew in a new transaction; after `LIMITS.optimisticAttempts` the pools are locked first. Groups of one process
 * follow one another; work that must see no decision on its way runs between them.
 *
 * (OpenStack Placement retries inside its outer transaction, so that a capacity check reads an old snapshot while the
 * generation check reads a new one; on MariaDB it sold 21 to 23 of 20 units. Hence: never a retry inside.)
 */
import { CapacityExhausted, KeyReused, NotFound, Overloaded, Refusal } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { Instant } from '../core/time.ts'
import { type Database, isDatabaseAway, type Sql } from '../database/connection.ts'
import type { Actor } from '../database/events.ts'
import { firstAnswers, readClaims } from './claims.ts'
import {
  claimIdOf,
  type Decided,
  decideTask,
  decideToWait,
  earliest,
  type Job,
  placementOf,
  poolsOfTask,
  type Task,
} from './jobs.ts'
import { KnownClaims } from './known-claims.ts'
import type { KnownPools } from './known-pools.ts'
import type { ClaimOutcome, Companion } from './model.ts'
import { findPlaces, type Places } from './placement.ts'
import type { Registry } from './registry.ts'
import type { WaitList } from './wait-list.ts'
import { type KnownClaim, World } from './world.ts'
import { type SeenPool, stillAt, type Written, writeGroup } from './write.ts'

/** How long a group is held on to while the database is away, before its callers are told to try again. */
const AWAY_PATIENCE_MS = 20_000
const AWAY_PAUSE_MS = 100
/** How long a group waits for the next requests of those just answered: a share of the last write, and at most. */
const GATHER_SHARE = 0.5
const GATHER_MS = 2
/** Attempts that may end in a deadlock or an exclusion violation before each job is tried alone. */
const FAILED_ATTEMPTS = 5
/** Groups after which what ended long ago is forgotten. */
const TIDIED_EVERY = 256
interface Attempt {
  world: World
  claims: Map<string, KnownClaim>
  places: Map<Job, Places>
  decided: Map<Job, Decided>
  refused: Map<Job, unknown>
  pools: SeenPool[]
}

const NOBODY = '00000000-0000-0000-0000-000000000000'

export class Groups {
  /** What was done so far, for metrics. */
  readonly statistics = { groups: 0, jobs: 0, stale: 0 }
  /** Called when a group has freed something while somebody waits. */
  onFreed: () => void = () => {}
  readonly #database: Database
  readonly #registry: Registry
  readonly #pools: KnownPools
  readonly #waitList: WaitList
  readonly #claims = new KnownClaims()
  #queue: Job[] = []
  #alone: (() => Promise<void>)[] = []
  #draining: Promise<void> | null = null
  #lastGroup = { size: 0, tookMs: 0 }
  #closed = false

  constructor(database: Database, registry: Registry, pools: KnownPools, waitList: WaitList) {
    this.#database = database
    this.#registry = registry
    this.#pools = pools
    this.#waitList = waitList
    pools.onAnew = () => this.#claims.forget()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Waits for what is on its way; later calls are refused. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#draining
  }

  /** Runs work between groups, when no decision is on its way. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed || this.#alone.length >= LIMITS.commitQueue) return Promise.reject(new Overloaded())
    return new Promise<T>((resolve, reject) => {
      this.#alone.push(() => work().then(resolve, reject))
      this.#wake()
    })
  }

  /** Puts a task into the next group; settles when it is written or refused. */
  submit(task: Task, actor: Actor, now: Instant, companion: Companion | null = null): Promise<ClaimOutcome> {
    if (this.#closed || this.#queue.length >= LIMITS.commitQueue) return Promise.reject(new Overloaded())
    return new Promise<ClaimOutcome>((resolve, reject) => {
      this.#queue.push({ task, actor, now, companion, changeId: newId(), resolve, reject })
      this.#wake()
    })
  }

  #wake(): void {
    this.#draining ??= new Promise((resolve) => setImmediate(resolve))
      .then(() => this.#drain())
      .finally(() => {
        this.#draining = null
        if (this.#queue.length + this.#alone.length > 0) this.#wake()
      })
  }

  async #drain(): Promise<void> {
    while (this.#queue.length + this.#alone.length > 0) {
      for (const work of this.#alone.splice(0)) await work()
      if (this.#queue.length === 0) continue
      await this.#gather()
      const group = this.#nextGroup()
      const began = performance.now()
      await this.#settle(group)
      this.#lastGroup = { size: group.length, tookMs: performance.now() - began }
      this.statistics.groups++
      this.statistics.jobs += group.length
    }
  }

  /**
   * Gives those who were just answered a moment to ask again, so that the next group is as large as the last: without it
   * the first of them is written alone while the others queue, and half the groups are small. Never longer than a share
   * of what a write takes; one lone client is never held up.
   */
  async #gather(): Promise<void> {
    const { size, tookMs } = this.#lastGroup
    if (size <= 1 || this.#queue.length >= size) return
    const until = performance.now() + Math.min(tookMs * GATHER_SHARE, GATHER_MS)
    while (this.#queue.length < size && performance.now() < until) await new Promise((resolve) => setImmediate(resolve))
  }

  /** The next jobs, each idempotency key and each claim once: a second one waits for the first one's answer. */
  #nextGroup(): Job[] {
    const waiting = this.#queue.splice(0, LIMITS.commitBatch)
    const seen = new Set<string>()
    const later: Job[] = []
    const group = waiting.filter((job) => {
      const subject = claimIdOf(job.task) ?? keyOf(job)
      if (subject === null) return true
      const again = seen.has(subject)
      seen.add(subject)
      if (again) later.push(job)
      return !again
    })
    this.#queue.unshift(...later)
    return group
  }

  /** Brings a group to its answers, whatever it takes. Never throws. */
  async #settle(jobs: Job[], firstAttempt = 0): Promise<void> {
    let group = jobs
    const giveUpAt = performance.now() + AWAY_PATIENCE_MS
    for (let attempts = firstAttempt; group.length > 0; attempts++) {
      let attempt: Attempt | null = null
      try {
        const locked = attempts >= LIMITS.optimisticAttempts
        const done = locked
          ? await this.#database.transaction((sql) => this.#attempt(sql, group, true, (made) => (attempt = made)))
          : await this.#attempt(this.#database, group, false, (made) => (attempt = made))
        if (done) {
          await this.#answer(attempt!)
          return
        }
        attempt!.world.undo()
        this.#claims.forget()
        this.statistics.stale++
        await this.#pools.follow(
          this.#database,
          attempt!.pools.map(({ id }) => this.#pools.get(id)!).filter(Boolean),
          false,
        )
      } catch (error) {
        const failed = attempt as Attempt | null
        failed?.world.undo()
        this.#claims.forget()
        group = await this.#afterFailure(error, group, failed, attempts, giveUpAt)
      }
    }
  }

  /** Decides a group and writes it; false when it was decided on what no longer is. */
  async #attempt(sql: Sql, group: Job[], locked: boolean, made: (attempt: Attempt) => void): Promise<boolean> {
    const attempt = await this.#prepare(sql, group, locked)
    made(attempt)
    for (const job of group) if (!attempt.refused.has(job)) this.#decide(attempt, job)
    const writers = [...attempt.decided].filter(([, { writes }]) => writes !== null)
    const bumped = new Set(
      writers.flatMap(([, { writes }]) => [
        ...writes!.parts.map((part) => part.poolId),
        ...writes!.changes.map((change) => change.known.poolId),
      ]),
    )
    attempt.pools = attempt.pools.map((pool) => ({ ...pool, bump: bumped.has(pool.id) }))
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
    const companions = writersOf(writers)
    if (companions.size === 0 || locked) {
      const ok = await writeGroup(sql, attempt.pools, written)
      if (ok) for (const [write, rows] of companions) await write(sql, rows)
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
  async #prepare(sql: Sql, group: Job[], locked: boolean): Promise<Attempt> {
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
    let claims = locked ? await readClaims(sql, ids) : await this.#claims.know(sql, ids)
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
    for (;;) {
      const { generation } = this.#registry
      const pools = await this.#pools.know(sql, wanted, from, locked)
      if (locked) await this.#pools.follow(sql, pools, true)
      if (this.#registry.generation === generation) break
      // Reading pools has told of quotas or pools that were not known: they count too.
      wanted = this.#poolsOf(group, claims, refused)
      if (locked) await sql.query('select from pool where id = any($1) order by id for update', [[...wanted]])
    }
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

  /** The group is written: the pools move on, and everybody hears. Never throws. */
  async #answer(attempt: Attempt): Promise<void> {
    for (const { id, bump } of attempt.pools) if (bump) this.#pools.get(id)!.version++
    const decisions = [...attempt.decided.values()]
    for (const { writes } of decisions) if (writes) this.#claims.written(writes, this.#pools.states)
    for (const [job, { outcome }] of attempt.decided) job.resolve(outcome)
    if (decisions.some(({ writes }) => writes?.claim.state === 'waiting')) this.#waitList.someWait = true
    if (
      this.#waitList.someWait &&
      decisions.some(({ writes }) => writes?.changes.some(({ to, known }) => to < known.to))
    )
      this.onFreed()
    if (this.statistics.groups % TIDIED_EVERY === 0) this.#pools.forgetSlots()
    await this.#answerRefused(attempt.refused)
  }

  /** A refusal stands unless the request was accepted before under its key. */
  async #answerRefused(refused: Map<Job, unknown>): Promise<void> {
    const repeats = await this.#repeats([...refused.keys()])
    for (const [job, error] of refused) if (!repeats.has(job)) job.reject(error)
  }

  /** Answers those jobs whose idempotency key was used before, and says which they were. */
  async #repeats(jobs: Job[]): Promise<Set<Job>> {
    const keyed = jobs.filter((job) => keyOf(job) !== null)
    const answered = new Set<Job>()
    if (keyed.length === 0) return answered
    const keys = keyed.flatMap(({ task }) =>
      task.kind === 'claim' ? [{ partyId: task.request.partyId, key: task.request.idempotencyKey! }] : [],
    )
    let first: Awaited<ReturnType<typeof firstAnswers>>
    try {
      first = await firstAnswers(this.#database, this.#registry, keys)
    } catch (error) {
      // Not known whether they were accepted before: no refusal may be told, so they are to ask again.
      for (const job of keyed) job.reject(error)
      return new Set(keyed)
    }
    for (const job of keyed) {
      const answer = first.get(keyOf(job)!)
      if (!answer || job.task.kind !== 'claim') continue
      answered.add(job)
      if (answer.hash === job.task.hash) job.resolve(answer.outcome)
      else job.reject(new KeyReused(job.task.request.idempotencyKey!))
    }
    return answered
  }

  /** What is left to do after an attempt threw. Everything tentative has been taken back. */
  async #afterFailure(
    error: unknown,
    group: Job[],
    attempt: Attempt | null,
    attempts: number,
    giveUpAt: number,
  ): Promise<Job[]> {
    if (isDatabaseAway(error)) return this.#afterAway(error, group, attempt, giveUpAt)
    if (error instanceof NeedsLock) {
      for (const job of group) await this.#settle([job], error.jobs.has(job) ? LIMITS.optimisticAttempts : 0)
      return []
    }
    const { code } = error as { code?: string }
    const constraint = error instanceof Refusal ? error.facts.constraint : undefined
    if (constraint === 'claim_idempotency') {
      const repeats = await this.#repeats(group)
      if (repeats.size > 0) return group.filter((job) => !repeats.has(job))
    }
    const retry = code === '40P01' || code === '40001' || code === '23P01'
    // Somebody else's slots are there already, or the pools are not what they seemed: look again.
    if (attempt) this.#pools.forget(attempt.pools.map(({ id }) => id))
    if (retry && attempts < FAILED_ATTEMPTS) return group
    if (group.length > 1) {
      for (const job of group) await this.#settle([job])
      return []
    }
    for (const job of group) job.reject(error)
    return []
  }

  /**
   * The connection broke. Whether the write was committed is told by the changes' identifiers, once the pools' locks say
   * that nothing of it is still running.
   */
  async #afterAway(error: unknown, group: Job[], attempt: Attempt | null, giveUpAt: number): Promise<Job[]> {
    const writers = attempt ? [...attempt.decided].filter(([, { writes }]) => writes !== null) : []
    if (attempt) this.#pools.forget(attempt.pools.map(({ id }) => id))
    while (performance.now() < giveUpAt) {
      await new Promise((resolve) => setTimeout(resolve, AWAY_PAUSE_MS))
      if (writers.length === 0) return group
      try {
        const found = await this.#database.transaction(async (sql) => {
          await sql.query('select from pool where id = any($1) order by id for update', [
            attempt!.pools.map(({ id }) => id),
          ])
          return sql.query<{ id: string }>('select id from claim where id = any($1) and change_id = any($2)', [
            writers.map(([, { outcome }]) => outcome.id),
            writers.map(([job]) => job.changeId),
          ])
        })
        if (found.length === 0) return group
        for (const [job, { outcome }] of writers) job.resolve(outcome)
        return group.filter((job) => !attempt!.decided.get(job)?.writes)
      } catch (again) {
        if (!isDatabaseAway(again)) break
      }
    }
    for (const job of group) job.reject(error)
    return []
  }
}

/** Ends the transaction of a group that was turned down. */
class Stale extends Error {}

async function writeCompanions(sql: Sql, companions: ReturnType<typeof writersOf>): Promise<void> {
  for (const [write, rows] of companions) await write(sql, rows)
}

/** Jobs that have to be decided one by one under a lock: those with affinity rules. */
class NeedsLock extends Error {
  readonly jobs: ReadonlySet<Job>
  constructor(jobs: ReadonlySet<Job>) {
    super('to be decided under a lock')
    this.jobs = jobs
  }
}

/** The party and idempotency key of a new claim, if it has one. */
function keyOf({ task }: Job): string | null {
  if (task.kind !== 'claim' || task.request.idempotencyKey === undefined) return null
  return `${task.request.partyId}/${task.request.idempotencyKey}`
}

/** Each companion writer with all its rows of a group. */
function writersOf(writers: [Job, Decided][]): Map<Companion['write'], { row: unknown; claim: ClaimOutcome }[]> {
  const rows = new Map<Companion['write'], { row: unknown; claim: ClaimOutcome }[]>()
  for (const [job, { outcome }] of writers) {
    if (!job.companion) continue
    const mine = rows.get(job.companion.write) ?? []
    mine.push({ row: job.companion.row, claim: outcome })
    rows.set(job.companion.write, mine)
  }
  return rows
}
