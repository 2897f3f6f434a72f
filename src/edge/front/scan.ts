/**
 * A strict scanner for the requests that the socket itself can answer: GET and HEAD in origin-form over HTTP/1.1, with
 * CRLF, one plain Host, fields of visible ASCII, and nothing that frames a body or speaks about the connection.
 *
 * It is a whitelist that may only refuse. Whatever it does not wholly understand is `OTHER` and goes, unread, to the
 * exact way; so it is never more lenient than the parser behind it, which is what keeps two readers of one message from
 * disagreeing (RFC 9112 §11.2). Nothing is allocated but the strings of Host and, if asked, of a field's value.
 */

/** What the bytes are: more must come, something for the exact way, or a whole head that is understood. */
export const INCOMPLETE = 0
export const OTHER = 1
export const UNDERSTOOD = 2

/** Longer heads go to the exact way, which knows the configured bound and answers 431. */
export const SCAN_MAX_BYTES = 8 * 1024
/** So do heads with more fields. */
const SCAN_MAX_FIELDS = 100

/** A scanned head; one object is used again and again, so what is needed is read before the next scan. */
export class Scanned {
  /** Offset behind the blank line. */
  end = 0
  head = false
  targetStart = 0
  targetEnd = 0
  /** How many fields there are. */
  fieldCount = 0
  /** Offset of the first field line. */
  fieldsStart = 0
  /** As sent, but only of characters that a lower-case host and port can have. */
  authority = ''
  /** The value of If-None-Match, Range and Accept-Encoding: empty span when absent. */
  noneMatchStart = 0
  noneMatchEnd = 0
  rangeStart = 0
  rangeEnd = 0
  encodingStart = 0
  encodingEnd = 0
  /**
   * True when no field but those above can change which stored response is right and how it is sent: the request may be
   * answered from a prepared object. Otherwise it is whole, has no body, and the flow decides.
   */
  plain = true
}

const bytesOf = (text: string): number[] => [...text].map((character) => character.charCodeAt(0))
const table = (members: Iterable<number>): Uint8Array => {
  const made = new Uint8Array(256)
  for (const member of members) made[member] = 1
  return made
}
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
/** Bytes of a target: pchar, `/` and `?` of RFC 3986. What clients send beside these is for the exact way to judge. */
const TARGET = table(bytesOf(`${LETTERS}${LETTERS.toUpperCase()}0123456789-._~:/?@!$&'()*+,;=%`))
/** Bytes of a value: HTAB, SP and visible ASCII. obs-text is for the exact way. */
const VALUE = table([9, ...Array.from({ length: 0x7f - 0x20 }, (_, i) => 0x20 + i)])
/** Bytes of a Host that is lower-case already and no IPv6 literal. */
const HOST = table(bytesOf(`${LETTERS}0123456789-.:`))
/** token bytes (RFC 9110 §5.6.2) mapped to lower case; 0 is no token byte. */
const LOWER = new Uint8Array(256)
for (const byte of bytesOf(`!#$%&'*+-.^_\`|~0123456789${LETTERS}`)) LOWER[byte] = byte
for (const byte of bytesOf(LETTERS)) LOWER[byte - 32] = byte

const CR = 13
const LF = 10
const SP = 0x20
const HTAB = 9

/** What a field means here. A field that is not listed is passed over, as a cache may. */
const Means = { host: 1, connection: 2, noneMatch: 3, range: 4, encoding: 5, since: 6, notPlain: 7, other: 8 } as const
const MEANINGS: Record<string, number> = {
  host: Means.host,
  connection: Means.connection,
  'if-none-match': Means.noneMatch,
  range: Means.range,
  'accept-encoding': Means.encoding,
  'if-modified-since': Means.since,
  // Part of what a cache looks at, so the flow must see them.
  'cache-control': Means.notPlain,
  pragma: Means.notPlain,
  authorization: Means.notPlain,
  'if-range': Means.notPlain,
  'if-match': Means.notPlain,
  'if-unmodified-since': Means.notPlain,
  'cdn-loop': Means.notPlain,
  'max-forwards': Means.notPlain,
  // These frame a body or speak of the connection.
  'content-length': Means.other,
  'transfer-encoding': Means.other,
  content_length: Means.other,
  transfer_encoding: Means.other,
  'content-encoding': Means.other,
  expect: Means.other,
  upgrade: Means.other,
  te: Means.other,
  trailer: Means.other,
  'http2-settings': Means.other,
  'keep-alive': Means.other,
  'proxy-connection': Means.other,
  'proxy-authorization': Means.other,
}

interface Known {
  name: Buffer
  meaning: number
}
/** The meanings by length and first letter, so that an unknown name costs one look-up. */
const SLOTS = 32 * 32
const slotOf = (length: number, first: number): number => (length << 5) | (first & 31)
const KNOWN: (readonly Known[] | null)[] = new Array(SLOTS).fill(null)
for (const [name, meaning] of Object.entries(MEANINGS)) {
  const slot = slotOf(name.length, name.charCodeAt(0))
  KNOWN[slot] = [...(KNOWN[slot] ?? []), { name: Buffer.from(name), meaning }]
}

const GET = Buffer.from('GET /')
const HEAD = Buffer.from('HEAD /')
const VERSION = Buffer.from(' HTTP/1.1\r\n')
const KEEP_ALIVE = Buffer.from('keep-alive')

