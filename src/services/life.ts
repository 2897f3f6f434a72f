/**
 * Changes of a service's life: change, suspend, resume, terminate, each at once or on a date. What changes capacity goes
 * through the engine with its rows as companion, so that the reservation history and the amendments always agree.
 */
import { companion } from '../capacity/model.ts'
import { checkedConfig, demandsOf, familyOf } from '../catalogue/family.ts'
import type { PricePlan } from '../catalogue/model.ts'
import { plansById } from '../catalogue/store.ts'
import { BadInput, StaleVersion, WrongState } from '../core/errors.ts'
import { type Instant, toEpochSeconds, toIso } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { claimLines, type Desk, minimumTermEnd } from '../orders/model.ts'
import { siteIds } from '../orders/place.ts'
import { amendmentsOf } from '../orders/store.ts'
import { earlyTermination, type Service, stateAt } from './model.ts'
import { findService, reservedTime } from './store.ts'
import {
  type AmendmentRow,
  type EarlyTerminationRow,
  insertAmendments,
  serviceEvent,
  writeChange,
  writeChanges,
  writeTerminations,
} from './write.ts'

export interface ServiceChange {
  /** Merged over the present choice; null takes a field out. */
  config?: Record<string, unknown>
  name?: string
  /** When the new configuration begins; now, if absent. */
  at?: Instant
  /** A new end; `FOREVER` for none. */
  to?: Instant
  version?: number | null
  actor: Actor
}

/**
 * Changes a service: grows, shrinks, moves, renames it or moves its end.
 * @throws CapacityExhausted (nothing changes), BadInput, WrongState, StaleVersion
 */
export async function changeService(desk: Desk, service: Service, change: ServiceChange): Promise<Service> {
  const { database, families, capacity } = desk
  refuseTerminated(service)
  if (change.version != null && change.version !== service.version)
    throw new StaleVersion(change.version, service.version)
  const now = desk.clock()
  const at = Math.max(change.at ?? now, now, service.startsAt)
  if (change.to !== undefined && change.to <= at)
    throw new BadInput('/to', 'it is not after the change', 'a later end; to end the service, terminate it')
  if (at >= (change.to ?? service.endsAt))
    throw new BadInput('/at', 'the service has ended by then', 'an earlier instant')
  const family = familyOf(families, service.family)
  const config =
    change.config === undefined
      ? service.config
      : checkedConfig<Record<string, unknown>>(family, {}, merged(service.config, change.config))
  const name = change.name ?? service.name
  const row = {
    ...subject(service, change.actor, now),
    kind: 'change' as const,
    effectiveAt: at,
    before: { config: service.config, name: service.name, to: toIso(service.endsAt) },
    after: { config, name, to: toIso(change.to ?? service.endsAt) },
    config,
    name,
    endsAt: change.to ?? null,
    seenVersion: service.version,
  }
  const isSameCapacity = change.config === undefined && change.to === undefined
  if (isSameCapacity) await database.transaction((sql) => writeChange(sql, row))
  else
    await capacity.change({
      claimId: service.claimId,
      at,
      to: change.to,
      lines: change.config === undefined ? undefined : claimLines(demandsOf(family, config), await siteIds(database)),
      actor: change.actor,
      now,
      companion: companion(writeChanges, row),
    })
  return (await findService(database, service.id))!
}

function merged(present: Record<string, unknown>, change: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...present, ...change }).filter(([, value]) => value !== null))
}

const refuseTerminated = (service: Service): void => {
  if (service.state === 'terminated') throw new WrongState('The service is terminated.', { state: service.state })
}

const subject = (service: Service, actor: Actor, now: Instant) => ({
  serviceId: service.id,
  contractId: service.contractId,
  partyId: service.partyId,
  actor,
  now,
})

/** Suspends a service or takes it up again. Doing it twice at once answers the same. @throws WrongState, StaleVersion */
export async function suspendOrResume(
  desk: Desk,
  service: Service,
  kind: 'suspend' | 'resume',
  options: { at?: Instant; version?: number | null; actor: Actor },
): Promise<Service> {
  const now = desk.clock()
  const at = Math.max(options.at ?? now, now)
  await desk.database.transaction(async (sql) => {
    const seen = await lockService(sql, service.id, options.version ?? null)
    refuseTerminated(seen)
    const state = stateAt(await amendmentsOf(sql, { serviceId: service.id }), at)
    const wanted = kind === 'suspend' ? 'suspended' : 'active'
    if (state === wanted && at <= now) return
    const possible = kind === 'suspend' ? 'active' : 'suspended'
    if (state !== possible)
      throw new WrongState(
        `The service is ${state} ${at > now ? 'by then' : 'now'}; it must be ${possible} to ${kind}.`,
        { state },
      )
    const row: AmendmentRow = {
      ...subject(service, options.actor, now),
      kind,
      effectiveAt: at,
      before: { state },
      after: { state: wanted },
    }
    await insertAmendments(sql, [row])
    await sql.query(
      'update service set version = version + 1, state = case when $2 then $3 else state end where id = $1',
      [service.id, at <= now, wanted],
    )
    if (at <= now)
      await appendEvents(sql, [
        serviceEvent(row, kind === 'suspend' ? 'service.suspended' : 'service.resumed', row.after, row.before),
      ])
  })
  return (await findService(desk.database, service.id))!
}

