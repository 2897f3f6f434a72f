/**
 * The store against a model that knows nothing of scopes or numbers: a plain list of responses and a list of every purge
 * ever made, compared after each step of random histories.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PurgeSelector, StoredHead, StoredObject } from '../message.ts'
import { covers, RECENT_PURGES } from './purges.ts'
import { EdgeStore } from './store.ts'

let clock = 1_000
const headOf = (url: string, more: Partial<StoredHead> = {}): StoredHead => ({
  status: 200,
  fields: ['content-type', 'text/plain'],
  requestMethod: 'GET',
  vary: [],
  requestTime: ++clock,
  responseTime: clock,
  correctedInitialAgeSeconds: 0,
  lifetimeSeconds: 60,
  bodyBytes: null,
  range: null,
  tags: [],
  groups: [],
  property: 'shop',
  url,
  ...more,
})

const open = (memoryBytes = 10_000_000) => new EdgeStore({ memoryBytes, now: () => ++clock })

function put(store: EdgeStore, key: string, head: StoredHead, body = 'body'): StoredObject | null {
  const recording = store.record(key, head)
  recording.write(Buffer.from(body))
  const object = recording.commit()
  recording.close()
  return object
}

async function textOf(object: StoredObject): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of object.read(0, (object.body?.length ?? 1) - 1)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const HOSTS = ['a.example', 'b.example']
const property = (host: string) => (host === 'a.example' ? 'shop' : 'news')
const arbitraryUrl = fc
  .tuple(fc.constantFrom(...HOSTS), fc.array(fc.constantFrom('x', 'y', 'xx'), { maxLength: 3 }))
  .map(([host, path]) => `${host}/${path.join('/')}`)
const arbitraryPut = fc.record({
  url: arbitraryUrl,
  query: fc.constantFrom('', '?q=1', '\nextra'),
  tags: fc.uniqueArray(fc.constantFrom('t1', 't2', 't12'), { maxLength: 2 }),
  groups: fc.uniqueArray(fc.constantFrom('g1', 'g2'), { maxLength: 2 }),
})
const arbitrarySelector: fc.Arbitrary<PurgeSelector> = fc
  .tuple(
    fc.oneof(
      fc.tuple(arbitraryUrl, fc.constantFrom('', '?q=1')).map(([url, query]) => ({ url: url + query })),
      fc.record({ tag: fc.constantFrom('t1', 't2', 't12') }),
      fc.record({ tag: fc.constantFrom('t1', 't2'), property: fc.constantFrom('shop', 'news') }),
      fc.record({ group: fc.constantFrom('g1', 'g2'), origin: fc.constantFrom(...HOSTS) }),
      arbitraryUrl.map((prefix) => ({ prefix })),
      fc.record({ property: fc.constantFrom('shop', 'news') }),
      fc.constant({ all: true as const }),
    ),
    fc.boolean(),
  )
  .map(([selector, soft]) => ({ ...selector, soft }))

test('what is found is what was stored and not purged since, in every history', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 3, arbitrary: arbitraryPut }, { weight: 1, arbitrary: arbitrarySelector }), {
        maxLength: 40,
      }),
      (steps) => {
        const store = open()
        const model = new Map<string, { head: StoredHead; soft: boolean }>()
        for (const step of steps) {
          if ('query' in step) {
            const key = step.url + step.query
            const head = headOf(step.url, {
              tags: step.tags,
              groups: step.groups,
              property: property(step.url.split('/')[0]!),
            })
            put(store, key, head)
            model.set(key, { head, soft: false })
          } else {
            store.purge(step)
            for (const [key, entry] of model)
              if (covers(step, key, entry.head)) {
                if (step.soft) entry.soft = true
                else model.delete(key)
              }
          }
          for (const host of HOSTS)
            for (const [key] of model) if (key.startsWith(host)) assert.equal(store.find(key).length, 1, key)
        }
        for (const [key, { soft }] of model) assert.equal(store.find(key)[0]?.softPurgedAt !== null, soft, key)
        // Whatever the model does not hold is not found either.
        for (const step of steps)
          if ('query' in step && !model.has(step.url + step.query))
            assert.equal(store.find(step.url + step.query).length, 0)
        assert.equal(
          [...new Set(steps.flatMap((step) => ('query' in step ? [step.url + step.query] : [])))].filter(
            (key) => store.find(key).length > 0,
          ).length,
          model.size,
        )
        assert.equal(store.stats().objects, model.size)
      },
    ),
    { numRuns: 300 },
  )
})

test('scopes are gone once no object lies under them', () => {
  const store = open()
  for (let at = 0; at < 100; at++)
    put(store, `a.example/d${at}/f`, headOf(`a.example/d${at}/f`, { tags: [`t${at}`], groups: ['g'] }))
  store.purge({ all: true })
  for (let at = 0; at < 100; at++) store.find(`a.example/d${at}/f`)
  assert.equal(store.stats().objects, 0)
  assert.equal(store.purge({ all: true }).objects, 0)
  assert.equal(store.scopeCount(), 0)
})

test('a purge during a fill keeps the filled object out; a soft one lets it in stale', () => {
  for (const soft of [false, true]) {
    const store = open()
    const recording = store.record('a.example/x', headOf('a.example/x', { tags: ['t'] }))
    recording.write(Buffer.from('old'))
    store.purge({ tag: 't', soft })
    const object = recording.commit()
    if (soft) assert.notEqual(object?.softPurgedAt, null)
    else assert.equal(object, null)
  }
})

test('a purge between the request and the head of its answer counts as during the fill', () => {
  const store = open()
  const head = headOf('a.example/x')
  store.purge({ prefix: 'a.example/' })
  assert.equal(put(store, 'a.example/x', head), null)
  assert.notEqual(put(store, 'a.example/x', headOf('a.example/x')), null)
})

test('a fill slower than the purges that are remembered is not stored', () => {
  const store = open()
  const recording = store.record('a.example/x', headOf('a.example/x'))
  for (let at = 0; at < RECENT_PURGES; at++) store.purge({ tag: 'another' })
  assert.equal(recording.commit(), null)
})

test('a head confirmed by a 304 that was asked for before a soft purge stays stale', () => {
  const store = open()
  const object = put(store, 'a.example/x', headOf('a.example/x'))!
  const asked = headOf('a.example/x')
  store.purge({ url: 'http://a.example/x', soft: true })
  store.freshen(object, asked)
  assert.notEqual(object.softPurgedAt, null)
  store.freshen(object, headOf('a.example/x', { tags: ['new'] }))
  assert.equal(object.softPurgedAt, null)
  store.purge({ tag: 'new' })
  assert.equal(store.find('a.example/x').length, 0)
})

test('a 304 does not bring back what a purge took', () => {
  const store = open()
  const object = put(store, 'a.example/x', headOf('a.example/x'))!
  store.purge({ all: true })
  store.freshen(object, headOf('a.example/x'))
  assert.equal(store.find('a.example/x').length, 0)
  assert.equal(store.stats().objects, 0)
})

test('variants and ranges lie side by side; the same one is replaced, a whole one replaces ranges', () => {
  const store = open()
  const vary = (value: string) => headOf('a.example/x', { vary: ['accept-language', value] })
  put(store, 'a.example/x', vary('en'), 'one')
  put(store, 'a.example/x', vary('ja'), 'two')
  put(store, 'a.example/x', vary('en'), 'three')
  assert.deepEqual(
    store.find('a.example/x').map(({ body }) => body!.toString()),
    ['three', 'two'],
  )
  const range = (first: number, last: number) => headOf('a.example/y', { range: { first, last, total: 100 } })
  put(store, 'a.example/y', range(0, 3))
  put(store, 'a.example/y', range(4, 7))
  assert.equal(store.find('a.example/y').length, 2)
  put(store, 'a.example/y', headOf('a.example/y'))
  assert.equal(store.find('a.example/y').length, 1)
})

test('room is bounded, what is used stays, and what is evicted can be read on', async () => {
  const store = open(1_000_000)
  const kept = put(store, 'a.example/kept', headOf('a.example/kept'), 'k'.repeat(5_000))!
  for (let at = 0; at < 1_000; at++) {
    store.use(kept)
    put(store, `a.example/${at}`, headOf(`a.example/${at}`), 'x'.repeat(5_000))
    assert.ok(store.stats().memoryBytes <= 1_000_000)
  }
  assert.equal(store.find('a.example/kept').length, 1)
  const first = put(store, 'a.example/f', headOf('a.example/f'), 'first')!
  store.remove(first)
  assert.equal(await textOf(first), 'first')
})

test('recordings that are too large, or too many at once, are refused and cost nothing', async () => {
  const store = open(100_000)
  const large = store.record('a.example/large', headOf('a.example/large'))
  assert.equal(large.write(Buffer.alloc(20_000)), true)
  assert.equal(large.write(Buffer.alloc(20_000)), false)
  assert.equal(large.commit(), null)
  large.close()
  const announced = store.record('a.example/large', headOf('a.example/large', { bodyBytes: 90_000 }))
  assert.equal(announced.write(Buffer.alloc(1)), false)
  announced.abort()
  announced.close()
  const many = Array.from({ length: 10 }, (_, at) => store.record(`a.example/${at}`, headOf(`a.example/${at}`)))
  assert.ok(many.filter((recording) => recording.write(Buffer.alloc(10_000))).length <= 3)
  for (const recording of many) {
    recording.abort()
    recording.close()
  }
  assert.equal(store.stats().recordingBytes, 0)
})

test('a reader of a recording reads on after it is stored', async () => {
  const store = open()
  const recording = store.record('a.example/x', headOf('a.example/x'))
  recording.write(Buffer.from('abc'))
  recording.write(Buffer.from('defgh'))
  const collect = async (first: number, last: number) => {
    let text = ''
    for await (const chunk of recording.read(first, last)) text += chunk.toString()
    return text
  }
  assert.equal(await collect(1, 6), 'bcdefg')
  assert.equal(recording.commit()?.body?.toString(), 'abcdefgh')
  assert.equal(await collect(2, 3), 'cd')
  recording.close()
  await assert.rejects(collect(0, 1), /not kept/)
})
