import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { testDatabase } from '../../test/support/database.ts'
import { makeParty } from '../capacity/fixtures.ts'
import { BadInput, KeyReused } from '../core/errors.ts'
import { DAY_MS } from '../core/time.ts'
import { bandwidthOf, percentiles } from './bandwidth.ts'
import { HistoryImport, packDays } from './days.ts'
import { addMeter, findingsOf, type Meter } from './meters.ts'
import { USUAL_TERMS } from './percentile.ts'
import { type Sample, seriesOf, takeReadings, takeSamples } from './samples.ts'

const SLOT_MS = 300_000
const NOW = Date.parse('2026-11-24T10:00:00Z')
/** Midnight in Tokyo lies within a day of UTC. */
const MONTH = { from: Date.parse('2026-09-30T15:00:00Z'), to: Date.parse('2026-10-31T15:00:00Z') }

const database = await testDatabase()
const partyId = await makeParty(database, 'poller')
let numbers = 0

const meterOf = (code: string, more: Partial<Meter> = {}) =>
  addMeter(database, {
    code,
    partyId,
    serviceId: null,
    slotSeconds: 300,
    counterBits: 64,
    linkBitsPerSecond: null,
    gap: 'drop',
    ...more,
  })
const batch = (number = ++numbers, hash = String(number)) => ({ partyId, source: 'poller', number, hash })
const send = (samples: Sample[], which = batch()) => takeSamples(database, which, samples, NOW)

/** All samples of a meter in an interval, as they are read. */
async function stored(meter: Meter, { from, to } = MONTH): Promise<[number, number, number][]> {
  const range = { from: from / SLOT_MS, to: to / SLOT_MS }
  for await (const { series } of seriesOf(database, [meter.id], range, 288))
    return Array.from(series.in, (value, i): [number, number, number] => [
      range.from + i,
      value,
      series.out[i]!,
    ]).filter(([, value]) => !Number.isNaN(value))
  return []
}

describe('a batch', () => {
  test('is taken once; its number with other content is refused', async () => {
    const meter = await meterOf('once')
    const samples = [{ meter: 'once', at: MONTH.from, in: 10, out: 20 }]
    const which = batch()
    const first = await send(samples, which)
    assert.deepEqual(first, { taken: 1, corrected: 0, refused: [] })
    const both = await Promise.all([send(samples, which), send(samples, which)])
    assert.deepEqual(both, [first, first])
    await assert.rejects(send(samples, { ...which, hash: 'other' }), KeyReused)
    assert.deepEqual(await stored(meter), [[MONTH.from / SLOT_MS, 10, 20]])
  })

  test('sent twice at once is taken once', async () => {
    const meter = await meterOf('race')
    const which = batch()
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => send([{ meter: 'race', at: MONTH.from, in: 1, out: 2 }], which)),
    )
    for (const answer of answers) assert.deepEqual(answer, { taken: 1, corrected: 0, refused: [] })
    assert.equal((await stored(meter)).length, 1)
  })

  test('with anything wrong in it changes nothing', async () => {
    const meter = await meterOf('whole')
    const good = { meter: 'whole', at: MONTH.from, in: 1, out: 2 }
    for (const wrong of [
      { ...good, meter: 'nowhere' },
      { ...good, at: MONTH.from + 1 },
      { ...good, at: NOW + SLOT_MS },
      { ...good, at: NOW - 500 * DAY_MS - ((NOW - 500 * DAY_MS) % SLOT_MS) },
      { ...good, in: -1 },
      { ...good, out: 2 ** 47 },
      good,
    ])
      await assert.rejects(send([good, wrong]), BadInput)
    assert.deepEqual(await stored(meter), [])
  })

  test('above the link is refused sample by sample, and shown', async () => {
    const meter = await meterOf('link', { linkBitsPerSecond: 1_000_000n })
    const answer = await send([
      { meter: 'link', at: MONTH.from, in: 30_000_000, out: 0 },
      { meter: 'link', at: MONTH.from + SLOT_MS, in: 300_000_000, out: 0 },
    ])
    assert.deepEqual(answer, { taken: 1, corrected: 0, refused: [{ meter: 'link', at: MONTH.from + SLOT_MS }] })
    const [finding] = await findingsOf(database, meter.id, 10)
    assert.deepEqual([finding!.kind, finding!.in], ['above-link-speed', 300_000_000n])
  })

  test('of counter readings becomes slots, whatever batches they come in', async () => {
    const meter = await meterOf('counter')
    const reading = (minutes: number, value: bigint) => ({
      meter: 'counter',
      at: MONTH.from + minutes * 60_000,
      in: 2n ** 60n + value,
      out: value,
      uptimeMs: null,
    })
    await takeReadings(database, batch(), [reading(0, 0n), reading(5, 1_000n)], NOW)
    const answer = await takeReadings(database, batch(), [reading(10, 3_000n), reading(12, 4_000n)], NOW)
    assert.deepEqual(answer, { taken: 1, corrected: 0, refused: [] })
    const slot = MONTH.from / SLOT_MS
    assert.deepEqual(await stored(meter), [
      [slot, 1_000, 1_000],
      [slot + 1, 2_000, 2_000],
    ])
  })
})

