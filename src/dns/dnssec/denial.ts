/** NSEC records made for the name that was asked for (compact denial of existence, RFC 9824; NSEC's form is RFC 4034 §4). */
import { TYPE } from '../wire/codes.ts'
import { NAME_BYTES } from '../wire/names.ts'

/** The data of the NSEC at `owner`: nothing lies between it and its next possible name, and it has these types. */
export function nsecOf(owner: Uint8Array, types: Iterable<number>): Uint8Array {
  const all = new Set([...types, TYPE.RRSIG, TYPE.NSEC])
  return new Uint8Array(Buffer.concat([nextName(owner), bitmap(all)]))
}

/** `\000.owner`; at the greatest length, the name whose first label is next (RFC 4470 §4 allows any such). */
function nextName(owner: Uint8Array): Uint8Array {
  if (owner.length + 2 <= NAME_BYTES) return Uint8Array.of(1, 0, ...owner)
  const next = Uint8Array.from(owner)
  for (let at = next[0]!; at > 0; at--) {
    // No upper-case letter: it would mean the small one.
    next[at] = next[at] === 0x40 ? 0x5b : next[at]! + 1
    if (next[at] !== 0) break
  }
  return next
}

/** Windows of 256 types, each as long as its highest type needs. */
function bitmap(types: ReadonlySet<number>): Uint8Array {
  const windows = new Map<number, number[]>()
  for (const type of [...types].sort((one, other) => one - other)) {
    const bits = windows.get(type >> 8) ?? []
    const at = (type & 255) >> 3
    while (bits.length <= at) bits.push(0)
    bits[at]! |= 0x80 >> (type & 7)
    windows.set(type >> 8, bits)
  }
  return Uint8Array.from([...windows].flatMap(([window, bits]) => [window, bits.length, ...bits]))
}
