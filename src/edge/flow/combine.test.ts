import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredHead } from '../message.ts'
import { storedHead } from '../policy/fixtures.ts'
import { EdgeStore } from '../store/store.ts'
import { combine, isCombinable } from './combine.ts'

const BODY = Buffer.from('0123456789abcdefghij')
const part = (first: number, last: number, changes: Partial<StoredHead> = {}) =>
  storedHead(['etag', '"a"', 'content-range', `bytes ${first}-${last}/20`], {
    status: 206,
    bodyBytes: last - first + 1,
    range: { first, last, total: 20 },
    vary: ['range', `bytes=${first}-${last}`],
    requestTime: Date.now(),
    ...changes,
  })

test('only neighbours of one representation are joined', () => {
  assert.equal(isCombinable(part(0, 4), part(5, 9)), true)
  assert.equal(isCombinable(part(5, 9), part(0, 6)), true)
  assert.equal(isCombinable(part(0, 4), part(6, 9)), false)
  assert.equal(isCombinable(part(0, 4), part(5, 9, { fields: ['etag', '"b"'] })), false)
  assert.equal(
    isCombinable(part(0, 4, { fields: ['etag', 'W/"a"'] }), part(5, 9, { fields: ['etag', 'W/"a"'] })),
    false,
  )
  assert.equal(isCombinable(part(0, 4), part(5, 9, { vary: ['foo', '1', 'range', 'bytes=5-9'] })), false)
  assert.equal(isCombinable(part(0, 4), part(5, 9, { range: { first: 5, last: 9, total: 30 } })), false)
})

test('parts become larger parts, and at last the whole', async () => {
  const store = new EdgeStore({ memoryBytes: 1_000_000 })
  const keep = async (first: number, last: number) => {
    const recording = store.record('k', part(first, last))
    recording.write(BODY.subarray(first, last + 1))
    const object = recording.commit()!
    recording.close()
    await combine(store, object)
  }
  await keep(0, 4)
  await keep(12, 19)
  assert.equal(store.find('k').length, 2)
  await keep(4, 8)
  assert.deepEqual(
    store.find('k').map(({ head }) => head.range),
    [
      { first: 0, last: 8, total: 20 },
      { first: 12, last: 19, total: 20 },
    ],
  )
  await keep(9, 13)
  const [whole, ...rest] = store.find('k')
  assert.equal(rest.length, 0)
  assert.deepEqual([whole!.head.status, whole!.head.range, whole!.head.vary], [200, null, []])
  assert.deepEqual(whole!.body, BODY)
  await store.close()
})
