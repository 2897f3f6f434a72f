/**
 * Stored responses in segment files (format.ts). Everything is appended by one writer in the order it was asked for, so what
 * a crash leaves behind is a beginning. Room comes back by whole segments: the one with the fewest live bytes has those
 * copied forward and goes.
 *
 * When the disk fails or is full nothing is thrown at anyone: what could not be written stays in memory only, `failing` says
 * so, and after a while it is tried again.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { EXTENT_BYTES, extentRecord, type ObjectText, objectRecord, STATE } from './format.ts'
import { type DiskPlace, type Extent, extentRecordBytes, segmentsOf } from './place.ts'
import { readBody } from './read.ts'
import { recordsIn } from './scan.ts'
import { Segment, segmentNumber } from './segment.ts'

/** What the writer asks its owner when it is an object's turn; null: it is not wanted any more. */
export type TextOf = () => (Omit<ObjectText, 'serial' | 'extents'> & { softAt: number }) | null

interface Job<T> {
  /** Bytes it holds in memory while it waits. */
  readonly heldBytes: number
  /** What to write at this place; null: nothing, it is not wanted any more. */
  build(segment: Segment<T>, offset: number): Buffer[] | null
  done(segment: Segment<T>, offset: number, bytes: number): void
  /** It was not written, for whatever reason. */
  failed(): void
}

/** Who asks: clearing goes first and may use the last segments, or room would never come back. */
type Rank = 'ordinary' | 'clearing'
const RANKS = ['clearing', 'ordinary'] as const

export interface DiskOptions<T> {
  folder: string
  sizeBytes: number
  /** Called for objects whose segment is cleared; the owner calls `move` for each that it wants to keep. */
  clear(objects: readonly T[], segment: Segment<T>): Promise<void>
}

/** A disk is this many segments, within these bounds. */
const SEGMENTS = 128
const SEGMENT_LEAST_BYTES = 2 * 1024 * 1024
const SEGMENT_MOST_BYTES = 1024 * 1024 * 1024
/** A segment is full when a record has passed its size; the largest record takes this much. */
const OVERSHOOT_BYTES = EXTENT_BYTES + 256 * 1024
/** Segments kept free for what comes while another is cleared. */
const SPARE_SEGMENTS = 4
/** Of those, segments that only clearing may take. */
const CLEARING_SEGMENTS = 2
/** Room for live bytes is what is left beside the spare and the two open segments, and of that this share. */
const OPEN_SEGMENTS = 2
const LIVE_SHARE = 0.9
/** A segment that is fuller than this is not worth clearing. */
const WORTH_CLEARING = 0.97

/** Bytes that may wait to be written; what comes then is not kept on disk. */
export const BACKLOG_BYTES = 64 * 1024 * 1024
/** From so many on whoever writes should wait, until half of them are written. */
const SATURATED_BYTES = 16 * 1024 * 1024
/** Bytes in one write. */
const BATCH_BYTES = 4 * 1024 * 1024
/** Records up to this are copied together: a write of many small buffers costs more than the copy. */
const JOIN_BYTES = 64 * 1024
/** Buffers in one write (IOV_MAX is 1024). */
const BATCH_PARTS = 900
/** After a failed write nothing is tried for so long. */
const RETRY_MS = 5_000

export class Disk<T> {
  readonly #options: DiskOptions<T>
  readonly #segmentBytes: number
  readonly #segments = new Map<number, Segment<T>>()
  /** Clearing has a segment of its own: new objects must not take the room that it needs to give room back. */
  readonly #current: Record<Rank, Segment<T> | null> = { clearing: null, ordinary: null }
  #nextNumber = 1
  #nextId = 1
  #nextSerial = 1
  readonly #queues: Record<Rank, Job<T>[]> = { clearing: [], ordinary: [] }
  #writing: Promise<void> | null = null
  #clearing: Promise<void> | null = null
  #backlogBytes = 0
  #easing: (() => void)[] = []
  #totalBytes = 0
  #failedAt = 0
  /** The last clearing gave nothing back: what waits for room is given up instead. */
  #isStuck = false
  #stuckAt = 0
  /** Segments given back so far. */
  #removed = 0
  #isClosed = false
  readonly counters = {
    diskMarkFaults: 0,
    diskWrites: 0,
    diskWriteFaults: 0,
    diskSkipped: 0,
    diskReadFaults: 0,
    diskClearedBytes: 0,
  }

