/**
 * Which server of a pool a request goes to: spread by weight (smooth weighted round robin), or by the cache key over siblings and
 * parents (weighted rendezvous hashing), so that each key has one home and a server that leaves moves only its own keys.
 */

export interface Weighted {
  readonly name: string
  readonly weight: number
}

/** FNV-1a with a final mix; 32 bits. Stable across processes and versions, since siblings must agree. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Members from the most to the least wanted for this key. */
export function rendezvous<M extends Weighted>(key: string, members: readonly M[]): M[] {
  const keyed = hash32(key).toString(36)
  return members
    .map((member) => {
      const unit = (hash32(`${member.name}\0${keyed}`) + 0.5) / 2 ** 32
      return { member, score: -member.weight / Math.log(unit) }
    })
    .sort((a, b) => b.score - a.score)
    .map(({ member }) => member)
}

/** Smooth weighted round robin: over time each gets its share, and the shares are spread evenly. */
export class Spread<M extends Weighted> {
  readonly #credit = new Map<M, number>()

  next(members: readonly M[]): M | null {
    let best: M | null = null
    let total = 0
    for (const member of members) {
      total += member.weight
      const credit = (this.#credit.get(member) ?? 0) + member.weight
      this.#credit.set(member, credit)
      if (best === null || credit > this.#credit.get(best)!) best = member
    }
    if (best !== null) this.#credit.set(best, this.#credit.get(best)! - total)
    return best
  }
}
