/**
 * From the bytes of a query to the bytes of its answer. The usual query (a name that exists, no surprise in it) is answered from a
 * prepared body: read, look up, choose, copy, without making an object. Everything else is composed anew. It knows
 * nothing of sockets: UDP, TCP and tests call it alike.
 */

import type { Choice, Routed, View } from '../choice/routed.ts'
import type { Compiled } from '../compile.ts'
import type { AddressWords } from '../wire/addresses.ts'
import { CLASS, OPTION, RCODE, TYPE } from '../wire/codes.ts'
import { toText } from '../wire/names.ts'
import { DROP, Query, READ } from '../wire/query.ts'
import type { NameNode } from '../zones/zone.ts'
import { type Body, compose } from './compose.ts'
import { COOKIE_BYTES, Cookies } from './cookie.ts'
import { AT, COUNTERS } from './figures.ts'
import { PASS, RateLimit, REFUSED_SILENTLY } from './limit.ts'

/** What we take and send at most by UDP without fragments (DNS flag day 2020). */
const UDP_BYTES = 1_232
const TCP_BYTES = 65_535
const HEADER_BYTES = 12
const OPT_BYTES = 11

const FLAG_QR = 0x8000
const FLAG_AA = 0x0400
const FLAG_TC = 0x0200
/** RD and CD go back as they came. */
const FLAGS_KEPT = 0x0110

/** Types with prepared answers, by their place. */
const PREPARED: readonly number[] = [
  TYPE.A,
  TYPE.AAAA,
  TYPE.HTTPS,
  TYPE.NS,
  TYPE.SOA,
  TYPE.TXT,
  TYPE.MX,
  TYPE.DNSKEY,
  TYPE.CNAME,
  TYPE.CAA,
  TYPE.DS,
  TYPE.SRV,
]
const SLOT = new Int8Array(512).fill(-1)
for (const [at, type] of PREPARED.entries()) SLOT[type] = at

/** Prepared bodies of one node, type and DO: one, or one for each site. */
interface Entry {
  routed: Routed | null
  epoch: number
  bodies: (Body | undefined)[]
}

const DEFAULT_LIMIT = { perSecond: 1_000, errorsPerSecond: 200, slip: 2 }

export interface ResponderOptions {
  /** Of cookies, when the settings say none: random for each start. */
  cookieSecret: Uint8Array
  /** Counters, and behind them the answers by site. */
  figures: Float64Array
  /** The place of each site among them. */
  siteSlots: readonly number[]
  /** How long TCP connections are kept, for clients that ask (RFC 7828). */
  keepaliveSeconds: number
}

/** What a log wants to know of an answer. */
export interface Seen {
  name: string
  type: number
  rcode: number
  site: number | null
  scope: number
  bytes: number
}

export class Responder {
  readonly #compiled: Compiled
  readonly #query = new Query()
  readonly #choice: Choice = { site: 0, scope: 0, order: 0 }
  readonly #cookies: Cookies
  readonly #limit: RateLimit
  readonly #identity: Uint8Array
  readonly #hasSubnets: boolean
  /** Some zone is: a chain that begins in one without keys may lead into it. */
  readonly #isSigned: boolean
  readonly #figures: Float64Array
  readonly #siteSlots: readonly number[]
  readonly #keepalive: number
  /** The last answer: its site (-1: none), and whether its scope is to be told. */
  #site = -1
  #rcode = 0

  constructor(
    compiled: Compiled,
    view: View,
    { cookieSecret, figures, siteSlots, keepaliveSeconds }: ResponderOptions,
  ) {
    const { settings } = compiled
    this.#compiled = compiled
    this.#figures = figures
    this.#siteSlots = siteSlots
    this.#cookies = new Cookies(settings.cookieSecret ? Buffer.from(settings.cookieSecret, 'hex') : cookieSecret)
    this.#limit = new RateLimit(settings.rateLimit ?? DEFAULT_LIMIT)
    this.#identity = Buffer.from(settings.identity ?? '', 'latin1')
    this.#isSigned = compiled.zones.some(({ signer }) => signer !== null)
    this.#hasSubnets = settings.clientSubnet !== false
    this.#keepalive = keepaliveSeconds * 10
    this.look(view)
  }