  /** @throws the system's error when the folder cannot be used */
  constructor(options: DiskOptions<T>) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true })
    this.#segmentBytes = Math.min(
      SEGMENT_MOST_BYTES,
      Math.max(SEGMENT_LEAST_BYTES, Math.floor(options.sizeBytes / SEGMENTS)),
    )
  }

  /** Room for live bytes. */
  get roomBytes(): number {
    return Math.max(0, this.#options.sizeBytes - (SPARE_SEGMENTS + OPEN_SEGMENTS) * this.#mostBytes) * LIVE_SHARE
  }
  /** Bytes that a segment can come to. */
  get #mostBytes(): number {
    return this.#segmentBytes + OVERSHOOT_BYTES
  }
  /** Bytes of all segment files once the open ones are full. */
  get #promisedBytes(): number {
    const open = [this.#current.clearing, this.#current.ordinary].filter((segment) => segment !== null)
    return open.reduce((sum, segment) => sum + this.#mostBytes - segment.sizeBytes, this.#totalBytes)
  }
  /** Bytes of all segment files. */
  get totalBytes(): number {
    return this.#totalBytes
  }
  get backlogBytes(): number {
    return this.#backlogBytes
  }
  /** The last write failed, and it is not yet time to try again. */
  get failing(): boolean {
    return this.#failedAt !== 0 && Date.now() - this.#failedAt < RETRY_MS
  }
  /** Something new can be taken. */
  get open(): boolean {
    return !this.#isClosed && !this.failing && this.#backlogBytes < BACKLOG_BYTES
  }

  get saturated(): boolean {
    return this.#backlogBytes >= SATURATED_BYTES
  }

  /** Calls back once less waits; at the latest when all that waits was given up. */
  onEased(callback: () => void): void {
    this.#easing.push(callback)
  }

  #ease(): void {
    if (this.#backlogBytes > SATURATED_BYTES / 2 || this.#easing.length === 0) return
    for (const callback of this.#easing.splice(0)) callback()
  }

  newId(): number {
    return this.#nextId++
  }

  /** Appends an extent of a body. The buffer must not change until it is written. */
  writeExtent(id: number, index: number, body: Buffer, rank: Rank = 'ordinary'): Extent<T> {
    const extent: Extent<T> = { bytes: body.length, pending: body, segment: null, offset: 0, isGivenUp: false }
    this.#enqueue(rank, {
      heldBytes: body.length,
      build: (segment, offset) => {
        extent.segment = segment
        extent.offset = offset
        return extentRecord(id, index, body)
      },
      done: (segment, _, bytes) => {
        if (!extent.isGivenUp) segment.liveBytes += bytes
        extent.pending = null
      },
      failed: () => {
        extent.segment = extent.pending = null
      },
    })
    return extent
  }

  /**
   * Appends an object's record after its extents, which are asked for when it is written: clearing may have moved them by
   * then. `placed` is told where the object lies, or null when it could not be written or `textOf` says that it is not wanted
   * any more; then the extents are still the owner's to discard.
   */
  writeObject(
    owner: T,
    id: number,
    extentsOf: () => readonly Extent<T>[],
    textOf: TextOf,
    placed: (place: DiskPlace<T> | null) => void,
    rank: Rank = 'ordinary',
  ): void {
    const serial = this.#nextSerial++
    let extents: readonly Extent<T>[] = []
    this.#enqueue(rank, {
      heldBytes: 0,
      build: () => {
        extents = extentsOf()
        if (extents.some(({ segment }) => segment === null)) return null
        const text = textOf()
        if (text === null) return null
        const { softAt, ...rest } = text
        return objectRecord(id, softAt, {
          ...rest,
          serial,
          extents: extents.map(({ segment, offset, bytes }) => [segment!.number, offset, bytes]),
        })
      },
      done: (segment, offset, bytes) => {
        segment.liveBytes += bytes
        const place = { id, serial, record: { segment, offset, bytes }, extents }
        this.#register(owner, place)
        placed(place)
      },
      failed: () => placed(null),
    })
  }

  #register(owner: T, place: DiskPlace<T>): void {
    place.record.segment.objects.add(owner)
    for (const { segment } of place.extents) segment!.objects.add(owner)
  }

  /**
   * A place is not needed any more; its record is marked dead at once, so that it does not come back after a crash. Extents
   * of `others` stay counted: another place has them, or they were given back already. `current` is where the owner lies now.
   */
  release(owner: T, place: DiskPlace<T>, others: readonly Extent<T>[] = [], current: DiskPlace<T> | null = null): void {
    this.mark(place, STATE.dead)
    place.record.segment.liveBytes -= place.record.bytes
    const shared = new Set(others)
    for (const extent of place.extents) if (!shared.has(extent)) this.#dropExtent(extent)
    const stays = new Set(current === null ? [] : segmentsOf(current))
    for (const segment of new Set(segmentsOf(place))) {
      if (!stays.has(segment)) segment.objects.delete(owner)
      this.#removeIfEmpty(segment)
    }
  }

  /** Extents that belong to no object: a recording that was given up. */
  discard(extents: readonly Extent<T>[]): void {
    for (const extent of extents) {
      const { segment } = extent
      if (extent.pending !== null) extent.isGivenUp = true
      if (segment === null || extent.isGivenUp) continue
      this.#dropExtent(extent)
      this.#removeIfEmpty(segment)
    }
  }

  #dropExtent({ segment, bytes }: Extent<T>): void {
    segment!.liveBytes -= extentRecordBytes(bytes)
  }

  #removeIfEmpty(segment: Segment<T>): void {
    if (segment.isSealed && segment.liveBytes === 0) this.#remove(segment)
  }

  /** @returns false when the disk does not take it */
  mark(place: DiskPlace<T>, state: number, softAt = 0): boolean {
    try {
      place.record.segment.mark(place.record.offset, state, softAt)
      return true
    } catch {
      this.counters.diskMarkFaults++
      return false
    }
  }

  /** Resolves when all that was asked for before this is written or has failed; what is asked for meanwhile is not waited for. */
  async written(): Promise<void> {
    const barrier = (rank: Rank) =>
      new Promise<void>((resolve) => {
        this.#enqueue(rank, { heldBytes: 0, build: () => [], done: () => resolve(), failed: () => resolve() })
      })
    await Promise.all([barrier('clearing'), barrier('ordinary')])
  }

  /** Resolves when all marks so far would survive a power cut. */
  async syncMarks(): Promise<void> {
    for (const segment of [...this.#segments.values()]) if (segment.isMarked) await segment.sync()
  }

  /** Bytes first…last of a body; see `readBody`. @throws Error when the bytes are not what was written */
  read(id: number, extents: readonly Extent<T>[], first: number, last: number): AsyncGenerator<Buffer> {
    return readBody(id, extents, first, last, () => {
      this.counters.diskReadFaults++
    })
  }

  /**
   * Writes those parts of an object that lie in `segment` again, elsewhere, and resolves when `placed` has been told.
   * @throws Error when its bytes are not what was written
   */
  async move(
    owner: T,
    place: DiskPlace<T>,
    segment: Segment<T>,
    textOf: TextOf,
    placed: (place: DiskPlace<T> | null) => void,
  ): Promise<void> {
    const extents: Extent<T>[] = []
    for (const [index, extent] of place.extents.entries()) {
      if (extent.segment !== segment) {
        extents.push(extent)
        continue
      }
      const chunks: Buffer[] = []
      const start = index * EXTENT_BYTES
      for await (const chunk of this.read(place.id, place.extents, start, start + extent.bytes - 1)) chunks.push(chunk)
      extents.push(this.writeExtent(place.id, index, Buffer.concat(chunks), 'clearing'))
      this.counters.diskClearedBytes += extent.bytes
    }
    await new Promise<void>((resolve) => {
      const tell = (moved: DiskPlace<T> | null) => {
        if (moved === null) this.discard(extents.filter((extent) => !place.extents.includes(extent)))
        placed(moved)
        resolve()
      }
      this.writeObject(owner, place.id, () => extents, textOf, tell, 'clearing')
    })
  }

  /** Resolves when all that was asked for so far is written or has failed. */
  async flushed(): Promise<void> {
    while (this.#writing !== null || this.#hasJobs) await (this.#writing ?? this.#clearing ?? this.#writeOn())
  }

  get #hasJobs(): boolean {
    return this.#queues.clearing.length + this.#queues.ordinary.length > 0
  }

  /**
   * Reads what is in the folder. `found` is told of each object record that is whole; what it does not want (null) is marked
   * dead. Segments in which nothing lives are removed.
   */
  async load(
    found: (text: ObjectText, id: number, softAt: number) => { owner: T; placed: (place: DiskPlace<T>) => void } | null,
  ): Promise<void> {
    const numbers = readdirSync(this.#options.folder)
      .map(segmentNumber)
      .filter((number) => number !== null)
      .sort((a, b) => a - b)
    for (const number of numbers) {
      const segment = new Segment<T>(this.#options.folder, number, false)
      this.#segments.set(number, segment)
      this.#totalBytes += segment.sizeBytes
      this.#nextNumber = number + 1
    }
    for (const number of numbers) {
      const segment = this.#segments.get(number)!
      for await (const { offset, bytes, id, softAt, text } of recordsIn(segment)) {
        this.#nextId = Math.max(this.#nextId, id + 1)
        if (text !== null && !this.#loadObject({ segment, offset, bytes }, id, softAt, text, found))
          segment.mark(offset, STATE.dead)
      }
    }
    for (const segment of [...this.#segments.values()]) if (segment.liveBytes === 0) this.#remove(segment)
    this.#makeRoom()
  }

  #loadObject(
    record: DiskPlace<T>['record'],
    id: number,
    softAt: number,
    text: ObjectText,
    found: Parameters<Disk<T>['load']>[0],
  ): boolean {
    this.#nextSerial = Math.max(this.#nextSerial, text.serial + 1)
    const extents: Extent<T>[] = []
    for (const [number, offset, bytes] of text.extents) {
      const segment = this.#segments.get(number)
      if (segment === undefined || offset + extentRecordBytes(bytes) > segment.sizeBytes) return false
      extents.push({ bytes, pending: null, segment, offset, isGivenUp: false })
    }
    const wanted = found(text, id, softAt)
    if (wanted === null) return false
    const place = { id, serial: text.serial, record, extents }
    record.segment.liveBytes += record.bytes
    for (const { segment, bytes } of extents) segment!.liveBytes += extentRecordBytes(bytes)
    this.#register(wanted.owner, place)
    wanted.placed(place)
    return true
  }

  #enqueue(rank: Rank, job: Job<T>): void {
    this.#queues[rank].push(job)
    this.#backlogBytes += job.heldBytes
    this.#wake()
  }

  /** Starts the writer later in this turn of the loop: what is asked for together is written together. */
  #wake(): void {
    this.#writing ??= Promise.resolve()
      .then(() => this.#writeOn())
      .finally(() => {
        this.#writing = null
      })
  }

  /** Writes until nothing waits, or until what waits needs room that is being cleared. */
  async #writeOn(): Promise<void> {
    while (this.#hasJobs) {
      const rank = this.#queues.clearing.length > 0 ? 'clearing' : 'ordinary'
      const segment = this.#segmentFor(rank)
      if (segment !== null) await this.#writeBatch(this.#queues[rank], segment)
      else if (rank === 'ordinary' && this.#clearing !== null && !this.failing && !this.#isStuck) return
      else this.#giveUp(this.#queues[rank])
    }
  }

  /** There is no room, or the disk fails: what waits stays in memory only. */
  #giveUp(queue: Job<T>[]): void {
    for (const job of queue.splice(0)) {
      this.counters.diskSkipped++
      this.#backlogBytes -= job.heldBytes
      job.failed()
    }
    this.#ease()
  }

  async #writeBatch(queue: Job<T>[], segment: Segment<T>): Promise<void> {
    const batch: { job: Job<T>; offset: number; bytes: number }[] = []
    const parts: Buffer[] = []
    const start = segment.sizeBytes
    let end = start
    let taken = 0
    while (
      taken < queue.length &&
      end - start < BATCH_BYTES &&
      end < this.#segmentBytes &&
      parts.length < BATCH_PARTS
    ) {
      const job = queue[taken++]!
      const built = job.build(segment, end)
      if (built === null) {
        this.#backlogBytes -= job.heldBytes
        job.failed()
        continue
      }
      const bytes = built.reduce((sum, part) => sum + part.length, 0)
      batch.push({ job, offset: end, bytes })
      if (bytes <= JOIN_BYTES) parts.push(Buffer.concat(built))
      else parts.push(...built)
      end += bytes
    }
    queue.splice(0, taken)
    if (batch.length === 0) {
      this.#ease()
      return
    }
    segment.sizeBytes = end
    this.#totalBytes += end - start
    segment.hold()
    let isWritten = false
    try {
      await segment.write(parts, end - start, start)
      isWritten = true
      this.counters.diskWrites++
      this.#failedAt = 0
    } catch {
      this.#fail(segment)
    }
    segment.letGo()
    for (const { job, offset, bytes } of batch) {
      this.#backlogBytes -= job.heldBytes
      if (isWritten) job.done(segment, offset, bytes)
      else job.failed()
    }
    this.#ease()
    this.#removeIfEmpty(segment)
  }

  /** What was to be written is lost, and so is the rest of this segment: after it nothing would be found again. */
  #fail(segment: Segment<T>): void {
    this.counters.diskWriteFaults++
    this.#failedAt = Date.now()
    segment.isSealed = true
    for (const rank of RANKS) if (this.#current[rank] === segment) this.#current[rank] = null
  }

  /** The segment that takes the next record, or null when there is none. */
  #segmentFor(rank: Rank): Segment<T> | null {
    if (this.#isClosed || this.failing) return null
    const current = this.#current[rank]
    if (current !== null && current.sizeBytes < this.#segmentBytes) return current
    if (current !== null) {
      current.isSealed = true
      this.#current[rank] = null
      this.#removeIfEmpty(current)
    }
    this.#makeRoom()
    const segments = rank === 'clearing' ? 1 : 1 + CLEARING_SEGMENTS
    if (this.#promisedBytes + segments * this.#mostBytes > this.#options.sizeBytes) return null
    try {
      const segment = new Segment<T>(this.#options.folder, this.#nextNumber, true)
      this.#nextNumber++
      this.#segments.set(segment.number, segment)
      this.#current[rank] = segment
      return segment
    } catch {
      this.counters.diskWriteFaults++
      this.#failedAt = Date.now()
      return null
    }
  }

  get #needsRoom(): boolean {
    return this.#promisedBytes > this.#options.sizeBytes - SPARE_SEGMENTS * this.#mostBytes
  }

  /** Clears segments, the emptiest first, while there is less room than is kept free. */
  #makeRoom(): void {
    if (this.#clearing !== null || this.#isClosed) return
    if (!this.#needsRoom) return
    if (this.#isStuck && Date.now() - this.#stuckAt < RETRY_MS) return
    const removed = this.#removed
    this.#clearing = this.#clear().finally(() => {
      this.#clearing = null
      if (this.#removed === removed) {
        this.#isStuck = true
        this.#stuckAt = Date.now()
      }
      // Whatever waited for room finds it now, or is given up.
      if (this.#hasJobs) this.#wake()
    })
  }

  async #clear(): Promise<void> {
    // Only what is there now, and each once: what is copied forward must not be copied on and on.
    const candidates = new Set([...this.#segments.values()].filter(({ isSealed }) => isSealed))
    while (!this.#isClosed && this.#needsRoom && candidates.size > 0) {
      let emptiest: Segment<T> | null = null
      for (const segment of candidates)
        if (emptiest === null || segment.liveBytes < emptiest.liveBytes) emptiest = segment
      candidates.delete(emptiest!)
      if (emptiest!.liveBytes > emptiest!.sizeBytes * WORTH_CLEARING) return
      await this.#options.clear([...emptiest!.objects], emptiest!)
      this.#removeIfEmpty(emptiest!)
      if (this.#hasJobs) this.#wake()
    }
  }

  #remove(segment: Segment<T>): void {
    if (!this.#segments.delete(segment.number)) return
    this.#isStuck = false
    this.#removed++
    this.#totalBytes -= segment.sizeBytes
    segment.remove()
  }

  async close(): Promise<void> {
    await this.flushed()
    this.#isClosed = true
    await this.#clearing
    await this.syncMarks()
    for (const segment of this.#segments.values()) segment.close()
  }
}
