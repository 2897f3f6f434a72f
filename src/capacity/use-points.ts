/**
 * From reservations as one text (`start end quantity start end quantity …`, milliseconds and thousandths) to a skyline's
 * points. A million of them are read by a process that starts, so nothing here makes an object per reservation: the text
 * is scanned once, and each start and end becomes one 64-bit key, its instant above its number, sorted natively.
 */
import type { SkylinePoint } from './skyline.ts'

/** Bits of a key that number the event; the other 42 hold its instant, which reaches the year 2109. */
const INDEX_BITS = 22
const INDEX_MASK = (1 << INDEX_BITS) - 1
const LOW_SPAN = 2 ** (32 - INDEX_BITS)
const LATEST = 2 ** 42 - 1

/** Hands over the numbers of a text, parted by blanks: integers, `Infinity` and `-Infinity`, three at a time. */
function eachThree(text: string, take: (start: number, end: number, quantity: number) => void): void {
  const three = [0, 0, 0]
  let place = 0
  let value = 0
  let sign = 1
  for (let index = 0; index <= text.length; index++) {
    const code = index === text.length ? 32 : text.charCodeAt(index)
    if (code === 32) {
      three[place++] = sign * value
      if (place === 3) take(three[0]!, three[1]!, three[2]!)
      if (place === 3) place = 0
      value = 0
      sign = 1
    } else if (code === 45) sign = -1
    else if (code >= 48 && code <= 57) value = value * 10 + (code - 48)
    else value = Number.POSITIVE_INFINITY
  }
}

/** The points of what reservations use, as positive amounts; of two million at most (`INDEX_BITS`). */
export function usePoints(text: string): SkylinePoint[] {
  const counts = countOf(text)
  const amounts = new Float64Array(2 * counts)
  const keys = new BigUint64Array(2 * counts)
  const halves = new Uint32Array(keys.buffer)
  let events = 0
  let always = 0
  const add = (at: number, amount: number) => {
    if (at === Number.POSITIVE_INFINITY) return
    if (at < 0) {
      always += amount
      return
    }
    const instant = Math.min(at, LATEST)
    halves[2 * events + 1] = Math.floor(instant / LOW_SPAN)
    halves[2 * events] = (instant % LOW_SPAN) * (INDEX_MASK + 1) + events
    amounts[events++] = amount
  }
  eachThree(text, (start, end, quantity) => {
    add(start, quantity)
    add(end, -quantity)
  })
  keys.subarray(0, events).sort()
  const points: SkylinePoint[] = [{ at: Number.NEGATIVE_INFINITY, value: always }]
  let last = points[0]!
  for (let event = 0; event < events; event++) {
    const low = halves[2 * event]!
    const at = halves[2 * event + 1]! * LOW_SPAN + Math.floor(low / (INDEX_MASK + 1))
    const value = last.value + amounts[low & INDEX_MASK]!
    if (last.at === at) last.value = value
    else {
      last = { at, value }
      points.push(last)
    }
  }
  return points
}

/** How many reservations a text holds. */
function countOf(text: string): number {
  if (text === '') return 0
  let blanks = 0
  for (let place = text.indexOf(' '); place >= 0; place = text.indexOf(' ', place + 1)) blanks++
  return (blanks + 1) / 3
}
