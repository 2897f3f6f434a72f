/** Nodes and their one-time tokens in SQL. Everything here runs as the owner: nodes are the operator's. */
import { NotFound, StaleVersion, WrongState } from '../core/errors.ts'
import { hashSecret, newId, newSecret } from '../core/ids.ts'
import type { Instant } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import { type Actor, appendEvents, SYSTEM } from '../database/events.ts'
import type { Enrol, NodeKind } from '../feed/messages.ts'
import { readPublicKey } from '../feed/signature.ts'
import { NODE_ACTIONS, type Node, type NodeAction, NodeRefused } from './model.ts'

/** The channel that is notified with a node's id when what it may do has changed. */
export const NODE_CHANNEL = 'izumi_node'

const NODE = `
  select n.id, n.name, n.kind, n.site_id as "siteId", s.code as site, n.addresses, n.weight::float8 as weight, n.state, n.software,
    n.acknowledged, n.acknowledged_at as "acknowledgedAt", n.last_seen_at as "lastSeenAt", n.problem, n.figures,
    n.version, n.created_at as "createdAt"
  from node n join site s on s.id = n.site_id`

export interface NodeFilter {
  kind: NodeKind | null
  state: string | null
  site: string | null
  like: string | null
  before: string | null
  limit: number
}

export const listNodes = (sql: Sql, filter: NodeFilter): Promise<Node[]> =>
  sql.query<Node>(
    `${NODE} where ($1::text is null or n.kind = $1) and ($2::text is null or n.state = $2)
       and ($3::text is null or s.code = $3) and ($4::text is null or n.name ilike $4 or s.code ilike $4)
       and ($5::uuid is null or n.id < $5) order by n.id desc limit $6`,
    [filter.kind, filter.state, filter.site, filter.like, filter.before, filter.limit],
  )

/** @throws NotFound */
export async function findNode(sql: Sql, id: string): Promise<Node> {
  const [node] = await sql.query<Node>(`${NODE} where n.id = $1`, [id])
  if (!node) throw new NotFound('node', id)
  return node
}

/** The nodes of a kind that are told things, at some sites or (null) at all. */
export const toldNodes = (sql: Sql, kind: NodeKind, siteIds: readonly number[] | null) =>
  sql.query<Pick<Node, 'id' | 'name' | 'site' | 'siteId' | 'state' | 'addresses' | 'weight' | 'lastSeenAt'>>(
    `select n.id, n.name, s.code as site, n.site_id as "siteId", n.state, n.addresses, n.weight::float8 as weight,
       n.last_seen_at as "lastSeenAt"
     from node n join site s on s.id = n.site_id
     where n.kind = $1 and n.state in ('active', 'draining') and ($2::integer[] is null or n.site_id = any($2)) order by n.id`,
    [kind, siteIds],
    'told-nodes',
  )

const nodeEvent = (partyId: string, actor: Actor, type: string, id: string, after: unknown, before?: unknown) => ({
  partyId,
  actor,
  type,
  subjectKind: 'node',
  subjectId: id,
  after,
  ...(before === undefined ? {} : { before }),
})

async function operatorId(sql: Sql): Promise<string> {
  const [operator] = await sql.query<{ id: string }>(`select id from party where kind = 'operator'`, [], 'operator-id')
  if (!operator) throw new WrongState('This Izumi is not set up yet.')
  return operator.id
}

/** Announces to every process that a node's rights have changed. */
const announce = (sql: Sql, id: string) => sql.query('select pg_notify($1, $2)', [NODE_CHANNEL, id])

/** Does something with a node. Doing it again answers the same. @throws NotFound, WrongState, StaleVersion */
export async function actOnNode(
  database: Database,
  id: string,
  action: NodeAction,
  options: { version: number | null; actor: Actor },
): Promise<Node> {
  return database.transaction(async (sql) => {
    await sql.query('select from node where id = $1 for update', [id])
    const node = await findNode(sql, id)
    const { from, to } = NODE_ACTIONS[action]
    if (node.state === to) return node
    if (options.version !== null && options.version !== node.version)
      throw new StaleVersion(options.version, node.version)
    if (!(from as readonly string[]).includes(node.state))
      throw new WrongState(
        `The node ${node.name} is ${node.state}; to ${action} it, it must be ${from.join(' or ')}.`,
        {
          state: node.state,
        },
      )
    await sql.query('update node set state = $2, version = version + 1 where id = $1', [id, to])
    await appendEvents(sql, [
      nodeEvent(
        await operatorId(sql),
        options.actor,
        `node.${to}`,
        id,
        { name: node.name, state: to },
        { state: node.state },
      ),
    ])
    await announce(sql, id)
    return findNode(sql, id)
  })
}

/** Changes where a node is reached and its share. @throws NotFound, StaleVersion */
export async function changeNode(
  database: Database,
  id: string,
  change: { addresses?: readonly string[]; weight?: number },
  options: { version: number | null; actor: Actor },
): Promise<Node> {
  return database.transaction(async (sql) => {
    await sql.query('select from node where id = $1 for update', [id])
    const node = await findNode(sql, id)
    if (options.version !== null && options.version !== node.version)
      throw new StaleVersion(options.version, node.version)
    const { addresses = node.addresses, weight = node.weight } = change
    await sql.query('update node set addresses = $2, weight = $3, version = version + 1 where id = $1', [
      id,
      addresses,
      weight,
    ])
    await appendEvents(sql, [
      nodeEvent(
        await operatorId(sql),
        options.actor,
        'node.changed',
        id,
        { addresses, weight },
        {
          addresses: node.addresses,
          weight: node.weight,
        },
      ),
    ])
    await announce(sql, id)
    return findNode(sql, id)
  })
}

