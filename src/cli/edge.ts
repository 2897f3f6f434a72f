/**
 * `izumi edge`: the CDN edge from a terminal: run it, check its configuration, purge, reload. Running and checking need no
 * other part of Izumi; the rest speaks to the admin listener of an edge that runs. The edge itself is loaded only by the
 * commands that need it, so that all others start as fast as before.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { BadInput } from '../core/errors.ts'
import type { ConfigRefused } from '../edge/config/read.ts'
import { Refused, Unreachable } from './client.ts'
import { BadWords } from './input.ts'

interface RunOptions {
  join?: string
  token?: string
  data?: string
  listenHttps?: string
  memory?: string
  disk?: string
  config?: string
  origin?: string
  listen?: string
  workers?: string
  admin?: string
  json?: boolean
}

interface AdminOptions {
  at: string
  json?: boolean
}

const DEFAULT_ADMIN_URL = 'http://127.0.0.1:8082'

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** Adds `edge` and what belongs under it. */
export function addEdge(program: Command): void {
  const edge = program
    .command('edge')
    .description('Run a CDN edge: a cache in front of web servers')
    .option('--origin <address>', 'one web server; every host name is served from it')
    .option('--config <file>', 'an edge.yaml; see docs/services/cdn-edge.md')
    .option('--listen <host:port>', 'where to serve http; otherwise what the file says, or 127.0.0.1:8081')
    .option('--workers <number>', 'how many processes serve; otherwise what the file says, or one a core')
    .option('--admin <host:port>', 'where to take purges; otherwise what the file says, or 127.0.0.1:8082')
    .option('--join <url>', 'a control plane to take the configuration from; with --token the first time')
    .option('--token <token>', 'the one-time token, from izumi node-tokens add')
    .option('--data <folder>', 'with --join: where the edge keeps itself; otherwise data/edge')
    .option('--listen-https <host:port>', 'with --join: where to serve https')
    .option('--memory <amount>', 'with --join: the store in memory, such as 2 GB')
    .option('--disk <amount>', 'with --join: the store on disk, such as 200 GB')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples
  izumi edge --origin http://127.0.0.1:3000       serves and caches at once, and says where
  izumi edge --config edge.yaml                   many properties; SIGHUP reads the file again
  izumi edge --join https://izumi.example --token node_…   an edge of a control plane
  izumi edge check edge.yaml                      is the file right?
  izumi edge purge --tag product-7                in force when it returns`,
    )
  edge.action(async () => {
    const options = edge.optsWithGlobals<RunOptions>()
    const { join } = options
    if (join === undefined) return run(options)
    return (await import('./join.ts')).runJoined({ ...options, join })
  })

  const check = edge
    .command('check')
    .description('Check a configuration file without running it; exit status 1 when it is wrong')
    .argument('<file>')
    .exitOverride()
  check.action((file: string) => checkFile(file, check.optsWithGlobals<{ json?: boolean }>()))

  const purge = edge
    .command('purge')
    .description('Purge what is stored; in force when it returns')
    .argument('[url]', 'one address, with all its variants')
    .option('--tag <tag>', 'all with this Cache-Tag or Surrogate-Key')
    .option('--prefix <address>', 'all under a path: www.shop.example/img')
    .option('--group <group>', 'a cache group (RFC 9875); with --of')
    .option('--of <host>', 'the host that the group belongs to')
    .option('--property <name>', 'all of a property; or only its part of a tag or prefix')
    .option('--all', 'everything')
    .option('--soft', 'mark as stale instead: it may still be served while it is fetched anew')
    .option('--at <address>', 'the admin listener', DEFAULT_ADMIN_URL)
    .exitOverride()
  purge.action((url: string | undefined) => purgeAt(url, purge.optsWithGlobals()))

  const top = edge
    .command('top')
    .description('What an edge is asked for right now, by property: live in a terminal')
    .option('--at <address>', 'the admin listener', DEFAULT_ADMIN_URL)
    .option('--once', 'print it once')
    .exitOverride()
  top.action(() => topOf(top.optsWithGlobals()))

  const explain = edge
    .command('explain')
    .description('Why a request is a hit or a miss, step by step')
    .argument('<url>')
    .option('--at <address>', 'the admin listener', DEFAULT_ADMIN_URL)
    .option('--method <method>', 'GET unless said')
    .option('--header <header...>', 'Name: value; more than one may be said')
    .exitOverride()
  explain.action((url: string) => explainAt(url, explain.optsWithGlobals()))

  const reload = edge
    .command('reload')
    .description('Have a running edge read its configuration again; a wrong file changes nothing')
    .option('--at <address>', 'the admin listener', DEFAULT_ADMIN_URL)
    .exitOverride()
  reload.action(async () => {
    const options = reload.optsWithGlobals<AdminOptions>()
    const answer = await post<{ properties: number; needStart: string[] }>(options.at, '/reload', {})
    print(
      options.json
        ? JSON.stringify(answer)
        : `In force: ${answer.properties} properties${exceptFor(answer.needStart)}.`,
    )
  })
}

/** Lines of `top` on a screen that says nothing of its height. */
const TOP_LINES = 20

/** Live: one screen a second, until Ctrl-C. Without a terminal, or with --json, once. */
async function topOf(options: AdminOptions & { once?: boolean }): Promise<void> {
  const live = process.stdout.isTTY === true && !options.json && !options.once
  for (;;) {
    const answer = await get<TopAnswer>(options.at, '/top')
    if (options.json) print(JSON.stringify(answer, null, 2))
    else {
      const room = live ? (process.stdout.rows ?? TOP_LINES) - 4 : answer.properties.length
      process.stdout.write(`${live ? '\x1b[H\x1b[2J' : ''}${topText(answer, room)}`)
    }
    if (!live) return
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

interface TopAnswer {
  connections: number
  properties: {
    property: string
    requestsPerSecond: number
    hitsPerSecond: number
    bytesOutPerSecond: number
    requests: number
    bytesOut: number
    byClass: number[]
    byResult: Record<string, number>
  }[]
}

export function topText({ connections, properties }: TopAnswer, room: number): string {
  const share = (part: number, whole: number) => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)}%`)
  const sum = (of: (line: TopAnswer['properties'][number]) => number) =>
    properties.reduce((all, each) => all + of(each), 0)
  const row = (cells: (string | number)[]) =>
    cells
      .map((cell, index) => (index === 0 ? String(cell).slice(0, 28).padEnd(28) : String(cell).padStart(11)))
      .join('')
  const rate = (bytesPerSecond: number) => `${((bytesPerSecond * 8) / 1e6).toFixed(2)}`
  return `${[
    `${connections} connections, ${sum((each) => each.requestsPerSecond)} requests/s, ${rate(sum((each) => each.bytesOutPerSecond))} Mbit/s`,
    '',
    row(['property', 'requests/s', 'Mbit/s', 'hits', '2xx', '3xx', '4xx', '5xx', 'requests']),
    ...properties
      .slice(0, Math.max(1, room))
      .map((each) =>
        row([
          each.property,
          each.requestsPerSecond,
          rate(each.bytesOutPerSecond),
          share(each.byResult.hit ?? 0, each.requests),
          ...each.byClass.slice(1).map((count) => share(count, each.requests)),
          each.requests,
        ]),
      ),
  ].join('\n')}\n`
}

