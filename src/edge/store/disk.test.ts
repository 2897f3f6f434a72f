/**
 * The store with a disk below it: what comes back after a restart or a crash is what was stored and not purged, byte for
 * byte; damaged files give nothing wrong; room is bounded; objects larger than memory pass through it.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PurgeSelector, StoredHead, StoredObject } from '../message.ts'
import { SWEPT_ENTRIES } from './disk/journal.ts'
import { covers } from './purges.ts'
import { type EdgeStore, openStore } from './store.ts'
import { StoreFault } from './stored.ts'

const MEGABYTE = 1024 * 1024
let clock = 1_000

const headOf = (url: string, more: Partial<StoredHead> = {}): StoredHead => ({
  status: 200,
  fields: ['content-type', 'text/plain', 'x-name', url],
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

/** A body that tells where each byte belongs: another object's or another place's would differ. */
function bodyOf(name: string, bytes: number): Buffer {
  const body = Buffer.alloc(bytes)
  let hash = 0
  for (const char of name) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0
  for (let at = 0; at + 4 <= bytes; at += 4) body.writeUInt32LE((hash ^ Math.imul(at, 2654435761)) >>> 0, at)
  return body
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'izumi-store-'))
  try {
    await work(folder)
  } finally {
    // Twice: the store may still be giving a segment back, which makes the first stop half-way.
    for (let turn = 0; turn < 2; turn++) rmSync(folder, { recursive: true, force: true })
  }
}

const open = (folder: string, memoryBytes = 8 * MEGABYTE, sizeBytes = 64 * MEGABYTE): Promise<EdgeStore> =>
  openStore({ memoryBytes, disk: { folder, sizeBytes }, now: () => ++clock })

function put(store: EdgeStore, key: string, body: Buffer, more: Partial<StoredHead> = {}): StoredObject | null {
  const recording = store.record(key, headOf(key.split('?')[0]!, more))
  for (let at = 0; at < body.length; at += 40_000) recording.write(body.subarray(at, at + 40_000))
  const object = recording.commit()
  recording.close()
  return object
}

async function bytesOf(object: StoredObject, first: number, last: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of object.read(first, last)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('every history comes back after a restart and after a crash at any point of it', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ put: fc.nat(9), bytes: fc.constantFrom(0, 1, 5_000, 65_536, 65_537, 2_500_000) }),
    },
    { weight: 1, arbitrary: fc.record({ freshen: fc.nat(9) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        selector: fc.constantFrom<PurgeSelector>(
          { tag: 'even' },
          { tag: 'odd', soft: true },
          { url: 'http://a.example/1' },
          { url: 'a.example/2', soft: true },
          { prefix: 'a.example/3' },
          { property: 'shop' },
          { all: true, soft: true },
        ),
      }),
    },
    { weight: 2, arbitrary: fc.constantFrom('flush' as const, 'sweep' as const, 'restart' as const, 'crash' as const) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await inFolder(async (outer) => {
        let folder = join(outer, '0')
        let store = await open(folder)
        let model = new Map<string, { head: StoredHead; body: Buffer; soft: boolean; flushed: boolean }>()
        const check = async () => {
          for (let at = 0; at < 10; at++) {
            const key = `a.example/${at}`
            const expected = model.get(key)
            const object = store.find(key)[0]
            if (expected === undefined) {
              assert.equal(object, undefined, `${key} must not be there`)
              continue
            }
            assert.ok(object, `${key} must be there`)
            assert.deepEqual(object.head, expected.head)
            assert.equal(object.softPurgedAt !== null, expected.soft, `${key} soft`)
            const length = expected.body.length
            if (length > 0) assert.ok((await bytesOf(object, 0, length - 1)).equals(expected.body), `${key} body`)
          }
          assert.equal(store.stats().objects, model.size)
        }
        const flush = async () => {
          await store.flushed()
          for (const entry of model.values()) entry.flushed = true
        }
        for (const [at, each] of steps.entries()) {
          if (typeof each === 'string') {
            if (each === 'flush') await flush()
            else if (each === 'sweep') await store.swept()
            else if (each === 'restart') {
              await flush()
              await store.close()
              store = await open(folder)
            } else {
              // The files as they are in this instant are what a process that was ended would leave.
              const next = join(outer, String(at + 1))
              await flush()
              cpSync(folder, next, { recursive: true })
              await store.close()
              folder = next
              store = await open(folder)
            }
            await check()
          } else if ('put' in each) {
            const key = `a.example/${each.put}`
            const body = bodyOf(key + at, each.bytes)
            const object = put(store, key, body, { tags: [each.put % 2 === 0 ? 'even' : 'odd'] })
            assert.ok(object)
            model.set(key, { head: object.head, body, soft: false, flushed: false })
          } else if ('freshen' in each) {
            const key = `a.example/${each.freshen}`
            const object = store.find(key)[0]
            if (object === undefined) continue
            const head = headOf(key, { tags: object.head.tags, lifetimeSeconds: at })
            store.freshen(object, head)
            const entry = model.get(key)!
            model.set(key, { ...entry, head, soft: false, flushed: false })
          } else {
            store.purge(each.selector)
            const left = new Map<string, { head: StoredHead; body: Buffer; soft: boolean; flushed: boolean }>()
            for (const [key, entry] of model)
              if (!covers(each.selector, key, entry.head)) left.set(key, entry)
              else if (each.selector.soft) left.set(key, { ...entry, soft: true })
            model = left
          }
        }
        await check()
        await store.close()
      })
    }),
    { numRuns: 40 },
  )
})

