/** Single sign-on against a small real provider: discovery, authorization with PKCE, token with a signed id token. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { testWorld } from '../../test/support/server.ts'

const CLIENT = { id: 'izumi', secret: 'client secret' }
const { publicKey, privateKey } = await generateKeyPair('RS256')
const jwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256', use: 'sig' }

/** Who is signed in at the provider, and what is wrong with its answers, if anything. */
let person: Record<string, unknown> = {}
let nonceOverride: string | null = null
const codes = new Map<string, { challenge: string; nonce: string; redirect: string }>()

const readBody = async (request: IncomingMessage) => {
  let text = ''
  for await (const chunk of request) text += chunk
  return new URLSearchParams(text)
}

const provider = createServer(async (request, response) => {
  const url = new URL(request.url!, issuer)
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (url.pathname === '/.well-known/openid-configuration')
    return json(200, {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      code_challenge_methods_supported: ['S256'],
    })
  if (url.pathname === '/jwks') return json(200, { keys: [jwk] })
  if (url.pathname === '/authorize') {
    assert.equal(url.searchParams.get('code_challenge_method'), 'S256')
    const code = randomUUID()
    codes.set(code, {
      challenge: url.searchParams.get('code_challenge')!,
      nonce: url.searchParams.get('nonce')!,
      redirect: url.searchParams.get('redirect_uri')!,
    })
    const back = new URL(url.searchParams.get('redirect_uri')!)
    back.searchParams.set('code', code)
    back.searchParams.set('state', url.searchParams.get('state')!)
    return response.writeHead(302, { location: back.href }).end()
  }
  const form = await readBody(request)
  const flow = codes.get(form.get('code')!)
  codes.delete(form.get('code')!)
  const basic = Buffer.from(request.headers.authorization?.slice(6) ?? '', 'base64').toString()
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url')
  const known = decodeURIComponent(basic.replace(/\+/g, ' ')) === `${CLIENT.id}:${CLIENT.secret}`
  if (!flow || !known || challenge !== flow.challenge || form.get('redirect_uri') !== flow.redirect)
    return json(400, { error: 'invalid_grant' })
  const token = await new SignJWT({ ...person, nonce: nonceOverride ?? flow.nonce })
    .setProtectedHeader({ alg: 'RS256', kid: 'k' })
    .setIssuer(issuer)
    .setAudience(CLIENT.id)
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(privateKey)
  return json(200, { access_token: 'a', token_type: 'Bearer', id_token: token })
})
let issuer = ''
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
issuer = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`
after(() => provider.close())

const { call, keys } = await testWorld({
  oidc: { issuer, clientId: CLIENT.id, clientSecret: CLIENT.secret, name: 'Test accounts' },
})

/** Goes through the provider; returns where one ends and with which session cookie. */
async function through(tamper: (address: URL) => void = () => {}) {
  const begun = await call('GET', '/sign-in/oidc')
  assert.equal(begun.status, 302)
  const flow = String(begun.headers['set-cookie']).split(';')[0]!
  assert.match(String(begun.headers['set-cookie']), /HttpOnly; SameSite=Lax/)
  const back = await fetch(String(begun.headers.location), { redirect: 'manual' })
  const address = new URL(back.headers.get('location')!)
  tamper(address)
  const done = await call('GET', `${address.pathname}${address.search}`, { headers: { cookie: flow } })
  const cookies = [done.headers['set-cookie'] ?? []].flat().map(String)
  return {
    location: decodeURIComponent(String(done.headers.location)),
    session: cookies.find((cookie) => /^izumi_session=[^;]/.test(cookie))?.split(';')[0] ?? null,
  }
}

test('nobody who was not invited is let in', async () => {
  person = { sub: 's-1', email: 'stranger@op.example', email_verified: true, name: 'Stranger' }
  const { location, session } = await through()
  assert.match(location, /no account for stranger@op.example/)
  assert.equal(session, null)
})

test('an invitation to a verified address becomes an account, found again by its subject', async () => {
  await call('POST', '/users/invitations', {
    key: keys.operator.owner,
    body: { email: 'hanako@op.example', role: 'finance' },
  })
  person = { sub: 's-2', email: 'hanako@op.example', email_verified: false }
  assert.equal((await through()).session, null, 'an unverified address counts for nothing')
  person = { sub: 's-2', email: 'hanako@op.example', email_verified: true, name: 'Hanako' }
  const first = await through()
  assert.equal(first.location, '/')
  const me = await call('GET', '/me', { headers: { cookie: first.session! } })
  assert.equal(me.body.user.name, 'Hanako')
  assert.equal(me.body.user.role, 'finance')
  person = { sub: 's-2', email: 'renamed@op.example', email_verified: true }
  const second = await through()
  assert.equal((await call('GET', '/me', { headers: { cookie: second.session! } })).body.user.id, me.body.user.id)
  person = { sub: 's-3', email: 'hanako@op.example', email_verified: true }
  assert.equal((await through()).session, null, 'an address of a linked account does not open it to another subject')
})

test('a changed state, a foreign code and a wrong nonce are refused', async () => {
  person = { sub: 's-2', email: 'hanako@op.example', email_verified: true }
  assert.equal((await through((address) => address.searchParams.set('state', 'x'.repeat(43)))).session, null)
  assert.equal((await through((address) => address.searchParams.set('code', 'other'))).session, null)
  nonceOverride = 'another'
  assert.equal((await through()).session, null)
  nonceOverride = null
  const without = await call('GET', '/sign-in/oidc/callback?code=a&state=b')
  assert.match(decodeURIComponent(String(without.headers.location)), /another browser/)
})
