/**
 * Group commit: whatever waits is decided in memory as one group and written by one statement that holds only if no pool
 * has moved on (`write.ts`). A group that was turned down is taken back, the pools are caught up, and everything is
 * decided anew in a new transaction; after `LIMITS.optimisticAttempts` the pools are locked first.
 *
 * While a group is being written the next one is decided on top of it, and sent once the first is committed, so that the
 * database and this process work at the same time. Of those who are to be answered half go into a group, then: the other
 * half is decided while the first is written. A group that fails takes the one on top of it down too, since the versions
 * that one expects do not come about; both are decided anew, one after the other. Work that must see no decision on its
 * way runs when nothing is being written.
 *
 * (OpenStack Placement retries inside its outer transaction, so that a capacity check reads an old snapshot while the
 * generation check reads a new one; on MariaDB it sold 21 to 23 of 20 units. Hence: never a retry inside.)
 */
import { KeyReused, Overloaded, Refusal } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { Instant } from '../core/time.ts'
import { type Database, isDatabaseAway, type Sql } from '../database/connection.ts'
import type { Actor } from '../database/events.ts'
import { type Attempt, Attempts, NeedsLock, writersOf } from './attempts.ts'
import { firstAnswers } from './claims.ts'
import { claimIdOf, type Job, type Task } from './jobs.ts'
import type { KnownPools } from './known-pools.ts'
import type { ClaimOutcome, Companion } from './model.ts'
import type { Registry } from './registry.ts'
import type { WaitList } from './wait-list.ts'

/** How long a group is held on to while the database is away, before its callers are told to try again. */
const AWAY_PATIENCE_MS = 20_000
const AWAY_PAUSE_MS = 100
/** How long a group waits for the next requests of those just answered: a share of the last write, and at most. */
const GATHER_SHARE = 0.5
const GATHER_MS = 2
/**
 * Between how many to be answered half are decided while the other half is written. For fewer it does not pay; of more,
 * two statements cost the database more than it gains.
 */
const HALVED_FROM = 4
const HALVED_TO = 64
/** Groups decided and not answered yet: one being written, one on top of it. */
const FLIGHTS = 2
/** Attempts that may end in a deadlock or an exclusion violation before each job is tried alone. */
const FAILED_ATTEMPTS = 5
/** Groups after which what ended long ago is forgotten. */
const TIDIED_EVERY = 256

/** A group that was decided and is being written, or waits for the one below it. */
interface Flight {
  group: Job[]
  attempt: Attempt
  /** Settles when it is known whether it was committed. Never rejects. */
  committed: Promise<boolean>
  /** Settles when it was answered or has failed. Never rejects. */
  landed: Promise<void>
}

/** A group that is to be decided anew, with why; null when it was turned down. */
interface Failed {
  group: Job[]
  attempt: Attempt | null
  error: unknown
}

export class Groups {
  /** What was done so far, for metrics. */
  readonly statistics = { groups: 0, jobs: 0, stale: 0 }
  /** Called when a group has freed something while somebody waits. */
  onFreed: () => void = () => {}
  readonly #database: Database
  readonly #registry: Registry
  readonly #pools: KnownPools
  readonly #waitList: WaitList
  readonly #attempts: Attempts
  #queue: Job[] = []
  #flights: Flight[] = []
  #failed: Failed[] = []
  /** Wakes the loop when a job comes while groups are being written. */
  #arrived: () => void = () => {}
  #alone: (() => Promise<void>)[] = []
  #draining: Promise<void> | null = null
  #lastGroup = { size: 0, tookMs: 0 }
  #closed = false

