/**
 * Purges and warm-ups: what is asked for becomes an entry of the feed, in one group with all that arrive while the last
 * group is being written. A purge is confirmed by a node when the node has acknowledged its entry; a repeat under the same
 * key is the same purge.
 */
import { KeyReused, Refusal } from '../../../core/errors.ts'
import { newId } from '../../../core/ids.ts'
import type { Instant } from '../../../core/time.ts'
import { type Database, type Sql, sqlArray } from '../../../database/connection.ts'
import { type Actor, appendEvents } from '../../../database/events.ts'
import type { FeedEvent, PurgeOrder } from '../../../feed/messages.ts'
import { Grouped } from '../../../nodes/grouped.ts'
import { publish } from '../../../nodes/publish.ts'
import { toldNodes } from '../../../nodes/store.ts'
import type { Property } from './store.ts'

/** A party's allowance: so many at once, and so many a second after that. The operator has no limit. */
export const PURGE_ALLOWANCE = { burst: 500, perSecond: 20 } as const

/** Too many purges: 429 with how long to wait. */
export class TooManyPurges extends Refusal {
  constructor(retryAfterSeconds: number) {
    super(
      'too-many-purges',
      429,
      `A customer may purge ${PURGE_ALLOWANCE.perSecond} times a second, and ${PURGE_ALLOWANCE.burst} times at once. Purge by tag, prefix or property to name more in one.`,
      [],
      { retryAfterSeconds },
    )
  }
}

export interface PurgeRequest {
  /** Whose allowance it is. */
  partyId: string
  isLimited: boolean
  property: Pick<Property, 'id' | 'partyId' | 'siteIds'>
  order: { kind: 'purge'; order: PurgeOrder } | { kind: 'preload'; urls: string[] }
  /** As it was asked for. */
  request: unknown
  idempotencyKey: string | null
  requestHash: string
  actor: Actor
}

export interface Purge {
  id: string
  partyId: string
  propertyId: string | null
  kind: 'purge' | 'preload'
  request: Record<string, unknown>
  sequence: bigint
  nodes: string[]
  actorName: string | null
  at: Instant
}

const PURGE = `select id, party_id as "partyId", property_id as "propertyId", kind, request, sequence, nodes,
  actor_name as "actorName", at from cdn_purge`

export const listPurges = (
  sql: Sql,
  filter: { propertyId: string | null; before: string | null; limit: number },
): Promise<Purge[]> =>
  sql.query<Purge>(
    `${PURGE} where ($1::uuid is null or property_id = $1) and ($2::uuid is null or id < $2) order by id desc limit $3`,
    [filter.propertyId, filter.before, filter.limit],
  )

export async function findPurge(sql: Sql, id: string): Promise<Purge | null> {
  const [purge] = await sql.query<Purge>(`${PURGE} where id = $1`, [id])
  return purge ?? null
}

async function purgeByKey(sql: Sql, { property, idempotencyKey, requestHash }: PurgeRequest): Promise<Purge | null> {
  if (idempotencyKey === null) return null
  const [found] = await sql.query<Purge & { requestHash: string }>(
    `select p.*, k.request_hash as "requestHash" from (${PURGE}) p join cdn_purge k using (id)
     where k.party_id = $1 and k.idempotency_key = $2`,
    [property.partyId, idempotencyKey],
  )
  if (!found) return null
  if (found.requestHash !== requestHash) throw new KeyReused(idempotencyKey)
  return found
}

/** Writes purges in groups. */
export class PurgeDesk {
  readonly #database: Database
  readonly #group: Grouped<PurgeRequest, Purge>

  constructor(database: Database) {
    this.#database = database
    this.#group = new Grouped((requests) => database.transaction((sql) => writePurges(sql, requests)))
  }