async function explainAt(url: string, options: AdminOptions & { header?: string[]; method?: string }): Promise<void> {
  const query = new URLSearchParams({ url, method: options.method ?? 'GET' })
  for (const header of options.header ?? []) query.append('header', header)
  const answer = await get<{ result: string; steps: { step: string; outcome: string }[] }>(
    options.at,
    `/explain?${query}`,
  )
  if (options.json) print(JSON.stringify(answer, null, 2))
  else
    for (const { step, outcome } of [...answer.steps, { step: 'result', outcome: answer.result }])
      print(`${step.padEnd(11)}${outcome}`)
}

async function run(options: RunOptions): Promise<void> {
  if ((options.origin === undefined) === (options.config === undefined))
    throw new BadWords('Say either --origin http://… for one web server, or --config edge.yaml; see --help.')
  const { startEdge } = await import('../edge/main.ts')
  const edge = await startEdge(options.config === undefined ? { origin: options.origin! } : { file: options.config }, {
    ...(options.listen ? { listen: options.listen } : {}),
    ...(options.admin ? { admin: options.admin } : {}),
    workers: availableParallelism(),
    ...(options.workers ? { exactWorkers: wholeNumber(options.workers) } : {}),
  })
  const { http, https, admin } = edge.addresses
  if (options.json) print(JSON.stringify(edge.addresses))
  else {
    print(`Serving ${options.origin ?? options.config} at ${[...http, ...https].join(', ')}`)
    if (edge.workers.length > 0) print(`${edge.workers.length} workers`)
    if (admin !== null) print(`Purge, figures and health at ${admin}`)
    print('Ctrl-C ends it.')
  }
  process.on('SIGHUP', () => {
    edge.reload().then(
      (needStart) => process.stderr.write(`The configuration was read again and is in force${exceptFor(needStart)}.\n`),
      (error: Error) => process.stderr.write(`${error.message}\n`),
    )
  })
  await new Promise<void>((resolve) => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        // The second time means at once.
        if (asked) void edge.close().then(resolve)
        else void edge.drain().then(resolve)
        asked = true
      })
  })
  // Connections of clients that went away without a word would hold the process.
  process.exit(0)
}

