/**
 * A state compiled to what is answered from: the table of names with their records, properties and keys. Everything the schema cannot
 * say is checked here (names outside their zone, a CNAME beside other data, edges that are not there), all faults at once.
 */

import type { CompiledMap } from './choice/maps.ts'
import { Routed, type RoutedEdge, type View } from './choice/routed.ts'
import { Signer } from './dnssec/signer.ts'
import type { DnsSettings, DnsState, Zone } from './state.ts'
import { addressBytes, noAddress, readAddress } from './wire/addresses.ts'
import { TYPE, typeCode } from './wire/codes.ts'
import { isUnder, nameKey, parent, toText, toWire } from './wire/names.ts'
import { rdataFromText, WrongData } from './wire/rdata.ts'
import { NameNode, NameTable, type ZoneTable } from './zones/zone.ts'

export const DEFAULTS = { zoneTtl: 300, ttl: 20, answers: 2, negativeTtl: 60 } as const

type Path = (string | number)[]
type Tell = (path: Path, problem: string, expected: string) => void

export interface Compiled {
  table: NameTable
  zones: ZoneTable[]
  routed: Routed[]
  settings: DnsSettings
}

/** Types that are made here or never stand in a zone. */
const NOT_GIVEN: readonly number[] = [
  TYPE.SOA,
  TYPE.DNAME,
  TYPE.OPT,
  TYPE.RRSIG,
  TYPE.NSEC,
  TYPE.DNSKEY,
  TYPE.CDS,
  TYPE.CDNSKEY,
  TYPE.NXNAME,
  TYPE.TKEY,
  TYPE.TSIG,
  TYPE.IXFR,
  TYPE.AXFR,
  TYPE.MAILA,
  TYPE.MAILB,
  TYPE.ANY,
]

/** Everything is up and nothing is shed. */
export const wellView = ({ edges = [], sites = [] }: Pick<DnsState, 'edges' | 'sites'>): View => ({
  epoch: 0,
  up: new Uint8Array(edges.length).fill(1),
  shed: new Float64Array(sites.length),
})

/** Tells all faults; what it returns after any is not to be used. */
export function compile(state: DnsState, maps: readonly CompiledMap[], view: View, tell: Tell): Compiled {
  const settings = state.settings ?? {}
  const nodes = new Map<string, NameNode>()
  const apexes = new Map<string, { zone: ZoneTable; at: number }>()
  for (const [at, zone] of state.zones.entries()) {
    const apex = toWire(zone.name)
    if (apex === null) tell(['zones', at, 'name'], `${zone.name} is no name`, 'a zone such as cdn.example')
    else if (apexes.has(nameKey(apex))) tell(['zones', at, 'name'], `${zone.name} is there already`, 'each zone once')
    else apexes.set(nameKey(apex), { zone: zoneTable(zone, apex, ['zones', at], tell), at })
  }
  const zoneOf = (name: Uint8Array): ZoneTable | null => {
    for (let each: Uint8Array | null = name; each !== null; each = parent(each)) {
      const found = apexes.get(nameKey(each))
      if (found) return found.zone
    }
    return null
  }
  const nodeAt = (wire: Uint8Array, zone: ZoneTable): NameNode => {
    const key = nameKey(wire)
    let node = nodes.get(key)
    if (node === undefined) {
      node = new NameNode(wire, zone)
      nodes.set(key, node)
      // A name makes all names above it exist.
      if (wire.length > zone.apex.length) nodeAt(parent(wire)!, zone)
    }
    return node
  }
  for (const { zone, at } of apexes.values())
    addRecords(state.zones[at]!, zone, ['zones', at], { nodeAt, zoneOf, tell })
  for (const { zone } of apexes.values()) {
    // A zone served below another: what the upper one says at the cut (NS, DS) is kept for those who ask for it.
    const above = zone.apex.length > 1 ? zoneOf(parent(zone.apex)!) : null
    if (above && zone.above === null && zone.apex[0] !== 0) zone.above = new NameNode(zone.apex, above)
  }
  const routed = compileProperties(state, maps, view, { nodeAt, zoneOf, tell })
  for (const node of nodes.values()) {
    if (node.sets.has(TYPE.CNAME) && (node.sets.size > 1 || node.routed))
      tell(
        ['zones', state.zones.findIndex((zone) => nameKey(toWire(zone.name)!) === nameKey(node.zone.apex))],
        `${toText(node.wire)} has a CNAME and other data`,
        'a CNAME alone (RFC 1034 §3.6.2)',
      )
    for (let each: Uint8Array = node.wire; each.length > node.zone.apex.length; each = parent(each)!) {
      const above = nodes.get(nameKey(each))
      // The outermost delegation is the one that counts.
      if (above?.sets.has(TYPE.NS)) node.cut = above
    }
  }
  return {
    table: new NameTable([...nodes.values()]),
    zones: [...apexes.values()].map(({ zone }) => zone),
    routed,
    settings,
  }
}

