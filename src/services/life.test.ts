import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { testDatabase } from '../../test/support/database.ts'
import { followAll, testDesk, testProvider } from '../../test/support/provider.ts'
import { CapacityExhausted, KeyReused, StaleVersion, WrongState } from '../core/errors.ts'
import { DAY_MS, FOREVER, HOUR_MS } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { acceptQuote, cancelOrder, makeQuote, placeOrder, withdrawQuote } from '../orders/place.ts'
import { amendmentsOf, findContract, findOrder, findQuote } from '../orders/store.ts'
import { changeService, desiredOf, suspendOrResume, terminateContract, terminateService } from './life.ts'
import { type DatedChange, stateAt, suspensions } from './model.ts'
import { findService, reservedTime } from './store.ts'
import { sweepServices } from './sweep.ts'

const database = await testDatabase()
const provider = await testProvider(database, { retail: { minimumTermMonths: 3 }, wholesale: { minimumTermMonths: 1 } })
const START = Date.parse('2026-10-05T00:00:00+09:00')
const desk = await testDesk(database, START)
const actor = SYSTEM
const order = (fields: Partial<Parameters<typeof placeOrder>[1]> = {}) =>
  placeOrder(desk, { party: provider.direct, offering: 'rack', config: { rackUnits: 2, power: 1 }, actor, ...fields })
const service = async (id: string | null) => (await findService(database, id!))!
const reserved = async (claimId: string) =>
  (await reservedTime(database, claimId)).map(({ kind, quantity, from, to }) => [kind, quantity / 1_000, from, to])

describe('an order', () => {
  test('makes a contract, a service and its reservations in one go', async () => {
    const { order: placed } = await order({ name: 'web' })
    assert.equal(placed.state, 'completed')
    assert.match(placed.number, /^O\d{8}$/)
    const made = await service(placed.serviceId)
    assert.deepEqual(
      [made.state, made.name, made.config],
      ['active', 'web', { site: 'yokohama-1', rackUnits: 2, power: 1 }],
    )
    assert.deepEqual(await reserved(made.claimId), [
      ['rack-unit', 2, START, FOREVER],
      ['power', 1, START, FOREVER],
    ])
    const contract = (await findContract(database, placed.contractId!))!
    assert.deepEqual([contract.state, contract.sellerName, contract.services], ['active', 'izumi (test)', 1])
    const [work] = await desiredOf(desk, made, database)
    assert.match(JSON.stringify(work!.body), /1 kVA/)
  })

  test('under the same key is placed once, however many send it at once', async () => {
    const key = { idempotencyKey: 'once', fingerprint: 'f' }
    const placed = await Promise.all(Array.from({ length: 8 }, () => order(key)))
    assert.equal(new Set(placed.map((one) => one.order.id)).size, 1)
    assert.equal((await order(key)).repeated, true)
    await assert.rejects(order({ ...key, fingerprint: 'other' }), KeyReused)
    const [count] = await database.query<{ n: number }>(
      `select count(*)::int as n from service s join product_order o on o.service_id = s.id where o.idempotency_key = 'once'`,
    )
    assert.equal(count!.n, 1)
  })

  test('that does not fit writes nothing', async () => {
    const count = async () =>
      (
        await database.query<{ n: number }>(
          'select (select count(*) from product_order)::int + (select count(*) from contract)::int as n',
        )
      )[0]!.n
    const before = await count()
    await assert.rejects(order({ config: { power: 1_000 } }), CapacityExhausted)
    assert.equal(await count(), before)
  })

  test('adds a service to a contract that is named', async () => {
    const first = (await order()).order
    const second = (await order({ contractId: first.contractId! })).order
    assert.equal(second.contractId, first.contractId)
    assert.equal((await findContract(database, first.contractId!))!.services, 2)
    await terminateContract(desk, (await findContract(database, first.contractId!))!, { actor })
    await assert.rejects(order({ contractId: first.contractId! }), WrongState)
    assert.equal((await findContract(database, first.contractId!))!.state, 'ended')
  })

  test('of the operator, or of what has no price, is refused', async () => {
    await assert.rejects(order({ party: provider.operator }), /operator sells/)
    await assert.rejects(order({ offering: 'nothing' }), /no offering/)
  })
})

