import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkedConfig, demandsOf } from '../../../catalogue/family.ts'
import { LIMITS } from '../../../core/limits.ts'
import { colocation } from './colocation.ts'
import { MAX_RACKS, UNITS_PER_RACK } from './config.ts'

const config = (choice: Record<string, unknown>) => checkedConfig(colocation, { site: 'yokohama-1' }, choice)
const lines = (choice: Record<string, unknown>) =>
  demandsOf(colocation, config(choice)).map(
    ({ site, kind, quantity, type }) => `${site} ${kind} ${quantity / 1_000} ${type}`,
  )

test('a choice takes one line per contiguous run', () => {
  assert.deepEqual(lines({ rackUnits: 10, power: 2.5 }), ['yokohama-1 rack-unit 10 firm', 'yokohama-1 power 2.5 firm'])
  assert.deepEqual(lines({ racks: 2 }), ['yokohama-1 rack-unit 42 firm', 'yokohama-1 rack-unit 42 firm'])
  assert.equal(lines({ rackUnits: 50, contiguous: false }).length, 8)
})

test('standby takes its share at the other site, whole units where each has a place, and no ports', () => {
  assert.deepEqual(
    lines({ rackUnits: 3, power: 1.5, seats: 5, ports: 2, standby: { site: 'saitama-1', share: 0.5 } }).filter((line) =>
      line.endsWith('standby'),
    ),
    ['saitama-1 rack-unit 2 standby', 'saitama-1 power 0.75 standby', 'saitama-1 seat 3 standby'],
  )
})

test('spread runs add up and never pass one rack or the lines of a claim', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 336 }),
      fc.integer({ min: 0, max: MAX_RACKS }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (rackUnits, racks, share) => {
        const demands = demandsOf(
          colocation,
          config({ rackUnits, racks, contiguous: false, standby: { site: 'saitama-1', share } }),
        )
        const sum = (type: string) =>
          demands.filter((one) => one.type === type).reduce((total, one) => total + one.quantity, 0)
        assert.equal(sum('firm'), (rackUnits + racks * UNITS_PER_RACK) * 1_000)
        assert.ok(sum('standby') >= sum('firm') * share - 1e-3)
        assert.ok(demands.every((one) => one.quantity <= UNITS_PER_RACK * 1_000 && one.quantity % 1_000 === 0))
        assert.ok(demands.length <= 2 * LIMITS.claimLines)
      },
    ),
  )
})

for (const [name, choice, expected] of [
  ['nothing', {}, /nothing was chosen/],
  ['an unknown field', { rackunits: 1 }, /additional properties/],
  ['a part of a rack unit', { rackUnits: 1.5 }, /integer/],
  ['an amount finer than thousandths', { power: 0.0001 }, /three decimals/],
  ['more than a rack in one run', { rackUnits: 43 }, /do not fit into one rack/],
  ['standby where it is', { power: 1, standby: { site: 'yokohama-1', share: 1 } }, /another site/],
  ['a share of nothing', { power: 1, standby: { site: 'saitama-1', share: 0 } }, /must be > 0/],
] as [string, Record<string, unknown>, RegExp][])
  test(`refuses ${name}`, () => assert.throws(() => demandsOf(colocation, config(choice)), expected))

test('people are told what to do where, and again when it changes', () => {
  const choice = config({ rackUnits: 4, power: 2, standby: { site: 'saitama-1', share: 1 } })
  const orders = colocation.desired({
    id: 's1',
    name: 'web',
    party: 'Aoba Cable',
    config: choice,
    placements: [
      {
        site: 'yokohama-1',
        kind: 'rack-unit',
        container: 'A-01',
        labels: ['U01', 'U02', 'U03', 'U04'],
        start: 1,
        length: 4,
      },
    ],
  })
  assert.deepEqual(
    orders.map(({ node, key }) => [node, key]),
    [
      ['people@yokohama-1', 'colocation/s1'],
      ['people@saitama-1', 'colocation/s1'],
    ],
  )
  assert.match(JSON.stringify(orders[0]!.body), /A-01 U01–U04/)
})
