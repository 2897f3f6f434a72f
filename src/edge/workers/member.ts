/** One worker as the primary sees it: a process that takes orders, and is started again when it ends unasked. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Refusal } from '../../core/errors.ts'
import type { Invalidation } from '../flow/inside.ts'
import type { OrderName, Orders, PrimaryMessage, WorkerMessage } from './orders.ts'

const PROGRAM = fileURLToPath(new URL('./worker.ts', import.meta.url))
/**
 * A worker makes much that dies young; with a nursery of this size (MB) little of it is copied before it dies. Measured with
 * `bench edge-miss`: 10 to 25 % less CPU a miss.
 */
const FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=64', '--min-semi-space-size=32']

/** What waits for the disk is written within this time, or is lost as by a crash. */
const CLOSE_MS = 10_000

/** The process ended before it answered. */
export class WorkerGone extends Error {}

export interface MemberEvents {
  invalidate(invalidation: Invalidation): Promise<void>
  /** It ended unasked. */
  ended(member: Member, how: string): void
}

export class Member {
  readonly index: number
  readonly #events: MemberEvents
  #child: ChildProcess | null = null
  #number = 0
  readonly #asked = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  #isClosing = false
  /** It serves, or is about to, and hears of purges. */
  isReady = false
  startedAt = 0

  constructor(index: number, events: MemberEvents) {
    this.index = index
    this.#events = events
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    const child = fork(PROGRAM, [], {
      execArgv: FLAGS,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child = child
    this.startedAt = Date.now()
    child.on('message', (message: WorkerMessage) => this.#hear(message))
    child.on('error', () => {})
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return
      this.#child = null
      this.isReady = false
      const asked = [...this.#asked.values()]
      this.#asked.clear()
      for (const { reject } of asked) reject(new WorkerGone(`worker ${this.index} ended`))
      if (!this.#isClosing) this.#events.ended(this, signal ?? `status ${code}`)
    })
  }

  /** @throws WorkerGone when the process ends first, and what the worker itself could not do */
  ask<Name extends OrderName>(name: Name, takes: Orders[Name]['takes']): Promise<Orders[Name]['gives']> {
    return new Promise((resolve, reject) => {
      if (this.#child === null || !this.#child.connected) {
        reject(new WorkerGone(`worker ${this.index} is not there`))
        return
      }
      this.#number++
      this.#asked.set(this.#number, { resolve: resolve as (value: never) => void, reject })
      this.#send({ kind: 'order', number: this.#number, name, takes })
    })
  }

  /** Ends it, with what it stores put away. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.isReady = false
    const child = this.#child
    if (child === null) return
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const late = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
    await this.ask('close', undefined).catch(() => child.kill('SIGKILL'))
    await ended
    clearTimeout(late)
  }

  /** It could not be made ready: it ends, and is started again as if it had ended by itself. */
  giveUp(): void {
    this.#child?.kill('SIGKILL')
  }

  #hear(message: WorkerMessage): void {
    if (message.kind === 'invalidate') {
      const child = this.#child
      void this.#events.invalidate(message.invalidation).then(() => {
        if (this.#child === child) this.#send({ kind: 'invalidated', number: message.number })
      })
      return
    }
    const asked = this.#asked.get(message.number)
    this.#asked.delete(message.number)
    if (message.kind === 'done') asked?.resolve(message.gives as never)
    else asked?.reject(new Refusal(message.code ?? 'worker', 500, message.message))
  }

  #send(message: PrimaryMessage): void {
    // A channel that closes just now is told of by `exit`.
    this.#child?.send(message, () => {})
  }
}
