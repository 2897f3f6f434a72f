/**
 * `npm run bench -- edge-hit`: what a hit costs, beside nginx, Varnish, Traffic Server and HAProxy. Servers share one core,
 * the load has the other; rounds are interleaved, so that whatever else the machine does meets all alike. CPU microseconds
 * a request come from /proc, so they hold on a busy machine too; requests a second and times are those of this machine.
 *
 * Options: [--quick] [--rounds 5] [--seconds 3] [--sizes 1024,16384,65536,1048576] [--only http|https] [--no-peers] [--latency]
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compare, median } from './measure.ts'
import { haproxy, has, nginx, type PeerOptions, stopAll, type Target, trafficServer, varnish } from './peers/caches.ts'
import { type Sample, wrk } from './peers/load.ts'
import { LOAD_CORE, makeCertificate, OURS, OURS_PUBLIC, ours, SERVER_CORE, startOrigin } from './peers/ours.ts'

const CONNECTIONS = 64
const WARM_SECONDS = 3
/** At half load every connection waits so long before its next request. */
const PAUSE_MS = 2

export async function bench(options: string[]): Promise<void> {
  const value = (name: string, otherwise: string) => {
    const at = options.indexOf(`--${name}`)
    return at < 0 ? otherwise : options[at + 1]!
  }
  const quick = options.includes('--quick')
  const rounds = Number(value('rounds', quick ? '2' : '5'))
  const seconds = Number(value('seconds', quick ? '1' : '3'))
  const sizes = value('sizes', '1024,16384,65536,1048576').split(',').map(Number)
  const schemes = (['http', 'https'] as const).filter((scheme) => value('only', scheme) === scheme)
  const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-hit-'))
  // Varnish and Traffic Server give up their rights and must still get in.
  chmodSync(folder, 0o755)
  try {
    const { targets, originPort } = await start(folder, !options.includes('--no-peers'))
    console.log(`origin on ${originPort}; ${targets.map(({ name }) => name).join('; ')}`)
    for (const scheme of schemes)
      for (const size of sizes) {
        const measured = targets.filter(
          (target) => target[scheme] !== null && answers(`${target[scheme]}/${size}`, target.name),
        )
        const samples = new Map<string, Sample[]>(measured.map(({ name }) => [name, []]))
        for (const target of measured) {
          // Not counted: code is compiled, caches and buffers find their size.
          await wrk(target, `${target[scheme]}/${size}`, folder, {
            core: LOAD_CORE,
            seconds: WARM_SECONDS,
            connections: CONNECTIONS,
          })
        }
        for (let round = 0; round < rounds; round++)
          for (const target of measured)
            samples.get(target.name)!.push(
              await wrk(target, `${target[scheme]}/${size}`, folder, {
                core: LOAD_CORE,
                seconds,
                connections: CONNECTIONS,
              }),
            )
        report(scheme, size, samples)
        if (options.includes('--latency') || !quick) await latencies(scheme, size, measured, samples, folder, seconds)
      }
  } finally {
    stopAll()
    await new Promise((resolve) => setTimeout(resolve, 500))
    rmSync(folder, { recursive: true, force: true })
  }
}

async function start(folder: string, peers: boolean): Promise<{ targets: Target[]; originPort: number }> {
  const { certificate, key } = makeCertificate(folder)
  const originPort = await startOrigin(folder)
  const targets: Target[] = []
  for (const name of [OURS, OURS_PUBLIC]) targets.push(await ours(name, folder, originPort, certificate, key))
  const given: PeerOptions = { folder, originPort, core: SERVER_CORE, certificate, key, caches: true }
  if (peers)
    for (const [program, begin] of [
      ['nginx', nginx],
      ['varnishd', varnish],
      ['traffic_server', trafficServer],
      ['haproxy', haproxy],
    ] as const)
      if (has(program))
        try {
          targets.push(...(await begin(given)))
        } catch (problem) {
          console.log(`${program} is left out: ${(problem as Error).message}`)
        }
      else console.log(`${program} is not installed: bash bin/setup-engines.sh --peers`)
  return { targets, originPort }
}