async function lockService(sql: Sql, id: string, version: number | null): Promise<Service> {
  await sql.query('select from service where id = $1 for update', [id])
  const service = (await findService(sql, id))!
  if (version !== null && version !== service.version) throw new StaleVersion(version, service.version)
  return service
}

/** Ends a service, at once or on a date. Ending it again at once answers the same. @throws WrongState, StaleVersion */
export async function terminateService(
  desk: Desk,
  service: Service,
  options: { at?: Instant; version?: number | null; actor: Actor },
): Promise<Service> {
  const { database } = desk
  const now = desk.clock()
  if (options.version != null && options.version !== service.version)
    throw new StaleVersion(options.version, service.version)
  if (service.state === 'terminated') return service
  const at = Math.max(options.at ?? now, now, service.startsAt)
  if (at > service.endsAt)
    throw new WrongState(`The service ends at ${toIso(service.endsAt)} already; move its end to keep it longer.`)
  const early = await earlyCharges(database, service, at)
  await submitTermination(desk, service, at, now, options.actor, early)
  return (await findService(database, service.id))!
}

/** Gives the capacity back and writes the termination with it. */
export async function submitTermination(
  desk: Pick<Desk, 'capacity'>,
  service: { id: string; contractId: string; partyId: string; claimId: string },
  at: Instant,
  now: Instant,
  actor: Actor,
  early: EarlyTerminationRow[] | null,
): Promise<void> {
  await desk.capacity.release(service.claimId, at, actor, {
    now,
    companion: companion(writeTerminations, {
      serviceId: service.id,
      contractId: service.contractId,
      partyId: service.partyId,
      effectiveAt: at,
      before: null,
      actor,
      now,
      early,
    }),
  })
}

/** What ending early costs, between each seller and its buyer up the line; null where no seller asks for a minimum term. */
async function earlyCharges(sql: Sql, service: Service, at: Instant): Promise<EarlyTerminationRow[] | null> {
  const plans = await plansById(sql, service.planIds)
  if ([...plans.values()].every(({ minimumTermMonths }) => minimumTermMonths === 0)) return null
  const [where] = await sql.query<{ ancestors: string[]; zone: string }>(
    `select p.ancestors, o.time_zone as zone from party p join party o on o.kind = 'operator' where p.id = $1`,
    [service.partyId],
  )
  const { ancestors, zone } = where!
  const rows = (await reservedTime(sql, service.claimId)).filter((row) => row.from <= at && at < row.to)
  return service.planIds.flatMap((planId): EarlyTerminationRow[] => {
    const plan: PricePlan = plans.get(planId)!
    const until = minimumTermEnd(service.startsAt, plan.minimumTermMonths, zone)
    if (until === null || at >= until) return []
    const { amount, months } = earlyTermination(plan, rows, at, until, zone)
    if (amount <= 0n) return []
    return [
      {
        sellerId: plan.sellerId,
        buyerId: ancestors[ancestors.indexOf(plan.sellerId) + 1]!,
        minimumTermUntil: until,
        currency: plan.currency,
        amount,
        explanation: { endsAt: toIso(at), minimumTermUntil: toIso(until), months },
      },
    ]
  })
}

/** Ends every service of a contract, at once or on a date; those that end earlier keep their ends. @throws StaleVersion */
export async function terminateContract(
  desk: Desk,
  contract: { id: string; version: number },
  options: { at?: Instant; version?: number | null; actor: Actor },
): Promise<void> {
  if (options.version != null && options.version !== contract.version)
    throw new StaleVersion(options.version, contract.version)
  const services = await desk.database.query<{ id: string }>(
    `select id from service where contract_id = $1 and state <> 'terminated' and ends_at > to_timestamp($2) order by id`,
    [contract.id, toEpochSeconds(Math.max(options.at ?? 0, desk.clock()))],
  )
  await Promise.all(
    services.map(async ({ id }) =>
      terminateService(desk, (await findService(desk.database, id))!, { at: options.at, actor: options.actor }),
    ),
  )
}

/** What a family wants of the nodes and people for a service, with the slots that were assigned. */
export async function desiredOf(desk: Desk, service: Service, sql: Sql) {
  const family = familyOf(desk.families, service.family)
  const placements = await sql.query<{
    site: string
    kind: string
    container: string
    labels: string[] | null
    start: number
    length: number
  }>(
    `select s.code as site, p.kind, c.name as container, c.slot_labels as labels, lower(a.slots) as start,
       upper(a.slots) - lower(a.slots) as length
     from assignment a join reservation r using (claim_id, part) join container c on c.id = a.container_id
       join pool p on p.id = c.pool_id join site s on s.id = p.site_id
     where a.claim_id = $1 and a.during @> to_timestamp($2) order by s.code, p.kind, c.name, lower(a.slots)`,
    [service.claimId, Math.max(desk.clock(), service.startsAt) / 1_000],
  )
  return family.desired({
    id: service.id,
    name: service.name,
    party: service.partyName,
    config: service.config,
    placements: placements.map(({ labels, ...placement }) => ({
      ...placement,
      labels: Array.from({ length: placement.length }, (_, index) => {
        const slot = placement.start + index
        return labels?.[slot - 1] ?? String(slot)
      }),
    })),
  })
}
