/**
 * Sends what a stored object answers. Bodies in memory go out in one write; bodies on disk are read as the client takes them.
 * The first bytes are read before the head goes out, so that an object that proves broken is fetched anew, unseen.
 */
import type { CacheResult, StoredObject } from '../message.ts'
import { answerFor, type Part } from '../policy/answer.ts'
import type { CacheStatus } from '../policy/cache-status.ts'
import type { Exchange } from './exchange.ts'

export interface Delivery {
  readonly ageSeconds: number
  readonly result: CacheResult
  readonly cache: CacheStatus
  /** The stored bytes are not whole and nothing went out yet. */
  readonly broken: () => void
}

export function deliver(exchange: Exchange, object: StoredObject, delivery: Delivery): void {
  const answer = answerFor(object.head, exchange.request, delivery.ageSeconds)
  const head = () => exchange.head(answer.status, answer.fields, answer.bodyBytes, delivery.result, delivery.cache)
  if (answer.body === 'none') {
    head()
    exchange.end()
    return
  }
  const bodyBytes = object.body?.length ?? object.head.bodyBytes ?? 0
  if (answer.body === 'all') {
    if (object.body !== null) {
      head()
      if (bodyBytes > 0) exchange.write(object.body)
      exchange.end()
      return
    }
    if (bodyBytes === 0) {
      head()
      exchange.end()
      return
    }
  }
  const parts: readonly Part[] = answer.body === 'all' ? [{ before: null, first: 0, last: bodyBytes - 1 }] : answer.body
  if (object.body !== null) {
    head()
    for (const part of parts) {
      if (part.before !== null) exchange.write(part.before)
      exchange.write(object.body.subarray(part.first, part.last + 1))
    }
    if (answer.after !== null) exchange.write(answer.after)
    exchange.end()
    return
  }
  void readAndSend(exchange, object, parts, answer.after, head, delivery.broken)
}

async function readAndSend(
  exchange: Exchange,
  object: StoredObject,
  parts: readonly Part[],
  after: Buffer | null,
  head: () => void,
  broken: () => void,
): Promise<void> {
  let started = false
  try {
    for (const part of parts) {
      let before = part.before
      for await (const chunk of object.read(part.first, part.last)) {
        if (exchange.over) return
        if (!started) {
          started = true
          head()
        }
        if (before !== null) exchange.write(before)
        before = null
        if (!exchange.write(chunk)) await new Promise<void>((resolve) => exchange.whenReady(resolve))
      }
    }
    if (after !== null) exchange.write(after)
    exchange.end()
  } catch {
    if (started) exchange.abort()
    else broken()
  }
}
