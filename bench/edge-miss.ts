/**
 * `npm run bench -- edge-miss`: what a request costs that goes on to the origin, beside nginx as a plain proxy, HAProxy and
 * Traffic Server without their caches. The answers may not be stored, so every request is a miss; the rest is as in edge-hit.
 *
 * Options: [--quick] [--rounds 5] [--seconds 3] [--sizes 1024,65536]
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compare, median } from './measure.ts'
import { haproxy, has, nginx, stopAll, type Target, trafficServer } from './peers/caches.ts'
import { type Sample, wrk } from './peers/load.ts'
import { LOAD_CORE, makeCertificate, OURS, ours, SERVER_CORE, startOrigin } from './peers/ours.ts'

const CONNECTIONS = 32
const WARM_SECONDS = 5

export async function bench(options: string[]): Promise<void> {
  const value = (name: string, otherwise: string) => {
    const at = options.indexOf(`--${name}`)
    return at < 0 ? otherwise : options[at + 1]!
  }
  const quick = options.includes('--quick')
  const rounds = Number(value('rounds', quick ? '2' : '5'))
  const seconds = Number(value('seconds', quick ? '1' : '3'))
  const sizes = value('sizes', '1024,65536').split(',').map(Number)
  const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-miss-'))
  chmodSync(folder, 0o755)
  try {
    const { certificate, key } = makeCertificate(folder)
    const originPort = await startOrigin(folder)
    const targets: Target[] = [await ours(OURS, folder, originPort, certificate, key)]
    for (const [program, begin] of [
      ['nginx', nginx],
      ['traffic_server', trafficServer],
      ['haproxy', haproxy],
    ] as const)
      if (has(program))
        try {
          targets.push(...(await begin({ folder, originPort, core: SERVER_CORE, certificate, key, caches: false })))
        } catch (problem) {
          console.log(`${program} is left out: ${(problem as Error).message}`)
        }
    for (const size of sizes) {
      const samples = new Map<string, Sample[]>(targets.map(({ name }) => [name, []]))
      const load = { core: LOAD_CORE, connections: CONNECTIONS }
      const path = `/miss/${size}`
      for (const target of targets) await wrk(target, target.http + path, folder, { ...load, seconds: WARM_SECONDS })
      for (let round = 0; round < rounds; round++)
        for (const target of targets)
          samples.get(target.name)!.push(await wrk(target, target.http + path, folder, { ...load, seconds }))
      report(size, samples)
    }
  } finally {
    stopAll()
    await new Promise((resolve) => setTimeout(resolve, 500))
    rmSync(folder, { recursive: true, force: true })
  }
}

function report(size: number, samples: ReadonlyMap<string, Sample[]>): void {
  const cost = (name: string) => samples.get(name)!.map(({ cpuMicroseconds }) => cpuMicroseconds)
  console.log(`\n${size} bytes: CPU µs a miss (median, spread), requests/s (median), p99 ms, bad`)
  for (const [name, each] of samples)
    console.log(
      `${name.padEnd(24)} ${median(cost(name)).toFixed(1).padStart(8)}  ${`${Math.min(...cost(name)).toFixed(1)}-${Math.max(...cost(name)).toFixed(1)}`.padStart(13)}  ${Math.round(
        median(each.map(({ perSecond }) => perSecond)),
      )
        .toString()
        .padStart(8)}  ${median(each.map(({ p99Ms }) => p99Ms))
        .toFixed(2)
        .padStart(8)}  ${each.reduce((sum, { bad }) => sum + bad, 0)}`,
    )
  for (const peer of [...samples.keys()].filter((name) => name !== OURS)) {
    const ratios = cost(OURS).map((each, round) => each / cost(peer)[round]!)
    compare('edge-miss', median(cost(OURS)), median(cost(peer)), {
      unit: 'cpu-µs',
      size,
      than: peer,
      ratioOfRounds: Math.round(median(ratios) * 100) / 100,
    })
  }
}
