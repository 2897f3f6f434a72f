/**
 * `/nodes` for the operator: which programs run where, how far each has come, and what is to become of them. `/feed` for
 * the nodes themselves: enrolment, the stream, acknowledgements, usage and heartbeats (src/feed/messages.ts).
 */
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { BadInput, WrongState } from '../core/errors.ts'
import { MINUTE_MS, toIso } from '../core/time.ts'
import { Acknowledgement, Enrol, Enrolled, Heartbeat, NODE_KINDS, UsageBatch } from '../feed/messages.ts'
import { closeFeed, feedOf } from '../nodes/feed.ts'
import { NODE_ACTIONS, NODE_STATES, type Node, type NodeAction } from '../nodes/model.ts'
import {
  actOnNode,
  changeNode,
  createToken,
  enrolNode,
  findNode,
  listNodes,
  listTokens,
  type NodeToken,
  withdrawToken,
} from '../nodes/store.ts'
import { takeBatch } from '../usage/edge-slots.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Code, Id, Instant, Nullable, OneOf, Page, PageQuery, Shape, Text } from './schemas.ts'

const DEFAULT_TOKEN_MINUTES = 60
const MAX_TOKEN_MINUTES = 7 * 24 * 60

const Address = Type.String({
  pattern: '^[0-9a-fA-F:.]{2,45}$',
  maxLength: 45,
  description: 'An IP address at which visitors reach the node.',
  examples: ['192.0.2.7'],
})
const Addresses = Type.Array(Address, { maxItems: 8, description: 'Where visitors reach it.' })

