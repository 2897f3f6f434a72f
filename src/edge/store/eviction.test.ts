/** Eviction: never more than fits, what is used outlives any scan, and the lists stay what they say they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Evictable, Eviction, type Queue } from './eviction.ts'

class Item implements Evictable {
  uses = 0
  queue: Queue | null = null
  previous: Evictable | null = null
  next: Evictable | null = null
  readonly key: string
  sizeBytes: number
  constructor(key: string, sizeBytes: number) {
    this.key = key
    this.sizeBytes = sizeBytes
  }
}

test('bytes and length are those of what is there, after any history', () => {
  const step = fc.oneof(
    fc.record({ add: fc.nat(30), bytes: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ use: fc.nat(30) }),
    fc.record({ remove: fc.nat(30) }),
    fc.record({ resize: fc.nat(30), bytes: fc.integer({ min: 1, max: 60 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const there = new Map<string, Item>()
      const eviction = new Eviction<Item>(
        () => 100,
        (item) => {
          assert.equal(item.queue, null)
          assert.ok(there.delete(item.key), 'evicted once, and only what is there')
        },
      )
      for (const each of steps) {
        const item = there.get(String(Object.values(each)[0]))
        if ('add' in each && item === undefined) {
          const added = new Item(String(each.add), each.bytes)
          there.set(added.key, added)
          eviction.add(added)
        } else if ('use' in each && item !== undefined) eviction.use(item)
        else if ('remove' in each && item !== undefined) {
          eviction.remove(item)
          there.delete(item.key)
        } else if ('resize' in each && item !== undefined) {
          const before = item.sizeBytes
          item.sizeBytes = each.bytes
          eviction.resized(item, before)
        }
        const bytes = [...there.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
        assert.equal(eviction.bytes, bytes)
        assert.equal(eviction.length, there.size)
        assert.ok(bytes <= 100)
      }
    }),
    { numRuns: 300 },
  )
})

test('a scan of a hundred times the room pushes out nothing that is used', () => {
  const there = new Set<string>()
  const eviction = new Eviction<Item>(
    () => 1_000,
    (item) => there.delete(item.key),
  )
  const used = Array.from({ length: 40 }, (_, at) => new Item(`used ${at}`, 20))
  for (const item of used) {
    there.add(item.key)
    eviction.add(item)
    eviction.use(item)
  }
  for (let at = 0; at < 10_000; at++) {
    const item = new Item(`scan ${at}`, 10)
    there.add(item.key)
    eviction.add(item)
    if (at % 100 === 0) for (const each of used) eviction.use(each)
  }
  assert.ok(used.every(({ key }) => there.has(key)))
})

test('what comes again soon after it left is taken for wanted', () => {
  const there = new Set<string>()
  const eviction = new Eviction<Item>(
    () => 1_000,
    (item) => there.delete(item.key),
  )
  const put = (key: string) => {
    there.add(key)
    eviction.add(new Item(key, 10))
  }
  put('again')
  for (let at = 0; there.has('again'); at++) put(`first ${at}`)
  put('again')
  for (let at = 0; at < 60; at++) put(`second ${at}`)
  assert.ok(there.has('again'))
})

test('finding one to evict takes a bounded time, however much is used', () => {
  let evicted = 0
  const eviction = new Eviction<Item>(
    () => 100_000,
    () => {
      evicted++
    },
  )
  const items = Array.from({ length: 100_000 }, (_, at) => new Item(String(at), 1))
  for (const item of items) {
    eviction.add(item)
    for (let use = 0; use < 10; use++) eviction.use(item)
  }
  eviction.add(new Item('one more', 1))
  assert.equal(evicted, 1)
  const touched = items.filter(({ uses, queue }) => queue !== null && uses < 7).length
  assert.ok(touched <= 600, `${touched} were looked at`)
})
