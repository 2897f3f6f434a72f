/** The responder by itself: whatever bytes come, it answers in bounds or not at all; and it holds to its rate. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import packet from 'dns-packet'
import fc from 'fast-check'
import { queryBytes } from '../../../test/dns/support/ask.ts'
import { exampleState } from '../../../test/dns/support/state.ts'
import { temporaryFolder } from '../../../test/support/folder.ts'
import { compileMaps } from '../choice/maps.ts'
import { compile, wellView } from '../compile.ts'
import { makeKey, readKeyFile } from '../dnssec/key-file.ts'
import type { DnsSettings } from '../state.ts'
import { noAddress, readAddress } from '../wire/addresses.ts'
import { Cookies, sipHash } from './cookie.ts'
import { figuresBytes, readFigures } from './figures.ts'
import { Responder } from './responder.ts'

const NOW = Date.UTC(2026, 10, 24)
const folder = temporaryFolder('izumi-key-')
const key = readKeyFile(makeKey('cdn.example', folder, 257).file)
rmSync(folder, { recursive: true })

function responder(settings: DnsSettings = { rateLimit: { perSecond: 0 } }, signed = true) {
  const state = exampleState()
  state.settings = { identity: 'r1', ...settings }
  if (signed) state.zones[0]!.keys = [key]
  const fail = (path: (string | number)[], problem: string) => assert.fail(`${path}: ${problem}`)
  const view = wellView(state)
  const figures = new Float64Array(figuresBytes(10) / 8)
  const made = new Responder(compile(state, compileMaps(state, fail), view, fail), view, {
    cookieSecret: new Uint8Array(16),
    figures,
    siteSlots: [0, 1],
    keepaliveSeconds: 10,
  })
  return { made, figures: () => readFigures([figures]) }
}
const client = noAddress()
readAddress('198.51.100.7', client)

const names = [
  'shop.cdn.example',
  'www.cdn.example',
  'large.cdn.example',
  'x.wild.cdn.example',
  'no.cdn.example',
  'a.sub.cdn.example',
  'cdn.example',
  '.',
]
const types = ['A', 'AAAA', 'TXT', 'MX', 'NS', 'SOA', 'ANY', 'DS', 'DNSKEY', 'NSEC', 'RRSIG', 'HINFO']
const query = fc
  .record({
    name: fc.constantFrom(...names),
    type: fc.constantFrom(...types),
    subnet: fc.option(fc.constantFrom('203.0.113.0/24', '0.0.0.0/0', '2001:db8:7::/48', '255.255.255.255/32'), {
      nil: undefined,
    }),
    dnssec: fc.boolean(),
    udpBytes: fc.constantFrom(0, 511, 512, 600, 1_232, 4_096, 65_535),
    nsid: fc.boolean(),
    cookie: fc.option(fc.constantFrom('0102030405060708', `0102030405060708${'00'.repeat(16)}`), { nil: undefined }),
    plain: fc.boolean(),
  })
  .map(({ name, ...asking }) => queryBytes(name, asking))
/** A good query with bytes changed, cut off or added. */
const broken = fc
  .tuple(
    query,
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    fc.nat(),
    fc.uint8Array({ maxLength: 8 }),
  )
  .map(([bytes, changes, cut, more]) => {
    const changed = Buffer.from(bytes)
    for (const [at, value] of changes) changed[at % changed.length] = value
    return Buffer.concat([cut % 3 === 0 ? changed.subarray(0, cut % changed.length) : changed, more])
  })

test('any bytes: no fault of ours, an answer to the question in the bounds the client set, that another can read', () => {
  const { made, figures } = responder()
  const out = Buffer.alloc(65_535)
  fc.assert(
    fc.property(fc.oneof(query, broken, fc.uint8Array({ maxLength: 100 })), fc.boolean(), (bytes, isTcp) => {
      out.fill(0xee)
      const size = made.answer(bytes, bytes.length, client, isTcp, out, NOW)
      assert.ok(size === 0 || size >= 12)
      if (size === 0) return
      assert.equal(out.readUInt16BE(0), Buffer.from(bytes).readUInt16BE(0))
      assert.ok(out[2]! & 0x80)
      const opt = out.readUInt16BE(10)
      if (!isTcp) assert.ok(size <= asked(Buffer.from(bytes)), `${size} for ${Buffer.from(bytes).toString('hex')}`)
      // Nothing is written behind the answer.
      assert.ok(out.subarray(size, size + 100).every((byte) => byte === 0xee))
      const decoded = packet.decode(out.subarray(0, size))
      assert.equal((decoded.answers ?? []).length, out.readUInt16BE(6))
      assert.equal((decoded.additionals ?? []).length, opt)
    }),
    { numRuns: 4_000 },
  )
  assert.equal(figures().servfail, 0)
})

