/** What every benchmark of requests shares: a lean HTTP client, clients in a closed loop, percentiles, CPU time. */
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'

/**
 * One keep-alive connection that sends one request at a time: far cheaper than `fetch`, so that the server is measured.
 * Opened anew when the server closes it after an answer.
 */
export class Connection {
  readonly #url: URL
  #socket: Socket | null = null
  #waiting: { resolve: (answer: { status: number; body: string }) => void; reject: (problem: unknown) => void } | null =
    null
  #buffer: Buffer = Buffer.alloc(0)

  readonly #keepAlive: boolean

  constructor(url: string, keepAlive = true) {
    this.#url = new URL(url)
    this.#keepAlive = keepAlive
  }

  request(
    method: string,
    path: string,
    headers: Record<string, string>,
    body = '',
  ): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      let head = `${method} ${path} HTTP/1.1\r\nhost: ${this.#url.host}\r\n`
      if (!this.#keepAlive) head += 'connection: close\r\n'
      for (const name in headers) head += `${name}: ${headers[name]}\r\n`
      if (body !== '') head += `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
      this.#open().write(`${head}\r\n${body}`)
    })
  }

  #open(): Socket {
    if (this.#socket && !this.#socket.destroyed && this.#socket.writable) return this.#socket
    const socket = connect(Number(this.#url.port), this.#url.hostname)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    // A server may reset after its whole answer: only an answer that is missing is a failure.
    socket.on('error', (error) => {
      this.#finish(this.#buffer.length)
      this.#waiting?.reject(error)
    })
    socket.on('end', () => {
      // Without a length the end of the answer is the end of the connection.
      this.#finish(this.#buffer.length)
      socket.destroy()
    })
    this.#socket = socket
    return socket
  }

  #read(chunk: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    const end = this.#buffer.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#buffer.toString('latin1', 0, end)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? (/^HTTP\/1.1 204/.test(head) ? '0' : null)
    if (length !== null && this.#buffer.length >= end + 4 + Number(length)) this.#finish(end + 4 + Number(length))
  }

  #finish(length: number): void {
    const end = this.#buffer.indexOf('\r\n\r\n')
    if (end < 0 || !this.#waiting) return
    const answer = {
      status: Number(this.#buffer.toString('latin1', 9, 12)),
      body: this.#buffer.toString('utf8', end + 4, length),
    }
    this.#buffer = this.#buffer.subarray(length)
    const { resolve } = this.#waiting
    this.#waiting = null
    if (!this.#keepAlive) this.#socket?.destroy()
    resolve(answer)
  }

  close(): void {
    this.#socket?.destroy()
  }
}

export interface Load {
  /** Finished per second. */
  perSecond: number
  p50: number
  p99: number
  statuses: Record<number, number>
}

/** `clients` connections, each sending its next request when the last is answered, until `count` are done. */
export async function load(
  url: string,
  clients: number,
  count: number,
  send: (connection: Connection) => Promise<number>,
  keepAlive = true,
): Promise<Load> {
  const connections = Array.from({ length: clients }, () => new Connection(url, keepAlive))
  const latencies: number[] = []
  const statuses: Record<number, number> = {}
  let left = count
  const began = performance.now()
  await Promise.all(
    connections.map(async (connection) => {
      while (left-- > 0) {
        const started = performance.now()
        const status = await send(connection)
        latencies.push(performance.now() - started)
        statuses[status] = (statuses[status] ?? 0) + 1
      }
    }),
  )
  const seconds = (performance.now() - began) / 1_000
  for (const connection of connections) connection.close()
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!
  return { perSecond: count / seconds, p50: at(0.5), p99: at(0.99), statuses }
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Median and spread of repeated loads, as one line of a table. */
export function summary(loads: readonly Load[]): {
  perSecond: number
  low: number
  high: number
  p50: number
  p99: number
} {
  const rates = loads.map(({ perSecond }) => perSecond)
  return {
    perSecond: median(rates),
    low: Math.min(...rates),
    high: Math.max(...rates),
    p50: median(loads.map(({ p50 }) => p50)),
    p99: median(loads.map(({ p99 }) => p99)),
  }
}

const TICKS_PER_SECOND = 100

/** CPU milliseconds used so far by a process and, with `tree`, by all that it has started (Linux; else 0). */
export function cpuMs(processId: number, tree = false): number {
  try {
    const read = (id: number | string) => {
      const text = readFileSync(`/proc/${id}/stat`, 'latin1')
      return text.slice(text.lastIndexOf(')') + 2).split(' ')
    }
    const ticks = (fields: string[], reaped: boolean) =>
      Number(fields[11]) + Number(fields[12]) + (reaped ? Number(fields[13]) + Number(fields[14]) : 0)
    let sum = ticks(read(processId), tree)
    if (tree)
      for (const id of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
        try {
          const fields = read(id)
          if (Number(fields[1]) === processId) sum += ticks(fields, true)
        } catch {
          // It ended meanwhile.
        }
      }
    return (sum * 1_000) / TICKS_PER_SECOND
  } catch {
    return 0
  }
}

/** The line that a program reads: ours beside the peer's. */
export function compare(bench: string, ours: number, peer: number | null, more: Record<string, unknown> = {}): void {
  const ratio = peer === null ? null : Math.round((ours / peer) * 10) / 10
  console.log(
    JSON.stringify({
      bench,
      ours: Math.round(ours * 10) / 10,
      peer: peer === null ? null : Math.round(peer * 10) / 10,
      ratio,
      ...more,
    }),
  )
}
