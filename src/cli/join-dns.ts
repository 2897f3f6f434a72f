/**
 * `izumi dns --join`: a request router whose state comes from a control plane, in parts that are put together here. It
 * answers once it has caught up, or from what it has on disk when nobody tells it more.
 */
import { join } from 'node:path'
import { type Dns, startDns } from '../dns/main.ts'
import type { DnsState } from '../dns/state.ts'
import type { StateItem } from '../feed/messages.ts'
import { type RunningNode, startNode } from '../node/node.ts'

export interface JoinDnsOptions {
  /** The control plane, or several addresses with commas between. */
  join: string
  token?: string
  data: string
  listen?: string
  admin?: string
  workers?: number
  software: string
  dismissed(reason: string): void
  log?(line: string): void
}

const ITEM = 'dns-state'

/** Parts of a state, each with fields of its own, as one. */
function stateOf(items: ReadonlyMap<string, StateItem>): DnsState {
  const parts = [...items.values()].filter(({ kind }) => kind === ITEM).map(({ body }) => body as Partial<DnsState>)
  const whole: DnsState = Object.assign({ zones: [] }, ...parts)
  // A map may name a site that has no edge (yet); a router knows only those it is told of.
  const known = new Set((whole.sites ?? []).map(({ name }) => name))
  const extra = new Set<string>()
  for (const map of whole.maps ?? [])
    for (const order of [map.default, ...Object.values(map.countries ?? {}), ...Object.values(map.prefixes ?? {})])
      for (const name of order) if (!known.has(name)) extra.add(name)
  return { ...whole, sites: [...(whole.sites ?? []), ...[...extra].map((name) => ({ name }))] }
}

/** Starts a router that follows a control plane. Resolves when it answers. */
export async function joinDns(
  options: JoinDnsOptions,
): Promise<{ dns: Dns; node: RunningNode; close(): Promise<void> }> {
  let dns: Dns | null = null
  let state: DnsState = { zones: [] }
  const node = await startNode({
    folder: join(options.data, 'node'),
    controlPlane: options.join,
    ...(options.token === undefined ? {} : { token: options.token }),
    kind: 'dns',
    software: options.software,
    async apply({ items }) {
      const next = stateOf(items)
      if (dns) await dns.apply(next)
      state = next
    },
    event: async () => {},
    figures: () => ({
      ...(dns ? dns.figures() : {}),
      ...(dns ? { listens: dns.addresses.dns.join(' ').slice(0, 200) } : {}),
    }),
    dismissed: (reason) => options.dismissed(reason),
    ...(options.log ? { log: options.log } : {}),
  })
  const running = await startDns(
    { state },
    {
      ...(options.listen ? { listen: options.listen } : {}),
      ...(options.admin ? { admin: options.admin } : {}),
      ...(options.workers ? { workers: options.workers } : {}),
    },
  )
  dns = running
  // What arrived while it started.
  await running.apply(state)
  return {
    dns: running,
    node,
    close: async () => {
      await node.close()
      await running.close()
    },
  }
}

/** `izumi dns --join …`, until it is told to end. */
export async function runJoinedDns(options: {
  join: string
  token?: string
  data?: string
  listen?: string
  admin?: string
  workers?: string
  json?: boolean
}): Promise<void> {
  const { data = 'data/dns', workers, ...said } = options
  let ended = (_code: number) => {}
  const end = new Promise<number>((resolve) => {
    ended = resolve
  })
  const joined = await joinDns({
    ...said,
    data,
    ...(workers === undefined ? {} : { workers: Number(workers) }),
    software: 'izumi 0.1.0',
    dismissed: (reason) => {
      process.stderr.write(`This router was ${reason} by the control plane and answers no more.\n`)
      ended(1)
    },
    log: (line) => process.stderr.write(`${line}\n`),
  })
  const { name, site } = joined.node.identity
  const addresses = joined.dns.addresses
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ...addresses, name, site })}\n`
      : `${name} at ${site} answers at ${addresses.dns.join(', ')}\n`,
  )
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => ended(0))
  const code = await end
  await joined.close()
  process.exit(code)
}
