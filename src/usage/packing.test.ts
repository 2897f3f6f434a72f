import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NotPacked, OCTETS_MAX, pack, unpack } from './packing.ts'

const octets = fc.oneof(
  fc.nat(100),
  fc.nat(2_000_000_000),
  fc.integer({ min: 0, max: OCTETS_MAX }),
  fc.constantFrom(0, OCTETS_MAX, 2 ** 24, 2 ** 32 - 1, 2 ** 32, 2 ** 46),
)
const sample = fc.option(fc.tuple(octets, octets), { freq: 8, nil: [Number.NaN, Number.NaN] as [number, number] })
const day = fc.oneof(
  fc.array(sample, { maxLength: 300 }),
  // A level with noise, as traffic is.
  fc.tuple(octets, fc.array(fc.integer({ min: -1_000, max: 1_000 }), { maxLength: 300 })).map(([level, noise]) =>
    noise.map((each) => {
      const value = Math.min(Math.max(level + each, 0), OCTETS_MAX)
      return [value, value] as [number, number]
    }),
  ),
)
const seriesOf = (samples: [number, number][]) => ({
  in: Float64Array.from(samples, ([value]) => value),
  out: Float64Array.from(samples, ([, value]) => value),
})

test('a day comes out of its bytes as it went in', () => {
  fc.assert(
    fc.property(day, (samples) => {
      const series = seriesOf(samples)
      assert.deepEqual(unpack(pack(series)), series)
    }),
    { numRuns: 2_000 },
  )
})

test('bytes that were not packed, or are cut or longer, are refused or are another day, never a hang', () => {
  fc.assert(
    fc.property(day, fc.nat(), fc.nat(255), (samples, where, byte) => {
      const packed = pack(seriesOf(samples))
      for (const wrong of [packed.subarray(0, packed.length - 1), Buffer.concat([packed, Buffer.from([byte])])])
        if (wrong.length < 3) continue
        else assert.throws(() => unpack(wrong), NotPacked)
      const changed = Buffer.from(packed)
      changed[where % changed.length] = byte
      try {
        unpack(changed)
      } catch (error) {
        assert.ok(error instanceof NotPacked, String(error))
      }
    }),
  )
})

test('what cannot be kept is refused', () => {
  for (const [a, b] of [
    [-1, 0],
    [0.5, 0],
    [OCTETS_MAX + 1, 0],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 0],
  ])
    assert.throws(() => pack({ in: Float64Array.of(a!), out: Float64Array.of(b!) }), RangeError)
  const long = new Float64Array(1_501)
  assert.throws(() => pack({ in: long, out: long }), RangeError)
})
