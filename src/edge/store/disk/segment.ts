/**
 * One segment file: written from front to back, read anywhere, given back as a whole. It stays readable until the last
 * reader is done, also after it was removed.
 */
import { closeSync, fdatasync, fstatSync, openSync, read, unlink, writeSync, writev } from 'node:fs'
import { join } from 'node:path'
import { STATE } from './format.ts'

const nameOf = (number: number): string => `segment-${String(number).padStart(10, '0')}`
const NAME = /^segment-(\d{10})$/

export const segmentNumber = (name: string): number | null => {
  const found = NAME.exec(name)
  return found === null ? null : Number(found[1])
}

export class Segment<T> {
  readonly number: number
  readonly #path: string
  readonly #fd: number
  /** Bytes given out to records; the next one begins here. */
  sizeBytes: number
  /** Bytes of records that a stored response still needs. */
  liveBytes = 0
  /** Those that have a part here. */
  readonly objects = new Set<T>()
  isSealed = false
  /** Marks were written that a power cut could still undo. */
  isMarked = false
  #readers = 0
  #isRemoved = false
  #isClosed = false

  /** @throws the system's error when the file cannot be opened or made */
  constructor(folder: string, number: number, isNew: boolean) {
    this.number = number
    this.#path = join(folder, nameOf(number))
    this.#fd = openSync(this.#path, isNew ? 'wx+' : 'r+')
    this.sizeBytes = isNew ? 0 : fstatSync(this.#fd).size
    this.isSealed = !isNew
  }

  /** Writes buffers one after the other at an offset; a short write is a failed one. */
  write(parts: Buffer[], bytes: number, offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      writev(this.#fd, parts, offset, (error, written) => {
        if (error) reject(error)
        else if (written !== bytes) reject(new Error(`only ${written} of ${bytes} bytes could be written`))
        else resolve()
      })
    })
  }

  /** Keeps the file readable until `letGo`. */
  hold(): void {
    this.#readers++
  }

  letGo(): void {
    this.#readers--
    if (this.#isRemoved) this.#close()
  }

  /** The bytes at an offset; fewer than asked for at the end of the file. */
  read(offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(bytes)
    return new Promise((resolve, reject) => {
      // A number that is closed may be another file's by now.
      if (this.#isClosed) {
        reject(new Error('this segment was removed'))
        return
      }
      this.hold()
      read(this.#fd, buffer, 0, bytes, offset, (error, count) => {
        this.letGo()
        if (error) reject(error)
        else resolve(buffer.subarray(0, count))
      })
    })
  }

  /** Writes the state of a record in place. Needs no room on the disk. @throws the system's error */
  mark(offset: number, state: number, softAt = 0): void {
    if (this.#isRemoved) return
    const bytes = Buffer.alloc(state === STATE.dead ? 4 : 12)
    bytes.writeUInt32LE(state, 0)
    if (bytes.length > 4) bytes.writeDoubleLE(softAt, 4)
    writeSync(this.#fd, bytes, 0, bytes.length, offset + 4)
    this.isMarked = true
  }

  /** Resolves when all marks would survive a power cut. */
  sync(): Promise<void> {
    this.isMarked = false
    this.hold()
    return new Promise((resolve) => {
      fdatasync(this.#fd, () => {
        this.letGo()
        resolve()
      })
    })
  }

  /** Gives the file back to the disk. */
  remove(): void {
    if (this.#isRemoved) return
    this.#isRemoved = true
    // Behind the caller's back: giving hundreds of megabytes back can take the disk a while.
    unlink(this.#path, () => {})
    this.#close()
  }

  close(): void {
    this.#isRemoved = true
    this.#close()
  }

  #close(): void {
    if (this.#readers > 0 || this.#isClosed) return
    this.#isClosed = true
    closeSync(this.#fd)
  }
}
