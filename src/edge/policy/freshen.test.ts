import assert from 'node:assert/strict'
import { test } from 'node:test'
import { combinedValue, firstValue } from '../http/fields.ts'
import { validates } from './conditions.ts'
import { NOW, RULES, storedHead } from './fixtures.ts'
import { freshened, headTells } from './freshen.ts'

const LATER = NOW + 100_000

test('a 304 replaces the fields it carries and starts a new life (RFC 9111 §3.2, §4.3.4)', () => {
  const head = storedHead([
    'etag',
    '"a"',
    'x',
    '1',
    'x',
    '2',
    'kept',
    'yes',
    'cache-control',
    'max-age=60',
    'content-encoding',
    'br',
  ])
  const fields = [
    'x',
    '3',
    'cache-control',
    'max-age=7, private="secret"',
    'secret',
    's',
    'content-encoding',
    'gzip',
    'age',
    '2',
  ]
  const next = freshened(head, { fields, requestTime: LATER, responseTime: LATER }, RULES)
  assert.equal(combinedValue(next.fields, 'x'), '3')
  assert.equal(firstValue(next.fields, 'kept'), 'yes')
  assert.equal(firstValue(next.fields, 'content-encoding'), 'br')
  assert.equal(firstValue(next.fields, 'secret'), null)
  assert.equal(firstValue(next.fields, 'age'), null)
  assert.equal(firstValue(next.fields, 'date'), new Date(LATER).toUTCString())
  assert.deepEqual([next.lifetimeSeconds, next.correctedInitialAgeSeconds, next.responseTime], [7, 2, LATER])
})

test('a 304 that names another strong tag does not speak of it', () => {
  const head = storedHead(['etag', '"a"'])
  assert.equal(validates(['etag', '"a"'], head), true)
  assert.equal(validates([], head), true)
  assert.equal(validates(['etag', '"b"'], head), false)
  assert.equal(validates(['etag', 'W/"a"'], head), true)
})

test('what a HEAD tells of a stored GET (§4.3.5)', () => {
  const head = storedHead(['etag', '"a"'], { bodyBytes: 10 })
  assert.equal(headTells(head, ['etag', '"a"'], 10), 'same')
  assert.equal(headTells(head, [], null), 'same')
  assert.equal(headTells(head, ['etag', '"b"'], 10), 'outdated')
  assert.equal(headTells(head, ['etag', '"a"'], 11), 'outdated')
})
