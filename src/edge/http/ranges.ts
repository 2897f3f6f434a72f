/**
 * Byte ranges (RFC 9110 §14): Range, Content-Range, and which bytes of a representation a request means. A Range that
 * does not parse is ignored, as §14.2 asks; more ranges than are useful are refused, against the amplification of §17.15.
 */

/** One range as asked for: from the start (`last` null: to the end) or the last `suffix` bytes. */
export type AskedRange =
  | { readonly first: number; readonly last: number | null }
  | { readonly first: null; readonly suffix: number }

/** Bytes first…last, both included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/** A request may name this many ranges; one with more is answered with the whole representation. */
export const MAX_RANGES = 32

/** Null: no Range this cache understands, so the request is for everything. */
export function parseRange(value: string | null): readonly AskedRange[] | null {
  if (value === null || !/^bytes=/i.test(value)) return null
  const ranges: AskedRange[] = []
  for (const part of value.slice(6).split(',')) {
    const text = part.trim()
    if (text === '') continue
    const match = /^(\d{0,15})-(\d{0,15})$/.exec(text)
    if (!match || (match[1] === '' && match[2] === '')) return null
    if (match[1] === '') ranges.push({ first: null, suffix: Number(match[2]) })
    else {
      const first = Number(match[1])
      const last = match[2] === '' ? null : Number(match[2])
      if (last !== null && last < first) return null
      ranges.push({ first, last })
    }
    if (ranges.length > MAX_RANGES) return null
  }
  return ranges.length === 0 ? null : ranges
}

/** The bytes that a range means in a representation of `total` bytes; null: none (§14.1.2). */
export function resolveRange(range: AskedRange, total: number): ByteRange | null {
  if (range.first === null) {
    if (range.suffix === 0 || total === 0) return null
    return { first: Math.max(0, total - range.suffix), last: total - 1 }
  }
  if (range.first >= total) return null
  return { first: range.first, last: range.last === null ? total - 1 : Math.min(range.last, total - 1) }
}

/**
 * The satisfiable ones in the order asked. Ranges that overlap or touch are merged when there are several (§15.3.7.2), so
 * that no byte goes out twice.
 */
export function resolveRanges(ranges: readonly AskedRange[], total: number): ByteRange[] {
  const resolved = ranges.map((range) => resolveRange(range, total)).filter((range) => range !== null)
  const merged: { first: number; last: number }[] = []
  for (const range of resolved) {
    const touching = merged.find((other) => range.first <= other.last + 1 && other.first <= range.last + 1)
    if (touching) {
      touching.first = Math.min(touching.first, range.first)
      touching.last = Math.max(touching.last, range.last)
    } else merged.push({ ...range })
  }
  return merged.length < resolved.length && merged.length > 1 ? resolveAgain(merged) : merged
}

/** Merging two may make the result touch a third. */
function resolveAgain(ranges: readonly ByteRange[]): ByteRange[] {
  return resolveRanges(
    ranges.map(({ first, last }) => ({ first, last })),
    Number.MAX_SAFE_INTEGER,
  )
}

export interface ContentRange {
  /** Null for `*`: an unsatisfied range. */
  readonly range: ByteRange | null
  readonly total: number | null
}

/** Null when it is missing, of another unit, or invalid (§14.4): then nothing may be combined by it. */
export function parseContentRange(value: string | null): ContentRange | null {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/i.exec(value ?? '')
  if (!match) return null
  const total = match[3] === '*' ? null : Number(match[3])
  if (match[1] === undefined) return total === null ? null : { range: null, total }
  const [first, last] = [Number(match[1]), Number(match[2])]
  if (last < first || (total !== null && last >= total)) return null
  return { range: { first, last }, total }
}

export const formatContentRange = (range: ByteRange, total: number | null): string =>
  `bytes ${range.first}-${range.last}/${total ?? '*'}`
