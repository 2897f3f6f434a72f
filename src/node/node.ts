/**
 * What every node shares. It enrols once, follows the feed from where it left off, keeps the state on disk and runs from it
 * when the control plane is away, tells what it has applied until that is on record, and reports usage from a spool.
 * At the start it catches up on what it missed before it serves; only when nobody answers does it serve from disk.
 */
import { setTimeout as pause } from 'node:timers/promises'
import {
  FEED_LIMITS,
  type FeedEvent,
  type FeedMessage,
  HEARTBEAT_MS,
  type NodeKind,
  type StateItem,
  type UsageSlot,
} from '../feed/messages.ts'
import { type Identity, openIdentity } from './identity.ts'
import { type Change, itemKey, Journal } from './journal.ts'
import { ControlLine, FeedRefused, pauseMs } from './line.ts'
import { type UsageSource, UsageSpool } from './usage.ts'

export interface AppliedState {
  /** All items by `kind key`. */
  items: ReadonlyMap<string, StateItem>
  /** Keys of the items that were set or removed since the last call. */
  changed: readonly string[]
}

export interface NodeOptions {
  folder: string
  /** The control plane's address, or several with commas between. */
  controlPlane: string
  /** Needed the first time only. */
  token?: string
  kind: NodeKind
  software: string
  /** Makes the state true; in force when it resolves. A throw is told to the control plane and changes nothing else. */
  apply(state: AppliedState): Promise<void>
  /** Done when it resolves. A throw breaks the stream; the event comes again. */
  event(event: FeedEvent): Promise<void>
  usage?: UsageSource
  /** The open slots and figures for people. */
  live?(): Promise<UsageSlot[]>
  figures?(): Record<string, number | string>
  /** How long to try to reach the control plane at the start before it runs from disk. */
  catchUpMs?: number
  /** How often usage is looked for. */
  usageMs?: number
  /** It was removed or revoked: it is to serve no more. */
  dismissed(reason: string): void
  log?(line: string): void
}

export interface RunningNode {
  readonly identity: { id: string; name: string; site: string }
  /** The last sequence that is applied; null: none. */
  readonly position: number | null
  /** False when it started from disk because nobody answered. */
  readonly caughtUp: boolean
  close(): Promise<void>
}

const CATCH_UP_MS = 10_000
const USAGE_MS = 10_000
/** A stream that says nothing for so long is dead. */
const SILENCE_MS = 3 * HEARTBEAT_MS
/** Events that are applied side by side. */
const EVENTS_AT_ONCE = 64

/** Resolves when the node has caught up, or runs from disk. @throws when it cannot enrol and knows no state */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const node = new Node(options, await Journal.open(options.folder), new ControlLine(options.controlPlane))
  await node.start()
  return node
}

class Node implements RunningNode {
  readonly #options: NodeOptions
  readonly #journal: Journal
  readonly #line: ControlLine
  #identity: Identity | null = null
  #closed = new AbortController()
  #loops: Promise<void>[] = []
  #caughtUp = false
  /** A stream is open. */
  #isTold = false
  #arrived = () => {}
  /** What the stream has brought of a snapshot so far. */
  #incoming: { sequence: number; missed: boolean; items: Map<string, StateItem> } | null = null
  #acknowledged = 0
  #problems: { sequence: number; problem: string }[] = []
  #acknowledging: Promise<void> | null = null

  constructor(options: NodeOptions, journal: Journal, line: ControlLine) {
    this.#options = options
    this.#journal = journal
    this.#line = line
  }

  get identity() {
    return this.#identity!
  }

  get position(): number | null {
    return this.#journal.position
  }

  get caughtUp(): boolean {
    return this.#caughtUp
  }

