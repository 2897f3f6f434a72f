import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testDatabase } from '../../test/support/database.ts'
import { CapacityExhausted } from '../core/errors.ts'
import { FOREVER } from '../core/time.ts'
import { SYSTEM } from '../database/events.ts'
import { openCapacityEngine } from './engine.ts'
import { makeContainers, makeParty, makeSites } from './fixtures.ts'
import type { ClaimRequest } from './model.ts'

const database = await testDatabase()
const party = await makeParty(database, 'operator')
const other = await makeParty(database, 'other', party)
const { siteIds, poolIds } = await makeSites(database, { sites: 2, kinds: ['floor', 'slot-rack'], units: 1_000 })
const pool = poolIds.get(`${siteIds[0]}/slot-rack`)!
const racks = await makeContainers(
  database,
  pool,
  ['A', 'A', 'B', 'C'].map((faultDomain, index) => ({ name: `R${index}`, slots: 10, faultDomain })),
)
const engine = await openCapacityEngine(database)
after(() => engine.close())

const rack = (lines: number, more: Partial<ClaimRequest> = {}, site = 0) =>
  engine.claim({
    partyId: party,
    from: Date.now(),
    to: FOREVER,
    lines: Array.from({ length: lines }, () => ({
      siteId: siteIds[site]!,
      kind: 'slot-rack',
      quantity: 2_000,
      type: 'firm' as const,
    })),
    mode: 'firm',
    actor: SYSTEM,
    ...more,
  })
const containers = (claim: Awaited<ReturnType<typeof rack>>) =>
  claim.lines.map(({ assignment }) => racks.indexOf(assignment!.containerId))

test('anti-affinity keeps claims of a party apart by fault domain, all at once too', async () => {
  const antiAffinity = { scope: 'fault-domain' as const }
  const made = await Promise.all([1, 2, 3].map(() => rack(1, { antiAffinity })))
  assert.deepEqual(made.flatMap(containers).sort(), [0, 2, 3])
  await assert.rejects(rack(1, { antiAffinity }), CapacityExhausted)
  // Another party, and the same one without the wish, are free to.
  assert.deepEqual(containers(await rack(1, { partyId: other, antiAffinity })), [0])
  assert.deepEqual(containers(await rack(1)), [0])
  // Only away from one claim that is named.
  const named = await rack(1, { antiAffinity: { scope: 'fault-domain', claims: [made[0]!.id] } })
  assert.notEqual(containers(named)[0], containers(made[0]!)[0])
})

test('lines of one claim keep apart, and affinity joins what is there', async () => {
  const apart = await rack(3, { partyId: other, antiAffinity: { scope: 'container' } })
  assert.equal(new Set(containers(apart)).size, 3)
  const together = await rack(1, { affinity: { scope: 'container', claims: [apart.id] } })
  assert.ok(containers(apart).includes(containers(together)[0]!))
  await assert.rejects(rack(1, { antiAffinity: { scope: 'site' } }), /ruled out/)
  await rack(1, { antiAffinity: { scope: 'site' } }, 1)
  await assert.rejects(rack(1, { affinity: { scope: 'site', claims: [apart.id] } }, 1), /ruled out/)
})
