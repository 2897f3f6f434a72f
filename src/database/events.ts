/**
 * The append-only record of every change: who, what, before, after. The audit log, the event stream, webhooks and the
 * followers by which one noun hears of another all read these rows. An event is written in the transaction of the change
 * it tells of, so there is never one without the other.
 */
import { type Database, type Sql, sqlArray } from './connection.ts'

/** Who did it: a person, a program with a key, or Izumi itself. */
export interface Actor {
  kind: 'user' | 'api-key' | 'system'
  id: string | null
  name: string
}

export const SYSTEM: Actor = { kind: 'system', id: null, name: 'Izumi' }

export interface NewEvent {
  /** Whose matter it is: decides who sees it. */
  partyId: string
  actor: Actor
  /** Noun and verb in the past: `order.completed`, `claim.released`. */
  type: string
  subjectKind: string
  subjectId: string
  before?: unknown
  after?: unknown
}

export interface RecordedEvent {
  id: bigint
  /** The transaction that appended it (xid8 as text): with `id`, its place in the order of reading. */
  transaction: string
  at: number
  partyId: string
  actorKind: Actor['kind']
  actorId: string | null
  actorName: string | null
  type: string
  subjectKind: string
  subjectId: string
  before: unknown
  after: unknown
}

/** Appends events in one statement, in the caller's transaction. */
export async function appendEvents(sql: Sql, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  const column = (pick: (event: NewEvent) => string | null) => sqlArray(events.map(pick))
  await sql.query(
    `insert into event (party_id, actor_kind, actor_id, actor_name, type, subject_kind, subject_id, before, after)
     select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::json[], $9::json[])`,
    [
      column((event) => event.partyId),
      column((event) => event.actor.kind),
      column((event) => event.actor.id),
      column((event) => event.actor.name),
      column((event) => event.type),
      column((event) => event.subjectKind),
      column((event) => event.subjectId),
      column((event) => (event.before === undefined ? null : JSON.stringify(event.before))),
      column((event) => (event.after === undefined ? null : JSON.stringify(event.after))),
    ],
    'append-events',
  )
}

/** Column list that reads a row as `RecordedEvent`. */
export const EVENT_COLUMNS = `id, transaction, at, party_id as "partyId", actor_kind as "actorKind", actor_id as "actorId",
  actor_name as "actorName", type, subject_kind as "subjectKind", subject_id as "subjectId", before, after`

/** The channel that is notified at every commit that appended events. */
export const EVENT_CHANNEL = 'izumi_event'

/**
 * Rows of transactions that can no longer be overtaken: every transaction older than the oldest one running has ended.
 * A reader that goes by `EVENT_ORDER` therefore misses nothing. Going by id alone would: of two transactions the
 * younger may take the smaller id and commit last.
 */
export const EVENT_SETTLED = 'transaction < pg_snapshot_xmin(pg_current_snapshot())'
export const EVENT_ORDER = 'transaction, id'

const FOLLOW_BATCH = 500
/** Transactions without an event for a follower after which its place is moved all the same. */
const PASSED_OVER = 100n

/**
 * Hands every event of the named types to `handle`, in order, at least once, however often the program dies in between:
 * the follower's place is kept in the database and moves in the same transaction as what `handle` writes through `sql`.
 * Returns how many events were handled; call it again until it returns 0. Any number of processes may call it: the row
 * lock on the place lets one at a time work.
 */
export async function followEvents(
  database: Database,
  follower: string,
  types: readonly string[],
  handle: (events: RecordedEvent[], sql: Sql) => Promise<void>,
): Promise<number> {
  return database.transaction(async (sql) => {
    const find = () =>
      sql.query<{ lastTransaction: string; lastEventId: bigint }>(
        `select last_transaction as "lastTransaction", last_event_id as "lastEventId" from event_follower
         where name = $1 for update skip locked`,
        [follower],
        'follower-place',
      )
    let [place] = await find()
    if (!place) {
      await sql.query('insert into event_follower (name) values ($1) on conflict do nothing', [follower])
      ;[place] = await find()
    }
    if (!place) return 0 // another process is at work
    // Everything before this transaction is settled now, so what is read below is all there is up to it.
    const [settled] = await sql.query<{ transaction: string }>(
      'select pg_snapshot_xmin(pg_current_snapshot())::text as transaction',
      [],
      'settled-up-to',
    )
    const events = await sql.query<RecordedEvent>(
      `select ${EVENT_COLUMNS} from event
       where (transaction, id) > ($1::xid8, $2::bigint) and type = any($3) and transaction < $4::xid8
       order by ${EVENT_ORDER} limit ${FOLLOW_BATCH}`,
      [place.lastTransaction, place.lastEventId, types, settled!.transaction],
      'follow-events',
    )
    if (events.length > 0) await handle(events, sql)
    const next =
      events.length === FOLLOW_BATCH
        ? { transaction: events.at(-1)!.transaction, id: events.at(-1)!.id }
        : { transaction: settled!.transaction, id: 0n }
    // Events of other types are passed over for good, not read again and again.
    if (events.length > 0 || BigInt(next.transaction) - BigInt(place.lastTransaction) > PASSED_OVER)
      await sql.query('update event_follower set last_transaction = $2, last_event_id = $3 where name = $1', [
        follower,
        next.transaction,
        next.id,
      ])
    return events.length
  })
}
