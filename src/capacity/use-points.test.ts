import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FOREVER } from '../core/time.ts'
import { Skyline } from './skyline.ts'
import { usePoints } from './use-points.ts'

test('points of a text are those of its reservations one by one', () => {
  const instant = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 4_000_000_000_000 }))
  const reservation = fc.tuple(
    fc.oneof(instant, fc.constant(Number.NEGATIVE_INFINITY)),
    fc.oneof(instant, fc.constant(FOREVER)),
    fc.integer({ min: 1, max: 1_000_000_000_000 }),
  )
  fc.assert(
    fc.property(fc.array(reservation, { maxLength: 60 }), (all) => {
      const reservations = all.filter(([from, to]) => from < to)
      const expected = new Skyline()
      for (const [from, to, quantity] of reservations) expected.add(from, to, quantity)
      const text = reservations.map((each) => each.join(' ')).join(' ')
      assert.deepEqual([...Skyline.from(usePoints(text)).points()], [...expected.points()])
    }),
  )
})