test('damaged files: what is read is right or a StoreFault, never wrong bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      async (damage, cut) => {
        await inFolder(async (folder) => {
          const store = await open(folder)
          for (let at = 0; at < 8; at++) put(store, `a.example/${at}`, bodyOf(`${at}`, 30_000 * (at + 1)))
          put(store, 'a.example/large', bodyOf('large', 3 * MEGABYTE))
          await store.close()
          const segments = readdirSync(folder).filter((name) => name.startsWith('segment'))
          for (const name of segments) {
            const bytes = readFileSync(join(folder, name))
            for (const [where, value] of damage) bytes[where % bytes.length] = value
            writeFileSync(join(folder, name), cut ? bytes.subarray(0, damage[0]![0] % bytes.length) : bytes)
          }
          const again = await open(folder)
          for (const [name, bytes] of [
            ...Array.from({ length: 8 }, (_, at) => [`${at}`, 30_000 * (at + 1)] as const),
            ['large', 3 * MEGABYTE] as const,
          ]) {
            const object = again.find(`a.example/${name}`)[0]
            if (object === undefined) continue
            assert.deepEqual(object.head.fields.slice(0, 3), ['content-type', 'text/plain', 'x-name'])
            try {
              assert.ok((await bytesOf(object, 0, bytes - 1)).equals(bodyOf(name, bytes)))
            } catch (error) {
              if (!(error instanceof StoreFault)) throw error
              assert.equal(again.find(`a.example/${name}`).length, 0, 'what cannot be read is not stored')
            }
          }
          await again.close()
        })
      },
    ),
    { numRuns: 25 },
  )
})

