/**
 * `izumi dns`: the request router from a terminal: run it, check its file, make keys, and ask why a client is sent where. Running and
 * checking need no other part of Izumi. The router is loaded only by the commands that need it.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { BadInput } from '../core/errors.ts'
import { BadWords } from './input.ts'

interface RunOptions {
  config?: string
  listen?: string
  admin?: string
  workers?: string
  join?: string
  token?: string
  data?: string
  json?: boolean
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** Adds `dns` and what belongs under it. */
export function addDns(program: Command): void {
  const dns = program
    .command('dns')
    .description('Run a request router: authoritative DNS that sends each client to the right edge')
    .option('--config <file>', 'a dns.yaml; see docs/services/dns.md')
    .option('--listen <host:port>', 'where to answer, by UDP and TCP; otherwise what the file says, or 127.0.0.1:5353')
    .option('--admin <host:port>', 'metrics, health and explain; otherwise what the file says, or none')
    .option('--workers <number>', 'otherwise one for each core')
    .option('--join <url>', 'a control plane to take the state from; with --token the first time')
    .option('--token <token>', 'the one-time token, from izumi node-tokens add')
    .option('--data <folder>', 'with --join: where the router keeps itself; otherwise data/dns')
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples
  izumi dns --config dns.yaml                     SIGHUP reads the file again
  izumi dns check dns.yaml                        is the file right?
  izumi dns explain www.cdn.example --from 203.0.113.7 --config dns.yaml
  izumi dns keygen cdn.example                    makes a key, prints the DS record for the parent zone`,
    )
  dns.action(() => run(dns.optsWithGlobals<RunOptions>()))

  const check = dns
    .command('check')
    .description('Check a file without running it; exit status 1 when it is wrong')
    .argument('<file>')
    .exitOverride()
  check.action((file: string) => checkFile(file, check.optsWithGlobals<{ json?: boolean }>()))

  const explain = dns
    .command('explain')
    .description('Why a client is sent where it is, step by step')
    .argument('<name>')
    .requiredOption('--from <address>', "the client's address")
    .option('--type <type>', 'A unless said', 'A')
    .option('--at <address>', 'the admin listener of a router that runs; otherwise with --config, all being up')
    .exitOverride()
  explain.action((name: string) => explainName(name, explain.optsWithGlobals()))

  const keygen = dns
    .command('keygen')
    .description('Make a signing key for a zone, and print the DS record that its parent has to hold')
    .argument('<zone>')
    .option('--folder <folder>', 'where to write it', '.')
    .option('--zone-signing', 'a key of flags 256, that signs data only')
    .exitOverride()
  keygen.action(async (zone: string) => {
    const { folder, zoneSigning, json } = keygen.optsWithGlobals<{
      folder: string
      zoneSigning?: boolean
      json?: boolean
    }>()
    const { makeKey } = await import('../dns/dnssec/key-file.ts')
    mkdirSync(folder, { recursive: true })
    const made = makeKey(zone, folder, zoneSigning ? 256 : 257)
    if (json) print(JSON.stringify(made))
    else {
      print(`${made.file} is the key with the tag ${made.tag}. Name it under keyFiles of its zone.`)
      print(made.ds === null ? made.dnskey : made.ds)
    }
  })

  const ds = dns
    .command('ds')
    .description('Print the DS and DNSKEY records of a key file')
    .argument('<zone>')
    .argument('<file>')
    .exitOverride()
  ds.action(async (zone: string, file: string) => {
    const { recordsOfFile } = await import('../dns/dnssec/key-file.ts')
    const { ds: line, dnskey } = recordsOfFile(zone, file)
    if (line !== null) print(line)
    print(dnskey)
  })
}

async function run(options: RunOptions): Promise<void> {
  const { join } = options
  if (join !== undefined) return (await import('./join-dns.ts')).runJoinedDns({ ...options, join })
  if (options.config === undefined) throw new BadWords('Say --config dns.yaml; see --help.')
  const { startDns } = await import('../dns/main.ts')
  const workers = options.workers === undefined ? undefined : Number(options.workers)
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 1 && workers <= 256))
    throw new BadInput('--workers', `${options.workers} is no number of workers`, 'a whole number from 1 to 256')
  const dns = await startDns(
    { file: options.config },
    {
      ...(options.listen ? { listen: options.listen } : {}),
      ...(options.admin ? { admin: options.admin } : {}),
      ...(workers ? { workers } : {}),
    },
  )
  if (options.json) print(JSON.stringify(dns.addresses))
  else {
    print(`Answering at ${dns.addresses.dns.join(', ')}, by UDP and TCP`)
    if (dns.addresses.admin !== null) print(`Metrics, health and explain at ${dns.addresses.admin}`)
    print('Ctrl-C ends it.')
  }
  process.on('SIGHUP', () => {
    dns.reload().then(
      () => process.stderr.write('The file was read again and is in force.\n'),
      (error: Error) => process.stderr.write(`${error.message}\n`),
    )
  })
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  await dns.close()
  process.exit(0)
}

async function checkFile(file: string, options: { json?: boolean }): Promise<void> {
  const { loadDnsFile } = await import('../dns/config.ts')
  const { ConfigRefused } = await import('../core/config-text.ts')
  try {
    const { state } = loadDnsFile(file)
    const { zones, properties = [], edges = [], sites = [] } = state
    print(
      options.json
        ? JSON.stringify({
            ok: true,
            zones: zones.length,
            properties: properties.length,
            edges: edges.length,
            sites: sites.length,
          })
        : `${file} is right: ${zones.length} zones, ${properties.length} properties, ${edges.length} edges at ${sites.length} sites.`,
    )
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error
    if (options.json) print(JSON.stringify({ ok: false, faults: error.faults }, null, 2))
    else {
      process.stderr.write(`${error.message}\n`)
      const { line, column } = error.faults[0]!
      const text = readFileSync(file, 'utf8').split('\n')[line - 1]
      if (text !== undefined)
        process.stderr.write(
          `\n  ${line} | ${text}\n  ${' '.repeat(String(line).length)} | ${' '.repeat(column - 1)}^\n`,
        )
    }
    process.exitCode = 1
  }
}

async function explainName(
  name: string,
  { from, type, at, config, json }: { from: string; type: string; at?: string; config?: string; json?: boolean },
): Promise<void> {
  if ((at === undefined) === (config === undefined))
    throw new BadWords('Say either --at ADDRESS of a router that runs, or --config dns.yaml.')
  let steps: { step: string; outcome: string }[]
  if (at !== undefined) {
    if (!URL.canParse(at)) throw new BadInput('--at', `${at} is no address`, 'one such as http://127.0.0.1:8053')
    const response = await fetch(new URL(`/explain?${new URLSearchParams({ name, from, type })}`, at))
    const answer = (await response.json()) as { steps?: typeof steps; detail?: string }
    if (!answer.steps)
      throw new BadInput('explain', answer.detail ?? `status ${response.status}`, 'a name and an address')
    steps = answer.steps
  } else {
    const { explainFile } = await import('../dns/explain.ts')
    steps = explainFile(config!, { name, from, type })
  }
  if (json) print(JSON.stringify(steps, null, 2))
  else for (const { step, outcome } of steps) print(`${step.padEnd(11)}${outcome}`)
}
