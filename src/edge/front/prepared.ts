/**
 * A stored response made ready to be sent without thinking: everything but its age is rendered once, and what changes with
 * the clock at most once a second. Nothing of a request is ever part of it.
 *
 * Memory: the rendered heads live as long as the object; whole answers of small objects (head and body glued, so that a
 * hit is one write) only while they are asked for, at most `GLUED_MAX_BYTES` of them, dropped with their second.
 */
import { STATUS_CODES } from 'node:http'
import { equalWeakly, noneMatchNames } from '../http/entity-tags.ts'
import { formatContentRange, parseRange, resolveRange } from '../http/ranges.ts'
import type { Fields, StoredHead, StoredObject } from '../message.ts'
import type { Account } from '../sight/account.ts'
import type { Choice } from './hits.ts'

/** Bodies up to this are glued to their head: copying costs less than a second buffer to the kernel. */
const GLUE_MAX_BYTES = 16 * 1024
/** All glued answers of one worker. */
const GLUED_MAX_BYTES = 32 * 1024 * 1024

/** What the policy says may be sent of an object to every plain request. */
export interface Ready {
  /** What was chosen among, while that lasts; null: it is not known. */
  choice?: Choice | null
  object: StoredObject
  /** The whole body; only what lies in memory is prepared. */
  body: Buffer
  status: number
  /** Without Age, Cache-Status and framing. */
  fields: Fields
  /** The same for a 304. */
  notModifiedFields: Fields
  /** The same for a 206, without Content-Range; null: Range is ignored, or cannot be satisfied. */
  partialFields: Fields | null
  etag: string | null
  /** Epoch milliseconds: Age is the whole seconds since `bornAt`; from `freshUntil` on it is the flow's again. */
  bornAt: number
  freshUntil: number
  /** Cache-Status for a time to live (RFC 9211 §2.1). */
  cacheStatus(ttlSeconds: number): string
}

let gluedBytes = 0
let glued: Prepared[] = []
let gluedSecond = 0

/** Lets go of the answers glued in a second that is over. */
function newSecond(second: number): void {
  for (const each of glued) if (each.gluedAt !== second) each.unglue()
  glued = []
  gluedBytes = 0
  gluedSecond = second
}

const NONE = Buffer.alloc(0)

export class Prepared {
  readonly object: StoredObject
  readonly choice: Choice | null
  readonly body: Buffer
  readonly freshUntil: number
  /** The head it was made from: once the object has another, this is of the past. */
  readonly madeFrom: StoredHead
  readonly #ready: Ready
  readonly #bornAt: number
  readonly #head: Buffer
  #notModifiedHead: Buffer | null = null
  /** The age for which the following were rendered. */
  #age = -1
  #tail = ''
  #whole: Buffer = NONE
  #notModified: Buffer = NONE
  #range: { value: string; head: Buffer; first: number; last: number } | null = null
  gluedAt = 0
  /** Where its hits are counted. */
  account: Account | null = null

  constructor(ready: Ready) {
    this.#ready = ready
    this.object = ready.object
    this.choice = ready.choice ?? null
    this.madeFrom = ready.object.head
    this.body = ready.body
    this.freshUntil = ready.freshUntil
    this.#bornAt = ready.bornAt
    this.#head = Buffer.from(`${render(ready.status, ready.fields)}content-length: ${ready.body.length}\r\n`, 'latin1')
  }

  get status(): number {
    return this.#ready.status
  }

  unglue(): void {
    this.#whole = NONE
  }

  /** Must be called first for each answer: brings the age up to `now`. */
  turn(now: number): void {
    const age = Math.floor((now - this.#bornAt) / 1_000)
    if (age === this.#age) return
    this.#age = age
    const ttl = Math.floor((this.freshUntil - now) / 1_000)
    this.#tail = `age: ${age}\r\ncache-status: ${this.#ready.cacheStatus(ttl)}\r\n\r\n`
    this.#whole = this.#notModified = NONE
    this.#range = null
  }

  /** Head and body in one, or null when the body goes beside its head. */
  whole(now: number): Buffer | null {
    if (this.#whole !== NONE) return this.#whole
    if (this.body.length > GLUE_MAX_BYTES) return null
    const second = Math.floor(now / 1_000)
    if (second !== gluedSecond) newSecond(second)
    const whole = this.#join(this.#head, this.body)
    if (gluedBytes + whole.length <= GLUED_MAX_BYTES) {
      gluedBytes += whole.length
      this.gluedAt = second
      glued.push(this)
      this.#whole = whole
    }
    return whole
  }

  /** The head of the whole representation. */
  head(): Buffer {
    return this.#join(this.#head, NONE)
  }

  /** True when If-None-Match says that the client has it (RFC 9110 §13.1.2). */
  isKnownTo(noneMatch: string): boolean {
    const { etag, status } = this.#ready
    if (status < 200 || status > 299) return false
    return (etag !== null && equalWeakly(noneMatch, etag)) || noneMatchNames(noneMatch, etag)
  }

  notModified(): Buffer {
    if (this.#notModified === NONE) {
      this.#notModifiedHead ??= Buffer.from(render(304, this.#ready.notModifiedFields), 'latin1')
      this.#notModified = this.#join(this.#notModifiedHead, NONE)
    }
    return this.#notModified
  }

  /**
   * The one range asked for; 'whole' when Range is to be ignored, null when the flow must decide (several ranges, none
   * that can be satisfied).
   */
  range(value: string): { head: Buffer; first: number; last: number } | 'whole' | null {
    if (this.#ready.status !== 200) return 'whole'
    if (this.#range !== null && this.#range.value === value) return this.#range
    const asked = parseRange(value)
    if (asked === null) return 'whole'
    const found = asked.length === 1 ? resolveRange(asked[0]!, this.body.length) : null
    const { partialFields } = this.#ready
    if (found === null || partialFields === null) return null
    const own = `content-range: ${formatContentRange(found, this.body.length)}\r\ncontent-length: ${found.last - found.first + 1}\r\n`
    this.#range = { value, head: Buffer.from(render(206, partialFields) + own + this.#tail, 'latin1'), ...found }
    return this.#range
  }

  #join(head: Buffer, body: Buffer): Buffer {
    const joined = Buffer.allocUnsafe(head.length + this.#tail.length + body.length)
    head.copy(joined, 0)
    joined.write(this.#tail, head.length, 'latin1')
    body.copy(joined, head.length + this.#tail.length)
    return joined
  }
}

/** Status line and fields, without the blank line. */
export function render(status: number, fields: Fields): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`
  return text
}
