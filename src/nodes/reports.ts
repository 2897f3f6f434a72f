/**
 * What nodes report, written in groups: an acknowledgement moves a node's place and records when; a heartbeat says that it
 * is there. Both are idempotent, so a node repeats them until they are taken.
 */
import { type Database, sqlArray } from '../database/connection.ts'
import type { Acknowledgement, Heartbeat } from '../feed/messages.ts'
import { Grouped } from './grouped.ts'

/** The channel on which acknowledgements are announced: `node:sequence` separated by blanks. */
export const ACKNOWLEDGED_CHANNEL = 'izumi_acknowledged'
/** PostgreSQL takes 8,000 bytes in one notification; an entry is at most 55. */
const ANNOUNCED_AT_ONCE = 140

interface Told<Message> {
  node: string
  message: Message
}

export class Reports {
  readonly #acknowledgements: Grouped<Told<Acknowledgement>, number>
  readonly #heartbeats: Grouped<Told<Heartbeat>, null>

  constructor(database: Database) {
    this.#acknowledgements = new Grouped((told) => writeAcknowledgements(database, told))
    this.#heartbeats = new Grouped((told) => writeHeartbeats(database, told))
  }

  /** Resolves with the sequence up to which the node's word is on record. */
  acknowledge = (node: string, message: Acknowledgement): Promise<number> =>
    this.#acknowledgements.add({ node, message })

  beat = (node: string, message: Heartbeat): Promise<null> => this.#heartbeats.add({ node, message })
}

/** Of several words of one node in a group the furthest counts; every place that was told of is recorded. */
async function writeAcknowledgements(
  database: Database,
  told: readonly Told<Acknowledgement>[],
): Promise<(number | Error)[]> {
  const furthest = new Map<string, Acknowledgement>()
  const problems = new Map<string, string>()
  for (const { node, message } of told) {
    const known = furthest.get(node)
    if (known === undefined || message.sequence >= known.sequence) furthest.set(node, message)
    const last = message.problems?.at(-1)
    if (last) problems.set(node, last.problem)
  }
  const rows = [...furthest].sort(([a], [b]) => (a < b ? -1 : 1))
  const written = await database.transaction(async (sql) => {
    const moved = await sql.query<{ id: string; acknowledged: bigint }>(
      `with told as materialized (
         select n.id, t.sequence, t.problem from unnest($1::uuid[], $2::bigint[], $3::text[]) as t(id, sequence, problem)
           join node n on n.id = t.id order by n.id for no key update of n),
       recorded as (
         insert into feed_acknowledgement (node_id, sequence) select id, sequence from told on conflict do nothing)
       update node n set acknowledged = greatest(n.acknowledged, told.sequence), acknowledged_at = clock_timestamp(),
         last_seen_at = clock_timestamp(), problem = told.problem
       from told where n.id = told.id returning n.id, n.acknowledged`,
      [
        sqlArray(rows.map(([node]) => node)),
        sqlArray(rows.map(([, { sequence }]) => sequence)),
        sqlArray(rows.map(([node]) => problems.get(node))),
      ],
      'acknowledge',
    )
    for (let start = 0; start < moved.length; start += ANNOUNCED_AT_ONCE)
      await sql.query('select pg_notify($1, $2)', [
        ACKNOWLEDGED_CHANNEL,
        moved
          .slice(start, start + ANNOUNCED_AT_ONCE)
          .map(({ id, acknowledged }) => `${id}:${acknowledged}`)
          .join(' '),
      ])
    return moved
  })
  const places = new Map(written.map(({ id, acknowledged }) => [id, Number(acknowledged)]))
  return told.map(({ node }) => places.get(node) ?? 0)
}

async function writeHeartbeats(database: Database, told: readonly Told<Heartbeat>[]): Promise<null[]> {
  const newest = [...new Map(told.map(({ node, message }) => [node, message]))].sort(([a], [b]) => (a < b ? -1 : 1))
  const nodes = sqlArray(newest.map(([node]) => node))
  await database.query(
    `with told as materialized (
       select n.id, t.software, t.figures from unnest($1::uuid[], $2::text[], $3::jsonb[]) as t(id, software, figures)
         join node n on n.id = t.id order by n.id for no key update of n)
     update node n set last_seen_at = clock_timestamp(), software = told.software, figures = told.figures
     from told where n.id = told.id`,
    [
      nodes,
      sqlArray(newest.map(([, { software }]) => software)),
      sqlArray(newest.map(([, { figures }]) => JSON.stringify(figures))),
    ],
    'heartbeat',
  )
  await database.query(
    `insert into node_live (node_id, at, slots)
     select t.id, clock_timestamp(), t.slots from unnest($1::uuid[], $2::json[]) as t(id, slots) order by t.id
     on conflict (node_id) do update set at = excluded.at, slots = excluded.slots`,
    [nodes, sqlArray(newest.map(([, { live }]) => JSON.stringify(live)))],
    'heartbeat-live',
  )
  return told.map(() => null)
}
