/**
 * A world in which everything exists once for each tenant: the reseller's customer and another customer each have people,
 * keys, webhooks, quotas, orders, quotes, contracts, services, claims and invoices. For tests that walk all routes.
 */

import { generateKeyPairSync } from 'node:crypto'
import { deskOf } from '../../src/api/desk.ts'
import { insertOffering, insertPlan } from '../../src/catalogue/store.ts'
import { FOREVER } from '../../src/core/time.ts'
import { SYSTEM } from '../../src/database/events.ts'
import { PROPERTY_RULES } from '../../src/families.ts'
import { placeOrder } from '../../src/orders/place.ts'
import { findParty } from '../../src/parties/store.ts'
import { followProperties } from '../../src/services/families/cdn/follow.ts'
import { flatCharge, insertSites, unitCharge } from './provider.ts'
import { type TestWorld, testWorld } from './server.ts'

/** What path parameters and fields that name a thing are filled with, for one tenant's things. */
export type Things = Record<string, string | number>

export interface FurnishedWorld extends TestWorld {
  things: { customer: Things; other: Things }
}

const LONG_AGO = Date.UTC(2026, 0, 1)

export async function furnishedWorld(): Promise<FurnishedWorld> {
  const world = await testWorld({ privateWebhooks: true })
  const { database, platform, keys, operator, reseller } = world
  const sites = await insertSites(database, 1_000)
  const offering = await insertOffering(database, {
    code: 'rack',
    family: 'colocation',
    name: 'Rack space',
    nameJa: 'ラックスペース',
    description: null,
    descriptionJa: null,
    defaults: {},
    taxCode: 'standard',
    state: 'active',
  })
  for (const seller of [operator, reseller])
    await insertPlan(database, {
      offeringId: offering.id,
      sellerId: seller.id,
      currency: 'JPY',
      effectiveFrom: LONG_AGO,
      effectiveTo: FOREVER,
      minimumTermMonths: 0,
      charges: [flatCharge('monthly', '3100'), unitCharge('power', '20')],
    })
  const cdn = await insertOffering(database, {
    code: 'cdn',
    family: 'cdn',
    name: 'CDN',
    nameJa: null,
    description: null,
    descriptionJa: null,
    defaults: {},
    taxCode: 'standard',
    state: 'active',
  })
  for (const seller of [operator, reseller])
    await insertPlan(database, {
      offeringId: cdn.id,
      sellerId: seller.id,
      currency: 'JPY',
      effectiveFrom: LONG_AGO,
      effectiveTo: FOREVER,
      minimumTermMonths: 0,
      charges: [flatCharge('monthly', '1000')],
    })
  const today = new Date(Date.now())
  const inLastMonth = Date.UTC(today.getUTCFullYear(), today.getUTCMonth() - 1, 5)
  const period = new Date(inLastMonth).toISOString().slice(0, 7)

  async function ask(method: string, path: string, key: string, body?: unknown) {
    const answer = await world.call(method, path, { key, body, headers: { 'if-match': '*' } })
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const engineer = keys.operator.engineer
  await ask('POST', '/pools', engineer, { site: 'saitama-1', kind: 'edge-bandwidth', name: 'Edges', quantity: 1_000 })
  await ask('POST', '/sites/yokohama-1/racks', engineer, { kind: 'rack-unit', name: 'R1', slots: 42 })
  const [step] = await database.query<{ id: string; poolId: number }>(
    `select s.id, s.pool_id as "poolId" from capacity_step s join pool p on p.id = s.pool_id where p.kind = 'power' limit 1`,
  )

  const token = await ask('POST', '/node-tokens', engineer, { kind: 'edge', name: 'edge-1', site: 'yokohama-1' })
  const { publicKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  const node = await ask('POST', '/feed/enrol', engineer, {
    token: token.token,
    kind: 'edge',
    publicKey: publicKey.toString('base64url'),
    software: 'test',
  })

  const furnish = async (code: 'customer' | 'other'): Promise<Things> => {
    const key = keys[code]
    const party = (await findParty(database, code))!
    const { order: past } = await placeOrder(
      { ...deskOf(platform), clock: () => inLastMonth },
      { party, offering: 'rack', config: { site: 'yokohama-1', power: 2 }, actor: SYSTEM },
    )
    const config = { site: 'yokohama-1', power: 1 }
    const quote = await ask('POST', '/quotes', key.engineer, { offering: 'rack', config })
    const waiting = await ask('POST', '/orders', key.engineer, {
      offering: 'rack',
      config: { site: 'yokohama-1', power: 9_000 },
      wait: { until: new Date(Date.now() + 86_400_000).toISOString() },
    })
    const delivery = await ask('POST', '/orders', key.engineer, {
      offering: 'cdn',
      config: {
        property: { name: code, hosts: [`www.${code}.example`], origin: 'https://origin.example.net' },
        sites: 'everywhere',
        reserved: [{ site: 'saitama-1', bandwidth: 1 }],
      },
    })
    await followProperties(database, PROPERTY_RULES)
    const purge = await ask('POST', '/cdn/purges', key.engineer, {
      url: `https://www.${code}.example/a`,
      waitSeconds: 0,
    })
    const claim = await ask('POST', '/claims', engineer, {
      party: code,
      lines: [{ site: 'yokohama-1', kind: 'power', quantity: 1 }],
    })
    await ask('PUT', '/quotas', keys.operator.engineer, { party: code, kind: 'seat', site: null, quantity: 50 })
    const apiKey = await ask('POST', '/api-keys', key.owner, { name: `${code} key`, role: 'engineer', scopes: ['*'] })
    const webhook = await ask('POST', '/webhooks', key.owner, { url: 'http://127.0.0.1:1/none', types: ['party.*'] })
    const invited = await ask('POST', '/users/invitations', key.owner, { email: `a@${code}.example`, role: 'owner' })
    await ask('POST', '/users/invitations', key.owner, { email: `b@${code}.example`, role: 'finance' })
    const me = await world.call('POST', `/invitations/${invited.token}`, {
      body: { name: `${code} owner`, password: 'long enough to do' },
    })
    return {
      party: code,
      user: me.body.user.id,
      key: apiKey.id,
      webhook: webhook.id,
      claim: claim.id,
      order: waiting.id,
      quote: quote.id,
      contract: past.contractId!,
      service: past.serviceId!,
      property: delivery.serviceId,
      purge: purge.id,
      versionNumber: 1,
      node: node.id,
      site: 'yokohama-1',
      protects: 'saitama-1',
      kind: 'power',
      pool: step!.poolId,
      step: step!.id,
      offering: 'rack',
      line: 1,
      period,
    }
  }
  const things = { customer: await furnish('customer'), other: await furnish('other') }
  await ask('POST', '/billing-runs', keys.operator.finance, { period, issue: true })
  await ask('POST', '/billing-runs', keys.reseller.finance, { period, issue: true })
  for (const code of ['customer', 'other'] as const) {
    const [invoice] = (await ask('GET', `/invoices?party=${code}`, keys[code].finance)).items
    things[code].invoice = invoice.id
  }
  const drill = await ask('POST', '/sites/saitama-1/fail-over', engineer, { mode: 'drill' })
  await ask('POST', `/fail-overs/${drill.id}/end`, engineer)
  for (const code of ['customer', 'other'] as const) things[code].failOver = drill.id
  if (!sites['saitama-1']) throw new Error('no site')
  return { ...world, things }
}

interface Schema {
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  format?: string
  examples?: unknown[]
  default?: unknown
  minimum?: number
  maximum?: number
  minLength?: number
  minItems?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
}

/**
 * A value that a schema takes: its example, or the least that will do. Required fields only, unless `all`. Fields named
 * in `things` are filled with those.
 */
export function sample(schema: Schema, things: Things, all = false, name = ''): unknown {
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (name in things && (type === 'string' || type === 'integer')) return things[name]
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  if (schema.anyOf) return sample(schema.anyOf[0]!, things, all, name)
  if (type === 'object') {
    const names = Object.keys(schema.properties ?? {}).filter(
      (field) => all || (schema.required?.includes(field) && schema.properties![field]!.default === undefined),
    )
    return Object.fromEntries(names.map((field) => [field, sample(schema.properties![field]!, things, all, field)]))
  }
  if (type === 'array')
    return Array.from({ length: Math.max(1, schema.minItems ?? 0) }, () => sample(schema.items ?? {}, things, all))
  if (schema.examples?.length) return schema.examples[0]
  if (type === 'integer' || type === 'number') return schema.minimum !== undefined ? Math.max(schema.minimum, 1) : 1
  if (type === 'boolean') return true
  if (type === 'null') return null
  const byFormat: Record<string, string> = {
    'date-time': '2026-12-01T00:00:00Z',
    date: '2026-12-01',
    uuid: '01938f5e-7c3a-7d4e-8f21-9a0b1c2d3e4f',
    email: 'someone@example.net',
    uri: 'https://example.net/',
  }
  return schema.format && byFormat[schema.format]
    ? byFormat[schema.format]
    : 'sample'.padEnd(schema.minLength ?? 0, 'x')
}

/** The path of a route with its parameters filled in. */
export const fillPath = (url: string, things: Things): string =>
  url.replace(/:([A-Za-z]+)/g, (_, name: string) =>
    String(things[name] ?? (name === 'token' ? `invite_${'x'.repeat(43)}` : '01938f5e-7c3a-7d4e-8f21-9a0b1c2d3e4f')),
  )
