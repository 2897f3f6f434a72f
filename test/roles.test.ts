/**
 * Who may do what, over every route of the server: each route × each principal is tried, and only what the route says it
 * allows is let through; what belongs to another tenant is not there for it; and no answer to a tenant holds anything of
 * another's. The routes come from the server itself, so a new one is tried without a change here.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusalReason } from '../src/api/access.ts'
import type { Access, ListedRoute } from '../src/api/app.ts'
import { newSecret } from '../src/core/ids.ts'
import { ROLES, type Role, SCOPES } from '../src/parties/model.ts'
import type { Principal } from '../src/parties/principal.ts'
import { fillPath, furnishedWorld, sample, type Things } from './support/furnished.ts'
import { insertKey } from './support/server.ts'

const world = await furnishedWorld()
const { server, call, keys, database, things } = world
const CODES = ['operator', 'reseller', 'customer', 'other'] as const
const routes = server.izumiRoutes.filter(({ method }) => method !== 'HEAD')
const accessOf = (route: ListedRoute): Access => route.options.config!.access
const isChange = (route: ListedRoute) => route.method !== 'GET'
const name = ({ method, url }: ListedRoute) => `${method} ${url}`

const principal = (code: (typeof CODES)[number], role: Role): Principal => ({
  actor: { kind: 'api-key', id: null, name: '' },
  via: 'api-key',
  userId: null,
  partyId: world[code].id,
  partyKind: world[code].kind,
  role,
  scopes: null,
})

/** One route tried with a well-formed request about a tenant's things. */
async function attempt(route: ListedRoute, key: string | undefined, about: Things) {
  if (route.url.endsWith('/events/stream') && key) {
    // A stream that is let in stays open: an id it does not know answers in its place.
    return call(route.method, route.url, { key, headers: { 'last-event-id': 'none' } })
  }
  const { body, querystring } = (route.options.schema ?? {}) as { body?: object; querystring?: object }
  const query = querystring ? (sample(querystring, about) as Record<string, unknown>) : {}
  const search = new URLSearchParams(Object.entries(query).map(([field, value]) => [field, String(value)])).toString()
  return call(route.method, fillPath(route.url, about) + (search && `?${search}`), {
    key,
    ...(body ? { body: sample(body, about, route.method === 'PATCH') } : {}),
    headers: { 'if-match': '*' },
  })
}

test('every route says who may use it, and what changes things is not for lookers', () => {
  const forAnyRole = routes.filter((route) => {
    const access = accessOf(route)
    return isChange(route) && !('public' in access) && access.roles?.includes('read-only')
  })
  // Their own name and password, and a price that changes nothing.
  assert.deepEqual(forAnyRole.map(name).sort(), ['PATCH /api/v1/me', 'POST /api/v1/estimates'])
  const open = routes.filter((route) => 'public' in accessOf(route)).map(name)
  assert.deepEqual(open.sort(), [
    'GET /api/v1/invitations/:token',
    'GET /api/v1/openapi.json',
    'GET /api/v1/set-up',
    'GET /api/v1/sign-in/oidc',
    'GET /api/v1/sign-in/oidc/callback',
    'POST /api/v1/feed/enrol',
    'POST /api/v1/invitations/:token',
    'POST /api/v1/set-up',
    'POST /api/v1/sign-in',
    'POST /api/v1/sign-out',
  ])
  // Supply, the catalogue and fail-over are the operator's.
  const supply = /\/(sites|pools|resource-kinds|fail-overs|claims|nodes|node-tokens)(\/|$)|\/offerings(\/:offering)?$/
  for (const route of routes.filter((one) => isChange(one) && supply.test(one.url)))
    assert.deepEqual((accessOf(route) as { parties?: string[] }).parties, ['operator'], name(route))
})

