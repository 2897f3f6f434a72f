/**
 * A node's line to the control plane: signed requests over kept connections, to whichever of its addresses answers, with
 * the control plane's own time learned from it. Waiting between tries grows and is spread, so that a thousand nodes do
 * not come back in one instant.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { signRequest } from '../feed/signature.ts'
import type { Identity } from './identity.ts'

const REQUEST_TIMEOUT_MS = 15_000
const ANSWER_BYTES = 1_048_576
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000

/** The control plane answered, and refuses. */
export class FeedRefused extends Error {
  readonly status: number
  readonly reason: string
  constructor(status: number, reason: string, detail: string) {
    super(detail)
    this.status = status
    this.reason = reason
  }
}

/** How long to wait before the next try: doubled each time, up to five seconds, and anything from half to all of it. */
export const pauseMs = (failures: number, random = Math.random()): number =>
  Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 20)) * (0.5 + random / 2)

export class ControlLine {
  readonly #urls: string[]
  #current = 0
  readonly #agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets: 4 }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: 4 }),
  }
  /** The control plane's clock less ours. */
  #offsetMs = 0

  /** `urls`: one address or several with commas between. */
  constructor(urls: string) {
    this.#urls = urls.split(',').map((url) => url.trim().replace(/\/+$/, ''))
  }

  /** The next try goes to the next address. */
  turn(): void {
    this.#current = (this.#current + 1) % this.#urls.length
  }

  learnTime(time: number): void {
    this.#offsetMs = time - Date.now()
  }

  /** Posts a message and returns the answer. @throws FeedRefused, or the system's error when nobody answers */
  async post<Answer>(path: string, message: unknown, identity: Identity | null): Promise<Answer> {
    const body = JSON.stringify(message)
    for (let tries = 0; ; tries++) {
      const response = await this.#send('POST', path, body, identity, REQUEST_TIMEOUT_MS)
      const answer = await readAll(response)
      if (response.statusCode! < 300) return (answer === '' ? null : JSON.parse(answer)) as Answer
      const refused = this.#refusal(response.statusCode!, answer)
      // Our clock is wrong, or a repeat met its own nonce: sign again with the time that was told.
      if (tries < 2 && (refused.reason === 'clock' || refused.reason === 'nonce')) continue
      throw refused
    }
  }

  /** Opens the stream. @throws as `post` */
  async stream(path: string, identity: Identity): Promise<IncomingMessage> {
    for (let tries = 0; ; tries++) {
      const response = await this.#send('GET', path, '', identity, null)
      if (response.statusCode === 200) return response
      const refused = this.#refusal(response.statusCode!, await readAll(response))
      if (tries < 2 && (refused.reason === 'clock' || refused.reason === 'nonce')) continue
      throw refused
    }
  }

  #refusal(status: number, answer: string): FeedRefused {
    let problem: { reason?: string; code?: string; detail?: string; time?: number } = {}
    try {
      problem = JSON.parse(answer) as typeof problem
    } catch {}
    if (typeof problem.time === 'number') this.learnTime(problem.time)
    return new FeedRefused(status, problem.reason ?? problem.code ?? 'unknown', problem.detail ?? `HTTP ${status}`)
  }

  #send(
    method: string,
    path: string,
    body: string,
    identity: Identity | null,
    timeoutMs: number | null,
  ): Promise<IncomingMessage> {
    const url = new URL(`${this.#urls[this.#current]}/api/v1${path}`)
    const headers: Record<string, string | number> = { accept: 'application/json' }
    if (method === 'POST') {
      headers['content-type'] = 'application/json'
      headers['content-length'] = Buffer.byteLength(body)
    }
    if (identity !== null)
      headers.authorization = signRequest(
        { method, path: url.pathname + url.search, body },
        identity.id,
        identity.privateKey,
        Math.round(Date.now() + this.#offsetMs),
      )
    const secure = url.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const sent = (secure ? httpsRequest : httpRequest)(
        url,
        // A stream keeps its connection for itself.
        { method, headers, agent: timeoutMs === null ? false : secure ? this.#agents.https : this.#agents.http },
        (response) => {
          clearTimeout(timer)
          resolve(response)
        },
      )
      const timer = setTimeout(
        () => sent.destroy(new Error('The control plane does not answer.')),
        timeoutMs ?? REQUEST_TIMEOUT_MS,
      )
      sent.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      sent.end(method === 'POST' ? body : undefined)
    })
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8')
  response.setTimeout(REQUEST_TIMEOUT_MS, () => response.destroy(new Error('The control plane stopped answering.')))
  let text = ''
  for await (const chunk of response) {
    text += chunk
    if (text.length > ANSWER_BYTES) throw new Error('The answer is too long.')
  }
  return text
}
