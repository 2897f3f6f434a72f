/**
 * A client map as sorted ranges of addresses: prefixes over countries over the default, flattened, neighbours of one value
 * merged. A look-up is a binary search. Its scope (RFC 7871 §7.2.1) is the largest aligned block around the client that lies in one
 * range, so the scopes of two answers never overlap, and are the shortest for which that can be said.
 */
import type { AddressWords, Prefix } from '../wire/addresses.ts'

/** Prefix → value; the longest that holds an address decides. */
export interface ValuedPrefix {
  prefix: Prefix
  value: number
}

/** Plain shared memory, so that all workers of a router read the same copy. */
export interface Ranges {
  /** Where each range starts, as words of the address: one array for IPv4, four for IPv6. */
  starts: Uint32Array[]
  values: Uint16Array
  /** IPv4 only: the range in which each /16 starts, so that a million prefixes cost a few steps more than a hundred. */
  index: Uint32Array | null
}

const V4_WORDS = 1
const V6_WORDS = 4
const INDEX_BITS = 16

type Words = readonly number[]

/** Ranges while they are made. */
interface RangeList {
  starts: number[][]
  values: number[]
}

/** The value of what no prefix of an upper layer holds. */
export const UNSET = 0xffff

/**
 * Layers of prefixes, the upper ones last: the uppermost that holds an address decides, inside it the longest prefix. `value` is what
 * everything else has. Of equal prefixes the last given counts.
 */
export function compileRanges(layers: readonly Iterable<ValuedPrefix>[], isV6: boolean, value: number): Ranges {
  const words = isV6 ? V6_WORDS : V4_WORDS
  const flat = layers.map((layer) => flatten(layer, words))
  const whole = flatten([], words)
  whole.values[0] = value
  return pack(flat.reduce(overlay, whole), isV6)
}

/** Appends a range, merging it with an equal one before it. */
function append({ starts, values }: RangeList, start: Words, value: number): void {
  const last = values.length - 1
  if (last >= 0 && startsAt(starts, last, start)) {
    values[last] = value
    // What was replaced may now equal its neighbour.
    if (last > 0 && values[last - 1] === value) {
      values.pop()
      for (const each of starts) each.pop()
    }
  } else if (last < 0 || values[last] !== value) {
    values.push(value)
    for (let at = 0; at < starts.length; at++) starts[at]!.push(start[at]!)
  }
}

function startsAt(starts: number[][], range: number, start: Words): boolean {
  for (let at = 0; at < starts.length; at++) if (starts[at]![range] !== start[at]) return false
  return true
}

const emptyList = (words: number): RangeList => ({ starts: Array.from({ length: words }, () => []), values: [] })

function flatten(prefixes: Iterable<ValuedPrefix>, words: number): RangeList {
  const list = emptyList(words)
  append(list, new Array(words).fill(0), UNSET)
  /** The prefixes that hold the place reached, outermost first, with the first address behind each; null: the end of all. */
  const open: { end: Words | null; value: number }[] = []
  const closeUntil = (start: Words | null) => {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (start !== null && (top.end === null || compareWords(top.end, start) > 0)) return
      open.pop()
      if (top.end !== null) append(list, top.end, open.at(-1)?.value ?? UNSET)
    }
  }
  for (const each of sortPrefixes(prefixes, words)) {
    closeUntil(each.start)
    append(list, each.start, each.value)
    open.push({ end: endOf(each.start, each.length, words), value: each.value })
  }
  closeUntil(null)
  return list
}

/** `over` where it is set, `base` elsewhere. */
function overlay(base: RangeList, over: RangeList): RangeList {
  const list = emptyList(base.starts.length)
  const start = (from: RangeList, at: number): Words | null =>
    at < from.values.length ? from.starts.map((each) => each[at]!) : null
  let below = 0
  let above = 0
  for (let place = start(base, 0); place !== null; ) {
    const value = over.values[above]!
    append(list, place, value === UNSET ? base.values[below]! : value)
    const nextBelow = start(base, below + 1)
    const nextAbove = start(over, above + 1)
    const order = nextBelow === null ? 1 : nextAbove === null ? -1 : compareWords(nextBelow, nextAbove)
    place = order <= 0 ? nextBelow : nextAbove
    if (place === null) break
    if (order <= 0) below++
    if (order >= 0) above++
  }
  return list
}

