/**
 * What a request must be before anything else of the edge sees it: one Host, one framing, a target in a form that RFC
 * 9112 §3.2 allows, values without control bytes. Two parsers that disagree about a message are what request smuggling
 * lives on (RFC 9112 §11.2), so whatever could be read in two ways is refused here and never repaired. Pure.
 */
import type { EdgeRequest, Fields } from '../message.ts'

/** A request head as a parser gives it: names and values as sent. */
export interface RawHead {
  method: string
  target: string
  version: '1.0' | '1.1'
  /** Name, value, name, value… as sent. */
  rawFields: readonly string[]
  encrypted: boolean
}

/** How the body of a request is delimited: RFC 9112 §6.3. */
export type Framing = { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' }

/** What of an EdgeRequest the head alone decides. */
export type Understood = Pick<
  EdgeRequest,
  'method' | 'scheme' | 'host' | 'authority' | 'target' | 'version' | 'fields'
> & {
  framing: Framing
}

/** An answer that the front gives by itself, without the flow: what is wrong and the status that says so. */
export class Refused {
  readonly status: number
  readonly reason: string
  readonly fields: Fields
  constructor(status: number, reason: string, fields: Fields = []) {
    this.status = status
    this.reason = reason
    this.fields = fields
  }
}

/** RFC 9110 §4.1 asks every recipient to take at least 8,000 bytes; more is 414. */
export const TARGET_MAX_BYTES = 8_000

/** Methods that are passed on; CONNECT would make a tunnel of the edge and TRACE would echo what others added. */
const ALLOW = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

/** Servers behind gateways of the CGI kind read these as the fields that frame a body. */
const LOOK_ALIKES = new Set(['transfer_encoding', 'content_length'])

/** field-vchar, SP, HTAB and obs-text (RFC 9110 §5.5); every other byte is refused. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** Visible ASCII without `#`: wider than RFC 3986, since clients leave much unescaped that no parser trips over. */
const TARGET = /^\/[!"$-~]*$/
/** A host and an optional port: a name of letters, digits, `-`, `_` and `.`, or an address (RFC 9110 §7.2). */
const AUTHORITY = /^([a-z0-9_](?:[a-z0-9_.-]{0,253}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?$/

/**
 * Splits an authority into its lower-case host and itself, lower-case.
 * @returns null when it is not one.
 */
export function parseAuthority(text: string): { host: string; authority: string } | null {
  const authority = text.toLowerCase()
  const match = AUTHORITY.exec(authority)
  if (match === null || Number(match[2] ?? 0) > 65_535) return null
  return { host: match[1]!, authority }
}

/** What is wrong with a target in origin-form, or null: RFC 9112 §3.2.1. A fragment never belongs to one. */
export function targetFault(target: string): Refused | null {
  if (target.length > TARGET_MAX_BYTES) return new Refused(414, `the target is longer than ${TARGET_MAX_BYTES} bytes`)
  if (!TARGET.test(target)) return new Refused(400, 'the target has bytes that a target cannot have')
  return null
}

/** What is wrong with a method, or null: RFC 9110 §9.1. */
export function methodFault(method: string): Refused | null {
  if (method === 'CONNECT' || method === 'TRACE') return new Refused(405, `${method} is not served`, ['allow', ALLOW])
  return null
}

/**
 * Reads a head of HTTP/1.x. `OPTIONS *` is the front's own to answer and comes back as a `Refused` with 204 (RFC 9110
 * §9.3.7).
 */
export function understand(head: RawHead): Understood | Refused {
  const { method, version, encrypted } = head
  const wrongMethod = methodFault(method)
  if (wrongMethod) return wrongMethod
  const scheme = encrypted ? 'https' : 'http'
  const fields: string[] = []
  let hostField: string | null = null
  let length: string | null = null
  let transfer: string | null = null
  let expect: string | null = null
  for (let i = 0; i < head.rawFields.length; i += 2) {
    const name = head.rawFields[i]!.toLowerCase()
    const value = trim(head.rawFields[i + 1]!)
    if (!VALUE.test(value)) return new Refused(400, `the field ${name} has a control byte`)
    if (LOOK_ALIKES.has(name)) return new Refused(400, `${name} is no field of this server`)
    if (name === 'host') {
      if (hostField !== null) return new Refused(400, 'Host occurs twice')
      hostField = value
    } else if (name === 'content-length') {
      if (length !== null) return new Refused(400, 'Content-Length occurs twice')
      length = value
    } else if (name === 'transfer-encoding') {
      if (transfer !== null) return new Refused(400, 'Transfer-Encoding occurs twice')
      transfer = value
    } else if (name === 'expect') {
      if (expect !== null || value.toLowerCase() !== '100-continue')
        return new Refused(417, 'only 100-continue can be expected')
      expect = value
      continue // met by the front (RFC 9110 §10.1.1), so it goes no further
    }
    fields.push(name, value)
  }
  const framing = framingOf(version, length, transfer)
  if (framing instanceof Refused) return framing

  if (hostField === null && version === '1.1') return new Refused(400, 'Host is missing')
  const named = hostField === null ? { host: '', authority: '' } : parseAuthority(hostField)
  if (named === null) return new Refused(400, 'Host is not a host')
  if (head.target === '*') {
    if (method !== 'OPTIONS') return new Refused(400, 'only OPTIONS has the target *')
    return new Refused(204, '', ['allow', ALLOW])
  }
  let { target } = head
  if (!target.startsWith('/')) {
    // absolute-form (RFC 9112 §3.2.2): its authority wins by the RFC; where Host says otherwise something is amiss.
    const absolute = /^(https?):\/\/([^/?#]+)(.*)$/i.exec(target)
    const inTarget = absolute === null ? null : parseAuthority(absolute[2]!)
    if (absolute === null || inTarget === null) return new Refused(400, 'the target is of no known form')
    if (absolute[1]!.toLowerCase() !== scheme) return new Refused(400, 'the target names another scheme')
    if (hostField === null) Object.assign(named, inTarget)
    else if (withoutDefaultPort(inTarget.authority, scheme) !== withoutDefaultPort(named.authority, scheme))
      return new Refused(400, 'Host and target name different hosts')
    target = absolute[3]!.startsWith('/') ? absolute[3]! : `/${absolute[3]}`
  }
  const wrongTarget = targetFault(target)
  if (wrongTarget) return wrongTarget
  return { method, scheme, host: named.host, authority: named.authority, target, version, fields, framing }
}

/** RFC 9112 §6.1 and §6.3, with every doubtful case refused: both at once, HTTP/1.0 with codings, lists, signs. */
function framingOf(version: '1.0' | '1.1', length: string | null, transfer: string | null): Framing | Refused {
  if (transfer !== null) {
    if (length !== null) return new Refused(400, 'Content-Length and Transfer-Encoding exclude each other')
    if (version === '1.0') return new Refused(400, 'HTTP/1.0 has no Transfer-Encoding')
    if (transfer.toLowerCase() !== 'chunked') return new Refused(501, 'the only transfer coding is chunked')
    return { kind: 'chunked' }
  }
  if (length === null) return { kind: 'none' }
  if (!/^\d{1,15}$/.test(length)) return new Refused(400, 'Content-Length is not a number')
  return { kind: 'length', bytes: Number(length) }
}

const withoutDefaultPort = (authority: string, scheme: 'http' | 'https'): string =>
  authority.replace(scheme === 'http' ? /:80$/ : /:443$/, '')

const trim = (value: string): string => value.replace(/^[\t ]+|[\t ]+$/g, '')
