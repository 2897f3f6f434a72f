/** A whole edge.yaml against requests: what each setting does, and that the hit path and `plan` agree on every request. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AnswerPlan, EdgeRequest, OriginPool, ServePlan } from '../message.ts'
import { compileConfig } from './load.ts'
import { ConfigRefused } from './read.ts'
import { makeToken } from './signature.ts'
import { matchedPath } from './target.ts'

const pool: OriginPool = {
  name: 'test',
  request: () => ({ pause() {}, resume() {}, abort() {} }),
  close() {},
}
const NOW = Date.UTC(2026, 10, 24)
const load = (text: string, environment: Record<string, string> = {}) =>
  compileConfig(text, 'edge.yaml', {
    countryOf: (address) => (address.startsWith('202.') ? 'JP' : address.startsWith('8.') ? 'US' : null),
    poolOf: () => pool,
    environment,
  }).properties

const ask = (target: string, more: Partial<EdgeRequest> = {}): EdgeRequest => ({
  method: 'GET',
  scheme: 'http',
  host: 'www.shop.example',
  authority: 'www.shop.example',
  target,
  version: '1.1',
  fields: [],
  client: { address: '202.1.1.1', port: 1 },
  receivedAt: NOW,
  body: null,
  ...more,
})

/** One property with these lines under it. */
const shop = (lines: string, environment: Record<string, string> = {}) => {
  const table = load(
    `properties:\n  - name: shop\n    hosts: [www.shop.example]\n    origin: http://127.0.0.1:1\n${lines
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n')}`,
    environment,
  )
  const property = table.find('www.shop.example')!
  return {
    serve: (target: string, more: Partial<EdgeRequest> = {}) => {
      const plan = property.plan(ask(target, more))
      assert.equal(plan.kind, 'serve', JSON.stringify(plan))
      return plan as ServePlan
    },
    answer: (target: string, more: Partial<EdgeRequest> = {}) => {
      const plan = property.plan(ask(target, more))
      assert.equal(plan.kind, 'answer')
      return plan as AnswerPlan
    },
    plainKey: (target: string) => property.plainKey(target),
    table,
  }
}

test('a property without settings serves host and target as they are', () => {
  const { serve, plainKey } = shop('')
  const plan = serve('/a?b=1')
  assert.equal(plan.key, 'www.shop.example/a?b=1')
  assert.equal(plan.target, '/a?b=1')
  assert.equal(plan.keyIsPlain, true)
  assert.equal(plainKey('/a?b=1'), plan.key)
})

test('hosts: exact, then the longest wildcard, then any', () => {
  const table = load(`
properties:
  - { name: any, hosts: ['*'], origin: 'http://o:1' }
  - { name: wild, hosts: ['*.shop.example'], origin: 'http://o:1' }
  - { name: deep, hosts: ['*.img.shop.example'], origin: 'http://o:1' }
  - { name: exact, hosts: [www.shop.example], origin: 'http://o:1' }
`)
  const name = (host: string) => table.find(host)?.name
  assert.equal(name('www.shop.example'), 'exact')
  assert.equal(name('a.shop.example'), 'wild')
  assert.equal(name('a.b.shop.example'), 'wild')
  assert.equal(name('x.img.shop.example'), 'deep')
  assert.equal(name('img.shop.example'), 'wild')
  assert.equal(name('shop.example'), 'any')
  assert.equal(name('localhost'), 'any')
  assert.equal(table.find('a.shop.example')!.plainKey('/x'), 'a.shop.example/x')
})

test('cache key: query, headers, cookies, host, scheme', () => {
  assert.equal(shop('key: { query: none }').serve('/a?x=1').key, 'www.shop.example/a')
  assert.equal(shop('key: { query: { keep: [x] } }').serve('/a?y=1&x=2&x=1').key, 'www.shop.example/a?x=2&x=1')
  assert.equal(shop("key: { query: { drop: ['utm_*'] } }").serve('/a?utm_source=q&x=1').key, 'www.shop.example/a?x=1')
  assert.equal(shop('key: { sort: true }').serve('/a?b=1&a=2&b=0').key, 'www.shop.example/a?a=2&b=1&b=0')
  assert.equal(shop('key: { host: shop }').serve('/a').key, 'shop/a')
  const extras = shop('key: { headers: [X-Device], cookies: [lang] }')
  const plan = extras.serve('/a', { fields: ['x-device', 'phone', 'cookie', 'a=1; lang=ja'] })
  assert.equal(plan.key, 'www.shop.example/a\nx-device: phone\ncookie lang=ja')
  assert.equal(plan.keyIsPlain, false)
  assert.equal(extras.plainKey('/a'), null)
  const scheme = shop('key: { scheme: true }')
  assert.notEqual(scheme.serve('/a', { scheme: 'https' }).key, scheme.serve('/a').key)
  assert.equal(scheme.plainKey('/a'), null)
  assert.equal(scheme.table.find('www.shop.example', 'https')!.plainKey('/a'), 'https://www.shop.example/a')
  // The target itself goes to the origin whole.
  assert.equal(shop('key: { query: none }').serve('/a?x=1').target, '/a?x=1')
})

