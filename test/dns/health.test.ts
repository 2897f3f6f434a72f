/** Sites that are killed, drained, overloaded, given up: what is answered then. Real servers are checked over real connections. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { type Dns, startDns } from '../../src/dns/main.ts'
import type { DnsState } from '../../src/dns/state.ts'
import { ask } from './support/ask.ts'

/** Sites on addresses of the loopback, with one port. */
const SITES = { tokyo: ['127.0.0.11', '127.0.0.12'], osaka: ['127.0.0.21'] }
let port = 0
const servers = new Map<string, Server>()
/** Addresses that answer with an error. */
const failing = new Set<string>()

async function serve(address: string): Promise<void> {
  const server = createServer((_request, response) =>
    response.writeHead(failing.has(address) ? 503 : 200).end(),
  ).listen(port, address)
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
  servers.set(address, server)
}
async function kill(address: string): Promise<void> {
  const server = servers.get(address)!
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

const state = (change: (state: DnsState) => void = () => {}): DnsState => {
  const made: DnsState = {
    zones: [{ name: 'cdn.example', records: [{ type: 'NS', data: 'ns1' }] }],
    sites: Object.keys(SITES).map((name) => ({ name })),
    edges: Object.entries(SITES).flatMap(([site, addresses]) =>
      addresses.map((address, at) => ({ name: `${site}-${at + 1}`, site, addresses: [address] })),
    ),
    maps: [{ name: 'world', default: ['tokyo', 'osaka'] }],
    properties: [{ name: 'shop', names: ['shop.cdn.example'] }],
    settings: {
      rateLimit: { perSecond: 0 },
      health: { kind: 'http', port, path: '/health', intervalSeconds: 0.1, timeoutSeconds: 2, falls: 2, rises: 2 },
    },
  }
  change(made)
  return made
}

let dns: Dns
before(async () => {
  for (const address of Object.values(SITES).flat()) await serve(address)
  dns = await startDns({ state: state() }, { listen: '127.0.0.1:0', workers: 2 })
})
after(async () => {
  await dns.close()
  for (const server of servers.values()) server.close()
})

const addresses = async (subnet?: string) =>
  (await ask(dns.addresses.dns[0]!, 'shop.cdn.example', subnet ? { subnet } : {})).addresses.sort()

/** Asks until the answer is this; the test's own time limit ends it. */
async function until(wanted: readonly string[]): Promise<number> {
  const started = performance.now()
  // Several sockets, so that every worker is asked.
  while (
    !(await Promise.all(Array.from({ length: 8 }, () => addresses()))).every((each) => each.join() === wanted.join())
  );
  return performance.now() - started
}

/** Until the router sees these edges down and all others up. */
async function untilDown(...down: readonly string[]): Promise<void> {
  while (dns.health().edges.some(({ edge, own }) => own === down.includes(edge))) await setImmediate()
}

test('a killed edge, and then its site, leave the answers; they come back when they are up again', async (context) => {
  await until(SITES.tokyo)
  await kill('127.0.0.11')
  await until(['127.0.0.12'])
  await kill('127.0.0.12')
  context.diagnostic(`a killed site was out of the answers after ${Math.round(await until(SITES.osaka))} ms`)
  const { edges, sites } = dns.health()
  assert.deepEqual(
    edges.map(({ up }) => up),
    [false, false, true],
  )
  assert.match(edges[0]!.problem!, /ECONNREFUSED/)
  assert.deepEqual(
    sites.map(({ up }) => up),
    [false, true],
  )
  assert.match(JSON.stringify(dns.explain('shop.cdn.example', '203.0.113.7')), /tokyo-1 at tokyo is left out: down/)
  // With everything down, everything is answered again, the preferred site first.
  await kill('127.0.0.21')
  await until(SITES.tokyo)
  for (const address of Object.values(SITES).flat()) await serve(address)
  await untilDown()
  await until(SITES.tokyo)
})

test('an edge that answers with an error is down', async () => {
  failing.add('127.0.0.11')
  await until(['127.0.0.12'])
  failing.clear()
  await untilDown()
  await until(SITES.tokyo)
})

test('what the control plane says counts: a site given up, an edge drained, others who see it down or up', async () => {
  await dns.apply(state(({ sites }) => void Object.assign(sites![0]!, { failed: true })))
  assert.deepEqual(await addresses(), SITES.osaka)
  await dns.apply(state(({ edges }) => void Object.assign(edges![0]!, { drained: true })))
  assert.deepEqual(await addresses(), ['127.0.0.12'])
  await dns.apply(state(({ edges }) => void Object.assign(edges![1]!, { seen: { up: 0, down: 2 } })))
  assert.deepEqual(await addresses(), ['127.0.0.11'])
  await dns.apply(state())
  assert.deepEqual(await addresses(), SITES.tokyo)
})

test('a site over its bandwidth sheds the share that is too much, network by network, and takes it back', async () => {
  const networks = Array.from({ length: 300 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`)
  const shares = async () => {
    let osaka = 0
    for (const subnet of networks) {
      const answer = await ask(dns.addresses.dns[0]!, 'shop.cdn.example', { subnet })
      if (answer.addresses[0] === SITES.osaka[0]) osaka++
      assert.ok(answer.scope! === 0 || answer.scope === 24)
    }
    return osaka / networks.length
  }
  assert.equal(await shares(), 0)
  const loaded = (rate: number) =>
    state(({ sites }) => void Object.assign(sites![0]!, { openBitsPerSecond: 100e9, rateBitsPerSecond: rate }))
  await dns.apply(loaded(200e9))
  const shed = await shares()
  assert.ok(Math.abs(shed - 0.5) < 0.1, `${shed}`)
  // The same reading told again changes nothing.
  await dns.apply(loaded(200e9))
  assert.equal(await shares(), shed)
  assert.equal(dns.health().sites[0]!.shed, 0.5)
  await dns.apply(loaded(20e9))
  assert.equal(dns.health().sites[0]!.shed, 0.4)
  await dns.apply(state(({ sites }) => void Object.assign(sites![0]!, { shed: 1 })))
  assert.deepEqual(await addresses('10.0.0.0/24'), SITES.osaka)
})
