/** Offerings and price plans in SQL. Reads take any `Sql`: through a tenant's view they show only what that party may see. */
import { NotFound, StaleVersion } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import type { Instant } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'
import type { Offering, PriceCharge, PricePlan } from './model.ts'

const OFFERING_COLUMNS = `id, code, family, name, name_ja as "nameJa", description, description_ja as "descriptionJa", defaults,
  tax_code as "taxCode", state, version`

/** One offering by id or code; null when there is none. */
export async function findOffering(sql: Sql, idOrCode: string): Promise<Offering | null> {
  const [offering] = await sql.query<Offering>(
    `select ${OFFERING_COLUMNS} from offering where code = $1 or id::text = $1`,
    [idOrCode],
    'find-offering',
  )
  return offering ?? null
}

/** A page of offerings by code. */
export const listOfferings = (
  sql: Sql,
  filter: { limit: number; after: string | null; like: string | null; state: string | null },
): Promise<Offering[]> =>
  sql.query<Offering>(
    `select ${OFFERING_COLUMNS} from offering
     where ($1::text is null or code > $1) and ($2::text is null or code ilike $2 or name ilike $2 or name_ja ilike $2)
       and ($3::text is null or state = $3)
     order by code limit $4`,
    [filter.after, filter.like, filter.state, filter.limit],
  )

export type NewOffering = Omit<Offering, 'id' | 'version'>

/** Adds an offering and returns it. @throws WrongState when its code is taken. */
export async function insertOffering(sql: Sql, offering: NewOffering): Promise<Offering> {
  const [row] = await sql.query<Offering>(
    `insert into offering (id, code, family, name, name_ja, description, description_ja, defaults, tax_code, state)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning ${OFFERING_COLUMNS}`,
    [
      newId(),
      offering.code,
      offering.family,
      offering.name,
      offering.nameJa,
      offering.description,
      offering.descriptionJa,
      JSON.stringify(offering.defaults),
      offering.taxCode,
      offering.state,
    ],
  )
  return row!
}

/** What of an offering may change; its family and code may not. */
export type OfferingChange = Partial<Omit<Offering, 'id' | 'version' | 'code' | 'family'>>

/** Changes an offering. @throws StaleVersion, NotFound */
export async function updateOffering(
  sql: Sql,
  code: string,
  change: OfferingChange,
  version: number | null,
): Promise<{ before: Offering; after: Offering }> {
  const [before] = await sql.query<Offering>(`select ${OFFERING_COLUMNS} from offering where code = $1 for update`, [
    code,
  ])
  if (!before) throw new NotFound('offering', code)
  if (version !== null && version !== before.version) throw new StaleVersion(version, before.version)
  const next = { ...before, ...change }
  const [after] = await sql.query<Offering>(
    `update offering set name = $2, name_ja = $3, description = $4, description_ja = $5, defaults = $6, tax_code = $7,
       state = $8, version = version + 1 where code = $1 returning ${OFFERING_COLUMNS}`,
    [
      code,
      next.name,
      next.nameJa,
      next.description,
      next.descriptionJa,
      JSON.stringify(next.defaults),
      next.taxCode,
      next.state,
    ],
  )
  return { before, after: after! }
}

const PLAN_COLUMNS = `p.id, p.offering_id as "offeringId", p.seller_id as "sellerId", p.plan_version as "planVersion", p.currency,
  p.effective_from as "effectiveFrom", p.effective_to as "effectiveTo", p.minimum_term_months as "minimumTermMonths",
  (select coalesce(jsonb_agg(jsonb_build_object('line', c.line, 'kind', c.kind, 'name', c.name, 'nameJa', c.name_ja,
     'resource', c.resource, 'reservation', c.reservation, 'per', c.per, 'price', c.price::text, 'tiers', c.tiers)
     order by c.line), '[]') from price_charge c where c.price_plan_id = p.id) as charges`

/** `12.500000` as people write it: `12.5`. */
const plainDecimal = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text)

const withPlainPrices = (plan: PricePlan): PricePlan => ({
  ...plan,
  charges: plan.charges.map((charge) => ({ ...charge, price: plainDecimal(charge.price) })),
})

/** Plans of offerings, of the given sellers or of all that may be seen, newest version first. */
export async function plansOf(
  sql: Sql,
  offeringIds: readonly string[],
  sellerIds: readonly string[] | null = null,
): Promise<PricePlan[]> {
  const plans = await sql.query<PricePlan>(
    `select ${PLAN_COLUMNS} from price_plan p
     where p.offering_id = any($1) and ($2::uuid[] is null or p.seller_id = any($2))
     order by p.offering_id, p.seller_id, p.currency, p.plan_version desc`,
    [offeringIds, sellerIds],
    'plans-of',
  )
  return plans.map(withPlainPrices)
}

/** Plans by id. */
export async function plansById(sql: Sql, ids: readonly string[]): Promise<Map<string, PricePlan>> {
  const plans = await sql.query<PricePlan>(`select ${PLAN_COLUMNS} from price_plan p where p.id = any($1)`, [ids])
  return new Map(plans.map((plan) => [plan.id, withPlainPrices(plan)]))
}

export interface NewPlan {
  offeringId: string
  sellerId: string
  currency: string
  effectiveFrom: Instant
  effectiveTo: Instant
  minimumTermMonths: number
  charges: PriceCharge[]
}

/** Adds the next version of a seller's plan for an offering in a currency. */
export async function insertPlan(sql: Sql, plan: NewPlan): Promise<PricePlan> {
  const id = newId()
  await sql.query('select from offering where id = $1 for update', [plan.offeringId])
  await sql.query(
    `insert into price_plan (id, offering_id, seller_id, plan_version, currency, effective_from, effective_to, minimum_term_months)
     select $1, $2, $3, coalesce(max(plan_version), 0) + 1, $4, $5, $6, $7
     from price_plan where offering_id = $2 and seller_id = $3 and currency = $4`,
    [
      id,
      plan.offeringId,
      plan.sellerId,
      plan.currency,
      sqlInstant(plan.effectiveFrom),
      sqlInstant(plan.effectiveTo),
      plan.minimumTermMonths,
    ],
  )
  await sql.query(
    `insert into price_charge (price_plan_id, line, kind, name, name_ja, resource, reservation, per, price, tiers)
     select $1, c.* from unnest($2::smallint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
       $9::numeric[], $10::jsonb[]) c`,
    [
      id,
      plan.charges.map((_, index) => index + 1),
      plan.charges.map(({ kind }) => kind),
      plan.charges.map(({ name }) => name),
      plan.charges.map(({ nameJa }) => nameJa),
      plan.charges.map(({ resource }) => resource),
      plan.charges.map(({ reservation }) => reservation),
      plan.charges.map(({ per }) => per),
      plan.charges.map(({ price }) => price),
      plan.charges.map(({ tiers }) => JSON.stringify(tiers)),
    ],
  )
  return (await plansById(sql, [id])).get(id)!
}
