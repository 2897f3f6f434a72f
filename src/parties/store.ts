/** Parties in SQL. Reads go through the tenant's view; writes run as the owner after the caller has checked the right. */
import type { Sql } from '../database/connection.ts'
import type { Party } from './model.ts'

export const PARTY_COLUMNS = `p.id, p.kind, p.code, p.name, p.parent_id as "parentId", parent.name as "parentName", p.ancestors,
  p.currency, p.locale, p.time_zone as "timeZone", p.email, p.address, p.tax_registration as "taxRegistration",
  p.fiscal_year_start_month as "fiscalYearStartMonth", p.status, p.version, p.created_at as "createdAt"`

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** One party by id or code, as far as `sql` may see it; null when there is none. */
export async function findParty(sql: Sql, idOrCode: string): Promise<Party | null> {
  const by = UUID.test(idOrCode) ? 'p.id = $1::uuid' : 'p.code = $1'
  const [party] = await sql.query<Party>(
    `select ${PARTY_COLUMNS} from party p left join party parent on parent.id = p.parent_id where ${by}`,
    [idOrCode],
  )
  return party ?? null
}

/** The operator, read as the owner; null before set-up. */
export async function findOperator(sql: Sql): Promise<Party | null> {
  const [party] = await sql.query<Party>(
    `select ${PARTY_COLUMNS} from party p left join party parent on false where p.kind = 'operator'`,
  )
  return party ?? null
}
