/** What sockets need of a responder: bytes in, bytes out, with the clock, the sample for the log, and faults caught at one place. */
import { AT } from '../answer/figures.ts'
import type { Responder, Seen } from '../answer/responder.ts'
import { type AddressWords, addressText } from '../wire/addresses.ts'
import { rcodeName, typeName } from '../wire/codes.ts'

const MESSAGE_BYTES = 65_535

/** One line of the query log. */
export interface LogLine extends Omit<Seen, 'type' | 'rcode'> {
  at: string
  client: string
  transport: 'udp' | 'tcp'
  type: string
  rcode: string
}

export interface AnswererOptions {
  figures: Float64Array
  /** Every so many queries one is logged; 0: none. */
  logEvery: number
  log: (line: LogLine) => void
}

export class Answerer {
  responder: Responder
  readonly #out = Buffer.alloc(MESSAGE_BYTES)
  readonly #options: AnswererOptions
  #untilLog: number

  constructor(responder: Responder, options: AnswererOptions) {
    this.responder = responder
    this.#options = options
    this.#untilLog = options.logEvery
  }

  /** The answer in a buffer that is good until the next call; null: none. */
  answer(query: Uint8Array, length: number, client: AddressWords, isTcp: boolean): Uint8Array | null {
    const size = this.#answer(query, length, client, isTcp, this.#out)
    return size === 0 ? null : this.#out.subarray(0, size)
  }

  /** The same by UDP into memory that holds any such answer; its length, 0: none. */
  answerInto(query: Uint8Array, length: number, client: AddressWords, out: Uint8Array): number {
    return this.#answer(query, length, client, false, out)
  }

  #answer(query: Uint8Array, length: number, client: AddressWords, isTcp: boolean, out: Uint8Array): number {
    let size: number
    try {
      size = this.responder.answer(query, length, client, isTcp, out, Date.now())
    } catch {
      // A fault of ours must not end the service; it is counted, and the client asks another server.
      this.#options.figures[AT.servfail]!++
      return 0
    }
    if (this.#untilLog > 0 && --this.#untilLog === 0) this.#tell(size, client, isTcp)
    return size
  }

  #tell(size: number, client: AddressWords, isTcp: boolean): void {
    this.#untilLog = this.#options.logEvery
    const { type, rcode, ...seen } = this.responder.seen(size)
    this.#options.log({
      at: new Date().toISOString(),
      client: addressText(client),
      transport: isTcp ? 'tcp' : 'udp',
      ...seen,
      type: typeName(type),
      rcode: rcodeName(rcode),
    })
  }

  failed(): void {
    this.#options.figures[AT.sendFailed]!++
  }

  count(counter: keyof typeof AT): void {
    this.#options.figures[AT[counter]]!++
  }
}
