/**
 * The same map and the same client subnets put to Izumi and to gdnsd, over the wire: the same choice, the same scope. Maps are random, with
 * prefixes inside prefixes; clients are drawn at and around their edges, where the two could differ.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { startDns } from '../../src/dns/main.ts'
import type { DnsState } from '../../src/dns/state.ts'
import { addressText } from '../../src/dns/wire/addresses.ts'
import { skipWithout } from '../support/engine.ts'
import { temporaryFolder } from '../support/folder.ts'
import { Conversation, queryBytes, readAnswer } from './support/ask.ts'
import { startGdnsd } from './support/gdnsd.ts'

const SITES = ['tokyo', 'osaka', 'nagoya']
const ORDERS = [
  ['tokyo', 'osaka', 'nagoya'],
  ['osaka', 'tokyo', 'nagoya'],
  ['nagoya', 'osaka', 'tokyo'],
]
const ADDRESSES = { tokyo: ['192.0.2.1'], osaka: ['192.0.2.2'], nagoya: ['192.0.2.3'] }
const MAPS = 3
const CLIENTS = 400

interface Net {
  isV6: boolean
  /** The first 32 bits (IPv4), or the 32 behind 2400: (IPv6). */
  bits: number
  length: number
  order: number
}

const net = fc.record({
  isV6: fc.boolean(),
  // Few different bits, so that prefixes lie in each other.
  bits: fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.constantFrom(0x0a000000, 0x0a800000, 0xc0000000, 0xffffffff, 0),
  ),
  length: fc.integer({ min: 1, max: 32 }),
  order: fc.integer({ min: 0, max: ORDERS.length - 1 }),
})

const masked = (bits: number, length: number) => (length === 0 ? 0 : (bits & (0xffffffff << (32 - length))) >>> 0)
const V6_BLOCK = 0x24000000
const textOf = (isV6: boolean, bits: number, length: number) =>
  isV6
    ? `${addressText({ isV6, a: V6_BLOCK, b: masked(bits, length), c: 0, d: 0 })}/${32 + length}`
    : `${addressText({ isV6, a: masked(bits, length), b: 0, c: 0, d: 0 })}/${length}`

test('the same choice and the same scope as gdnsd', async (context) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_007)
  context.diagnostic(`seed ${seed}`)
  const maps = fc.sample(fc.array(net, { minLength: 1, maxLength: 40 }), { seed, numRuns: MAPS })
  for (const [at, list] of maps.entries()) {
    // gdnsd reads blocks such as 2002::/16 as the IPv4 addresses in them, so its IPv6 scopes are never shorter than 6, even where one
    // answer holds for all of IPv6. A /8 around all IPv6 clients keeps that out of the comparison.
    const nets: Record<string, string[]> = { '2400::/8': ORDERS[2]! }
    for (const { isV6, bits, length, order } of list) nets[textOf(isV6, bits, length)] = ORDERS[order]!
    const folder = temporaryFolder('izumi-gdnsd-')
    context.after(() => rmSync(folder, { recursive: true }))
    const gdnsd = await startGdnsd(join(folder, String(at)), { sites: SITES, nets, addresses: ADDRESSES })
    if (gdnsd === null) {
      skipWithout(context, 'Debian’s gdnsd')
      return
    }
    const state: DnsState = {
      zones: [{ name: 'cdn.example', records: [{ type: 'NS', data: 'ns1' }] }],
      sites: SITES.map((name) => ({ name })),
      edges: SITES.map((site) => ({ name: `${site}-1`, site, addresses: ADDRESSES[site as keyof typeof ADDRESSES] })),
      maps: [{ name: 'world', prefixes: nets, default: SITES }],
      properties: [{ name: 'shop', names: ['shop.cdn.example'] }],
      settings: { rateLimit: { perSecond: 0 } },
    }
    const dns = await startDns({ state }, { listen: '127.0.0.1:0', workers: 1 })
    const ours = await Conversation.open(dns.addresses.dns[0]!)
    const theirs = await Conversation.open(gdnsd.address)
    try {
      for (const subnet of clients(list, seed + at)) {
        const query = queryBytes('shop.cdn.example', { subnet })
        const [one, other] = (await Promise.all([ours.ask(query), theirs.ask(query)])).map((bytes) => readAnswer(bytes))
        assert.deepEqual(
          { addresses: one!.addresses, scope: one!.scope, rcode: one!.rcode },
          { addresses: other!.addresses, scope: other!.scope, rcode: other!.rcode },
          `${subnet} with ${JSON.stringify(nets)}, seed ${seed}`,
        )
      }
    } finally {
      ours.close()
      theirs.close()
      await dns.close()
      await gdnsd.close()
    }
  }
})

/** Subnets of any length: at the start and the end of each prefix, beside it, and anywhere. */
function clients(nets: readonly Net[], seed: number): string[] {
  const near = fc.tuple(fc.constantFrom(...nets), fc.integer({ min: -1, max: 1 }), fc.boolean())
  const from = fc.oneof(
    near.map(([{ isV6, bits, length }, step, atEnd]) => ({
      isV6,
      bits: (masked(bits, length) + (atEnd ? 2 ** (32 - length) - 1 : 0) + step + 2 ** 32) % 2 ** 32,
    })),
    fc.record({ isV6: fc.boolean(), bits: fc.integer({ min: 0, max: 0xffffffff }) }),
  )
  const subnet = fc
    .tuple(from, fc.oneof(fc.constant(32), fc.constant(24), fc.integer({ min: 1, max: 32 })))
    .map(([{ isV6, bits }, length]) => textOf(isV6, bits, length))
  return fc.sample(subnet, { seed, numRuns: CLIENTS })
}
