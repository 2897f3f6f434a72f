import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { testDatabase } from '../../test/support/database.ts'
import { testProvider } from '../../test/support/provider.ts'
import { issueMonth } from '../billing/issue.ts'
import { runBilling } from '../billing/run.ts'
import { trialBalance } from '../billing/store.ts'
import { FAMILIES } from '../families.ts'
import { type RecordedOrder, readOrders } from './orders-file.ts'
import { REPLAY, type ReplayResult, rememberedReplay, rememberReplay, replayId, replayOrders } from './replay.ts'
import { configOf, sitesOf, TENANTS, tenantOf } from './rule.ts'

const START = Date.parse('2026-09-30T12:00:00+09:00')
const FILE = fileURLToPath(new URL('../../data-sets/orders.csv.gz', import.meta.url))
const all = await readOrders(FILE)

test('the file of real orders is whole', () => {
  assert.equal(all.length, 259_159)
  assert.deepEqual(all[0], { arrivalSeconds: 0, batch: 0, vcpu: 8, lifetimeSeconds: 300 })
  assert.equal(all.filter(({ lifetimeSeconds }) => lifetimeSeconds === null).length, 14_317)
})

describe('a file of orders', () => {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-orders-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const header = 'arrival_s,batch,vcpu,memory_gb,lifetime_s,ended\n'
  const read = (text: string) => {
    const path = join(folder, 'orders.csv')
    writeFileSync(path, text)
    return readOrders(path)
  }

  test('may be plain or gzipped', async () => {
    const text = `${header}0,1,2,3.5,300,1\n300,1,4,7,600,0\n`
    writeFileSync(join(folder, 'orders.csv.gz'), gzipSync(text))
    assert.deepEqual(await read(text), await readOrders(join(folder, 'orders.csv.gz')))
  })

  for (const [name, text] of [
    ['another header', 'a,b\n'],
    ['text where a number stands', `${header}0,x,2,3.5,300,1\n`],
    ['a missing column', `${header}0,1,2\n`],
    ['time that runs backwards', `${header}300,1,2,3.5,300,1\n0,1,2,3.5,300,1\n`],
  ] as const)
    test(`is refused with ${name}`, () => assert.rejects(read(text), /line \d is/))
})

test('sizes, tenants and sites follow the stated rule', () => {
  assert.deepEqual(
    [1, 4, 8, 16].map((vcpu) => configOf(vcpu, 'a').rackUnits),
    [undefined, undefined, 2, 4],
  )
  assert.equal(new Set(all.map(({ batch }) => tenantOf(batch))).size, TENANTS)
  const first = all.filter(({ batch }) => sitesOf(batch, ['a', 'b'])[0] === 'a').length / all.length
  assert.ok(first > 0.55 && first < 0.65, String(first))
})

/** Plays the first orders, crowded into pools that hold less than they ask for. */
async function play(orders: readonly RecordedOrder[]) {
  const database = await testDatabase()
  const provider = await testProvider(database, { units: 22 })
  const options = { offering: 'rack', sites: ['yokohama-1', 'saitama-1'] as const, start: START }
  const result = await replayOrders({ database, families: FAMILIES }, orders, options)
  return { database, provider, result }
}

describe('a replay', async () => {
  const orders = all.slice(0, 1_500)
  const { database, provider, result } = await play(orders)
  const counts = ({ accepted, elsewhere, waitListed, filled, refused, ended, peaks }: ReplayResult) => ({
    accepted,
    elsewhere,
    waitListed,
    filled,
    refused,
    ended,
    peaks,
  })

  test('takes what fits, lets some wait, refuses the rest, and breaks nothing', () => {
    assert.deepEqual(result.problems, [])
    assert.equal(result.orders, orders.length)
    const stillWaiting = result.waitListed - result.filled
    assert.ok(result.accepted + result.refused <= orders.length)
    assert.ok(result.accepted + result.refused + stillWaiting >= orders.length)
    for (const [name, count] of Object.entries(counts(result)))
      if (typeof count === 'number') assert.ok(count > 0, `${name} is ${count}`)
    assert.ok(result.peaks.every(({ peak, open }) => peak <= open))
  })

  test('comes to the same a second time', async () => {
    assert.deepEqual(counts((await play(orders)).result), counts(result))
  })

  test('is remembered', async () => {
    const id = replayId('abcdef0123456789', START, 'Asia/Tokyo')
    assert.equal(await rememberedReplay(database, id), null)
    await rememberReplay(database, provider.operator.id, id, result)
    assert.deepEqual(counts((await rememberedReplay(database, id))!), counts(result))
  })

  test('is invoiced to the last reservation, and the books balance', async () => {
    const issuedAt = Date.parse('2026-11-02T00:00:00Z')
    let services = 0
    for (const month of result.months) {
      services += (await runBilling(database, provider.operator.id, month, 'Asia/Tokyo', REPLAY)).services
      await issueMonth(database, provider.operator.id, month, { actor: REPLAY, now: issuedAt, zone: 'Asia/Tokyo' })
    }
    assert.ok(services >= result.accepted)
    const balances = await trialBalance(database, provider.operator.id, null)
    assert.equal(
      balances.reduce((sum, { balance }) => sum + balance, 0n),
      0n,
    )
    // Every unit-hour reserved in the months is on a line, to the thousandth and millisecond.
    const [sums] = await database.query<{ billed: string; reserved: string }>(
      `select (select sum(measure)::text from invoice_line where charge = 'unit') as billed,
         (select sum(r.quantity * (extract(epoch from least(r.ends_at, $1::timestamptz) - r.starts_at) * 1000)::bigint)::text
          from reservation r join pool p on p.id = r.pool_id
          where r.type = 'firm' and r.starts_at < $1 and p.kind in ('power', 'rack-unit')) as reserved`,
      [
        new Date(
          Date.parse(`${result.months.at(-1) === '2026-09' ? '2026-10' : '2026-11'}-01T00:00:00+09:00`),
        ).toISOString(),
      ],
    )
    assert.equal(sums!.billed, sums!.reserved)
  })
})
