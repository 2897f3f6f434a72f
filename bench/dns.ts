/**
 * `npm run bench -- dns`: what an answer costs, beside gdnsd, PowerDNS and Knot, all in one run: one thread each on one core, the load on the
 * other; rounds are interleaved, so that whatever else the machine does meets all alike. CPU microseconds an answer come from
 * /proc and hold on a busy machine too; their inverse is what a core can do. The rates are those of this machine, where the
 * load generator often is the limit.
 *
 * Options: [--quick] [--rounds 3] [--seconds 3] [--no-peers] [--prefixes 1000000] [--only-prefixes]
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { figuresBytes } from '../src/dns/answer/figures.ts'
import { Responder } from '../src/dns/answer/responder.ts'
import { compileMaps } from '../src/dns/choice/maps.ts'
import { compile, wellView } from '../src/dns/compile.ts'
import { makeKey, readKeyFile } from '../src/dns/dnssec/key-file.ts'
import type { DnsState } from '../src/dns/state.ts'
import { noAddress, readAddress } from '../src/dns/wire/addresses.ts'
import { compare, median } from './measure.ts'
import { freePort, has, listening, pinned, stopAll } from './peers/caches.ts'
import { type DnsTarget, FAR_ADDRESS, gdnsd, knot, NEAR, powerdns } from './peers/dns.ts'
import { askAll, type DnsSample, dnsperf } from './peers/dns-load.ts'

const SERVER_CORE = 0
const LOAD_CORE = 1
const OURS = 'Izumi'
const START_TRIES = 8
/** Family 1, source 24, scope 0, 203.0.113. */
const SUBNET = ['-E', '8:00011800cb0071']

type Case = { name: string; query: string; more: string[]; needs: keyof DnsTarget['can']; ours: string }

