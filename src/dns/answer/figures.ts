/** Counters of one worker: plain numbers in shared memory, written by it alone and read by whoever shows them. */

export const COUNTERS = [
  'udp',
  'tcp',
  'dropped',
  'formerr',
  'servfail',
  'nxdomain',
  'notimp',
  'refused',
  'badvers',
  'noerror',
  'truncated',
  'limited',
  'slipped',
  'clientSubnet',
  'cookieGood',
  'cookieNew',
  'dnssec',
  'routed',
  'prepared',
  'composed',
  'bytesIn',
  'bytesOut',
  'tcpConnections',
  'tcpRefused',
  'sendFailed',
  'chaos',
] as const
export type Counter = (typeof COUNTERS)[number]

/** The place of each counter. */
export const AT = Object.fromEntries(COUNTERS.map((name, at) => [name, at])) as Record<Counter, number>

/** Behind the counters stand the answers by the number of the site. */
export const figuresBytes = (sites: number): number => (COUNTERS.length + sites) * Float64Array.BYTES_PER_ELEMENT

export const readFigures = (all: readonly Float64Array[]): Record<Counter, number> =>
  Object.fromEntries(COUNTERS.map((name, at) => [name, all.reduce((sum, each) => sum + each[at]!, 0)])) as Record<
    Counter,
    number
  >

export const siteFigure = (figures: Float64Array, slot: number): number => figures[COUNTERS.length + slot]!
