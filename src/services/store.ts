/** Services read from SQL, and the reservation rows under them. */

import type { ReservedTime } from '../catalogue/rating.ts'
import type { Sql } from '../database/connection.ts'
import type { ListFilter } from '../orders/store.ts'
import type { Service } from './model.ts'

const SERVICE = `
  select s.id, s.name, s.party_id as "partyId", p.name as "partyName", s.contract_id as "contractId",
    c.number as "contractNumber", f.code as offering, f.name as "offeringName", s.family, s.config, s.claim_id as "claimId",
    s.price_plan_ids as "planIds", s.state, s.starts_at as "startsAt", s.ends_at as "endsAt",
    s.minimum_term_until as "minimumTermUntil", s.version, s.created_at as "createdAt"
  from service s join party p on p.id = s.party_id join contract c on c.id = s.contract_id
    join offering f on f.id = s.offering_id`

/** One service by id; null when there is none to see. */
export async function findService(sql: Sql, id: string): Promise<Service | null> {
  const [service] = await sql.query<Service>(`${SERVICE} where s.id = $1`, [id], 'find-service')
  return service ?? null
}

export interface ServiceFilter extends ListFilter {
  family: string | null
  contractId: string | null
}

/** A page of services, newest first. */
export const listServices = (sql: Sql, filter: ServiceFilter): Promise<Service[]> =>
  sql.query<Service>(
    `${SERVICE} where ($1::uuid is null or s.id < $1) and ($2::uuid is null or s.party_id = $2)
       and ($3::text is null or s.state = $3) and ($4::text is null or s.family = $4)
       and ($5::uuid is null or s.contract_id = $5)
       and ($6::text is null or s.name ilike $6 or c.number ilike $6 or p.name ilike $6 or f.name ilike $6)
     order by s.id desc limit $7`,
    [filter.before, filter.partyId, filter.state, filter.family, filter.contractId, filter.like, filter.limit],
  )

/** What a service has reserved, as rating reads it: its own pools only, a standby by the site it protects. */
export const reservedTime = (sql: Sql, claimId: string): Promise<ReservedTime[]> =>
  sql.query<ReservedTime>(
    `select p.kind, case when r.protects_site_id is null then 'firm' else 'standby' end as reservation,
       r.quantity::float8 as quantity, r.starts_at as "from", r.ends_at as "to"
     from reservation r join pool p on p.id = r.pool_id
     where r.claim_id = $1 and r.type in ('firm', 'standby') order by r.part`,
    [claimId],
  )
