/** What differs between two configurations, place by place: what people read before they activate one. */

export interface Difference {
  /** Such as `rules[2].caching.ttl`. */
  at: string
  /** Absent: it was not there. */
  before?: unknown
  /** Absent: it is not there any more. */
  after?: unknown
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function differences(before: unknown, after: unknown, at = ''): Difference[] {
  if (Object.is(before, after)) return []
  if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length)
    return Array.from({ length }, (_, index) => differences(before[index], after[index], `${at}[${index}]`)).flat()
  }
  if (isPlain(before) && isPlain(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return names.flatMap((name) => differences(before[name], after[name], at === '' ? name : `${at}.${name}`))
  }
  return [{ at, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }]
}
