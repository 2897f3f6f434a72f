/**
 * Authoritative servers as `bench/dns.ts` starts them: Debian's packages, private instances in a temporary folder, one thread that answers,
 * pinned to one core, all with the same zone and, where they can, the same map from client subnets to sites.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, pinned } from './caches.ts'

export interface DnsTarget {
  name: string
  port: number
  process: ChildProcess
  /** What it can be asked: a plain record, one led by client subnet, a signed record. */
  can: { plain: boolean; routed: boolean; signed: boolean }
}

export interface DnsPeerOptions {
  folder: string
  core: number
}

/** One site for 203.0.113.0/24, the other for all else. */
export const NEAR = { subnet: '203.0.113.0/24', address: '192.0.2.2' }
export const FAR_ADDRESS = '192.0.2.1'

const ZONE = `@ 300 IN SOA ns1.cdn.example. hostmaster.cdn.example. 1 3600 600 1209600 60
@ 300 IN NS ns1.cdn.example.
@ 300 IN NS ns2.cdn.example.
ns1 300 IN A 192.0.2.53
ns2 300 IN A 192.0.2.54
static 300 IN A ${FAR_ADDRESS}
`

export async function gdnsd({ folder, core }: DnsPeerOptions): Promise<DnsTarget> {
  const home = join(folder, 'gdnsd')
  for (const name of ['etc/zones', 'run', 'state']) mkdirSync(join(home, name), { recursive: true })
  const port = await freePort()
  writeFileSync(
    join(home, 'etc/config'),
    `options => { listen => 127.0.0.1:${port}, edns_client_subnet => true, udp_threads => 1, tcp_threads => 1,
       run_dir => ${home}/run, state_dir => ${home}/state }
     plugins => { geoip => {
       maps => { world => { datacenters => [far, near], auto_dc_coords => {}, nets => { ${NEAR.subnet} => [near, far] } } }
       resources => { shop => { map => world, dcmap => { far => [${FAR_ADDRESS}], near => [${NEAR.address}] } } } } }`,
  )
  writeFileSync(join(home, 'etc/zones/cdn.example'), `${ZONE}shop 20 DYNA geoip!shop\n`)
  const process = pinned(core, 'gdnsd', ['-c', join(home, 'etc'), 'start'], join(home, 'log'))
  return { name: 'gdnsd', port, process, can: { plain: true, routed: true, signed: false } }
}

/** The GeoIP backend with client subnets; its caches stay as they are by default. */
export async function powerdns({ folder, core }: DnsPeerOptions): Promise<DnsTarget> {
  const home = join(folder, 'pdns')
  mkdirSync(home)
  const port = await freePort()
  writeFileSync(
    join(home, 'geo.yaml'),
    `domains:
- domain: cdn.example
  ttl: 20
  records:
    cdn.example:
      - soa: ns1.cdn.example hostmaster.cdn.example 1 3600 600 1209600 60
      - ns: ns1.cdn.example
      - ns: ns2.cdn.example
    ns1.cdn.example:
      - a: 192.0.2.53
    ns2.cdn.example:
      - a: 192.0.2.54
    static.cdn.example:
      - a: ${FAR_ADDRESS}
    far.cdn.example:
      - a: ${FAR_ADDRESS}
    near.cdn.example:
      - a: ${NEAR.address}
  services:
    shop.cdn.example:
      default: far.cdn.example
      ${NEAR.subnet}: near.cdn.example
`,
  )
  writeFileSync(
    join(home, 'pdns.conf'),
    `launch=geoip
geoip-zones-file=${join(home, 'geo.yaml')}
geoip-database-files=
edns-subnet-processing=yes
local-address=127.0.0.1
local-port=${port}
socket-dir=${home}
receiver-threads=1
distributor-threads=1
daemon=no
guardian=no
security-poll-suffix=
zone-cache-refresh-interval=0
`,
  )
  const process = pinned(core, 'pdns_server', [`--config-dir=${home}`], join(home, 'log'))
  return { name: 'PowerDNS, GeoIP backend', port, process, can: { plain: true, routed: true, signed: false } }
}

/** Signs its zone itself; mod-geoip leads by client subnet, with the sites' records signed beforehand. */
export async function knot({ folder, core }: DnsPeerOptions): Promise<DnsTarget> {
  const home = join(folder, 'knot')
  mkdirSync(home)
  const port = await freePort()
  writeFileSync(join(home, 'cdn.example.zone'), `${ZONE}shop 20 IN A ${FAR_ADDRESS}\n`)
  writeFileSync(
    join(home, 'geo.conf'),
    `shop.cdn.example:
  - net: 0.0.0.0/0
    A: ${FAR_ADDRESS}
  - net: ${NEAR.subnet}
    A: ${NEAR.address}
`,
  )
  writeFileSync(
    join(home, 'knot.conf'),
    `server:
  listen: 127.0.0.1@${port}
  rundir: ${home}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  edns-client-subnet: on
database:
  storage: ${home}
mod-geoip:
  - id: geo
    config-file: ${join(home, 'geo.conf')}
    ttl: 20
    mode: subnet
zone:
  - domain: cdn.example
    storage: ${home}
    file: cdn.example.zone
    zonefile-sync: -1
    dnssec-signing: on
    module: mod-geoip/geo
`,
  )
  const process = pinned(core, 'knotd', ['-c', join(home, 'knot.conf')], join(home, 'log'))
  return { name: 'Knot', port, process, can: { plain: true, routed: true, signed: true } }
}
