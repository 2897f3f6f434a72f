/**
 * What lies in a segment file. Records follow each other; only `state` and `softAt` are ever written again in place, so a
 * record is whole or its checksums tell. A stored response is one object record, written last, and the extents it names.
 *
 *   record   0 magic u32   4 state u32   8 softAt f64   16 kind u32   20 payload bytes u32   24 object id f64
 *            32 index u32 (of an extent) or text bytes (of an object)   36 crc32 of bytes 16…36 and an object's text
 *            40 payload, padded to a multiple of 8
 *
 *   payload of an extent   block, block…   every extent but the last of an object holds EXTENT_BYTES
 *   block                  crc32 u32, bytes u32, up to BLOCK_BYTES of the body; the checksum starts from object and position,
 *                          so that a block of another object, or another place, is wrong too
 *   payload of an object   JSON: key, head, purge numbers, and where its extents lie
 */
import { crc32 } from 'node:zlib'

export const BLOCK_BYTES = 64 * 1024
export const BLOCK_HEAD_BYTES = 8
export const EXTENT_BYTES = 1024 * 1024
export const RECORD_HEAD_BYTES = 40
const BLOCKS_OF_EXTENT = EXTENT_BYTES / BLOCK_BYTES

const MAGIC = 0x31455a49 // "IZE1"

export const STATE = { live: 0x4556494c, soft: 0x54464f53, dead: 0x44414544 } as const
export const KIND = { extent: 1, object: 2 } as const

/** Where a body's extent lies: segment number, offset of its record, bytes of the body in it. */
export type ExtentPlace = readonly [segment: number, offset: number, bytes: number]

/** The text of an object record. */
export interface ObjectText {
  key: string
  head: unknown
  bodyBytes: number
  storedAt: number
  freshAt: number
  /** Of two records of one object the one with the greater serial counts. */
  serial: number
  extents: ExtentPlace[]
}

export interface RecordHead {
  state: number
  softAt: number
  kind: number
  payloadBytes: number
  id: number
  index: number
  crc: number
}

const padded = (bytes: number): number => (bytes + 7) & ~7

/** Bytes that a record takes in the file. */
export const recordBytes = (payloadBytes: number): number => RECORD_HEAD_BYTES + padded(payloadBytes)

/** Payload bytes of an extent that holds so much of a body. */
export const extentPayloadBytes = (bytes: number): number => bytes + Math.ceil(bytes / BLOCK_BYTES) * BLOCK_HEAD_BYTES

const seedOf = (id: number, block: number): number => (Math.imul((id % 0x1_0000_0000) | 0, 0x9e3779b1) ^ block) >>> 0

function headOf(kind: number, payloadBytes: number, id: number, index: number, softAt: number, text: Buffer): Buffer {
  const head = Buffer.alloc(RECORD_HEAD_BYTES)
  head.writeUInt32LE(MAGIC, 0)
  head.writeUInt32LE(softAt > 0 ? STATE.soft : STATE.live, 4)
  head.writeDoubleLE(softAt, 8)
  head.writeUInt32LE(kind, 16)
  head.writeUInt32LE(payloadBytes, 20)
  head.writeDoubleLE(id, 24)
  head.writeUInt32LE(index, 32)
  head.writeUInt32LE(crc32(text, crc32(head.subarray(16, 36))), 36)
  return head
}

const NONE = Buffer.alloc(0)
const PADDING = Buffer.alloc(8)
const paddingOf = (bytes: number): Buffer[] => {
  const missing = padded(bytes) - bytes
  return missing === 0 ? [] : [PADDING.subarray(0, missing)]
}

/** An extent as buffers to be written one after the other; `body` is not copied. */
export function extentRecord(id: number, index: number, body: Buffer): Buffer[] {
  const payloadBytes = extentPayloadBytes(body.length)
  const parts = [headOf(KIND.extent, payloadBytes, id, index, 0, NONE)]
  for (let at = 0, block = index * BLOCKS_OF_EXTENT; at < body.length; at += BLOCK_BYTES, block++) {
    const data = body.subarray(at, at + BLOCK_BYTES)
    const blockHead = Buffer.alloc(BLOCK_HEAD_BYTES)
    blockHead.writeUInt32LE(crc32(data, seedOf(id, block)), 0)
    blockHead.writeUInt32LE(data.length, 4)
    parts.push(blockHead, data)
  }
  return [...parts, ...paddingOf(payloadBytes)]
}

export function objectRecord(id: number, softAt: number, text: ObjectText): Buffer[] {
  const payload = Buffer.from(JSON.stringify(text))
  return [
    headOf(KIND.object, payload.length, id, payload.length, softAt, payload),
    payload,
    ...paddingOf(payload.length),
  ]
}

/** The head of a record, or null when there is none here. Its checksum is not looked at yet. */
export function readHead(bytes: Buffer, at: number): RecordHead | null {
  if (at + RECORD_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== MAGIC) return null
  return {
    state: bytes.readUInt32LE(at + 4),
    softAt: bytes.readDoubleLE(at + 8),
    kind: bytes.readUInt32LE(at + 16),
    payloadBytes: bytes.readUInt32LE(at + 20),
    id: bytes.readDoubleLE(at + 24),
    index: bytes.readUInt32LE(at + 32),
    crc: bytes.readUInt32LE(at + 36),
  }
}

/** Whether a head, with the text that follows it if it is an object's, is what was written. */
export function isWhole(head: RecordHead, bytes: Buffer, at: number): boolean {
  const end = at + RECORD_HEAD_BYTES
  const text = head.kind === KIND.object ? bytes.subarray(end, end + head.payloadBytes) : NONE
  if (head.kind === KIND.object && text.length < head.payloadBytes) return false
  return crc32(text, crc32(bytes.subarray(at + 16, at + 36))) === head.crc
}

/**
 * Copies the bodies of consecutive blocks out of an extent's payload, checking each. `firstBlock` counts from the start of
 * the body. False when a block is not what was written.
 */
export function readBlocks(payload: Buffer, id: number, firstBlock: number, into: Buffer): boolean {
  let at = 0
  let to = 0
  for (let block = firstBlock; to < into.length; block++) {
    if (at + BLOCK_HEAD_BYTES > payload.length) return false
    const bytes = payload.readUInt32LE(at + 4)
    const data = payload.subarray(at + BLOCK_HEAD_BYTES, at + BLOCK_HEAD_BYTES + bytes)
    if (bytes === 0 || bytes > BLOCK_BYTES || data.length !== bytes || to + bytes > into.length) return false
    if (crc32(data, seedOf(id, block)) !== payload.readUInt32LE(at)) return false
    data.copy(into, to)
    to += bytes
    at += BLOCK_HEAD_BYTES + bytes
  }
  return true
}