/** Scans one request head in `bytes[start…length)`. */
export function scan(bytes: Buffer, start: number, length: number, into: Scanned): number {
  let i: number
  if (startsWith(bytes, start, length, GET)) {
    into.head = false
    i = start + 4
  } else if (startsWith(bytes, start, length, HEAD)) {
    into.head = true
    i = start + 5
  } else return isPrefix(bytes, start, length, GET) || isPrefix(bytes, start, length, HEAD) ? INCOMPLETE : OTHER
  into.targetStart = i
  while (i < length && TARGET[bytes[i]!] === 1) i++
  into.targetEnd = i
  if (i + VERSION.length > length) return isPrefix(bytes, i, length, VERSION) ? more(start, length) : OTHER
  if (!startsWith(bytes, i, length, VERSION)) return OTHER
  i += VERSION.length
  into.fieldsStart = i
  return scanFields(bytes, i, length, start, into)
}

function scanFields(bytes: Buffer, from: number, length: number, start: number, into: Scanned): number {
  let i = from
  /** One bit for each meaning seen. */
  let seen = 0
  let count = 0
  into.noneMatchEnd = into.rangeEnd = into.encodingStart = into.encodingEnd = 0
  into.plain = true
  for (;;) {
    if (i >= length) return more(start, length)
    const first = LOWER[bytes[i]!]!
    if (first === 0) {
      if (bytes[i] !== CR) return OTHER
      if (i + 1 >= length) return more(start, length)
      if (bytes[i + 1] !== LF || (seen & (1 << Means.host)) === 0) return OTHER
      into.end = i + 2
      into.fieldCount = count
      if (into.end - start > SCAN_MAX_BYTES) return OTHER
      // If-None-Match takes the place of If-Modified-Since (RFC 9110 §13.1.3); alone it is for the flow.
      if ((seen & (1 << Means.since)) !== 0 && (seen & (1 << Means.noneMatch)) === 0) into.plain = false
      return UNDERSTOOD
    }
    if (++count > SCAN_MAX_FIELDS) return OTHER
    const nameStart = i++
    while (i < length && LOWER[bytes[i]!] !== 0) i++
    if (i >= length) return more(start, length)
    if (bytes[i] !== 0x3a) return OTHER
    const nameLength = i - nameStart
    i++
    while (i < length && (bytes[i] === SP || bytes[i] === HTAB)) i++
    const valueStart = i
    while (i < length && VALUE[bytes[i]!] === 1) i++
    if (i >= length) return more(start, length)
    if (bytes[i] !== CR) return OTHER
    if (i + 1 >= length) return more(start, length)
    if (bytes[i + 1] !== LF) return OTHER
    let valueEnd = i
    i += 2
    const known = nameLength < 32 ? KNOWN[slotOf(nameLength, first)]! : null
    if (known === null) continue
    const meaning = meaningOf(known, bytes, nameStart, nameLength)
    if (meaning === 0) continue
    if (meaning === Means.notPlain) {
      into.plain = false
      continue
    }
    if (meaning === Means.other || (seen & (1 << meaning)) !== 0) return OTHER
    seen |= 1 << meaning
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--
    switch (meaning) {
      case Means.host:
        if (valueEnd === valueStart) return OTHER
        for (let j = valueStart; j < valueEnd; j++) if (HOST[bytes[j]!] === 0) return OTHER
        into.authority = bytes.toString('latin1', valueStart, valueEnd)
        break
      case Means.connection:
        if (valueEnd - valueStart !== KEEP_ALIVE.length) return OTHER
        for (let j = 0; j < KEEP_ALIVE.length; j++) if (LOWER[bytes[valueStart + j]!] !== KEEP_ALIVE[j]) return OTHER
        break
      case Means.noneMatch:
        if (valueEnd === valueStart) into.plain = false
        into.noneMatchStart = valueStart
        into.noneMatchEnd = valueEnd
        break
      case Means.range:
        if (valueEnd === valueStart) into.plain = false
        into.rangeStart = valueStart
        into.rangeEnd = valueEnd
        break
      case Means.encoding:
        into.encodingStart = valueStart
        into.encodingEnd = valueEnd
        break
    }
  }
}

/** The fields of a head that `scan` understood, as the flow wants them. */
export function fieldsOf(bytes: Buffer, found: Scanned): string[] {
  const fields: string[] = []
  // Behind the last field line stand its CRLF and the blank line.
  for (const line of bytes.toString('latin1', found.fieldsStart, found.end - 4).split('\r\n')) {
    const colon = line.indexOf(':')
    fields.push(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, ''))
  }
  return fields
}

const more = (start: number, length: number): number => (length - start > SCAN_MAX_BYTES ? OTHER : INCOMPLETE)

function meaningOf(known: readonly Known[], bytes: Buffer, start: number, length: number): number {
  for (const { name, meaning } of known) {
    let i = 0
    while (i < length && LOWER[bytes[start + i]!] === name[i]) i++
    if (i === length) return meaning
  }
  return 0
}

function startsWith(bytes: Buffer, start: number, length: number, text: Buffer): boolean {
  if (length - start < text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false
  return true
}

/** True when the bytes that are there could still become the text. */
function isPrefix(bytes: Buffer, start: number, length: number, text: Buffer): boolean {
  for (let i = start; i < length && i - start < text.length; i++) if (bytes[i] !== text[i - start]) return false
  return true
}
