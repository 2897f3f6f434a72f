/**
 * Slots on disk: one file for five minutes, a line for a property with its figures so far, appended each second for those
 * that changed; the last line of a property counts. After `kill -9` a slot goes on from its file, so at most the last
 * second is lost; a line that was cut off is passed over. A file with too many old lines is written anew beside itself.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Figures, RESULTS, SLOT_MS } from './account.ts'

/** A week of slots; whoever collects usage comes more often. */
const SLOTS_MAX = (7 * 24 * 3_600_000) / SLOT_MS
/** A file is written anew once it has this many times the lines it needs, and this many at least. */
const OLD_LINES_FACTOR = 8
const OLD_LINES_MIN = 4_096

/** What is told of one property in one slot. */
export interface Usage {
  property: string
  /** Epoch milliseconds of the slot's beginning. */
  from: number
  requests: number
  bytesIn: number
  bytesOut: number
  /** 1xx … 5xx. */
  byClass: readonly number[]
  byResult: Readonly<Record<string, number>>
  peakRequestsPerSecond: number
  peakBytesOutPerSecond: number
}

/** The form in which usage is handed on: `id` names it for as long as it is not taken. */
export interface UsageSlot extends Usage {
  id: string
}

/** Told of at once at most; the rest is told once these are taken. */
const PENDING_MAX = 10_000

export const withId = (usage: Usage): UsageSlot => ({ id: `${usage.from}/${usage.property}`, ...usage })

export const slotOf = (now: number): number => now - (now % SLOT_MS)

export class Slots {
  readonly #folder: string
  #lines = 0
  /** The file ends in a line that a crash left half written. */
  #isCutOff = false

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true })
  }

  /** What is known of a slot that goes on: where it stopped when the edge did. */
  resume(from: number): Map<string, Figures> {
    const text = this.#text(from)
    this.#isCutOff = text !== '' && !text.endsWith('\n')
    this.#lines = text.split('\n').length
    return new Map(this.usage(from).map((usage) => [usage.property, figuresOf(usage)]))
  }

  /** All that is on disk of one slot. */
  usage(from: number): Usage[] {
    const known = new Map<string, Usage>()
    for (const line of this.#text(from).split('\n')) {
      const usage = parse(line)
      if (usage !== null) known.set(usage.property, usage)
    }
    return [...known.values()]
  }

  /** What lies in slots before `from`, oldest first. */
  pending(from: number): UsageSlot[] {
    const told: UsageSlot[] = []
    for (const slot of this.list()) {
      if (slot >= from || told.length >= PENDING_MAX) break
      told.push(...this.usage(slot).map(withId))
    }
    return told.slice(0, PENDING_MAX)
  }

  /** Forgets what was handed on. */
  taken(ids: readonly string[]): void {
    const gone = new Set(ids)
    for (const from of new Set(ids.map((id) => Number.parseInt(id, 10)))) {
      if (!existsSync(this.#file(from))) continue
      const left = this.usage(from).filter((usage) => !gone.has(withId(usage).id))
      if (left.length === 0) rmSync(this.#file(from), { force: true })
      else this.#rewrite(from, left)
    }
  }

  /** Beginnings of the slots on disk, oldest first. */
  list(): number[] {
    return readdirSync(this.#folder)
      .map((name) => Number(/^(\d+)\.jsonl$/.exec(name)?.[1] ?? Number.NaN))
      .filter((from) => !Number.isNaN(from))
      .sort((a, b) => a - b)
  }

  /** Appends what changed; `all` gives every property of the slot for when the file is written anew. */
  write(from: number, changed: readonly [string, Figures][], all: () => Iterable<[string, Figures]>): void {
    if (changed.length === 0) return
    const text = changed.map(([property, figures]) => `${JSON.stringify(usageOf(property, from, figures))}\n`).join('')
    const file = this.#file(from)
    if (!existsSync(file)) {
      this.#lines = 0
      this.#forgetOld()
    }
    appendFileSync(file, this.#isCutOff ? `\n${text}` : text)
    this.#isCutOff = false
    this.#lines += changed.length
    if (this.#lines < OLD_LINES_MIN) return
    const current = [...all()]
    if (this.#lines < current.length * OLD_LINES_FACTOR) return
    this.#rewrite(
      from,
      current.map(([name, figures]) => usageOf(name, from, figures)),
    )
    this.#lines = current.length
  }

  #rewrite(from: number, usage: readonly Usage[]): void {
    const file = this.#file(from)
    writeFileSync(`${file}.new`, usage.map((each) => `${JSON.stringify(each)}\n`).join(''))
    renameSync(`${file}.new`, file)
  }

  #text(from: number): string {
    const file = this.#file(from)
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  #forgetOld(): void {
    const all = this.list()
    for (const from of all.slice(0, Math.max(0, all.length - SLOTS_MAX))) rmSync(this.#file(from), { force: true })
  }

  #file(from: number): string {
    return join(this.#folder, `${from}.jsonl`)
  }
}

export function usageOf(property: string, from: number, figures: Figures): Usage {
  return {
    property,
    from,
    requests: figures.requests,
    bytesIn: figures.bytesIn,
    bytesOut: figures.bytesOut,
    byClass: figures.byClass,
    byResult: Object.fromEntries(RESULTS.map((result, index) => [result, figures.byResult[index]!])),
    peakRequestsPerSecond: figures.peakRequests,
    peakBytesOutPerSecond: figures.peakBytesOut,
  }
}

function figuresOf(usage: Usage): Figures {
  const figures = new Figures()
  figures.requests = usage.requests
  figures.bytesIn = usage.bytesIn
  figures.bytesOut = usage.bytesOut
  usage.byClass.forEach((count, index) => {
    figures.byClass[index] = count
  })
  RESULTS.forEach((result, index) => {
    figures.byResult[index] = usage.byResult[result] ?? 0
  })
  figures.peakRequests = usage.peakRequestsPerSecond
  figures.peakBytesOut = usage.peakBytesOutPerSecond
  return figures
}

/** Null for an empty line, or one that was cut off. */
function parse(line: string): Usage | null {
  if (!line.startsWith('{') || !line.endsWith('}')) return null
  try {
    return JSON.parse(line) as Usage
  } catch {
    return null
  }
}
