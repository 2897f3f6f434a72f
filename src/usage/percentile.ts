/**
 * The percentile by which bandwidth is billed. Providers and tools disagree about each step, so each is a field of the
 * contract: which direction counts, which of the sorted samples is the billed one, and what a missing sample is. Ranks are
 * counted in integers, for `0.95 × n` in floating point is one too high for some n. The bill keeps how it came about: how
 * many samples were expected, present and dropped, the rank, and the time of the billed sample.
 */

/** What of the two directions is ranked. */
export type Direction =
  /** The percentile of each direction, and of these the higher. */
  | 'max_of_p95'
  /** The higher direction of each slot, and of these the percentile. */
  | 'p95_of_max'
  /** In and out of each slot together. */
  | 'sum'
  | 'in'
  | 'out'

/** Which of n samples in ascending order is billed; `p` is the percentile. */
export type RankRule =
  /** The ⌈p·n/100⌉th: what is above was exceeded at most (100 − p) % of the time. PostgreSQL's percentile_disc. */
  | 'nearest_rank'
  /** ⌈(100 − p)·n/100⌉ are dropped and the next is billed. Cacti. */
  | 'drop_ceil'
  /** Index round(p·(n − 1)/100). rrdtool's PERCENT. */
  | 'rounded_index'
  /** Index round(p·n/100) − 2. LibreNMS. */
  | 'rounded_less_two'
  /** Index ⌊p·n/100⌋. ClickHouse's quantileExact. */
  | 'floor_index'
  /** Between two samples (Hyndman and Fan's type 7): percentile_cont, VictoriaMetrics, spreadsheets. */
  | 'interpolated'

/** What a slot without a sample is. */
export type MissingRule =
  /** Nothing: the percentile is of what is there. */
  | 'exclude'
  /** A slot without traffic. */
  | 'zero'
  /** Only days with traffic count, whole; the price is for these days of the month. */
  | 'valid_days'

export interface PercentileTerms {
  /** Whole per cent, 1 to 100. */
  percentile: number
  direction: Direction
  rank: RankRule
  missing: MissingRule
}

export const USUAL_TERMS: PercentileTerms = {
  percentile: 95,
  direction: 'p95_of_max',
  rank: 'nearest_rank',
  missing: 'exclude',
}

/** Octets of each slot of a period, in its order; NaN where there is no sample. */
export interface SlotSeries {
  in: Float64Array
  out: Float64Array
}

export interface BilledPercentile {
  /** Octets in one slot. */
  octets: number
  /** The slot of the billed sample: the first with that amount; null when there is none, or it lies between two. */
  slot: number | null
  expected: number
  present: number
  /** Samples above the billed one in rank. */
  dropped: number
  /** From 1, in ascending order; the lower of two where it lies between them. */
  rank: number
  /** Days that count, and the days of the period: the share of the price that `valid_days` charges. */
  days: { counted: number; all: number }
}

/** Zero-based index of the billed sample among `n > 0` in ascending order, and how far to go to the next one. */
export function rankIndex(n: number, percentile: number, rule: RankRule): { index: number; fraction: number } {
  const rest = 100 - percentile
  const whole = (index: number) => ({ index: Math.min(Math.max(index, 0), n - 1), fraction: 0 })
  switch (rule) {
    case 'nearest_rank':
      return whole(Math.floor((percentile * n + 99) / 100) - 1)
    case 'drop_ceil':
      return whole(n - 1 - Math.floor((rest * n + 99) / 100))
    case 'rounded_index':
      return whole(Math.floor((2 * percentile * (n - 1) + 100) / 200))
    case 'rounded_less_two':
      return whole(Math.floor((2 * percentile * n + 100) / 200) - 2)
    case 'floor_index':
      return whole(Math.floor((percentile * n) / 100))
    case 'interpolated': {
      const hundredths = percentile * (n - 1)
      return { index: Math.floor(hundredths / 100), fraction: (hundredths % 100) / 100 }
    }
  }
}

/**
 * The billed percentile of a period.
 *
 * @param ports the series of all ports of a contract, all of one length; their samples are added slot by slot first, and a
 *   slot is present as soon as one port has it
 * @param slotsOfDays how many slots each day of the period has, in order: local days may have 23 or 25 hours
 * @returns null when there is no sample that counts
 */
