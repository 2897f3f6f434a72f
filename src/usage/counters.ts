/**
 * From the readings of two counters (octets in, octets out) to the octets of each slot. Counters wrap, devices restart,
 * polls are late or missing; what cannot be known is never made up: a stretch without a trustworthy difference is a gap, and
 * the contract's policy says what its slots are. A difference that covers several slots is shared by time in whole octets,
 * so that the slots always add up to it (SNMP's ifHCInOctets and sysUpTime: RFC 2863, RFC 3418). Pure.
 */
import type { Instant } from '../core/time.ts'

/** One poll of an interface. */
export interface CounterReading {
  at: Instant
  in: bigint
  out: bigint
  /** Milliseconds since the device started; null when it does not say. */
  uptimeMs: number | null
}

export interface CounterTerms {
  /** Width of the counter. A 32-bit one wraps within five minutes above 114 Mbit/s. */
  bits: 32 | 64
  /** Null: not known, so that nothing is refused for being too much. */
  linkBitsPerSecond: number | null
  slotMs: number
  /** What the slots of a gap are: missing, without traffic, or their share of what passed meanwhile. */
  gap: 'drop' | 'zero' | 'interpolate'
}

export interface Slot {
  /** Slots since the epoch. */
  slot: number
  in: bigint
  out: bigint
}

/** Why a stretch is not counted as read. */
export type Finding = 'restart' | 'wrap' | 'above-link-speed' | 'wraps-unknown' | 'out-of-order' | 'late-poll'

export interface CounterState {
  last: CounterReading
  /** The slot that `last` lies in: what was counted of it, and for how long; null when its beginning is not known. */
  open: { slot: number; in: bigint; out: bigint } | null
}

export interface CounterStep {
  state: CounterState
  /** Slots that are complete, in order. */
  closed: Slot[]
  findings: { kind: Finding; from: Instant; to: Instant }[]
}

/** A poll may be this late, in slots, before what it covers is a gap. */
const LATE_SLOTS = 1.5

/** The state after the first reading of a meter. */
export function firstReading(reading: CounterReading, terms: CounterTerms): CounterState {
  const slot = Math.floor(reading.at / terms.slotMs)
  return { last: reading, open: reading.at === slot * terms.slotMs ? { slot, in: 0n, out: 0n } : null }
}

/** Takes the next reading. One that is not later than the last changes nothing. */
export function nextReading(state: CounterState, reading: CounterReading, terms: CounterTerms): CounterStep {
  const { last } = state
  if (reading.at <= last.at)
    return { state, closed: [], findings: [{ kind: 'out-of-order', from: reading.at, to: last.at }] }
  const span = { from: last.at, to: reading.at }
  const step: CounterStep = { state: { last: reading, open: state.open }, closed: [], findings: [] }
  const restartedAt = restartOf(last, reading)
  if (restartedAt !== null) {
    // What the counters show passed since the restart; before it nobody knows.
    step.findings.push({ kind: 'restart', ...span })
    const from = Math.max(restartedAt, last.at)
    advance(step, last.at, from, null, terms)
    difference(step, from, reading.at, reading.in, reading.out, terms)
    return step
  }
  const range = 1n << BigInt(terms.bits)
  const wrapped = reading.in < last.in || reading.out < last.out
  if (wrapped) {
    if (terms.bits === 64) {
      // Nobody sees a 64-bit counter wrap: it was set back.
      step.findings.push({ kind: 'restart', ...span })
      advance(step, last.at, reading.at, null, terms)
      return step
    }
    step.findings.push({ kind: 'wrap', ...span })
  }
  if (terms.bits === 32 && canWrapTwice(terms, span.to - span.from)) {
    step.findings.push({ kind: 'wraps-unknown', ...span })
    advance(step, last.at, reading.at, null, terms)
    return step
  }
  const gone = (now: bigint, before: bigint) => (now >= before ? now - before : now + range - before)
  difference(step, last.at, reading.at, gone(reading.in, last.in), gone(reading.out, last.out), terms)
  return step
}

/** When the device restarted between two readings, as far as it says; null: it did not. */
function restartOf(last: CounterReading, reading: CounterReading): Instant | null {
  if (last.uptimeMs === null || reading.uptimeMs === null) return null
  // Uptime has its own clock and, at 32 bits of hundredths, wraps after 497 days: only a step back is a restart.
  return reading.uptimeMs < last.uptimeMs ? reading.at - reading.uptimeMs : null
}

const canWrapTwice = ({ linkBitsPerSecond }: CounterTerms, ms: number): boolean =>
  linkBitsPerSecond !== null && (linkBitsPerSecond / 8) * (ms / 1_000) >= 2 ** 32

/** Counts a difference, unless it is more than the link carries or comes too late to know when it passed. */
function difference(
  step: CounterStep,
  from: Instant,
  to: Instant,
  inward: bigint,
  outward: bigint,
  terms: CounterTerms,
): void {
  if (from >= to) return
  const { linkBitsPerSecond: link } = terms
  const most = inward > outward ? inward : outward
  // Devices read their counters a moment before or after they say: a second's worth is forgiven.
  if (link !== null && Number(most) * 8 > (link * (to - from + 1_000)) / 1_000) {
    step.findings.push({ kind: 'above-link-speed', from, to })
    advance(step, from, to, null, terms)
  } else if (to - from > LATE_SLOTS * terms.slotMs) {
    step.findings.push({ kind: 'late-poll', from, to })
    advance(step, from, to, { in: inward, out: outward }, terms)
  } else spread(step, from, to, { in: inward, out: outward }, terms)
}

/** Goes over a gap by the contract's policy; `passed` is what is known to have passed in it, if anything. */
function advance(
  step: CounterStep,
  from: Instant,
  to: Instant,
  passed: { in: bigint; out: bigint } | null,
  terms: CounterTerms,
): void {
  if (from >= to) return
  if (terms.gap === 'interpolate' && passed !== null) spread(step, from, to, passed, terms)
  else if (terms.gap === 'zero') spread(step, from, to, { in: 0n, out: 0n }, terms)
  else {
    const slot = Math.floor(to / terms.slotMs)
    // What was counted of a slot that is not whole is dropped with it.
    step.state.open = to === slot * terms.slotMs ? { slot, in: 0n, out: 0n } : null
  }
}

/** Shares a difference among the slots it covers, by time, in whole octets that add up to it. */
function spread(
  step: CounterStep,
  from: Instant,
  to: Instant,
  passed: { in: bigint; out: bigint },
  { slotMs }: CounterTerms,
): void {
  const length = BigInt(to - from)
  let counted = { in: 0n, out: 0n }
  for (let at = from; at < to; ) {
    const slot = Math.floor(at / slotMs)
    const end = Math.min((slot + 1) * slotMs, to)
    const share = BigInt(end - from)
    const upTo = { in: (passed.in * share) / length, out: (passed.out * share) / length }
    if (at === slot * slotMs) step.state.open = { slot, in: 0n, out: 0n }
    const { open } = step.state
    if (open !== null) {
      const grown = { slot, in: open.in + upTo.in - counted.in, out: open.out + upTo.out - counted.out }
      if (end === (slot + 1) * slotMs) {
        step.closed.push(grown)
        step.state.open = { slot: slot + 1, in: 0n, out: 0n }
      } else step.state.open = grown
    }
    counted = upTo
    at = end
  }
}
