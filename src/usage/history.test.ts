import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { makeParty } from '../capacity/fixtures.ts'
import { BadInput } from '../core/errors.ts'
import { importHistory } from './history.ts'
import { addMeter } from './meters.ts'
import { seriesOf } from './samples.ts'

const database = await testDatabase()
const partyId = await makeParty(database, 'poller')
const add = (code: string, slotSeconds: 60 | 300) =>
  addMeter(database, {
    code,
    partyId,
    serviceId: null,
    slotSeconds,
    counterBits: 64,
    linkBitsPerSecond: null,
    gap: 'drop',
  })
const [five, one] = [await add('edge/1', 300), await add('edge/1-fine', 60)]

/** The text in pieces of a size, as a file comes. */
async function* pieces(text: string, size: number) {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size))
}

async function samplesOf(meterId: number, from: number, slots: number, slotsOfDay: number): Promise<number[]> {
  for await (const { series } of seriesOf(database, [meterId], { from, to: from + slots }, slotsOfDay))
    return [...series.in]
  return []
}

test('lines are read wherever they are cut, with a heading or without, in both forms of time', async () => {
  const at = Date.parse('2026-10-01T00:00:00Z') / 1_000
  const lines = [
    'meter,time,in,out',
    `edge/1,${at},1,10`,
    `edge/1-fine,${at},7,70`,
    'edge/1,2026-10-01T00:05:00Z,2,20',
    `edge/1-fine,${at + 60},8,80\r`,
    `edge/1,${at + 600},3,30`,
  ].join('\n')
  for (const size of [1, 7, 4_096]) {
    let told = 0
    const { samples } = await importHistory(database, pieces(lines, size), (done) => {
      told = done.bytes
    })
    assert.equal(samples, 5)
    assert.equal(told, lines.length)
    assert.deepEqual(await samplesOf(five.id, at / 300, 3, 288), [1, 2, 3])
    assert.deepEqual(await samplesOf(one.id, at / 60, 3, 1_440), [7, 8, Number.NaN])
  }
  const [{ changes }] = (await database.query<{ changes: number }>(
    'select count(*)::int as changes from sample_change',
  )) as [{ changes: number }]
  assert.equal(changes, 0)
})

test('a wrong line is named', async () => {
  for (const [line, problem] of [
    ['edge/1,1790812800,1', /four values/],
    ['nowhere,1790812800,1,2', /no meter nowhere/],
    ['edge/1,1790812801,1,2', /begins no slot/],
    ['edge/1,yesterday,1,2', /time is none/],
    ['edge/1,1790812800,-1,2', /no count of octets/],
    ['edge/1,1790812800,1,140737488355328', /no count of octets/],
    ['x'.repeat(2_000), /longer/],
  ] as const)
    await assert.rejects(importHistory(database, pieces(`edge/1,1790812800,1,2\n${line}`, 64)), (error: unknown) => {
      assert.ok(error instanceof BadInput, String(error))
      assert.match(error.message, problem)
      assert.match(error.message, /line 2/)
      return true
    })
})
