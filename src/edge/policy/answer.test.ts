import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { firstValue, hasField } from '../http/fields.ts'
import type { Fields } from '../message.ts'
import { type Answer, answerFor } from './answer.ts'
import { NOW, requestOf, storedHead } from './fixtures.ts'

const ETAG = ['etag', '"a"']
const BODY = Buffer.from('0123456789')
const answer = (request: Fields, stored: Fields = ETAG, method = 'GET') =>
  answerFor(
    storedHead([...stored, 'content-type', 'text/plain'], { bodyBytes: BODY.length }),
    requestOf(request, { method }),
    3.9,
  )

/** The bytes that the flow would send. */
const bytesOf = ({ body, after }: Answer) => {
  if (body === 'none') return Buffer.alloc(0)
  if (body === 'all') return BODY
  return Buffer.concat([
    ...body.flatMap(({ before, first, last }) => [before ?? Buffer.alloc(0), BODY.subarray(first, last + 1)]),
    after ?? Buffer.alloc(0),
  ])
}

test('whole, with Age in whole seconds', () => {
  const { status, fields, body, bodyBytes } = answer([])
  assert.deepEqual([status, body, bodyBytes, firstValue(fields, 'age')], [200, 'all', 10, '3'])
  assert.equal(answer([], ETAG, 'HEAD').body, 'none')
  assert.equal(answer([], ETAG, 'HEAD').bodyBytes, 10)
})

test('304 for what the client has, without what describes content', () => {
  const it = answer(['if-none-match', 'W/"a"', 'range', 'bytes=0-1'])
  assert.deepEqual(
    [it.status, it.body, hasField(it.fields, 'content-type'), hasField(it.fields, 'etag')],
    [304, 'none', false, true],
  )
  assert.equal(answer(['if-none-match', '"b"']).status, 200)
  const modified = ['last-modified', new Date(NOW - 5_000).toUTCString()]
  const since = (ms: number) => answer(['if-modified-since', new Date(NOW - ms).toUTCString()], modified).status
  assert.deepEqual([since(6_000), since(5_000), since(1_000)], [200, 304, 304])
  // If-None-Match decides alone (RFC 9110 §13.2.2).
  assert.equal(
    answer(['if-none-match', '"b"', 'if-modified-since', new Date(NOW).toUTCString()], [...ETAG, ...modified]).status,
    200,
  )
})

test('an error is never 304', () => {
  const head = storedHead(ETAG, { status: 404 })
  assert.equal(answerFor(head, requestOf(['if-none-match', '"a"']), 0).status, 404)
})

test('one range, a suffix, and none that fits', () => {
  const one = answer(['range', 'bytes=2-4'])
  assert.deepEqual([one.status, firstValue(one.fields, 'content-range'), one.bodyBytes], [206, 'bytes 2-4/10', 3])
  assert.equal(bytesOf(one).toString(), '234')
  assert.equal(bytesOf(answer(['range', 'bytes=-1'])).toString(), '9')
  const none = answer(['range', 'bytes=10-'])
  assert.deepEqual([none.status, firstValue(none.fields, 'content-range'), none.body], [416, 'bytes */10', 'none'])
  assert.equal(answer(['range', 'nonsense']).status, 200)
  assert.equal(answer(['range', 'bytes=0-1'], ETAG, 'HEAD').status, 200)
})

test('If-Range: the strong tag or the very date, else the whole', () => {
  const status = (condition: string, stored: Fields) =>
    answer(['range', 'bytes=0-1', 'if-range', condition], stored).status
  assert.equal(status('"a"', ETAG), 206)
  assert.equal(status('"b"', ETAG), 200)
  assert.equal(status('W/"a"', ['etag', 'W/"a"']), 200)
  const changed = new Date(NOW - 5_000).toUTCString()
  const date = ['date', new Date(NOW).toUTCString()]
  assert.equal(status(changed, ['last-modified', changed, ...date]), 206)
  assert.equal(status(new Date(NOW - 1_000).toUTCString(), ['last-modified', changed, ...date]), 200)
  // Changed within the second of Date: not a strong validator (§8.8.2.2).
  assert.equal(status(date[1]!, ['last-modified', date[1]!, ...date]), 200)
})

test('several ranges come as parts whose sum is the announced length', () => {
  const range = fc.tuple(fc.nat(12), fc.nat(4)).map(([first, more]) => `${first}-${first + more}`)
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 5 }), (ranges) => {
      const it = answer(['range', `bytes=${ranges.join(',')}`])
      const bytes = bytesOf(it)
      if (it.status === 416) return
      assert.equal(bytes.length, it.bodyBytes)
      const boundary = /boundary=(.+)$/.exec(firstValue(it.fields, 'content-type') ?? '')?.[1]
      if (boundary === undefined) return
      const text = bytes.toString('latin1')
      assert.ok(text.startsWith(`--${boundary}\r\n`) && text.endsWith(`\r\n--${boundary}--\r\n`))
      for (const part of text.split(`--${boundary}`).slice(1, -1)) {
        const [, first, last, content] = /bytes (\d+)-(\d+)\/10\r\n\r\n(.*)\r\n$/.exec(part)!
        assert.equal(content, BODY.toString().slice(Number(first), Number(last) + 1))
      }
    }),
  )
})

test('from a stored 206: inside it, or the same words', () => {
  const head = storedHead(['content-range', 'bytes 4-9/20'], {
    status: 206,
    bodyBytes: 6,
    range: { first: 4, last: 9, total: 20 },
    vary: ['range', 'bytes=4-9'],
  })
  assert.equal(answerFor(head, requestOf(['range', 'bytes=4-9']), 0).body, 'all')
  const inside = answerFor(head, requestOf(['range', 'bytes=6-8']), 0)
  assert.deepEqual(inside.body, [{ before: null, first: 2, last: 4 }])
  assert.equal(firstValue(inside.fields, 'content-range'), 'bytes 6-8/20')
})
