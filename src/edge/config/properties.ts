/**
 * The table of properties by host: an exact name first, then the longest wildcard (`*.img.shop.example` before
 * `*.shop.example`), then `*`. A look-up takes as many steps as the name has labels, however many properties there are.
 */
import type { EdgeRequest, Properties, Property } from '../message.ts'
import type { CompiledProperty } from './compile.ts'

/** Bound properties kept for names that only a wildcard covers; clients choose those names, so there is a bound. */
const WILDCARD_NAMES = 10_000

type Scheme = EdgeRequest['scheme']

interface Bound {
  readonly compiled: CompiledProperty
  readonly http: Property
  readonly https: Property
  readonly any: Property
}

const boundTo = (property: CompiledProperty, host: string): Bound => ({
  compiled: property,
  http: property.bind(host, 'http'),
  https: property.bind(host, 'https'),
  any: property.bind(host, null),
})

export class PropertyTable implements Properties {
  readonly #exact = new Map<string, Bound>()
  readonly #wild = new Map<string, CompiledProperty>()
  readonly #recent = new Map<string, Bound>()
  readonly all: readonly CompiledProperty[]

  /** Hosts must be distinct; the reader of the configuration has checked that. */
  constructor(properties: readonly CompiledProperty[]) {
    this.all = properties
    for (const property of properties)
      for (const host of property.hosts)
        if (host.startsWith('*')) this.#wild.set(host.slice(1), property)
        else this.#exact.set(host, boundTo(property, host))
  }

  find(host: string, scheme?: Scheme): Property | null {
    const bound = this.#exact.get(host) ?? this.#recent.get(host) ?? this.#findWild(host)
    if (bound === null) return null
    return scheme === undefined ? bound.any : bound[scheme]
  }

  /** The compiled property of a host, for purge and explain. */
  compiled(host: string): CompiledProperty | null {
    return this.#exact.get(host)?.compiled ?? this.#wildOf(host)
  }

  #findWild(host: string): Bound | null {
    if (this.#wild.size === 0) return null
    const property = this.#wildOf(host)
    if (property === null) return null
    const bound = boundTo(property, host)
    if (this.#recent.size >= WILDCARD_NAMES) this.#recent.delete(this.#recent.keys().next().value!)
    this.#recent.set(host, bound)
    return bound
  }

  #wildOf(host: string): CompiledProperty | null {
    for (let at = host.indexOf('.'); at >= 0; at = host.indexOf('.', at + 1)) {
      const found = this.#wild.get(host.slice(at))
      if (found !== undefined) return found
    }
    return this.#wild.get('') ?? null
  }
}
