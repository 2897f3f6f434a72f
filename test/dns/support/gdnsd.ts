/** A gdnsd of its own with a map given, as an oracle. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './port.ts'

export interface Gdnsd {
  address: string
  close(): Promise<void>
}

export interface GdnsdMap {
  sites: readonly string[]
  /** Prefix → sites in order. */
  nets: Readonly<Record<string, readonly string[]>>
  addresses: Readonly<Record<string, readonly string[]>>
}

/** Answers `shop.cdn.example` by the map; the default is the sites in their order. Null: gdnsd is not installed. */
export async function startGdnsd(folder: string, { sites, nets, addresses }: GdnsdMap): Promise<Gdnsd | null> {
  const port = await freePort()
  for (const name of ['etc/zones', 'run', 'state']) mkdirSync(join(folder, name), { recursive: true })
  const list = (items: readonly string[]) => `[${items.join(', ')}]`
  writeFileSync(
    join(folder, 'etc/config'),
    `options => { listen => 127.0.0.1:${port}, edns_client_subnet => true, udp_threads => 1, tcp_threads => 1,
       run_dir => ${join(folder, 'run')}, state_dir => ${join(folder, 'state')} }
     plugins => { geoip => {
       maps => { world => { datacenters => ${list(sites)}, auto_dc_coords => {}, nets => {
         ${Object.entries(nets)
           .map(([net, order]) => `${net} => ${list(order)}`)
           .join('\n')} } } }
       resources => { shop => { map => world, dcmap => {
         ${sites.map((site) => `${site} => ${list(addresses[site]!)}`).join(', ')} } } } } }`,
  )
  writeFileSync(
    join(folder, 'etc/zones/cdn.example'),
    '@ SOA ns1 hostmaster 1 3600 600 1209600 60\n@ NS ns1.cdn.example.\n@ NS ns2.cdn.example.\nns1 A 192.0.2.53\nns2 A 192.0.2.54\nshop 20 DYNA geoip!shop\n',
  )
  const child = spawn('gdnsd', ['-c', join(folder, 'etc'), 'start'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const started = await new Promise<boolean>((resolve, reject) => {
    let said = ''
    const read = (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes('DNS listeners started')) resolve(true)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(false) : reject(error)))
    child.once('exit', () => reject(new Error(`gdnsd ended: ${said}`)))
  })
  if (!started) return null
  return { address: `127.0.0.1:${port}`, close: () => ended(child) }
}

export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((resolve) => {
    child.removeAllListeners('exit')
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}
