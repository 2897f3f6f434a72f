/**
 * Combining partial content (RFC 9111 §3.4, RFC 9110 §15.3.7.3): a 206 that was just stored is joined with others of the same
 * representation that it overlaps or touches; when every byte is there, the result is a complete 200. Only a strong entity
 * tag proves that two ranges are of one representation.
 */
import { isStrong } from '../http/entity-tags.ts'
import { firstValue, without } from '../http/fields.ts'
import { formatContentRange } from '../http/ranges.ts'
import type { Fields, Store, StoredHead, StoredObject } from '../message.ts'

/** Larger results are not made: joining copies bytes. Huge objects are better served in slices. */
export const MAX_COMBINED_BYTES = 64 * 1024 * 1024

const varyApartFromRange = (head: StoredHead): Fields => without(head.vary, ['range'])

/** May these two be joined? Pure. */
export function isCombinable(a: StoredHead, b: StoredHead): boolean {
  if (a.range === null || b.range === null || a.range.total === null || a.range.total !== b.range.total) return false
  const tag = firstValue(a.fields, 'etag')
  if (!isStrong(tag) || tag !== firstValue(b.fields, 'etag')) return false
  const [varyA, varyB] = [varyApartFromRange(a), varyApartFromRange(b)]
  if (varyA.length !== varyB.length || varyA.some((part, i) => part !== varyB[i])) return false
  return a.range.first <= b.range.last + 1 && b.range.first <= a.range.last + 1
}

/** The head of both together, with the fields of the newer one (RFC 9111 §3.4). Pure; they are combinable. */
export function combinedHead(newer: StoredHead, older: StoredHead): StoredHead {
  const total = newer.range!.total!
  const first = Math.min(newer.range!.first, older.range!.first)
  const last = Math.max(newer.range!.last, older.range!.last)
  const isWhole = first === 0 && last === total - 1
  const fields = without(newer.fields, ['content-range'])
  const vary = varyApartFromRange(newer)
  return {
    ...newer,
    status: isWhole ? 200 : 206,
    fields: isWhole ? fields : [...fields, 'content-range', formatContentRange({ first, last }, total)],
    vary: isWhole ? vary : [...vary, 'range', `bytes=${first}-${last}`],
    bodyBytes: last - first + 1,
    range: isWhole ? null : { first, last, total },
  }
}

/** Joins a stored 206 with what is stored beside it, until nothing more fits. */
export async function combine(store: Store, object: StoredObject): Promise<void> {
  let newest = object
  for (;;) {
    const { range } = newest.head
    const other = store.find(newest.key).find((one) => one !== newest && isCombinable(newest.head, one.head))
    if (range === null || other === undefined) return
    const head = combinedHead(newest.head, other.head)
    if (head.bodyBytes! > MAX_COMBINED_BYTES) return
    const joined = await join(store, newest, other, head)
    if (joined === null) return
    store.remove(newest)
    store.remove(other)
    newest = joined
  }
}

async function join(store: Store, a: StoredObject, b: StoredObject, head: StoredHead): Promise<StoredObject | null> {
  const recording = store.record(a.key, head)
  const [low, high] = a.head.range!.first <= b.head.range!.first ? [a, b] : [b, a]
  const lowRange = low.head.range!
  const highRange = high.head.range!
  try {
    for await (const chunk of low.read(0, lowRange.last - lowRange.first)) recording.write(chunk)
    if (highRange.last > lowRange.last)
      for await (const chunk of high.read(lowRange.last + 1 - highRange.first, highRange.last - highRange.first))
        recording.write(chunk)
    return recording.commit()
  } catch {
    // One of them is not whole any more: they stay as they are, and are found out when read.
    recording.abort()
    return null
  } finally {
    recording.close()
  }
}
