/**
 * Content codings that the edge applies (RFC 9110 §8.4): a text that an origin sends plain goes out, and is stored, compressed
 * for those who take it. Each coding is a variant of its own under Vary: Accept-Encoding. A strong entity tag becomes weak,
 * since the bytes are not the origin's any more (§8.8.3.3), and no-transform forbids it all (RFC 9111 §5.2.2.6).
 */
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib'
import { combinedValue, firstValue, hasField, listOf, without } from '../http/fields.ts'
import type { ContentCoding, Fields } from '../message.ts'

/** Shorter bodies gain nothing. */
const MIN_BYTES = 256

const COMPRESSIBLE =
  /^(?:text\/(?!event-stream)|application\/(?:json|javascript|ecmascript|xml|wasm|manifest\+json|vnd\.ms-fontobject|x-javascript)|image\/(?:svg\+xml|bmp|x-icon)|font\/(?:ttf|otf)|[^;]+\+(?:json|xml))/i

/** Levels at which a core still compresses tens of megabytes a second. */
const BROTLI_QUALITY = 4
const GZIP_LEVEL = 5
const ZSTD_LEVEL = 3

/** The coding for a client: the one of most weight to it among those offered; of equal weight the first offered. */
export function chosenCoding(acceptEncoding: string | null, offered: readonly ContentCoding[]): ContentCoding | null {
  if (acceptEncoding === null) return null
  const weights = new Map<string, number>()
  for (const member of acceptEncoding.toLowerCase().split(',')) {
    const match = /^\s*([^\s;]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?)\s*)?$/.exec(member)
    if (match) weights.set(match[1]!, match[2] === undefined ? 1 : Number(match[2]))
  }
  let best: ContentCoding | null = null
  let bestWeight = 0
  for (const coding of offered) {
    const weight = weights.get(coding) ?? weights.get('*') ?? 0
    if (weight > bestWeight) {
      best = coding
      bestWeight = weight
    }
  }
  return best
}

/** The client's fields with Accept-Encoding cut down to the one coding that it would get. */
export function withChosenCoding(fields: Fields, offered: readonly ContentCoding[]): Fields {
  const coding = chosenCoding(combinedValue(fields, 'accept-encoding'), offered)
  const rest = without(fields, ['accept-encoding'])
  if (coding !== null) rest.push('accept-encoding', coding)
  return rest
}

/** May this answer be compressed on its way? */
export function isCompressible(status: number, fields: Fields, bodyBytes: number | null): boolean {
  return (
    status === 200 &&
    (bodyBytes === null || bodyBytes >= MIN_BYTES) &&
    !hasField(fields, 'content-encoding') &&
    !hasField(fields, 'content-range') &&
    COMPRESSIBLE.test(firstValue(fields, 'content-type') ?? '') &&
    !listOf(fields, 'cache-control').some((directive) => directive.toLowerCase() === 'no-transform')
  )
}

/** What may be compressed varies by Accept-Encoding even where a client takes no coding. */
export function varyingByCoding(fields: Fields): Fields {
  const names = listOf(fields, 'vary').map((name) => name.toLowerCase())
  return names.includes('*') || names.includes('accept-encoding') ? fields : [...fields, 'vary', 'Accept-Encoding']
}

/** The fields of an answer that the edge compresses, or of the 304 that confirms one. `coding` null: a 304. */
export function codedFields(fields: Fields, coding: ContentCoding | null): Fields {
  const coded: string[] = []
  const varying = varyingByCoding(fields)
  for (let i = 0; i < varying.length; i += 2) {
    const name = varying[i]!
    const value = varying[i + 1]!
    if (name === 'content-md5' || name === 'content-digest' || name === 'accept-ranges') continue
    coded.push(name, name === 'etag' && !value.startsWith('W/') ? `W/${value}` : value)
  }
  if (coding !== null) coded.push('content-encoding', coding)
  return coded
}

/** Compresses a body as it comes; what it makes goes to `emit`, and `done` is called after the last of it. */
export class Coder {
  readonly #stream

  constructor(coding: ContentCoding, bodyBytes: number | null, emit: (chunk: Buffer) => void, done: () => void) {
    this.#stream =
      coding === 'gzip'
        ? createGzip({ level: GZIP_LEVEL })
        : coding === 'zstd'
          ? createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } })
          : createBrotliCompress({
              params: {
                [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
                [constants.BROTLI_PARAM_SIZE_HINT]: bodyBytes ?? 0,
              },
            })
    this.#stream.on('data', emit)
    this.#stream.on('end', done)
  }

  /** False: call `whenReady` and hold the origin until it calls back. */
  write(chunk: Buffer): boolean {
    return this.#stream.write(chunk)
  }
  whenReady(callback: () => void): void {
    this.#stream.once('drain', callback)
  }
  end(): void {
    this.#stream.end()
  }
  destroy(): void {
    this.#stream.destroy()
  }
}
