/**
 * A response being recorded in memory. Chunks from a socket are pieces of larger buffers; the body is copied into a buffer
 * of its own size when it is whole, so that no object holds on to more than it is counted for.
 */
import type { Recording, StoredObject } from '../message.ts'
import { StoreFault } from './stored.ts'

/** What a recording needs of its store. */
export interface Room {
  /** Asks for room for so many more bytes; false when there is none. */
  take(bytes: number): boolean
  give(bytes: number): void
  commit(body: Buffer): StoredObject | null
}

type State = 'open' | 'kept' | 'dropped'

export class MemoryRecording implements Recording {
  readonly #room: Room
  readonly #maximumBytes: number
  #chunks: Buffer[] = []
  #state: State = 'open'
  writtenBytes = 0

  /** `announcedBytes` is the length that the head gave, if any: what is too large is refused at its first byte. */
  constructor(maximumBytes: number, announcedBytes: number | null, room: Room) {
    this.#maximumBytes = maximumBytes
    this.#room = room
    if (announcedBytes !== null && announcedBytes > maximumBytes) this.#state = 'dropped'
  }

  write(chunk: Buffer): boolean {
    if (this.#state !== 'open') return false
    if (this.writtenBytes + chunk.length > this.#maximumBytes || !this.#room.take(chunk.length)) {
      this.#drop()
      return false
    }
    this.#chunks.push(chunk)
    this.writtenBytes += chunk.length
    return true
  }

  async *read(first: number, last: number): AsyncIterable<Buffer> {
    let start = 0
    for (let at = 0; start <= last; at++) {
      const chunk = this.#chunks[at]
      if (chunk === undefined) throw new StoreFault('The bytes of this recording are not kept')
      const end = start + chunk.length
      if (end > first) yield chunk.subarray(Math.max(0, first - start), Math.min(chunk.length, last + 1 - start))
      start = end
    }
  }

  commit(): StoredObject | null {
    if (this.#state !== 'open') return null
    this.#state = 'kept'
    const body = Buffer.allocUnsafeSlow(this.writtenBytes)
    let at = 0
    for (const chunk of this.#chunks) at += chunk.copy(body, at)
    // Slow readers read the object's own bytes from now on; the sockets' buffers can go.
    this.#room.give(this.writtenBytes)
    this.#chunks = [body]
    return this.#room.commit(body)
  }

  abort(): void {
    if (this.#state === 'open') this.#state = 'dropped'
  }

  close(): void {
    if (this.#state === 'open' || this.#state === 'dropped') this.#drop()
    this.#chunks = []
  }

  #drop(): void {
    const held = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    if (held > 0) this.#room.give(held)
    this.#chunks = []
    this.#state = 'dropped'
  }
}
