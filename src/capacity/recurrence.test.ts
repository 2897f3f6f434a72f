import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted, LimitPassed } from '../core/errors.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { openCapacityEngine } from './engine.ts'
import { makeParty, makeSites } from './fixtures.ts'
import { occurrences } from './recurrence.ts'

test('business hours in Tokyo', () => {
  const week = { from: Date.parse('2027-01-04T00:00:00+09:00'), to: Date.parse('2027-01-11T00:00:00+09:00') }
  const found = occurrences({ weekdays: [1, 2, 3, 4, 5], startTime: '09:00', endTime: '18:00' }, week, 'Asia/Tokyo')
  assert.deepEqual(
    found.map(({ from, to }) => [new Date(from).toISOString(), (to - from) / HOUR_MS]),
    ['04', '05', '06', '07', '08'].map((day) => [`2027-01-${day}T00:00:00.000Z`, 9]),
  )
})

test('wall-clock hours keep over daylight saving, and nights run into the next day', () => {
  const window = { from: Date.parse('2027-03-12T00:00:00Z'), to: Date.parse('2027-03-16T12:00:00Z') }
  const found = occurrences({ weekdays: [6, 7], startTime: '22:00', endTime: '06:00' }, window, 'America/New_York')
  assert.deepEqual(
    found.map(({ from, to }) => [new Date(from).toISOString(), (to - from) / HOUR_MS]),
    [
      ['2027-03-14T03:00:00.000Z', 7],
      ['2027-03-15T02:00:00.000Z', 8],
    ],
  )
})

test('an instant lies in an occurrence exactly when the wall clock says so', () => {
  const zones = ['Asia/Tokyo', 'America/New_York', 'Australia/Lord_Howe', 'UTC']
  const clock = fc.integer({ min: 0, max: 95 }).map((quarter) => {
    const pad = (value: number) => String(value).padStart(2, '0')
    return `${pad(Math.floor(quarter / 4))}:${pad((quarter % 4) * 15)}`
  })
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 7 }),
      clock,
      clock,
      fc.integer({ min: 0, max: 400 }),
      (zone, weekdays, startTime, endTime, day) => {
        const from = Date.parse('2027-01-01T00:00:00Z') + day * DAY_MS
        const window = { from, to: from + 9 * DAY_MS }
        const found = occurrences({ weekdays, startTime, endTime }, window, zone)
        for (let at = window.from; at < window.to; at += 7 * 15 * 60_000) {
          const local = Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone)
          // Skip the hours around a change of the clock, where "the wall clock says so" has no one meaning.
          const near = local.add({ hours: 26 }).offset !== local.subtract({ hours: 26 }).offset
          if (near) continue
          const time = local.toPlainTime().toString().slice(0, 5)
          const today = weekdays.includes(local.dayOfWeek)
          const yesterday = weekdays.includes(local.dayOfWeek === 1 ? 7 : local.dayOfWeek - 1)
          const expected =
            startTime < endTime
              ? today && time >= startTime && time < endTime
              : (today && time >= startTime) || (yesterday && time < endTime)
          assert.equal(
            found.some((each) => each.from <= at && at < each.to),
            expected,
            `${local}`,
          )
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('too many occurrences are refused', () => {
  const window = { from: 0, to: 500 * DAY_MS }
  assert.throws(
    () => occurrences({ weekdays: [1, 2, 3, 4, 5, 6, 7], startTime: '01:00', endTime: '02:00' }, window, 'UTC'),
    LimitPassed,
  )
})

test('a recurring claim takes its hours alone; others fit between; it can be extended and released', async () => {
  const database = await testDatabase()
  const party = await makeParty(database, 'operator')
  const { siteIds } = await makeSites(database, { sites: 1, kinds: ['seat'], units: 10 })
  const engine = await openCapacityEngine(database)
  after(() => engine.close())
  const from = Math.ceil(Date.now() / DAY_MS) * DAY_MS + DAY_MS
  const ask = (startTime: string, endTime: string, units: number) =>
    engine.claim({
      partyId: party,
      from,
      to: from + 14 * DAY_MS,
      lines: [{ siteId: siteIds[0]!, kind: 'seat', quantity: units * 1_000, type: 'firm' }],
      mode: 'firm',
      recurrence: { weekdays: [1, 2, 3, 4, 5, 6, 7], startTime, endTime },
      actor: SYSTEM,
    })
  const day = await ask('09:00', '18:00', 10)
  assert.equal(day.lines.length >= 14, true)
  await ask('18:00', '09:00', 10)
  await assert.rejects(ask('17:00', '19:00', 1), CapacityExhausted)
  const longer = await engine.change({ claimId: day.id, to: from + 20 * DAY_MS, actor: SYSTEM })
  assert.equal(longer.lines.length, day.lines.length + 6)
  await engine.change({
    claimId: day.id,
    at: from + 10 * DAY_MS,
    lines: [{ siteId: siteIds[0]!, kind: 'seat', quantity: 4_000, type: 'firm' }],
    actor: SYSTEM,
  })
  await assert.rejects(ask('10:00', '11:00', 1), CapacityExhausted)
  await engine.release(day.id, from + 5 * DAY_MS, SYSTEM)
  const [free] = await engine.availability(siteIds[0]!, from + 14 * DAY_MS, from + 30 * DAY_MS)
  assert.equal(free!.free, 10_000)
})
