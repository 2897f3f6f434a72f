/** Every bound of the platform, named, in one place. A bound that is passed is refused with `LimitPassed` or a 4xx. */
export const LIMITS = {
  /** Bytes of a request body on the API. */
  requestBodyBytes: 1_048_576,
  /** Items on one page of a list. */
  pageItems: 200,
  /** Lines of one claim. */
  claimLines: 32,
  /** Occurrences one recurring claim may spread into. */
  claimOccurrences: 400,
  /** Claims that may wait for the next group commit in one process. */
  commitQueue: 20_000,
  /** Claims decided and written in one group commit. */
  commitBatch: 1_024,
  /** Attempts on stale versions before the pools are locked first and decided under the lock. */
  optimisticAttempts: 3,
  /** Years ahead that capacity can be reserved or a step dated. */
  horizonYears: 50,
  /** Failed sites covered at once by one combined failure scenario. */
  simultaneousFailures: 3,
  /** Depth of resellers below the operator. */
  partyDepth: 16,
  /** Idle streams of events held open by one process. */
  eventStreams: 500,
} as const
