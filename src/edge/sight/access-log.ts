/**
 * The access log: one JSON object a line, for every request or for one in so many. What cannot be written fast enough is
 * dropped and counted; a log never holds a request up.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import type { Finished } from '../message.ts'

/** Lines that wait for the disk. */
const WAITING_MAX_BYTES = 4 * 1024 * 1024
/** Of what clients send, no more than this goes into a line. */
const TEXT_MAX = 512

export interface AccessLogOptions {
  /** Null: standard output. */
  file: string | null
  /** 1: every request; 0.01: one in a hundred. */
  sample: number
}

export class AccessLog {
  readonly #file: string | null
  readonly #every: number
  readonly #options: AccessLogOptions
  #stream: WriteStream | NodeJS.WriteStream
  #count = 0
  dropped = 0

  constructor(options: AccessLogOptions) {
    const { file, sample } = options
    this.#options = options
    this.#file = file
    this.#every = sample <= 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.round(1 / sample))
    this.#stream = this.#open()
  }

  isLike({ file, sample }: AccessLogOptions): boolean {
    return file === this.#options.file && sample === this.#options.sample
  }

  /** True when the next request is one of those that are written. */
  wants(): boolean {
    this.#count++
    if (this.#count < this.#every) return false
    this.#count = 0
    return true
  }

  write(finished: Finished): void {
    if (this.#stream.writableLength > WAITING_MAX_BYTES) {
      this.dropped++
      return
    }
    this.#stream.write(`${line(finished, this.#every)}\n`)
  }

  /** After the file was moved away: the next line goes to a new one of the old name. */
  reopen(): void {
    if (this.#file === null) return
    const old = this.#stream
    this.#stream = this.#open()
    old.end()
  }

  async close(): Promise<void> {
    if (this.#file !== null) await new Promise<void>((resolve) => this.#stream.end(() => resolve()))
  }

  #open(): WriteStream | NodeJS.WriteStream {
    if (this.#file === null) return process.stdout
    const stream = createWriteStream(this.#file, { flags: 'a' })
    stream.on('error', () => {
      this.dropped++
    })
    return stream
  }
}

/** `every`: how many requests this line stands for. */
function line({ request, ...of }: Finished, every: number): string {
  const field = (name: string) => {
    const at = request.fields.findIndex((each, index) => index % 2 === 0 && each === name)
    return at < 0 ? undefined : request.fields[at + 1]!.slice(0, TEXT_MAX)
  }
  return JSON.stringify({
    time: new Date(request.receivedAt).toISOString(),
    client: request.client.address,
    property: of.property,
    method: request.method,
    scheme: request.scheme,
    host: request.host,
    target: request.target.slice(0, TEXT_MAX),
    version: request.version,
    status: of.status,
    result: of.result,
    bytes: of.bodyBytesSent,
    headMs: of.headMs,
    totalMs: of.totalMs,
    complete: of.complete,
    referer: field('referer'),
    userAgent: field('user-agent'),
    ...(every > 1 ? { standsFor: every } : {}),
  })
}
