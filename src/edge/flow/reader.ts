/**
 * One reader of a fill: which bytes of the arriving body it wants, and how far it is. It takes from the window what is there,
 * from the recording what has left the window, and waits for what has not arrived.
 */
import type { Recording } from '../message.ts'
import type { Answer, Part } from '../policy/answer.ts'
import type { Exchange } from './exchange.ts'
import type { Window } from './window.ts'

export class Reader {
  readonly exchange: Exchange
  readonly #parts: readonly Part[] | null
  readonly #after: Buffer | null
  #part = 0
  #position: number
  #blocked = false
  #catchingUp = false
  /** It has everything, or is gone. */
  finished = false

  constructor(exchange: Exchange, answer: Answer) {
    this.exchange = exchange
    this.#parts = answer.body === 'all' || answer.body === 'none' ? null : answer.body
    this.#after = answer.after
    this.#position = this.#parts === null ? 0 : this.#parts[0]!.first
    if (answer.body === 'none') this.#finish()
    else if (this.#parts !== null && this.#parts[0]!.before !== null) exchange.write(this.#parts[0]!.before)
  }

  /** The next byte it needs. */
  get position(): number {
    return this.#position
  }
  /** It cannot take more at the moment. */
  get slow(): boolean {
    return this.#blocked || this.#catchingUp
  }

  /**
   * Gives it what it can take. `ended`: no more bytes will come. `progress` is called when a slow reader is ready again.
   */
  pump(window: Window, recording: Recording | null, ended: boolean, progress: () => void): void {
    while (!this.finished && !this.slow) {
      if (this.exchange.over) {
        this.finished = true
        return
      }
      if (this.#position >= window.end) {
        if (ended) this.#finish()
        return
      }
      if (this.#position < window.start) {
        if (recording === null) {
          this.cutOff()
          return
        }
        void this.#catchUp(recording, window.end - 1, progress)
        return
      }
      let chunk = window.at(this.#position)
      const last = this.#last()
      if (this.#position + chunk.length - 1 > last) chunk = chunk.subarray(0, last - this.#position + 1)
      if (!this.#take(chunk)) this.#wait(progress)
    }
  }

  /** What it would still need is lost. */
  cutOff(): void {
    if (this.finished) return
    this.finished = true
    this.exchange.abort()
  }

  #last(): number {
    return this.#parts === null ? Number.POSITIVE_INFINITY : this.#parts[this.#part]!.last
  }

  /** Writes, moves on to the next part where one ends; false when the reader can take no more now. */
  #take(chunk: Buffer): boolean {
    let ready = this.exchange.write(chunk)
    this.#position += chunk.length
    if (this.#position > this.#last()) {
      this.#part++
      const next = this.#parts![this.#part]
      if (next === undefined) {
        this.#finish()
        return true
      }
      this.#position = next.first
      if (next.before !== null) ready = this.exchange.write(next.before)
    }
    return ready
  }

  #wait(progress: () => void): void {
    if (this.finished) return
    this.#blocked = true
    this.exchange.whenReady(() => {
      this.#blocked = false
      if (this.exchange.over) this.finished = true
      progress()
    })
  }

  async #catchUp(recording: Recording, end: number, progress: () => void): Promise<void> {
    this.#catchingUp = true
    try {
      const last = Math.min(end, this.#last())
      for await (const chunk of recording.read(this.#position, last)) {
        if (this.exchange.over) break
        if (!this.#take(chunk)) await new Promise<void>((resolve) => this.exchange.whenReady(resolve))
      }
    } catch {
      this.cutOff()
    }
    this.#catchingUp = false
    if (this.exchange.over) this.finished = true
    progress()
  }

  #finish(): void {
    if (this.finished) return
    this.finished = true
    if (this.#after !== null) this.exchange.write(this.#after)
    this.exchange.end()
  }
}