export function billedPercentile(
  ports: readonly SlotSeries[],
  terms: PercentileTerms,
  slotsOfDays: readonly number[],
): BilledPercentile | null {
  const length = slotsOfDays.reduce((sum, slots) => sum + slots, 0)
  const sums = ports.length === 1 ? ports[0]! : addUp(ports, length)
  if (sums.in.length !== length) throw new RangeError(`${sums.in.length} slots are not the ${length} of the period`)
  if (terms.direction === 'max_of_p95') {
    const one = ofOne(sums, { ...terms, direction: 'in' }, slotsOfDays)
    const other = ofOne(sums, { ...terms, direction: 'out' }, slotsOfDays)
    return one === null || other === null ? (one ?? other) : other.octets > one.octets ? other : one
  }
  return ofOne(sums, terms, slotsOfDays)
}

function addUp(ports: readonly SlotSeries[], length: number): SlotSeries {
  const sums = { in: new Float64Array(length).fill(Number.NaN), out: new Float64Array(length).fill(Number.NaN) }
  for (const port of ports)
    for (const side of ['in', 'out'] as const) {
      const [from, to] = [port[side], sums[side]]
      if (from.length !== length) throw new RangeError(`${from.length} slots are not the ${length} of the period`)
      for (let i = 0; i < length; i++) {
        const value = from[i]!
        if (!Number.isNaN(value)) to[i] = Number.isNaN(to[i]!) ? value : to[i]! + value
      }
    }
  return sums
}

function ofOne(sums: SlotSeries, terms: PercentileTerms, slotsOfDays: readonly number[]): BilledPercentile | null {
  const { in: inward, out: outward } = sums
  const length = inward.length
  const valueAt =
    terms.direction === 'in'
      ? (i: number) => inward[i]!
      : terms.direction === 'out'
        ? (i: number) => outward[i]!
        : terms.direction === 'sum'
          ? (i: number) => inward[i]! + outward[i]!
          : (i: number) => Math.max(inward[i]!, outward[i]!)
  const values = new Float64Array(length)
  let count = 0
  let present = 0
  let counted = 0
  let expected = 0
  let slot = 0
  for (const slots of slotsOfDays) {
    const dayStart = count
    let traffic = false
    for (const end = slot + slots; slot < end; slot++) {
      const value = valueAt(slot)
      if (!Number.isNaN(value)) {
        present++
        if (value > 0) traffic = true
        values[count++] = value
      } else if (terms.missing !== 'exclude') values[count++] = 0
    }
    if (terms.missing === 'valid_days' && !traffic) count = dayStart
    else {
      counted++
      expected += slots
    }
  }
  if (count === 0 || present === 0) return null
  const { index, fraction } = rankIndex(count, terms.percentile, terms.rank)
  const used = values.subarray(0, count)
  let octets = select(used, index)
  if (fraction > 0) {
    // Everything behind the index is now no smaller, so the next one is the least of it.
    let next = Number.POSITIVE_INFINITY
    for (let i = index + 1; i < count; i++) if (used[i]! < next) next = used[i]!
    octets += (next - octets) * fraction
  }
  let billed: number | null = null
  if (fraction === 0) for (let i = 0; i < length && billed === null; i++) if (valueAt(i) === octets) billed = i
  return {
    octets,
    slot: billed,
    expected: terms.missing === 'valid_days' ? expected : length,
    present,
    dropped: count - 1 - index,
    rank: index + 1,
    days: { counted, all: slotsOfDays.length },
  }
}

/**
 * The value that stands at `index` when the values are in ascending order; reorders them so that nothing before it is
 * larger and nothing behind it smaller (Hoare's selection, the middle of three as pivot).
 */
function select(values: Float64Array, index: number): number {
  let low = 0
  let high = values.length - 1
  while (low < high) {
    const [a, b, c] = [values[low]!, values[(low + high) >> 1]!, values[high]!]
    const pivot = a < b ? (b < c ? b : a < c ? c : a) : a < c ? a : b < c ? c : b
    let i = low
    let j = high
    while (i <= j) {
      while (values[i]! < pivot) i++
      while (values[j]! > pivot) j--
      if (i <= j) {
        const kept = values[i]!
        values[i++] = values[j]!
        values[j--] = kept
      }
    }
    if (index <= j) high = j
    else if (index >= i) low = i
    else break
  }
  return values[index]!
}
