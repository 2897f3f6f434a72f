/** The rules of the choice against models that are too simple to be wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AddressWords, addressText, mask, type Prefix, readPrefix } from '../wire/addresses.ts'
import { compileMaps, lookUp } from './maps.ts'
import { compileRanges, findRange, scopeOf, UNSET } from './ranges.ts'
import { edgesFor, nextShed, siteFor, siteShares } from './rules.ts'

const word = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0, 0xffffffff, 0x80000000, 1))
const address = (isV6: boolean): fc.Arbitrary<AddressWords> =>
  fc.tuple(word, word, word, word).map(([a, b, c, d]) => (isV6 ? { isV6, a, b, c, d } : { isV6, a, b: 0, c: 0, d: 0 }))
const prefix = (isV6: boolean): fc.Arbitrary<Prefix> =>
  fc.tuple(address(isV6), fc.integer({ min: 0, max: isV6 ? 128 : 32 })).map(([at, length]) => {
    const start = { ...at }
    mask(start, length)
    return { address: start, length }
  })
const valued = (isV6: boolean) => fc.record({ prefix: prefix(isV6), value: fc.integer({ min: 0, max: 5 }) })

const holds = ({ address: at, length }: Prefix, client: AddressWords): boolean => {
  const block = { ...client }
  mask(block, length)
  return block.a === at.a && block.b === at.b && block.c === at.c && block.d === at.d
}

interface Valued {
  prefix: Prefix
  value: number
}
/** The upper layer first, in it the longest prefix, of equals the last. */
function naive(layers: Valued[][], otherwise: number, client: AddressWords): number {
  for (const layer of layers.toReversed()) {
    let best: Valued | null = null
    for (const each of layer)
      if (holds(each.prefix, client) && (best === null || each.prefix.length >= best.prefix.length)) best = each
    if (best) return best.value
  }
  return otherwise
}

for (const isV6 of [false, true])
  test(`IPv${isV6 ? 6 : 4}: the value is that of the longest prefix; inside the scope it is the same, and a shorter one would not do`, () => {
    const layers = fc.array(fc.array(valued(isV6), { maxLength: 12 }), { minLength: 1, maxLength: 2 })
    fc.assert(
      fc.property(layers, fc.array(address(isV6), { minLength: 1, maxLength: 5 }), fc.nat(), (all, anywhere, pick) => {
        const ranges = compileRanges(all, isV6, 0)
        const starts = all.flat().map((each) => each.prefix.address)
        for (const client of [...anywhere, ...starts]) {
          const range = findRange(ranges, client)
          const value = ranges.values[range]!
          assert.equal(value, naive(all, 0, client), addressText(client))
          assert.notEqual(value, UNSET)
          const scope = scopeOf(ranges, range, client)
          const inside = { ...client }
          mask(inside, scope)
          // Any client of the block, with other bits behind the scope, and the first and last one of it.
          for (const flip of [pick, 0xffffffff, 0]) {
            const other = { ...inside }
            const rest = (length: number) =>
              length >= 32 ? 0 : length <= 0 ? flip >>> 0 : (flip & (0xffffffff >>> length)) >>> 0
            other.a = (other.a | rest(scope)) >>> 0
            if (isV6) {
              other.b = (other.b | rest(scope - 32)) >>> 0
              other.c = (other.c | rest(scope - 64)) >>> 0
              other.d = (other.d | rest(scope - 96)) >>> 0
            }
            assert.equal(naive(all, 0, other), value)
          }
          // The block twice as large holds somebody who is answered otherwise: the one of the neighbour half that is nearest to a border.
          if (scope > 0) {
            const range2 = range + (hasBorderBehind(ranges.starts, range, client, scope) ? 1 : -1)
            assert.notEqual(ranges.values[range2], value)
          }
        }
      }),
      { numRuns: 300 },
    )
  })

/** Does the next range begin inside the block of `scope - 1` bits around the client? Otherwise the range itself does. */
function hasBorderBehind(starts: Uint32Array[], range: number, client: AddressWords, scope: number): boolean {
  if (range + 1 >= starts[0]!.length) return false
  const [a, b = 0, c = 0, d = 0] = starts.map((each) => each[range + 1]!)
  return holds({ address: blockOf(client, scope - 1), length: scope - 1 }, { isV6: client.isV6, a: a!, b, c, d })
}
function blockOf(client: AddressWords, length: number): AddressWords {
  const block = { ...client }
  mask(block, length)
  return block
}