export interface NodeToken {
  id: string
  kind: NodeKind
  name: string
  site: string
  addresses: string[]
  needsApproval: boolean
  expiresAt: Instant
  usedAt: Instant | null
  nodeId: string | null
  createdAt: Instant
}

const TOKEN = `
  select t.id, t.kind, t.name, s.code as site, t.addresses, t.needs_approval as "needsApproval", t.expires_at as "expiresAt",
    t.used_at as "usedAt", t.node_id as "nodeId", t.created_at as "createdAt"
  from node_token t join site s on s.id = t.site_id`

export const listTokens = (sql: Sql, before: string | null, limit: number): Promise<NodeToken[]> =>
  sql.query<NodeToken>(`${TOKEN} where ($1::uuid is null or t.id < $1) order by t.id desc limit $2`, [before, limit])

/** Makes a token; its text is returned this once and only its hash kept. @throws NotFound */
export async function createToken(
  database: Database,
  wanted: { kind: NodeKind; name: string; site: string; addresses: readonly string[]; needsApproval: boolean },
  expiresAt: Instant,
  actor: Actor,
): Promise<{ row: NodeToken; token: string }> {
  const id = newId()
  const token = newSecret('node')
  return database.transaction(async (sql) => {
    const [site] = await sql.query<{ id: number }>('select id from site where code = $1', [wanted.site])
    if (!site) throw new NotFound('site', wanted.site)
    await sql.query(
      `insert into node_token (id, token_hash, kind, name, site_id, addresses, needs_approval, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        id,
        hashSecret(token),
        wanted.kind,
        wanted.name,
        site.id,
        wanted.addresses,
        wanted.needsApproval,
        sqlInstant(expiresAt),
      ],
    )
    await appendEvents(sql, [nodeEvent(await operatorId(sql), actor, 'node-token.created', id, wanted)])
    const [row] = await sql.query<NodeToken>(`${TOKEN} where t.id = $1`, [id])
    return { row: row!, token }
  })
}

/** Takes a token back that was not used. @throws NotFound */
export async function withdrawToken(database: Database, id: string, actor: Actor): Promise<void> {
  await database.transaction(async (sql) => {
    const [gone] = await sql.query<{ name: string }>(
      'delete from node_token where id = $1 and used_at is null returning name',
      [id],
    )
    if (!gone) throw new NotFound('unused token', id)
    await appendEvents(sql, [nodeEvent(await operatorId(sql), actor, 'node-token.withdrawn', id, null, gone)])
  })
}

/**
 * Gives a node its identity for a token. The same key with the same token again gets the same answer, so that a node whose
 * first answer was lost is not locked out. @throws NodeRefused
 */
export async function enrolNode(database: Database, asked: Enrol, now: Instant): Promise<Node> {
  const no = () => new NodeRefused('unknown', 'This token is not known, was used, or has expired; make another one.')
  if (readPublicKey(asked.publicKey) === null)
    throw new NodeRefused('signature', 'The public key is not an Ed25519 key in DER.')
  return database.transaction(async (sql) => {
    const [token] = await sql.query<{
      id: string
      kind: NodeKind
      name: string
      siteId: number
      addresses: string[]
      needsApproval: boolean
      expiresAt: Instant
      nodeId: string | null
    }>(
      `select id, kind, name, site_id as "siteId", addresses, needs_approval as "needsApproval", expires_at as "expiresAt",
         node_id as "nodeId" from node_token where token_hash = $1 for update`,
      [hashSecret(asked.token)],
    )
    if (!token) throw no()
    if (token.nodeId !== null) {
      const [same] = await sql.query<{ id: string }>(
        `select id from node where id = $1 and public_key = $2 and state <> 'revoked'`,
        [token.nodeId, asked.publicKey],
      )
      if (!same) throw no()
      return findNode(sql, same.id)
    }
    if (token.expiresAt <= now) throw no()
    if (token.kind !== asked.kind)
      throw new NodeRefused('unknown', `This token is for a node of kind ${token.kind}, not ${asked.kind}.`)
    const id = newId(now)
    const state = token.needsApproval ? 'pending' : 'active'
    await sql.query(
      `insert into node (id, name, kind, site_id, public_key, addresses, state, software, last_seen_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        id,
        token.name,
        token.kind,
        token.siteId,
        asked.publicKey,
        token.addresses,
        state,
        asked.software,
        sqlInstant(now),
      ],
    )
    await sql.query('update node_token set used_at = $2, node_id = $3 where id = $1', [token.id, sqlInstant(now), id])
    await appendEvents(sql, [
      nodeEvent(await operatorId(sql), SYSTEM, 'node.enrolled', id, { name: token.name, kind: token.kind, state }),
    ])
    await announce(sql, id)
    return findNode(sql, id)
  })
}

/** What tells whether a node is who it says, and what it is told. */
export interface NodeCredential {
  id: string
  kind: NodeKind
  siteId: number
  state: Node['state']
  publicKey: string
}

export async function findCredential(sql: Sql, id: string): Promise<NodeCredential | null> {
  const [found] = await sql.query<NodeCredential>(
    `select id, kind, site_id as "siteId", state, public_key as "publicKey" from node where id = $1`,
    [id],
    'node-credential',
  )
  return found ?? null
}