/** Fetches until it is a hit; false, with a word, where nothing comes. */
function answers(url: string, name: string): boolean {
  try {
    for (let i = 0; i < 4; i++) execFileSync('curl', ['-skf', '-o', '/dev/null', url], { stdio: 'ignore' })
    return true
  } catch {
    console.log(`${name} is left out: ${url} does not answer`)
    return false
  }
}

const at = (samples: readonly Sample[], of: keyof Sample) => samples.map((sample) => sample[of])
const spread = (values: readonly number[]) => `${Math.min(...values).toFixed(1)}-${Math.max(...values).toFixed(1)}`

/** The setting of nginx that costs least at this size. */
function bestOfNginx(samples: ReadonlyMap<string, Sample[]>): string | null {
  const names = [...samples.keys()].filter((name) => name.startsWith('nginx'))
  names.sort((a, b) => median(at(samples.get(a)!, 'cpuMicroseconds')) - median(at(samples.get(b)!, 'cpuMicroseconds')))
  return names[0] ?? null
}

function report(scheme: string, size: number, samples: ReadonlyMap<string, Sample[]>): void {
  console.log(`\n${scheme}, ${size} bytes: CPU µs a request (median, spread), requests/s (median), p99 ms, bad`)
  for (const [name, each] of samples)
    console.log(
      `${name.padEnd(24)} ${median(at(each, 'cpuMicroseconds')).toFixed(2).padStart(8)}  ${spread(at(each, 'cpuMicroseconds')).padStart(13)}  ${Math.round(
        median(at(each, 'perSecond')),
      )
        .toString()
        .padStart(
          8,
        )}  ${median(at(each, 'p99Ms')).toFixed(2).padStart(8)}  ${at(each, 'bad').reduce((a, b) => a + b, 0)}`,
    )
  const best = bestOfNginx(samples)
  for (const ours of [OURS, OURS_PUBLIC])
    for (const peer of [best, 'varnish', 'traffic server', 'haproxy']) {
      const theirs = peer === null ? undefined : samples.get(peer)
      if (theirs === undefined) continue
      // Round by round: what disturbed one disturbed the other.
      const ratios = samples.get(ours)!.map((sample, round) => sample.cpuMicroseconds / theirs[round]!.cpuMicroseconds)
      compare('edge-hit', median(at(samples.get(ours)!, 'cpuMicroseconds')), median(at(theirs, 'cpuMicroseconds')), {
        unit: 'cpu-µs',
        scheme,
        size,
        who: ours,
        than: peer,
        ratioOfRounds: Math.round(median(ratios) * 100) / 100,
      })
    }
}

/** p50 and p99 while each server does half of what it can. */
async function latencies(
  scheme: 'http' | 'https',
  size: number,
  targets: readonly Target[],
  full: ReadonlyMap<string, Sample[]>,
  folder: string,
  seconds: number,
): Promise<void> {
  console.log(`half load: p50 ms, p99 ms`)
  const best = bestOfNginx(full)
  const times = new Map<string, Sample[]>()
  for (let round = 0; round < 3; round++)
    for (const target of targets) {
      if (![OURS, OURS_PUBLIC, best, 'varnish'].includes(target.name)) continue
      const half = median(at(full.get(target.name)!, 'perSecond')) / 2
      const connections = Math.max(1, Math.round((half * PAUSE_MS) / 1_000))
      const sample = await wrk(target, `${target[scheme]}/${size}`, folder, {
        core: LOAD_CORE,
        seconds,
        connections,
        pauseMs: PAUSE_MS,
      })
      times.set(target.name, [...(times.get(target.name) ?? []), sample])
    }
  for (const [name, each] of times)
    console.log(
      `${name.padEnd(24)} ${median(at(each, 'p50Ms')).toFixed(2).padStart(8)} ${median(at(each, 'p99Ms')).toFixed(2).padStart(8)}  at ${Math.round(median(at(each, 'perSecond')))}/s`,
    )
  if (best !== null)
    compare('edge-hit', median(at(times.get(OURS)!, 'p99Ms')), median(at(times.get(best)!, 'p99Ms')), {
      unit: 'p99 ms at half load',
      scheme,
      size,
      than: best,
    })
}