  /** New health or load. */
  look(view: View): void {
    for (const routed of this.#compiled.routed) routed.look(view)
  }

  /**
   * Writes the answer to `query[0..length)` into `out`, which holds 65,535 bytes.
   * @returns its length; 0: there is none
   */
  answer(
    query: Uint8Array,
    length: number,
    client: AddressWords,
    isTcp: boolean,
    out: Uint8Array,
    nowMs: number,
  ): number {
    const figures = this.#figures
    figures[isTcp ? AT.tcp : AT.udp]!++
    figures[AT.bytesIn]! += length
    this.#site = -1
    const asked = this.#query
    const read = asked.read(query, length)
    let size: number
    if (read === DROP) {
      figures[AT.dropped]!++
      return 0
    }
    if (read !== READ) size = this.#plain(query, out, read, client, isTcp, nowMs)
    else if (asked.class !== CLASS.IN && asked.class !== CLASS.ANY) size = this.#chaos(query, out, client, isTcp, nowMs)
    else if (
      asked.type === TYPE.NXNAME ||
      asked.type === TYPE.OPT ||
      (asked.type >= TYPE.TKEY && asked.type < TYPE.ANY) ||
      asked.type === 0 ||
      asked.type === TYPE.RRSIG
    )
      size = this.#plain(
        query,
        out,
        asked.type === TYPE.NXNAME || asked.type === TYPE.OPT ? RCODE.FORMERR : RCODE.REFUSED,
        client,
        isTcp,
        nowMs,
      )
    else size = this.#find(query, out, client, isTcp, nowMs)
    figures[AT.bytesOut]! += size
    return size
  }

  /** Of the last answer; makes objects, so only for a sample. */
  seen(size: number): Seen {
    const { name, nameLength, type } = this.#query
    return {
      name: nameLength > 0 ? toText(name.subarray(0, nameLength)) : '',
      type,
      rcode: this.#rcode,
      site: this.#site < 0 ? null : this.#site,
      scope: this.#choice.scope,
      bytes: size,
    }
  }

  #find(query: Uint8Array, out: Uint8Array, client: AddressWords, isTcp: boolean, nowMs: number): number {
    const asked = this.#query
    const { table } = this.#compiled
    const node = table.find(asked)
    this.#choice.scope = 0
    if (node === null) return this.#send(query, out, this.#composeNow(null, client, nowMs), client, isTcp, nowMs)
    const slot = asked.type < SLOT.length ? SLOT[asked.type]! : -1
    if (slot < 0) return this.#send(query, out, this.#composeNow(node, client, nowMs), client, isTcp, nowMs)
    const at = slot * 2 + (asked.dnssecOk && this.#isSigned ? 1 : 0)
    const entry = node.entries[at] as Entry | undefined
    let body: Body | undefined
    if (entry !== undefined) {
      const { routed } = entry
      if (routed !== null) {
        if (entry.epoch !== routed.epoch) {
          entry.bodies = []
          entry.epoch = routed.epoch
        }
        this.#choose(routed, client)
        body = entry.bodies[this.#site]
      } else body = entry.bodies[0]
    }
    if (body === undefined || body.staleAt <= nowMs) {
      body = this.#composeNow(node, client, nowMs)
      const { routed } = body
      const kept: Entry = entry ?? { routed, epoch: routed?.epoch ?? 0, bodies: [] }
      kept.bodies[routed === null ? 0 : this.#site] = body
      node.entries[at] = kept
    } else this.#figures[AT.prepared]!++
    return this.#send(query, out, body, client, isTcp, nowMs)
  }

  #choose(routed: Routed, client: AddressWords): void {
    const asked = this.#query
    // Source length 0 asks that the client's network be left alone (RFC 7871 §7.1.2): the resolver's own counts, for everybody.
    const bySubnet = asked.hasSubnet && asked.sourceLength > 0 && this.#hasSubnets
    routed.choose(bySubnet ? asked.subnet : client, this.#choice)
    if (!bySubnet) this.#choice.scope = 0
    this.#site = this.#choice.site
  }

  #composeNow(node: NameNode | null, client: AddressWords, nowMs: number): Body {
    this.#figures[AT.composed]!++
    const { name, nameLength, type, dnssecOk } = this.#query
    return compose(this.#compiled.table, {
      name: node?.wire ?? name.slice(0, nameLength),
      node,
      type,
      dnssec: dnssecOk,
      siteOf: (routed) => {
        this.#choose(routed, client)
        return this.#site
      },
      nowMs,
    })
  }