const exceptFor = (needStart: readonly string[]): string =>
  needStart.length === 0 ? '' : `, but for ${needStart.join(', ')}: that waits for a start`

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1 || number > 256)
    throw new BadInput('--workers', `${text} is wrong here`, 'a number from 1 to 256')
  return number
}

async function checkFile(file: string, options: { json?: boolean }): Promise<void> {
  const { checkEdge } = await import('../edge/main.ts')
  const { ConfigRefused } = await import('../edge/config/read.ts')
  try {
    const config = checkEdge(file)
    const hosts = config.properties.reduce((sum, property) => sum + property.hosts.length, 0)
    print(
      options.json
        ? JSON.stringify({ ok: true, properties: config.properties.length, hosts })
        : `${file} is right: ${config.properties.length} properties, ${hosts} hosts.`,
    )
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error
    if (options.json) print(JSON.stringify({ ok: false, faults: error.faults }, null, 2))
    else {
      process.stderr.write(`${error.message}\n`)
      quote(file, error)
    }
    process.exitCode = 1
  }
}

/** Shows the first wrong line itself, as compilers do. */
function quote(file: string, { faults }: ConfigRefused): void {
  const { line, column } = faults[0]!
  const text = readFileSync(file, 'utf8').split('\n')[line - 1]
  if (text !== undefined)
    process.stderr.write(`\n  ${line} | ${text}\n  ${' '.repeat(String(line).length)} | ${' '.repeat(column - 1)}^\n`)
}

interface PurgeOptions extends AdminOptions {
  tag?: string
  prefix?: string
  group?: string
  of?: string
  property?: string
  all?: boolean
  soft?: boolean
}

async function purgeAt(url: string | undefined, options: PurgeOptions): Promise<void> {
  const { tag, prefix, group, of, property, all, soft } = options
  const kinds = [url, tag, prefix, group, all].filter((each) => each !== undefined).length
  if (kinds > 1 || (kinds === 0 && property === undefined))
    throw new BadWords('Say one thing to purge: an address, --tag, --prefix, --group, --property or --all.')
  if (group !== undefined && of === undefined) throw new BadWords('--group needs --of HOST as well.')
  const selector = { url, tag, prefix, group, origin: of, property, all, soft: soft ?? false }
  const answer = await post<{ objects: number | null; milliseconds: number }>(options.at, '/purge', selector)
  if (options.json) print(JSON.stringify(answer, null, 2))
  else
    print(
      `${soft ? 'Marked as stale' : 'Purged'}: ${answer.objects ?? 'all'} ${answer.objects === 1 ? 'object' : 'objects'}, in force after ${answer.milliseconds} ms.`,
    )
}

const post = <T>(at: string, path: string, body: unknown) =>
  ask<T>(at, path, { method: 'POST', body: JSON.stringify(body) })
const get = <T>(at: string, path: string) => ask<T>(at, path, {})

async function ask<T>(at: string, path: string, how: RequestInit): Promise<T> {
  if (!URL.canParse(at)) throw new BadInput('--at', `${at} is no address`, DEFAULT_ADMIN_URL)
  let response: Response
  try {
    response = await fetch(new URL(path, at), how)
  } catch {
    throw new Unreachable(`No edge answers at ${at}. Is it running? Name its admin listener with --at.`)
  }
  const answer = (await response.json()) as T & { code?: string; detail?: string }
  if (!response.ok) throw new Refused(response.status, answer)
  return answer
}