test('rules lie over each other in order, and reach what their patterns say', () => {
  const { serve, answer } = shop(`caching: { ttl: 1m, staleIfError: 1h }
response: { set: { X-A: one } }
rules:
  - when: { path: [/img/*, '*.png'] }
    caching: { ttl: 7d }
    response: { set: { X-B: two }, remove: [Set-Cookie] }
  - when: { path: /img/raw/*, method: GET }
    caching: { enabled: false }
    last: true
  - when: { path: /old/*/x*, query: { go: 'y*' }, header: { x-beta: true }, cookie: { off: false } }
    redirect: { to: 'https://new.example/$1/$2', status: 301 }
  - when: { path: /api/* }
    rewrite: /v2/$1?via=edge
  - when: { country: US, not: { address: 8.8.8.8 } }
    answer: { status: 451, body: no, contentType: text/plain, headers: { X-Why: law } }
  - when: { path: /img/raw/* }
    caching: { enabled: true }`)
  assert.equal(serve('/a').caching.ttlSeconds, 60)
  assert.equal(serve('/img/a').caching.ttlSeconds, 604_800)
  assert.equal(serve('/img/a').caching.staleIfErrorSeconds, 3_600)
  assert.deepEqual(serve('/x.png').responseChanges, [
    { kind: 'set', name: 'x-a', value: 'one' },
    { kind: 'remove', name: 'set-cookie' },
    { kind: 'set', name: 'x-b', value: 'two' },
  ])
  assert.equal(serve('/img/raw/a').caching.enabled, false)
  assert.equal(serve('/img/raw/a', { method: 'HEAD' }).caching.enabled, true)
  const beta = { fields: ['x-beta', ''] }
  assert.equal(answer('/old/a%20b%3F%2F/x1?go=yes', beta).fields[1], 'https://new.example/a%20b%3F/1')
  assert.equal(serve('/old/a/x1?go=no', beta).kind, 'serve')
  assert.equal(serve('/old/a/x1?go=yes').kind, 'serve')
  assert.equal(serve('/old/a/x1?go=yes', { fields: ['x-beta', '1', 'cookie', 'off=1'] }).kind, 'serve')
  assert.equal(serve('/api/a?b=1').target, '/v2/a?via=edge&b=1')
  assert.equal(serve('/api/a?b=1').key, 'www.shop.example/api/a?b=1')
  const law = answer('/', { client: { address: '8.1.1.1', port: 1 } })
  assert.equal(law.status, 451)
  assert.deepEqual(law.fields.slice(-2), ['x-why', 'law'])
  assert.equal(serve('/', { client: { address: '8.8.8.8', port: 1 } }).kind, 'serve')
})

test('no spelling of a path gets around a rule', () => {
  for (const path of [
    '/private/a',
    '//private/a',
    '/%70rivate/a',
    '/x/../private/a',
    '/x/%2e%2e/private/a',
    '/x%2F..%2Fprivate/a',
    '/./private/a',
    '/x\\..\\private/a',
    '/../private/a',
  ])
    assert.equal(matchedPath(path), '/private/a', path)
  assert.equal(matchedPath('/a/%E3%81%82'), '/a/あ')
  assert.equal(matchedPath('/a/%ff%41'), '/a/%ffA')
  assert.equal(matchedPath('/a/..'), '/')
  assert.equal(matchedPath('/a/b/.'), '/a/b/')
})