test('late, corrected, packed in between, imported: what is read is what was told last, and what was before is kept', async () => {
  let meters = 0
  const told = fc.record({
    slot: fc.nat(700),
    in: fc.nat(1_000_000_000),
    out: fc.nat(1_000),
    next: fc.constantFrom('nothing' as const, 'nothing' as const, 'pack' as const),
    by: fc.constantFrom('batch' as const, 'batch' as const, 'import' as const),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(told, { minLength: 1, maxLength: 25 }), async (steps) => {
      const meter = await meterOf(`model/${meters++}`)
      const model = new Map<number, [number, number]>()
      let changes = 0
      for (const step of steps) {
        const slot = MONTH.from / SLOT_MS + step.slot
        const known = model.get(slot)
        // A history goes where no fresh sample lies over it.
        if (step.by === 'import') {
          while ((await packDays(database, NOW)) > 0);
          const history = new HistoryImport(database, 300)
          history.add(meter.id, slot, step.in, step.out)
          await history.flush()
        } else await send([{ meter: meter.code, at: slot * SLOT_MS, in: step.in, out: step.out }])
        if (known && (known[0] !== step.in || known[1] !== step.out)) changes++
        model.set(slot, [step.in, step.out])
        if (step.next === 'pack') while ((await packDays(database, NOW)) > 0);
      }
      const expected = [...model].sort(([a], [b]) => a - b).map(([slot, values]) => [slot, ...values])
      assert.deepEqual(await stored(meter), expected)
      while ((await packDays(database, NOW)) > 0);
      assert.deepEqual(await stored(meter), expected)
      const [row] = await database.query<{ rows: number; changes: number }>(
        `select (select count(*) from sample where meter_id = $1)::int as rows,
           (select count(*) from sample_change where meter_id = $1)::int as changes`,
        [meter.id],
      )
      assert.deepEqual(row, { rows: 0, changes })
    }),
    { numRuns: 40 },
  )
})

test('meters of a minute and of five lie side by side', async () => {
  const [fine, coarse] = [await meterOf('fine', { slotSeconds: 60 }), await meterOf('coarse')]
  const at = MONTH.from + 86_400_000
  await send([1, 2, 3, 4, 6].map((minute) => ({ meter: 'fine', at: at + minute * 60_000, in: minute, out: 0 })))
  await send([1, 2].map((five) => ({ meter: 'coarse', at: at + five * SLOT_MS, in: five, out: 0 })))
  const fineOnes = async () => {
    const range = { from: at / 60_000, to: at / 60_000 + 8 }
    for await (const { series } of seriesOf(database, [fine.id], range, 1_440)) return [...series.in]
    return []
  }
  for (const packed of [false, true]) {
    if (packed) while ((await packDays(database, NOW)) > 0);
    assert.deepEqual(await fineOnes(), [Number.NaN, 1, 2, 3, 4, Number.NaN, 6, Number.NaN])
    assert.deepEqual(
      (await stored(coarse)).map(([slot, value]) => [slot - at / SLOT_MS, value]),
      [
        [1, 1],
        [2, 2],
      ],
    )
  }
})

test('two that pack at once lose and double nothing', async () => {
  const meter = await meterOf('two-packers')
  const samples = Array.from({ length: 900 }, (_, i) => ({
    meter: 'two-packers',
    at: MONTH.from + i * SLOT_MS,
    in: i,
    out: 2 * i,
  }))
  await send(samples)
  await Promise.all([packDays(database, NOW), packDays(database, NOW), send([{ ...samples[0]!, in: 7 }])])
  while ((await packDays(database, NOW)) > 0);
  const rows = await stored(meter)
  assert.equal(rows.length, 900)
  assert.equal(rows[0]![1], 7)
})

test('a month is the operator’s: the percentile of all ports of a contract, and of each meter', async () => {
  const ports = [await meterOf('port/1'), await meterOf('port/2')]
  const history = new HistoryImport(database, 300)
  const first = MONTH.from / SLOT_MS
  for (let i = -10; i < 31 * 288 + 10; i++)
    for (const [k, { id }] of ports.entries()) history.add(id, first + i, i < 0 || i >= 31 * 288 ? 10 ** 12 : i + k, 0)
  await history.flush()
  const billed = await bandwidthOf(database, ports, MONTH, 'Asia/Tokyo', USUAL_TERMS)
  // 8,928 samples 1, 3, 5 …: the 8,482nd.
  assert.equal(billed.octets, 2 * 8_481 + 1)
  assert.equal(billed.bitsPerSecond, (billed.octets * 8) / 300)
  assert.equal(billed.at, MONTH.from + 8_481 * SLOT_MS)
  assert.deepEqual([billed.expected, billed.present, billed.dropped, billed.days.all], [8_928, 8_928, 446, 31])
  const each: [number, number][] = []
  for await (const { meterId, billed: one } of percentiles(
    database,
    ports.map(({ id }) => id),
    300,
    MONTH,
    'Asia/Tokyo',
    USUAL_TERMS,
  ))
    each.push([meterId, one.octets])
  assert.deepEqual(
    each,
    ports.map(({ id }, k) => [id, 8_481 + k]),
  )
})

test('a tenant reads the meters of its own', async () => {
  const [owner, stranger] = [
    await makeParty(database, 'owner', partyId),
    await makeParty(database, 'stranger', partyId),
  ]
  const meter = await meterOf('private', { partyId: owner })
  await send([{ meter: 'private', at: MONTH.from, in: 1, out: 1 }])
  for (const [party, seen] of [
    [owner, 1],
    [partyId, 1],
    [stranger, 0],
  ] as const) {
    const rows = await database.asTenant(party, (sql) =>
      sql.query('select from sample where meter_id = $1', [meter.id]),
    )
    assert.equal(rows.length, seen)
  }
})
