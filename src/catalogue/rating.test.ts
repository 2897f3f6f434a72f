import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dayBounds, monthInterval } from '../core/calendar.ts'
import { allocate, divideRounded, RATE_SCALE } from '../core/money.ts'
import { DAY_MS, FOREVER, HOUR_MS } from '../core/time.ts'
import { estimate } from './estimate.ts'
import { checkCharges, type PriceCharge, type PricePlan, planAt, rateFor } from './model.ts'
import { amountMillionths, lineAmount, type RatedCharge, type ReservedTime, rate } from './rating.ts'

const ZONE = 'Asia/Tokyo'
const october = { ...monthInterval('2026-10', ZONE), days: dayBounds(monthInterval('2026-10', ZONE), ZONE) }
const at = (text: string) => Date.parse(`${text}+09:00`)

const charge = (fields: Partial<PriceCharge>): PriceCharge => ({
  line: 1,
  kind: 'unit',
  name: 'Power',
  nameJa: null,
  resource: fields.kind && fields.kind !== 'unit' ? null : 'power',
  reservation: 'firm',
  per: fields.kind && fields.kind !== 'unit' ? null : 'hour',
  price: '10',
  tiers: [],
  ...fields,
})
const plan = (...charges: PriceCharge[]): PricePlan => ({
  id: 'p',
  offeringId: 'o',
  sellerId: 's',
  planVersion: 1,
  currency: 'JPY',
  effectiveFrom: 0,
  effectiveTo: FOREVER,
  minimumTermMonths: 0,
  charges: charges.map((one, index) => ({ ...one, line: index + 1 })),
})
const row = (from: string, to: string | null, quantity: number, fields: Partial<ReservedTime> = {}): ReservedTime => ({
  from: at(from),
  to: to ? at(to) : FOREVER,
  kind: 'power',
  reservation: 'firm',
  quantity: quantity * 1_000,
  ...fields,
})
const yen = (rated: RatedCharge[]) => rated.map((one) => Number(lineAmount(one.rate, one.measure, one.divisor)))

describe('unit charges', () => {
  const history = (rows: ReservedTime[]) => ({ from: 0, to: FOREVER, reserved: rows, suspended: [] })
  for (const [name, rows, fields, expected] of [
    ['an hour of 2 kVA', [row('2026-10-05T10:00', '2026-10-05T11:00', 2)], {}, [20]],
    ['half a unit for ten minutes', [row('2026-10-05T10:00', '2026-10-05T10:10', 0.5)], { price: '60' }, [5]],
    [
      'grown in the middle',
      [row('2026-10-05T10:00', '2026-10-05T11:00', 2), row('2026-10-05T11:00', '2026-10-05T12:00', 3)],
      {},
      [50],
    ],
    ['an empty interval', [row('2026-10-05T10:00', '2026-10-05T10:00', 2)], {}, []],
    ['a reversed interval', [row('2026-10-05T11:00', '2026-10-05T10:00', 2)], {}, []],
    ['outside the period', [row('2026-09-05T10:00', '2026-10-01T00:00', 2)], {}, []],
    ['across the month’s end', [row('2026-10-31T23:00', '2026-11-01T01:00', 1)], {}, [10]],
    ['per day', [row('2026-10-05T12:00', '2026-10-07T00:00', 1)], { per: 'day' }, [15]],
    ['per month, all of it', [row('2026-09-05T12:00', null, 3)], { per: 'month', price: '1000' }, [3_000]],
    ['per month, a half', [row('2026-10-16T12:00', null, 1)], { per: 'month', price: '1000' }, [500]],
    ['standby is not firm', [row('2026-10-05T10:00', '2026-10-05T11:00', 2, { reservation: 'standby' })], {}, []],
    ['another kind', [row('2026-10-05T10:00', '2026-10-05T11:00', 2, { kind: 'office' })], {}, []],
  ] as [string, ReservedTime[], Partial<PriceCharge>, number[]][])
    test(name, () => assert.deepEqual(yen(rate(plan(charge(fields)), history(rows), october)), expected))

  test('volume steps look at the whole quantity at each instant', () => {
    const stepped = charge({
      tiers: [
        { from: 10, price: '8' },
        { from: 100, price: '5' },
      ],
    })
    const rated = rate(
      plan(stepped),
      history([row('2026-10-05T10:00', '2026-10-05T12:00', 6), row('2026-10-05T11:00', '2026-10-05T12:00', 6)]),
      october,
    )
    assert.deepEqual(yen(rated), [60, 96])
    assert.deepEqual(
      [9.999, 10, 99.999, 100].map((units) => rateFor(stepped, units * 1_000, 'JPY') / RATE_SCALE),
      [10n, 8n, 8n, 5n],
    )
  })
})

