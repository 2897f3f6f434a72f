/**
 * What is answered to a name and a type, section by section (RFC 1034 §4.3.2): records, CNAME chains as far as they lead through zones
 * served here, wildcards (RFC 4592), delegations, and what is not there (RFC 2308), signed where the zone has keys and the client asked for it.
 * The result is the part of a message behind the question, ready to be copied.
 */

import type { Routed } from '../choice/routed.ts'
import { nsecOf } from '../dnssec/denial.ts'
import { RCODE, TYPE } from '../wire/codes.ts'
import { BodyWriter, type RecordData } from '../wire/writer.ts'
import { type NameNode, type NameTable, type RecordSet, wildcardOf, type ZoneTable } from '../zones/zone.ts'

/** An answer behind its header and question. */
export interface Body {
  bytes: Uint8Array
  rcode: number
  /** RFC 9824 §5: the code for clients that take a denial with it. */
  compactRcode: number
  isAuthoritative: boolean
  answers: number
  authority: number
  additional: number
  /** When its signatures are to be made anew, ms. */
  staleAt: number
  /** The property whose choice of a site it depends on. */
  routed: Routed | null
}

/** Chains longer than this are somebody's mistake. */
const CHAIN = 8
/** RFC 8482 §4.2. */
const ANY_TTL = 3_789
const ANY_HINFO = new Uint8Array(Buffer.from('\x07RFC8482\x00', 'latin1'))

export interface Asked {
  /** Lower case, wire form. */
  name: Uint8Array
  node: NameNode | null
  type: number
  /** The client set DO. */
  dnssec: boolean
  /** Answers for a routed name: the site that was chosen. */
  siteOf: (routed: Routed) => number
  nowMs: number
}

export function compose(table: NameTable, asked: Asked): Body {
  return new Composer(table, asked).run()
}

class Composer {
  readonly #table: NameTable
  readonly #asked: Asked
  readonly #answer: RecordData[] = []
  readonly #authority: RecordData[] = []
  readonly #additional: RecordData[] = []
  #rcode: number = RCODE.NOERROR
  #isDenied = false
  #isAuthoritative = true
  #staleAt = Number.POSITIVE_INFINITY
  #routed: Routed | null = null

  constructor(table: NameTable, asked: Asked) {
    this.#table = table
    this.#asked = asked
  }

  run(): Body {
    let owner = this.#asked.name
    let node = this.#asked.node
    for (let hops = 0; hops <= CHAIN; hops++) {
      const target = this.#step(owner, node, hops)
      if (target === null) break
      owner = target
      node = this.#table.get(target)
    }
    return this.#written()
  }

  /** Answers for one name of the chain; the name to go on with, or null at the end. */
  #step(owner: Uint8Array, exact: NameNode | null, hops: number): Uint8Array | null {
    const { type } = this.#asked
    let node = exact
    if (node === null) {
      const encloser = this.#table.encloser(owner)
      if (encloser === null) {
        // The end of a chain in somebody else's zone; otherwise nothing of ours.
        if (hops === 0) this.#refuse()
        return null
      }
      if (encloser.cut) return this.#refer(encloser.cut, hops)
      node = this.#table.get(wildcardOf(encloser.wire))
      if (node === null) return this.#deny(owner, encloser.zone, [TYPE.NXNAME], true)
    }
    let { zone } = node
    const above = type === TYPE.DS && node.wire.length === zone.apex.length ? zone.above : null
    if (above) {
      node = above
      zone = above.zone
    } else if (node.cut && !(node.cut === node && type === TYPE.DS)) return this.#refer(node.cut, hops)
    const { routed } = node
    const found = node.sets.get(type)
    if (found) this.#add(this.#answer, owner, found, zone)
    else if (routed && (type === TYPE.A || type === TYPE.AAAA)) {
      this.#routed = routed
      const edges = routed.edgesAt(this.#asked.siteOf(routed))
      const rdatas = edges.flatMap(({ v4, v6 }) => (type === TYPE.A ? v4 : v6)).slice(0, routed.answers)
      if (rdatas.length === 0) return this.#deny(owner, zone, typesOf(node), false)
      this.#add(this.#answer, owner, { type, ttl: routed.ttl, rdatas }, zone)
    } else if (type === TYPE.NSEC && this.#asked.dnssec && zone.signer)
      this.#add(this.#answer, owner, nsecSet(owner, zone, typesOf(node)), zone)
    else if (node.sets.has(TYPE.CNAME)) {
      const alias = node.sets.get(TYPE.CNAME)!
      this.#add(this.#answer, owner, alias, zone)
      return type === TYPE.ANY ? null : alias.rdatas[0]!
    } else if (type === TYPE.ANY && (node.sets.size > 0 || routed))
      this.#add(this.#answer, owner, { type: TYPE.HINFO, ttl: ANY_TTL, rdatas: [ANY_HINFO] }, zone)
    else return this.#deny(owner, zone, typesOf(node), false)
    return null
  }

  #refuse(): void {
    this.#rcode = RCODE.REFUSED
    this.#isAuthoritative = false
  }

