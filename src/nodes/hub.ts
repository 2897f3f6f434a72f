/**
 * One process's end of the feed: reads new entries once for all the streams it serves, keeps the newest in memory, and
 * sends each stream what is for its node from where it left off. Any number of processes do this over one database; a
 * notification only says "look", so one that is lost costs time and nothing else.
 */
import type { Database } from '../database/connection.ts'
import { listen, type Notifications } from '../database/notifications.ts'
import { type FeedMessage, HEARTBEAT_MS } from '../feed/messages.ts'
import { ACKNOWLEDGED_CHANNEL } from './reports.ts'
import { NODE_CHANNEL, type NodeCredential } from './store.ts'

const FEED_CHANNEL = 'izumi_feed'
/** Entries kept in memory for streams; one further behind reads the database itself. */
const TAIL_ENTRIES = 5_000
const TAIL_BYTES = 64 * 1024 * 1024
/** Entries and items read at a time. */
const READ_ENTRIES = 500
const READ_ITEMS = 200
/** Looks by itself this often, in case a notification was lost. */
const LOOK_MS = 2_000
/** A reader that takes nothing for so long is let go. */
const SLOW_READER_MS = 30_000

/** An entry as streams need it: the line for those it is for, and for those of its kind elsewhere. */
interface Entry {
  sequence: number
  nodeKind: string
  sites: number[] | null
  line: string
  elsewhere: string | null
}

/** Where a stream's lines go. */
export interface Line {
  /** False: wait for `drained`. */
  write(text: string): boolean
  drained(): Promise<void>
  end(): void
}

interface Stream {
  node: Pick<NodeCredential, 'id' | 'kind' | 'siteId'>
  position: number
  wake: () => void
  closed: boolean
  bye: (FeedMessage & { type: 'bye' })['reason'] | null
}

const text = (message: FeedMessage): string => `${JSON.stringify(message)}\n`

export class FeedHub {
  readonly #database: Database
  readonly #streams = new Set<Stream>()
  readonly #waiters = new Set<(node: string, sequence: number) => void>()
  readonly #gapWaiters = new Set<() => void>()
  readonly #forget = new Set<(node: string) => void>()
  #tail: Entry[] = []
  #tailBytes = 0
  /** Everything after this and up to `#end` is in the tail. */
  #start = -1
  #end = -1
  #reading: Promise<void> | null = null
  #again = false
  #notifications: Promise<Notifications> | null = null
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(database: Database) {
    this.#database = database
  }

  /** How many nodes are being told things by this process. */
  get size(): number {
    return this.#streams.size
  }

