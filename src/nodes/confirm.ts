/**
 * Who has confirmed what: a node that has acknowledged a sequence has applied everything up to it. Waiting is done on
 * what is announced, and looked up once more at the end, so that the answer is what is on record.
 */
import type { Instant } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { FeedHub } from './hub.ts'

export interface Confirmation {
  node: string
  name: string
  site: string
  /** Null: still out. */
  confirmedAt: Instant | null
  lastSeenAt: Instant | null
}

/** Of these nodes, who has confirmed an entry and when. Nodes that are gone for good are not waited for. */
export const confirmationsOf = (sql: Sql, sequence: number, nodes: readonly string[]): Promise<Confirmation[]> =>
  sql.query<Confirmation>(
    `select n.id as node, n.name, s.code as site, n.last_seen_at as "lastSeenAt",
       case when n.acknowledged >= $1 then coalesce(
         (select min(a.at) from feed_acknowledgement a where a.node_id = n.id and a.sequence >= $1), n.acknowledged_at) end as "confirmedAt"
     from node n join site s on s.id = n.site_id
     where n.id = any($2) and (n.state in ('active', 'draining') or n.acknowledged >= $1) order by n.name, n.id`,
    [sequence, nodes],
    'confirmations',
  )

/** Resolves when all nodes have confirmed, or the time is over; true when all have. */
export async function waitForConfirmation(
  hub: FeedHub,
  sql: Sql,
  sequence: number,
  nodes: readonly string[],
  waitMs: number,
): Promise<boolean> {
  const out = new Set(nodes)
  let done = () => {}
  const confirmed = new Promise<void>((resolve) => {
    done = resolve
  })
  const look = async () => {
    for (const { node, confirmedAt } of await confirmationsOf(sql, sequence, [...out]))
      if (confirmedAt !== null) out.delete(node)
    if (out.size === 0) done()
  }
  await hub.open()
  const stop = hub.hear(
    (node, reached) => {
      if (reached >= sequence && out.delete(node) && out.size === 0) done()
    },
    () => void look().catch(() => {}),
  )
  const timer = setTimeout(done, waitMs)
  try {
    // Some may have confirmed before anybody listened.
    await look()
    await confirmed
    return out.size === 0
  } finally {
    clearTimeout(timer)
    stop()
  }
}