test('a waiting order is completed by whoever gives back, and cancelled when it gives up', async () => {
  const big = (await order({ config: { office: 95 } })).order
  const waits = (await order({ config: { office: 50 }, waitUntil: desk.now + DAY_MS })).order
  const gives = (await order({ config: { office: 99 }, waitUntil: desk.now + HOUR_MS / 2 })).order
  assert.deepEqual([waits.state, waits.serviceId, gives.state], ['waiting', null, 'waiting'])
  desk.now += HOUR_MS
  await terminateService(desk, await service(big.serviceId), { actor })
  await desk.capacity.sweep(desk.now)
  await followAll(desk)
  const filled = (await findOrder(database, waits.id))!
  assert.equal(filled.state, 'completed')
  assert.equal((await service(filled.serviceId)).startsAt, desk.now)
  assert.equal((await findOrder(database, gives.id))!.state, 'cancelled')
  await assert.rejects(cancelOrder(desk, filled, actor), WrongState)
  await terminateService(desk, await service(filled.serviceId), { actor })
})

test('a waiting order may be cancelled', async () => {
  const waits = (await order({ config: { office: 500 }, waitUntil: desk.now + DAY_MS })).order
  assert.equal((await cancelOrder(desk, waits, actor)).state, 'cancelled')
  assert.equal((await cancelOrder(desk, waits, actor)).state, 'cancelled')
})

describe('a quote', () => {
  const quote = (validForHours = 24) =>
    makeQuote(desk, { party: provider.direct, offering: 'rack', config: { seats: 60 }, validForHours, actor })

  test('holds capacity and its price until it is accepted', async () => {
    const made = await quote()
    assert.deepEqual((made.estimate as { setup: unknown }).setup, { amount: '10000', currency: 'JPY' })
    await assert.rejects(quote(), CapacityExhausted)
    const [one, two] = await Promise.all([1, 2].map(() => acceptQuote(desk, made, provider.direct, actor)))
    assert.equal(one!.id, two!.id)
    assert.equal((await findQuote(database, made.id))!.state, 'accepted')
    assert.deepEqual(await reserved(one!.claimId), [['seat', 60, made.from, FOREVER]])
    await assert.rejects(withdrawQuote(desk, made, actor), /open/)
    await terminateService(desk, await service(one!.serviceId), { actor })
  })

  test('gives its capacity back when it is withdrawn or expires', async () => {
    const withdrawn = await withdrawQuote(desk, await quote(), actor)
    assert.equal(withdrawn.state, 'withdrawn')
    const lapsing = await quote(1)
    desk.now += 2 * HOUR_MS
    await assert.rejects(acceptQuote(desk, lapsing, provider.direct, actor), /expired/)
    await desk.capacity.sweep(desk.now)
    await followAll(desk)
    assert.equal((await findQuote(database, lapsing.id))!.state, 'expired')
    await withdrawQuote(desk, await quote(), actor)
  })
})

