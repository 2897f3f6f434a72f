import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FOREVER } from '../core/time.ts'
import { SlotMap } from './slots.ts'

const SLOTS = [12, 7, 9]
const SPAN = 10

test('best fit: the smallest gap that is free the whole time, the first of equals', () => {
  const wish = fc.record({
    from: fc.integer({ min: 0, max: SPAN }),
    length: fc.oneof(fc.integer({ min: 1, max: SPAN }), fc.constant(FOREVER)),
    size: fc.integer({ min: 1, max: 8 }),
    again: fc.integer({ min: 0, max: 15 }),
    back: fc.integer({ min: 0, max: 4 }),
  })
  fc.assert(
    fc.property(fc.array(wish, { maxLength: 30 }), (wishes) => {
      const map = new SlotMap(
        SLOTS.map((slots, index) => ({ id: index + 1, name: `R${index}`, slots, faultDomain: null, opensAt: 0 })),
      )
      let held: { container: number; start: number; length: number; from: number; to: number }[] = []
      /** Whether a slot is free over every interval. */
      const isFree = (container: number, slot: number, intervals: { from: number; to: number }[]) =>
        !held.some(
          (each) =>
            each.container === container &&
            each.start <= slot &&
            slot < each.start + each.length &&
            intervals.some((interval) => each.from < interval.to && interval.from < each.to),
        )
      for (const { from, length, size, again, back } of wishes) {
        const intervals = [{ from, to: from + length }]
        if (again > 12 && length !== FOREVER) intervals.push({ from: from + 20, to: from + 20 + length })
        let best: { container: number; start: number; gap: number } | null = null
        for (const [index, slots] of SLOTS.entries()) {
          for (let start = 1; start <= slots; start++) {
            if (start > 1 && isFree(index + 1, start - 1, intervals)) continue
            let gap = 0
            while (start + gap <= slots && isFree(index + 1, start + gap, intervals)) gap++
            if (gap >= size && (best === null || gap < best.gap)) best = { container: index + 1, start, gap }
          }
        }
        const run = map.find({ length: size, intervals })
        assert.deepEqual(run && [run.containerId, run.start, run.length], best && [best.container, best.start, size])
        if (!run) continue
        for (const interval of intervals) {
          map.hold(run, interval)
          held.push({ container: run.containerId, start: run.start, length: run.length, ...interval })
        }
        // Something is taken back, wholly or from an instant on, or what is past is forgotten.
        if (back === 0 || back === 1) {
          const { container, start, length: long, ...interval } = held.shift()!
          const again = { containerId: container, containerName: '', start, length: long }
          map.drop(again, interval)
          if (back === 1) {
            const shortened = { from: interval.from, to: Math.min(interval.to, interval.from + 2) }
            map.hold(again, shortened)
            held.push({ container, start, length: long, ...shortened })
          }
        } else if (back === 2) {
          map.forget(from)
          held = held.filter((each) => each.to > from)
        }
      }
    }),
    { numRuns: 500 },
  )
})
