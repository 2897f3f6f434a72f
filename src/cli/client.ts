/**
 * The command line's way to the API. A POST carries an idempotency key and is repeated when the answer was lost, so that
 * a broken connection neither loses nor doubles anything. What the API refuses becomes a `Refused` that can be printed.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from './config.ts'

const TRIES = 4
const PAUSE_MS = 300

/** What the API said was wrong. */
export class Refused extends Error {
  readonly status: number
  readonly code: string
  readonly fields: { at: string; problem: string; expected: string }[]
  readonly facts: Record<string, unknown>
  constructor(status: number, problem: Record<string, unknown>) {
    super(String(problem.detail ?? problem.title ?? `HTTP ${status}`))
    this.status = status
    this.code = String(problem.code ?? 'unknown')
    this.fields = Array.isArray(problem.fields) ? problem.fields : []
    this.facts = problem
  }
}

/** Nobody answers. */
export class Unreachable extends Error {}

export const credential = (config: Config): Record<string, string> =>
  config.apiKey !== null
    ? { authorization: `Bearer ${config.apiKey}` }
    : config.session !== null
      ? { cookie: `izumi_session=${config.session}` }
      : {}

export interface Sending {
  body?: unknown
  ifMatch?: string
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** One request; the answer as it came, if it was a success. @throws Refused, Unreachable */
export async function send(config: Config, method: string, path: string, sending: Sending = {}): Promise<Response> {
  const headers: Record<string, string> = {
    accept: 'application/json, */*',
    ...credential(config),
    ...(sending.body !== undefined ? { 'content-type': 'application/json' } : {}),
    ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {}),
    ...(sending.ifMatch ? { 'if-match': sending.ifMatch } : {}),
    ...sending.headers,
  }
  for (let attempt = 1; ; attempt++) {
    let response: Response
    try {
      response = await fetch(`${config.url}/api/v1${path}`, {
        method,
        headers,
        body: sending.body === undefined ? undefined : JSON.stringify(sending.body),
        signal: sending.signal,
      })
    } catch (error) {
      if (sending.signal?.aborted) throw error
      if (attempt < TRIES && !isRefusedConnection(error)) {
        await pause(PAUSE_MS * attempt)
        continue
      }
      throw new Unreachable(
        `Nothing answers at ${config.url}. Start it with \`npm start\`, or name another with --url or IZUMI_URL.`,
      )
    }
    if (response.ok) return response
    if (response.status === 503 && attempt < TRIES) {
      await response.arrayBuffer()
      await pause(PAUSE_MS * attempt)
      continue
    }
    const text = await response.text()
    let problem: Record<string, unknown>
    try {
      problem = JSON.parse(text)
    } catch {
      problem = { detail: `${config.url} answered ${response.status}, but not as Izumi does.` }
    }
    throw new Refused(response.status, problem)
  }
}

const isRefusedConnection = (error: unknown): boolean =>
  ((error as { cause?: { code?: string } }).cause?.code ?? '') === 'ECONNREFUSED'

/** One request whose answer is JSON; undefined when it is empty. */
export async function sendJson<Answer>(
  config: Config,
  method: string,
  path: string,
  sending?: Sending,
): Promise<Answer> {
  const text = await (await send(config, method, path, sending)).text()
  return (text === '' ? undefined : JSON.parse(text)) as Answer
}
