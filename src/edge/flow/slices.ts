/**
 * Huge objects in slices: a request is answered from blocks of one size, each asked for, stored, shared and validated as a 206 of
 * its own under its own key. So a range far inside a large object costs one block, and no object need fit into the store
 * whole. All blocks of an answer must be of one representation (RFC 9110 §15.3.7.3): a tag or length that changes on the
 * way breaks the answer off, and the old blocks are forgotten.
 */
import { firstValue, without } from '../http/fields.ts'
import { parseContentRange, parseRange } from '../http/ranges.ts'
import type { EdgeRequest, Fields, Reply, ServePlan, StoredHead } from '../message.ts'
import { type Answer, answerFor, type Part } from '../policy/answer.ts'
import { unconditional } from '../policy/conditions.ts'
import { KEY_EXTRAS } from '../store/purges.ts'
import { Exchange } from './exchange.ts'

/** What slicing needs of the flow around it. */
export interface Slicer {
  /** Serves the request of one block like any other. */
  look(exchange: Exchange, plan: ServePlan): void
  /** Its origin was seen to answer without regard to Range. */
  isWhole(plan: ServePlan): boolean
  /** The origin gives no ranges of it: serve it whole, now and next time. */
  whole(exchange: Exchange): void
  /** The object changed: forget the blocks 0 … `count` − 1. */
  forget(plan: ServePlan, count: number): void
}

export const sliceKey = (plan: ServePlan, index: number): string =>
  `${plan.key}${KEY_EXTRAS}slice ${plan.caching.sliceBytes} ${index}`

/** The key of the object that a block belongs to. */
export const keyOfSlice = (key: string): string => key.slice(0, key.lastIndexOf(KEY_EXTRAS))

/** One answer over a row of blocks. */
export class SlicedAnswer {
  readonly #exchange: Exchange
  readonly #plan: ServePlan
  readonly #sliceBytes: number
  readonly #slicer: Slicer
  #block: BlockReply | null = null
  #total = 0
  #tag: string | null = null
  #answer: Answer | null = null
  #parts: readonly Part[] = []
  #part = 0
  #position = 0