test('signed URLs: opened by a right token only, and only what it may reach', () => {
  const key = { id: 'k1', secret: 'a secret of 24 characters' }
  const { serve, answer, plainKey } = shop(
    `signed: { keys: [{ id: k1, secret: 'env:EDGE_SECRET' }], cookie: pass }
rules:
  - when: { path: /free/* }
    signed: { keys: [{ id: k1, secret: 'env:EDGE_SECRET' }], required: false }`,
    { EDGE_SECRET: key.secret },
  )
  const token = makeToken(key, 'www.shop.example', NOW / 1_000 + 60, '/video/42/*')
  const plan = serve(`/video/42/1.ts?q=1&token=${encodeURIComponent(token)}`)
  assert.equal(plan.key, 'www.shop.example/video/42/1.ts?q=1')
  assert.equal(plan.target, '/video/42/1.ts?q=1')
  assert.equal(
    serve('/video/42/1.ts', { fields: ['cookie', `a=b; pass=${token}`] }).key,
    'www.shop.example/video/42/1.ts',
  )
  assert.equal(plainKey('/video/42/1.ts'), null)
  const why = (target: string, more: Partial<EdgeRequest> = {}) => {
    const refused = answer(target, more)
    assert.equal(refused.status, 403)
    return /token is (.*)\.\n/.exec(String(refused.body))![1]
  }
  assert.equal(why('/video/42/1.ts'), 'missing')
  assert.equal(why(`/video/43/1.ts?token=${token}`), 'not for this path')
  assert.equal(why(`/video/42/../43/1.ts?token=${token}`), 'not for this path')
  assert.equal(why(`/video/42/1.ts?token=${token}`, { receivedAt: NOW + 61_000 }), 'expired')
  assert.equal(why(`/video/42/1.ts?token=${token.replace('video', 'vid*o')}`), 'wrong signature')
  assert.equal(why(`/video/42/1.ts?token=${token.replace('exp=1', 'exp=2')}`), 'wrong signature')
  assert.equal(why(`/video/42/1.ts?token=${token.replace('key=k1', 'key=k2')}`), 'unknown key')
  assert.equal(why('/video/42/1.ts?token=x'), 'malformed')
  assert.equal(why(`/video/42/1.ts?token=${token}`, { host: 'other.example' }), 'wrong signature')
  assert.equal(serve('/free/a').kind, 'serve')
})

test('access lists, maintenance, https only, rate limits, error pages', () => {
  const access = shop('access: { allow: { countries: [JP] }, deny: { addresses: [202.9.0.0/16] } }')
  assert.equal(access.serve('/').kind, 'serve')
  assert.equal(access.answer('/', { client: { address: '202.9.1.1', port: 1 } }).status, 403)
  assert.equal(access.answer('/', { client: { address: '8.1.1.1', port: 1 } }).status, 403)
  assert.equal(access.plainKey('/'), null)

  const maintenance = shop("maintenance: { enabled: true, retryAfter: 10m, except: ['2001:db8::/32'] }")
  const page = maintenance.answer('/')
  assert.equal(page.status, 503)
  assert.equal(page.fields[page.fields.indexOf('retry-after') + 1], '600')
  assert.equal(maintenance.serve('/', { client: { address: '2001:db8::1', port: 1 } }).kind, 'serve')
  assert.equal(maintenance.plainKey('/'), null)

  const https = shop('httpsOnly: true')
  assert.equal(https.answer('/a?b').fields[1], 'https://www.shop.example/a?b')
  assert.equal(https.serve('/a', { scheme: 'https' }).kind, 'serve')
  assert.equal(https.plainKey('/a'), null)
  assert.equal(https.table.find('www.shop.example', 'https')!.plainKey('/a'), 'www.shop.example/a')

  const rate = shop(
    'rateLimit: { requests: 2, per: 1s }\nerrorPages: { 429: { body: slow down }, 502: { body: oops } }',
  )
  rate.serve('/')
  assert.equal(rate.serve('/').errorPages.get(502)?.body, 'oops')
  const refused = rate.answer('/')
  assert.equal(refused.status, 429)
  assert.equal(refused.body, 'slow down')
  assert.ok(refused.fields.includes('retry-after'))
  assert.equal(rate.serve('/', { client: { address: '202.1.1.2', port: 1 } }).kind, 'serve')
  assert.equal(rate.serve('/', { receivedAt: NOW + 1_000 }).kind, 'serve')
})

