/**
 * One property as it is answered: from a client's address to a site, and from the site to the addresses of its edges. What does not depend
 * on the client is worked out once for each health and load (`View`) and list of sites.
 */
import type { PropertyOfState } from '../state.ts'
import { type AddressWords, maskWord } from '../wire/addresses.ts'
import { type CompiledMap, lookUp } from './maps.ts'
import { BLOCK_BITS, edgesFor, placeOf, type SiteShare, siteFor, siteShares } from './rules.ts'

export interface RoutedEdge {
  /** Its number in the state. */
  number: number
  name: string
  site: number
  weight: number
  drained: boolean
  v4: Uint8Array[]
  v6: Uint8Array[]
}

/** Health and load at one moment; a new one has a new `epoch`. */
export interface View {
  epoch: number
  /** By the number of the edge. */
  up: ArrayLike<number>
  /** By the number of the site. */
  shed: ArrayLike<number>
}

/** What a look-up finds: one object is filled again and again. */
export interface Choice {
  site: number
  /** Leading bits of the client that it depends on. */
  scope: number
  /** Only for explaining. */
  order: number
}

/** How far what is answered had to be loosened: only what is well; also what is down; also what is drained. */
export type Looseness = 'well' | 'down' | 'drained'

export class Routed {
  readonly property: PropertyOfState
  readonly ttl: number
  readonly answers: number
  readonly map: CompiledMap | null
  readonly edges: readonly RoutedEdge[]
  readonly hasV4: boolean
  readonly hasV6: boolean
  readonly #sites: readonly number[]
  #view: View
  #shares: (readonly SiteShare[] | undefined)[] = []
  #edgesAt = new Map<number, readonly RoutedEdge[]>()
  #looseness: Looseness = 'well'

  constructor(
    property: PropertyOfState,
    settings: { ttl: number; answers: number },
    map: CompiledMap | null,
    edges: readonly RoutedEdge[],
    view: View,
  ) {
    this.property = property
    this.ttl = property.ttl ?? settings.ttl
    this.answers = property.answers ?? settings.answers
    this.map = map
    this.edges = edges
    this.hasV4 = edges.some(({ v4 }) => v4.length > 0)
    this.hasV6 = edges.some(({ v6 }) => v6.length > 0)
    this.#sites = [...new Set(edges.map(({ site }) => site))].sort((one, other) => one - other)
    this.#view = view
    this.#judge()
  }

  get epoch(): number {
    return this.#view.epoch
  }

  get looseness(): Looseness {
    return this.#looseness
  }

  look(view: View): void {
    if (view.epoch === this.#view.epoch) return
    this.#view = view
    this.#shares = []
    this.#edgesAt.clear()
    this.#judge()
  }

  /** If everything is down, everything is answered: a check may err, an answer without addresses is sure to fail. */
  #judge(): void {
    const { up } = this.#view
    this.#looseness = this.edges.some((edge) => up[edge.number] && !edge.drained)
      ? 'well'
      : this.edges.some(({ drained }) => !drained)
        ? 'down'
        : 'drained'
  }

  /** May this edge be answered as things are? */
  isUsable(edge: RoutedEdge): boolean {
    if (this.#looseness === 'drained') return true
    return !edge.drained && (this.#looseness === 'down' || this.#view.up[edge.number] === 1)
  }

  choose(client: AddressWords, into: Choice): void {
    if (this.map === null) {
      into.order = 0
      into.scope = 0
    } else lookUp(this.map, client, into)
    const shares = this.#shares[into.order] ?? this.sharesOf(into.order)
    if (shares.length === 1) {
      into.site = shares[0]!.site
      return
    }
    const bits = client.isV6 ? BLOCK_BITS.v6 : BLOCK_BITS.v4
    if (into.scope < bits) into.scope = bits
    const place = client.isV6
      ? placeOf(client.a, maskWord(client.b, bits - 32), true)
      : placeOf(maskWord(client.a, bits), 0, false)
    into.site = shares[siteFor(shares, place)]!.site
  }

  /** Sites and shares for one list of sites of the map. */
  sharesOf(order: number): readonly SiteShare[] {
    const known = this.#shares[order]
    if (known) return known
    const listed = this.map?.orders[order] ?? []
    const preference = [...listed, ...this.#sites.filter((site) => !listed.includes(site))]
    const shares = siteShares(preference, (site) => ({
      usable: this.edges.some((edge) => edge.site === site && this.isUsable(edge)),
      shed: this.#view.shed[site] ?? 0,
    }))
    this.#shares[order] = shares
    return shares
  }

  /** The edges that hold the property at a site, best first. */
  edgesAt(site: number): readonly RoutedEdge[] {
    let edges = this.#edgesAt.get(site)
    if (edges === undefined) {
      const usable = this.edges.filter((edge) => edge.site === site && this.isUsable(edge))
      edges = edgesFor(this.property.name, usable, this.answers)
      this.#edgesAt.set(site, edges)
    }
    return edges
  }
}
