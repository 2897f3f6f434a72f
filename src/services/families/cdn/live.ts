/** The live view: what edges last told of their open slots, and how long ago. */
import type { Instant } from '../../../core/time.ts'
import type { Sql } from '../../../database/connection.ts'
import type { UsageSlot } from '../../../feed/messages.ts'

/** What was told longer ago is not live. */
const FRESH_SECONDS = 30

export interface LiveFigures {
  node: string
  site: string
  at: Instant
  slot: UsageSlot
}

/** The open slots of one property, by edge. The caller has checked that the asker may see it. */
export async function liveOf(sql: Sql, edgeName: string): Promise<LiveFigures[]> {
  return sql.query<LiveFigures>(
    `select n.name as node, s.code as site, l.at, slot
     from node_live l join node n on n.id = l.node_id join site s on s.id = n.site_id,
       json_array_elements(l.slots) as slot
     where l.at > now() - interval '${FRESH_SECONDS} seconds' and slot->>'property' = $1 order by n.name`,
    [edgeName],
  )
}

/** Nearest rank: the value that 95 % of the slots do not pass; 0 when there are none. */
export function percentile95(values: readonly number[], slots: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const zeros = Math.max(0, slots - sorted.length)
  const rank = Math.ceil(0.95 * Math.max(slots, sorted.length))
  return rank <= zeros ? 0 : (sorted[rank - zeros - 1] ?? 0)
}
