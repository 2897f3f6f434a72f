import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DAY_MS } from '../core/time.ts'
import { history } from './history.ts'
import { BUILDINGS, containersOf, RACK_SLOTS } from './provider.ts'

const FACTS = fileURLToPath(new URL('../../data-sets/presentation-facts.json', import.meta.url))
const facts = new Map<string, number>(
  (JSON.parse(readFileSync(FACTS, 'utf8')) as { facts: { name: string; value: number }[] }).facts.map(
    ({ name, value }) => [name, value],
  ),
)

test('both buildings have exactly the steps and totals of the presentation', () => {
  const prefixes = { 'yokohama-1': 'yok', 'saitama-1': 'sai' } as Record<string, string>
  const names = { floor: 'floor', 'server-room': 'server', office: 'office', seat: 'seats' } as Record<string, string>
  for (const building of BUILDINGS)
    for (const [kind, printed] of Object.entries(names)) {
      let total = 0
      building.steps.forEach((step, index) => {
        const quantity = step.quantities[kind]!
        total += quantity
        assert.equal(
          quantity,
          facts.get(`${prefixes[building.code]}_${printed}_step${index + 1}`),
          `${building.code} ${kind} step ${index + 1}`,
        )
      })
      assert.equal(total, facts.get(`${prefixes[building.code]}_${printed}_total`), `${building.code} ${kind}`)
    }
})

test('containers hold exactly what the steps bring, and no name stands twice', () => {
  for (const building of BUILDINGS) {
    const containers = containersOf(building)
    building.steps.forEach((step, index) => {
      for (const kind of ['rack-unit', 'seat', 'port'] as const) {
        const slots = containers
          .filter((container) => container.step === index && container.kind === kind)
          .reduce((sum, container) => sum + container.slots, 0)
        assert.equal(slots, step.quantities[kind], `${building.code} ${kind} step ${index + 1}`)
      }
    })
    const names = containers.map(({ kind, name }) => `${kind} ${name}`)
    assert.equal(new Set(names).size, names.length)
    assert.ok(containers.filter(({ kind }) => kind === 'rack-unit').every(({ slots }) => slots === RACK_SLOTS))
  }
})

test('the history is the same each time, in order, and never before the opening', () => {
  const opened = Date.UTC(2026, 0, 15)
  const now = opened + 300 * DAY_MS
  const happenings = history(opened, now)
  assert.deepEqual(happenings, history(opened, now))
  assert.ok(happenings.length > 100)
  happenings.forEach((happening, index) => {
    assert.ok(happening.at >= opened && happening.at < now)
    assert.ok(index === 0 || happenings[index - 1]!.at <= happening.at)
  })
})