interface Context {
  nodeAt: (wire: Uint8Array, zone: ZoneTable) => NameNode
  zoneOf: (name: Uint8Array) => ZoneTable | null
  tell: Tell
}

function zoneTable(zone: Zone, apex: Uint8Array, path: Path, tell: Tell): ZoneTable {
  const ttl = zone.ttl ?? DEFAULTS.zoneTtl
  const said = zone.soa ?? {}
  const firstServer = zone.records.find(({ type, name }) => type === 'NS' && (name === undefined || name === '@'))?.data
  const server = [firstServer ?? 'ns'].flat()[0]!
  const names = [said.primary ?? server, said.contact ?? 'hostmaster'].map((name) => toWire(name, apex) ?? apex)
  const numbers = Buffer.alloc(20)
  const negativeTtl = said.negative ?? DEFAULTS.negativeTtl
  for (const [at, value] of [
    said.serial ?? 1,
    said.refresh ?? 3_600,
    said.retry ?? 600,
    said.expire ?? 1_209_600,
    negativeTtl,
  ].entries())
    numbers.writeUInt32BE(value, at * 4)
  let signer: Signer | null = null
  try {
    if (zone.keys?.length) signer = new Signer(apex, zone.keys)
  } catch (error) {
    tell([...path, 'keys'], (error as Error).message, 'keys as `izumi dns keygen` writes them')
  }
  return {
    apex,
    soa: { type: TYPE.SOA, ttl, rdatas: [new Uint8Array(Buffer.concat([...names, numbers]))] },
    negativeTtl: Math.min(ttl, negativeTtl),
    signer,
    above: null,
  }
}

function addRecords(zone: Zone, table: ZoneTable, path: Path, { nodeAt, zoneOf, tell }: Context): void {
  const ttl = zone.ttl ?? DEFAULTS.zoneTtl
  const apex = nodeAt(table.apex, table)
  apex.sets.set(TYPE.SOA, table.soa)
  if (table.signer) for (const [type, rdatas] of table.signer.sets()) apex.sets.set(type, { type, ttl, rdatas })
  for (const [at, { name = '@', type: typeText, ttl: own, data }] of zone.records.entries()) {
    const here = [...path, 'records', at]
    const owner = toWire(name, table.apex)
    const type = typeCode(typeText)
    if (owner === null || !isUnder(owner, table.apex)) {
      tell(
        [...here, 'name'],
        `${name} is no name inside ${zone.name}`,
        `a name such as www, or one that ends in ${zone.name}.`,
      )
      continue
    }
    if (type === null || NOT_GIVEN.includes(type)) {
      tell(
        [...here, 'type'],
        `${typeText} cannot be given here`,
        'A, AAAA, CNAME, NS, MX, TXT, SRV, CAA, HTTPS, or TYPE65 for any other',
      )
      continue
    }
    const rdatas: Uint8Array[] = []
    for (const [index, text] of [data].flat().entries()) {
      try {
        rdatas.push(rdataFromText(type, text, table.apex))
      } catch (error) {
        if (!(error instanceof WrongData)) throw error
        tell(Array.isArray(data) ? [...here, 'data', index] : [...here, 'data'], error.message, error.expected)
      }
    }
    const inner = zoneOf(owner)!
    const isAbove = inner !== table
    if (isAbove && (owner.length !== inner.apex.length || (type !== TYPE.NS && type !== TYPE.DS))) {
      // Glue for a zone that is served here as well says nothing new.
      if (type !== TYPE.A && type !== TYPE.AAAA)
        tell([...here, 'name'], `${name} lies in the zone ${toText(inner.apex)}`, 'its record there')
      continue
    }
    if (isAbove) inner.above ??= new NameNode(inner.apex, table)
    const node = isAbove ? inner.above! : nodeAt(owner, table)
    const set = node.sets.get(type)
    if (set && type === TYPE.CNAME) tell(here, `${name} has a CNAME already`, 'one')
    else if (set)
      set.rdatas.push(...rdatas.filter((each) => !set.rdatas.some((other) => Buffer.compare(each, other) === 0)))
    else node.sets.set(type, { type, ttl: own ?? ttl, rdatas: unique(rdatas) })
  }
}

