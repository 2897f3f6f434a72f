/**
 * Writing into the feed. Numbers are taken by updating the one row of `feed_head`, whose lock is held until the commit:
 * entries are committed in the order of their numbers, so a reader that has seen one has seen, or can see, every smaller.
 * Publish last in a transaction, so that the lock is short.
 */
import { type Sql, sqlArray } from '../database/connection.ts'
import type { FeedEvent, NodeKind, StateItem } from '../feed/messages.ts'

/** Whom an entry is for: nodes of a kind, at some sites or (null) at all. */
export interface Audience {
  nodeKind: NodeKind
  siteIds: readonly number[] | null
}

export type Publication = Audience &
  (({ type: 'set' } & StateItem) | { type: 'remove'; kind: string; key: string } | { type: 'event'; event: FeedEvent })

/** Appends entries in their order and returns their numbers. */
export async function publish(sql: Sql, entries: readonly Publication[]): Promise<number[]> {
  if (entries.length === 0) return []
  const [head] = await sql.query<{ sequence: bigint }>(
    'update feed_head set sequence = sequence + $1 returning sequence',
    [entries.length],
    'take-feed-numbers',
  )
  const last = Number(head!.sequence)
  const numbers = entries.map((_, index) => last - entries.length + 1 + index)
  const sites = ({ siteIds }: Audience) => (siteIds === null ? null : `{${siteIds.join(',')}}`)
  const item = (entry: Publication) => (entry.type === 'event' ? null : entry)
  await sql.query(
    `insert into feed_entry (sequence, node_kind, sites, type, item_kind, key, body)
     select sequence, node_kind, sites::integer[], type, item_kind, key, body
     from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::json[])
       as e(sequence, node_kind, sites, type, item_kind, key, body)`,
    [
      sqlArray(numbers),
      sqlArray(entries.map(({ nodeKind }) => nodeKind)),
      sqlArray(entries.map(sites)),
      sqlArray(entries.map(({ type }) => type)),
      sqlArray(entries.map((entry) => item(entry)?.kind)),
      sqlArray(entries.map((entry) => item(entry)?.key)),
      sqlArray(
        entries.map((entry) =>
          entry.type === 'set'
            ? JSON.stringify(entry.body)
            : entry.type === 'event'
              ? JSON.stringify(entry.event)
              : null,
        ),
      ),
    ],
    'append-feed',
  )
  for (const [index, entry] of entries.entries()) {
    if (entry.type === 'set')
      await sql.query(
        `insert into feed_item (node_kind, kind, key, sites, body, sequence) values ($1, $2, $3, $4, $5, $6)
         on conflict (node_kind, kind, key) do update set sites = excluded.sites, body = excluded.body, sequence = excluded.sequence`,
        [entry.nodeKind, entry.kind, entry.key, entry.siteIds, JSON.stringify(entry.body), numbers[index]],
        'set-feed-item',
      )
    else if (entry.type === 'remove')
      await sql.query('delete from feed_item where node_kind = $1 and kind = $2 and key = $3', [
        entry.nodeKind,
        entry.kind,
        entry.key,
      ])
  }
  return numbers
}

/** Entries kept for nodes that were away: a day, and this many at most. A longer absence costs a snapshot. */
export const KEPT_ENTRIES = 1_000_000

/** Forgets entries older than a day, or beyond what is kept; acknowledgements of what is gone go too. */
export async function pruneFeed(sql: Sql): Promise<void> {
  const [gone] = await sql.query<{ upTo: bigint | null }>(
    `with old as (
       select greatest(max(e.sequence) filter (where e.at < now() - interval '1 day'), (select sequence from feed_head) - ${KEPT_ENTRIES}) as up_to
       from feed_entry e)
     update feed_head set pruned = old.up_to from old where old.up_to > pruned returning pruned as "upTo"`,
  )
  if (!gone) return
  await sql.query('delete from feed_entry where sequence <= $1', [gone.upTo])
}

/** Acknowledgements tell when; after so long nobody asks any more. The last of each node is in its own row. */
export const forgetAcknowledgements = (sql: Sql): Promise<unknown> =>
  sql.query(`delete from feed_acknowledgement where at < now() - interval '7 days'`)