describe('a service', () => {
  test('grows, shrinks and ends at once, each change an amendment and a row of history', async () => {
    const placed = (await order()).order
    const t0 = desk.now
    let one = await service(placed.serviceId)
    desk.now += HOUR_MS
    one = await changeService(desk, one, { config: { power: 3 }, version: one.version, actor })
    assert.deepEqual([one.config.power, one.config.rackUnits], [3, 2])
    await assert.rejects(changeService(desk, one, { config: { power: 5 }, version: 1, actor }), StaleVersion)
    await assert.rejects(changeService(desk, one, { config: { power: 5_000 }, actor }), CapacityExhausted)
    desk.now += HOUR_MS
    one = await terminateService(desk, one, { actor })
    assert.equal(one.state, 'terminated')
    assert.equal((await terminateService(desk, one, { actor })).state, 'terminated')
    assert.deepEqual(await reserved(one.claimId), [
      ['rack-unit', 2, t0, t0 + 2 * HOUR_MS],
      ['power', 1, t0, t0 + HOUR_MS],
      ['power', 3, t0 + HOUR_MS, t0 + 2 * HOUR_MS],
    ])
    const amendments = await amendmentsOf(database, { serviceId: one.id })
    assert.deepEqual(
      amendments.map(({ kind }) => kind),
      ['add', 'change', 'terminate'],
    )
    assert.equal((amendments[1]!.before as { config: { power: number } }).config.power, 1)
    await assert.rejects(changeService(desk, one, { name: 'x', actor }), WrongState)
  })

  test('follows its dates: start, suspension, change, end', async () => {
    const from = desk.now + DAY_MS
    const placed = (await order({ from, to: from + 10 * DAY_MS })).order
    const id = placed.serviceId!
    assert.equal((await service(id)).state, 'pending')
    assert.equal((await findContract(database, placed.contractId!))!.state, 'pending')
    await suspendOrResume(desk, await service(id), 'suspend', { at: from + DAY_MS, actor })
    await suspendOrResume(desk, await service(id), 'resume', { at: from + 2 * DAY_MS, actor })
    await changeService(desk, await service(id), { config: { power: 2 }, at: from + 3 * DAY_MS, actor })
    await assert.rejects(suspendOrResume(desk, await service(id), 'resume', { actor }), WrongState)
    const seen: string[] = []
    for (const days of [0, 1, 2, 3, 10]) {
      desk.now = from + days * DAY_MS
      await sweepServices(database, desk.now)
      const now = await service(id)
      seen.push(`${now.state} ${now.config.power}`)
    }
    assert.deepEqual(seen, ['active 1', 'suspended 1', 'active 1', 'active 2', 'terminated 2'])
    assert.equal((await findContract(database, placed.contractId!))!.state, 'ended')
    assert.equal(await sweepServices(database, desk.now), 0)
  })

  test('may be extended, and a set end may be moved', async () => {
    const placed = (await order({ to: desk.now + DAY_MS })).order
    let one = await service(placed.serviceId)
    one = await changeService(desk, one, { to: desk.now + 5 * DAY_MS, actor })
    one = await terminateService(desk, one, { at: desk.now + 3 * DAY_MS, actor })
    assert.deepEqual([one.state, one.endsAt], ['active', desk.now + 3 * DAY_MS])
    assert.deepEqual(
      (await reserved(one.claimId)).map((row) => row[3]),
      [one.endsAt, one.endsAt],
    )
    desk.now += 3 * DAY_MS
    await sweepServices(database, desk.now)
    assert.equal((await service(one.id)).state, 'terminated')
  })

  test('that ends before its minimum term owes what remains, at each level of resale', async () => {
    desk.now = Date.parse('2026-11-16T12:00:00+09:00')
    const placed = (await order({ party: provider.retail })).order
    desk.now += DAY_MS
    await terminateService(desk, await service(placed.serviceId), { actor })
    const charges = await database.query<{ party: string; amount: bigint }>(
      `select p.code as party, e.amount from early_termination e join party p on p.id = e.party_id
       where e.service_id = $1 order by 1`,
      [placed.serviceId],
    )
    // Wholesale: to 16 December, 13 + 16 of 30 and 31 days of 3,100; retail: to 16 February.
    assert.deepEqual(charges, [
      { party: 'aoba', amount: BigInt(Math.round((3_100 * 13) / 30) + (3_100 * 16) / 31) },
      {
        party: 'retail',
        amount: BigInt(Math.round((6_200 * 13) / 30) + 6_200 + 6_200 + Math.round((6_200 * 16) / 28)),
      },
    ])
  })
})

test('states follow the dates of amendments, and suspensions never overlap', () => {
  const kinds = fc.constantFrom('change', 'suspend', 'resume', 'terminate' as const)
  fc.assert(
    fc.property(
      fc.array(fc.record({ kind: kinds, at: fc.integer({ min: 1, max: 50 }) }), { maxLength: 12 }),
      (picked) => {
        const changes: DatedChange[] = [
          { kind: 'add', effectiveAt: 0, withdrawnAt: null },
          ...picked.map(({ kind, at }) => ({ kind: kind as DatedChange['kind'], effectiveAt: at, withdrawnAt: null })),
        ]
        const gaps = suspensions(changes)
        for (let at = 0; at < 60; at++) {
          const inside = gaps.filter(({ from, to }) => from <= at && at < to).length
          assert.equal(inside, stateAt(changes, at) === 'suspended' ? 1 : 0)
        }
      },
    ),
  )
})
