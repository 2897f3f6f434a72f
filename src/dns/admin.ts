/** What a router tells of itself over HTTP, on a listener of its own: metrics for Prometheus, health, and why an answer is what it is. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Refusal } from '../core/errors.ts'
import type { Dns } from './main.ts'

export interface Admin {
  readonly address: string
  close(): Promise<void>
}

export async function openAdmin({ host, port }: { host: string; port: number }, dns: Dns): Promise<Admin> {
  const server = createServer((request, response) => {
    answer(dns, request, response).catch((error: unknown) => {
      const status = error instanceof Refusal ? error.status : 500
      send(response, status, { detail: (error as Error).message })
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const { address, family, port: got } = server.address() as AddressInfo
  return {
    address: `http://${family === 'IPv6' ? `[${address}]` : address}:${got}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(dns: Dns, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://dns')
  const asked = `${request.method} ${pathname}`
  if (asked === 'GET /metrics') {
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' })
    response.end(metrics(dns))
  } else if (asked === 'GET /health') send(response, 200, dns.health())
  else if (asked === 'GET /figures') send(response, 200, dns.figures())
  else if (asked === 'GET /explain')
    send(response, 200, {
      steps: dns.explain(
        searchParams.get('name') ?? '',
        searchParams.get('from') ?? '',
        searchParams.get('type') ?? 'A',
      ),
    })
  else if (asked === 'POST /reload') {
    await dns.reload()
    send(response, 200, { reloaded: true })
  } else
    send(response, 404, { detail: 'There is /metrics, /health, /figures, /explain?name=&from=, and POST /reload.' })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

const CODES = ['noerror', 'formerr', 'servfail', 'nxdomain', 'notimp', 'refused', 'badvers'] as const

/** The counters in Prometheus' words. */
function metrics(dns: Dns): string {
  const figures = dns.figures()
  const { edges, sites } = dns.health()
  const lines: string[] = []
  const family = (
    name: string,
    kind: 'counter' | 'gauge',
    help: string,
    samples: [labels: string, value: number][],
  ) => {
    lines.push(`# HELP izumi_dns_${name} ${help}`, `# TYPE izumi_dns_${name} ${kind}`)
    for (const [labels, value] of samples) lines.push(`izumi_dns_${name}${labels} ${value}`)
  }
  const one = (value: number): [string, number][] => [['', value]]
  family('queries_total', 'counter', 'Queries by transport.', [
    ['{transport="udp"}', figures.udp],
    ['{transport="tcp"}', figures.tcp],
  ])
  family(
    'answers_total',
    'counter',
    'Answers by code.',
    CODES.map((code) => [`{rcode="${code}"}`, figures[code]]),
  )
  family('dropped_total', 'counter', 'Datagrams that are no queries.', one(figures.dropped))
  family('limited_total', 'counter', 'Answers held back by the rate limit.', one(figures.limited))
  family('truncated_total', 'counter', 'Truncated answers, those of the rate limit among them.', one(figures.truncated))
  family('client_subnet_total', 'counter', 'Answers with a client subnet.', one(figures.clientSubnet))
  family('cookies_total', 'counter', 'Queries with a cookie.', [
    ['{server="good"}', figures.cookieGood],
    ['{server="new"}', figures.cookieNew],
  ])
  family('dnssec_total', 'counter', 'Answers to clients that validate.', one(figures.dnssec))
  family('prepared_total', 'counter', 'Answers from a prepared body.', one(figures.prepared))
  family('composed_total', 'counter', 'Answers made anew.', one(figures.composed))
  family('bytes_total', 'counter', 'Bytes of queries and answers.', [
    ['{direction="in"}', figures.bytesIn],
    ['{direction="out"}', figures.bytesOut],
  ])
  family('tcp_connections_total', 'counter', 'Connections taken.', one(figures.tcpConnections))
  family(
    'site_answers_total',
    'counter',
    'Answers that name a site.',
    sites.map(({ site, answers }) => [`{site="${site}"}`, answers]),
  )
  family(
    'site_shed',
    'gauge',
    'The share of its clients that a site sends on.',
    sites.map(({ site, shed }) => [`{site="${site}"}`, shed]),
  )
  family(
    'edge_up',
    'gauge',
    '1: the edge may be answered.',
    edges.map(({ edge, site, up }) => [`{edge="${edge}",site="${site}"}`, up ? 1 : 0]),
  )
  return `${lines.join('\n')}\n`
}
