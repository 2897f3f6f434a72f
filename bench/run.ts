/** `npm run bench -- NAME [options]`: runs one benchmark of this folder; without a name it lists them. */
const BENCHES: Record<string, { what: string; load: () => Promise<{ bench(options: string[]): Promise<void> }> }> = {
  capacity: {
    what: 'claims over HTTP beside OpenStack Placement: [--quick] [--no-peer] [--million]',
    load: () => import('./capacity.ts'),
  },
  dns: {
    what: 'CPU of an answer beside gdnsd, PowerDNS, Knot; a million prefixes; signed: [--quick] [--prefixes …] [--no-peers]',
    load: () => import('./dns.ts'),
  },
  'cdn-control': {
    what: 'purges and versions confirmed by every edge: [--purges 300] [--activations 100] [--feeds 200,1000]',
    load: () => import('./cdn-control.ts'),
  },
  'edge-trace': {
    what: 'hit ratios on a day of real requests beside LRU, nginx and Varnish: [--sizes …] [--driven 2,8,32] [--no-peers]',
    load: () => import('./edge-trace.ts'),
  },
  'edge-scale': {
    what: 'memory, CPU a hit and purges, to a million objects and 10,000 properties: [--objects …] [--properties …]',
    load: () => import('./edge-scale.ts'),
  },
  'edge-hit': {
    what: 'CPU of a hit beside nginx, Varnish, Traffic Server, HAProxy: [--quick] [--sizes 1024,…] [--only http|https]',
    load: () => import('./edge-hit.ts'),
  },
  'edge-miss': {
    what: 'CPU of a miss beside the same as plain proxies: [--quick] [--sizes 1024,…]',
    load: () => import('./edge-miss.ts'),
  },
  failover: {
    what: 'a drill over 1,000 protected claims, and back: [--claims 1000]',
    load: () => import('./failover.ts'),
  },
  usage: {
    what: 'a month of 1,000 circuits in, and all its percentiles, beside plain rows and rrdtool: [--quick] [--no-peers]',
    load: () => import('./usage.ts'),
  },
  race: {
    what: 'the race for the last units, 50 rounds: [--rounds 50] [--processes 4]',
    load: () => import('./race.ts'),
  },
}

const [name, ...options] = process.argv.slice(2)
const chosen = name === undefined ? undefined : BENCHES[name]
if (!chosen) {
  for (const [each, { what }] of Object.entries(BENCHES)) console.log(`${each.padEnd(12)} ${what}`)
  process.exit(name === undefined ? 0 : 2)
}
await (await chosen.load()).bench(options)
process.exit(0)
