/**
 * The admin listener: purge, health, figures, reload. It has no sign-in, so it listens on this machine only unless the
 * configuration says otherwise. Answers are JSON (figures excepted) with the same refusals as the API.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { BadInput, NotFound, Refusal } from '../../core/errors.ts'
import type { Crew } from '../crew.ts'
import type { EdgeRequest, PurgeSelector } from '../message.ts'
import { figures } from './figures.ts'

export interface AdminOptions {
  crew: Crew
  /** In force everywhere when it resolves. */
  purge(body: unknown): Promise<{ purged: PurgeSelector; objects: number }>
  /** Says which settings wait for a start. */
  reload(): Promise<string[]>
}

export interface AdminServer {
  readonly url: string
  close(): Promise<void>
}

const BODY_BYTES = 1_048_576

/** Starts listening. @throws the system's error when it cannot */
export async function startAdmin(at: { host: string; port: number }, options: AdminOptions): Promise<AdminServer> {
  const server = createServer((message, response) => {
    answer(message, options).then(
      ([status, body, type]) => send(response, status, body, type),
      (error: unknown) => {
        const refusal =
          error instanceof Refusal ? error : new Refusal('internal', 500, (error as Error).message ?? 'It failed.')
        send(response, refusal.status, {
          code: refusal.code,
          detail: refusal.message,
          ...(refusal.fields.length > 0 ? { fields: refusal.fields } : {}),
        })
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => resolve())
  })
  const { address, family, port } = server.address() as { address: string; family: string; port: number }
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

type Answer = [status: number, body: unknown, type?: string]

async function answer(message: IncomingMessage, options: AdminOptions): Promise<Answer> {
  const { crew } = options
  const { pathname, searchParams } = new URL(message.url ?? '/', 'http://admin')
  switch (`${message.method} ${pathname}`) {
    case 'GET /health':
      return [200, { status: 'ok', properties: crew.loaded.properties.all.length, ...(await crew.figures()).store }]
    case 'GET /metrics':
      return [200, await metricsOf(crew), 'text/plain; version=0.0.4; charset=utf-8']
    case 'GET /top':
      return [200, await topOf(crew)]
    case 'GET /explain':
      return [200, await crew.explain(askedBy(searchParams))]
    case 'POST /purge': {
      const started = performance.now()
      const purged = await options.purge(await bodyOf(message))
      return [200, { ...purged, milliseconds: Math.round((performance.now() - started) * 1_000) / 1_000 }]
    }
    case 'POST /reload': {
      const needStart = await options.reload()
      return [200, { properties: crew.loaded.properties.all.length, needStart }]
    }
    default:
      throw new NotFound('admin command', `${message.method} ${pathname}`)
  }
}

async function metricsOf(crew: Crew): Promise<string> {
  const { store, front, logDropped } = await crew.figures()
  return figures('store', store) + figures('front', front) + crew.sight.metrics(logDropped)
}

async function topOf(crew: Crew): Promise<{ properties: unknown; connections: number }> {
  const { front } = await crew.figures()
  return { properties: crew.sight.top(), connections: front.connections }
}

/** The request that `?url=…&method=…&header=Name: value` describes. */
function askedBy(parameters: URLSearchParams): EdgeRequest {
  const text = parameters.get('url') ?? ''
  const url = URL.parse(/^https?:/.test(text) ? text : `http://${text}`)
  if (text === '' || url === null)
    throw new BadInput('url', `${text} is no address`, 'an address such as http://www.shop.example/a')
  const fields = ['host', url.host]
  for (const header of parameters.getAll('header')) {
    const colon = header.indexOf(':')
    if (colon < 1) throw new BadInput('header', `${header} is no header`, 'Name: value')
    fields.push(header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim())
  }
  return {
    method: (parameters.get('method') ?? 'GET').toUpperCase(),
    scheme: url.protocol === 'https:' ? 'https' : 'http',
    host: url.hostname,
    authority: url.host,
    target: url.pathname + url.search,
    version: '1.1',
    fields,
    client: { address: parameters.get('from') ?? '127.0.0.1', port: 0 },
    receivedAt: Date.now(),
    body: null,
  }
}

async function bodyOf(message: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_BYTES) throw new BadInput('body', 'it is too large', `at most ${BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString() || '{}')
  } catch (error) {
    throw new BadInput('body', `it is not JSON (${(error as Error).message})`, 'a JSON object')
  }
}

function send(response: ServerResponse, status: number, body: unknown, type = 'application/json'): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body, null, 2)}\n`
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  })
  response.end(text)
}