  #refer(cut: NameNode, hops: number): null {
    const { zone } = cut
    const servers = cut.sets.get(TYPE.NS)!
    if (hops === 0) this.#isAuthoritative = false
    for (const rdata of servers.rdatas)
      this.#authority.push({ owner: cut.wire, type: TYPE.NS, ttl: servers.ttl, rdata })
    const ds = cut.sets.get(TYPE.DS)
    if (ds) this.#add(this.#authority, cut.wire, ds, zone)
    else if (zone.signer && this.#asked.dnssec)
      this.#add(this.#authority, cut.wire, nsecSet(cut.wire, zone, [TYPE.NS]), zone)
    for (const server of servers.rdatas) {
      const glue = this.#table.get(server)
      for (const type of [TYPE.A, TYPE.AAAA]) {
        const set = glue?.sets.get(type)
        for (const rdata of set?.rdatas ?? []) this.#additional.push({ owner: server, type, ttl: set!.ttl, rdata })
      }
    }
    return null
  }

  #deny(owner: Uint8Array, zone: ZoneTable, types: Iterable<number>, isName: boolean): null {
    this.#isDenied = isName
    if (isName) this.#rcode = RCODE.NXDOMAIN
    this.#add(this.#authority, zone.apex, { ...zone.soa, ttl: zone.negativeTtl }, zone)
    if (zone.signer && this.#asked.dnssec) {
      // Compact denial says it in the record, with the code of a name that is there.
      this.#rcode = RCODE.NOERROR
      this.#add(this.#authority, owner, nsecSet(owner, zone, types), zone)
    }
    return null
  }

  #add(section: RecordData[], owner: Uint8Array, set: RecordSet, zone: ZoneTable): void {
    for (const rdata of set.rdatas) section.push({ owner, type: set.type, ttl: set.ttl, rdata })
    if (!zone.signer || !this.#asked.dnssec) return
    const { rdatas, staleAt } = zone.signer.sign(owner, set, this.#asked.nowMs)
    for (const rdata of rdatas) section.push({ owner, type: TYPE.RRSIG, ttl: set.ttl, rdata })
    if (staleAt < this.#staleAt) this.#staleAt = staleAt
  }

  #written(): Body {
    const writer = new BodyWriter(this.#asked.name)
    const write = (records: readonly RecordData[]) => {
      let count = 0
      for (const each of records) if (writer.record(each)) count++
      return count
    }
    const answers = write(this.#answer)
    const authority = write(this.#authority)
    const additional = write(this.#additional)
    return {
      bytes: writer.take(),
      rcode: this.#rcode,
      compactRcode: this.#isDenied ? RCODE.NXDOMAIN : this.#rcode,
      isAuthoritative: this.#isAuthoritative,
      answers,
      authority,
      additional,
      staleAt: this.#staleAt,
      routed: this.#routed,
    }
  }
}

const nsecSet = (owner: Uint8Array, zone: ZoneTable, types: Iterable<number>): RecordSet => ({
  type: TYPE.NSEC,
  ttl: zone.negativeTtl,
  rdatas: [nsecOf(owner, types)],
})

function typesOf(node: NameNode): number[] {
  const types = [...node.sets.keys()]
  if (node.routed?.hasV4) types.push(TYPE.A)
  if (node.routed?.hasV6) types.push(TYPE.AAAA)
  return types
}