  /** Opens the ear; called by whatever needs it first. */
  async open(): Promise<void> {
    this.#notifications ??= listen(
      this.#database,
      [FEED_CHANNEL, ACKNOWLEDGED_CHANNEL, NODE_CHANNEL],
      (channel, payload) => {
        if (channel === FEED_CHANNEL) this.look()
        else if (channel === NODE_CHANNEL) for (const forget of this.#forget) forget(payload)
        else if (payload === '') for (const wake of this.#gapWaiters) wake()
        else
          for (const told of payload.split(' ')) {
            const [node, sequence] = told.split(':') as [string, string]
            for (const waiter of this.#waiters) waiter(node, Number(sequence))
          }
      },
    )
    await this.#notifications
    if (this.#timer === undefined && !this.#closed) this.#timer = setInterval(() => this.look(), LOOK_MS).unref()
  }

  /** Calls `hear` with each node whose rights have changed; with '' when any may have. */
  onNode(hear: (node: string) => void): void {
    this.#forget.add(hear)
  }

  /** Ends the streams of a node with a word why. */
  dismiss(node: string, reason: 'again' | 'removed' | 'revoked'): void {
    for (const stream of this.#streams)
      if (stream.node.id === node) {
        stream.bye = reason
        stream.wake()
      }
  }

  /** Hears acknowledgements until the returned function is called; `gap` says that some may have been missed. */
  hear(acknowledged: (node: string, sequence: number) => void, gap: () => void): () => void {
    this.#waiters.add(acknowledged)
    this.#gapWaiters.add(gap)
    return () => {
      this.#waiters.delete(acknowledged)
      this.#gapWaiters.delete(gap)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    for (const stream of this.#streams) {
      stream.bye ??= 'again'
      stream.wake()
    }
    await this.#notifications?.then((open) => open.close()).catch(() => {})
  }

  /** Reads what is new, if anything is served here. */
  look(): void {
    if (this.#streams.size === 0 || this.#closed) return
    if (this.#reading) {
      this.#again = true
      return
    }
    this.#reading = this.#read()
      .catch(() => {})
      .finally(() => {
        this.#reading = null
        if (!this.#again) return
        this.#again = false
        this.look()
      })
  }

  async #read(): Promise<void> {
    if (this.#end < 0) {
      const { sequence } = await this.#head()
      this.#start = sequence
      this.#end = sequence
      // Those that came first have waited to hear where the end is.
      for (const stream of this.#streams) stream.wake()
    }
    for (;;) {
      const entries = await this.#entriesAfter(this.#end)
      if (entries.length === 0) return
      for (const entry of entries) {
        this.#tail.push(entry)
        this.#tailBytes += entry.line.length
        this.#end = entry.sequence
      }
      let gone = 0
      while (this.#tail.length - gone > TAIL_ENTRIES || (this.#tailBytes > TAIL_BYTES && gone < this.#tail.length)) {
        this.#tailBytes -= this.#tail[gone]!.line.length
        this.#start = this.#tail[gone]!.sequence
        gone++
      }
      if (gone > 0) this.#tail.splice(0, gone)
      for (const stream of this.#streams) stream.wake()
      if (entries.length < READ_ENTRIES) return
    }
  }

  async #head(): Promise<{ sequence: number; pruned: number }> {
    const [head] = await this.#database.query<{ sequence: bigint; pruned: bigint }>(
      'select sequence, pruned from feed_head',
      [],
      'feed-head',
    )
    return { sequence: Number(head!.sequence), pruned: Number(head!.pruned) }
  }

  async #entriesAfter(sequence: number): Promise<Entry[]> {
    const rows = await this.#database.query<{
      sequence: bigint
      nodeKind: string
      sites: number[] | null
      type: 'set' | 'remove' | 'event'
      itemKind: string
      key: string
      body: string | null
    }>(
      `select sequence, node_kind as "nodeKind", sites, type, item_kind as "itemKind", key, body::text as body
       from feed_entry where sequence > $1 order by sequence limit ${READ_ENTRIES}`,
      [sequence],
      'feed-entries',
    )
    return rows.map((row) => {
      const number = Number(row.sequence)
      const { itemKind: kind, key } = row
      const remove = () => text({ type: 'remove', sequence: number, kind, key })
      // Bodies are JSON already: set into the line as they are.
      const line =
        row.type === 'event'
          ? `{"type":"event","sequence":${number},"event":${row.body}}\n`
          : row.type === 'remove'
            ? remove()
            : `{"type":"set","sequence":${number},"kind":${JSON.stringify(kind)},"key":${JSON.stringify(key)},"body":${row.body}}\n`
      return {
        sequence: number,
        nodeKind: row.nodeKind,
        sites: row.sites,
        line,
        elsewhere: row.type === 'set' && row.sites !== null ? remove() : null,
      }
    })
  }

  /** Serves one node until it goes away or is dismissed. `after` is the last sequence it has applied; null: nothing. */
  async serve(node: Stream['node'], after: number | null, out: Line, left: AbortSignal): Promise<void> {
    await this.open()
    let woken = false
    let wake = () => {}
    const stream: Stream = {
      node,
      position: after ?? 0,
      closed: false,
      bye: this.#closed ? 'again' : null,
      wake: () => {
        woken = true
        wake()
      },
    }
    const leave = () => {
      stream.closed = true
      stream.wake()
    }
    left.addEventListener('abort', leave, { once: true })
    this.#streams.add(stream)
    try {
      const head = await this.#head()
      this.look()
      if (after === null || after < head.pruned || after > head.sequence) await this.#snapshot(stream, out)
      let isCaughtUp = false
      let saidAt = Date.now()
      while (!stream.closed && stream.bye === null) {
        woken = false
        const before = stream.position
        await this.#sendNew(stream, out)
        const now = Date.now()
        if (!isCaughtUp || now - saidAt >= HEARTBEAT_MS) {
          isCaughtUp ||= stream.position >= head.sequence
          await this.#write(stream, out, text({ type: 'at', sequence: stream.position, caughtUp: isCaughtUp }))
          saidAt = now
        }
        if (stream.position > before || woken) continue
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.max(1, HEARTBEAT_MS - (Date.now() - saidAt)))
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        wake = () => {}
      }
      if (stream.bye !== null && !stream.closed) out.write(text({ type: 'bye', reason: stream.bye }))
    } finally {
      this.#streams.delete(stream)
      left.removeEventListener('abort', leave)
      out.end()
    }
  }

  async #write(stream: Stream, out: Line, lines: string): Promise<void> {
    if (stream.closed || out.write(lines)) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        stream.closed = true
        resolve()
      }, SLOW_READER_MS)
    })
    await Promise.race([out.drained(), late])
    clearTimeout(timer)
  }

  /** The state as one statement sees it, in pages of one transaction. */
  async #snapshot(stream: Stream, out: Line): Promise<void> {
    const { node } = stream
    await this.#database.transaction(async (sql) => {
      await sql.query('set transaction isolation level repeatable read, read only')
      const [head] = await sql.query<{ sequence: bigint }>('select sequence from feed_head')
      const sequence = Number(head!.sequence)
      await this.#write(stream, out, text({ type: 'snapshot', sequence, missed: true }))
      let after = { kind: '', key: '' }
      for (;;) {
        const items = await sql.query<{ kind: string; key: string; body: string }>(
          `select kind, key, body::text as body from feed_item
           where node_kind = $1 and (sites is null or $2 = any(sites)) and (kind, key) > ($3, $4)
           order by kind, key limit ${READ_ITEMS}`,
          [node.kind, node.siteId, after.kind, after.key],
        )
        for (const { kind, key, body } of items)
          await this.#write(
            stream,
            out,
            `{"type":"item","kind":${JSON.stringify(kind)},"key":${JSON.stringify(key)},"body":${body}}\n`,
          )
        if (items.length < READ_ITEMS || stream.closed) break
        after = items.at(-1)!
      }
      stream.position = sequence
    })
  }

  async #sendNew(stream: Stream, out: Line): Promise<void> {
    while (!stream.closed && stream.bye === null && stream.position < Math.max(this.#end, 0)) {
      const isInTail = stream.position >= this.#start
      const entries = isInTail
        ? this.#tail.slice(this.#indexAfter(stream.position))
        : await this.#entriesAfter(stream.position)
      if (entries.length === 0) return
      let lines = ''
      for (const entry of entries) {
        stream.position = entry.sequence
        if (entry.nodeKind !== stream.node.kind) continue
        const isFor = entry.sites === null || entry.sites.includes(stream.node.siteId)
        lines += isFor ? entry.line : (entry.elsewhere ?? '')
        if (lines.length > 64 * 1024) {
          await this.#write(stream, out, lines)
          lines = ''
          if (stream.closed) return
        }
      }
      if (lines !== '') await this.#write(stream, out, lines)
    }
  }

  /** The first place in the tail after a sequence; the tail is in order. */
  #indexAfter(sequence: number): number {
    let low = 0
    let high = this.#tail.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#tail[middle]!.sequence <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
