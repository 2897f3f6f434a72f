import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FOREVER } from '../core/time.ts'
import { Skyline } from './skyline.ts'

/** The plainest thing that is right: a list of additions, asked instant by instant. */
class NaiveSkyline {
  additions: { from: number; to: number; amount: number }[] = []
  at(instant: number) {
    return this.additions.reduce((sum, a) => (a.from <= instant && instant < a.to ? sum + a.amount : sum), 0)
  }
  /** Every instant at which the value may change inside `[from, to)`. */
  instants(from: number, to: number) {
    return [from, ...this.additions.flatMap((a) => [a.from, a.to])].filter((at) => at >= from && at < to)
  }
  minimum(from: number, to: number) {
    return Math.min(...this.instants(from, to).map((at) => this.at(at)))
  }
  firstBelow(from: number, to: number, bound: number) {
    const below = this.instants(from, to).filter((at) => this.at(at) < bound)
    return below.length === 0 ? null : Math.min(...below)
  }
}

const interval = (span: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: span }), fc.oneof(fc.integer({ min: 1, max: span }), fc.constant(FOREVER)))
    .map(([from, length]) => ({ from, to: from + length }))

/** Additions, some of which are later taken back, as reservations and releases are. */
const additions = (span: number, count: number) =>
  fc.array(fc.record({ window: interval(span), amount: fc.integer({ min: -9, max: 9 }), back: fc.boolean() }), {
    maxLength: count,
  })

test('a skyline says what the naive sum says, at every instant and over every interval', () => {
  fc.assert(
    fc.property(
      additions(40, 40),
      fc.array(interval(40), { maxLength: 20 }),
      fc.integer({ min: -20, max: 20 }),
      (steps, asks, bound) => {
        const skyline = new Skyline()
        const naive = new NaiveSkyline()
        for (const { window, amount, back } of steps) {
          skyline.add(window.from, window.to, amount)
          if (back) skyline.add(window.from, window.to, -amount)
          else naive.additions.push({ ...window, amount })
          for (const ask of asks) {
            assert.equal(skyline.minimum(ask.from, ask.to), naive.minimum(ask.from, ask.to))
            assert.equal(skyline.firstBelow(ask.from, ask.to, bound), naive.firstBelow(ask.from, ask.to, bound))
          }
        }
        for (let instant = -1; instant < 90; instant++) assert.equal(skyline.at(instant), naive.at(instant))
        const points = [...skyline.points()]
        for (let index = 1; index < points.length; index++) {
          assert.ok(points[index]!.at > points[index - 1]!.at)
          assert.notEqual(points[index]!.value, points[index - 1]!.value)
        }
        const copy = Skyline.from(points)
        assert.deepEqual([...copy.points()], points)
        copy.forgetBefore(20)
        for (let instant = -1; instant < 90; instant++) assert.equal(copy.at(instant), naive.at(Math.max(20, instant)))
        const twice = Skyline.sum([skyline, skyline])
        for (let instant = -1; instant < 90; instant++) assert.equal(twice.at(instant), 2 * naive.at(instant))
      },
    ),
    { numRuns: 300 },
  )
})

test('many chunks: splits, lazy additions and merges agree with a plain array', () => {
  const SPAN = 6_000
  const plain = new Float64Array(SPAN)
  const skyline = new Skyline()
  let seed = 42
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return seed % below
  }
  const done: [number, number, number][] = []
  for (let round = 0; round < 12_000; round++) {
    const undo = done.length > 0 && (round > 6_000 || random(3) === 0)
    const step: [number, number, number] = undo
      ? done.splice(random(done.length), 1)[0]!
      : [random(SPAN), 0, 1 + random(50)]
    if (!undo) {
      step[1] = Math.min(SPAN, step[0] + 1 + random(SPAN))
      done.push(step)
    }
    const [from, to, amount] = step
    skyline.add(from, to, undo ? -amount : amount)
    for (let at = from; at < to; at++) plain[at]! += undo ? -amount : amount
    if (round % 50 === 0) {
      const a = random(SPAN)
      const b = a + 1 + random(SPAN - a)
      assert.equal(skyline.minimum(a, b), Math.min(...plain.subarray(a, b)))
      assert.equal(skyline.at(a), plain[a])
    }
  }
  for (const [from, to, amount] of done) skyline.add(from, to, -amount)
  assert.equal(skyline.size, 1)
})
