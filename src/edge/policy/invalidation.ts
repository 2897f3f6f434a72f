/**
 * What the answer to an unsafe request invalidates (RFC 9111 §4.4): its target, and Location and Content-Location of the same
 * origin. A method that is not known to be safe counts as unsafe; a failed request changes nothing.
 */
import { firstValue } from '../http/fields.ts'
import type { Fields } from '../message.ts'

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
export const isSafe = (method: string): boolean => SAFE.has(method)

/**
 * The targets (path and query) on the same host whose stored responses are outdated now.
 *
 * @example invalidatedTargets('example.com', '/orders', 201, ['location', '/orders/7']) // ['/orders', '/orders/7']
 */
export function invalidatedTargets(authority: string, target: string, status: number, fields: Fields): string[] {
  if (status < 200 || status >= 400) return []
  const targets = [target]
  let base: URL
  try {
    base = new URL(target, `http://${authority}`)
  } catch {
    return targets
  }
  for (const name of ['location', 'content-location']) {
    const value = firstValue(fields, name)
    if (value === null) continue
    try {
      const located = new URL(value, base)
      // Another host must not be able to say what is stored for this one.
      const path = located.pathname + located.search
      if (located.host === base.host && !targets.includes(path)) targets.push(path)
    } catch {
      // Not a URL: nothing it could name.
    }
  }
  return targets
}
