/**
 * A small provider for tests of orders and money: the operator, a reseller with a customer, a direct customer, two sites
 * with pools of the colocation kinds, and one offering priced by the operator and by the reseller.
 */

import { type CapacityEngine, openCapacityEngine } from '../../src/capacity/engine.ts'
import type { PriceCharge } from '../../src/catalogue/model.ts'
import { insertOffering, insertPlan, type NewPlan } from '../../src/catalogue/store.ts'
import { FOREVER, type Instant } from '../../src/core/time.ts'
import type { Database } from '../../src/database/connection.ts'
import { followCapacity } from '../../src/orders/follow.ts'
import type { Desk } from '../../src/orders/model.ts'
import { colocation } from '../../src/services/families/colocation/colocation.ts'
import { COLOCATION_KINDS } from '../../src/services/families/colocation/config.ts'
import { insertParty, type TestParty } from './server.ts'

export interface TestProvider {
  operator: TestParty
  reseller: TestParty
  /** The reseller's customer. */
  retail: TestParty
  /** The operator's own customer. */
  direct: TestParty
  sites: Record<'yokohama-1' | 'saitama-1', number>
}

export const unitCharge = (resource: string, price: string, fields: Partial<PriceCharge> = {}): PriceCharge => ({
  line: 0,
  kind: 'unit',
  name: `${resource} time`,
  nameJa: null,
  resource,
  reservation: 'firm',
  per: 'hour',
  price,
  tiers: [],
  ...fields,
})

export const flatCharge = (kind: 'setup' | 'monthly', price: string): PriceCharge => ({
  line: 0,
  kind,
  name: kind === 'setup' ? 'Installation' : 'Basic fee',
  nameJa: kind === 'setup' ? '初期費用' : '基本料金',
  resource: null,
  reservation: 'firm',
  per: null,
  price,
  tiers: [],
})

/** Kinds, sites and pools alone, with `units` of every kind at each site. */
export async function insertSites(database: Database, units: number): Promise<TestProvider['sites']> {
  const sites = {} as TestProvider['sites']
  for (const { code, name, nameJa, unit, identified } of COLOCATION_KINDS)
    await database.query(
      'insert into resource_kind (code, name, name_ja, unit, identified) values ($1, $2, $3, $4, $5) on conflict do nothing',
      [code, name, nameJa, unit, identified],
    )
  for (const code of ['yokohama-1', 'saitama-1'] as const) {
    const [site] = await database.query<{ id: number }>('insert into site (code, name) values ($1, $1) returning id', [
      code,
    ])
    sites[code] = site!.id
    for (const kind of COLOCATION_KINDS)
      await database.transaction(async (sql) => {
        const [pool] = await sql.query<{ id: number }>(
          'insert into pool (site_id, kind, name) values ($1, $2, $2) returning id',
          [site!.id, kind.code],
        )
        await sql.query(
          `insert into capacity_step (id, pool_id, effective_at, quantity, state)
           values (gen_random_uuid(), $1, '2026-01-01', $2, 'open')`,
          [pool!.id, units * 1_000],
        )
      })
  }
  return sites
}

/** The whole provider. */
export async function testProvider(
  database: Database,
  options: { units?: number; retail?: Partial<NewPlan>; wholesale?: Partial<NewPlan> } = {},
): Promise<TestProvider> {
  const operator = await insertParty(database, 'operator', 'izumi', null)
  const reseller = await insertParty(database, 'reseller', 'aoba', operator)
  const retail = await insertParty(database, 'customer', 'retail', reseller)
  const direct = await insertParty(database, 'customer', 'direct', operator)
  const sites = await insertSites(database, options.units ?? 100)
  const offering = await insertOffering(database, {
    code: 'rack',
    family: 'colocation',
    name: 'Rack space',
    nameJa: 'ラックスペース',
    description: null,
    descriptionJa: null,
    defaults: { site: 'yokohama-1' },
    taxCode: 'standard',
    state: 'active',
  })
  const plan = {
    offeringId: offering.id,
    currency: 'JPY',
    effectiveFrom: 0,
    effectiveTo: FOREVER,
    minimumTermMonths: 0,
  }
  await insertPlan(database, {
    ...plan,
    sellerId: operator.id,
    charges: [
      flatCharge('setup', '10000'),
      flatCharge('monthly', '3100'),
      unitCharge('rack-unit', '10'),
      unitCharge('power', '20'),
    ],
    ...options.wholesale,
  })
  await insertPlan(database, {
    ...plan,
    sellerId: reseller.id,
    charges: [
      flatCharge('setup', '12000'),
      flatCharge('monthly', '6200'),
      unitCharge('rack-unit', '15'),
      unitCharge('power', '30'),
    ],
    ...options.retail,
  })
  return { operator, reseller, retail, direct, sites }
}

/** A desk over the database whose clock is moved by hand. */
export async function testDesk(
  database: Database,
  now: Instant,
): Promise<Desk & { now: Instant; capacity: CapacityEngine }> {
  const desk = {
    now,
    database,
    families: [colocation],
    clock: () => desk.now,
    capacity: undefined as unknown as CapacityEngine,
  }
  desk.capacity = await openCapacityEngine(database, { clock: () => desk.now })
  return desk
}

/** Follows capacity once all that was written can be read in order: transactions of other tests may still be running. */
export async function followAll(desk: Desk & { now: Instant }): Promise<void> {
  for (;;) {
    const [row] = await desk.database.query<{ settled: boolean }>(
      `select coalesce(max(transaction) < pg_snapshot_xmin(pg_current_snapshot()), true) as settled from event`,
    )
    if (row!.settled) break
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await followCapacity(desk.database, desk.now)
}
