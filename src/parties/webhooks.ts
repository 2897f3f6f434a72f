/**
 * Webhooks: events sent on to an address of the party's own. Each webhook has a place in the event record; what lies
 * after it is turned into deliveries in the transaction that moves the place, so every event is sent, at least once,
 * whatever dies in between. The deliveries are their own queue: pending and due means to be tried.
 */
import { randomBytes } from 'node:crypto'
import { LimitPassed, NotFound, StaleVersion } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { type Instant, toIso } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import {
  type Actor,
  appendEvents,
  EVENT_COLUMNS,
  EVENT_ORDER,
  EVENT_SETTLED,
  type RecordedEvent,
  SYSTEM,
} from '../database/events.ts'
import { type EventPlace, placeNow } from './events.ts'

/** Webhooks of one party. */
export const PARTY_WEBHOOKS = 20
/** Events looked at for one webhook at a time. */
const READ_EVENTS = 1_000
/** Deliveries that may wait for one webhook before no more are added. */
const WAITING_DELIVERIES = 1_000

export interface Webhook {
  id: string
  partyId: string
  partyName: string
  url: string
  types: string[]
  state: 'active' | 'failing' | 'disabled'
  failingSince: Instant | null
  version: number
  createdAt: Instant
}

export interface Delivery {
  id: string
  webhookId: string
  eventId: bigint | null
  type: string
  state: 'pending' | 'delivered' | 'failed'
  attempts: number
  nextAt: Instant | null
  status: number | null
  problem: string | null
  createdAt: Instant
  at: Instant | null
}

const COLUMNS = `w.id, w.party_id as "partyId", p.name as "partyName", w.url, w.types, w.state,
  w.failing_since as "failingSince", w.version, w.created_at as "createdAt"`
const FROM = 'from webhook w join party p on p.id = w.party_id'
export const DELIVERY_COLUMNS = `d.id, d.webhook_id as "webhookId", d.event_id as "eventId", d.type, d.state, d.attempts,
  d.next_at as "nextAt", d.status, d.problem, d.created_at as "createdAt", d.at`

export function listWebhooks(
  sql: Sql,
  filter: { partyId: string | null; after: string | null; limit: number },
): Promise<Webhook[]> {
  return sql.query<Webhook>(
    `select ${COLUMNS} ${FROM} where ($1::uuid is null or w.party_id = $1) and ($2::uuid is null or w.id < $2)
     order by w.id desc limit $3`,
    [filter.partyId, filter.after, filter.limit],
  )
}

export async function findWebhook(sql: Sql, id: string): Promise<Webhook> {
  const [webhook] = await sql.query<Webhook>(`select ${COLUMNS} ${FROM} where w.id = $1`, [id])
  if (!webhook) throw new NotFound('webhook', id)
  return webhook
}

const shown = ({ url, types, state }: Webhook) => ({ url, types, state })

const webhookEvent = (webhook: Webhook, actor: Actor, type: string, before: Webhook | null, after: Webhook | null) => ({
  partyId: webhook.partyId,
  actor,
  type,
  subjectKind: 'webhook',
  subjectId: webhook.id,
  ...(before ? { before: shown(before) } : {}),
  ...(after ? { after: shown(after) } : {}),
})

/** Adds a webhook; it hears of what happens from now on. Its secret is returned this once. @throws LimitPassed */
export function createWebhook(
  database: Database,
  partyId: string,
  url: string,
  types: readonly string[],
  actor: Actor,
): Promise<{ webhook: Webhook; secret: string }> {
  const id = newId()
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  return database.transaction(async (sql) => {
    const [count] = await sql.query<{ count: number }>(
      'select count(*)::int as count from webhook where party_id = $1',
      [partyId],
    )
    if (count!.count >= PARTY_WEBHOOKS)
      throw new LimitPassed('The number of webhooks of a party', PARTY_WEBHOOKS, count!.count + 1)
    const place = await placeNow(sql)
    await sql.query(
      `insert into webhook (id, party_id, url, types, secret, last_transaction, last_event_id)
       values ($1, $2, $3, $4, $5, $6, $7)`,
      [id, partyId, url, types, secret, place.transaction, place.id],
    )
    const webhook = await findWebhook(sql, id)
    await appendEvents(sql, [webhookEvent(webhook, actor, 'webhook.created', null, webhook)])
    return { webhook, secret }
  })
}

/** Changes a webhook; made active again after a failure it goes on where it was. @throws StaleVersion */
export function changeWebhook(
  database: Database,
  id: string,
  version: number | null,
  change: { url?: string; types?: readonly string[]; state?: 'active' | 'disabled' },
  actor: Actor,
): Promise<Webhook> {
  return database.transaction(async (sql) => {
    await sql.query('select from webhook where id = $1 for update', [id])
    const before = await findWebhook(sql, id)
    if (version !== null && version !== before.version) throw new StaleVersion(version, before.version)
    await sql.query(
      `update webhook set url = coalesce($2, url), types = coalesce($3, types), state = coalesce($4, state),
         failing_since = case when $4 = 'active' then null else failing_since end, version = version + 1 where id = $1`,
      [id, change.url ?? null, change.types ?? null, change.state ?? null],
    )
    const after = await findWebhook(sql, id)
    await appendEvents(sql, [webhookEvent(after, actor, 'webhook.changed', before, after)])
    return after
  })
}

