/**
 * A node's state on disk: one file of lines, each a change with its sequence; replayed at the start. What was appended
 * and synced survives `kill -9` and a power cut; a last line that was cut off is dropped. When old lines outweigh what
 * stands, the file is written anew beside itself and renamed into its place.
 */
import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { StateItem } from '../feed/messages.ts'

/** The file is written anew once it has this many times the lines it needs, and this many at least. */
const OLD_LINES_FACTOR = 4
const OLD_LINES_MIN = 2_000

export const itemKey = (kind: string, key: string): string => `${kind} ${key}`

export type Change =
  | ({ type: 'set'; sequence: number } & StateItem)
  | { type: 'remove'; sequence: number; kind: string; key: string }
type JournalLine = Change | { type: 'at'; sequence: number }

export class Journal {
  readonly #file: string
  readonly #folder: string
  #handle: FileHandle | null = null
  #lines = 0
  /** The last sequence that is applied; null: nothing is known yet. */
  position: number | null = null
  items = new Map<string, StateItem>()

  private constructor(folder: string) {
    this.#folder = folder
    this.#file = join(folder, 'state.jsonl')
  }

  static async open(folder: string): Promise<Journal> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const journal = new Journal(folder)
    await journal.#load()
    return journal
  }

  async #load(): Promise<void> {
    let text = ''
    try {
      text = await readFile(this.#file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    for (const line of whole.split('\n')) if (line !== '') this.#take(JSON.parse(line) as JournalLine)
    this.#handle = await open(this.#file, 'a', 0o600)
    if (whole.length < text.length) await this.#handle.truncate(Buffer.byteLength(whole))
  }

  #take(line: JournalLine): void {
    this.#lines++
    this.position = line.sequence
    if (line.type === 'set')
      this.items.set(itemKey(line.kind, line.key), { kind: line.kind, key: line.key, body: line.body })
    else if (line.type === 'remove') this.items.delete(itemKey(line.kind, line.key))
  }

  /** Changes of state: on disk for good when it resolves. */
  async append(changes: readonly Change[]): Promise<void> {
    await this.#handle!.appendFile(changes.map((change) => `${JSON.stringify(change)}\n`).join(''))
    await this.#handle!.datasync()
    for (const change of changes) this.#take(change)
    if (this.#lines > OLD_LINES_MIN && this.#lines > this.items.size * OLD_LINES_FACTOR)
      await this.replace(this.position!, this.items)
  }

  /** Events up to here were applied. Not synced: one that is forgotten is told and applied again, which does no harm. */
  async passed(sequence: number): Promise<void> {
    if (this.position !== null && sequence <= this.position) return
    await this.#handle!.appendFile(`${JSON.stringify({ type: 'at', sequence })}\n`)
    this.#take({ type: 'at', sequence })
    if (this.#lines > OLD_LINES_MIN && this.#lines > this.items.size * OLD_LINES_FACTOR)
      await this.replace(sequence, this.items)
  }

  /** The whole state anew: all of it or, after a crash, all of the old one. */
  async replace(sequence: number, items: ReadonlyMap<string, StateItem>): Promise<void> {
    const next = await open(`${this.#file}.new`, 'w', 0o600)
    try {
      let lines = ''
      for (const item of items.values()) {
        lines += `${JSON.stringify({ type: 'set', sequence, ...item })}\n`
        if (lines.length > 1_000_000) {
          await next.appendFile(lines)
          lines = ''
        }
      }
      await next.appendFile(`${lines}${JSON.stringify({ type: 'at', sequence })}\n`)
      await next.datasync()
    } finally {
      await next.close()
    }
    await rename(`${this.#file}.new`, this.#file)
    const folder = await open(this.#folder, 'r')
    await folder.sync()
    await folder.close()
    await this.#handle?.close()
    this.#handle = await open(this.#file, 'a', 0o600)
    this.items = new Map(items)
    this.position = sequence
    this.#lines = items.size + 1
  }

  async close(): Promise<void> {
    await this.#handle?.close()
    this.#handle = null
  }
}
