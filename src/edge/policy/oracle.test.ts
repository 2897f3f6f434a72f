/**
 * Against http-cache-semantics, an independent reading of RFC 9111, where both should agree: well-formed directives, one
 * request, freshness as a shared cache. Left out is where it is known to differ: no-cache, heuristics, several variants.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
// @ts-expect-error It comes without types.
import CachePolicy from 'http-cache-semantics'
import type { Fields } from '../message.ts'
import { NOW, RULES } from './fixtures.ts'
import { judge } from './judge.ts'
import { storable } from './storable.ts'

const seconds = fc.integer({ min: 1, max: 1000 })
const directive = fc.oneof(
  seconds.map((s) => `max-age=${s}`),
  seconds.map((s) => `s-maxage=${s}`),
  fc.constantFrom('no-store', 'private', 'public', 'must-revalidate', 'no-transform', 'immutable', 'x=y'),
)
const response = fc.record({
  status: fc.constantFrom(200, 203, 204, 301, 404, 410, 501),
  control: fc.uniqueArray(directive, { minLength: 1, maxLength: 4, selector: (text) => text.split('=')[0]! }),
  age: fc.option(fc.integer({ min: 0, max: 1200 }), { nil: null }),
  expiresIn: fc.option(fc.integer({ min: -500, max: 1500 }), { nil: null }),
  authorised: fc.boolean(),
  afterSeconds: fc.integer({ min: 0, max: 1500 }),
})

test('stored and fresh exactly when http-cache-semantics says so', () => {
  fc.assert(
    fc.property(response, ({ status, control, age, expiresIn, authorised, afterSeconds }) => {
      const fields: Fields = [
        ...['date', new Date(NOW).toUTCString(), 'cache-control', control.join(', ')],
        ...(age === null ? [] : ['age', String(age)]),
        ...(expiresIn === null ? [] : ['expires', new Date(NOW + expiresIn * 1000).toUTCString()]),
      ]
      const requestFields = authorised ? ['authorization', 'x'] : []
      const decision = storable(
        {
          method: 'GET',
          requestFields,
          status,
          responseFields: fields,
          bodyBytes: 1,
          requestTime: NOW,
          responseTime: NOW,
          property: 'p',
          url: 'h/',
          target: '/',
        },
        RULES,
      )
      const headers = (list: Fields) => {
        const object: Record<string, string> = {}
        for (let i = 0; i < list.length; i += 2) object[list[i]!] = list[i + 1]!
        return object
      }
      const request = { url: '/', method: 'GET', headers: headers(requestFields) }
      const oracle = new CachePolicy(
        request,
        { status, headers: headers(fields) },
        { shared: true, immutableMinTimeToLive: 0 },
      )
      oracle.now = () => NOW
      ;(oracle as unknown as { _responseTime: number })._responseTime = NOW
      // It stores what is stale at once; here that needs a validator, and none is given.
      const oracleFresh = oracle.storable() && oracle.timeToLive() > 0
      if (!decision.store) {
        assert.equal(oracleFresh, false, control.join())
        return
      }
      const now = NOW + afterSeconds * 1000
      oracle.now = () => now
      const fresh = judge({ head: decision.head, softPurgedAt: null }, [], now, RULES).kind === 'fresh'
      assert.equal(fresh, oracle.storable() && oracle.timeToLive() > 0)
    }),
    { numRuns: 2_000 },
  )
})
