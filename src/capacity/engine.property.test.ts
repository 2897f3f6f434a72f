/**
 * The engine against the plainest model there is: a list of reservations, asked instant by instant. A long random life of
 * claims, changes, releases, holds and conversions, alone and many at once, with standby shared by two sites; every
 * decision must be the model's, and the auditor must find nothing.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted, Overloaded } from '../core/errors.ts'
import { DAY_MS, FOREVER } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { auditCapacity } from './audit.ts'
import { openCapacityEngine } from './engine.ts'
import { makeParty, makeSites } from './fixtures.ts'
import type { ClaimLine } from './model.ts'

const UNITS = 20
const DAYS = 30
/** Connections broken on purpose. */
const CUTS = 100
const SEED = Number(process.env.IZUMI_SEED ?? Date.now() % 1_000_000)

const database = await testDatabase()
const party = await makeParty(database, 'operator')
const { siteIds } = await makeSites(database, { sites: 3, kinds: ['floor', 'power'], units: UNITS })
const NOW = Date.now()
let now = NOW
const engine = await openCapacityEngine(database, { clock: () => now })
// A second engine on the same database has to be followed, and follows.
const other = await openCapacityEngine(database, { clock: () => now })
after(async () => {
  await engine.close()
  await other.close()
})

let state = SEED >>> 0
const random = (below: number) => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}
const day = (index: number) => (index >= DAYS ? FOREVER : NOW + index * DAY_MS)

interface Row {
  line: ClaimLine
  from: number
  to: number
}
/** What each claim of the model holds. */
const model = new Map<string, { to: number; rows: Row[]; held: boolean }>()

/** Whether the rows fit with all others, in every single failure. */
function fits(id: string, rows: Row[]): boolean {
  const all = [...rows, ...[...model].flatMap(([claim, { rows: theirs }]) => (claim === id ? [] : theirs))]
  for (const { line } of rows) {
    const mine = all.filter((row) => row.line.siteId === line.siteId && row.line.kind === line.kind)
    for (const { from: at } of mine)
      for (const failed of [null, ...siteIds]) {
        const used = mine
          .filter((row) => row.from <= at && at < row.to)
          .filter((row) => row.line.type === 'firm' || row.line.protectsSiteId === failed)
          .reduce((sum, row) => sum + row.line.quantity, 0)
        if (used > UNITS * 1_000) return false
      }
  }
  return true
}

const randomLines = (): ClaimLine[] => {
  const siteId = siteIds[random(2)]!
  const lines: ClaimLine[] = [{ siteId, kind: 'floor', quantity: (1 + random(9)) * 1_000, type: 'firm' }]
  if (random(2)) lines.push({ siteId, kind: 'power', quantity: (1 + random(9)) * 1_000, type: 'firm' })
  if (random(2))
    lines.push({
      siteId: siteIds[2]!,
      kind: 'floor',
      quantity: (1 + random(9)) * 1_000,
      type: 'standby',
      protectsSiteId: siteId,
    })
  return lines
}

/** Rows as they are once everything from an instant on is replaced. */
const cut = (rows: Row[], at: number): Row[] =>
  rows.map((row) => ({ ...row, to: Math.min(row.to, Math.max(at, row.from)) })).filter((row) => row.from < row.to)

async function accepted(work: Promise<unknown>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof CapacityExhausted) return false
    throw error
  }
}

const claim = (on: typeof engine, lines: ClaimLine[], from: number, to: number, hold: boolean) =>
  on.claim({
    partyId: party,
    from,
    to,
    lines,
    mode: hold ? 'hold' : 'firm',
    holdUntil: hold ? NOW + 1_000 * DAY_MS : undefined,
    actor: SYSTEM,
  })

