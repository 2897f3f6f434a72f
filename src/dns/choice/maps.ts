/** The maps of a state, compiled: plain data over shared memory, made once and read by every worker. */
import type { ClientMap, DnsState } from '../state.ts'
import { type AddressWords, readPrefix } from '../wire/addresses.ts'
import { countryPrefixes } from './countries.ts'
import { compileRanges, findRange, type Ranges, scopeOf, UNSET, type ValuedPrefix } from './ranges.ts'

/** Lists of sites that differ, in one map. */
const ORDERS = UNSET

export interface CompiledMap {
  name: string
  v4: Ranges
  v6: Ranges
  /** What the values of the ranges stand for: sites by their number in the state, the preferred one first. */
  orders: number[][]
}

export type TellMapFault = (path: (string | number)[], problem: string, expected: string) => void

/** Checks what the schema cannot: prefixes that are none, sites that are not there. */
export function compileMaps(
  { maps = [], sites = [] }: Pick<DnsState, 'maps' | 'sites'>,
  tell: TellMapFault,
  options: { countriesFile?: string } = {},
): CompiledMap[] {
  const siteNumbers = new Map(sites.map(({ name }, at) => [name, at]))
  return maps.map((map, at) => compileMap(map, ['maps', at], siteNumbers, tell, options))
}

function compileMap(
  map: ClientMap,
  path: (string | number)[],
  siteNumbers: ReadonlyMap<string, number>,
  tell: TellMapFault,
  { countriesFile }: { countriesFile?: string },
): CompiledMap {
  const orders: number[][] = []
  const known = new Map<string, number>()
  const orderOf = (names: readonly string[], where: string | number, entry?: string): number => {
    const key = names.join(' ')
    const found = known.get(key)
    if (found !== undefined) return found
    const numbers: number[] = []
    for (const name of names) {
      const number = siteNumbers.get(name)
      const at = [...path, where, ...(entry === undefined ? [] : [entry])]
      if (number === undefined)
        tell(
          at,
          `there is no site ${name}`,
          `one of ${[...siteNumbers.keys()].slice(0, 20).join(', ') || 'the sites (none is given)'}`,
        )
      else if (numbers.includes(number)) tell(at, `${name} stands here twice`, 'each site once')
      else numbers.push(number)
    }
    if (orders.length >= ORDERS) {
      tell(path, 'there are too many different lists of sites', `at most ${ORDERS}`)
      return 0
    }
    known.set(key, orders.length)
    return orders.push(numbers) - 1
  }
  const everything = orderOf(map.default, 'default')
  const values = new Map(
    Object.entries(map.countries ?? {}).map(([country, names]) => [country, orderOf(names, 'countries', country)]),
  )
  const blocks = values.size > 0 ? countryPrefixes(values, countriesFile) : []
  const own: ValuedPrefix[] = []
  for (const text in map.prefixes) {
    const prefix = readPrefix(text)
    if (prefix === null)
      tell(
        [...path, 'prefixes', text],
        `${text} is no prefix`,
        'one such as 203.0.113.0/24, with nothing set beyond its length',
      )
    else own.push({ prefix, value: orderOf(map.prefixes[text]!, 'prefixes', text) })
  }
  // A list shorter than all sites goes on with the default's, for when all it names are down.
  const fallback = orders[everything]!
  for (const order of orders) order.push(...fallback.filter((site) => !order.includes(site)))
  return {
    name: map.name,
    orders,
    v4: compileRanges([blocks, own], false, everything),
    v6: compileRanges([blocks, own], true, everything),
  }
}

/** The number of the list of sites for a client, and the scope of that answer. */
export function lookUp(map: CompiledMap, address: AddressWords, into: { order: number; scope: number }): void {
  const ranges = address.isV6 ? map.v6 : map.v4
  const range = findRange(ranges, address)
  into.order = ranges.values[range]!
  into.scope = scopeOf(ranges, range, address)
}