  #send(query: Uint8Array, out: Uint8Array, body: Body, client: AddressWords, isTcp: boolean, nowMs: number): number {
    const asked = this.#query
    const figures = this.#figures
    const rcode = asked.compactOk ? body.compactRcode : body.rcode
    this.#rcode = rcode
    const isKnown = this.#knows(client, nowMs)
    if (!isTcp && !isKnown) {
      const isError = rcode !== RCODE.NOERROR
      const verdict = this.#judge(client, isError ? rcode : asked.hash ^ asked.type, isError, nowMs)
      if (verdict !== PASS) return this.#hold(query, out, verdict, client, nowMs)
    }
    countCode(figures, rcode)
    if (this.#site >= 0) {
      figures[AT.routed]!++
      figures[COUNTERS.length + this.#siteSlots[this.#site]!]!++
    }
    const limit = isTcp ? TCP_BYTES : asked.hasEdns ? Math.min(asked.udpBytes, UDP_BYTES) : 512
    const { bytes } = body
    const end = asked.questionEnd
    const optBytes = asked.hasEdns ? this.#optBytes(isTcp) : 0
    if (end + bytes.length + optBytes > limit)
      return this.#truncated(query, out, body.isAuthoritative ? FLAG_AA : 0, rcode, client, isTcp, nowMs)
    this.#head(
      query,
      out,
      (body.isAuthoritative ? FLAG_AA : 0) | (rcode & 15),
      body.answers,
      body.authority,
      body.additional + (optBytes > 0 ? 1 : 0),
    )
    let at = end
    for (let each = 0; each < bytes.length; each++) out[at++] = bytes[each]!
    return optBytes > 0 ? this.#opt(out, at, rcode, client, isTcp, nowMs) : at
  }

  #knows(client: AddressWords, nowMs: number): boolean {
    const { cookieLength, cookie } = this.#query
    if (cookieLength === 0) return false
    const isGood = cookieLength > 8 && this.#cookies.isGood(cookie, cookieLength, client, Math.floor(nowMs / 1_000))
    this.#figures[isGood ? AT.cookieGood : AT.cookieNew]!++
    return isGood
  }

  #judge(client: AddressWords, answer: number, isError: boolean, nowMs: number): number {
    const network = client.isV6 ? client.a ^ Math.imul(client.b >>> 8, 0x9e3779b9) : client.a >>> 8
    return this.#limit.judge(network, answer, isError, nowMs)
  }

  /** Over the rate: nothing, or now and then a truncated answer. */
  #hold(query: Uint8Array, out: Uint8Array, verdict: number, client: AddressWords, nowMs: number): number {
    this.#figures[AT.limited]!++
    if (verdict === REFUSED_SILENTLY) return 0
    this.#figures[AT.slipped]!++
    return this.#truncated(query, out, 0, RCODE.NOERROR, client, false, nowMs)
  }

  #truncated(
    query: Uint8Array,
    out: Uint8Array,
    flags: number,
    rcode: number,
    client: AddressWords,
    isTcp: boolean,
    nowMs: number,
  ): number {
    this.#figures[AT.truncated]!++
    const { hasEdns, questionEnd } = this.#query
    this.#head(query, out, flags | FLAG_TC | (rcode & 15), 0, 0, hasEdns ? 1 : 0)
    return hasEdns ? this.#opt(out, questionEnd, rcode, client, isTcp, nowMs) : questionEnd
  }

  /** Header and question; the question as it came, letters and all. */
  #head(
    query: Uint8Array,
    out: Uint8Array,
    flags: number,
    answers: number,
    authority: number,
    additional: number,
  ): void {
    const { id, flags: asked, questionEnd } = this.#query
    const all = FLAG_QR | (asked & 0x7800) | (asked & FLAGS_KEPT) | flags
    out[0] = id >> 8
    out[1] = id & 255
    out[2] = all >> 8
    out[3] = all & 255
    out[4] = 0
    out[5] = questionEnd > 0 ? 1 : 0
    out[6] = answers >> 8
    out[7] = answers & 255
    out[8] = authority >> 8
    out[9] = authority & 255
    out[10] = additional >> 8
    out[11] = additional & 255
    for (let at = HEADER_BYTES; at < questionEnd; at++) out[at] = query[at]!
  }

  /** Without any record: a fault, a refusal. */
  #plain(
    query: Uint8Array,
    out: Uint8Array,
    rcode: number,
    client: AddressWords,
    isTcp: boolean,
    nowMs: number,
  ): number {
    const asked = this.#query
    this.#rcode = rcode
    if (!isTcp) {
      const verdict = this.#judge(client, rcode, true, nowMs)
      if (verdict !== PASS) {
        this.#figures[AT.limited]!++
        return 0
      }
    }
    countCode(this.#figures, rcode)
    this.#head(query, out, rcode & 15, 0, 0, asked.hasEdns ? 1 : 0)
    const at = asked.questionEnd || HEADER_BYTES
    if (!asked.hasEdns) return at
    // Of a query with a fault, nothing but the record itself is repeated.
    if (rcode === RCODE.FORMERR || rcode === RCODE.BADVERS) {
      asked.hasSubnet = false
      asked.cookieLength = 0
      asked.wantsIdentity = false
      asked.wantsKeepalive = false
    }
    this.#choice.scope = 0
    return this.#opt(out, at, rcode, client, isTcp, nowMs)
  }

  #optBytes(isTcp: boolean): number {
    const asked = this.#query
    return (
      OPT_BYTES +
      (asked.hasSubnet && this.#hasSubnets ? 8 + ((asked.sourceLength + 7) >> 3) : 0) +
      (asked.cookieLength > 0 ? 4 + COOKIE_BYTES : 0) +
      (asked.wantsIdentity && this.#identity.length > 0 ? 4 + this.#identity.length : 0) +
      (asked.wantsKeepalive && isTcp ? 6 : 0)
    )
  }

  #opt(out: Uint8Array, start: number, rcode: number, client: AddressWords, isTcp: boolean, nowMs: number): number {
    const asked = this.#query
    let at = start
    out[at++] = 0
    out[at++] = 0
    out[at++] = TYPE.OPT
    out[at++] = UDP_BYTES >> 8
    out[at++] = UDP_BYTES & 255
    out[at++] = rcode >> 4
    out[at++] = 0
    out[at++] = (asked.dnssecOk ? 0x80 : 0) | (asked.compactOk ? 0x40 : 0)
    out[at++] = 0
    const options = this.#optBytes(isTcp) - OPT_BYTES
    out[at++] = options >> 8
    out[at++] = options & 255
    if (asked.hasSubnet && this.#hasSubnets) {
      this.#figures[AT.clientSubnet]!++
      const octets = (asked.sourceLength + 7) >> 3
      at = option(out, at, OPTION.CLIENT_SUBNET, 4 + octets)
      out[at++] = 0
      out[at++] = asked.subnetFamily
      out[at++] = asked.sourceLength
      out[at++] = asked.sourceLength === 0 ? 0 : this.#choice.scope
      const { a, b, c, d } = asked.subnet
      for (let each = 0; each < octets; each++) {
        const word = each < 4 ? a : each < 8 ? b : each < 12 ? c : d
        out[at++] = (word >>> (24 - (each & 3) * 8)) & 255
      }
    }
    if (asked.cookieLength > 0) {
      at = option(out, at, OPTION.COOKIE, COOKIE_BYTES)
      this.#cookies.write(asked.cookie, client, Math.floor(nowMs / 1_000), out, at)
      at += COOKIE_BYTES
    }
    if (asked.wantsIdentity && this.#identity.length > 0) {
      at = option(out, at, OPTION.NSID, this.#identity.length)
      for (const byte of this.#identity) out[at++] = byte
    }
    if (asked.wantsKeepalive && isTcp) {
      at = option(out, at, OPTION.KEEPALIVE, 2)
      out[at++] = this.#keepalive >> 8
      out[at++] = this.#keepalive & 255
    }
    if (asked.dnssecOk) this.#figures[AT.dnssec]!++
    return at
  }

  /** `version.bind` and its kin (RFC 4892), class CH; other classes are refused. */
  #chaos(query: Uint8Array, out: Uint8Array, client: AddressWords, isTcp: boolean, nowMs: number): number {
    const asked = this.#query
    const name = toText(asked.name.subarray(0, asked.nameLength))
    const text =
      name === 'version.bind.' || name === 'version.server.'
        ? VERSION
        : name === 'id.server.' || name === 'hostname.bind.'
          ? this.#identity
          : null
    if (
      asked.class !== CLASS.CH ||
      text === null ||
      text.length === 0 ||
      (asked.type !== TYPE.TXT && asked.type !== TYPE.ANY)
    )
      return this.#plain(query, out, RCODE.REFUSED, client, isTcp, nowMs)
    this.#figures[AT.chaos]!++
    const record = [0xc0, HEADER_BYTES, 0, TYPE.TXT, 0, CLASS.CH, 0, 0, 0, 0, 0, text.length + 1, text.length, ...text]
    this.#choice.scope = 0
    return this.#send(query, out, { ...CHAOS_BODY, bytes: Uint8Array.from(record) }, client, isTcp, nowMs)
  }
}

const VERSION = Buffer.from('izumi', 'latin1')
const CHAOS_BODY: Omit<Body, 'bytes'> = {
  rcode: RCODE.NOERROR,
  compactRcode: RCODE.NOERROR,
  isAuthoritative: true,
  answers: 1,
  authority: 0,
  additional: 0,
  staleAt: Number.POSITIVE_INFINITY,
  routed: null,
}

function option(out: Uint8Array, start: number, code: number, length: number): number {
  let at = start
  out[at++] = code >> 8
  out[at++] = code & 255
  out[at++] = length >> 8
  out[at++] = length & 255
  return at
}

const CODES = new Map<number, number>([
  [RCODE.NOERROR, AT.noerror],
  [RCODE.FORMERR, AT.formerr],
  [RCODE.SERVFAIL, AT.servfail],
  [RCODE.NXDOMAIN, AT.nxdomain],
  [RCODE.NOTIMP, AT.notimp],
  [RCODE.REFUSED, AT.refused],
  [RCODE.BADVERS, AT.badvers],
])

function countCode(figures: Float64Array, rcode: number): void {
  if (rcode === RCODE.NOERROR) figures[AT.noerror]!++
  else figures[CODES.get(rcode) ?? AT.servfail]!++
}
