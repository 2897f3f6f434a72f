/**
 * The right side of a record from a zone file's text to wire form (RFC 1035 §5.1 and each type's own RFC). Names inside are
 * written whole; the writer compresses those that RFC 1035 itself defines. Any other type is taken as `\# length hex` (RFC 3597).
 */
import { addressBytes, noAddress, readAddress } from './addresses.ts'
import { TYPE } from './codes.ts'
import { ROOT, toWire } from './names.ts'

/** What was wrong, and what would be right. */
export class WrongData extends Error {
  readonly expected: string
  constructor(problem: string, expected: string) {
    super(problem)
    this.expected = expected
  }
}

const EXPECTED: Record<number, string> = {
  [TYPE.A]: 'an IPv4 address',
  [TYPE.AAAA]: 'an IPv6 address',
  [TYPE.NS]: 'a host name',
  [TYPE.CNAME]: 'a host name',
  [TYPE.PTR]: 'a host name',
  [TYPE.MX]: 'preference and host, such as 10 mail.shop.example.',
  [TYPE.TXT]: 'text, or quoted strings of at most 255 bytes',
  [TYPE.SRV]: 'priority, weight, port and host, such as 0 5 443 www.shop.example.',
  [TYPE.CAA]: 'flags, tag and value, such as 0 issue "ca.example"',
  [TYPE.DS]: 'key tag, algorithm, digest type and digest',
  [TYPE.TLSA]: 'usage, selector, matching type and data',
  [TYPE.SSHFP]: 'algorithm, type and fingerprint',
  [TYPE.NAPTR]: 'order, preference, "flags", "services", "pattern" and host',
  [TYPE.SVCB]: 'priority, host and parameters, such as 1 . alpn="h2,http/1.1"',
  [TYPE.HTTPS]: 'priority, host and parameters, such as 1 . alpn="h2,http/1.1"',
  [TYPE.HINFO]: 'two strings',
}

/** @throws WrongData */
export function rdataFromText(type: number, text: string, origin: Uint8Array): Uint8Array {
  const expected = EXPECTED[type] ?? 'data as \\# length hex'
  const data = read(type, text, origin)
  if (data === null || data.length > 0xffff)
    throw new WrongData(`${JSON.stringify(text.slice(0, 80))} is wrong here`, expected)
  return data
}

function read(type: number, text: string, origin: Uint8Array): Uint8Array | null {
  const generic = /^\\#\s+(\d+)\s*([0-9a-fA-F\s]*)$/.exec(text)
  if (generic) {
    const bytes = fromHex(generic[2]!)
    return bytes?.length === Number(generic[1]) ? bytes : null
  }
  if (type === TYPE.TXT) return readStrings(text)
  const words = splitWords(text)
  if (words === null) return null
  const name = (at: number) => (words[at] === undefined ? null : toWire(words[at], origin))
  switch (type) {
    case TYPE.A:
    case TYPE.AAAA: {
      const address = noAddress()
      if (words.length !== 1 || !readAddress(words[0]!, address)) return null
      return address.isV6 === (type === TYPE.AAAA) ? addressBytes(address) : null
    }
    case TYPE.NS:
    case TYPE.CNAME:
    case TYPE.PTR:
      return words.length === 1 ? name(0) : null
    case TYPE.MX:
      return words.length === 2 ? join(u16(words[0]), name(1)) : null
    case TYPE.SRV:
      return words.length === 4 ? join(u16(words[0]), u16(words[1]), u16(words[2]), name(3)) : null
    case TYPE.CAA:
      return words.length === 3 && /^[a-zA-Z0-9]+$/.test(words[1]!)
        ? join(u8(words[0]), string(words[1]), Buffer.from(words[2]!, 'latin1'))
        : null
    case TYPE.DS:
      return words.length >= 4
        ? join(u16(words[0]), u8(words[1]), u8(words[2]), fromHex(words.slice(3).join('')))
        : null
    case TYPE.TLSA:
      return words.length >= 4 ? join(u8(words[0]), u8(words[1]), u8(words[2]), fromHex(words.slice(3).join(''))) : null
    case TYPE.SSHFP:
      return words.length >= 3 ? join(u8(words[0]), u8(words[1]), fromHex(words.slice(2).join(''))) : null
    case TYPE.HINFO:
      return words.length === 2 ? join(string(words[0]), string(words[1])) : null
    case TYPE.NAPTR:
      return words.length === 6
        ? join(u16(words[0]), u16(words[1]), string(words[2]), string(words[3]), string(words[4]), name(5))
        : null
    case TYPE.SVCB:
    case TYPE.HTTPS:
      return readService(words, origin)
    default:
      return null
  }
}

