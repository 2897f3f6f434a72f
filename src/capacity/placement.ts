/**
 * Affinity and anti-affinity: where a claim may stand to others, by site, fault domain (what fails together, such as a
 * row on one power feed) or container. The others are the party's own claims that overlap in time, or claims named. A
 * container without a fault domain is one of its own. Lines of one pool in the same claim keep apart too.
 *
 * It is decided under a lock of the party, so that two claims of one party at once see each other.
 */
import { CapacityExhausted } from '../core/errors.ts'
import { type Interval, toEpochSeconds } from '../core/time.ts'
import type { Sql } from '../database/connection.ts'
import type { ClaimLine, Placement } from './model.ts'
import type { Registry } from './registry.ts'
import type { Container } from './slots.ts'

/** Where a claim's rules let its lines stand. */
export interface Places {
  /** @throws CapacityExhausted when a site is ruled out */
  checkSites(registry: Registry, lines: readonly ClaimLine[]): void
  /** Whether a container may be used, given those that the claim already uses in the same pool. */
  allows(container: Container, siteId: number | null, own: readonly Container[]): boolean
}

export interface PlacementWishes {
  affinity?: Placement
  antiAffinity?: Placement
}

export const hasPlacement = (wishes: PlacementWishes | null | undefined): boolean =>
  wishes?.affinity !== undefined || wishes?.antiAffinity !== undefined

interface Other {
  siteId: number
  containerId: number | null
  faultDomain: string | null
}

/** Finds where the others stand; run it in the transaction of the decision. */
export async function findPlaces(
  sql: Sql,
  claimId: string,
  partyId: string,
  interval: Interval,
  wishes: PlacementWishes,
): Promise<Places> {
  await sql.query(`select pg_advisory_xact_lock(hashtextextended('capacity-placement ' || $1, 0))`, [partyId])
  const others = async (placement: Placement | undefined): Promise<Other[]> =>
    placement === undefined
      ? []
      : sql.query<Other>(
          `select distinct p.site_id as "siteId", t.id as "containerId", t.fault_domain as "faultDomain"
           from claim c join reservation r on r.claim_id = c.id join pool p on p.id = r.pool_id and p.party_id is null
             left join assignment a on a.claim_id = r.claim_id and a.part = r.part left join container t on t.id = a.container_id
           where c.id <> $1 and case when $3::uuid[] is null then c.party_id = $2 else c.id = any($3) end
             and c.state in ('active', 'held') and r.starts_at < to_timestamp($5) and r.ends_at > to_timestamp($4)
             and r.starts_at < r.ends_at`,
          [claimId, partyId, placement.claims ?? null, toEpochSeconds(interval.from), toEpochSeconds(interval.to)],
        )
  return placesOf(wishes, await others(wishes.affinity), await others(wishes.antiAffinity))
}

const keyOf = (
  scope: Placement['scope'],
  siteId: number | null,
  container: { id: number; faultDomain: string | null },
) =>
  scope === 'container' || container.faultDomain === null
    ? `container ${container.id}`
    : `${siteId} ${container.faultDomain}`

/** The rules as functions. Pure. */
export function placesOf(wishes: PlacementWishes, near: readonly Other[], far: readonly Other[]): Places {
  const { affinity, antiAffinity } = wishes
  const keys = (others: readonly Other[], scope: Placement['scope']) =>
    new Set(
      others.flatMap(({ siteId, containerId, faultDomain }) =>
        containerId === null ? [] : [keyOf(scope, siteId, { id: containerId, faultDomain })],
      ),
    )
  const wanted = affinity && affinity.scope !== 'site' ? keys(near, affinity.scope) : new Set<string>()
  const shunned = antiAffinity && antiAffinity.scope !== 'site' ? keys(far, antiAffinity.scope) : new Set<string>()
  return {
    checkSites(registry, lines) {
      for (const { siteId } of lines) {
        const refuse = (why: string) => {
          throw new CapacityExhausted(`${registry.siteName(siteId)} is ruled out: ${why}.`, {
            site: registry.siteName(siteId),
          })
        }
        if (antiAffinity?.scope === 'site' && far.some((other) => other.siteId === siteId))
          refuse('anti-affinity keeps the claim away from others there')
        if (affinity?.scope === 'site' && near.length > 0 && !near.some((other) => other.siteId === siteId))
          refuse('affinity keeps the claim with others elsewhere')
      }
    },
    allows(container, siteId, own) {
      if (wanted.size > 0 && !wanted.has(keyOf(affinity!.scope, siteId, container))) return false
      if (!antiAffinity || antiAffinity.scope === 'site') return true
      const key = keyOf(antiAffinity.scope, siteId, container)
      return !shunned.has(key) && !own.some((other) => keyOf(antiAffinity.scope, siteId, other) === key)
    },
  }
}
