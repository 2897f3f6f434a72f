/**
 * The blocks of each country from an MMDB file, by default the free one of the registries' own records (CC0) that comes along. The
 * whole tree is walked once, when a map names countries; after that a client's country costs nothing, it is in the ranges.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type CountryResponse, Reader } from 'mmdb-lib'
import type { ValuedPrefix } from './ranges.ts'

const V4_BITS = 32
const V6_BITS = 128

/** What a record of the database may look like: the free one is flat, others nest. */
type CountryRecord = CountryResponse & { country_code?: string }

/** Blocks of the countries named, with their values. @throws when the file cannot be read */
export function countryPrefixes(values: ReadonlyMap<string, number>, file?: string): ValuedPrefix[] {
  const path =
    file ??
    createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb')
  const bytes = readFileSync(path)
  const reader = new Reader<CountryRecord>(bytes)
  const { nodeCount, recordSize, ipVersion, searchTreeSize } = reader.metadata
  const child = childReader(bytes, recordSize)
  const decode = (reader as unknown as { decoder: { decodeFast(at: number): { value: CountryRecord } } }).decoder
  const known = new Map<number, number | undefined>()
  const valueAt = (pointer: number): number | undefined => {
    if (!known.has(pointer)) {
      const { value } = decode.decodeFast(pointer - nodeCount + searchTreeSize)
      known.set(pointer, values.get(value?.country_code ?? value?.country?.iso_code ?? ''))
    }
    return known.get(pointer)
  }
  const found: ValuedPrefix[] = []
  const path128 = new Uint32Array(4)
  const walk = (node: number, depth: number, isV6: boolean, most: number) => {
    if (node > nodeCount) {
      const value = valueAt(node)
      if (value === undefined) return
      const [a, b, c, d] = path128 as unknown as [number, number, number, number]
      found.push({ prefix: { address: { isV6, a, b, c, d }, length: depth }, value })
      return
    }
    if (node === nodeCount || depth >= most) return
    // The IPv4 addresses of an IPv6 tree lie under ::/96 and are walked by themselves.
    if (isV6 && depth === 96 && path128[0] === 0 && path128[1] === 0 && path128[2] === 0) return
    walk(child(node, 0), depth + 1, isV6, most)
    path128[depth >> 5]! |= 1 << (31 - (depth & 31))
    walk(child(node, 1), depth + 1, isV6, most)
    path128[depth >> 5]! &= ~(1 << (31 - (depth & 31)))
  }
  let v4 = 0
  if (ipVersion === 6) {
    for (let depth = 0; depth < 96 && v4 < nodeCount; depth++) v4 = child(v4, 0)
    walk(0, 0, true, V6_BITS)
  }
  walk(v4, 0, false, V4_BITS)
  return found
}

/** Reads the left (0) or right (1) record of a node. */
function childReader(bytes: Buffer, recordSize: number): (node: number, side: 0 | 1) => number {
  switch (recordSize) {
    case 24:
      return (node, side) => bytes.readUIntBE(node * 6 + side * 3, 3)
    case 28:
      return (node, side) =>
        side === 0
          ? ((bytes[node * 7 + 3]! & 0xf0) << 20) | bytes.readUIntBE(node * 7, 3)
          : ((bytes[node * 7 + 3]! & 0x0f) << 24) | bytes.readUIntBE(node * 7 + 4, 3)
    default:
      return (node, side) => bytes.readUInt32BE(node * 8 + side * 4)
  }
}
