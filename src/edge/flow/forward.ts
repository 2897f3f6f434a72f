/**
 * The request as it goes on to an origin: without what concerns the client's hop only, with Via, CDN-Loop and who asked
 * (RFC 9110 §7.6), and with the changes that the property wants.
 */
import { applyChanges, combinedValue, endToEnd, firstValue } from '../http/fields.ts'
import type { EdgeRequest, Fields, ServePlan } from '../message.ts'
import { canonicalAcceptEncoding } from '../policy/vary.ts'

/** Made anew for each hop, so a client's are never sent on. */
const REPLACED = new Set(['host', 'expect', 'via', 'x-forwarded-for', 'x-forwarded-proto', 'cdn-loop', 'max-forwards'])

/**
 * `fields` are the client's, possibly with its conditions taken out. `forStoring` asks in normal form for what Vary may
 * choose by, so that one answer serves all who ask alike.
 */
export function forwarded(
  request: EdgeRequest,
  fields: Fields,
  plan: ServePlan,
  edge: string,
  forStoring: boolean,
): Fields {
  const kept = endToEnd(fields)
  const sent: string[] = ['host', plan.originHost ?? request.authority]
  for (let i = 0; i < kept.length; i += 2) {
    const name = kept[i]!
    if (REPLACED.has(name)) continue
    if (forStoring && name === 'accept-encoding') continue
    sent.push(name, kept[i + 1]!)
  }
  if (forStoring) {
    const encodings = combinedValue(fields, 'accept-encoding')
    const canonical = encodings === null ? '' : canonicalAcceptEncoding(encodings)
    if (canonical !== '') sent.push('accept-encoding', canonical)
  }
  const via = combinedValue(fields, 'via')
  const own = `${request.version === '2' ? '2' : request.version} ${edge}`
  sent.push('via', via === null ? own : `${via}, ${own}`)
  const before = combinedValue(fields, 'x-forwarded-for')
  sent.push('x-forwarded-for', before === null ? request.client.address : `${before}, ${request.client.address}`)
  sent.push('x-forwarded-proto', request.scheme)
  const loop = combinedValue(fields, 'cdn-loop')
  sent.push('cdn-loop', loop === null ? edge : `${loop}, ${edge}`)
  return applyChanges(sent, plan.requestChanges)
}

/** Content-Length of a request with a body; null: unknown. */
export function announcedBytes(fields: Fields): number | null {
  const value = firstValue(fields, 'content-length')
  return value !== null && /^\d{1,15}$/.test(value) ? Number(value) : null
}
