/** Where a stored response lies on disk: its record, and the extents of its body. */
import { extentPayloadBytes, recordBytes } from './format.ts'
import type { Segment } from './segment.ts'

/** One extent of a body: still in memory, or in a segment. */
export interface Extent<T> {
  bytes: number
  pending: Buffer | null
  segment: Segment<T> | null
  offset: number
  /** Discarded before it was written: its bytes never count as live. */
  isGivenUp: boolean
}

/** Where an object lies. Replaced, never changed, when it is moved or gets a new head. */
export interface DiskPlace<T> {
  readonly id: number
  readonly serial: number
  readonly record: { readonly segment: Segment<T>; readonly offset: number; readonly bytes: number }
  readonly extents: readonly Extent<T>[]
}

/** Bytes that an extent takes in its segment. */
export const extentRecordBytes = (bodyBytes: number): number => recordBytes(extentPayloadBytes(bodyBytes))

/** Segments that hold a part of an object. */
export const segmentsOf = <T>(place: DiskPlace<T>): Segment<T>[] => [
  place.record.segment,
  ...place.extents.map(({ segment }) => segment!),
]
