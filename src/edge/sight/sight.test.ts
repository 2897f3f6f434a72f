import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { CacheResult, EdgeRequest, Finished } from '../message.ts'
import { SLOT_MS } from './account.ts'
import { Sight } from './sight.ts'
import { Slots, slotOf } from './slots.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-sight-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const request: EdgeRequest = {
  method: 'GET',
  scheme: 'https',
  host: 'a.example',
  authority: 'a.example',
  target: '/x',
  version: '1.1',
  fields: ['host', 'a.example', 'user-agent', 'x'.repeat(9_000)],
  client: { address: '192.0.2.1', port: 1 },
  receivedAt: 1_700_000_000_000,
  body: null,
}
const finished = (
  status: number,
  result: CacheResult,
  bodyBytesSent: number,
  property: string | null = 'shop',
): Finished => ({
  request,
  property,
  status,
  result,
  bodyBytesSent,
  headBytesSent: 0,
  headMs: 1,
  totalMs: 2,
  complete: true,
})

test('what is counted survives an end without warning, but for what came since the last second', async () => {
  const at = join(folder, 'usage')
  const first = new Sight({ folder: at, log: null })
  first.finished(finished(200, 'miss', 1_000))
  first.finished(finished(404, 'hit', 10))
  first.tick(Date.now())
  first.finished(finished(200, 'hit', 77)) // never written: the process is gone
  const slot = new Slots(at).list()[0]!
  // And the end came in the middle of a line.
  appendFileSync(join(at, `${slot}.jsonl`), '{"property":"shop","requests":9')

  const second = new Sight({ folder: at, log: null })
  second.finished(finished(502, 'error', 5))
  second.tick(slot + 1)
  const [usage] = new Slots(at).usage(slot)
  assert.deepEqual(
    { requests: usage!.requests, bytesOut: usage!.bytesOut, byClass: usage!.byClass, hits: usage!.byResult.hit },
    { requests: 3, bytesOut: 1_015, byClass: [0, 1, 0, 1, 1], hits: 1 },
  )
  assert.equal(usage!.peakRequestsPerSecond, 2)
  await Promise.all([first.close(), second.close()])
})

test('a slot ends on the clock; the next begins at nothing, totals go on', async () => {
  const at = join(folder, 'turn')
  const sight = new Sight({ folder: at, log: null })
  sight.finished(finished(200, 'hit', 1))
  const now = Date.now()
  sight.tick(now)
  sight.tick(slotOf(now) + SLOT_MS)
  sight.finished(finished(200, 'hit', 2, null))
  sight.finished(finished(200, 'hit', 3))
  sight.tick(slotOf(now) + SLOT_MS + 1_000)
  assert.deepEqual(
    new Slots(at).usage(slotOf(now)).map(({ property, bytesOut }) => [property, bytesOut]),
    [['shop', 1]],
  )
  assert.deepEqual(
    new Slots(at).usage(slotOf(now) + SLOT_MS).map(({ property, bytesOut }) => [property, bytesOut]),
    [
      ['shop', 3],
      ['-', 2],
    ],
  )
  assert.match(sight.metrics(0), /izumi_edge_bytes_out_total\{property="shop"\} 4\n/)
  assert.match(sight.metrics(0), /izumi_edge_results_total\{property="-",result="hit"\} 1\n/)
  assert.deepEqual(
    sight.top().map(({ property, requests }) => [property, requests]),
    [
      ['shop', 2],
      ['-', 1],
    ],
  )
  await sight.close()
})

test('a slot file that holds mostly the past is written anew', () => {
  const at = join(folder, 'anew')
  const slots = new Slots(at)
  const sight = new Sight({ folder: null, log: null })
  const { slot } = sight.account('shop')
  const lines = () => readFileSync(join(at, '0.jsonl'), 'utf8').trim().split('\n').length
  for (let i = 1; i <= 5_000; i++) {
    slot.add(200, 'hit', 1, 1)
    slots.write(0, [['shop', slot]], () => [['shop', slot]])
  }
  assert.ok(lines() < 1_000, `${lines()} lines`)
  assert.equal(new Slots(at).usage(0)[0]!.requests, 5_000)
})

test('the access log writes one in so many, bounded, and goes on in a new file when the old one is moved', async () => {
  const file = join(folder, 'access.log')
  const sight = new Sight({ folder: null, log: { file, sample: 0.25 } })
  for (let i = 0; i < 10; i++) sight.finished(finished(200, 'hit', i))
  await sight.close()
  const lines = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.map(({ bytes }) => bytes),
    [3, 7],
  )
  assert.deepEqual(
    { ...lines[0], userAgent: lines[0].userAgent.length },
    {
      time: '2023-11-14T22:13:20.000Z',
      client: '192.0.2.1',
      property: 'shop',
      method: 'GET',
      scheme: 'https',
      host: 'a.example',
      target: '/x',
      version: '1.1',
      status: 200,
      result: 'hit',
      bytes: 3,
      headMs: 1,
      totalMs: 2,
      complete: true,
      userAgent: 512,
      standsFor: 4,
    },
  )
})
