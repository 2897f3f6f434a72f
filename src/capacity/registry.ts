/**
 * What a process knows of sites, kinds, pools and quotas: the small, seldom-changed part, read whole. Whoever changes it
 * raises `reload_version` of every pool it concerns, so no process can write against what it no longer is.
 */
import { NotFound } from '../core/errors.ts'
import type { Sql } from '../database/connection.ts'

export interface SiteEntry {
  id: number
  code: string
  name: string
  timeZone: string
  coveredFailures: number
}

export interface PoolEntry {
  id: number
  /** Null for a quota that holds over all sites. */
  siteId: number | null
  kind: string
  unit: string
  identified: boolean
  /** The party whose quota this is; null for a pool of capacity. */
  partyId: string | null
  oversubscriptionThousandths: number
}

export class Registry {
  /** Rises whenever it is read anew: what was worked out from it before may no longer hold. */
  generation = 0
  sites = new Map<number, SiteEntry>()
  pools = new Map<number, PoolEntry>()
  /** Sites in a fail-over, drilled or real. */
  active = new Set<number>()
  /** Sites that have really failed. */
  failed = new Set<number>()
  #siteByCode = new Map<string, SiteEntry>()
  #bySiteAndKind = new Map<string, PoolEntry>()
  #quotas = new Map<string, PoolEntry[]>()
  #ancestors = new Map<string, string[]>()

  /** Reads everything anew. */
  async refresh(sql: Sql): Promise<void> {
    const sites = await sql.query<SiteEntry>(
      `select id, code, name, time_zone as "timeZone", covered_failures as "coveredFailures" from site`,
    )
    const pools = await sql.query<PoolEntry>(
      `select p.id, p.site_id as "siteId", p.kind, k.unit, k.identified, p.party_id as "partyId",
         (p.oversubscription * 1000)::integer as "oversubscriptionThousandths"
       from pool p join resource_kind k on k.code = p.kind where p.retired_at is null`,
    )
    const failOvers = await sql.query<{ siteId: number; mode: string }>(
      `select site_id as "siteId", mode from fail_over where state = 'active'`,
    )
    this.generation++
    this.sites = new Map(sites.map((site) => [site.id, site]))
    this.#siteByCode = new Map(sites.map((site) => [site.code, site]))
    this.pools = new Map(pools.map((pool) => [pool.id, pool]))
    this.active = new Set(failOvers.map(({ siteId }) => siteId))
    this.failed = new Set(failOvers.filter(({ mode }) => mode === 'real').map(({ siteId }) => siteId))
    this.#bySiteAndKind.clear()
    this.#quotas.clear()
    for (const pool of pools) {
      if (pool.partyId === null) this.#bySiteAndKind.set(`${pool.siteId}/${pool.kind}`, pool)
      else this.#quotas.set(pool.partyId, [...(this.#quotas.get(pool.partyId) ?? []), pool])
    }
  }

  siteByCode(code: string): SiteEntry | undefined {
    return this.#siteByCode.get(code)
  }

  /** The pool of a kind at a site. */
  pool(siteId: number, kind: string): PoolEntry | undefined {
    return this.#bySiteAndKind.get(`${siteId}/${kind}`)
  }

  /** Whether any party has a quota: else none need be looked for. */
  get hasQuotas(): boolean {
    return this.#quotas.size > 0
  }

  knowsParty(id: string): boolean {
    return this.#ancestors.has(id)
  }

  /** Reads the parties above those that are not known yet; those that do not exist stay unknown. */
  async learnParties(sql: Sql, partyIds: Iterable<string>): Promise<void> {
    const unknown = [...new Set(partyIds)].filter((id) => !this.#ancestors.has(id))
    if (unknown.length === 0) return
    const rows = await sql.query<{ id: string; ancestors: string[] }>(
      'select id, ancestors from party where id = any($1)',
      [unknown],
    )
    for (const { id, ancestors } of rows) this.#ancestors.set(id, ancestors)
  }

  /** The quotas that a claim of a party counts in, for a kind at a site: its own and those of every party above. */
  quotas(partyId: string, siteId: number, kind: string): PoolEntry[] {
    if (this.#quotas.size === 0) return []
    const ancestors = this.#ancestors.get(partyId)
    if (!ancestors) throw new NotFound('party', partyId)
    return ancestors.flatMap((id) =>
      (this.#quotas.get(id) ?? []).filter(
        (quota) => quota.kind === kind && (quota.siteId === null || quota.siteId === siteId),
      ),
    )
  }

  siteName(id: number | null): string {
    return id === null ? 'all sites' : (this.sites.get(id)?.name ?? `site ${id}`)
  }
}
