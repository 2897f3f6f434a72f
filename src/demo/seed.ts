/**
 * Fills an empty Izumi with the demonstration provider through the same functions as the API: supply, catalogue, parties
 * and people, then the history in its own time (each order is decided at the instant it happened), then a billing run for
 * each month that is over. A failed start leaves a mark unset, and `demoState` tells so.
 */
import { issueMonth } from '../billing/issue.ts'
import { runBilling } from '../billing/run.ts'
import type { Engine } from '../capacity/engine.ts'
import { addContainers, addStep, type By, createKind, createPool, createSite } from '../capacity/supply.ts'
import type { PriceCharge } from '../catalogue/model.ts'
import { insertOffering, insertPlan } from '../catalogue/store.ts'
import { CapacityExhausted } from '../core/errors.ts'
import { THOUSANDTHS } from '../core/quantity.ts'
import { DAY_MS, FOREVER, type Instant } from '../core/time.ts'
import { appendEvents, SYSTEM } from '../database/events.ts'
import type { Desk } from '../orders/model.ts'
import { placeOrder } from '../orders/place.ts'
import type { Party } from '../parties/model.ts'
import { hashPassword } from '../parties/password.ts'
import { createParty, findParty } from '../parties/store.ts'
import { addUser } from '../parties/users.ts'
import { changeService, terminateService } from '../services/life.ts'
import { findService } from '../services/store.ts'
import { history } from './history.ts'
import { BUILDINGS, BUYERS, type Building, containersOf, KINDS, OFFERINGS } from './provider.ts'

export interface DemoAccount {
  name: string
  email: string
  password: string
}

/** One password for all: the demonstration shows it on its own sign-in page. */
const PASSWORD = 'as much as needed'
const ZONE_OFFSET_MS = 9 * 3_600_000 // Asia/Tokyo has no daylight saving time

/** Who can sign in. */
export const DEMO_ACCOUNTS: (DemoAccount & {
  party: string
  role: 'owner' | 'engineer' | 'finance'
  locale: string
})[] = [
  {
    name: 'Izumi Demonstration, operator',
    email: 'operator@izumi.example',
    party: 'izumi-demo',
    role: 'owner',
    locale: 'en',
    password: PASSWORD,
  },
  {
    name: 'Izumi Demonstration, finance',
    email: 'finance@izumi.example',
    party: 'izumi-demo',
    role: 'finance',
    locale: 'en',
    password: PASSWORD,
  },
  {
    name: 'Harbor Online, reseller',
    email: 'reseller@harbor-online.example',
    party: 'harbor-online',
    role: 'owner',
    locale: 'en',
    password: PASSWORD,
  },
  {
    name: 'Umi Video, customer',
    email: 'customer@umi-video.example',
    party: 'umi-video',
    role: 'owner',
    locale: 'en',
    password: PASSWORD,
  },
]

/** Retail over wholesale, in percent. */
const RESELLER_MARGIN = 28n

/** What a reseller asks: the operator's prices with its margin, to two decimals. */
function retail(charges: PriceCharge[]): PriceCharge[] {
  const marked = (price: string) => {
    const [whole = '0', fraction = ''] = price.split('.')
    const hundredths = BigInt(whole) * 100n + BigInt(fraction.padEnd(2, '0').slice(0, 2))
    const asked = (hundredths * (100n + RESELLER_MARGIN)) / 100n
    return `${asked / 100n}.${String(asked % 100n).padStart(2, '0')}`
  }
  return charges.map((charge) => ({
    ...charge,
    price: marked(charge.price),
    tiers: charge.tiers.map((tier) => ({ from: tier.from, price: marked(tier.price) })),
  }))
}

/** The instant of a local date in Japan. */
const tokyo = (year: number, month: number, day: number): Instant => Date.UTC(year, month - 1, day) - ZONE_OFFSET_MS

/** The year in which the buildings open: long enough ago for a history. */
export function openingYear(now: Instant): number {
  const date = new Date(now + ZONE_OFFSET_MS)
  return date.getUTCMonth() >= 6 ? date.getUTCFullYear() : date.getUTCFullYear() - 1
}