test(`a random life of claims is decided as the model decides it (IZUMI_SEED=${SEED})`, async () => {
  let admitted = 0
  let refused = 0
  for (let step = 0; step < 500; step++) {
    const on = random(2) ? engine : other
    const ids = [...model.keys()]
    const id = ids[random(Math.max(1, ids.length))]
    const what = random(10)
    if (what < 5 || id === undefined) {
      const from = day(random(DAYS - 1))
      const to = day(Math.round((from - NOW) / DAY_MS) + 1 + random(DAYS))
      const lines = randomLines()
      const rows = lines.map((line) => ({ line, from, to }))
      const hold = random(4) === 0
      const expected = fits('', rows)
      let made: string | null = null
      const was = await accepted(claim(on, lines, from, to, hold).then((outcome) => (made = outcome.id)))
      assert.equal(was, expected, `step ${step}: claim`)
      if (made) model.set(made, { to, rows, held: hold })
      if (was) admitted++
      else refused++
    } else if (what < 7) {
      const at = NOW + random(DAYS) * DAY_MS
      await on.release(id, at, SYSTEM)
      const mine = model.get(id)!
      if (at <= NOW) model.delete(id)
      else model.set(id, { ...mine, to: Math.min(mine.to, at), rows: cut(mine.rows, at) })
      if (model.get(id)?.rows.length === 0) model.delete(id)
    } else if (what < 9) {
      const mine = model.get(id)!
      const first = Math.min(...mine.rows.map((row) => row.from))
      const at = Math.max(NOW + random(DAYS) * DAY_MS, first)
      if (at >= mine.to) continue
      const lines = randomLines()
      const rows = [...cut(mine.rows, at), ...lines.map((line) => ({ line, from: at, to: mine.to }))]
      const expected = fits(id, rows)
      assert.equal(
        await accepted(on.change({ claimId: id, at, lines, actor: SYSTEM })),
        expected,
        `step ${step}: change`,
      )
      if (expected) model.set(id, { ...mine, rows })
    } else if (model.get(id)!.held) {
      await on.convert(id, SYSTEM)
      model.get(id)!.held = false
    }
  }
  assert.ok(admitted > 50 && refused > 20, `${admitted} admitted, ${refused} refused`)
  assert.deepEqual((await auditCapacity(database)).findings, [])
  const rows = await database.query<{ held: number }>(
    `select coalesce(sum(quantity * extract(epoch from least(ends_at, to_timestamp($1)) - starts_at)), 0)::float8 as held
     from reservation where starts_at < ends_at`,
    [(NOW + DAYS * DAY_MS) / 1_000],
  )
  const expected = [...model.values()]
    .flatMap((each) => each.rows)
    .reduce((sum, row) => sum + (row.line.quantity * (Math.min(row.to, NOW + DAYS * DAY_MS) - row.from)) / 1_000, 0)
  // What ended before is in the rows too: history; so the rows hold no less than the model.
  assert.ok(rows[0]!.held >= expected)
})

test('hundreds at once over two engines: never oversold, and what is refused would not have fitted', async () => {
  for (let round = 0; round < 3; round++) {
    now = NOW + round
    const asks = Array.from({ length: 200 }, () => {
      const from = day(random(DAYS - 1))
      return { lines: randomLines(), from, to: day(Math.round((from - NOW) / DAY_MS) + 1 + random(4)) }
    })
    const answers = await Promise.allSettled(
      asks.map(({ lines, from, to }, index) => claim(index % 2 ? engine : other, lines, from, to, false)),
    )
    for (const [index, answer] of answers.entries()) {
      const { lines, from, to } = asks[index]!
      if (answer.status === 'fulfilled')
        model.set(answer.value.id, { to, rows: lines.map((line) => ({ line, from, to })), held: false })
      else assert.ok(answer.reason instanceof CapacityExhausted, String(answer.reason))
    }
    for (const [index, answer] of answers.entries())
      if (answer.status === 'rejected') {
        const { lines, from, to } = asks[index]!
        assert.ok(
          !fits(
            '',
            lines.map((line) => ({ line, from, to })),
          ),
          'refused although it fits in what was admitted',
        )
      }
    assert.deepEqual((await auditCapacity(database)).findings, [])
  }
})

test('connections that break in mid-write lose nothing and do nothing twice', async () => {
  const fresh = await makeSites(database, { sites: 1, kinds: ['floor'], units: 10_000, prefix: 'break-' })
  let done = false
  const saboteur = (async () => {
    for (let cut = 0; cut < CUTS && !done; cut++) {
      await database
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and state = 'active'`,
        )
        .catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, random(40)))
    }
  })()
  let acknowledged = 0
  try {
    await Promise.all(
      Array.from({ length: 8 }, async (_, client) => {
        for (let attempt = 0; attempt < 40; ) {
          try {
            await (attempt % 2 ? engine : other).claim({
              partyId: party,
              from: NOW,
              to: FOREVER,
              lines: [{ siteId: fresh.siteIds[0]!, kind: 'floor', quantity: 1_000, type: 'firm' }],
              mode: 'firm',
              idempotencyKey: `${client}-${attempt}`,
              actor: SYSTEM,
            })
            acknowledged++
            attempt++
          } catch (error) {
            // Told to try again, a client does, under the same key.
            if (!(error instanceof Overloaded)) throw error
          }
        }
      }),
    )
  } finally {
    done = true
    await saboteur
  }
  const [row] = await database.query<{ reserved: number }>(
    `select sum(r.quantity)::float8 / 1000 as reserved from reservation r join pool p on p.id = r.pool_id where p.site_id = $1`,
    [fresh.siteIds[0]],
  )
  assert.equal(row!.reserved, acknowledged)
  assert.deepEqual((await auditCapacity(database)).findings, [])
})
