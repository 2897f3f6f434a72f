/**
 * A response being recorded. Small ones are gathered in memory and copied into a buffer of their own size when they are
 * whole, so that no object holds on to the sockets' larger buffers. What outgrows one extent goes to disk extent by extent
 * while it arrives, so that an object of many gigabytes is never in memory.
 */
import type { Recording, StoredObject } from '../message.ts'
import type { Disk } from './disk/disk.ts'
import { EXTENT_BYTES } from './disk/format.ts'
import type { Extent } from './disk/place.ts'
import { type Stored, StoreFault } from './stored.ts'

/** What a recording needs of its store. */
export interface Room {
  /** Asks for room in memory for so many more bytes; false when there is none. */
  take(bytes: number): boolean
  give(bytes: number): void
  /** The whole body in memory. */
  commitBody(body: Buffer): StoredObject | null
  /** The whole body in extents. */
  commitExtents(id: number, extents: readonly Extent<Stored>[], bodyBytes: number): StoredObject | null
  readonly memoryMaximumBytes: number
  readonly diskMaximumBytes: number
  readonly disk: Disk<Stored> | null
}

type State = 'open' | 'committed' | 'dropped'

export class Recorder implements Recording {
  readonly #room: Room
  /** What is not (yet) handed to the disk. */
  #chunks: Buffer[] = []
  #chunkBytes = 0
  /** Null while the body may stay in memory. */
  #spilled: { id: number; extents: Extent<Stored>[] } | null = null
  #state: State = 'open'
  #isOrphan = false
  writtenBytes = 0

  /** `announcedBytes` is the length that the head gave, if any: what is too large is refused at its first byte. */
  constructor(announcedBytes: number | null, room: Room) {
    this.#room = room
    if (announcedBytes !== null && announcedBytes > Math.max(room.memoryMaximumBytes, room.diskMaximumBytes))
      this.#state = 'dropped'
  }

  write(chunk: Buffer): boolean {
    if (this.#state !== 'open') return false
    if (!this.#room.take(chunk.length)) {
      this.#drop()
      return false
    }
    this.#chunks.push(chunk)
    this.#chunkBytes += chunk.length
    this.writtenBytes += chunk.length
    if (this.#chunkBytes >= EXTENT_BYTES && this.#room.disk?.open)
      this.#spilled ??= { id: this.#room.disk.newId(), extents: [] }
    if (this.#spilled !== null ? this.#spill(EXTENT_BYTES) : this.writtenBytes <= this.#room.memoryMaximumBytes)
      return true
    this.#drop()
    return false
  }

  get saturated(): boolean {
    return this.#state === 'open' && this.#spilled !== null && this.#room.disk!.saturated
  }

  onEased(callback: () => void): void {
    if (this.saturated) this.#room.disk!.onEased(callback)
    else callback()
  }

  async *read(first: number, last: number): AsyncIterable<Buffer> {
    for (let at = first; at <= last; ) {
      const spilledBytes = (this.#spilled?.extents ?? []).reduce((sum, { bytes }) => sum + bytes, 0)
      if (this.#state === 'dropped') throw new StoreFault('the bytes of this recording are not kept')
      if (at < spilledBytes) {
        const { id, extents } = this.#spilled!
        const until = Math.min(last, spilledBytes - 1)
        try {
          for await (const chunk of this.#room.disk!.read(id, extents, at, until)) {
            yield chunk
            at += chunk.length
          }
        } catch (error) {
          throw new StoreFault((error as Error).message)
        }
        continue
      }
      let start = spilledBytes
      const chunk = this.#chunks.find(({ length }) => {
        start += length
        return start > at
      })
      if (chunk === undefined) throw new StoreFault('the bytes of this recording are not kept')
      const from = at - (start - chunk.length)
      const piece = chunk.subarray(from, Math.min(chunk.length, from + last + 1 - at))
      yield piece
      at += piece.length
    }
  }

  commit(): StoredObject | null {
    if (this.#state !== 'open') return null
    if (this.#spilled !== null) {
      if (!this.#spill(1)) {
        this.#drop()
        return null
      }
      this.#state = 'committed'
      const { id, extents } = this.#spilled
      const object = this.#room.commitExtents(id, extents, this.writtenBytes)
      // Not stored, but slow readers may still read it: given back when they are done.
      this.#isOrphan = object === null
      return object
    }
    this.#state = 'committed'
    const body = this.#gather(this.#chunkBytes)
    // Slow readers read the object's own bytes from now on; the sockets' buffers can go.
    this.#chunks = [body]
    return this.#room.commitBody(body)
  }

  abort(): void {
    if (this.#state === 'open') this.#drop()
  }

  close(): void {
    if (this.#state === 'open') this.#drop()
    if (this.#isOrphan) discardLater(this.#room.disk!, this.#spilled!.extents)
    this.#isOrphan = false
    this.#chunks = []
  }

  /** Hands whole extents to the disk, and at the end (`least` 1) what is left. False when the disk does not take them. */
  #spill(least: number): boolean {
    const { id, extents } = this.#spilled!
    while (this.#chunkBytes >= least) {
      const disk = this.#room.disk!
      const hasFailed = extents.some(({ segment, pending }) => segment === null && pending === null)
      if (!disk.open || hasFailed || this.writtenBytes > this.#room.diskMaximumBytes) return false
      extents.push(disk.writeExtent(id, extents.length, this.#gather(Math.min(EXTENT_BYTES, this.#chunkBytes))))
    }
    return true
  }

  /** Takes the oldest bytes out of the chunks, in one buffer. */
  #gather(bytes: number): Buffer {
    const body = Buffer.allocUnsafeSlow(bytes)
    let at = 0
    while (at < bytes) {
      const chunk = this.#chunks[0]!
      const copied = chunk.copy(body, at)
      at += copied
      if (copied === chunk.length) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(copied)
    }
    this.#chunkBytes -= bytes
    this.#room.give(bytes)
    return body
  }

  #drop(): void {
    this.#room.give(this.#chunkBytes)
    this.#chunks = []
    this.#chunkBytes = 0
    this.#state = 'dropped'
    if (this.#spilled !== null) discardLater(this.#room.disk!, this.#spilled.extents)
  }
}

/** Extents that are still on their way to the disk can be given back only once they are there. */
function discardLater(disk: Disk<Stored>, extents: readonly Extent<Stored>[]): void {
  void disk.written().then(() => disk.discard(extents))
}
