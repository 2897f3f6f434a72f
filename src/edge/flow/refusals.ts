/** The edge's own error answers: short, plain, never cached, and replaceable by a property's error page. */
import type { OriginFault } from '../message.ts'
import type { CacheStatus } from '../policy/cache-status.ts'
import type { Exchange } from './exchange.ts'

const TEXTS: Record<number, string> = {
  421: 'This edge serves no property of that name.',
  502: 'The origin did not give a whole answer.',
  503: 'The origin cannot take more requests now.',
  504: 'The origin did not answer in time, or only stored answers were wanted and none is there.',
  508: 'This request has passed this edge before.',
}

export function refuse(exchange: Exchange, status: number, cache: CacheStatus): void {
  if (exchange.headSent) {
    exchange.abort()
    return
  }
  const page = exchange.plan?.errorPages.get(status)
  const body = Buffer.from(page?.body ?? `${TEXTS[status] ?? 'This request cannot be served.'}\n`)
  const fields = page?.fields ?? ['content-type', 'text/plain; charset=utf-8']
  exchange.answer(page?.status ?? status, [...fields, 'cache-control', 'no-store'], body, 'error', cache)
}

/** The status that tells of a fault at the origin (RFC 9110 §15.6.3 to §15.6.5). */
export function statusOf(fault: OriginFault): number {
  if (fault.phase === 'limit') return 503
  return fault.timedOut ? 504 : 502
}
