/** Reads the records of a segment file when a store is opened: heads and the texts of objects, bodies are skipped. */
import { isWhole, KIND, type ObjectText, RECORD_HEAD_BYTES, readHead, recordBytes, STATE } from './format.ts'
import type { Segment } from './segment.ts'

/** Bytes in one read. */
const LOAD_BYTES = 1024 * 1024

export interface FoundRecord {
  offset: number
  bytes: number
  id: number
  softAt: number
  /** Null for what is no object, or not one any more. */
  text: ObjectText | null
}

/** The records from the front of the file to the first that is not whole: what a crash left half written ends it. */
export async function* recordsIn<T>(segment: Segment<T>): AsyncGenerator<FoundRecord> {
  let window: Buffer = Buffer.alloc(0)
  let windowAt = 0
  const look = async (at: number, bytes: number) => {
    if (at >= windowAt && at + bytes <= windowAt + window.length) return
    window = await segment.read(at, Math.min(Math.max(LOAD_BYTES, bytes), segment.sizeBytes - at))
    windowAt = at
  }
  for (let at = 0; at + RECORD_HEAD_BYTES <= segment.sizeBytes; ) {
    await look(at, RECORD_HEAD_BYTES)
    const head = readHead(window, at - windowAt)
    const bytes = head === null ? 0 : recordBytes(head.payloadBytes)
    if (head === null || at + bytes > segment.sizeBytes) return
    if (head.kind === KIND.object) await look(at, bytes)
    if (!isWhole(head, window, at - windowAt)) return
    let text: ObjectText | null = null
    if (head.kind === KIND.object && (head.state === STATE.live || head.state === STATE.soft)) {
      const textAt = at - windowAt + RECORD_HEAD_BYTES
      text = JSON.parse(window.toString('utf8', textAt, textAt + head.payloadBytes)) as ObjectText
    }
    yield { offset: at, bytes, id: head.id, softAt: head.state === STATE.soft ? head.softAt : 0, text }
    at += bytes
  }
}