const join = (...parts: (Uint8Array | null)[]): Uint8Array | null =>
  parts.includes(null) ? null : new Uint8Array(Buffer.concat(parts as Uint8Array[]))

function number(word: string | undefined, most: number): number | null {
  return word !== undefined && /^\d{1,10}$/.test(word) && Number(word) <= most ? Number(word) : null
}
function u8(word: string | undefined): Uint8Array | null {
  const value = number(word, 0xff)
  return value === null ? null : Uint8Array.of(value)
}
function u16(word: string | undefined): Uint8Array | null {
  const value = number(word, 0xffff)
  return value === null ? null : Uint8Array.of(value >> 8, value & 255)
}
const fromHex = (text: string): Uint8Array | null => {
  const digits = text.replaceAll(/\s/g, '')
  return digits.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(digits) ? new Uint8Array(Buffer.from(digits, 'hex')) : null
}
function string(word: string | undefined): Uint8Array | null {
  const bytes = Buffer.from(word ?? '', 'latin1')
  return bytes.length <= 255 ? Uint8Array.of(bytes.length, ...bytes) : null
}

/** Words, quoted ones as one; `\"`, `\\` and `\DDD` read. UTF-8 becomes its bytes. Null: a quote is not closed. */
function splitWords(text: string): string[] | null {
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  const words: string[] = []
  let word: string | null = null
  let isQuoted = false
  for (let at = 0; at < bytes.length; at++) {
    const each = bytes[at]!
    if (each === '\\' && isQuoted) {
      const decimal = /^\d{3}/.exec(bytes.slice(at + 1, at + 4))
      word = (word ?? '') + (decimal ? String.fromCharCode(Number(decimal[0]) & 255) : (bytes[at + 1] ?? ''))
      at += decimal ? 3 : 1
    } else if (each === '"') {
      // alpn="h2" is one word, as is "two words".
      isQuoted = !isQuoted
      word ??= ''
    } else if (/\s/.test(each) && !isQuoted) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + each
  }
  if (isQuoted) return null
  if (word !== null) words.push(word)
  return words
}

/** A text without quotes is one text however long, cut into strings of 255 bytes. */
function readStrings(text: string): Uint8Array | null {
  if (text.trimStart().startsWith('"')) {
    const words = splitWords(text)
    return words && join(...words.map(string))
  }
  const bytes = Buffer.from(text, 'utf8')
  const parts: Uint8Array[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255)
    parts.push(Uint8Array.of(part.length), part)
  }
  return join(...parts)
}

const SERVICE_KEYS = ['mandatory', 'alpn', 'no-default-alpn', 'port', 'ipv4hint', 'ech', 'ipv6hint']

/** RFC 9460: priority, target, parameters in the order of their numbers, each once. */
function readService(words: string[], origin: Uint8Array): Uint8Array | null {
  const target = words[1] === undefined ? null : words[1] === '.' ? ROOT : toWire(words[1], origin)
  const head = join(u16(words[0]), target)
  if (head === null) return null
  const found = new Map<number, Uint8Array>()
  for (const word of words.slice(2)) {
    const equals = word.indexOf('=')
    const key = serviceKey(equals < 0 ? word : word.slice(0, equals))
    const value = key === null ? null : serviceValue(key, equals < 0 ? '' : word.slice(equals + 1))
    if (key === null || value === null || found.has(key)) return null
    found.set(key, value)
  }
  const parts = [...found].sort(([one], [other]) => one - other)
  return join(
    head,
    ...parts.flatMap(([key, value]) => [
      Uint8Array.of(key >> 8, key & 255, value.length >> 8, value.length & 255),
      value,
    ]),
  )
}

function serviceKey(name: string): number | null {
  const at = SERVICE_KEYS.indexOf(name)
  return at >= 0 ? at : /^key\d{1,5}$/.test(name) ? number(name.slice(3), 0xfffe) : null
}

function serviceValue(key: number, value: string): Uint8Array | null {
  const list = value.split(',')
  switch (SERVICE_KEYS[key]) {
    case 'mandatory': {
      const keys = list.map(serviceKey)
      return keys.includes(null) ? null : join(...keys.map((each) => u16(String(each))))
    }
    case 'alpn':
      return list.includes('') ? null : join(...list.map(string))
    case 'no-default-alpn':
      return value === '' ? new Uint8Array() : null
    case 'port':
      return u16(value)
    case 'ipv4hint':
    case 'ipv6hint':
      return join(...list.map((each) => read(key === 4 ? TYPE.A : TYPE.AAAA, each, ROOT)))
    case 'ech':
      return new Uint8Array(Buffer.from(value, 'base64'))
    default:
      return new Uint8Array(Buffer.from(value, 'latin1'))
  }
}
