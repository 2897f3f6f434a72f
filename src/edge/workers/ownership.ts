/**
 * Which worker owns a cache key: the one with the highest score for it (rendezvous hashing), so that another number of
 * workers moves as few keys as can be. All keys of one URL have one owner, whatever else is part of them.
 */
import { hash32 } from '../origin/choice.ts'
import { baseOf } from '../store/purges.ts'

export function ownerOf(key: string, workers: number): number {
  const hash = hash32(baseOf(key))
  let best = 0
  let most = -1
  for (let worker = 0; worker < workers; worker++) {
    let score = Math.imul(hash ^ Math.imul(worker + 1, 0x9e3779b1), 0x85ebca6b)
    score = Math.imul(score ^ (score >>> 13), 0xc2b2ae35)
    score = (score ^ (score >>> 16)) >>> 0
    if (score > most) {
      most = score
      best = worker
    }
  }
  return best
}
