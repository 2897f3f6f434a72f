/**
 * The capacity engine, as everybody sees it. Any number of processes may run one each on the same database; together they
 * are exact. Claims and their changes go through group commit (`groups.ts`); what changes supply runs alone between groups.
 */
import { WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Instant, toEpochSeconds } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import { type Actor, SYSTEM } from '../database/events.ts'
import { decideClaim, requestHash } from './decide.ts'
import { Groups } from './groups.ts'
import { poolsOfTask } from './jobs.ts'
import { KnownPools } from './known-pools.ts'
import type { PoolState } from './load.ts'
import {
  type ChangeRequest,
  type ClaimOutcome,
  type ClaimRequest,
  checkInterval,
  checkLines,
  type PoolAvailability,
  type ReleaseOptions,
} from './model.ts'
import { Registry } from './registry.ts'
import { type Bar, LETS_PASS_MS, type WaitingClaim, WaitList } from './wait-list.ts'
import { World } from './world.ts'

export interface CapacityEngine {
  /**
   * Takes capacity, all lines or none. @throws CapacityExhausted (nothing written) unless `waitUntil` is given;
   * BadInput, NotFound, KeyReused, LimitPassed, Overloaded.
   */
  claim(request: ClaimRequest): Promise<ClaimOutcome>
  /** Grows, shrinks, moves or extends a claim. @throws CapacityExhausted, WrongState, StaleVersion, NotFound */
  change(request: ChangeRequest): Promise<ClaimOutcome>
  /** Gives back, now or at a later instant. Releasing twice answers the same. @throws NotFound, StaleVersion */
  release(claimId: string, at: Instant, actor: Actor, options?: ReleaseOptions): Promise<ClaimOutcome>
  /** Makes a hold firm. @throws WrongState when it is no hold or has lapsed */
  convert(claimId: string, actor: Actor, options?: ReleaseOptions): Promise<ClaimOutcome>
  /** What the pools of a site, or of several, could give over an interval. Call it outside of a transaction. */
  availability(siteId: number | readonly number[], from: Instant, to: Instant): Promise<PoolAvailability[]>
  /**
   * Lets holds lapse and fills the wait list (its rule: `wait-list.ts`); call it about every second. What a release or a
   * lapse in this process frees is offered to those who wait at once.
   */
  sweep(now?: Instant): Promise<{ expired: number; filled: number }>
  /** Waits for what is on its way; later calls are refused. */
  close(): Promise<void>
}

/** How often what is long past is forgotten. */
const TIDY_EVERY_MS = 3_600_000
/** Versions of a pool that processes can catch up over; one that is further behind reads the pool anew. */
const LOG_VERSIONS = 10_000
/** Claims looked at in one sweep. */
const SWEEP_CLAIMS = 5_000

export class Engine implements CapacityEngine {
  readonly database: Database
  readonly registry = new Registry()
  readonly clock: () => Instant
  readonly #pools: KnownPools
  readonly #groups: Groups
  readonly #waitList = new WaitList()
  #tidyAt = performance.now() + TIDY_EVERY_MS
  #offering = false
  #freedMeanwhile = false

  constructor(database: Database, clock: () => Instant, offers: boolean) {
    this.database = database
    this.clock = clock
    this.#pools = new KnownPools(database, this.registry, clock)
    this.#groups = new Groups(database, this.registry, this.#pools, this.#waitList)
    if (offers) this.#groups.onFreed = () => this.#offer()
  }

  /** What this engine has done, for metrics. */
  get statistics(): Groups['statistics'] {
    return this.#groups.statistics
  }

