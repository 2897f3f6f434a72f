/** Reads a body out of its extents. What is given out is what was written, or an error is thrown. */
import { BLOCK_BYTES, BLOCK_HEAD_BYTES, EXTENT_BYTES, RECORD_HEAD_BYTES, readBlocks } from './format.ts'
import type { Extent } from './place.ts'

/** Bytes of a body in one read. */
const READ_BYTES = 4 * BLOCK_BYTES

/**
 * Bytes first…last of a body, each block checked, at most READ_BYTES at once. The segments stay readable until the reader is
 * done, also when the object is evicted or moved meanwhile. `fault` is told of a block that is not what was written.
 * @throws Error when the bytes are not what was written
 */
export async function* readBody<T>(
  id: number,
  extents: readonly Extent<T>[],
  first: number,
  last: number,
  fault: () => void,
): AsyncGenerator<Buffer> {
  const needed = extents.slice(Math.floor(first / EXTENT_BYTES), Math.floor(last / EXTENT_BYTES) + 1)
  const held = new Set(needed.map(({ segment }) => segment).filter((segment) => segment !== null))
  for (const segment of held) segment.hold()
  try {
    for (let at = first; at <= last; ) {
      const index = Math.floor(at / EXTENT_BYTES)
      const extent = extents[index]
      if (extent === undefined) throw new Error('these bytes were never written')
      const until = Math.min(last, index * EXTENT_BYTES + extent.bytes - 1)
      const piece = await readPiece(id, extent, index, at - index * EXTENT_BYTES, until - index * EXTENT_BYTES)
      if (piece === null) {
        fault()
        throw new Error('a block is not what was written')
      }
      yield piece
      at += piece.length
    }
  } finally {
    for (const segment of held) segment.letGo()
  }
}

/** The beginning of bytes first…last of one extent; null when a block is not what was written. */
async function readPiece<T>(
  id: number,
  extent: Extent<T>,
  index: number,
  first: number,
  last: number,
): Promise<Buffer | null> {
  if (extent.pending !== null) return extent.pending.subarray(first, last + 1)
  if (extent.segment === null) throw new Error('these bytes are not on the disk')
  const block = Math.floor(first / BLOCK_BYTES)
  const from = block * BLOCK_BYTES
  const end = Math.min(last + 1, from + READ_BYTES)
  // Whole blocks, since each is checked as a whole.
  const bytes = Math.min(extent.bytes, Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES) - from
  const blocks = Math.ceil(bytes / BLOCK_BYTES)
  const payload = await extent.segment.read(
    extent.offset + RECORD_HEAD_BYTES + block * (BLOCK_BYTES + BLOCK_HEAD_BYTES),
    bytes + blocks * BLOCK_HEAD_BYTES,
  )
  const body = Buffer.allocUnsafeSlow(bytes)
  if (!readBlocks(payload, id, (index * EXTENT_BYTES) / BLOCK_BYTES + block, body)) return null
  return body.subarray(first - from, end - from)
}
