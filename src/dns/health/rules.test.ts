import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isUp, observe } from './rules.ts'

test('a view turns only after as many results in a row as it takes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean()),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (results, falls, rises) => {
        let seen = { up: true, against: 0 }
        for (const [at, good] of results.entries()) {
          const before = seen.up
          seen = observe(seen, good, falls, rises)
          if (seen.up !== before) {
            const row = results.slice(at + 1 - (before ? falls : rises), at + 1)
            assert.ok(row.length === (before ? falls : rises) && row.every((each) => each === seen.up))
          }
        }
      },
    ),
  )
})

test('it takes more than half of those who look, or the quorum, to take an edge out', () => {
  for (const [own, seen, quorum, up] of [
    [null, undefined, undefined, true],
    [true, undefined, undefined, true],
    [false, undefined, undefined, false],
    [false, { up: 1, down: 0 }, undefined, false],
    [true, { up: 0, down: 1 }, undefined, true],
    [false, { up: 2, down: 0 }, undefined, true],
    [false, { up: 1, down: 1 }, undefined, false],
    [true, { up: 0, down: 2 }, undefined, false],
    [null, { up: 0, down: 1 }, undefined, false],
    [null, { up: 1, down: 1 }, undefined, true],
    [false, { up: 5, down: 0 }, 1, false],
    [false, { up: 0, down: 1 }, 3, true],
  ] as const)
    assert.equal(isUp(own, seen, quorum), up, JSON.stringify([own, seen, quorum]))
})