/** Fills the database. `progress` is told what is being done and how far it is, 0 to 1. */
export async function seedDemo(
  desk: Desk & { capacity: Engine },
  progress: (what: string, part: number) => void = () => {},
): Promise<void> {
  const now = desk.clock()
  const year = openingYear(now)
  const opened = tokyo(year, 1, 15)
  progress('parties', 0)
  const parties = await seedParties(desk)
  const operator = parties.get('izumi-demo')!
  const by: By = { actor: SYSTEM, partyId: operator.id }
  progress('buildings', 0.1)
  for (const kind of KINDS) await createKind(desk.capacity, kind, by)
  for (const building of BUILDINGS) await seedBuilding(desk.capacity, building, year, by)
  progress('catalogue', 0.2)
  await seedCatalogue(desk, parties, opened)
  await seedHistory(desk, parties, opened, now, (part) => progress('orders', 0.25 + part * 0.5))
  await seedInvoices(desk, parties, opened, now, (part) => progress('invoices', 0.75 + part * 0.25))
  await desk.database.transaction((sql) =>
    appendEvents(sql, [
      {
        partyId: operator.id,
        actor: SYSTEM,
        type: 'demonstration.ready',
        subjectKind: 'party',
        subjectId: operator.id,
      },
    ]),
  )
  progress('ready', 1)
}

async function seedParties(desk: Desk): Promise<Map<string, Party>> {
  const hash = await hashPassword(PASSWORD)
  return desk.database.transaction(async (sql) => {
    const parties = new Map<string, Party>()
    const operator = await createParty(
      sql,
      null,
      {
        kind: 'operator',
        code: 'izumi-demo',
        name: 'Izumi Demonstration',
        currency: 'JPY',
        locale: 'en',
        timeZone: 'Asia/Tokyo',
        fiscalYearStartMonth: 4,
        address: '1-2-3 Kanda, Chiyoda-ku, Tokyo 101-0000',
        email: 'billing@izumi.example',
        taxRegistration: 'T1234567890123',
      },
      null,
    )
    parties.set(operator.code, operator)
    for (const buyer of BUYERS) {
      const parent = parties.get(buyer.under ?? operator.code)!
      parties.set(
        buyer.code,
        await createParty(
          sql,
          parent,
          {
            kind: buyer.kind,
            code: buyer.code,
            name: buyer.name,
            address: buyer.address,
            email: `billing@${buyer.code}.example`,
          },
          SYSTEM,
        ),
      )
    }
    for (const { party, email, name, role, locale } of DEMO_ACCOUNTS)
      await addUser(sql, { partyId: parties.get(party)!.id, email, name, role, locale, passwordHash: hash }, SYSTEM)
    return parties
  })
}

async function seedBuilding(engine: Engine, building: Building, year: number, by: By): Promise<void> {
  const siteId = await createSite(engine, building, by)
  const opens = building.steps.map(({ opens: date }) => tokyo(year + date.year, date.month, date.day))
  for (const kind of KINDS) {
    const poolId = await createPool(engine, { siteId, kind: kind.code, name: kind.name }, by)
    for (const [index, step] of building.steps.entries()) {
      const quantity = step.quantities[kind.code] ?? 0
      if (quantity === 0) continue
      await addStep(
        engine,
        poolId,
        {
          effectiveAt: opens[index]!,
          quantity: quantity * THOUSANDTHS,
          state: step.state,
          // The cost of a step stands once, with its floor or, where there is none, its server room.
          ...(kind.code === ((step.quantities.floor ?? 0) > 0 ? 'floor' : 'server-room')
            ? { cost: BigInt(step.cost), currency: 'JPY' }
            : {}),
          leadTimeDays: step.leadTimeDays,
          note: step.label,
        },
        by,
      )
    }
  }
  await addContainers(
    engine,
    containersOf(building).map((container) => ({
      siteId,
      kind: container.kind,
      name: container.name,
      slots: container.slots,
      faultDomain: container.faultDomain,
      ...(container.kind === 'rack-unit'
        ? { x: container.x, y: container.y, width: container.width, depth: container.depth }
        : {}),
      opensAt: opens[container.step]!,
    })),
    by,
  )
}

