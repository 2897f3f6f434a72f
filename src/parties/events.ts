/** The event record as people and programs read it: filtered and newest first, or onwards from a place. */
import type { Instant } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'
import { EVENT_COLUMNS, EVENT_ORDER, EVENT_SETTLED, type RecordedEvent } from '../database/events.ts'

/**
 * Columns of an event as a tenant sees it: who did it is told of people and keys of its own and of the parties below it,
 * whom row-level security lets it see; of the seller above it only that it was a person or a program.
 */
const SEEN_COLUMNS = EVENT_COLUMNS.replace(
  /actor_id as "actorId",\s+actor_name as "actorName"/,
  `case when seen then actor_id end as "actorId", case when seen then actor_name end as "actorName"`,
)
const SEEN = `cross join lateral (select actor_kind = 'system'
  or exists (select from app_user u where actor_kind = 'user' and u.id = actor_id::uuid)
  or exists (select from api_key k where actor_kind = 'api-key' and k.id = actor_id::uuid)) as actor(seen)`

/** A place in the order of reading: everything up to it has been read. */
export interface EventPlace {
  transaction: string
  id: bigint | string
}

export interface EventFilter {
  partyId: string | null
  /** A type, or `noun.*`. */
  type: string | null
  subjectId: string | null
  from: Instant | null
  to: Instant | null
  like: string | null
  /** Only what stands before it in the order of reading. */
  before: EventPlace | null
  limit: number
}

/** A type or `noun.*` as a LIKE pattern; `*` is everything. */
export const typePattern = (type: string): string => type.replace(/[\\%_]/g, '\\$&').replace(/\*$/, '%')

/** Events, newest first, as far as `sql` may see them. */
export function listEvents(sql: Sql, filter: EventFilter): Promise<RecordedEvent[]> {
  return sql.query<RecordedEvent>(
    `select ${SEEN_COLUMNS} from event ${SEEN}
     where ($1::uuid is null or party_id = $1) and ($2::text is null or type like $2)
       and ($3::text is null or subject_id = $3) and ($4::timestamptz is null or at >= $4)
       and ($5::timestamptz is null or at < $5)
       and ($6::text is null or (seen and actor_name ilike $6) or type ilike $6 or subject_id ilike $6)
       and ($7::xid8 is null or (transaction, id) < ($7, $8::bigint))
     order by transaction desc, id desc limit $9`,
    [
      filter.partyId,
      filter.type === null ? null : typePattern(filter.type),
      filter.subjectId,
      filter.from === null ? null : sqlInstant(filter.from),
      filter.to === null ? null : sqlInstant(filter.to),
      filter.like,
      filter.before?.transaction ?? null,
      filter.before?.id ?? null,
      filter.limit,
    ],
  )
}

/** The place at which everything that is settled now has been read. */
export async function placeNow(sql: Sql): Promise<EventPlace> {
  const [row] = await sql.query<{ transaction: string }>(
    'select pg_snapshot_xmin(pg_current_snapshot())::text as transaction',
  )
  return { transaction: row!.transaction, id: 0n }
}

/** The next events after a place, in order, as far as `sql` may see them. */
export function eventsAfter(sql: Sql, place: EventPlace, type: string | null, limit: number): Promise<RecordedEvent[]> {
  return sql.query<RecordedEvent>(
    `select ${SEEN_COLUMNS} from event ${SEEN}
     where (transaction, id) > ($1::xid8, $2::bigint) and ($3::text is null or type like $3) and ${EVENT_SETTLED}
     order by ${EVENT_ORDER} limit $4`,
    [place.transaction, place.id, type === null ? null : typePattern(type), limit],
    'events-after',
  )
}