test('ranges of a large object are read from anywhere in it, also while it is recorded', async () => {
  await inFolder(async (folder) => {
    const store = await open(folder)
    const body = bodyOf('large', 5 * MEGABYTE + 12_345)
    const recording = store.record('a.example/l', headOf('a.example/l'))
    const part = async (first: number, last: number) => {
      const chunks: Buffer[] = []
      for await (const chunk of recording.read(first, last)) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    for (let at = 0; at < body.length; at += 50_000) {
      assert.ok(recording.write(body.subarray(at, at + 50_000)))
      if (at % 500_000 === 0) {
        const last = recording.writtenBytes - 1
        const first = Math.floor(last / 3)
        assert.ok((await part(first, last)).equals(body.subarray(first, last + 1)))
      }
    }
    const object = recording.commit()!
    assert.equal(object.body, null)
    assert.ok((await part(0, body.length - 1)).equals(body))
    recording.close()
    await store.flushed()
    await fc.assert(
      fc.asyncProperty(fc.nat(body.length - 1), fc.nat(body.length - 1), async (a, b) => {
        const [first, last] = a < b ? [a, b] : [b, a]
        assert.ok((await bytesOf(object, first, last)).equals(body.subarray(first, last + 1)))
      }),
      { numRuns: 50 },
    )
    await assert.rejects(bytesOf(object, 0, body.length), StoreFault)
    await store.close()
  })
})

test('the disk is bounded, what is used survives, and what leaves memory is read back', async () => {
  await inFolder(async (folder) => {
    const size = 48 * MEGABYTE
    const store = await open(folder, 4 * MEGABYTE, size)
    const used = bodyOf('used', 100_000)
    put(store, 'a.example/used', used)
    for (let at = 0; at < 2_000; at++) {
      put(store, `a.example/${at}`, bodyOf(`${at}`, 100_000))
      if (at % 20 === 0) {
        await store.flushed()
        const object = store.find('a.example/used')[0]
        assert.ok(object, `still there after ${at}`)
        store.use(object)
        assert.ok((await bytesOf(object, 0, used.length - 1)).equals(used))
      }
      const { diskBytes, memoryBytes } = store.stats()
      assert.ok(diskBytes <= size && memoryBytes <= 4 * MEGABYTE, `${diskBytes} ${memoryBytes}`)
    }
    await store.flushed()
    const files = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
    assert.ok(files <= size + 100_000, `${files}`)
    assert.ok(store.stats().objects > 150, `${store.stats().objects}`)
    assert.equal(store.stats().lost, 0)
    // All that is said to be there is there.
    let read = 0
    for (let at = 0; at < 2_000; at++) {
      const object = store.find(`a.example/${at}`)[0]
      if (object === undefined) continue
      read++
      assert.ok((await bytesOf(object, 0, 99_999)).equals(bodyOf(`${at}`, 100_000)))
    }
    assert.ok(read > 150)
    await store.close()
  })
})

test('an object far larger than memory passes through it and is served from disk', async () => {
  await inFolder(async (folder) => {
    const store = await open(folder, 4 * MEGABYTE, 512 * MEGABYTE)
    const bytes = 100 * MEGABYTE
    const recording = store.record('a.example/huge', headOf('a.example/huge', { bodyBytes: bytes }))
    const chunk = bodyOf('chunk', 250_000)
    for (let at = 0; at < bytes; ) {
      const piece = chunk.subarray(0, Math.min(chunk.length, bytes - at))
      assert.ok(recording.write(Buffer.from(piece)))
      at += piece.length
      const { memoryBytes, recordingBytes, backlogBytes } = store.stats()
      assert.ok(memoryBytes! + recordingBytes! <= 6 * MEGABYTE && backlogBytes! <= 65 * MEGABYTE)
      // An origin is no faster than the loop turns.
      await new Promise((resolve) => setImmediate(resolve))
    }
    const object = recording.commit()!
    recording.close()
    let at = 0
    for await (const piece of object.read(0, bytes - 1)) {
      for (let from = 0; from < piece.length; from += 100_003)
        assert.equal(piece[from], chunk[(at + from) % chunk.length])
      at += piece.length
    }
    assert.equal(at, bytes)
    await store.close()
  })
})

test('many purges leave a short journal behind once they were swept', async () => {
  await inFolder(async (folder) => {
    const store = await open(folder)
    for (let at = 0; at < 50; at++) put(store, `a.example/${at}`, Buffer.from('x'), { tags: ['t'] })
    for (let at = 0; at < 5_000; at++) store.purge({ tag: at % 2 === 0 ? 't' : `t${at}` })
    await store.swept()
    const lines = readFileSync(join(folder, 'purges'), 'utf8').split('\n').length
    assert.ok(lines <= SWEPT_ENTRIES + 1, `${lines} lines`)
    await store.close()
    const again = await open(folder)
    assert.equal(again.stats().objects, 0)
    assert.equal(again.stats().purges, 5_000)
    put(again, 'a.example/1', Buffer.from('x'), { tags: ['t'] })
    again.purge({ tag: 't' })
    assert.equal(again.find('a.example/1').length, 0)
    await again.close()
  })
})

test('while segments are cleared under load, heads change and purges come: nothing is wrong, nothing leaks', async () => {
  await inFolder(async (folder) => {
    let store = await open(folder, 4 * MEGABYTE, 40 * MEGABYTE)
    const sizes = [300, 20_000, 90_000, 1_300_000]
    const latest = new Map<string, string>()
    const right = async (object: StoredObject) => {
      const version = latest.get(object.key)!
      const bytes = sizes[Number(object.key.split('/')[1]) % sizes.length]!
      assert.ok((await bytesOf(object, 0, bytes - 1)).equals(bodyOf(version, bytes)), `${object.key} ${version}`)
    }
    let seed = 7
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return (seed >>> 8) % below
    }
    for (let turn = 0; turn < 1_200; turn++) {
      const number = random(300)
      const key = `a.example/${number}`
      const object = store.find(key)[0]
      const dice = random(10)
      if (object === undefined || dice === 0) {
        const version = `${key} ${turn}`
        if (put(store, key, bodyOf(version, sizes[number % sizes.length]!), { tags: [`t${number % 7}`] }) !== null)
          latest.set(key, version)
      } else if (dice < 3) store.freshen(object, headOf(key, { tags: object.head.tags, lifetimeSeconds: turn }))
      else if (dice === 3 && random(20) === 0) store.purge({ tag: `t${random(7)}` })
      else if (dice === 4) store.remove(object)
      else {
        store.use(object)
        // Also what is evicted or moved while it is read is right, or a StoreFault.
        await right(object).catch((error: unknown) => {
          if (!(error instanceof StoreFault)) throw error
        })
      }
      if (turn % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      // Fills wait for a disk that is behind.
      if (store.stats().backlogBytes! > 8 * MEGABYTE) await store.flushed()
      assert.ok(store.stats().diskBytes <= 40 * MEGABYTE)
    }
    await store.flushed()
    const { objects, diskClearedBytes, lost } = store.stats()
    assert.ok(diskClearedBytes! > 0, 'segments were cleared')
    assert.equal(lost, 0)
    await store.close()
    store = await open(folder, 4 * MEGABYTE, 40 * MEGABYTE)
    let found = 0
    for (const key of latest.keys())
      for (const object of store.find(key)) {
        found++
        await right(object)
      }
    assert.ok(found > 0.9 * objects && found <= objects, `${found} of ${objects} came back`)
    store.purge({ all: true })
    await store.swept()
    await store.flushed()
    // Every byte that was counted is given back: only the segment that is being written is left.
    assert.ok(store.stats().diskBytes <= 2.1 * MEGABYTE, `${store.stats().diskBytes} bytes are left`)
    await store.close()
  })
})
