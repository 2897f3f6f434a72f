/** `/webhooks`: addresses of a party's own to which its events are sent on, signed. */
import Type from 'typebox'
import { toIso } from '../core/time.ts'
import { checkWebhookUrl, deliverDue } from '../parties/deliver.ts'
import {
  addTestDelivery,
  changeWebhook,
  createWebhook,
  type Delivery,
  deleteWebhook,
  findWebhook,
  listDeliveries,
  listWebhooks,
  type Webhook,
} from '../parties/webhooks.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import { cursorKey, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Id, Instant, Nullable, OneOf, Page, PageQuery, PartyRef, Shape, Text } from './schemas.ts'

export const EVENT_TYPE_PATTERN = '^([a-z][a-z-]{0,40}\\.([a-z][a-z-]{0,40}|\\*)|\\*)$'

const fields = {
  id: Id,
  partyId: Id,
  partyName: Text(),
  url: Text(2_000),
  types: Type.Array(Text(100)),
  state: OneOf(['active', 'failing', 'disabled']),
  failingSince: Nullable(Instant),
  version: Type.Integer(),
  createdAt: Instant,
}
const WebhookJson = Shape(fields, { title: 'Webhook' })
const DeliveryJson = Shape(
  {
    id: Id,
    webhookId: Id,
    eventId: Nullable(Text(20)),
    type: Text(100),
    state: OneOf(['pending', 'delivered', 'failed']),
    attempts: Type.Integer(),
    nextAt: Nullable(Instant),
    status: Nullable(Type.Integer()),
    problem: Nullable(Text(500)),
    createdAt: Instant,
    at: Nullable(Instant),
  },
  { title: 'Delivery' },
)
const Url = Type.String({
  format: 'uri',
  minLength: 1,
  maxLength: 2_000,
  description: 'An https address on the open Internet.',
  examples: ['https://example.jp/izumi'],
})
const Types = Type.Array(
  Type.String({
    pattern: EVENT_TYPE_PATTERN,
    maxLength: 90,
    examples: ['order.completed'],
    description: 'Event type, `noun.*`, or `*`.',
  }),
  { minItems: 1, maxItems: 50, uniqueItems: true, description: 'Which events are sent.' },
)

const toJson = ({ failingSince, createdAt, ...webhook }: Webhook) => ({
  ...webhook,
  failingSince: failingSince === null ? null : toIso(failingSince),
  createdAt: toIso(createdAt)!,
})
const instant = (at: number | null) => (at === null ? null : toIso(at))
const deliveryToJson = (delivery: Delivery) => ({
  ...delivery,
  eventId: delivery.eventId === null ? null : String(delivery.eventId),
  nextAt: instant(delivery.nextAt),
  createdAt: toIso(delivery.createdAt)!,
  at: instant(delivery.at),
})

export function webhookRoutes(app: App, { database, clock, privateWebhooks = false }: Platform): void {
  const read = { scope: 'webhooks' } as const
  const change = { scope: 'webhooks', roles: ['owner', 'engineer'] } as const
  const params = Shape({ webhook: Id })

  app.get(
    '/webhooks',
    {
      config: { access: read },
      schema: {
        tags: ['webhooks'],
        summary: 'Webhooks, newest first',
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor, party: Type.Optional(PartyRef) }),
        response: { 200: Page(WebhookJson) },
      },
    },
    async (request) => {
      const { limit, cursor, party } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listWebhooks(sql, { partyId, after: after?.[0] ?? null, limit: limit + 1 }),
      )
      return page(rows, limit, (row) => [row.id], toJson)
    },
  )

  app.post(
    '/webhooks',
    {
      config: { access: change, idempotency: 'secret' },
      schema: {
        tags: ['webhooks'],
        summary: 'Add a webhook; the secret that signs its deliveries is shown this once',
        body: Shape({ party: Type.Optional(PartyRef), url: Url, types: Types }),
        response: { 201: Shape({ ...fields, secret: Text(100) }) },
      },
    },
    async (request, reply) => {
      const { party, url, types } = request.body
      checkWebhookUrl(url, privateWebhooks)
      const { id } = await request.visibleParty(party ?? request.principal.partyId)
      const { webhook, secret } = await createWebhook(database, id, url, types, request.principal.actor)
      tag(reply, webhook.version)
      return reply.code(201).send({ ...toJson(webhook), secret })
    },
  )

  app.get(
    '/webhooks/:webhook',
    {
      config: { access: read },
      schema: { tags: ['webhooks'], summary: 'One webhook', params, response: { 200: WebhookJson } },
    },
    async (request, reply) => {
      const webhook = await request.tenant((sql) => findWebhook(sql, request.params.webhook))
      tag(reply, webhook.version)
      return toJson(webhook)
    },
  )

  app.patch(
    '/webhooks/:webhook',
    {
      config: { access: change },
      schema: {
        tags: ['webhooks'],
        summary: 'Change a webhook, switch it off or on again',
        params,
        body: Shape({
          url: Type.Optional(Url),
          types: Type.Optional(Types),
          state: Type.Optional(OneOf(['active', 'disabled'])),
        }),
        response: { 200: WebhookJson },
      },
    },
    async (request, reply) => {
      const { url } = request.body
      if (url !== undefined) checkWebhookUrl(url, privateWebhooks)
      const { id } = await request.tenant((sql) => findWebhook(sql, request.params.webhook))
      const webhook = await changeWebhook(database, id, request.ifMatch(), request.body, request.principal.actor)
      tag(reply, webhook.version)
      return toJson(webhook)
    },
  )

  app.delete(
    '/webhooks/:webhook',
    {
      config: { access: change },
      schema: { tags: ['webhooks'], summary: 'Remove a webhook', params, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const { id } = await request.tenant((sql) => findWebhook(sql, request.params.webhook))
      await deleteWebhook(database, id, request.principal.actor)
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/webhooks/:webhook/deliveries',
    {
      config: { access: read },
      schema: {
        tags: ['webhooks'],
        summary: 'What was sent to a webhook, newest first, and how it went',
        params,
        querystring: Shape({ limit: PageQuery.limit, cursor: PageQuery.cursor }),
        response: { 200: Page(DeliveryJson) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query
      const after = cursorKey(cursor, ['uuid']) as [string] | null
      const rows = await request.tenant(async (sql) => {
        const { id } = await findWebhook(sql, request.params.webhook)
        return listDeliveries(sql, id, { after: after?.[0] ?? null, limit: limit + 1 })
      })
      return page(rows, limit, (row) => [row.id], deliveryToJson)
    },
  )

  app.post(
    '/webhooks/:webhook/test',
    {
      config: { access: change },
      schema: {
        tags: ['webhooks'],
        summary: 'Send a test to a webhook now, and see how it went',
        params,
        response: { 200: DeliveryJson },
      },
    },
    async (request) => {
      const webhook = await request.tenant((sql) => findWebhook(sql, request.params.webhook))
      const id = await addTestDelivery(database, webhook, clock())
      await deliverDue(database, { now: clock(), privateToo: privateWebhooks, only: id })
      const [delivery] = await request.tenant((sql) => listDeliveries(sql, webhook.id, { after: null, limit: 1 }))
      return deliveryToJson(delivery!)
    },
  )
}