describe('monthly and set-up charges', () => {
  const monthly = plan(charge({ kind: 'monthly', price: '31000' }), charge({ kind: 'setup', price: '5000' }))
  for (const [name, from, to, suspended, expected] of [
    ['a whole month', '2026-10-01T00:00', '2026-11-01T00:00', [], [31_000, 5_000]],
    ['from the 17th, that day included', '2026-10-17T23:59', null, [], [15_000, 5_000]],
    ['five minutes are a day', '2026-10-05T10:00', '2026-10-05T10:05', [], [1_000, 5_000]],
    [
      'the last day is not charged when it ends at midnight',
      '2026-10-05T00:00',
      '2026-10-07T00:00',
      [],
      [2_000, 5_000],
    ],
    ['began before', '2026-09-30T23:00', null, [], [31_000]],
    ['nothing', '2026-11-01T00:00', null, [], []],
    ['reversed', '2026-10-09T00:00', '2026-10-05T00:00', [], []],
    ['suspended for three whole days', '2026-09-01T00:00', null, [['2026-10-10T00:00', '2026-10-13T00:00']], [28_000]],
    [
      'days partly suspended are charged',
      '2026-09-01T00:00',
      null,
      [['2026-10-10T10:00', '2026-10-13T10:00']],
      [29_000],
    ],
    [
      'suspended and taken up on one day',
      '2026-09-01T00:00',
      null,
      [['2026-10-10T10:00', '2026-10-10T11:00']],
      [31_000],
    ],
    ['suspended since before, without end', '2026-09-01T00:00', null, [['2026-09-10T10:00', null]], []],
  ] as [string, string, string | null, [string, string | null][], number[]][])
    test(name, () => {
      const rated = rate(
        monthly,
        {
          from: at(from),
          to: to ? at(to) : FOREVER,
          reserved: [],
          suspended: suspended.map(([a, b]) => ({ from: at(a), to: b ? at(b) : FOREVER })),
        },
        october,
      )
      assert.deepEqual(yen(rated), expected)
    })
})

describe('properties', () => {
  const rows = fc.array(
    fc.record({
      start: fc.integer({ min: 0, max: 31 * 24 }),
      hours: fc.integer({ min: 0, max: 200 }),
      quantity: fc.integer({ min: 1, max: 5_000 }),
    }),
    { maxLength: 8 },
  )
  const toRows = (picked: { start: number; hours: number; quantity: number }[]): ReservedTime[] =>
    picked.map(({ start, hours, quantity }) => ({
      from: october.from + start * HOUR_MS,
      to: october.from + (start + hours) * HOUR_MS,
      kind: 'power',
      reservation: 'firm',
      quantity,
    }))
  const price = fc.integer({ min: 0, max: 9_999_999 }).map((millionths) => (millionths / 1_000).toFixed(3))

  test('measures over parts of the period add up to the whole, whatever the cuts', () => {
    fc.assert(
      fc.property(
        rows,
        price,
        fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 5 }),
        (picked, text, cuts) => {
          const priced = plan(charge({ price: text }), charge({ kind: 'monthly', price: text }))
          const history = {
            from: october.from + 5 * HOUR_MS,
            to: october.to - 7 * DAY_MS,
            reserved: toRows(picked),
            suspended: [],
          }
          const bounds = [0, ...cuts.sort((a, b) => a - b), 31]
          const measure = (kind: string, from: number, to: number) => {
            const part = { from: october.days[from]!, to: october.days[to]!, days: october.days.slice(from, to + 1) }
            return rate(priced, history, part)
              .filter((one) => one.charge.kind === kind)
              .reduce((sum, one) => sum + one.measure, 0n)
          }
          for (const kind of ['unit', 'monthly']) {
            const parts = bounds.slice(1).reduce((sum, to, index) => sum + measure(kind, bounds[index]!, to), 0n)
            assert.equal(parts, measure(kind, 0, 31))
          }
        },
      ),
    )
  })

  test('a volume-step plan charges each instant once', () => {
    fc.assert(
      fc.property(rows, (picked) => {
        const flat = plan(charge({ price: '7' }))
        const stepped = plan(charge({ price: '7', tiers: [{ from: 2, price: '7.000001' }] }))
        const history = { from: 0, to: FOREVER, reserved: toRows(picked), suspended: [] }
        const total = (one: PricePlan) => rate(one, history, october).reduce((sum, rated) => sum + rated.measure, 0n)
        assert.equal(total(flat), total(stepped))
      }),
    )
  })

  test('rounding moves a line by at most half a minor unit, and shown amounts sum to it within that', () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 10n ** 12n),
        fc.array(fc.bigInt(0n, 10n ** 12n), { maxLength: 20 }),
        fc.bigInt(1n, 10n ** 10n),
        (rateOf, measures, divisor) => {
          const sum = measures.reduce((a, b) => a + b, 0n)
          const exact2 = 2n * rateOf * sum
          const rounded = lineAmount(rateOf, sum, divisor)
          const error = exact2 - 2n * rounded * divisor * RATE_SCALE
          assert.ok((error < 0n ? -error : error) <= divisor * RATE_SCALE)
          const shown = measures.reduce(
            (total, measure) =>
              total + amountMillionths({ charge: charge({}), rate: rateOf, measure, divisor, stretches: [] }),
            0n,
          )
          const drift = shown * divisor - rateOf * sum
          assert.ok((drift < 0n ? -drift : drift) <= divisor * BigInt(measures.length))
        },
      ),
    )
  })

  test('allocation loses nothing', () => {
    fc.assert(
      fc.property(
        fc.bigInt(-(10n ** 15n), 10n ** 15n),
        fc.array(fc.bigInt(0n, 10n ** 9n), { minLength: 1, maxLength: 30 }),
        (amount, weights) => {
          assert.equal(
            allocate(amount, weights).reduce((a, b) => a + b, 0n),
            amount,
          )
        },
      ),
    )
  })

  test('half up is half away from zero, on both sides', () => {
    assert.deepEqual(
      [5n, 15n, -5n, -15n, 4n, -4n].map((n) => divideRounded(n, 10n)),
      [1n, 2n, -1n, -2n, 0n, 0n],
    )
  })
})