const unique = (rdatas: Uint8Array[]): Uint8Array[] =>
  rdatas.filter((each, at) => rdatas.findIndex((other) => Buffer.compare(each, other) === 0) === at)

function compileProperties(state: DnsState, maps: readonly CompiledMap[], view: View, context: Context): Routed[] {
  const { tell } = context
  const sites = numbered(state.sites ?? [], 'sites', tell)
  const edgeNumbers = numbered(state.edges ?? [], 'edges', tell)
  const mapByName = new Map(maps.map((map) => [map.name, map]))
  numbered(state.maps ?? [], 'maps', tell)
  numbered(state.properties ?? [], 'properties', tell)
  const edges = (state.edges ?? []).map((edge, at): RoutedEdge => {
    const site = sites.get(edge.site)
    if (site === undefined) tell(['edges', at, 'site'], `there is no site ${edge.site}`, 'one of the sites')
    const found: RoutedEdge = {
      number: at,
      name: edge.name,
      site: site ?? 0,
      weight: edge.weight ?? 1,
      drained: edge.drained ?? false,
      v4: [],
      v6: [],
    }
    for (const [index, text] of edge.addresses.entries()) {
      const address = noAddress()
      if (readAddress(text, address)) (address.isV6 ? found.v6 : found.v4).push(addressBytes(address))
      else tell(['edges', at, 'addresses', index], `${text} is no address`, 'one such as 192.0.2.7 or 2001:db8::7')
    }
    return found
  })
  const settings = { ttl: state.settings?.ttl ?? DEFAULTS.ttl, answers: state.settings?.answers ?? DEFAULTS.answers }
  return (state.properties ?? []).map((property, at) => {
    const path = ['properties', at]
    const wanted = named(property.edges, edgeNumbers, [...path, 'edges'], tell)
    const allowed = named(property.sites, sites, [...path, 'sites'], tell)
    const own = edges.filter(({ number, site }) => (wanted?.has(number) ?? true) && (allowed?.has(site) ?? true))
    if (own.length === 0) tell(path, `${property.name} has no edge`, 'at least one edge at its sites')
    const map = property.map === undefined ? maps[0] : mapByName.get(property.map)
    if (property.map !== undefined && map === undefined)
      tell([...path, 'map'], `there is no map ${property.map}`, `one of ${maps.map(({ name }) => name).join(', ')}`)
    const routed = new Routed(property, settings, map ?? null, own, view)
    for (const [index, name] of property.names.entries()) {
      const wire = toWire(name)
      const zone = wire && context.zoneOf(wire)
      const here = [...path, 'names', index]
      if (!wire || !zone) {
        tell(here, `${name} lies in none of the zones`, 'a name inside a zone that is served here')
        continue
      }
      const node = context.nodeAt(wire, zone)
      if (node.routed)
        tell(here, `${name} belongs to ${node.routed.property.name} already`, 'a name of one property only')
      else if (node.sets.has(TYPE.A) || node.sets.has(TYPE.AAAA))
        tell(here, `${name} has addresses in its zone already`, 'either those or the property')
      else node.routed = routed
    }
    return routed
  })
}

function numbered(items: readonly { name: string }[], where: string, tell: Tell): Map<string, number> {
  const numbers = new Map<string, number>()
  for (const [at, { name }] of items.entries()) {
    if (numbers.has(name)) tell([where, at, 'name'], `${name} is there already`, 'a name of its own')
    else numbers.set(name, at)
  }
  return numbers
}

function named(
  names: readonly string[] | undefined,
  numbers: ReadonlyMap<string, number>,
  path: Path,
  tell: Tell,
): Set<number> | null {
  if (names === undefined) return null
  const found = new Set<number>()
  for (const [at, name] of names.entries()) {
    const number = numbers.get(name)
    if (number === undefined)
      tell([...path, at], `there is no ${name}`, `one of ${[...numbers.keys()].slice(0, 20).join(', ')}`)
    else found.add(number)
  }
  return found
}
