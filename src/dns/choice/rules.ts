/**
 * Which site and which edges a client is sent to: pure rules over plain data. Sites come in the client's order of preference; what
 * is down is left out; a site over its open bandwidth passes a share of its clients to the next; a property's edges at a site
 * come from weighted rendezvous hashing, so an edge lost or added moves only the properties that were or will be on it.
 */

/** A site as the choice sees it. */
export interface SiteView {
  /** It has at least one edge of the property that may be answered. */
  usable: boolean
  /** The share of its clients that goes on to the next, 0 to 1. */
  shed: number
}

export interface SiteShare {
  site: number
  /** Of the clients with this preference; all together 1. */
  share: number
}

/**
 * The sites that clients with this preference go to, and in which shares. A site that sheds passes its share on; what even the last
 * one sheds has nowhere better to go and stays at the first. Empty when no site is usable.
 */
export function siteShares(preference: readonly number[], siteAt: (site: number) => SiteView): SiteShare[] {
  const shares: SiteShare[] = []
  let left = 1
  for (const site of preference) {
    const { usable, shed } = siteAt(site)
    if (!usable) continue
    const share = left * (1 - shed)
    if (share > 0 || shares.length === 0) shares.push({ site, share })
    left -= share
    if (left <= SHARE_FLOOR) break
  }
  if (shares.length > 0) shares[0]!.share += left
  return shares.filter(({ share }) => share > 0)
}
/** A share this small is rounding. */
const SHARE_FLOOR = 1e-9

/** The site for a client at `place` (0 to 1) among those that share a preference. */
export function siteFor(shares: readonly SiteShare[], place: number): number {
  let reached = 0
  for (let at = 0; at < shares.length; at++) {
    reached += shares[at]!.share
    if (place < reached) return at
  }
  return shares.length - 1
}

/**
 * A place from 0 to 1 for a block of clients, the same on every router. It depends on the clients alone, so that a network that is sent on
 * is sent on with all its properties, and the scope of the answer is the block.
 */
export function placeOf(a: number, b: number, isV6: boolean): number {
  let hash = (a ^ 0x9e3779b9) | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  hash ^= hash >>> 16
  if (isV6) {
    hash = Math.imul(hash ^ b, 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return (hash >>> 0) / 2 ** 32
}
/** Blocks of clients that are sent one way together, in bits. */
export const BLOCK_BITS = { v4: 24, v6: 48 } as const

export interface WeightedEdge {
  name: string
  weight: number
}

/**
 * The `count` edges of a site that hold a property, best first: each edge draws a number from the two names, stretched by its weight (weighted
 * rendezvous hashing, Schindelhauer and Schomaker 2005), and the highest win. Weight 0 is taken only when there is no other.
 */
export function edgesFor<Edge extends WeightedEdge>(property: string, edges: readonly Edge[], count: number): Edge[] {
  return edges
    .map((edge) => ({ edge, score: score(property, edge) }))
    .sort((one, other) => other.score - one.score || (one.edge.name < other.edge.name ? -1 : 1))
    .slice(0, count)
    .filter(({ edge }, _, chosen) => edge.weight > 0 || chosen.every((each) => each.edge.weight === 0))
    .map(({ edge }) => edge)
}

function score(property: string, { name, weight }: WeightedEdge): number {
  const drawn = (hashText(`${property}\0${name}`) + 0.5) / 2 ** 32
  return weight === 0 ? -1 - 1 / drawn : -weight / Math.log(drawn)
}

/** FNV-1a with the finish of MurmurHash3, whose bits all depend on all letters. */
function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * The share that a site sheds next, from the share it sheds now and the rate it had with it. What would come with nothing shed is rate / (1 −
 * shed); the share over the open bandwidth has to go. Rising is taken at once, falling by at most a tenth a step: clients that
 * come back too early would send the site over its bandwidth again.
 */
export function nextShed(shed: number, openBitsPerSecond: number, rateBitsPerSecond: number): number {
  if (openBitsPerSecond <= 0) return 1
  const demand = rateBitsPerSecond / Math.max(1 - shed, SHED_BASE)
  const wanted = demand > openBitsPerSecond ? 1 - openBitsPerSecond / demand : 0
  return Math.min(wanted >= shed ? wanted : Math.max(wanted, shed - SHED_STEP_DOWN), SHED_MOST)
}
const SHED_STEP_DOWN = 0.1
/** Some clients stay, or nothing would be known of the demand. */
const SHED_MOST = 0.98
const SHED_BASE = 1 - SHED_MOST