/** What a client takes: what its OPT record says, if it has one that is whole; never above what we send. */
function asked(bytes: Buffer): number {
  try {
    const opt = packet.decode(bytes).additionals?.find(({ type }) => type === 'OPT') as
      | { udpPayloadSize: number }
      | undefined
    return opt ? Math.min(1_232, Math.max(512, opt.udpPayloadSize)) : 512
  } catch {
    return 512
  }
}

test('names are found whatever their case, and go back with it; two bytes of letters more make another name', () => {
  const { made } = responder()
  const out = Buffer.alloc(65_535)
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }), (upper) => {
      const name = [...'shop.cdn.example'].map((each, at) => (upper[at] ? each.toUpperCase() : each)).join('')
      const size = made.answer(queryBytes(name), queryBytes(name).length, client, false, out, NOW)
      const decoded = packet.decode(out.subarray(0, size))
      assert.equal(decoded.questions![0]!.name, name)
      assert.equal(decoded.answers!.length, 2)
    }),
  )
})

test('the rate limit: so many equal answers, then every second one truncated, and a cookie lifts it', () => {
  const { made, figures } = responder({ rateLimit: { perSecond: 10, slip: 2 } }, false)
  const out = Buffer.alloc(65_535)
  const send = (bytes: Buffer, at = NOW) => {
    const size = made.answer(bytes, bytes.length, client, false, out, at)
    return size === 0 ? 'none' : out[2]! & 2 ? 'truncated' : 'whole'
  }
  const bytes = queryBytes('shop.cdn.example')
  const told = Array.from({ length: 20 }, () => send(bytes))
  assert.deepEqual(told.slice(0, 10), Array(10).fill('whole'))
  assert.deepEqual(told.slice(10), Array.from({ length: 5 }, () => ['none', 'truncated']).flat())
  // Another question, and names that are not there, have rates of their own; those last share one, so that a walk is limited.
  assert.equal(send(queryBytes('www.cdn.example')), 'whole')
  const walk = Array.from({ length: 20 }, (_, at) => send(queryBytes(`no-${at}.cdn.example`)))
  assert.equal(walk.filter((each) => each === 'whole').length, 10)
  assert.equal(send(bytes, NOW + 2_000), 'whole')
  const first = queryBytes('shop.cdn.example', { cookie: '0102030405060708' })
  const size = made.answer(first, first.length, client, true, out, NOW)
  const opt = packet.decode(out.subarray(0, size)).additionals![0] as unknown as {
    options: { code: number; data: Buffer }[]
  }
  const cookie = opt.options.find(({ code }) => code === 10)!.data.toString('hex')
  const known = Array.from({ length: 50 }, () => send(queryBytes('shop.cdn.example', { cookie })))
  assert.ok(known.every((each) => each === 'whole'))
  assert.ok(figures().limited > 0)
})

test('SipHash-2-4 gives what its paper gives, and a cookie is good for its client and its hour only', () => {
  const bytes = Uint8Array.from({ length: 15 }, (_, at) => at)
  const words = new Uint32Array(Uint8Array.from({ length: 16 }, (_, at) => at).buffer)
  const [low, high] = sipHash(words, bytes, 15)
  assert.equal((BigInt(high) << 32n) | BigInt(low), 0xa129_ca61_49be_45e5n)
  // RFC 9018, appendix A.1 and A.2.
  const cookies = new Cookies(Buffer.from('e5e973e5a6b2a43f48e7dc849e37bfcf', 'hex'))
  const given = Buffer.from('2464c4abcf10c957010000005cf79f111f8130c3eee29480', 'hex')
  readAddress('198.51.100.100', client)
  const out = new Uint8Array(24)
  cookies.write(given, client, 1_559_731_985, out, 0)
  assert.equal(Buffer.from(out).toString('hex'), given.toString('hex'))
  assert.ok(cookies.isGood(given, 24, client, 1_559_731_985 + 3_600))
  assert.ok(!cookies.isGood(given, 24, client, 1_559_731_985 + 3_601))
  readAddress('198.51.100.101', client)
  assert.ok(!cookies.isGood(given, 24, client, 1_559_731_985))
})