test('countries decide where no prefix of the operator does, however long', () => {
  const maps = compileMaps(
    {
      sites: [{ name: 'tokyo' }, { name: 'osaka' }, { name: 'oregon' }],
      maps: [
        {
          name: 'world',
          prefixes: { '1.0.16.0/20': ['osaka'], '8.8.8.0/24': ['osaka'] },
          countries: { US: ['oregon'], JP: ['tokyo'] },
          default: ['oregon', 'tokyo'],
        },
      ],
    },
    (path, problem) => assert.fail(`${path}: ${problem}`),
  )
  const orderOf = (text: string) => {
    const found = { order: 0, scope: 0 }
    lookUp(maps[0]!, readPrefix(text)!.address, found)
    return maps[0]!.orders[found.order]!.map((site) => ['tokyo', 'osaka', 'oregon'][site])
  }
  assert.deepEqual(orderOf('1.0.17.1'), ['osaka', 'oregon', 'tokyo'])
  assert.deepEqual(orderOf('8.8.8.8'), ['osaka', 'oregon', 'tokyo'])
  assert.deepEqual(orderOf('8.8.4.4'), ['oregon', 'tokyo'])
  assert.deepEqual(orderOf('2001:4860:4860::8888'), ['oregon', 'tokyo'])
  assert.deepEqual(orderOf('210.130.0.1'), ['tokyo', 'oregon'])
  assert.deepEqual(orderOf('192.0.2.1'), ['oregon', 'tokyo'])
})

test('shares: nothing is lost, nobody goes to what is not usable, a site gives away what it sheds', () => {
  const sites = fc.array(
    fc.record({ usable: fc.boolean(), shed: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })) }),
    { minLength: 1, maxLength: 6 },
  )
  fc.assert(
    fc.property(sites, fc.double({ min: 0, max: 0.999_999, noNaN: true }), (views, place) => {
      const shares = siteShares(
        views.map((_, at) => at),
        (site) => views[site]!,
      )
      assert.equal(
        shares.length === 0,
        views.every(({ usable }) => !usable),
      )
      if (shares.length === 0) return
      assert.ok(Math.abs(shares.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-6)
      for (const { site } of shares) assert.ok(views[site]!.usable)
      const first = views.findIndex(({ usable }) => usable)
      if (views[first]!.shed === 0) assert.deepEqual(shares, [{ site: first, share: 1 }])
      assert.ok(siteFor(shares, place) < shares.length)
    }),
  )
  const half = siteShares([0, 1], (site) => ({ usable: true, shed: site === 0 ? 0.25 : 0 }))
  assert.deepEqual(half, [
    { site: 0, share: 0.75 },
    { site: 1, share: 0.25 },
  ])
})

test('rendezvous: weights are kept, and a lost edge moves only its own properties', () => {
  const edges = [
    { name: 'a', weight: 1 },
    { name: 'b', weight: 1 },
    { name: 'c', weight: 2 },
    { name: 'd', weight: 0 },
  ]
  const properties = Array.from({ length: 4_000 }, (_, at) => `property-${at}`)
  const counts: Record<string, number> = {}
  for (const property of properties) {
    const [first] = edgesFor(property, edges, 1)
    counts[first!.name] = (counts[first!.name] ?? 0) + 1
    const without = edgesFor(
      property,
      edges.filter(({ name }) => name !== 'b'),
      1,
    )
    if (first!.name !== 'b') assert.equal(without[0]!.name, first!.name)
    const two = edgesFor(property, edges, 2)
    assert.equal(two[0]!.name, first!.name)
    assert.notEqual(two[1]!.name, first!.name)
  }
  assert.equal(counts.d, undefined)
  for (const [name, share] of [
    ['a', 0.25],
    ['b', 0.25],
    ['c', 0.5],
  ] as const)
    assert.ok(Math.abs(counts[name]! / properties.length - share) < 0.04, `${name}: ${counts[name]}`)
  assert.deepEqual(
    edgesFor('only', [{ name: 'd', weight: 0 }], 2).map(({ name }) => name),
    ['d'],
  )
})

test('shedding: a site over its bandwidth comes to it, and takes its clients back bit by bit', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 50, noNaN: true }), (demand) => {
      let shed = 0
      for (let step = 0; step < 5; step++) shed = nextShed(shed, 1, demand * (1 - shed))
      const rate = demand * (1 - shed)
      assert.ok(rate <= Math.max(1, demand * 0.021) + 1e-6, `${demand} → ${rate}`)
      for (let step = 0; step < 12; step++) {
        const before = shed
        shed = nextShed(shed, 1, 0.5 * (1 - shed))
        assert.ok(before - shed <= 0.1 + 1e-9)
      }
      assert.equal(shed, 0)
    }),
  )
  assert.equal(nextShed(0, 0, 5), 1)
})
