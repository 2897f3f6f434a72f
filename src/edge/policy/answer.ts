/**
 * The answer that a stored (or just arriving) response gives to one request: 304, one range, several ranges, 416 or the
 * whole (RFC 9110 §13.2.2, §14, §15.3.7; RFC 9111 §4). Pure: it says which bytes, the flow moves them.
 */
import { firstValue, listOf, without } from '../http/fields.ts'
import { type ByteRange, formatContentRange, parseRange, resolveRange, resolveRanges } from '../http/ranges.ts'
import type { EdgeRequest, Fields, StoredHead } from '../message.ts'
import { clientHasIt, rangeApplies } from './conditions.ts'

/** Bytes to send: positions within the stored body, and what to put before each part of a multipart answer. */
export interface Part {
  readonly before: Buffer | null
  readonly first: number
  readonly last: number
}

export interface Answer {
  readonly status: number
  readonly fields: Fields
  /** Content-Length to announce; null: unknown. */
  readonly bodyBytes: number | null
  /** `all`: the stored body whole, whatever its length turns out to be. */
  readonly body: 'none' | 'all' | readonly Part[]
  /** After the last part of a multipart answer. */
  readonly after: Buffer | null
}

/** A 304 carries what a 200 would, but nothing that describes content (RFC 9110 §15.4.5). */
function notModifiedFields(fields: Fields): string[] {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    const describes = name.startsWith('content-') && !KEPT_CONTENT_FIELDS.has(name)
    if (!describes && name !== 'trailer') kept.push(name, fields[i + 1]!)
  }
  return kept
}
const KEPT_CONTENT_FIELDS = new Set([
  'content-location',
  'content-security-policy',
  'content-security-policy-report-only',
])

/** What a request that got its bytes from here may see of a stored head, plus Age when it comes from the store. */
export function answerFor(head: StoredHead, request: EdgeRequest, ageSeconds: number | null): Answer {
  const fields = [...head.fields]
  if (ageSeconds !== null) fields.push('age', String(Math.floor(ageSeconds)))
  const isHead = request.method === 'HEAD'

  if (isSuccess(head.status) && clientHasIt(head, request.fields))
    return { status: 304, fields: notModifiedFields(fields), bodyBytes: null, body: 'none', after: null }
  if (head.status === 204 || head.status === 304)
    return { status: head.status, fields, bodyBytes: null, body: 'none', after: null }
  if (head.status === 206) return partialAnswer(head, request, fields)

  const total = head.bodyBytes
  const asked = request.method === 'GET' && head.status === 200 ? parseRange(firstValue(request.fields, 'range')) : null
  if (asked === null || total === null || !rangeApplies(head, request.fields)) {
    if (head.status === 200 && total !== null && !listOf(fields, 'accept-ranges').length)
      fields.push('accept-ranges', 'bytes')
    return { status: head.status, fields, bodyBytes: total, body: isHead ? 'none' : 'all', after: null }
  }
  const ranges = resolveRanges(asked, total)
  if (ranges.length === 0)
    return {
      status: 416,
      fields: [...notModifiedFields(fields), 'content-range', `bytes */${total}`],
      bodyBytes: 0,
      body: 'none',
      after: null,
    }
  if (ranges.length === 1) return single(ranges[0]!, 0, total, fields)
  return multipart(ranges, total, fields)
}

const isSuccess = (status: number) => status >= 200 && status < 300

function single(range: ByteRange, offset: number, total: number | null, fields: string[]): Answer {
  return {
    status: 206,
    fields: [...without(fields, ['content-range']), 'content-range', formatContentRange(range, total)],
    bodyBytes: range.last - range.first + 1,
    body: [{ before: null, first: range.first - offset, last: range.last - offset }],
    after: null,
  }
}

/** From a stored 206: the same words again, or a range inside it (the caller made sure that it is inside). */
function partialAnswer(head: StoredHead, request: EdgeRequest, fields: string[]): Answer {
  const value = firstValue(request.fields, 'range')
  const asked = parseRange(value)
  const range = head.range
  if (range === null || range.total === null || asked === null || firstValue(head.vary, 'range') === value)
    return {
      status: 206,
      fields,
      bodyBytes: head.bodyBytes,
      body: request.method === 'HEAD' ? 'none' : 'all',
      after: null,
    }
  const resolved = resolveRange(asked[0]!, range.total)!
  return single(resolved, range.first, range.total, fields)
}

/** multipart/byteranges (RFC 9110 §14.6). The boundary is drawn from the ranges: same question, same bytes. */
function multipart(ranges: readonly ByteRange[], total: number, fields: string[]): Answer {
  const type = firstValue(fields, 'content-type')
  const boundary = `izumi-${ranges
    .map(({ first, last }) => `${first.toString(36)}-${last.toString(36)}`)
    .join('_')
    .slice(0, 40)}-${total.toString(36)}`
  const parts: Part[] = []
  let bytes = 0
  ranges.forEach((range, index) => {
    const before = Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\n${type === null ? '' : `Content-Type: ${type}\r\n`}Content-Range: ${formatContentRange(range, total)}\r\n\r\n`,
      'latin1',
    )
    parts.push({ before, first: range.first, last: range.last })
    bytes += before.length + range.last - range.first + 1
  })
  const after = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1')
  return {
    status: 206,
    fields: [
      ...without(fields, ['content-type', 'content-range']),
      'content-type',
      `multipart/byteranges; boundary=${boundary}`,
    ],
    bodyBytes: bytes + after.length,
    body: parts,
    after,
  }
}
