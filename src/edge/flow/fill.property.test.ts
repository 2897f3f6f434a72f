/**
 * One fill, many readers, in any order of events: bytes arrive in pieces of any size while readers join, want ranges, stall, take up
 * again and leave, and purges and room run out. Whatever happens, a reader gets exactly its bytes or sees that it did not,
 * and one origin request serves all who ask before it ends. The origin and the clients are driven step by step; the flow, the
 * policy and the store are the real ones. A failure prints its seed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { EdgeRequest, Fields, OriginListener, OriginPool, Property, Reply } from '../message.ts'
import { RULES, requestOf } from '../policy/fixtures.ts'
import { EdgeStore } from '../store/store.ts'
import { Flow } from './flow.ts'

const TOTAL = 900_000
const BODY = Buffer.from(Array.from({ length: TOTAL }, (_, i) => (i * 31 + (i >> 8)) & 255))

/** A client that takes what it is given, unless it stalls. */
class Client implements Reply {
  readonly range: readonly [number, number] | null
  status = 0
  readonly got: Buffer[] = []
  outcome: 'open' | 'ended' | 'aborted' | 'left' = 'open'
  stalled = false
  closed = false
  #close: (() => void) | null = null
  #drain: (() => void) | null = null
  constructor(range: readonly [number, number] | null) {
    this.range = range
  }
  informational() {}
  head(status: number) {
    assert.equal(this.status, 0, 'one head')
    this.status = status
  }
  write(chunk: Uint8Array) {
    assert.equal(this.outcome, 'open', 'no byte after the end')
    this.got.push(Buffer.from(chunk))
    return !this.stalled
  }
  end() {
    this.#over('ended')
  }
  abort() {
    this.#over('aborted')
  }
  onDrain(callback: () => void) {
    this.#drain = callback
  }
  onClose(callback: () => void) {
    this.#close = callback
  }
  resume() {
    this.stalled = false
    this.#drain?.()
  }
  leave() {
    if (this.outcome === 'open') this.#over('left')
  }
  #over(outcome: 'ended' | 'aborted' | 'left') {
    if (this.closed) return
    this.outcome = outcome
    this.closed = true
    this.#close?.()
  }
}

/** An origin that does nothing by itself. */
class Origin implements OriginPool {
  readonly name = 'origin'
  readonly asked: { listener: OriginListener; sent: number; open: boolean; paused: boolean; range: string | null }[] =
    []
  request({ fields }: { fields: Fields }, listener: OriginListener) {
    const at = fields.indexOf('range')
    const one = { listener, sent: 0, open: true, paused: false, range: at < 0 ? null : fields[at + 1]! }
    this.asked.push(one)
    return {
      pause: () => {
        one.paused = true
      },
      resume: () => {
        one.paused = false
      },
      abort: () => {
        one.open = false
      },
    }
  }
  close() {}
}

const settle = async () => {
  for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve))
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('bytes' as const), bytes: fc.integer({ min: 1, max: 200_000 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('range' as const),
      first: fc.nat(TOTAL - 1),
      length: fc.integer({ min: 1, max: 300_000 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('stall' as const), who: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('resume' as const), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat() }) },
)

const play = async (
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
  storable: boolean,
  memoryBytes: number,
) => {
  const origin = new Origin()
  const store = new EdgeStore({ memoryBytes })
  const property: Property = {
    name: 'p',
    plan: (request) => ({
      kind: 'serve',
      target: request.target,
      originHost: null,
      key: request.host + request.target,
      keyIsPlain: true,
      caching: RULES,
      requestChanges: [],
      responseChanges: [],
      compression: [],
      pool: origin,
      errorPages: new Map(),
    }),
    plainKey: (target) => target,
  }
  const flow = new Flow({ name: 'izumi', store, properties: { find: () => property } })
  const clients: Client[] = []
  const join = (range: readonly [number, number] | null) => {
    const client = new Client(range)
    clients.push(client)
    const fields = range === null ? [] : ['range', `bytes=${range[0]}-${range[1]}`]
    const request: EdgeRequest = { ...requestOf(fields), receivedAt: Date.now() }
    flow.serve(request, client)
  }
  const feed = (bytes: number) => {
    for (const one of origin.asked) {
      if (!one.open || one.paused) continue
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(one.range ?? '') ?? [null, '0', String(TOTAL - 1)]
      const [first, last] = [Number(from), Number(to)]
      const length = last - first + 1
      if (one.sent === 0) {
        const fields = ['etag', '"a"', 'cache-control', storable ? 'max-age=60' : 'no-store']
        if (one.range === null) one.listener.head(200, fields, TOTAL)
        else one.listener.head(206, [...fields, 'content-range', `bytes ${first}-${last}/${TOTAL}`], length)
      }
      const piece = BODY.subarray(first + one.sent, first + Math.min(one.sent + bytes, length))
      if (!one.open) continue
      one.sent += piece.length
      one.listener.data(Buffer.from(piece))
      if (one.sent < length || !one.open) continue
      one.open = false
      one.listener.end()
    }
  }
  join(null)
  for (const one of steps) {
    const client = 'who' in one ? clients[one.who % clients.length]! : null
    if (one.kind === 'bytes') feed(one.bytes)
    else if (one.kind === 'join') join(null)
    else if (one.kind === 'range') join([one.first, Math.min(TOTAL - 1, one.first + one.length - 1)])
    else if (one.kind === 'stall') client!.stalled = true
    else if (one.kind === 'resume') client!.resume()
    else client!.leave()
    await settle()
  }
  for (let round = 0; round < 200 && clients.some(({ outcome }) => outcome === 'open'); round++) {
    for (const client of clients) if (client.outcome === 'open') client.resume()
    feed(100_000)
    await settle()
  }
  await store.close()
  return { clients, origin }
}

const isRight = (client: Client) => {
  const [first, last] = client.range ?? [0, TOTAL - 1]
  assert.equal(client.status, client.range === null ? 200 : 206)
  const got = Buffer.concat(client.got)
  const wanted = BODY.subarray(first, last + 1)
  if (client.outcome === 'ended')
    assert.ok(got.equals(wanted), `${got.length} bytes, not the ${wanted.length} that were asked for`)
  else assert.ok(got.equals(wanted.subarray(0, got.length)), 'what came before the break is right')
}

test('stored: everyone gets exactly what it asked for, whoever stalls or leaves', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const { clients, origin } = await play(steps, true, 64 * 1024 * 1024)
      for (const client of clients) {
        if (client.outcome === 'left') continue
        assert.equal(client.outcome, 'ended')
        isRight(client)
      }
      // Whoever wanted the whole shared one request; a range far ahead may have made its own.
      assert.equal(origin.asked.filter(({ range }) => range === null).length, 1)
    }),
    { numRuns: 60 },
  )
})

test('no room to store: nobody gets a wrong byte, and no answer stays open', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const { clients } = await play(steps, true, 1024 * 1024)
      for (const client of clients) {
        assert.notEqual(client.outcome, 'open')
        if (client.status !== 0) isRight(client)
      }
    }),
    { numRuns: 40 },
  )
})

test('not to be stored: each its own, and whole', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const { clients } = await play(steps, false, 64 * 1024 * 1024)
      for (const client of clients) {
        if (client.outcome === 'left') continue
        assert.equal(client.outcome, 'ended')
        isRight(client)
      }
    }),
    { numRuns: 40 },
  )
})
