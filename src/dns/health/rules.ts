/** When an edge counts as down: pure rules of hysteresis and quorum. */

/** What one observer has seen of one edge. */
export interface Observed {
  up: boolean
  /** Results in a row that speak against `up`. */
  against: number
}

/** The observer's next view after one more result: it turns only after `falls` failures, or `rises` successes, in a row. */
export function observe({ up, against }: Observed, good: boolean, falls: number, rises: number): Observed {
  if (good === up) return { up, against: 0 }
  const more = against + 1
  return more >= (up ? falls : rises) ? { up: good, against: 0 } : { up, against: more }
}

/**
 * Is an edge up, as this router (null: it does not check) and the other observers see it? It takes more than half of those who look to take it
 * out, or as many as `quorum` says: a router that is cut off itself must not empty its answers. Where they are even, this router's own check
 * decides: it has asked the edge as a client would, while the control plane has only heard of it a while ago, or cannot.
 */
export function isUp(
  own: boolean | null,
  seen: { up: number; down: number } | undefined,
  quorum: number | undefined,
): boolean {
  const up = (seen?.up ?? 0) + (own === true ? 1 : 0)
  const down = (seen?.down ?? 0) + (own === false ? 1 : 0)
  if (quorum !== undefined) return down < quorum
  return down === up ? own !== false : down < up
}
