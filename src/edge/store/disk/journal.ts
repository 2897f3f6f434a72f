/**
 * Purges on disk, so that one holds after `kill -9` too. A line is written before the purge is answered; once all stored
 * objects have been compared with it (a sweep), nothing needs it any more; once `SWEPT_ENTRIES` of those have gathered the
 * file is written anew without them. So it is no longer than that and the purges during one sweep, however many there ever
 * were.
 *
 *   first line   {"count": purges that were ever made when the file was written}
 *   then         {"number": …, "at": epoch ms, "selector": …} for each
 */
import { closeSync, fdatasync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { PurgeSelector } from '../../message.ts'

export interface JournalEntry {
  number: number
  at: number
  selector: PurgeSelector
}

const NAME = 'purges'

/** Purges that are in the file though nothing needs them: writing it anew waits for the disk, so not for each. */
export const SWEPT_ENTRIES = 1_000

export class Journal {
  readonly #path: string
  #fd: number
  /** Those that the file holds. */
  #entries: JournalEntry[]
  /** How many purges there have ever been, as far as the file knows. */
  readonly count: number

  /** @throws the system's error */
  constructor(folder: string) {
    this.#path = join(folder, NAME)
    const { count, entries } = readJournal(this.#path)
    this.count = count
    this.#entries = entries
    this.#fd = this.#rewrite()
  }

  get entries(): readonly JournalEntry[] {
    return this.#entries
  }

  /** Writes one down. @throws the system's error; then it is not on disk */
  add(entry: JournalEntry): void {
    this.#entries.push(entry)
    // The line break comes first: it ends whatever an earlier write left half done.
    const line = Buffer.from(`\n${JSON.stringify(entry)}`)
    if (writeSync(this.#fd, line) !== line.length) throw new Error('the purge could not be written whole')
  }

  /** All objects have been compared with the purges up to this number. */
  forget(upTo: number): void {
    const swept = this.#entries.findIndex(({ number }) => number > upTo)
    if ((swept < 0 ? this.#entries.length : swept) < SWEPT_ENTRIES) return
    this.#entries = this.#entries.filter(({ number }) => number > upTo)
    const old = this.#fd
    this.#fd = this.#rewrite(upTo)
    closeSync(old)
  }

  /** Resolves when what was written would survive a power cut. */
  sync(): Promise<void> {
    return new Promise((resolve) => {
      fdatasync(this.#fd, () => resolve())
    })
  }

  close(): void {
    closeSync(this.#fd)
  }

  #rewrite(count = this.count): number {
    const next = `${this.#path}.new`
    const fd = openSync(next, 'w')
    const last = this.#entries.at(-1)?.number ?? 0
    const lines = [
      JSON.stringify({ count: Math.max(count, last) }),
      ...this.#entries.map((entry) => JSON.stringify(entry)),
    ]
    writeSync(fd, lines.join('\n'))
    fsyncSync(fd)
    renameSync(next, this.#path)
    return fd
  }
}

function readJournal(path: string): { count: number; entries: JournalEntry[] } {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return { count: 0, entries: [] }
  }
  let count = 0
  const entries: JournalEntry[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    try {
      const said = JSON.parse(line) as Partial<JournalEntry> & { count?: number }
      if (said.count !== undefined) count = said.count
      else entries.push(said as JournalEntry)
    } catch {
      // The last line of a process that was ended while writing: that purge was never answered.
    }
  }
  return { count: Math.max(count, ...entries.map(({ number }) => number), 0), entries }
}
