/**
 * `npm run bench -- edge-scale`: what grows with the number of stored objects and of properties, and what must not: memory
 * an object, CPU a hit, the time of a purge. The store is filled directly; hits come over HTTP from wrk on the other core,
 * always for the same number of objects, spread evenly over all that are stored and over all properties.
 *
 * Options: [--objects 10000,100000,1000000] [--properties 1,100,10000] [--seconds 4] [--rounds 3]
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compare, median } from './measure.ts'
import { has, pinned } from './peers/caches.ts'
import { wrk } from './peers/load.ts'
import { HOT_OBJECTS, hostOf, pathOf, type ScaleFigures } from './peers/scale-server.ts'

const SERVER_CORE = 0
const LOAD_CORE = 1

interface Point {
  objects: number
  properties: number
}

export async function bench(options: string[]): Promise<void> {
  const value = (name: string, otherwise: string) => {
    const at = options.indexOf(`--${name}`)
    return at < 0 ? otherwise : options[at + 1]!
  }
  const numbers = (text: string) => text.split(',').map(Number)
  const objects = numbers(value('objects', '10000,100000,1000000'))
  const properties = numbers(value('properties', '1,100,10000'))
  const seconds = Number(value('seconds', '4'))
  const rounds = Number(value('rounds', '3'))
  const points: Point[] = [
    ...objects.map((each) => ({ objects: each, properties: properties[0]! })),
    ...properties.slice(1).map((each) => ({ objects: objects[0]!, properties: each })),
    { objects: objects.at(-1)!, properties: properties.at(-1)! },
  ]
  const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-scale-'))
  const running: { point: Point; child: ChildProcess; figures: ScaleFigures; cpu: number[] }[] = []
  try {
    for (const point of points) {
      const { child, figures } = await start(point, folder)
      running.push({ point, child, figures, cpu: [] })
      console.log(
        `${String(point.objects).padStart(8)} objects, ${String(point.properties).padStart(6)} properties: ${Math.round(figures.bytesPerObject)} bytes an object besides its body; purge of a tag with 1,000: ${figures.tagPurgeMs.toFixed(3)} ms, of all: ${figures.allPurgeMs.toFixed(3)} ms`,
      )
    }
    if (!has('wrk')) {
      console.log('wrk is not installed: no CPU a hit (npm run setup:engines -- --peers)')
      return
    }
    // Interleaved, so that whatever else the machine does meets all alike.
    for (let round = 0; round < rounds; round++)
      for (const each of running) {
        const script = join(folder, `paths-${each.point.objects}-${each.point.properties}.lua`)
        writeFileSync(script, luaOf(each.point))
        const target = { name: 'izumi', http: each.figures.url, https: null, processes: [each.child.pid!] }
        if (round === 0)
          await wrk(target, each.figures.url, folder, { core: LOAD_CORE, seconds: 2, connections: 32, script })
        const sample = await wrk(target, each.figures.url, folder, {
          core: LOAD_CORE,
          seconds,
          connections: 32,
          script,
        })
        if (sample.bad > 0) throw new Error(`${sample.bad} answers were no hits`)
        each.cpu.push(sample.cpuMicroseconds)
      }
    const first = median(running[0]!.cpu)
    for (const { point, cpu, figures } of running) {
      const each = median(cpu)
      console.log(
        `${String(point.objects).padStart(8)} objects, ${String(point.properties).padStart(6)} properties: ${each.toFixed(2)} µs CPU a hit (${Math.min(...cpu).toFixed(2)}–${Math.max(...cpu).toFixed(2)}), ${((each / first - 1) * 100).toFixed(1)} % more than the first`,
      )
      compare('edge-scale', each, first, {
        ...point,
        bytesPerObject: Math.round(figures.bytesPerObject),
        tagPurgeMs: figures.tagPurgeMs,
      })
    }
  } finally {
    for (const { child } of running) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function start(point: Point, folder: string): Promise<{ child: ChildProcess; figures: ScaleFigures }> {
  const program = fileURLToPath(new URL('./peers/scale-server.ts', import.meta.url))
  const child = pinned(
    SERVER_CORE,
    process.execPath,
    [
      '--expose-gc',
      '--max-old-space-size=8192',
      '--disable-warning=ExperimentalWarning',
      program,
      String(point.objects),
      String(point.properties),
    ],
    join(folder, `log-${point.objects}-${point.properties}`),
  )
  const figures = await new Promise<ScaleFigures>((resolve, reject) => {
    let text = ''
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const line = /^\{.*\}$/m.exec(text)
      if (line !== null) resolve(JSON.parse(line[0]) as ScaleFigures)
    })
    child.once('exit', () => reject(new Error(`the server ended: ${text}`)))
  })
  return { child, figures }
}

/** The same number of objects whatever is stored, evenly over all of it. */
function luaOf({ objects, properties }: Point): string {
  const step = Math.max(1, Math.floor(objects / HOT_OBJECTS))
  const requests: string[] = []
  for (let at = 0; at < Math.min(HOT_OBJECTS, objects); at++) {
    const object = at * step
    requests.push(`"GET ${pathOf(object)} HTTP/1.1\\r\\nHost: ${hostOf(object, properties)}\\r\\n\\r\\n"`)
  }
  return `local all = {${requests.join(',\n')}}\nlocal next = 0\nrequest = function() next = (next * 1103515245 + 12345) % 2147483648; return all[next % #all + 1] end\n`
}
