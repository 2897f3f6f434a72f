import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkedConfig, demandsOf } from '../../../catalogue/family.ts'
import { cdnFamily } from './cdn.ts'
import { covers, faultsOf } from './check.ts'
import { differences } from './diff.ts'
import { percentile95 } from './live.ts'

const rules = { privateOrigins: false }
const family = cdnFamily(rules)
const property = { name: 'shop', hosts: ['www.shop.example'], origin: 'https://origin.shop.example' }
const choice = { property, sites: 'everywhere', reserved: [{ site: 'tokyo-1', bandwidth: 100.5 }] }

test('a choice takes the bandwidth that it reserves, site by site', () => {
  const config = checkedConfig(
    family,
    {},
    { ...choice, reserved: [...choice.reserved, { site: 'osaka-1', bandwidth: 1 }] },
  )
  assert.deepEqual(
    demandsOf(family, config).map(({ site, kind, quantity }) => [site, kind, quantity]),
    [
      ['tokyo-1', 'edge-bandwidth', 100_500],
      ['osaka-1', 'edge-bandwidth', 1_000],
    ],
  )
})

for (const [name, change, expected] of [
  ['a site twice', { reserved: [...choice.reserved, ...choice.reserved] }, /there twice/],
  ['bandwidth where it is not served', { sites: ['osaka-1'] }, /does not serve/],
  ['a file of the edge', { property: { ...property, errorPages: { 503: { file: '/etc/passwd' } } } }, /files/],
  [
    'a secret of the edge',
    { property: { ...property, signed: { keys: [{ id: 'a', secret: 'env:HOME' }] } } },
    /environment|env/,
  ],
  ['every host', { property: { ...property, hosts: ['*'] } }, /everybody/],
  ['an origin on the edge itself', { property: { ...property, origin: 'http://127.0.0.1:80' } }, /open Internet/],
  ['an origin by a local name', { property: { ...property, origin: 'http://database:5432' } }, /open Internet/],
  [
    'a private server in a pool',
    { property: { ...property, origin: { servers: ['https://o.example', { address: 'http://10.0.0.1' }] } } },
    /open Internet/,
  ],
] as [string, Record<string, unknown>, RegExp][])
  test(`refuses ${name}`, () => assert.throws(() => checkedConfig(family, {}, { ...choice, ...change }), expected))

test('the operator may let properties fetch from private networks', () => {
  assert.deepEqual(faultsOf({ ...property, origin: 'http://10.0.0.1' }, { privateOrigins: true }), [])
})

test('every fault of the edge is told at its place', () => {
  const faults = faultsOf({ ...property, orgin: 1, rules: [{ when: { path: 7 } }] }, rules)
  assert.deepEqual(
    faults.map(({ at }) => at),
    ['orgin', 'rules[0].when.path'],
  )
})

test('differences are told place by place', () => {
  assert.deepEqual(differences({ a: 1, b: [1, 2], c: { d: 1 } }, { a: 2, b: [1], c: { d: 1 }, e: 0 }), [
    { at: 'a', before: 1, after: 2 },
    { at: 'b[1]', before: 2 },
    { at: 'e', after: 0 },
  ])
  assert.deepEqual(differences(property, structuredClone(property)), [])
})

test('the 95th percentile counts slots without traffic', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1)
  assert.equal(percentile95(values, 100), 95)
  assert.equal(percentile95([10, 20], 100), 0)
  assert.equal(percentile95([10, 20, 30, 40, 50, 60], 100), 10)
  assert.equal(percentile95([], 0), 0)
})

test('a wildcard certificate covers one label', () => {
  assert.equal(covers(['*.shop.example'], 'www.shop.example'), true)
  assert.equal(covers(['*.shop.example'], 'a.b.shop.example'), false)
  assert.equal(covers(['shop.example'], 'shop.example'), true)
})
