/**
 * How the front says no by itself: a short text and, but for `OPTIONS *`, the end of the connection, since after a request
 * that could not be read the next bytes could be anything (RFC 9112 §9.6). Nothing of the request is echoed.
 */
import { STATUS_CODES } from 'node:http'
import type { Fields } from '../message.ts'
import type { Refused } from './strict.ts'

const NO_BODY = Buffer.alloc(0)

/** The text of a refusal; none for 204. */
export function refusalBody(refused: Refused): Buffer {
  return refused.status === 204
    ? NO_BODY
    : Buffer.from(`${refused.status} ${STATUS_CODES[refused.status]}: ${refused.reason}\n`)
}

/** The fields of a refusal, framing included, Connection left out. */
export function refusalFields(refused: Refused, bodyBytes: number, now = Date.now()): Fields {
  const fields = ['date', new Date(now).toUTCString(), ...refused.fields]
  if (refused.status !== 204)
    fields.push(
      'content-type',
      'text/plain; charset=utf-8',
      'cache-control',
      'no-store',
      'content-length',
      String(bodyBytes),
    )
  return fields
}

/** A whole refusal for a connection that has no ServerResponse. */
export function refusalBytes(refused: Refused): Buffer {
  const body = refusalBody(refused)
  const fields = refusalFields(refused, body.length)
  let head = `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status]}\r\n`
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
  return Buffer.concat([Buffer.from(`${head}connection: close\r\n\r\n`, 'latin1'), body])
}