function sortPrefixes(prefixes: Iterable<ValuedPrefix>, words: number): Sorted[] {
  const found: Sorted[] = []
  for (const { prefix, value } of prefixes) {
    const { address, length } = prefix
    if (address.isV6 !== (words === V6_WORDS)) continue
    const start = words === V4_WORDS ? [address.a] : [address.a, address.b, address.c, address.d]
    found.push({ start, length, value })
  }
  const order = (one: Sorted, other: Sorted) => compareWords(one.start, other.start) || one.length - other.length
  // A million prefixes mostly come in order, and looking is cheaper than sorting.
  for (let at = 1; at < found.length; at++)
    // Stable: equal prefixes stay in the order given, and the last one overwrites.
    if (order(found[at - 1]!, found[at]!) > 0) return found.sort(order)
  return found
}

interface Sorted {
  start: Words
  length: number
  value: number
}

function compareWords(one: Words, other: Words): number {
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return one[at]! - other[at]!
  return 0
}

/** The first address behind a prefix; null when it reaches to the end. */
function endOf(start: Words, length: number, words: number): Words | null {
  if (words === V4_WORDS) {
    const end = start[0]! + 2 ** (32 - length)
    return end < 2 ** 32 ? [end] : null
  }
  const end = [...start]
  let at = length === 0 ? -1 : (length - 1) >> 5
  let step = 2 ** (32 - (length - at * 32))
  for (; at >= 0; at--) {
    end[at] = end[at]! + step
    if (end[at]! < 2 ** 32) return end
    end[at] = 0
    step = 1
  }
  return null
}

function pack({ starts, values }: RangeList, isV6: boolean): Ranges {
  const shared = (length: number, bytes: number) => new SharedArrayBuffer(length * bytes)
  const packed: Ranges = {
    starts: starts.map((each) => {
      const array = new Uint32Array(shared(each.length, 4))
      array.set(each)
      return array
    }),
    values: new Uint16Array(shared(values.length, 2)),
    index: null,
  }
  packed.values.set(values)
  if (!isV6) {
    const index = new Uint32Array(shared(2 ** INDEX_BITS + 1, 4))
    const [words] = packed.starts
    let at = 0
    for (let block = 0; block < 2 ** INDEX_BITS; block++) {
      const first = block * 2 ** (32 - INDEX_BITS)
      while (at + 1 < words!.length && words![at + 1]! <= first) at++
      index[block] = at
    }
    index[2 ** INDEX_BITS] = words!.length - 1
    packed.index = index
  }
  return packed
}

/** The range that holds the address. */
export function findRange({ starts, index }: Ranges, { a, b, c, d }: AddressWords): number {
  const [first, second, third, fourth] = starts
  let low = 0
  let high = first!.length - 1
  if (index !== null) {
    const block = a >>> (32 - INDEX_BITS)
    low = index[block]!
    high = index[block + 1]!
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (first![middle]! <= a) low = middle
      else high = middle - 1
    }
    return low
  }
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const order = first![middle]! - a || second![middle]! - b || third![middle]! - c || fourth![middle]! - d
    if (order <= 0) low = middle
    else high = middle - 1
  }
  return low
}

/** How many leading bits of the client the answer of this range depends on. */
export function scopeOf({ starts }: Ranges, range: number, address: AddressWords): number {
  const before = range > 0 ? commonWithLast(starts, range, address) + 1 : 0
  const behind = range + 1 < starts[0]!.length ? common(starts, range + 1, address) + 1 : 0
  return before > behind ? before : behind
}

/** Leading bits that the address has in common with the start of a range. */
function common(starts: Uint32Array[], range: number, { a, b, c, d }: AddressWords): number {
  let differ = starts[0]![range]! ^ a
  if (differ !== 0 || starts.length === V4_WORDS) return Math.clz32(differ)
  differ = starts[1]![range]! ^ b
  if (differ !== 0) return 32 + Math.clz32(differ)
  differ = starts[2]![range]! ^ c
  if (differ !== 0) return 64 + Math.clz32(differ)
  return 96 + Math.clz32(starts[3]![range]! ^ d)
}

/** The same with the last address before a range. */
function commonWithLast(starts: Uint32Array[], range: number, address: AddressWords): number {
  const words = starts.map((each) => each[range]!)
  for (let at = words.length - 1; at >= 0; at--) {
    if (words[at]! > 0) {
      words[at]!--
      break
    }
    words[at] = 0xffffffff
  }
  const parts = [address.a, address.b, address.c, address.d]
  for (let at = 0; at < words.length; at++) {
    const differ = words[at]! ^ parts[at]!
    if (differ !== 0) return at * 32 + Math.clz32(differ)
  }
  return words.length * 32
}