  constructor(exchange: Exchange, plan: ServePlan, sliceBytes: number, slicer: Slicer) {
    this.#exchange = exchange
    this.#plan = plan
    this.#sliceBytes = sliceBytes
    this.#slicer = slicer
    exchange.onOver(() => this.#block?.close())
  }

  start(): void {
    const asked = parseRange(firstValue(this.#exchange.request.fields, 'range'))
    const first = asked?.length === 1 && asked[0]!.first !== null ? asked[0]!.first : 0
    this.#ask(Math.floor(first / this.#sliceBytes))
  }

  #ask(index: number): void {
    const { request } = this.#exchange
    const from = index * this.#sliceBytes
    const fields = [
      ...without(unconditional(request.fields), ['range']),
      ...['range', `bytes=${from}-${from + this.#sliceBytes - 1}`],
    ]
    const block = new BlockReply(from, this)
    this.#block = block
    const part: EdgeRequest = { ...request, fields }
    const exchange = new Exchange(part, block, { name: this.#exchange.identity.name, finished: null })
    exchange.property = this.#exchange.property
    exchange.isSlice = true
    exchange.plan = {
      ...this.#plan,
      key: sliceKey(this.#plan, index),
      keyIsPlain: false,
      caching: { ...this.#plan.caching, sliceBytes: null },
      compression: [],
      responseChanges: [],
    }
    block.exchange = exchange
    this.#slicer.look(exchange, exchange.plan)
  }

  // What a block tells.

  informational(status: number, fields: Fields): void {
    if (this.#answer === null) this.#exchange.reply.informational(status, fields)
  }

  head(block: BlockReply, status: number, fields: Fields, bodyBytes: number | null): void {
    if (block !== this.#block) return
    const range = status === 206 ? parseContentRange(firstValue(fields, 'content-range')) : null
    if (this.#answer !== null) {
      const isSame =
        range?.range?.first === block.from && range.total === this.#total && firstValue(fields, 'etag') === this.#tag
      if (!isSame) this.#changed()
      return
    }
    const isWhole = this.#slicer.isWhole(this.#plan)
    if (!isWhole && status === 206 && range?.range?.first === block.from && range.total !== null) {
      this.#begin(block, fields, range.total)
      return
    }
    // A 416 to a request without Range is an empty object, or an origin that has none of this: ask for it plainly.
    const asked = firstValue(this.#exchange.request.fields, 'range')
    if (status === 206 || (status === 416 && asked === null)) {
      this.#end()
      this.#slicer.whole(this.#exchange)
      return
    }
    // Anything else is the answer itself: a redirect, an error, or a 416 to a range that lies outside.
    this.#answer = { status, fields, bodyBytes, body: 'all', after: null }
    block.relays = true
    this.#exchange.head(status, without(fields, ['cache-status']), bodyBytes, block.exchange!.result, {
      detail: 'sliced',
    })
  }

  /** Returns false when the client can take no more now. */
  write(block: BlockReply, chunk: Uint8Array): boolean {
    if (block !== this.#block) return true
    if (block.relays) return this.#exchange.write(chunk)
    const at = block.from + block.seen
    let ready = true
    // Several parts may lie in one chunk.
    while (block === this.#block) {
      const part = this.#parts[this.#part]
      if (part === undefined) break
      const first = Math.max(this.#position, at)
      const last = Math.min(part.last, at + chunk.length - 1)
      if (last < first) break
      this.#position = last + 1
      ready = this.#exchange.write(chunk.subarray(first - at, last - at + 1))
      if (this.#position <= part.last) break
      this.#nextPart()
    }
    return ready
  }

  whenReady(callback: () => void): void {
    this.#exchange.whenReady(callback)
  }

  ended(block: BlockReply): void {
    if (block !== this.#block) return
    if (block.relays) this.#exchange.end()
    else this.#ask(Math.floor(this.#position / this.#sliceBytes))
  }

  aborted(block: BlockReply): void {
    if (block === this.#block) this.#exchange.abort()
  }

  #begin(block: BlockReply, fields: Fields, total: number): void {
    this.#total = total
    this.#tag = firstValue(fields, 'etag')
    const head = wholeHead(without(fields, ['content-range', 'cache-status']), total)
    const answer = answerFor(head, this.#exchange.request, null)
    this.#answer = answer
    const { result } = block.exchange!
    this.#exchange.head(answer.status, answer.fields, answer.bodyBytes, result, {
      ...(result === 'hit' || result === 'stale' ? { hit: true } : { forward: 'partial' }),
      detail: 'sliced',
    })
    if (answer.body === 'none') {
      this.#finish()
      return
    }
    this.#parts = answer.body === 'all' ? [{ before: null, first: 0, last: total - 1 }] : answer.body
    this.#beginPart(block)
  }

  /** The block at hand goes on being used if the part begins in it. */
  #beginPart(block: BlockReply): void {
    const part = this.#parts[this.#part]!
    if (part.before !== null) this.#exchange.write(part.before)
    this.#position = part.first
    const at = block.from + block.seen
    if (part.first >= at && part.first < block.from + this.#sliceBytes) return
    this.#end()
    // Not from within the block's own call.
    queueMicrotask(() => {
      if (!this.#exchange.over) this.#ask(Math.floor(part.first / this.#sliceBytes))
    })
  }

  #nextPart(): void {
    this.#part++
    if (this.#part === this.#parts.length) this.#finish()
    else this.#beginPart(this.#block!)
  }

  #finish(): void {
    if (this.#answer!.after !== null) this.#exchange.write(this.#answer!.after)
    this.#end()
    this.#exchange.end()
  }

  /** The block at hand is not needed any more; what it fetches may still be stored. */
  #end(): void {
    const block = this.#block
    this.#block = null
    block?.close()
  }

  #changed(): void {
    this.#end()
    this.#slicer.forget(this.#plan, Math.ceil(this.#total / this.#sliceBytes))
    this.#exchange.abort()
  }
}

/** Takes the answer of one block. */
class BlockReply implements Reply {
  readonly from: number
  readonly #to: SlicedAnswer
  /** Body bytes that have come, for the next chunk's position. */
  seen = 0
  /** It is no block but the answer itself. */
  relays = false
  exchange: Exchange | null = null
  closed = false
  #onClose: (() => void) | null = null

  constructor(from: number, to: SlicedAnswer) {
    this.from = from
    this.#to = to
  }

  informational(status: number, fields: Fields): void {
    this.#to.informational(status, fields)
  }
  head(status: number, fields: Fields, bodyBytes: number | null): void {
    this.#to.head(this, status, fields, bodyBytes)
  }
  write(chunk: Uint8Array): boolean {
    if (this.closed) return true
    const ready = this.#to.write(this, chunk)
    this.seen += chunk.length
    return ready
  }
  end(): void {
    if (this.closed) return
    this.close()
    // The next block is asked for when this one has left the stack, however many there are.
    queueMicrotask(() => this.#to.ended(this))
  }
  abort(): void {
    if (this.closed) return
    this.close()
    this.#to.aborted(this)
  }
  onDrain(callback: () => void): void {
    this.#to.whenReady(callback)
  }
  onClose(callback: () => void): void {
    this.#onClose = callback
  }
  close(): void {
    if (this.closed) return
    this.closed = true
    this.#onClose?.()
  }
}

/** The head of the whole object, as far as a block tells it. */
const wholeHead = (fields: Fields, total: number): StoredHead => ({
  status: 200,
  fields,
  requestMethod: 'GET',
  vary: [],
  requestTime: 0,
  responseTime: Date.now(),
  correctedInitialAgeSeconds: 0,
  lifetimeSeconds: 0,
  bodyBytes: total,
  range: null,
  tags: [],
  groups: [],
  property: '',
  url: '',
})