  async claim(request: ClaimRequest): Promise<ClaimOutcome> {
    const now = request.at ?? this.clock()
    checkInterval(request, now)
    checkLines(request.lines)
    if (request.mode === 'hold' && !(request.holdUntil !== undefined && request.holdUntil > now))
      throw new WrongState('A hold needs an end in the future.')
    if (request.mode === 'hold' && request.waitUntil !== undefined)
      throw new WrongState('A hold cannot wait: hold what is free, or wait for a firm claim.')
    const hash = request.idempotencyKey === undefined ? null : requestHash(request)
    return this.#groups.submit(
      { kind: 'claim', id: request.id ?? newId(), request, hash },
      request.actor,
      now,
      request.companion,
    )
  }

  async change(request: ChangeRequest): Promise<ClaimOutcome> {
    const now = request.now ?? this.clock()
    if (request.lines) checkLines(request.lines)
    return this.#groups.submit(
      { kind: 'change', claimId: request.claimId, request },
      request.actor,
      now,
      request.companion,
    )
  }

  async release(claimId: string, at: Instant, actor: Actor, options: ReleaseOptions = {}): Promise<ClaimOutcome> {
    const { expectedVersion } = options
    return this.#groups.submit(
      { kind: 'release', claimId, at, expectedVersion },
      actor,
      options.now ?? this.clock(),
      options.companion,
    )
  }

  async convert(claimId: string, actor: Actor, options: ReleaseOptions = {}): Promise<ClaimOutcome> {
    const { expectedVersion } = options
    return this.#groups.submit(
      { kind: 'convert', claimId, expectedVersion },
      actor,
      options.now ?? this.clock(),
      options.companion,
    )
  }

  availability(siteId: number | readonly number[], from: Instant, to: Instant): Promise<PoolAvailability[]> {
    const sites = new Set<number | null>(typeof siteId === 'number' ? [siteId] : siteId)
    const entries = () =>
      [...this.registry.pools.values()].filter((pool) => sites.has(pool.siteId) && pool.partyId === null)
    return this.alone(async () => {
      if (entries().length === 0) await this.registry.refresh(this.database)
      const ids = new Set(entries().map(({ id }) => id))
      const pools = await this.#pools.know(this.database, ids, Math.min(from, this.clock()), false)
      await this.#pools.follow(this.database, pools, false)
      return entries().flatMap(({ id, siteId: at, kind }) => {
        const pool = this.#pools.get(id)
        if (!pool) return []
        return [
          {
            poolId: id,
            siteId: at!,
            kind,
            free: Math.max(0, pool.ledgers.free(from, to)),
            open: pool.capacity.minimum(from, to),
            largestRun: pool.slots ? pool.slots.largestRun({ from, to }) : null,
          },
        ]
      })
    })
  }

  async sweep(now = this.clock()): Promise<{ expired: number; filled: number }> {
    if (performance.now() >= this.#tidyAt) {
      this.#tidyAt = performance.now() + TIDY_EVERY_MS
      await this.#tidy()
    }
    const due = await this.database.query<{ id: string }>(
      `select id from claim where expires_at <= to_timestamp($1) and state in ('held', 'waiting') order by expires_at limit $2`,
      [now / 1_000, SWEEP_CLAIMS],
      'capacity-due',
    )
    // What lapses here is offered below; an offer of its own beside it would take turns with this one.
    this.#offering = true
    try {
      const outcomes = await Promise.all(
        due.map(({ id }) => this.#groups.submit({ kind: 'expire', claimId: id }, SYSTEM, now).catch(() => null)),
      )
      this.#freedMeanwhile = false
      return {
        expired: outcomes.filter((outcome) => outcome?.state === 'expired').length,
        filled: await this.#fill(now),
      }
    } finally {
      this.#offering = false
      if (this.#freedMeanwhile) this.#offer()
    }
  }

  /** Forgets what is long past, in memory and in the log by which processes catch up. */
  async #tidy(): Promise<void> {
    await this.alone(async () => this.#pools.forgetPast())
    await this.database.query(
      `with behind as (
         update pool set reload_version = version - $1::bigint where version - $1::bigint > reload_version + 1000
         returning id, reload_version)
       delete from reservation_change c using behind b where c.pool_id = b.id and c.pool_version <= b.reload_version`,
      [LOG_VERSIONS],
    )
  }

  /** Tries every waiting claim in order of arrival, in memory first; what fits is decided like anything else. */
  async #fill(now: Instant): Promise<number> {
    const waiting = await this.#waitList.refresh(this.database)
    this.#waitList.someWait = waiting.length > 0
    if (!this.#waitList.someWait) return 0
    const fitting = await this.alone(() => this.#whatFits(waiting, now))
    const outcomes = await Promise.all(
      fitting.map((claimId) => this.#groups.submit({ kind: 'fill', claimId }, SYSTEM, now).catch(() => null)),
    )
    return outcomes.filter((outcome) => outcome?.state === 'active').length
  }

  async #whatFits(waiting: WaitingClaim[], now: Instant): Promise<string[]> {
    await this.registry.learnParties(
      this.database,
      waiting.map(({ partyId }) => partyId),
    )
    const poolsOf = (claim: WaitingClaim) => poolsOfTask(this.registry, { kind: 'fill', claimId: claim.id }, claim)
    const wanted = new Set(waiting.flatMap(poolsOf))
    const pools = await this.#pools.know(this.database, wanted, Math.min(now, this.clock()), false)
    await this.#pools.follow(this.database, pools, false)
    const world = new World(this.registry, this.#pools.states)
    const bars: Bar[] = []
    this.#waitList.bars = bars
    const fitting = waiting.filter((claim) => {
      const from = Math.max(claim.from, now)
      if (from >= claim.to) return true
      const mark = world.mark
      try {
        const { lines, mode, recurrence } = claim.request!
        const { partyId, to } = claim
        const { parts } = decideClaim(world, claim.id, { partyId, from, to, lines, mode, recurrence })
        this.#waitList.check(claim.id, parts)
        return true
      } catch {
        world.undo(mark)
        if (now - claim.since >= LETS_PASS_MS)
          bars.push({ claimId: claim.id, poolIds: new Set(poolsOf(claim)), from, to: claim.to })
        return false
      }
    })
    world.undo()
    return fitting.map(({ id }) => id)
  }

  /** Offers what was freed to those who wait, after the groups now waiting. */
  #offer(): void {
    this.#freedMeanwhile = this.#offering
    if (this.#offering) return
    this.#offering = true
    setImmediate(() => {
      this.#offering = false
      if (!this.#groups.closed) this.#fill(this.clock()).catch(() => {})
    })
  }

  close(): Promise<void> {
    return this.#groups.close()
  }

  /** Runs work between groups, when no decision is on its way. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#groups.alone(work)
  }

  /** The pools that a fail-over concerns: those in which standby is reserved now or later, and those of the site. */
  async poolsWithStandby(siteId: number | null): Promise<number[]> {
    const rows = await this.database.query<{ id: number }>(
      `select distinct pool_id as id from reservation where protects_site_id is not null and ends_at > to_timestamp($1)
       union select id from pool where site_id = $2 and party_id is null`,
      [toEpochSeconds(this.clock()), siteId],
    )
    return rows.map(({ id }) => id).sort((a, b) => a - b)
  }

  /**
   * Changes what pools can give, between groups: in one transaction that holds their locks, raises their versions and
   * makes every process read them anew. `work` gets the pools as they are, caught up under the locks.
   */
  exclusively<T>(
    poolIds: () => number[] | Promise<number[]>,
    work: (sql: Sql, pools: PoolState[]) => Promise<T>,
  ): Promise<T> {
    return this.alone(async () => {
      await this.registry.refresh(this.database)
      const ids = await poolIds()
      const now = this.clock()
      await this.#pools.know(this.database, new Set(ids), now, false)
      try {
        return await this.database.transaction(async (sql) => {
          await sql.query('select from pool where id = any($1) order by id for update', [ids])
          const pools = await this.#pools.know(sql, new Set(ids), now, true)
          await this.#pools.follow(sql, pools, true)
          await sql.query('update pool set version = version + 1, reload_version = version + 1 where id = any($1)', [
            ids,
          ])
          return await work(
            sql,
            ids.flatMap((id) => this.#pools.get(id) ?? []),
          )
        })
      } finally {
        this.forget(ids)
        await this.registry.refresh(this.database)
      }
    })
  }

  /** Drops what this process knows of pools: they are read anew at the next use. */
  forget(ids: Iterable<number>): void {
    this.#pools.forget(ids)
  }
}

/**
 * Opens the engine of this process. Without `offers` what is given back is offered to those who wait by `sweep` alone, at
 * the caller's instant.
 */
export async function openCapacityEngine(
  database: Database,
  options: { clock?: () => Instant; offers?: boolean } = {},
): Promise<Engine> {
  const engine = new Engine(database, options.clock ?? Date.now, options.offers ?? true)
  await engine.registry.refresh(database)
  return engine
}
