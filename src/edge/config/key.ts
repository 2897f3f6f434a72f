/**
 * The cache key: host and target, with the parts of the query that count, then the request's headers and cookies that the
 * property names. The first line is what a purge by URL goes by, so extras stand after a line break (`KEY_EXTRAS`).
 */
import type { Fields } from '../message.ts'
import { KEY_EXTRAS } from '../store/purges.ts'
import { globOf } from './match.ts'
import type { KeyConfig } from './schema.ts'
import { cookieOf, fieldOf, parametersOf } from './target.ts'

export interface KeyRule {
  /** The first line of the key. */
  base(host: string, scheme: 'http' | 'https', target: string): string
  /** The other lines, each with its line break; empty when only host and target count. */
  extras(fields: Fields): string
  readonly looksAtFields: boolean
  /** The key is the host and the target as they are. */
  readonly isTrivial: boolean
}

/** `drop` always holds what the edge itself put into the query (a signature). */
export function keyRule(config: KeyConfig | undefined, drop: readonly string[]): KeyRule {
  const { query = 'all', sort = false, headers = [], cookies = [], host, scheme = false } = config ?? {}
  const names = typeof query === 'string' ? [] : 'keep' in query ? query.keep : query.drop
  const globs = names.map(globOf)
  const listed = (name: string) => globs.some((glob) => glob(name) !== null)
  const counts = (name: string): boolean => {
    if (drop.includes(name)) return false
    if (typeof query === 'string') return query === 'all'
    return 'keep' in query ? listed(name) : !listed(name)
  }
  const isPlain = query === 'all' && !sort && drop.length === 0
  const fieldNames = headers.map((name) => name.toLowerCase())

  const queryOf = (text: string): string => {
    const kept = parametersOf(text).filter(({ name }) => counts(name))
    // Sorting is stable: several of one name keep their order, which often has a meaning.
    if (sort) kept.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    return kept.length === 0 ? '' : `?${kept.map(({ raw }) => raw).join('&')}`
  }

  return {
    looksAtFields: fieldNames.length > 0 || cookies.length > 0,
    isTrivial: isPlain && host === undefined && !scheme && fieldNames.length === 0 && cookies.length === 0,
    base(requestHost, requestScheme, target) {
      const start = `${scheme && requestScheme === 'https' ? 'https://' : ''}${host ?? requestHost}`
      const mark = isPlain ? -1 : target.indexOf('?')
      return mark < 0 ? start + target : start + target.slice(0, mark) + queryOf(target.slice(mark))
    },
    extras(fields) {
      let text = ''
      for (const name of fieldNames) text += `${KEY_EXTRAS}${name}: ${fieldOf(fields, name) ?? ''}`
      for (const name of cookies) text += `${KEY_EXTRAS}cookie ${name}=${cookieOf(fields, name) ?? ''}`
      return text
    },
  }
}