describe('plans', () => {
  test('the newest version effective at the instant holds', () => {
    const versions = [
      { ...plan(charge({})), planVersion: 1, effectiveFrom: 0 },
      { ...plan(charge({})), planVersion: 2, effectiveFrom: 100 },
      { ...plan(charge({})), planVersion: 3, effectiveFrom: 200, effectiveTo: 300 },
    ]
    assert.deepEqual(
      [50, 100, 250, 300].map((when) => planAt(versions, when, 'x').planVersion),
      [1, 2, 3, 2],
    )
    assert.throws(() => planAt(versions, -1, 'Rack at Izumi'), /Rack at Izumi has no price/)
  })

  for (const [name, charges, expected] of [
    ['none', [], /at least one/],
    ['a unit charge without a time', [charge({ per: null })], /resource and per/],
    ['a flat charge of a resource', [charge({ kind: 'monthly', resource: 'power' })], /resource and per/],
    ['a float', [charge({ price: '1e3' })], /not a price/],
    ['a negative price', [charge({ price: '-1' })], /negative/],
    [
      'steps that fall',
      [
        charge({
          tiers: [
            { from: 10, price: '1' },
            { from: 5, price: '1' },
          ],
        }),
      ],
      /does not rise/,
    ],
    ['the same resource twice', [charge({}), charge({})], /priced twice/],
  ] as [string, PriceCharge[], RegExp][])
    test(`refuses ${name}`, () => assert.throws(() => checkCharges(charges, 'JPY'), expected))
})

test('an estimate over an interval comes to what its months are invoiced at', () => {
  const priced = plan(
    charge({ kind: 'setup', price: '10000' }),
    charge({ kind: 'monthly', price: '5000' }),
    charge({ price: '12.5' }),
  )
  const demands = [{ site: 'a', kind: 'power', quantity: 4_000, type: 'firm' as const }]
  const quoted = estimate(priced, demands, at('2026-10-31T12:00'), at('2026-11-02T12:00'), ZONE)
  assert.equal(quoted.setup.amount, 10_000n)
  assert.equal(quoted.monthly.amount, 5_000n + 31n * 24n * 50n)
  // 5000/31 + 5000 * 2/30 and 48 hours of 50 yen, each month rounded by itself.
  assert.equal(quoted.total?.amount, 10_000n + 161n + 333n + 48n * 50n)
  assert.equal(estimate(priced, demands, at('2026-10-31T12:00'), FOREVER, ZONE).total, null)
})