async function seedCatalogue(desk: Desk, parties: Map<string, Party>, opened: Instant): Promise<void> {
  const resellers = BUYERS.filter(({ kind }) => kind === 'reseller').map(({ code }) => parties.get(code)!)
  await desk.database.transaction(async (sql) => {
    for (const data of OFFERINGS) {
      const offering = await insertOffering(sql, {
        code: data.code,
        family: 'colocation',
        name: data.name,
        nameJa: data.nameJa,
        description: data.description,
        descriptionJa: data.descriptionJa,
        defaults: data.defaults,
        taxCode: 'standard',
        state: 'active',
      })
      const charges: PriceCharge[] = data.charges.map((charge, index) => ({
        line: index + 1,
        kind: charge.kind,
        name: charge.name,
        nameJa: charge.nameJa,
        resource: charge.resource ?? null,
        reservation: charge.reservation ?? 'firm',
        per: charge.per ?? null,
        price: charge.price,
        tiers: charge.tiers ?? [],
      }))
      const plan = {
        offeringId: offering.id,
        currency: 'JPY',
        effectiveFrom: opened,
        effectiveTo: FOREVER,
        minimumTermMonths: data.minimumTermMonths,
      }
      await insertPlan(sql, { ...plan, sellerId: parties.get('izumi-demo')!.id, charges })
      for (const reseller of resellers)
        await insertPlan(sql, { ...plan, sellerId: reseller.id, charges: retail(charges) })
    }
  })
}

/** Plays the history; what does not fit is passed over, as a customer would who hears that it is not free. */
async function seedHistory(
  desk: Desk,
  parties: Map<string, Party>,
  opened: Instant,
  now: Instant,
  progress: (part: number) => void,
): Promise<void> {
  const services = new Map<string, string>()
  const contracts = new Map<string, string>()
  const happenings = history(opened, now)
  for (const [index, happening] of happenings.entries()) {
    const then: Desk = { ...desk, clock: () => happening.at }
    progress(index / happenings.length)
    try {
      if (happening.kind === 'order') {
        const party = parties.get(happening.buyer)!
        const contractKey = `${happening.buyer} ${happening.offering}`
        const { order } = await placeOrder(then, {
          party,
          offering: happening.offering,
          config: happening.config,
          name: happening.name,
          to: happening.to,
          contractId: contracts.get(contractKey),
          actor: SYSTEM,
        })
        if (order.serviceId) services.set(happening.key, order.serviceId)
        // What comes by the hour is a contract each time; racks by the month gather under one.
        if (order.contractId && happening.offering === 'colocation-monthly')
          contracts.set(contractKey, order.contractId)
        continue
      }
      const serviceId = services.get(happening.key)
      // What was never taken, for want of room, is neither changed nor ended.
      const service = serviceId ? await findService(desk.database, serviceId) : null
      if (!service) continue
      if (happening.kind === 'change') await changeService(then, service, { config: happening.config, actor: SYSTEM })
      else await terminateService(then, service, { actor: SYSTEM })
    } catch (error) {
      if (!(error instanceof CapacityExhausted)) throw error
    }
  }
}

/** Days into the new month on which the old one is invoiced. */
const INVOICED_AFTER_MS = 3 * DAY_MS

/** Invoices every month that is over: the operator's customers and resellers first, then the resellers' customers. */
async function seedInvoices(
  desk: Desk,
  parties: Map<string, Party>,
  opened: Instant,
  now: Instant,
  progress: (part: number) => void,
): Promise<void> {
  const sellers = [...parties.values()].filter(({ kind }) => kind !== 'customer')
  const first = new Date(opened + ZONE_OFFSET_MS)
  const months: { month: string; end: Instant }[] = []
  for (let index = 0; ; index++) {
    const year = first.getUTCFullYear()
    const end = tokyo(year, first.getUTCMonth() + 2 + index, 1)
    if (end + INVOICED_AFTER_MS > now) break
    months.push({ month: new Date(Date.UTC(year, first.getUTCMonth() + index, 1)).toISOString().slice(0, 7), end })
  }
  for (const [index, { month, end }] of months.entries()) {
    progress(index / months.length)
    for (const seller of sellers) {
      await runBilling(desk.database, seller.id, month, seller.timeZone, SYSTEM)
      await issueMonth(desk.database, seller.id, month, {
        actor: SYSTEM,
        now: end + INVOICED_AFTER_MS,
        zone: seller.timeZone,
      })
    }
  }
}

/** `empty`: nobody has set up; `ready`: the demonstration is whole; `other`: an operator's own, or a start that broke off. */
export async function demoState(desk: Pick<Desk, 'database'>): Promise<'empty' | 'ready' | 'other'> {
  const [operator] = await desk.database.query<{ id: string }>("select id from party where kind = 'operator'")
  if (!operator) return 'empty'
  const party = await findParty(desk.database, 'izumi-demo')
  const [ready] = await desk.database.query(
    "select from event where party_id = $1 and type = 'demonstration.ready' limit 1",
    [operator.id],
  )
  return party && ready ? 'ready' : 'other'
}
