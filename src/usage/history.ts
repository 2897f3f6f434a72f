/**
 * Reads the history of another system: lines `meter,time,in,out` (a heading is passed over), where time is in seconds since
 * the epoch or ISO 8601 and begins a slot, and in and out are the octets of that slot. Months of a thousand circuits are
 * millions of lines, so bytes are read as they are and never become lines of text.
 */
import { BadInput } from '../core/errors.ts'
import type { Database } from '../database/connection.ts'
import { HistoryImport } from './days.ts'
import { metersByCodes } from './meters.ts'
import { OCTETS_MAX } from './packing.ts'

const NEWLINE = 0x0a
const RETURN = 0x0d
const COMMA = 0x2c
const ZERO = 0x30

/** The longest line there can be. */
const LINE_MAX = 512

export interface HistoryProgress {
  bytes: number
  samples: number
}

/**
 * Imports a history whole days at a time; what was written stays when a later line is wrong, and reading the file again
 * changes nothing.
 * @throws BadInput with the number of the line
 */
export async function importHistory(
  database: Database,
  chunks: AsyncIterable<Buffer>,
  progress: (done: HistoryProgress) => void = () => {},
): Promise<{ samples: number }> {
  const reader = new Reader(database)
  let bytes = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    bytes += chunk.length
    const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const used = await reader.lines(all)
    rest = all.subarray(used)
    if (rest.length > LINE_MAX) reader.fail('a line is longer than any can be')
    progress({ bytes, samples: reader.samples })
  }
  if (rest.length > 0) await reader.lines(Buffer.concat([rest, Buffer.from('\n')]))
  await reader.end()
  return { samples: reader.samples }
}

interface KnownMeter {
  id: number
  slotSeconds: number
}

class Reader {
  readonly #database: Database
  /** By code: the same few names come again and again, so each is read from its bytes once. */
  readonly #meters = new Map<number, { code: Buffer; meter: KnownMeter }[]>()
  readonly #imports = new Map<number, HistoryImport>()
  #line = 0
  samples = 0

  constructor(database: Database) {
    this.#database = database
  }

  fail(problem: string): never {
    throw new BadInput(`line ${this.#line + 1}`, problem, 'meter,time,octets in,octets out')
  }

  /** Takes the whole lines of these bytes; how many bytes they were. */
  async lines(bytes: Buffer): Promise<number> {
    let start = 0
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start)
      if (end < 0) return start
      const last = bytes[end - 1] === RETURN ? end - 1 : end
      const waits = last > start ? this.#take(bytes, start, last) : undefined
      if (waits !== undefined) await waits
      this.#line++
      start = end + 1
    }
  }

  /** Only what is not known yet, or a full memory, waits. */
  #take(bytes: Buffer, start: number, end: number): Promise<void> | undefined {
    const first = bytes.indexOf(COMMA, start)
    const second = first < 0 ? -1 : bytes.indexOf(COMMA, first + 1)
    const third = second < 0 ? -1 : bytes.indexOf(COMMA, second + 1)
    if (third < 0 || third > end) this.fail('there are not four values')
    if (this.#line === 0 && !(bytes[third + 1]! >= ZERO && bytes[third + 1]! < ZERO + 10)) return undefined
    const meter = this.#known(bytes, start, first)
    if (meter === null)
      return this.#find(bytes.toString('utf8', start, first)).then(() => this.#take(bytes, start, end))
    const seconds = this.#time(bytes, first + 1, second)
    const slot = seconds / meter.slotSeconds
    if (!Number.isInteger(slot)) this.fail(`the time begins no slot of ${meter.slotSeconds} s`)
    const inward = this.#octets(bytes, second + 1, third)
    const outward = this.#octets(bytes, third + 1, end)
    let into = this.#imports.get(meter.slotSeconds)
    if (into === undefined) {
      into = new HistoryImport(this.#database, meter.slotSeconds)
      this.#imports.set(meter.slotSeconds, into)
    }
    this.samples++
    return into.add(meter.id, slot, inward, outward) ? into.flush() : undefined
  }

  #known(bytes: Buffer, start: number, end: number): KnownMeter | null {
    for (const { code, meter } of this.#meters.get(hashOf(bytes, start, end)) ?? [])
      if (code.compare(bytes, start, end) === 0) return meter
    return null
  }

  async #find(code: string): Promise<void> {
    const known = (
      await metersByCodes(this.#database, new Set([code])).catch(() => this.fail(`there is no meter ${code}`))
    ).get(code)!
    const bytes = Buffer.from(code)
    const hash = hashOf(bytes, 0, bytes.length)
    this.#meters.set(hash, [...(this.#meters.get(hash) ?? []), { code: bytes, meter: known }])
  }

  #time(bytes: Buffer, start: number, end: number): number {
    const seconds = digits(bytes, start, end)
    if (seconds >= 0) return seconds
    const parsed = Date.parse(bytes.toString('latin1', start, end))
    if (Number.isNaN(parsed)) this.fail('the time is none')
    return parsed / 1_000
  }

  #octets(bytes: Buffer, start: number, end: number): number {
    const octets = digits(bytes, start, end)
    if (octets < 0 || octets > OCTETS_MAX) this.fail(`${bytes.toString('latin1', start, end)} is no count of octets`)
    return octets
  }

  async end(): Promise<void> {
    for (const each of this.#imports.values()) await each.flush()
  }
}

/** A whole number, or −1. */
function digits(bytes: Buffer, start: number, end: number): number {
  if (start === end || end - start > 15) return -1
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = 0
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
  return hash
}
