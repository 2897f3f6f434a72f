import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashSecret, newId, newSecret } from './ids.ts'

test('identifiers are version 7 UUIDs that rise, also within one millisecond and when the clock stands still', () => {
  const ids = Array.from({ length: 10_000 }, () => newId(1_700_000_000_000))
  assert.match(ids[0]!, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(ids, [...ids].sort())
  const next = newId()
  assert.ok(Math.abs(Number.parseInt(next.slice(0, 8) + next.slice(9, 13), 16) - Date.now()) < 10_000)
})

test('a secret says what it is, is never the same, and is kept as a hash', () => {
  const secret = newSecret('izumi')
  assert.match(secret, /^izumi_[A-Za-z0-9_-]{43}$/)
  assert.notEqual(secret, newSecret('izumi'))
  assert.match(hashSecret(secret), /^[0-9a-f]{64}$/)
})
