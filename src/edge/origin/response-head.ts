/**
 * The head of a response as it comes from an origin (RFC 9112 §4 to §6): strict where leniency would let one response pass for
 * two, and where the end of the body is decided. Pure: bytes in, a head or the reason against it out.
 */
import type { Fields } from '../message.ts'

/** A longer head is refused. */
export const MAX_HEAD_BYTES = 64 * 1024

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** Until the origin closes the connection. */
  | { readonly kind: 'close' }

export interface ResponseHead {
  readonly status: number
  /** All fields as they came, lower-case names; hop-by-hop ones included. */
  readonly fields: Fields
  readonly framing: Framing
  /** The connection may carry another request after this answer. */
  readonly persistent: boolean
  /** One past the empty line. */
  readonly end: number
}

/** `more`: the head is not whole yet. A string says what is wrong with it. */
export type ParsedHead = ResponseHead | 'more' | { readonly wrong: string }

const CRLFCRLF = Buffer.from('\r\n\r\n')
const NO_BODY: Framing = { kind: 'none' }
const CHUNKED: Framing = { kind: 'chunked' }
const UNTIL_CLOSE: Framing = { kind: 'close' }
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/

/** `toHead`: the request was a HEAD, so no body follows whatever the head says. */
export function parseResponseHead(bytes: Buffer, toHead: boolean): ParsedHead {
  const blank = bytes.indexOf(CRLFCRLF)
  if (blank < 0) return bytes.length > MAX_HEAD_BYTES ? wrong('the head is too long') : 'more'
  if (blank > MAX_HEAD_BYTES) return wrong('the head is too long')
  const text = bytes.toString('latin1', 0, blank)
  const lineEnd = text.indexOf('\r\n')
  const line = lineEnd < 0 ? text : text.slice(0, lineEnd)
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(line)
  if (match === null) return wrong('the status line is malformed')
  const minor = match[1]!
  const status = Number(match[2])

  const fields: string[] = []
  let length: string | null = null
  let codings: string | null = null
  let connection = ''
  let at = lineEnd < 0 ? text.length : lineEnd + 2
  while (at < text.length) {
    let stop = text.indexOf('\r\n', at)
    if (stop < 0) stop = text.length
    const colon = text.indexOf(':', at)
    const first = text.charCodeAt(at)
    if (first === 32 || first === 9) {
      // obs-fold (RFC 9112 §5.2): a proxy joins the lines.
      if (fields.length === 0) return wrong('a field is malformed')
      const more = text.slice(at, stop).trim()
      if (BAD_IN_VALUE.test(more)) return wrong('a field value is malformed')
      fields[fields.length - 1] += ` ${more}`
      at = stop + 2
      continue
    }
    if (colon < 0 || colon >= stop) return wrong('a field is malformed')
    // White space before the colon is removed from responses (RFC 9112 §5.1).
    const name = text.slice(at, colon).trimEnd().toLowerCase()
    const value = text.slice(colon + 1, stop).trim()
    if (!TOKEN.test(name)) return wrong('a field name is malformed')
    if (BAD_IN_VALUE.test(value)) return wrong('a field value is malformed')
    fields.push(name, value)
    switch (name) {
      case 'content-length':
        // Repeated equal values are one (RFC 9112 §6.3, 5).
        for (const one of value.split(',')) {
          const trimmed = one.trim()
          if (!/^\d{1,15}$/.test(trimmed) || (length !== null && Number(length) !== Number(trimmed)))
            return wrong('Content-Length is malformed')
          length = trimmed
        }
        break
      case 'transfer-encoding':
        codings = codings === null ? value : `${codings}, ${value}`
        break
      case 'connection':
        connection += `,${value}`
        break
    }
    at = stop + 2
  }
  const asks = connection.toLowerCase()
  const wantsClose = /(?:^|[,\s])close(?:$|[,\s])/.test(asks)
  const wantsKeep = /(?:^|[,\s])keep-alive(?:$|[,\s])/.test(asks)
  const framing = framingOf(status, toHead, minor, codings, length)
  const persistent =
    framing.kind !== 'close' && !wantsClose && (minor === '1' || wantsKeep) && !(codings !== null && length !== null)
  return { status, fields, framing, persistent, end: blank + 4 }
}

/** RFC 9112 §6.3, in its order. */
function framingOf(
  status: number,
  toHead: boolean,
  minor: string,
  codings: string | null,
  length: string | null,
): Framing {
  if (toHead || status < 200 || status === 204 || status === 304) return NO_BODY
  if (codings !== null)
    return minor === '1' &&
      codings
        .slice(codings.lastIndexOf(',') + 1)
        .trim()
        .toLowerCase() === 'chunked'
      ? CHUNKED
      : UNTIL_CLOSE
  return length === null ? UNTIL_CLOSE : { kind: 'length', bytes: Number(length) }
}

const wrong = (what: string) => ({ wrong: what })

/** The announced length, for an answer without body too (HEAD, 304). */
export function announcedLength(head: ResponseHead): number | null {
  if (head.framing.kind === 'length') return head.framing.bytes
  if (head.framing.kind !== 'none') return null
  const at = head.fields.indexOf('content-length')
  return at < 0 || at % 2 === 1 ? null : Number(head.fields[at + 1]!.split(',', 1)[0])
}
