/**
 * Dated changes take effect: reservations begin and end by their own rows; here the states, configurations and contracts
 * follow. Safe to call any number of times from any number of processes.
 */
import type { Instant } from '../core/time.ts'
import { toEpochSeconds } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import { appendEvents, SYSTEM } from '../database/events.ts'
import { after, type DatedChange, type ServiceState } from './model.ts'
import { serviceEvent, settleContracts } from './write.ts'

/** Amendments followed in one transaction. */
const SWEEP_AMENDMENTS = 2_000

interface Due {
  id: string
  serviceId: string
  contractId: string
  partyId: string
  kind: DatedChange['kind']
  after: { config?: Record<string, unknown>; name?: string } | null
  state: ServiceState
  config: Record<string, unknown>
  name: string
}

/** Lets every change take effect whose date has come; returns how many. Call it about every second. */
export async function sweepServices(database: Database, now: Instant): Promise<number> {
  let swept = 0
  for (;;) {
    const count = await database.transaction((sql) => sweepSome(sql, now))
    swept += count
    if (count < SWEEP_AMENDMENTS) return swept
  }
}

async function sweepSome(sql: Sql, now: Instant): Promise<number> {
  const due = await sql.query<Due>(
    `select a.id, a.service_id as "serviceId", a.contract_id as "contractId", a.party_id as "partyId", a.kind, a.after,
       s.state, s.config, s.name
     from amendment a join service s on s.id = a.service_id
     where a.applied_at is null and a.withdrawn_at is null and a.effective_at <= to_timestamp($1)
     order by a.effective_at, a.created_at, a.id limit ${SWEEP_AMENDMENTS} for update skip locked`,
    [toEpochSeconds(now)],
    'due-amendments',
  )
  if (due.length === 0) return 0
  const services = new Map<string, Due>()
  const events = due.flatMap((change) => {
    const service = services.get(change.serviceId) ?? { ...change }
    services.set(change.serviceId, service)
    const before = service.state
    service.state = after(before, change.kind)
    if (change.kind === 'change' && change.after?.config) service.config = change.after.config
    if (change.kind === 'change' && change.after?.name) service.name = change.after.name
    const type = EVENT[change.kind]
    const isNew = service.state !== before || change.kind === 'change'
    return type && isNew
      ? [serviceEvent({ ...change, actor: SYSTEM }, type, { state: service.state }, { state: before })]
      : []
  })
  const changed = [...services.values()]
  await sql.query(
    `update service s set state = c.state, config = c.config, name = c.name, version = s.version + 1
     from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[]) as c(id, state, config, name) where s.id = c.id`,
    [
      changed.map(({ serviceId }) => serviceId),
      changed.map(({ state }) => state),
      changed.map(({ config }) => JSON.stringify(config)),
      changed.map(({ name }) => name),
    ],
  )
  await sql.query('update amendment set applied_at = to_timestamp($3) where service_id = any($1) and id = any($2)', [
    due.map(({ serviceId }) => serviceId),
    due.map(({ id }) => id),
    toEpochSeconds(now),
  ])
  const contracts = (kind: string) => [...new Set(due.filter((one) => one.kind === kind).map((one) => one.contractId))]
  await sql.query(
    `update contract set state = 'active', version = version + 1 where id = any($1) and state = 'pending'`,
    [contracts('add')],
  )
  const ended = await settleContracts(sql, contracts('terminate'), now, SYSTEM)
  await appendEvents(sql, [...events, ...ended])
  return due.length
}

const EVENT: Record<DatedChange['kind'], string | null> = {
  // Said when it was ordered.
  add: null,
  change: 'service.changed',
  suspend: 'service.suspended',
  resume: 'service.resumed',
  terminate: 'service.terminated',
}
