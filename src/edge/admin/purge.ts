/** What `POST /purge` takes: one selector, checked, and its URL turned into the cache key that its property makes of it. */
import { BadInput, NotFound } from '../../core/errors.ts'
import type { PropertyTable } from '../config/properties.ts'
import type { PurgeSelector } from '../message.ts'
import { baseOfUrl } from '../store/purges.ts'

/** The kinds of selector and what may stand beside each. */
const KINDS = {
  url: ['url'],
  tag: ['tag', 'property'],
  group: ['group', 'origin'],
  prefix: ['prefix', 'property'],
  property: ['property'],
  all: ['all'],
} as const
const TEXT_LENGTH = 8_192

const EXPECTED =
  'one of {"url": …}, {"tag": …}, {"tag": …, "property": …}, {"group": …, "origin": …}, {"prefix": …}, {"property": …}, {"all": true}, each with "soft": true if wanted'

/**
 * `strict`: a property or host that the configuration does not have is told of; otherwise it is purged all the same, since
 * what it had may still be stored. @throws BadInput, NotFound
 */
export function purgeOf(body: unknown, table: PropertyTable, strict = true): PurgeSelector {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new BadInput('body', 'it is no object', EXPECTED)
  const given = body as Record<string, unknown>
  const kind = (Object.keys(KINDS) as (keyof typeof KINDS)[]).find((each) => given[each] !== undefined)
  if (kind === undefined) throw new BadInput('body', 'it does not say what to purge', EXPECTED)
  for (const [name, value] of Object.entries(given)) {
    if (name === 'soft' ? typeof value !== 'boolean' : false) throw new BadInput(name, 'it is wrong', 'true or false')
    if (name === 'soft') continue
    if (!(KINDS[kind] as readonly string[]).includes(name))
      throw new BadInput(name, `it does not go with ${kind}`, EXPECTED)
    if (name === 'all' ? value !== true : typeof value !== 'string' || value === '' || value.length > TEXT_LENGTH)
      throw new BadInput(name, 'it is wrong', name === 'all' ? 'true' : 'text')
  }
  const text = given as Record<string, string>
  const soft = given.soft === true
  if (strict && text.property !== undefined && !table.all.some(({ name }) => name === text.property))
    throw new NotFound('property', text.property)
  switch (kind) {
    case 'url':
      return { url: keyOf(text.url!, table, strict), soft }
    case 'group':
      if (text.origin === undefined) throw new BadInput('origin', 'it is missing', 'the host that the group belongs to')
      return { group: text.group!, origin: text.origin.replace(/^https?:\/\//, ''), soft }
    case 'tag':
      return { tag: text.tag!, ...(text.property === undefined ? {} : { property: text.property }), soft }
    case 'prefix':
      return {
        prefix: baseOfUrl(text.prefix!),
        ...(text.property === undefined ? {} : { property: text.property }),
        soft,
      }
    case 'property':
      return { property: text.property!, soft }
    case 'all':
      return { all: true, soft }
  }
}

/** The first line of the cache key of a URL. */
function keyOf(url: string, table: PropertyTable, strict: boolean): string {
  const base = baseOfUrl(url)
  const slash = base.indexOf('/')
  const host = base.slice(0, slash)
  const property = table.compiled(host)
  if (property === null) {
    if (strict) throw new NotFound('property for the host', host)
    return base
  }
  return property.keyBase(host, /^https:/i.test(url) ? 'https' : 'http', base.slice(slash))
}
