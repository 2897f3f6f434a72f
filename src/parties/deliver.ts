/**
 * Sends deliveries: signed as in Standard Webhooks (HMAC-SHA256 over `id.timestamp.body`), without following redirects,
 * never to an address inside the provider's own network (checked on the very address that is connected to), and again
 * with growing pauses until the receiver says 2xx or more than a day has passed. 410 Gone ends the webhook.
 */
import { createHmac } from 'node:crypto'
import { lookup } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { BadInput } from '../core/errors.ts'
import { DAY_MS, HOUR_MS, type Instant, MINUTE_MS, SECOND_MS } from '../core/time.ts'
import { type Database, sqlInstant } from '../database/connection.ts'
import { DELIVERY_COLUMNS, type Delivery, disableWebhook } from './webhooks.ts'

/** Pauses before each further try. */
const PAUSES_MS = [
  5 * SECOND_MS,
  30 * SECOND_MS,
  2 * MINUTE_MS,
  10 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
]
/** A webhook that has only failed for so long is disabled. */
const GIVE_UP_MS = 3 * DAY_MS
const TIMEOUT_MS = 10_000
/** A delivery on its way is nobody else's for so long. */
const LEASE_MS = MINUTE_MS
const AT_ONCE = 20

/** Addresses that are not the open Internet (RFC 6890 and its like). */
const inside = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  inside.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of [
  ['::', 128],
  ['::1', 128],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(network, prefix, 'ipv6')

/** Whether an IP address lies on the open Internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && !inside.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** Refuses addresses that no webhook may have. @throws BadInput */
export function checkWebhookUrl(url: string, privateToo: boolean): void {
  const refuse = (problem: string, expected: string) => {
    throw new BadInput('/url', problem, expected)
  }
  if (!URL.canParse(url)) refuse('is not an address', 'a full address such as "https://example.jp/hook"')
  const { protocol, hostname, username, password } = new URL(url)
  if (protocol !== 'https:' && !(privateToo && protocol === 'http:'))
    refuse(`${protocol} is not used`, 'an https address')
  if (username || password) refuse('holds a name or password', 'an address without them; deliveries are signed')
  const host = hostname.replace(/^\[|\]$/g, '')
  if (!privateToo && ((isIP(host) !== 0 && !isPublicAddress(host)) || /(^|\.)localhost$/i.test(host)))
    refuse(`${host} is not on the open Internet`, 'a public address')
}

/** Resolves a name and refuses when any of its addresses is inside. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0)
    const closed = addresses.find(({ address }) => !isPublicAddress(address))
    if (closed) return callback(new Error(`${hostname} leads to ${closed.address}, which is not public`), '', 0)
    if (options.all) return (callback as unknown as (e: null, all: typeof addresses) => void)(null, addresses)
    callback(null, addresses[0]!.address, addresses[0]!.family)
  })
}

/** The signature of a delivery: `v1,` and the HMAC in base64. */
export function signature(secret: string, id: string, timestampSeconds: number, body: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  return `v1,${createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64')}`
}

interface Due extends Delivery {
  body: string
  url: string
  secret: string
}

/** One try. Resolves to the status, or says why there was none. */
function post(due: Due, now: Instant, privateToo: boolean): Promise<{ status: number | null; problem: string | null }> {
  return new Promise((resolve) => {
    const url = new URL(due.url)
    const timestamp = Math.floor(now / 1_000)
    try {
      checkWebhookUrl(due.url, privateToo)
    } catch (error) {
      resolve({ status: null, problem: (error as Error).message })
      return
    }
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
      url,
      {
        method: 'POST',
        agent: false,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(privateToo ? {} : { lookup: publicLookup }),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(due.body),
          'user-agent': 'Izumi',
          'webhook-id': due.id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': signature(due.secret, due.id, timestamp, due.body),
        },
      },
      (response) => {
        response.destroy()
        const status = response.statusCode ?? 0
        resolve({ status, problem: status >= 200 && status < 300 ? null : `the receiver answered ${status}` })
      },
    )
    request.on('error', (error) => resolve({ status: null, problem: error.message.slice(0, 300) || error.name }))
    request.end(due.body)
  })
}

/** Records how a try ended. */
async function record(
  database: Database,
  due: Due,
  { status, problem }: { status: number | null; problem: string | null },
  now: Instant,
): Promise<void> {
  const pause = PAUSES_MS[due.attempts - 1]
  const isTest = due.type === 'webhook.test'
  const state = problem === null ? 'delivered' : pause === undefined || isTest ? 'failed' : 'pending'
  await database.transaction(async (sql) => {
    await sql.query(
      `update webhook_delivery set state = $2, status = $3, problem = $4, at = $5, next_at = $6 where id = $1`,
      [
        due.id,
        state,
        status,
        problem,
        sqlInstant(now),
        state === 'pending' ? sqlInstant(now + pause! * (0.9 + 0.2 * Math.random())) : null,
      ],
    )
    if (isTest) return
    const [webhook] = await sql.query<{ failingSince: Instant | null }>(
      `update webhook set state = case when state = 'disabled' then state when $2 then 'active' else 'failing' end,
         failing_since = case when $2 then null else coalesce(failing_since, $3) end
       where id = $1 returning failing_since as "failingSince"`,
      [due.webhookId, problem === null, sqlInstant(now)],
    )
    const isHopeless = webhook?.failingSince != null && webhook.failingSince <= now - GIVE_UP_MS
    if (status === 410 || isHopeless) await disableWebhook(sql, due.webhookId)
  })
}

/** Tries what is due, or the one named; returns how many were tried. */
export async function deliverDue(
  database: Database,
  options: { now: Instant; privateToo: boolean; only?: string },
): Promise<number> {
  const { now, privateToo, only } = options
  const due = await database.query<Due>(
    `update webhook_delivery d set attempts = attempts + 1, next_at = $2
     from webhook w
     where w.id = d.webhook_id and d.id in (
       select id from webhook_delivery where state = 'pending'
         and case when $3::uuid is null then next_at <= $1 else id = $3 end
         and ($3::uuid is not null or webhook_id in (select id from webhook where state <> 'disabled'))
       order by next_at limit ${AT_ONCE} for update skip locked)
     returning ${DELIVERY_COLUMNS}, d.body, w.url, w.secret`,
    [sqlInstant(now), sqlInstant(now + LEASE_MS), only ?? null],
  )
  await Promise.all(
    due.map(async (delivery) => {
      await record(database, delivery, await post(delivery, now, privateToo), now)
    }),
  )
  return due.length
}