const NodeJson = Shape(
  {
    id: Id,
    name: Code,
    kind: OneOf(NODE_KINDS),
    site: Code,
    addresses: Type.Array(Text(45)),
    weight: Type.Number(),
    state: OneOf(NODE_STATES),
    software: Text(60),
    acknowledged: Type.Integer({ description: 'Everything in the feed up to here has been applied.' }),
    behind: Type.Integer({ description: 'Entries of the feed that it has not confirmed.' }),
    acknowledgedAt: Nullable(Instant),
    lastSeenAt: Nullable(Instant),
    problem: Nullable(Text(1_000, { description: 'What it could not apply, as it last told.' })),
    figures: Type.Unsafe<Record<string, number | string>>({ type: 'object', additionalProperties: true }),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Node' },
)

const tokenFields = {
  id: Id,
  kind: OneOf(NODE_KINDS),
  name: Code,
  site: Code,
  addresses: Type.Array(Text(45)),
  needsApproval: Type.Boolean(),
  expiresAt: Instant,
  usedAt: Nullable(Instant),
  nodeId: Nullable(Id),
  createdAt: Instant,
}
const TokenJson = Shape(tokenFields, { title: 'NodeToken' })

const instant = (at: number | null) => (at === null ? null : toIso(at))
const nodeJson = ({ siteId: _, ...node }: Node, head: number): Static<typeof NodeJson> => ({
  ...node,
  acknowledged: Number(node.acknowledged),
  behind: Math.max(0, head - Number(node.acknowledged)),
  acknowledgedAt: instant(node.acknowledgedAt),
  lastSeenAt: instant(node.lastSeenAt),
  createdAt: toIso(node.createdAt)!,
})
const tokenJson = (token: NodeToken): Static<typeof TokenJson> => ({
  ...token,
  expiresAt: toIso(token.expiresAt)!,
  usedAt: instant(token.usedAt),
  createdAt: toIso(token.createdAt)!,
})

export function nodeRoutes(app: App, platform: Platform): void {
  const { database, clock } = platform
  const look = { scope: 'nodes', parties: ['operator'] } as const
  const change = { scope: 'nodes', parties: ['operator'], roles: ['owner', 'engineer'] } as const
  const NodeParams = Shape({ node: Id })
  // The streams end before the server waits for its connections to end.
  app.addHook('preClose', () => closeFeed(database))

  const headOf = async () => {
    const [head] = await database.query<{ sequence: bigint }>('select sequence from feed_head', [], 'feed-sequence')
    return Number(head!.sequence)
  }

  app.get(
    '/nodes',
    {
      config: { access: look },
      schema: {
        tags: ['nodes'],
        summary: 'Edges, responders and agents, newest first',
        querystring: Shape({
          ...PageQuery,
          kind: Type.Optional(OneOf(NODE_KINDS)),
          state: Type.Optional(OneOf(NODE_STATES)),
          site: Type.Optional(Code),
        }),
        response: { 200: Page(NodeJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, kind, state, site } = request.query
      const before = cursorKey(cursor, ['uuid']) as [string] | null
      const head = await headOf()
      const rows = await listNodes(database, {
        kind: kind ?? null,
        state: state ?? null,
        site: site ?? null,
        like: likePattern(q),
        before: before?.[0] ?? null,
        limit: limit + 1,
      })
      return page(
        rows,
        limit,
        ({ id }) => [id],
        (node) => nodeJson(node, head),
      )
    },
  )

  app.get(
    '/nodes/:node',
    {
      config: { access: look },
      schema: { tags: ['nodes'], summary: 'One node', params: NodeParams, response: { 200: NodeJson } },
    },
    async (request, reply) => {
      const node = await findNode(database, request.params.node)
      tag(reply, node.version)
      return nodeJson(node, await headOf())
    },
  )

  app.patch(
    '/nodes/:node',
    {
      config: { access: change },
      schema: {
        tags: ['nodes'],
        summary: 'Change where a node is reached, and its share of the visitors',
        params: NodeParams,
        body: Shape({
          addresses: Type.Optional(Addresses),
          weight: Type.Optional(
            Type.Number({ minimum: 0.001, maximum: 1_000, description: 'Its share at its site, 1 by default.' }),
          ),
        }),
        response: { 200: NodeJson },
      },
    },
    async (request, reply) => {
      const { node: id } = request.params
      const node = await changeNode(database, id, request.body, {
        version: request.ifMatch(),
        actor: request.principal.actor,
      })
      tag(reply, node.version)
      return nodeJson(node, await headOf())
    },
  )

  const summaries: Record<NodeAction, string> = {
    approve: 'Let a node in that waits for approval',
    drain: 'Send a node no new visitors; it goes on with those it has',
    resume: 'Send a drained node visitors again',
    remove: 'Take a node out for good',
    revoke: 'Withdraw the credential of a node that is not to be trusted',
  }
  for (const action of Object.keys(NODE_ACTIONS) as NodeAction[])
    app.post(
      `/nodes/:node/${action}`,
      {
        config: { access: change },
        schema: { tags: ['nodes'], summary: summaries[action], params: NodeParams, response: { 200: NodeJson } },
      },
      async (request, reply) => {
        const { node: id } = request.params as { node: string }
        const node = await actOnNode(database, id, action, {
          version: request.ifMatch(),
          actor: request.principal.actor,
        })
        tag(reply, node.version)
        return nodeJson(node, await headOf())
      },
    )

  app.get(
    '/node-tokens',
    {
      config: { access: look },
      schema: {
        tags: ['nodes'],
        summary: 'One-time tokens with which nodes enrol, newest first',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: { 200: Page(TokenJson) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const before = cursorKey(cursor, ['uuid']) as [string] | null
      const rows = await listTokens(database, before?.[0] ?? null, limit + 1)
      return page(rows, limit, ({ id }) => [id], tokenJson)
    },
  )

  app.post(
    '/node-tokens',
    {
      config: { access: change, idempotency: 'secret' },
      schema: {
        tags: ['nodes'],
        summary: 'Make a one-time token for a new node; it is shown this once',
        body: Shape({
          kind: OneOf(NODE_KINDS),
          name: Code,
          site: Code,
          addresses: Type.Optional(Addresses),
          needsApproval: Type.Optional(
            Type.Boolean({ description: 'The node waits for approval before it is told anything.' }),
          ),
          expiresInMinutes: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: MAX_TOKEN_MINUTES,
              description: `For how long the token is good; ${DEFAULT_TOKEN_MINUTES} minutes unless said.`,
            }),
          ),
        }),
        response: { 201: Shape({ ...tokenFields, token: Text(100) }) },
      },
    },
    async (request, reply) => {
      const { kind, name, site, addresses = [], needsApproval = false, expiresInMinutes } = request.body
      const { row, token } = await createToken(
        database,
        { kind, name, site, addresses, needsApproval },
        clock() + (expiresInMinutes ?? DEFAULT_TOKEN_MINUTES) * MINUTE_MS,
        request.principal.actor,
      )
      return reply.code(201).send({ ...tokenJson(row), token })
    },
  )

  app.delete(
    '/node-tokens/:nodeToken',
    {
      config: { access: change },
      schema: {
        tags: ['nodes'],
        summary: 'Take back a token that was not used',
        params: Shape({ nodeToken: Id }),
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      await withdrawToken(database, request.params.nodeToken, request.principal.actor)
      return reply.code(204).send(null)
    },
  )

  feedRoutes(app, platform)
}

function feedRoutes(app: App, { database, clock }: Platform): void {
  const own = { access: { node: true }, idempotency: 'own' } as const
  const nodeOf = (request: FastifyRequest) =>
    feedOf(database).authenticator.authenticate(
      request.headers.authorization,
      { method: request.method, path: request.url, body: request.rawText ?? '' },
      clock(),
    )

  app.post(
    '/feed/enrol',
    {
      config: { access: { public: true } },
      schema: {
        tags: ['feed'],
        summary: 'A node gives its token and its public key, and gets an identity',
        body: Enrol,
        response: { 200: Enrolled },
      },
    },
    async (request) => {
      const { id, name, site, state } = await enrolNode(database, request.body, clock())
      return { id, name, site, state, time: clock() }
    },
  )

  app.get(
    '/feed/stream',
    {
      config: own,
      schema: {
        tags: ['feed'],
        summary: 'What a node must make true, in order, as lines of JSON',
        querystring: Shape({
          after: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: Number.MAX_SAFE_INTEGER,
              description: 'The last sequence that the node has applied; a snapshot when left out.',
            }),
          ),
        }),
        response: { 200: Type.Unsafe<string>({ type: 'string', contentMediaType: 'application/x-ndjson' }) },
      },
    },
    async (request, reply) => {
      const node = await nodeOf(request)
      if (node.state === 'pending') throw new WrongState('This node waits for approval.')
      const { hub } = feedOf(database)
      const { raw } = reply
      reply.hijack()
      const left = new AbortController()
      raw.on('close', () => left.abort())
      raw.on('error', () => left.abort())
      raw.socket?.setNoDelay(true)
      raw.writeHead(200, {
        'content-type': 'application/x-ndjson',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      raw.flushHeaders()
      try {
        await hub.serve(
          node,
          request.query.after ?? null,
          {
            write: (lines) => raw.write(lines),
            drained: () =>
              new Promise((resolve) => {
                raw.once('drain', resolve)
                raw.once('close', resolve)
              }),
            end: () => raw.end(),
          },
          left.signal,
        )
      } catch (error) {
        request.log.warn({ err: error, node: node.id }, 'a stream of the feed broke off')
        raw.destroy()
      }
    },
  )

  app.post(
    '/feed/acknowledgements',
    {
      config: own,
      schema: {
        tags: ['feed'],
        summary: 'A node has applied everything up to a sequence',
        body: Acknowledgement,
        response: { 200: Shape({ acknowledged: Type.Integer() }) },
      },
    },
    async (request) => {
      const { id } = await nodeOf(request)
      return { acknowledged: await feedOf(database).reports.acknowledge(id, request.body) }
    },
  )

  app.post(
    '/feed/heartbeats',
    {
      config: own,
      schema: {
        tags: ['feed'],
        summary: 'A node is there, with its figures',
        body: Heartbeat,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { id } = await nodeOf(request)
      await feedOf(database).reports.beat(id, request.body)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/feed/usage',
    {
      config: own,
      schema: {
        tags: ['feed'],
        summary: 'A numbered batch of usage, taken once',
        body: UsageBatch,
        response: { 200: Shape({ taken: Type.Integer() }) },
      },
    },
    async (request) => {
      const node = await nodeOf(request)
      if (node.kind !== 'edge') throw new BadInput('/', `a node of kind ${node.kind} counts no requests`, 'an edge')
      return { taken: await takeBatch(database, node, request.body) }
    },
  )
}