test('what the hit path takes for plain is what plan decides for any request of that target', () => {
  const rule = fc.record(
    {
      when: fc.record(
        {
          path: fc.constantFrom('/a*', '/b/*', '*.png', '*'),
          method: fc.constantFrom('GET', 'POST'),
          header: fc.constantFrom({ 'x-h': true }, { 'x-h': 'v*' }, { 'x-h': false }),
          query: fc.constantFrom({ q: true }, { q: '1' }),
          country: fc.constantFrom('JP', 'US'),
          not: fc.constantFrom({ path: '/b*' }, { method: 'HEAD' }),
        },
        { requiredKeys: [] },
      ),
      key: fc.constantFrom({ query: 'none' }, { sort: true }, { headers: ['x-h'] }),
      rewrite: fc.constantFrom('/r', '/r/$1'),
      answer: fc.constant({ status: 200, body: 'x' }),
      signed: fc.constant({ keys: [{ id: 'k', secret: '0123456789abcdef' }] }),
      rateLimit: fc.constant({ requests: 1_000_000, per: 1 }),
      response: fc.constantFrom({ set: { 'x-r': '1' } }, { remove: ['x-r'] }),
      last: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  const request = fc.record({
    method: fc.constantFrom('GET', 'HEAD'),
    fields: fc.constantFrom<string[]>([], ['x-h', 'v1'], ['x-h', 'w'], ['cookie', 'c=1']),
    client: fc.constantFrom({ address: '202.1.1.1', port: 1 }, { address: '8.1.1.1', port: 1 }),
  })
  const target = fc.constantFrom('/a', '/a?q=1', '/a?q=1&p=2', '/a?p=2&q=1', '/b/c.png', '/%62/c.png?q=2', '/c')
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 4 }),
      target,
      fc.array(request, { minLength: 2, maxLength: 4 }),
      (rules, path, requests) => {
        const table = load(
          JSON.stringify({ properties: [{ name: 'p', hosts: ['h.example'], origin: 'http://o:1', rules }] }),
        )
        const property = table.find('h.example')!
        const key = property.plainKey(path)
        const plans = requests.map((each) => property.plan(ask(path, { ...each, host: 'h.example' })))
        for (const plan of plans) if (plan.kind === 'serve') assert.equal(plan.keyIsPlain, key !== null)
        if (key === null) return
        for (const plan of plans) {
          assert.equal(plan.kind, 'serve')
          assert.equal((plan as ServePlan).key, key)
          assert.deepEqual(plan, plans[0])
        }
        assert.equal(table.compiled('h.example')!.keyBase('h.example', 'http', path), key)
      },
    ),
    { numRuns: 500 },
  )
})

test('a wrong file is refused with the line and what would be right', () => {
  const refusal = (text: string): ConfigRefused => {
    try {
      load(text)
    } catch (error) {
      assert.ok(error instanceof ConfigRefused, String(error))
      return error
    }
    throw new Error('it was taken')
  }
  const faults = (text: string) =>
    refusal(text).faults.map(({ line, at, problem, expected }) => `${line} ${at} | ${problem} | ${expected}`)
  assert.deepEqual(
    faults(`properties:
  - name: Shop
    hosts: [www.shop.example]
    orgin: http://o:1
    caching:
      ttl: 5 minutes
    rules:
      - when: { path: /a, country: japan }
        redirect: { to: /b, status: 200 }
      - when: { pth: /a }
`),
    [
      '2 properties[0].name | "Shop" is wrong here | small letters, digits and dashes',
      '4 properties[0].orgin | there is no setting orgin here | origin?',
      '6 properties[0].caching.ttl | "5 minutes" is wrong here | a duration such as 30s, 5m, 1h30m or 7d',
      '8 properties[0].rules[0].when.country | "japan" is wrong here | a country code such as JP, or a list',
      '9 properties[0].rules[0].redirect.status | 200 is wrong here | 301, 302, 303, 307 or 308',
      '10 properties[0].rules[1].when.pth | there is no setting pth here | path?',
    ],
  )
  assert.match(refusal('properties: [\n  {name: a\n').message, /edge\.yaml:\d+:\d+ {2}Flow/)
  assert.match(refusal('').message, /expected settings: /)
  const semantic = faults(`properties:
  - name: a
    hosts: [a.example]
    origin: http://o:1
    response: { set: { Connection: x, "X-A": "a\\r\\nb" } }
    access: { deny: { addresses: [10.0.0.0/40] } }
    errorPages: { 502: { file: not-there.html } }
  - name: b
    hosts: [b.example, a.example]
    origin: http://o:1
    signed: { keys: [{ id: k, secret: 'env:NOT_THERE_EITHER' }] }
`)
  assert.equal(semantic.length, 6)
  for (const [at, start] of [
    [0, '5 properties[0].response.set.Connection | Connection belongs'],
    [1, '5 properties[0].response.set.X-A | "a\\r\\nb" is no header value'],
    [2, '6 properties[0].access.deny.addresses[0] | 10.0.0.0/40 is no address'],
    [3, '7 properties[0].errorPages.502.file | not-there.html cannot be read'],
  ] as const)
    assert.ok(semantic[at as number]!.startsWith(start), String(semantic[at as number]))
  assert.ok(semantic.some((line) => line.startsWith('9 properties[1].hosts[1] | a.example belongs to a already')))
})

test('any text is taken or refused, nothing else', () => {
  const word = fc.constantFrom(
    'properties',
    'name',
    'hosts',
    'origin',
    'rules',
    '-',
    ':',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    '*',
    '&a',
    '!!x',
    '"',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word).map((words) => words.join(' ')),
      ),
      (text) => {
        try {
          load(text)
        } catch (error) {
          if (!(error instanceof ConfigRefused)) throw error
        }
      },
    ),
    { numRuns: 300 },
  )
})