export async function bench(options: string[]): Promise<void> {
  const value = (name: string, otherwise: string) => {
    const at = options.indexOf(`--${name}`)
    return at < 0 ? otherwise : options[at + 1]!
  }
  const quick = options.includes('--quick')
  const rounds = Number(value('rounds', quick ? '1' : '3'))
  const seconds = Number(value('seconds', quick ? '1' : '3'))
  const prefixes = Number(value('prefixes', '1000000'))
  if (!has('dnsperf')) throw new Error('dnsperf is not installed: npm run setup:engines -- --peers')
  const folder = mkdtempSync(join(tmpdir(), 'izumi-dns-bench-'))
  try {
    const ours = [
      await izumi(folder, OURS, state(folder, 1, false)),
      await izumi(folder, `${OURS}, each datagram by itself`, state(folder, 1, false), ['batches: false']),
      await izumi(folder, `${OURS}, signed zone`, state(folder, 1, true)),
    ]
    const peers = options.includes('--no-peers') ? [] : await startPeers(folder)
    for (const { port, name } of [...ours, ...peers]) await listening(port, name)
    if (!options.includes('--only-prefixes')) await inBothWorlds(folder, [...ours, ...peers], { rounds, seconds })
    await manyPrefixes(folder, prefixes, quick ? 50_000 : 300_000, rounds)
    inProcess(folder, prefixes)
  } finally {
    stopAll()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function startPeers(folder: string): Promise<DnsTarget[]> {
  const found: DnsTarget[] = []
  for (const [program, start] of [
    ['gdnsd', gdnsd],
    ['pdns_server', powerdns],
    ['knotd', knot],
  ] as const)
    if (has(program)) found.push(await start({ folder, core: SERVER_CORE }))
    else console.log(`${program} is not installed and left out`)
  return found
}

/** Two sites; the map leads one /24 elsewhere, and with more prefixes half of them. */
function state(folder: string, prefixes: number, signed: boolean): DnsState {
  const key = signed ? [readKeyFile(makeKey('cdn.example', folder, 257).file)] : undefined
  const map: Record<string, string[]> = { [NEAR.subnet]: ['near', 'far'] }
  // Spread over all of IPv4 as the routes of the Internet are, mostly /24, every other one for another site.
  for (let at = 1; at < prefixes; at++) {
    const block = Math.floor((at * 2 ** 24) / prefixes) * 256
    map[`${block >>> 24}.${(block >>> 16) & 255}.${(block >>> 8) & 255}.0/24`] ??=
      at % 2 ? ['near', 'far'] : ['far', 'near']
  }
  return {
    zones: [
      {
        name: 'cdn.example',
        records: [
          { type: 'NS', data: ['ns1', 'ns2'] },
          { name: 'ns1', type: 'A', data: '192.0.2.53' },
          { name: 'ns2', type: 'A', data: '192.0.2.54' },
          { name: 'static', type: 'A', data: FAR_ADDRESS },
        ],
        ...(key ? { keys: key } : {}),
      },
    ],
    sites: [{ name: 'far' }, { name: 'near' }],
    edges: [
      { name: 'far-1', site: 'far', addresses: [FAR_ADDRESS] },
      { name: 'near-1', site: 'near', addresses: [NEAR.address] },
    ],
    maps: [{ name: 'world', prefixes: map, default: ['far', 'near'] }],
    properties: [{ name: 'shop', names: ['shop.cdn.example'] }],
    settings: { rateLimit: { perSecond: 0 } },
  }
}

async function izumi(folder: string, name: string, given: DnsState, local: string[] = []): Promise<DnsTarget> {
  const port = await freePort()
  const file = join(folder, `${port}.yaml`)
  const { maps, ...rest } = given
  const prefixes = Object.entries(maps![0]!.prefixes!)
  writeFileSync(`${file}.prefixes`, prefixes.map(([prefix, sites]) => `${prefix} ${sites.join(',')}\n`).join(''))
  writeFileSync(
    file,
    [
      `listen: 127.0.0.1:${port}`,
      'workers: 1',
      ...local,
      `maps: [{ name: world, prefixFile: ${JSON.stringify(`${file}.prefixes`)}, default: [far, near] }]`,
      ...Object.entries(rest).map(([key, each]) => `${key}: ${JSON.stringify(each)}`),
    ].join('\n'),
  )
  const cli = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
  const words = ['--disable-warning=ExperimentalWarning', cli, 'dns', '--config', file]
  const process_ = pinned(SERVER_CORE, process.execPath, words, `${file}.log`)
  return { name, port, process: process_, can: { plain: true, routed: true, signed: name.includes('signed') } }
}

const CASES: Case[] = [
  { name: 'plain A', query: 'static.cdn.example A', more: [], needs: 'plain', ours: OURS },
  { name: 'A led by client subnet', query: 'shop.cdn.example A', more: SUBNET, needs: 'routed', ours: OURS },
  { name: 'signed A', query: 'static.cdn.example A', more: ['-D'], needs: 'signed', ours: `${OURS}, signed zone` },
  {
    name: 'signed A led by client subnet',
    query: 'shop.cdn.example A',
    more: ['-D', ...SUBNET],
    needs: 'signed',
    ours: `${OURS}, signed zone`,
  },
]

async function inBothWorlds(
  folder: string,
  targets: DnsTarget[],
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<void> {
  for (const each of CASES) {
    const queries = join(folder, 'queries')
    writeFileSync(queries, `${each.query}\n`)
    const measured = targets.filter(
      ({ can, name }) => can[each.needs] && (each.needs === 'signed' || !name.includes('signed')),
    )
    const samples = await interleaved(measured, rounds, ({ port, process }) =>
      dnsperf({ port, processId: process.pid!, core: LOAD_CORE, seconds, queries, more: each.more }),
    )
    table(each.name, measured, samples)
    const cost = (name: string) => median(samples.get(name)!.map(({ cpuMicroseconds }) => cpuMicroseconds))
    for (const { name } of measured)
      if (!name.startsWith(OURS))
        compare('dns', 1e6 / cost(each.ours), 1e6 / cost(name), {
          case: each.name,
          peer_name: name,
          unit: 'answers a core-second',
        })
  }
  // Every denial is signed anew: what a walk through names that are not there costs.
  const signed = targets.filter(({ name }) => name === `${OURS}, signed zone`)
  const names = join(folder, 'names')
  writeFileSync(
    names,
    Array.from({ length: 500_000 }, () => `${Math.random().toString(36).slice(2)}.cdn.example A\n`).join(''),
  )
  const samples = await interleaved(signed, 1, ({ port, process }) =>
    dnsperf({ port, processId: process.pid!, core: LOAD_CORE, seconds, queries: names, more: ['-D'] }),
  )
  table('denial of a name, signed anew each time', signed, samples)
}

async function interleaved(
  targets: DnsTarget[],
  rounds: number,
  measure: (target: DnsTarget) => Promise<DnsSample>,
): Promise<Map<string, DnsSample[]>> {
  const samples = new Map<string, DnsSample[]>(targets.map(({ name }) => [name, []]))
  // Not counted: code is compiled.
  for (const target of targets) await measure(target)
  for (let round = 0; round < rounds; round++)
    for (const target of targets) samples.get(target.name)!.push(await measure(target))
  return samples
}

function table(title: string, targets: readonly DnsTarget[], samples: ReadonlyMap<string, DnsSample[]>): void {
  console.log(
    `\n${title.padEnd(44)}${'CPU µs'.padStart(10)}${'a core-second'.padStart(16)}${'seen/s'.padStart(12)}${'lost'.padStart(8)}`,
  )
  for (const { name } of targets) {
    const found = samples.get(name)!
    const cpu = median(found.map(({ cpuMicroseconds }) => cpuMicroseconds))
    const lost = Math.max(...found.map(({ lostShare }) => lostShare))
    console.log(
      `${name.padEnd(44)}${cpu.toFixed(2).padStart(10)}${Math.round(1e6 / cpu)
        .toLocaleString('en')
        .padStart(16)}${Math.round(median(found.map(({ perSecond }) => perSecond)))
        .toLocaleString('en')
        .padStart(12)}${`${(lost * 100).toFixed(1)} %`.padStart(8)}`,
    )
  }
}

/** The same router with a hundred prefixes and with a million, asked from networks all over. */
async function manyPrefixes(folder: string, many: number, count: number, rounds: number): Promise<void> {
  stopAll()
  const targets = [
    await izumi(folder, '100 prefixes', state(folder, 100, false)),
    await izumi(folder, `${many} prefixes`, state(folder, many, false)),
  ]
  for (const { port, name } of targets) {
    // A million prefixes take their time at the start.
    for (let tries = 1; ; tries++)
      try {
        await listening(port, name)
        break
      } catch (error) {
        if (tries === START_TRIES) throw error
      }
  }
  const queries = Array.from({ length: 20_000 }, () => subnetQuery((Math.random() * 2 ** 24) >>> 0))
  execFileSync('taskset', ['-cp', String(LOAD_CORE), String(process.pid)])
  const samples = await interleaved(targets, rounds, ({ port, process }) => askAll(port, process.pid!, queries, count))
  table('A led by subnets all over IPv4', targets, samples)
  const cost = (name: string) => median(samples.get(name)!.map(({ cpuMicroseconds }) => cpuMicroseconds))
  const [few, more] = targets.map(({ name }) => cost(name))
  console.log(
    JSON.stringify({
      bench: 'dns',
      case: `${many} prefixes against 100`,
      costs_more: `${(((more! - few!) / few!) * 100).toFixed(1)} %`,
    }),
  )
}

/** `shop.cdn.example A` from a /24, with EDNS. */
function subnetQuery(block: number): Buffer {
  const name = Buffer.from('\x04shop\x03cdn\x07example\x00', 'latin1')
  return Buffer.concat([
    Buffer.from([0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
    name,
    Buffer.from([
      0,
      1,
      0,
      1,
      0,
      0,
      41,
      4,
      208,
      0,
      0,
      0,
      0,
      0,
      11,
      0,
      8,
      0,
      7,
      0,
      1,
      24,
      0,
      block >>> 16,
      (block >>> 8) & 255,
      block & 255,
    ]),
  ])
}

/** The responder alone, without a kernel: what an answer itself takes. */
function inProcess(folder: string, many: number): void {
  for (const prefixes of [100, many]) {
    const given = state(folder, prefixes, false)
    const fail = (path: (string | number)[], problem: string) => {
      throw new Error(`${path}: ${problem}`)
    }
    const started = performance.now()
    const maps = compileMaps(given, fail)
    const compiledMs = performance.now() - started
    const view = wellView(given)
    const responder = new Responder(compile(given, maps, view, fail), view, {
      cookieSecret: new Uint8Array(16),
      figures: new Float64Array(figuresBytes(2) / 8),
      siteSlots: [0, 1],
      keepaliveSeconds: 10,
    })
    const client = noAddress()
    readAddress('198.51.100.7', client)
    const queries = Array.from({ length: 20_000 }, () => subnetQuery((Math.random() * 2 ** 24) >>> 0))
    const out = new Uint8Array(65_535)
    const now = Date.now()
    const times: number[] = []
    for (let round = 0; round < 20; round++) {
      const began = performance.now()
      for (const query of queries) responder.answer(query, query.length, client, false, out, now)
      times.push(((performance.now() - began) * 1e6) / queries.length)
    }
    const bytes = maps.reduce(
      (sum, { v4 }) => sum + v4.values.byteLength + v4.starts[0]!.byteLength + v4.index!.byteLength,
      0,
    )
    console.log(
      JSON.stringify({
        bench: 'dns',
        case: `responder alone, ${prefixes} prefixes`,
        nanoseconds: Math.round(median(times)),
        map_bytes: bytes,
        map_compile_ms: Math.round(compiledMs),
      }),
    )
  }
}
