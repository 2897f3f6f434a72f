import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testWorld } from '../../test/support/server.ts'

const { call, keys, customer, operator, other, database, server } = await testWorld()

const cookieOf = (headers: Record<string, unknown>) =>
  /izumi_session=[^;]+/.exec(String([headers['set-cookie']].flat()[0]))![0]

async function invitedUser(email: string, role: string, key = keys.operator.owner) {
  const invited = await call('POST', '/users/invitations', { key, body: { email, role } })
  assert.equal(invited.status, 201, JSON.stringify(invited.body))
  const accepted = await call('POST', `/invitations/${invited.body.token}`, {
    body: { name: `${role} of test`, password: 'a long enough password' },
  })
  assert.equal(accepted.status, 201, JSON.stringify(accepted.body))
  return { me: accepted.body, cookie: cookieOf(accepted.headers), token: invited.body.token as string }
}

test('a party is made, listed, changed with its version, closed, and each step is recorded', async () => {
  const made = await call('POST', '/parties', {
    key: keys.reseller.owner,
    body: { kind: 'customer', name: 'Aoba Cable, Ltd.', currency: 'USD' },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal(made.body.code, 'aoba-cable-ltd')
  assert.equal(made.body.parentName, 'reseller (test)')
  const listed = await call('GET', '/parties?q=aoba&kind=customer', { key: keys.operator['read-only'] })
  assert.deepEqual(
    listed.body.items.map((party: { id: string }) => party.id),
    [made.body.id],
  )
  const path = `/parties/${made.body.id}`
  assert.equal((await call('PATCH', path, { key: keys.reseller.owner, body: { name: 'Aoba' } })).status, 428)
  const stale = await call('PATCH', path, {
    key: keys.reseller.owner,
    body: { name: 'Aoba' },
    headers: { 'if-match': '"9"' },
  })
  assert.equal(stale.status, 412)
  const changed = await call('PATCH', path, {
    key: keys.reseller.owner,
    body: { name: 'Aoba', email: 'a@aoba.example' },
    headers: { 'if-match': '"1"' },
  })
  assert.equal(changed.body.version, 2, JSON.stringify(changed.body))
  assert.equal(changed.headers.etag, '"2"')
  const closed = await call('PATCH', path, {
    key: keys.reseller.owner,
    body: { status: 'closed' },
    headers: { 'if-match': '*' },
  })
  assert.equal(closed.body.status, 'closed')
  const events = await database.query<{ type: string }>(
    'select type, before, after from event where subject_id = $1 order by id',
    [made.body.id],
  )
  assert.deepEqual(
    events.map(({ type }) => type),
    ['party.created', 'party.changed', 'party.closed'],
  )
})

test('what a party with open parties below it, or the operator, is asked to close is refused', async () => {
  const body = { status: 'closed' }
  const headers = { 'if-match': '*' }
  assert.equal((await call('PATCH', '/parties/reseller', { key: keys.operator.owner, body, headers })).status, 409)
  assert.equal((await call('PATCH', '/parties/operator', { key: keys.operator.owner, body, headers })).status, 403)
  assert.equal((await call('PATCH', '/parties/customer', { key: keys.customer.owner, body, headers })).status, 403)
})

test('pages follow each other without gap or repeat', async () => {
  for (let i = 0; i < 5; i++)
    await call('POST', '/parties', { key: keys.operator.owner, body: { kind: 'customer', name: `Page ${i % 2}` } })
  const all: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { body } = await call('GET', `/parties?q=Page&limit=2${cursor && `&cursor=${cursor}`}`, {
      key: keys.operator.owner,
    })
    all.push(...body.items.map((party: { id: string }) => party.id))
    cursor = body.next
  }
  assert.equal(all.length, 5)
  assert.equal(new Set(all).size, 5)
  assert.equal((await call('GET', '/parties?cursor=nonsense', { key: keys.operator.owner })).status, 400)
})

test('an invitation is accepted once; password sign-in, session and sign-out follow', async () => {
  const { me, cookie, token } = await invitedUser('eng@operator.example', 'engineer')
  assert.equal(me.user.role, 'engineer')
  assert.equal((await call('GET', `/invitations/${token}`)).status, 404)
  assert.equal((await call('GET', '/me', { headers: { cookie } })).body.user.email, 'eng@operator.example')
  const signed = await call('POST', '/sign-in', {
    body: { email: 'ENG@operator.example', password: 'a long enough password' },
  })
  assert.equal(signed.status, 200)
  const set = String(signed.headers['set-cookie'])
  assert.match(set, /HttpOnly/)
  assert.match(set, /SameSite=Strict/)
  const second = cookieOf(signed.headers)
  assert.equal((await call('POST', '/sign-out', { headers: { cookie: second } })).status, 204)
  assert.equal((await call('GET', '/me', { headers: { cookie: second } })).status, 401)
  assert.equal((await call('GET', '/me', { headers: { cookie } })).status, 200)
})

test('wrong passwords and unknown people get the same answer, and guessing is slowed down', async () => {
  const wrong = await call('POST', '/sign-in', { body: { email: 'eng@operator.example', password: 'wrong' } })
  const unknown = await call('POST', '/sign-in', { body: { email: 'nobody@operator.example', password: 'wrong' } })
  assert.equal(wrong.status, 401)
  assert.deepEqual(wrong.body, unknown.body)
  for (let i = 0; i < 4; i++)
    await call('POST', '/sign-in', { body: { email: 'eng@operator.example', password: 'wrong' } })
  const slowed = await call('POST', '/sign-in', {
    body: { email: 'eng@operator.example', password: 'a long enough password' },
  })
  assert.equal(slowed.status, 429)
  assert.ok(Number(slowed.headers['retry-after']) >= 1)
})

test('a session changes things only from our own pages', async () => {
  const { cookie } = await invitedUser('owner@operator.example', 'owner')
  const body = { kind: 'customer', name: 'Forged' }
  const from = (headers: Record<string, string>) => call('POST', '/parties', { body, headers: { cookie, ...headers } })
  assert.equal((await from({ origin: 'https://evil.example' })).status, 403)
  assert.equal((await from({ origin: 'null' })).status, 403)
  assert.equal((await from({ 'sec-fetch-site': 'cross-site' })).status, 403)
  assert.equal((await from({ origin: 'http://localhost:8080' })).status, 201)
  assert.equal((await from({ origin: 'http://here:81', host: 'here:81' })).status, 201)
  assert.equal((await call('GET', '/me', { headers: { cookie, origin: 'https://evil.example' } })).status, 200)
})

test('a changed password ends the other sessions; a disabled person is out at once; an owner remains', async () => {
  const { me, cookie } = await invitedUser('f@operator.example', 'finance')
  const again = await call('POST', '/sign-in', {
    body: { email: 'f@operator.example', password: 'a long enough password' },
  })
  const changed = await call('PATCH', '/me', {
    headers: { cookie },
    body: { currentPassword: 'a long enough password', newPassword: 'another password' },
  })
  assert.equal(changed.status, 200, JSON.stringify(changed.body))
  assert.equal((await call('GET', '/me', { headers: { cookie } })).status, 200)
  assert.equal((await call('GET', '/me', { headers: { cookie: cookieOf(again.headers) } })).status, 401)
  const disabled = await call('PATCH', `/users/${me.user.id}`, {
    key: keys.operator.owner,
    headers: { 'if-match': '*' },
    body: { status: 'disabled' },
  })
  assert.equal(disabled.status, 200)
  assert.equal((await call('GET', '/me', { headers: { cookie } })).status, 401)

  const { me: last } = await invitedUser('only@customer.example', 'owner', keys.customer.owner)
  const demoted = await call('PATCH', `/users/${last.user.id}`, {
    key: keys.customer.owner,
    headers: { 'if-match': '*' },
    body: { role: 'engineer' },
  })
  assert.equal(demoted.status, 409)
  assert.match(demoted.body.detail, /last owner/)
})

test('an API key works within its scopes until it is revoked, and cannot make a wider one', async () => {
  const made = await call('POST', '/api-keys', {
    key: keys.operator.owner,
    body: { name: 'reader', role: 'owner', scopes: ['parties:read'] },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  const key = made.body.secret
  assert.equal((await call('GET', '/parties', { key })).status, 200)
  assert.equal((await call('GET', '/me', { key })).body.scopes[0], 'parties:read')
  const write = await call('POST', '/parties', { key, body: { kind: 'customer', name: 'No' } })
  assert.equal(write.status, 403)
  assert.match(write.body.detail, /parties:write/)
  const writer = await call('POST', '/api-keys', {
    key: keys.operator.owner,
    body: { name: 'writer', role: 'owner', scopes: ['parties:write'] },
  })
  const wider = await call('POST', '/api-keys', {
    key: writer.body.secret,
    body: { name: 'wider', role: 'owner', scopes: ['*'] },
  })
  assert.equal(wider.status, 403)
  assert.equal((await call('DELETE', `/api-keys/${made.body.id}`, { key: keys.operator.owner })).status, 204)
  assert.equal((await call('GET', '/parties', { key })).status, 401)
})

test('an answer is repeated for the same idempotency key, without its secret', async () => {
  const ask = (name: string) =>
    call('POST', '/parties', {
      key: keys.operator.owner,
      headers: { 'idempotency-key': 'k-1' },
      body: { kind: 'customer', name },
    })
  const first = await ask('Once')
  const second = await ask('Once')
  assert.equal(first.body.id, second.body.id)
  assert.equal(second.status, 201)
  assert.equal(second.headers['idempotency-replayed'], 'true')
  assert.equal((await ask('Other')).body.code, 'idempotency-key-reused')
  const secret = () =>
    call('POST', '/api-keys', {
      key: keys.operator.owner,
      headers: { 'idempotency-key': 'k-2' },
      body: { name: 'k', role: 'engineer', scopes: ['*'] },
    })
  assert.match((await secret()).body.secret, /^izumi_/)
  assert.equal((await secret()).body.secret, null)
  const [one, two] = await Promise.all(
    [1, 2].map(() =>
      call('POST', '/parties', {
        key: keys.operator.owner,
        headers: { 'idempotency-key': 'k-3' },
        body: { kind: 'customer', name: 'Race' },
      }),
    ),
  )
  const made = await database.query("select from party where name = 'Race'")
  assert.equal(made.length, 1)
  assert.ok([one!.status, two!.status].includes(201))
})

test('what another process takes away is gone here within a moment', async () => {
  const made = await call('POST', '/api-keys', {
    key: keys.operator.owner,
    body: { name: 'elsewhere', role: 'owner', scopes: ['*'] },
  })
  const key = made.body.secret
  assert.equal((await call('GET', '/me', { key })).status, 200)
  await database.query('update api_key set revoked_at = now() where id = $1', [made.body.id])
  await database.query("select pg_notify('izumi_access', '')")
  const deadline = Date.now() + 4_000
  while ((await call('GET', '/me', { key })).status !== 401) assert.ok(Date.now() < deadline, 'still let in')
})

test('set-up happens once', async () => {
  const state = await call('GET', '/set-up')
  assert.equal(state.body.needed, false)
  const again = await call('POST', '/set-up', {
    body: { operator: { name: 'Second' }, owner: { name: 'X', email: 'x@x.example', password: 'a long password' } },
  })
  assert.equal(again.status, 409)
  assert.ok(operator.id && other.id && customer.id && server)
})
