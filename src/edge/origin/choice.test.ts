import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rendezvous, Spread } from './choice.ts'

const members = (...weights: number[]) => weights.map((weight, i) => ({ name: `server-${i}`, weight }))
const keys = Array.from({ length: 20_000 }, (_, i) => `shop.example/object/${i}`)

test('shares of keys follow the weights', () => {
  const count = new Map<string, number>()
  for (const key of keys) {
    const { name } = rendezvous(key, members(1, 2, 5))[0]!
    count.set(name, (count.get(name) ?? 0) + 1)
  }
  for (const [i, share] of [1 / 8, 2 / 8, 5 / 8].entries()) {
    const got = count.get(`server-${i}`)! / keys.length
    assert.ok(Math.abs(got - share) < 0.02, `server-${i} has ${got}, not ${share}`)
  }
})

test('a server that leaves moves only its own keys', () => {
  const all = members(1, 1, 1, 1)
  const left = all.slice(0, 3)
  for (const key of keys.slice(0, 2_000)) {
    const before = rendezvous(key, all)
    const after = rendezvous(key, left)[0]!
    // To the one that would have been next.
    assert.equal(after, before[0] === all[3] ? before[1] : before[0])
  }
})

test('round robin by weight, spread evenly', () => {
  const [a, b, c] = members(5, 1, 1) as [
    { name: string; weight: number },
    { name: string; weight: number },
    { name: string; weight: number },
  ]
  const spread = new Spread()
  const order = Array.from({ length: 7 }, () => spread.next([a, b, c]))
  assert.deepEqual(order, [a, a, b, a, c, a, a])
  assert.equal(spread.next([]), null)
})