test('nobody, strangers and keys of another scope get nowhere', async () => {
  const stranger = newSecret('izumi')
  let tried = 0
  for (const route of routes) {
    const access = accessOf(route)
    if ('public' in access) continue
    for (const key of [undefined, stranger]) {
      const { status, body } = await attempt(route, key, things.customer)
      assert.equal(status, 401, `${name(route)} without a valid credential`)
      assert.equal(body.code, 'not-signed-in')
      tried++
    }
    if (access.anyScope) continue
    const others = SCOPES.filter((scope) => scope !== access.scope).map((scope) => `${scope}:write`)
    const readOnly = access.scope && isChange(route) ? [`${access.scope}:read`] : []
    const key = await insertKey(database, world.operator, 'owner', [...others, ...readOnly])
    const { status } = await attempt(route, key, things.customer)
    assert.equal(status, 403, `${name(route)} with a key of other scopes`)
    tried++
  }
  assert.ok(tried > 150)
})

test('no answer to a tenant holds anything of another tenant', async () => {
  // Everything that is the other customer's, by its ids and its name; and the same of the reseller's customer.
  const tables = await database.query<{ name: string; column: string }>(
    `select c.table_name as name, c.column_name as column from information_schema.columns c
     where c.table_schema = 'public' and c.column_name = 'id' and c.data_type = 'uuid'
       and exists (select from information_schema.columns p where p.table_schema = 'public'
         and p.table_name = c.table_name and p.column_name = 'party_id')`,
  )
  const own = async (partyId: string, code: string) => {
    const ids = await Promise.all(
      tables.map(({ name: table }) =>
        database.query<{ id: string }>(`select id from ${table} where party_id = $1`, [partyId]),
      ),
    )
    return [partyId, `${code} (test)`, `@${code}.example`, ...ids.flat().map(({ id }) => id)]
  }
  const secrets = {
    customer: await own(world.customer.id, 'customer'),
    other: await own(world.other.id, 'other'),
    reseller: (await own(world.reseller.id, 'reseller')).slice(3),
  }
  assert.ok(secrets.other.length > 15, `${secrets.other.length} ids of the other tenant`)
  const forbidden = {
    operator: [] as string[],
    reseller: secrets.other,
    customer: [...secrets.other, ...secrets.reseller],
    other: [...secrets.customer, ...secrets.reseller],
  }
  let answers = 0
  for (const route of routes.filter((one) => !isChange(one)))
    for (const code of CODES)
      for (const about of [things.customer, things.other]) {
        const { body, status } = await attempt(route, keys[code].owner, about)
        assert.ok(status < 500, `${name(route)} as ${code}: ${status}`)
        if (status >= 400) continue
        const text = typeof body === 'string' ? body : JSON.stringify(body)
        for (const secret of forbidden[code])
          assert.ok(!text.includes(secret), `${name(route)} tells ${code} of ${secret}`)
        answers++
      }
  assert.ok(answers > 150, `${answers} answers looked at`)
})

test('each principal gets through exactly where its route lets it, and to what is its own', async (t) => {
  let allowed = 0
  let refused = 0
  // What is looked at goes first, then changes, the operator's last: theirs reach furthest.
  const ordered = [...routes].sort((a, b) => Number(isChange(a)) - Number(isChange(b)))
  for (const code of ['other', 'customer', 'reseller', 'operator'] as const)
    for (const role of [...ROLES].reverse())
      for (const route of ordered) {
        const access = accessOf(route)
        if ('public' in access) continue
        const reason = refusalReason(principal(code, role), access, route.method)
        const { status, body } = await attempt(route, keys[code][role], things.customer)
        const what = `${name(route)} as ${code} ${role}: ${status} ${JSON.stringify(body).slice(0, 300)}`
        assert.ok(status < 500, what)
        if (reason !== null) {
          assert.equal(status, 403, what)
          refused++
          continue
        }
        allowed++
        assert.notEqual(status, 401, what)
        if (code !== 'other') {
          // What is one's own may be refused for what it is, never for who asks.
          if (!/close or open itself|set by the party above|Only the seller/.test(body?.detail ?? ''))
            assert.notEqual(status, 403, what)
          continue
        }
        // The other customer asks for what is the reseller's customer's: it is not there.
        const names = /:(party|user|key|webhook|claim|order|quote|contract|service|invoice|property|purge)\b/.test(
          route.url,
        )
        const body_ = (route.options.schema as { body?: { required?: string[] } })?.body
        if (names || body_?.required?.includes('party')) assert.equal(status, 404, what)
      }
  t.diagnostic(`${allowed} allowed, ${refused} refused`)
})
