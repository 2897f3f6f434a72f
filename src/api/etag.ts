/**
 * Optimistic concurrency over HTTP (RFC 9110 section 13.1.1): what can change carries a `version`, shown as its entity
 * tag; a change that names a version in `If-Match` is refused with 412 when the thing has moved on. PATCH must name one
 * (428, RFC 6585 section 3).
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BadInput, Refusal } from '../core/errors.ts'

/** Shows the version of what is answered. */
export const tag = (reply: FastifyReply, version: number): void => {
  reply.header('etag', `"${version}"`)
}

/** The version in `If-Match`; null when the header is missing or `*`. */
export function ifMatchVersion(request: FastifyRequest): number | null {
  const header = request.headers['if-match']
  if (header === undefined || header === '*') return null
  const match = /^(?:W\/)?"(\d{1,9})"$/.exec(header)
  if (!match)
    throw new BadInput(
      '/header/if-match',
      `${JSON.stringify(header.slice(0, 80))} is not an entity tag of this API`,
      'the ETag that came with the thing, such as "3", or *',
    )
  return Number(match[1])
}

/** Refuses a PATCH that does not say which version it changes. */
export function requireIfMatch(request: FastifyRequest): void {
  if (request.headers['if-match'] === undefined)
    throw new Refusal(
      'version-needed',
      428,
      'Say which version you change: send the ETag that came with it as If-Match (or * for whichever it is now).',
      [{ at: '/header/if-match', problem: 'is missing', expected: 'an entity tag such as "3", or *' }],
    )
}
