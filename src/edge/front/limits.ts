/** What a client may take of the front, each with its name; a configuration may change every one of them. */

export interface FrontLimits {
  /** Request line and fields together; more is 431. */
  headMaxBytes: number
  /** Fields of one request; more is 431. */
  fieldsMax: number
  /** From the first byte of a head to its last; longer is 408. */
  headMs: number
  /** A connection without a request under way is closed after this. */
  idleMs: number
  /** A request body; more is 413. */
  bodyMaxBytes: number
  /** A body that comes, or an answer that is taken, more slowly than this over `rateWindowMs` is ended: 408. */
  rateMinBytesPerSecond: number
  rateWindowMs: number
  /** Connections of one address (of one /64 for IPv6); more are closed at once. */
  connectionsPerAddressMax: number
  /** Connections of one listener in one worker. */
  connectionsMax: number
  /** Streams at once on one HTTP/2 connection. */
  streamsMax: number
  /** How long requests under way may go on once the edge drains. */
  drainMs: number
}

export const DEFAULT_LIMITS: FrontLimits = {
  headMaxBytes: 16 * 1024,
  fieldsMax: 200,
  headMs: 10_000,
  idleMs: 60_000,
  bodyMaxBytes: 1024 * 1024 * 1024,
  rateMinBytesPerSecond: 256,
  rateWindowMs: 30_000,
  connectionsPerAddressMax: 2_000,
  connectionsMax: 50_000,
  streamsMax: 128,
  drainMs: 30_000,
}
