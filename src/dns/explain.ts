/** Why a client gets the answer it gets, step by step: the same rules as the hot path, told as they are used. */

import { BadInput } from '../core/errors.ts'
import { lookUp } from './choice/maps.ts'
import type { Routed } from './choice/routed.ts'
import { BLOCK_BITS, placeOf } from './choice/rules.ts'
import { compile, wellView } from './compile.ts'
import { loadDnsFile } from './config.ts'
import type { Prepared } from './serve/unit.ts'
import { type AddressWords, addressText, mask, noAddress, readAddress } from './wire/addresses.ts'
import { TYPE, typeCode } from './wire/codes.ts'
import { toText, toWire } from './wire/names.ts'
import { wildcardOf } from './zones/zone.ts'

export interface Step {
  step: string
  outcome: string
}

export interface Question {
  name: string
  /** The client: an address. */
  from: string
  type: string
}

/** @throws BadInput */
export function explain({ state, maps, view }: Prepared, { name, from, type }: Question): Step[] {
  const wire = toWire(name)
  if (wire === null) throw new BadInput('name', `${name} is no name`, 'a name such as www.shop.example')
  const client = noAddress()
  if (!readAddress(from.split('/')[0]!, client))
    throw new BadInput('from', `${from} is no address`, 'one such as 203.0.113.7')
  const code = typeCode(type.toUpperCase())
  if (code === null) throw new BadInput('type', `${type} is no type`, 'A, AAAA, TXT …')
  const { table } = compile(state, maps, view, () => {})
  const steps: Step[] = []
  const say = (step: string, outcome: string) => void steps.push({ step, outcome })
  let owner = wire
  for (let hops = 0; hops < 8; hops++) {
    let node = table.get(owner)
    if (node === null) {
      const encloser = table.encloser(owner)
      if (encloser === null) {
        say('zone', `no zone holds ${toText(owner)}: ${hops === 0 ? 'REFUSED' : 'the resolver asks elsewhere'}`)
        return steps
      }
      if (encloser.cut) {
        say('delegation', `${toText(encloser.cut.wire)} is delegated: its name servers are told`)
        return steps
      }
      node = table.get(wildcardOf(encloser.wire))
      if (node === null) {
        say('name', `${toText(owner)} is not there: NXDOMAIN, to be kept for ${encloser.zone.negativeTtl} s`)
        return steps
      }
      say('name', `${toText(owner)} is made from ${toText(node.wire)}`)
    } else say('name', `${toText(owner)} is in the zone ${toText(node.zone.apex)}${node.zone.signer ? ', signed' : ''}`)
    if (node.cut) {
      say('delegation', `${toText(node.cut.wire)} is delegated: its name servers are told`)
      return steps
    }
    const { routed } = node
    if (routed && (code === TYPE.A || code === TYPE.AAAA)) {
      explainRouted(routed, client, code, state.sites ?? [], say)
      return steps
    }
    const set = node.sets.get(code)
    const alias = node.sets.get(TYPE.CNAME)
    if (set || !alias) {
      say('records', set ? `${set.rdatas.length} of type ${type}, TTL ${set.ttl}` : `none of type ${type}`)
      return steps
    }
    owner = alias.rdatas[0]!
    say('alias', `a CNAME to ${toText(owner)}`)
  }
  return steps
}

function explainRouted(
  routed: Routed,
  client: AddressWords,
  type: number,
  sites: readonly { name: string }[],
  say: (step: string, outcome: string) => void,
): void {
  const nameOf = (site: number) => sites[site]?.name ?? `site ${site}`
  say('property', `${routed.property.name}, ${routed.edges.length} edges`)
  const found = { order: 0, scope: 0 }
  if (routed.map) {
    lookUp(routed.map, client, found)
    const block = { ...client }
    mask(block, found.scope)
    say(
      'map',
      `${routed.map.name}: ${addressText(block)}/${found.scope} prefers ${routed.map.orders[found.order]!.map(nameOf).join(', ')}`,
    )
  } else say('map', 'none: the sites in their order')
  if (routed.looseness !== 'well')
    say(
      'health',
      routed.looseness === 'down' ? 'every edge is down: all are answered' : 'every edge is drained: all are answered',
    )
  for (const edge of routed.edges)
    if (!routed.isUsable(edge))
      say('health', `${edge.name} at ${nameOf(edge.site)} is left out: ${edge.drained ? 'drained' : 'down'}`)
  const shares = routed.sharesOf(found.order)
  if (shares.length > 1) {
    const bits = client.isV6 ? BLOCK_BITS.v6 : BLOCK_BITS.v4
    const block = { ...client }
    mask(block, bits)
    say(
      'load',
      `${shares.map(({ site, share }) => `${nameOf(site)} ${Math.round(share * 100)} %`).join(', ')}; ${addressText(block)}/${bits} lies at ${Math.round(placeOf(block.a, block.b, client.isV6) * 100)} %`,
    )
  }
  const choice = { site: 0, scope: 0, order: 0 }
  routed.choose(client, choice)
  say('site', nameOf(choice.site))
  const edges = routed.edgesAt(choice.site)
  say('edges', `${edges.map(({ name }) => name).join(', ')} by their hash with ${routed.property.name}`)
  const addresses = edges.flatMap(({ v4, v6 }) => (type === TYPE.A ? v4 : v6)).slice(0, routed.answers)
  say('answer', addresses.length > 0 ? addresses.map(bytesText).join(', ') : 'no address of this family')
  say('scope', `/${choice.scope}, TTL ${routed.ttl}`)
}

function bytesText(bytes: Uint8Array): string {
  const view = Buffer.from(bytes)
  const words = [0, 4, 8, 12].map((at) => (at < view.length ? view.readUInt32BE(at) : 0)) as [
    number,
    number,
    number,
    number,
  ]
  return addressText({ isV6: view.length === 16, a: words[0], b: words[1], c: words[2], d: words[3] })
}

/** The same from a file, as if all edges were up. @throws BadInput, ConfigRefused */
export function explainFile(file: string, question: Question): Step[] {
  const { state, maps } = loadDnsFile(file)
  return explain({ state, maps, view: wellView(state), siteSlots: [] }, question)
}