export async function deleteWebhook(database: Database, id: string, actor: Actor): Promise<void> {
  await database.transaction(async (sql) => {
    const webhook = await findWebhook(sql, id)
    await sql.query('delete from webhook where id = $1', [id])
    await appendEvents(sql, [webhookEvent(webhook, actor, 'webhook.deleted', webhook, null)])
  })
}

export function listDeliveries(
  sql: Sql,
  webhookId: string,
  page: { after: string | null; limit: number },
): Promise<Delivery[]> {
  return sql.query<Delivery>(
    `select ${DELIVERY_COLUMNS} from webhook_delivery d where webhook_id = $1 and ($2::uuid is null or id < $2)
     order by id desc limit $3`,
    [webhookId, page.after, page.limit],
  )
}

/** What is sent for an event (Standard Webhooks: `type`, `timestamp`, `data`). */
const payload = (event: RecordedEvent & { seen: boolean }): string =>
  JSON.stringify({
    type: event.type,
    timestamp: toIso(event.at),
    data: {
      id: String(event.id),
      partyId: event.partyId,
      // Of the seller's people and programs a buyer is not told.
      actor: event.seen
        ? { kind: event.actorKind, id: event.actorId, name: event.actorName }
        : { kind: event.actorKind, id: null, name: null },
      subject: { kind: event.subjectKind, id: event.subjectId },
      before: event.before ?? null,
      after: event.after ?? null,
    },
  })

/** Adds a delivery that tells of nothing but itself, due at once; returns its id. */
export async function addTestDelivery(database: Database, webhook: Webhook, now: Instant): Promise<string> {
  const id = newId()
  const body = JSON.stringify({ type: 'webhook.test', timestamp: toIso(now), data: { webhookId: webhook.id } })
  await database.query(
    `insert into webhook_delivery (id, webhook_id, party_id, type, body, state, next_at, created_at)
     values ($1, $2, $3, 'webhook.test', $4, 'pending', 'infinity', $5)`,
    [id, webhook.id, webhook.partyId, body, sqlInstant(now)],
  )
  return id
}

/** Whether a webhook wants an event of this type. */
export const wants = (types: readonly string[], type: string): boolean =>
  types.some((wanted) => (wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : wanted === type))

/** Turns new events into deliveries, for every webhook; returns how many. */
export async function enqueueDeliveries(database: Database, now: Instant): Promise<number> {
  const webhooks = await database.query<{ id: string }>(`select id from webhook where state <> 'disabled' order by id`)
  let added = 0
  for (const { id } of webhooks) added += await database.transaction((sql) => enqueueFor(sql, id, now))
  return added
}

async function enqueueFor(sql: Sql, webhookId: string, now: Instant): Promise<number> {
  const [webhook] = await sql.query<{ partyId: string; types: string[]; waiting: number } & EventPlace>(
    `select party_id as "partyId", types, last_transaction as transaction, last_event_id as id,
       (select count(*)::int from webhook_delivery d where d.webhook_id = w.id and d.state = 'pending') as waiting
     from webhook w where id = $1 and state <> 'disabled' for update skip locked`,
    [webhookId],
  )
  if (!webhook || webhook.waiting >= WAITING_DELIVERIES) return 0
  // The window moves over everything; what the party may not see and what it did not ask for is passed over.
  const events = await sql.query<RecordedEvent & { visible: boolean; seen: boolean }>(
    `select ${EVENT_COLUMNS}, exists (select from party p where p.id = e.party_id and p.ancestors @> array[$3::uuid]) as visible,
       actor_kind = 'system' or exists (
         select from (select party_id from app_user where id = actor_id::uuid and actor_kind = 'user'
           union all select party_id from api_key where id = actor_id::uuid and actor_kind = 'api-key') a
         join party p on p.id = a.party_id where p.ancestors @> array[$3::uuid]) as seen
     from event e where (transaction, id) > ($1::xid8, $2::bigint) and ${EVENT_SETTLED}
     order by ${EVENT_ORDER} limit ${READ_EVENTS}`,
    [webhook.transaction, webhook.id, webhook.partyId],
  )
  const last = events.at(-1)
  if (!last) return 0
  const wanted = events.filter((event) => event.visible && wants(webhook.types, event.type))
  await sql.query(
    `insert into webhook_delivery (id, webhook_id, party_id, event_id, type, body, state, next_at, created_at)
     select id, $2, $3, event_id, type, body, 'pending', $4, $4
     from unnest($1::uuid[], $5::bigint[], $6::text[], $7::text[]) as d(id, event_id, type, body)`,
    [
      wanted.map(() => newId()),
      webhookId,
      webhook.partyId,
      sqlInstant(now),
      wanted.map((event) => event.id),
      wanted.map((event) => event.type),
      wanted.map(payload),
    ],
  )
  await sql.query('update webhook set last_transaction = $2, last_event_id = $3 where id = $1', [
    webhookId,
    last.transaction,
    last.id,
  ])
  return wanted.length
}

/** A webhook that has failed for too long, or whose receiver is gone, is sent nothing more until somebody looks. */
export async function disableWebhook(sql: Sql, id: string): Promise<void> {
  const before = await findWebhook(sql, id)
  if (before.state === 'disabled') return
  await sql.query(`update webhook set state = 'disabled', version = version + 1 where id = $1`, [id])
  await appendEvents(sql, [webhookEvent(before, SYSTEM, 'webhook.disabled', before, await findWebhook(sql, id))])
}

/** Deletes deliveries that are done and older than thirty days. */
export const forgetDeliveries = (sql: Sql): Promise<unknown> =>
  sql.query(`delete from webhook_delivery where state <> 'pending' and created_at < now() - interval '30 days'`)