  constructor(database: Database, registry: Registry, pools: KnownPools, waitList: WaitList) {
    this.#database = database
    this.#registry = registry
    this.#pools = pools
    this.#waitList = waitList
    this.#attempts = new Attempts(database, registry, pools, waitList)
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
    this.#arrived()
    this.#draining ??= new Promise((resolve) => setImmediate(resolve))
      .then(() => this.#drain())
      .finally(() => {
        this.#draining = null
        if (this.#queue.length + this.#alone.length > 0) this.#wake()
      })
  }

  async #drain(): Promise<void> {
    for (;;) {
      if (this.#failed.length + this.#alone.length > 0) {
        await this.#landed()
        await this.#recover()
        for (const work of this.#alone.splice(0)) await work()
      } else if (this.#queue.length === 0) {
        if (this.#flights.length === 0) return
        await this.#something()
      } else if (this.#flights.length === FLIGHTS) await this.#flights[0]!.landed
      else if (await this.#gathered()) await this.#launch()
    }
  }

  /** Waits until nothing is being written. */
  async #landed(): Promise<void> {
    while (this.#flights.length > 0) await this.#flights.at(-1)!.landed
  }

  /** Waits until a job comes or the group that is being written is answered. */
  #something(): Promise<unknown> {
    const came = new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    return Promise.race([came, this.#flights[0]!.landed])
  }

  /** How many of those to be answered make the next group. */
  #share(): number {
    const outstanding = this.#queue.length + this.#flights.reduce((sum, { group }) => sum + group.length, 0)
    return Math.min(
      outstanding >= HALVED_FROM && outstanding <= HALVED_TO ? Math.ceil(outstanding / 2) : outstanding,
      LIMITS.commitBatch,
    )
  }

  /**
   * Whether it is time for the next group. Under one that is being written, when its share has come. Otherwise those who
   * were just answered get a moment to ask again, so that the group is as large as the last: without it the first of them
   * is written alone while the others queue. Never longer than a share of what a write takes; one lone client is never
   * held up.
   */
  async #gathered(): Promise<boolean> {
    if (this.#flights.length > 0) {
      if (this.#queue.length >= this.#share()) return true
      await this.#something()
      return false
    }
    const { size, tookMs } = this.#lastGroup
    if (size <= 1 || this.#queue.length >= size) return true
    const until = performance.now() + Math.min(tookMs * GATHER_SHARE, GATHER_MS)
    while (this.#queue.length < size && performance.now() < until) await new Promise((resolve) => setImmediate(resolve))
    return true
  }

  /** The next jobs, each idempotency key and each claim once: a second one waits for the first one's answer. */
  #nextGroup(): Job[] {
    const waiting = this.#queue.splice(0, this.#share())
    const seen = new Set(this.#flights.flatMap(({ group }) => group.map(subjectOf)))
    seen.delete(null)
    const later: Job[] = []
    const group = waiting.filter((job) => {
      const subject = subjectOf(job)
      if (subject === null) return true
      const again = seen.has(subject)
      seen.add(subject)
      if (again) later.push(job)
      return !again
    })
    this.#queue.unshift(...later)
    return group
  }

  /** Decides the next group on top of what is being written, and sends it on its way. Never throws. */
  async #launch(): Promise<void> {
    const group = this.#nextGroup()
    const below = this.#flights.at(-1)
    if (group.length === 0) return below?.landed
    const bumps = (poolId: number) =>
      this.#flights.filter(({ attempt }) => attempt.pools.some(({ id, bump }) => bump && id === poolId)).length
    try {
      const attempt = await this.#attempts.make(this.#database, group, false, () => this.#landed(), bumps)
      this.#flights.push(this.#fly(group, attempt, this.#flights.at(-1)))
    } catch (error) {
      this.#failed.push({ group, attempt: null, error })
    }
  }

  #fly(group: Job[], attempt: Attempt, below: Flight | undefined): Flight {
    let tell: (ok: boolean) => void = () => {}
    const committed = new Promise<boolean>((resolve) => {
      tell = resolve
    })
    const flight: Flight = { group, attempt, committed, landed: Promise.resolve() }
    flight.landed = (async () => {
      let failed: Failed | null = null
      let began = performance.now()
      try {
        // Never sent before what it stands on is committed: a version that was foretold might come about otherwise.
        let ok = below === undefined || (await below.committed)
        began = performance.now()
        if (ok) ok = await this.#attempts.write(this.#database, attempt, false)
        if (!ok) failed = { group, attempt, error: null }
      } catch (error) {
        failed = { group, attempt, error }
      }
      tell(failed === null)
      await below?.landed
      // The one on top goes out before the answers to this one are made.
      if (this.#flights.length > 1) await new Promise((resolve) => setImmediate(resolve))
      this.#flights.splice(this.#flights.indexOf(flight), 1)
      if (failed === null) {
        this.#lastGroup = { size: group.length, tookMs: performance.now() - began }
        await this.#answer(attempt)
      } else {
        attempt.world.undo()
        this.#attempts.claims.forget()
        this.#failed.push(failed)
      }
    })()
    return flight
  }

  /** Decides anew what failed, one group after the other, when nothing is being written any more. Never throws. */
  async #recover(): Promise<void> {
    for (const { group, attempt, error } of this.#failed.splice(0)) {
      const giveUpAt = performance.now() + AWAY_PATIENCE_MS
      if (error === null) await this.#turnedDown(attempt!)
      await this.#settle(
        error === null ? group : await this.#afterFailure(error, group, attempt, 0, giveUpAt),
        1,
        giveUpAt,
      )
    }
  }

  /** Catches the pools of a group up that was turned down. */
  async #turnedDown(attempt: Attempt): Promise<void> {
    this.statistics.stale++
    const pools = attempt.pools.flatMap(({ id }) => this.#pools.get(id) ?? [])
    // If the database is away, the next attempt will say so.
    await this.#pools
      .follow(this.#database, pools, false)
      .catch(() => this.#pools.forget(pools.map(({ entry }) => entry.id)))
  }

  /** Brings a group to its answers by itself, whatever it takes. Never throws. */
  async #settle(jobs: Job[], firstAttempt: number, giveUpAt = performance.now() + AWAY_PATIENCE_MS): Promise<void> {
    let group = jobs
    for (let attempts = firstAttempt; group.length > 0; attempts++) {
      let attempt: Attempt | null = null
      try {
        const once = async (sql: Sql, locked: boolean) => {
          attempt = await this.#attempts.make(sql, group, locked)
          return this.#attempts.write(sql, attempt, locked)
        }
        const done =
          attempts >= LIMITS.optimisticAttempts
            ? await this.#database.transaction((sql) => once(sql, true))
            : await once(this.#database, false)
        if (done) {
          await this.#answer(attempt!)
          return
        }
        ;(attempt as Attempt | null)!.world.undo()
        this.#attempts.claims.forget()
        await this.#turnedDown(attempt!)
      } catch (error) {
        const failed = attempt as Attempt | null
        failed?.world.undo()
        this.#attempts.claims.forget()
        group = await this.#afterFailure(error, group, failed, attempts, giveUpAt)
      }
    }
  }

  /** The group is written: the pools move on, and everybody hears. Never throws. */
  async #answer(attempt: Attempt): Promise<void> {
    for (const { id, bump } of attempt.pools) if (bump) this.#pools.get(id)!.version++
    this.statistics.groups++
    this.statistics.jobs += attempt.decided.size + attempt.refused.size
    const decisions = [...attempt.decided.values()]
    for (const { writes } of decisions) if (writes) this.#attempts.claims.written(writes, this.#pools.states)
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
      for (const job of group) await this.#settle([job], 0)
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
    const writers = attempt ? writersOf(attempt) : []
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

/** What only one job at a time may be about. */
const subjectOf = (job: Job): string | null => claimIdOf(job.task) ?? keyOf(job)

/** The party and idempotency key of a new claim, if it has one. */
function keyOf({ task }: Job): string | null {
  if (task.kind !== 'claim' || task.request.idempotencyKey === undefined) return null
  return `${task.request.partyId}/${task.request.idempotencyKey}`
}