  async start(): Promise<void> {
    const { folder, kind, token, software, catchUpMs = CATCH_UP_MS } = this.#options
    const identity = await openIdentity(folder, kind)
    this.#identity = identity.known
    if (this.#identity === null) {
      if (token === undefined) throw new Error('This node has not enrolled yet: it needs a token.')
      for (let failures = 0; this.#identity === null; failures++) {
        try {
          this.#identity = await identity.enrol(this.#line, token, software)
        } catch (error) {
          if (error instanceof FeedRefused && error.status < 500) throw error
          this.#say(`Cannot enrol yet: ${(error as Error).message}`)
          await this.#pause(pauseMs(failures))
        }
      }
    }
    if (this.#journal.position !== null) await this.#apply([...this.#journal.items.keys()], this.#journal.position)
    const arrived = new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    this.#loops.push(this.#follow())
    // A node that knows nothing has nothing to run from, and one that is being told is not left alone: they wait.
    for (let waits = true; waits && !this.#caughtUp && !this.#isClosed; ) {
      const late = pause(catchUpMs, true, { ref: false })
      const isLate = await Promise.race([arrived.then(() => false), late])
      waits = !isLate || this.#isTold || this.#journal.position === null
    }
    this.#loops.push(this.#beat())
    if (this.#options.usage) this.#loops.push(this.#report(this.#options.usage))
  }

  async close(): Promise<void> {
    this.#closed.abort()
    this.#line.close()
    await Promise.allSettled(this.#loops)
    await this.#acknowledging
    await this.#journal.close()
  }

  #say(line: string): void {
    this.#options.log?.(line)
  }

  async #pause(milliseconds: number): Promise<void> {
    await pause(milliseconds, undefined, { signal: this.#closed.signal, ref: true }).catch(() => {})
  }

  get #isClosed(): boolean {
    return this.#closed.signal.aborted
  }

  /** Whether an answer means that there is nothing more to try. */
  #isDismissal(error: unknown): boolean {
    // A node that the control plane does not know (a database brought back from before) goes on with what it has.
    if (!(error instanceof FeedRefused) || (error.reason !== 'removed' && error.reason !== 'revoked')) return false
    this.#dismiss(error.reason)
    return true
  }

  #dismiss(reason: string): void {
    if (this.#isClosed) return
    this.#closed.abort()
    this.#options.dismissed(reason)
  }

  async #follow(): Promise<void> {
    let failures = 0
    while (!this.#isClosed) {
      const before = this.#journal.position
      try {
        await this.#readStream()
      } catch (error) {
        if (this.#isClosed || this.#isDismissal(error)) return
        this.#say(`The feed broke off: ${(error as Error).message}`)
        this.#line.turn()
      }
      failures = this.#journal.position !== before ? 0 : failures + 1
      if (!this.#isClosed) await this.#pause(pauseMs(failures))
    }
  }

  async #readStream(): Promise<void> {
    const { position } = this.#journal
    this.#incoming = null
    const response = await this.#line.stream(
      `/feed/stream${position === null ? '' : `?after=${position}`}`,
      this.identity,
    )
    const abort = () => response.destroy()
    this.#closed.signal.addEventListener('abort', abort, { once: true })
    this.#isTold = true
    response.setTimeout(SILENCE_MS, () => response.destroy(new Error('The feed has gone silent.')))
    try {
      let rest: Buffer[] = []
      let restBytes = 0
      for await (const chunk of response as AsyncIterable<Buffer>) {
        const end = chunk.lastIndexOf(10)
        if (end < 0) {
          rest.push(chunk)
          restBytes += chunk.length
          if (restBytes > FEED_LIMITS.lineBytes) throw new Error('A line of the feed is too long.')
          continue
        }
        const lines = Buffer.concat([...rest, chunk.subarray(0, end)]).toString('utf8')
        rest = [chunk.subarray(end + 1)]
        restBytes = rest[0]!.length
        const messages = lines.split('\n').map((line) => JSON.parse(line) as FeedMessage)
        if (!(await this.#take(messages))) return
      }
      throw new Error('the stream ended')
    } finally {
      this.#isTold = false
      this.#closed.signal.removeEventListener('abort', abort)
      response.destroy()
    }
  }

  /** Takes what arrived together; false when the stream is to be opened anew. */
  async #take(messages: readonly FeedMessage[]): Promise<boolean> {
    let changes: Change[] = []
    let events: (FeedMessage & { type: 'event' })[] = []
    const flush = async () => {
      if (changes.length > 0) {
        const taken = changes
        changes = []
        await this.#journal.append(taken)
        await this.#apply([...new Set(taken.map(({ kind, key }) => itemKey(kind, key)))], taken.at(-1)!.sequence)
      }
      while (events.length > 0) {
        const some = events.slice(0, EVENTS_AT_ONCE)
        events = events.slice(EVENTS_AT_ONCE)
        await Promise.all(some.map(({ event }) => this.#options.event(event)))
        await this.#journal.passed(some.at(-1)!.sequence)
      }
    }
    for (const message of messages) {
      const { position } = this.#journal
      switch (message.type) {
        case 'snapshot':
          await flush()
          this.#incoming = { sequence: message.sequence, missed: message.missed, items: new Map() }
          break
        case 'item':
          this.#incoming?.items.set(itemKey(message.kind, message.key), {
            kind: message.kind,
            key: message.key,
            body: message.body,
          })
          break
        case 'set':
        case 'remove':
          if (position !== null && message.sequence <= position) break
          if (events.length > 0) await flush()
          changes.push(message)
          break
        case 'event':
          if (position !== null && message.sequence <= position) break
          if (changes.length > 0) await flush()
          events.push(message)
          break
        case 'at':
          await flush()
          await this.#arriveAt(message)
          break
        case 'bye':
          await flush()
          if (message.reason !== 'again') this.#dismiss(message.reason)
          return false
      }
    }
    await flush()
    this.#acknowledge()
    return true
  }

  async #arriveAt({ sequence, caughtUp }: FeedMessage & { type: 'at' }): Promise<void> {
    if (this.#incoming !== null) {
      const { items, missed, sequence: taken } = this.#incoming
      this.#incoming = null
      const keys = [...new Set([...this.#journal.items.keys(), ...items.keys()])]
      // Of what was purged meanwhile nothing is known: everything goes.
      if (missed) await this.#options.event({ kind: 'purge', id: 'missed', order: { all: true } })
      await this.#journal.replace(taken, items)
      await this.#apply(keys, taken)
    } else await this.#journal.passed(sequence)
    if (!caughtUp || this.#caughtUp) return
    this.#caughtUp = true
    this.#arrived()
  }

  async #apply(changed: readonly string[], sequence: number): Promise<void> {
    try {
      await this.#options.apply({ items: this.#journal.items, changed })
    } catch (error) {
      this.#say(`A change could not be applied: ${(error as Error).message}`)
      this.#problems.push({ sequence, problem: (error as Error).message.slice(0, 1_000) })
      this.#problems.splice(0, this.#problems.length - FEED_LIMITS.problems)
    }
  }

  /** Tells how far it has come, again and again until that is on record; what has moved on meanwhile goes with it. */
  #acknowledge(): void {
    this.#acknowledging ??= (async () => {
      for (let failures = 0; !this.#isClosed; ) {
        const sequence = this.#journal.position
        if (sequence === null || sequence === this.#acknowledged) break
        const problems = [...this.#problems]
        try {
          await this.#line.post(
            '/feed/acknowledgements',
            { sequence, ...(problems.length > 0 ? { problems } : {}) },
            this.identity,
          )
          this.#acknowledged = sequence
          this.#problems = this.#problems.filter((problem) => !problems.includes(problem))
          failures = 0
        } catch (error) {
          if (this.#isDismissal(error)) return
          await this.#pause(pauseMs(failures++))
        }
      }
    })().finally(() => {
      this.#acknowledging = null
      if (!this.#isClosed && this.#journal.position !== null && this.#journal.position !== this.#acknowledged)
        this.#acknowledge()
    })
  }

  async #beat(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const live = (await this.#options.live?.()) ?? []
        live.sort((a, b) => b.requests - a.requests)
        await this.#line.post(
          '/feed/heartbeats',
          {
            software: this.#options.software,
            figures: this.#options.figures?.() ?? {},
            live: live.slice(0, FEED_LIMITS.liveSlots),
          },
          this.identity,
        )
      } catch (error) {
        if (this.#isDismissal(error)) return
      }
      await this.#pause(HEARTBEAT_MS * (0.9 + Math.random() / 5))
    }
  }

  async #report(source: UsageSource): Promise<void> {
    const spool = new UsageSpool(this.#options.folder, source, async (batch) => {
      await this.#line.post('/feed/usage', batch, this.identity)
    })
    for (let failures = 0; !this.#isClosed; ) {
      try {
        await spool.empty()
        failures = 0
        await this.#pause(this.#options.usageMs ?? USAGE_MS)
      } catch (error) {
        if (this.#isDismissal(error)) return
        if (!this.#isClosed) this.#say(`Usage could not be sent: ${(error as Error).message}`)
        await this.#pause(pauseMs(failures++))
      }
    }
  }
}