  /** On record, and on its way to the edges, when it resolves. @throws TooManyPurges, KeyReused */
  async submit(request: PurgeRequest): Promise<Purge> {
    const known = await purgeByKey(this.#database, request)
    if (known) return known
    try {
      return await this.#group.add(request)
    } catch (error) {
      if (!(error instanceof TakenMeanwhile)) throw error
      return (await purgeByKey(this.#database, request))!
    }
  }
}

/** Another request under the same key was written first; this one's entry purges once more, which does no harm. */
class TakenMeanwhile extends Error {}

async function writePurges(sql: Sql, requests: readonly PurgeRequest[]): Promise<(Purge | Error)[]> {
  const refused = await takeAllowances(sql, requests)
  const taken = requests.flatMap((request, index) => (refused[index] ? [] : [{ request, index, id: newId() }]))
  const results: (Purge | Error)[] = [...refused] as Error[]
  if (taken.length === 0) return results
  const edges = await toldNodes(sql, 'edge', null)
  await appendEvents(
    sql,
    taken.map(({ request, id }) => ({
      partyId: request.property.partyId,
      actor: request.actor,
      type: request.order.kind === 'purge' ? 'cdn-purge.requested' : 'cdn-preload.requested',
      subjectKind: 'cdn-purge',
      subjectId: id,
      after: request.request,
    })),
  )
  const sequences = await publish(
    sql,
    taken.map(({ request, id }) => ({
      nodeKind: 'edge',
      siteIds: request.property.siteIds,
      type: 'event',
      event: { ...request.order, id } as FeedEvent,
    })),
  )
  const rows = taken.map(({ request, id }, index) => ({
    request,
    id,
    sequence: sequences[index]!,
    nodes: edges.filter(({ siteId }) => request.property.siteIds?.includes(siteId) ?? true).map((node) => node.id),
  }))
  const written = await sql.query<{ id: string; at: Instant }>(
    `insert into cdn_purge (id, party_id, property_id, kind, request, sequence, nodes, actor_name, idempotency_key, request_hash)
     select id, party, property, kind, request, sequence, nodes::uuid[], actor, key, hash
     from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::json[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[])
       as p(id, party, property, kind, request, sequence, nodes, actor, key, hash)
     on conflict (party_id, idempotency_key) where idempotency_key is not null do nothing returning id, at`,
    [
      sqlArray(rows.map(({ id }) => id)),
      sqlArray(rows.map(({ request }) => request.property.partyId)),
      sqlArray(rows.map(({ request }) => request.property.id)),
      sqlArray(rows.map(({ request }) => request.order.kind)),
      sqlArray(rows.map(({ request }) => JSON.stringify(request.request))),
      sqlArray(rows.map(({ sequence }) => sequence)),
      sqlArray(rows.map(({ nodes }) => `{${nodes.join(',')}}`)),
      sqlArray(rows.map(({ request }) => request.actor.name)),
      sqlArray(rows.map(({ request }) => request.idempotencyKey)),
      sqlArray(rows.map(({ request }) => request.requestHash)),
    ],
    'insert-purges',
  )
  const times = new Map(written.map(({ id, at }) => [id, at]))
  for (const [place, { index }] of taken.entries()) {
    const { request, id, sequence, nodes } = rows[place]!
    const at = times.get(id)
    if (at === undefined) {
      results[index] = new TakenMeanwhile()
      continue
    }
    results[index] = {
      id,
      partyId: request.property.partyId,
      propertyId: request.property.id,
      kind: request.order.kind,
      request: request.request as Record<string, unknown>,
      sequence: BigInt(sequence),
      nodes,
      actorName: request.actor.name,
      at,
    }
  }
  return results
}

/** Takes one token for each request from its party's bucket; those that find it empty are refused. */
async function takeAllowances(sql: Sql, requests: readonly PurgeRequest[]): Promise<(Error | undefined)[]> {
  const limited = [...new Set(requests.filter(({ isLimited }) => isLimited).map(({ partyId }) => partyId))].sort()
  if (limited.length === 0) return requests.map(() => undefined)
  const { burst, perSecond } = PURGE_ALLOWANCE
  await sql.query(
    `insert into cdn_allowance (party_id, tokens, at) select id, $2, clock_timestamp() from unnest($1::uuid[]) id on conflict do nothing`,
    [limited, burst],
  )
  const buckets = await sql.query<{ partyId: string; tokens: number }>(
    `select party_id as "partyId", least($2, tokens + $3 * greatest(0, extract(epoch from clock_timestamp() - at)::float8)) as tokens
     from cdn_allowance where party_id = any($1) order by party_id for update`,
    [limited, burst, perSecond],
  )
  const left = new Map(buckets.map(({ partyId, tokens }) => [partyId, tokens]))
  const refused = requests.map(({ partyId, isLimited }) => {
    if (!isLimited) return undefined
    const tokens = left.get(partyId)!
    if (tokens < 1) return new TooManyPurges(Math.max(1, Math.ceil((1 - tokens) / perSecond)))
    left.set(partyId, tokens - 1)
    return undefined
  })
  await sql.query(
    `update cdn_allowance a set tokens = t.tokens, at = clock_timestamp() from unnest($1::uuid[], $2::float8[]) as t(id, tokens)
     where a.party_id = t.id`,
    [[...left.keys()], [...left.values()]],
  )
  return refused
}

/** Purges are told of for a month. */
export const forgetPurges = (sql: Sql): Promise<unknown> =>
  sql.query(`delete from cdn_purge where at < now() - interval '30 days'`)
