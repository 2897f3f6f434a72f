/** What a router answers over the wire, read by a decoder that is not ours. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Dns, startDns } from '../../src/dns/main.ts'
import { ask, askTcpRaw, askUdpRaw, framed, queryBytes, readAnswer } from './support/ask.ts'
import { exampleState } from './support/state.ts'

let dns: Dns
let at: string

before(async () => {
  dns = await startDns({ state: exampleState() }, { listen: '127.0.0.1:0', workers: 1 })
  at = dns.addresses.dns[0]!
})
after(() => dns.close())

test('a routed name leads each client network to its site, with the scope of that', async () => {
  const tokyo = ['192.0.2.1', '192.0.2.2']
  const osaka = ['198.51.100.1']
  for (const [subnet, addresses, scope] of [
    ['203.0.113.5/32', osaka, 25],
    ['203.0.113.200/32', tokyo, 25],
    ['203.0.113.0/24', osaka, 25],
    ['198.18.0.0/15', tokyo, 5],
    ['2001:db8:7:1::/64', osaka, 48],
    ['2001:db8:8::/48', tokyo, 45],
  ] as const) {
    const answer = await ask(at, 'shop.cdn.example', { subnet })
    assert.equal(answer.rcode, 'NOERROR')
    assert.ok(answer.aa)
    assert.deepEqual(answer.addresses.sort(), addresses, subnet)
    assert.equal(answer.scope, scope, subnet)
    assert.equal(answer.answers[0]!.ttl, 20)
  }
})

test('without a subnet, and with one of length 0, the resolver itself counts, for everybody', async () => {
  const plain = await ask(at, 'shop.cdn.example')
  assert.equal(plain.scope, null)
  assert.equal(plain.addresses.length, 2)
  const shy = await ask(at, 'shop.cdn.example', { subnet: '0.0.0.0/0' })
  assert.equal(shy.scope, 0)
  assert.deepEqual(shy.addresses, plain.addresses)
})

test('records, chains, wildcards, delegations, and what is not there', async () => {
  const chain = await ask(at, 'WWW.cdn.example', { subnet: '203.0.113.5/32' })
  assert.deepEqual(
    chain.answers.map(({ name, type, data }) => [name, type, data]),
    [
      ['WWW.cdn.example', 'CNAME', 'shop.cdn.example'],
      ['shop.cdn.example', 'A', '198.51.100.1'],
    ],
  )
  assert.equal(chain.scope, 25)
  assert.equal((await ask(at, 'loop-1.cdn.example')).answers.length, 9)
  assert.deepEqual(
    (await ask(at, 'away.cdn.example')).answers.map(({ type }) => type),
    ['CNAME'],
  )
  assert.deepEqual((await ask(at, 'a.b.wild.cdn.example')).addresses, ['192.0.2.99'])
  const sub = await ask(at, 'x.sub.cdn.example')
  assert.deepEqual(
    [sub.aa, sub.answers.length, sub.authorities[0]!.data, sub.additionals[0]!.data],
    [false, 0, 'ns.sub.cdn.example', '192.0.2.77'],
  )
  for (const [name, type, rcode] of [
    ['no.cdn.example', 'A', 'NXDOMAIN'],
    ['in.the.cdn.example', 'A', 'NOERROR'],
    ['mail.cdn.example', 'AAAA', 'NOERROR'],
    // A name below one that exists is covered by no wildcard of a name above it.
    ['x.deep.in.the.cdn.example', 'A', 'NXDOMAIN'],
  ] as const) {
    const answer = await ask(at, name, { type })
    assert.equal(answer.rcode, rcode, name)
    assert.equal(answer.answers.length, 0)
    assert.deepEqual(
      answer.authorities.map(({ type, ttl }) => [type, ttl]),
      [['SOA', 60]],
      name,
    )
  }
  assert.equal((await ask(at, 'www.other.example')).rcode, 'REFUSED')
  const mail = await ask(at, 'mail.cdn.example', { type: 'MX' })
  assert.deepEqual(
    mail.answers.map(({ data }) => data),
    [
      { preference: 10, exchange: 'mx1.cdn.example' },
      { preference: 20, exchange: 'mx2.elsewhere.example' },
    ],
  )
  const srv = await ask(at, '_sip._tcp.cdn.example', { type: 'SRV' })
  assert.deepEqual(srv.answers[0]!.data, { priority: 0, weight: 5, port: 5060, target: 'sip.cdn.example' })
  const caa = await ask(at, 'ca.cdn.example', { type: 'CAA' })
  assert.equal((caa.answers[0]!.data as { value: string }).value, 'ca.example')
  const any = await ask(at, 'cdn.example', { type: 'ANY' })
  assert.deepEqual(
    any.answers.map(({ type, data }) => [type, (data as { cpu: string }).cpu]),
    [['HINFO', 'RFC8482']],
  )
  assert.equal((await ask(at, 'cdn.example', { type: 'AXFR' })).rcode, 'REFUSED')
})

test('too large for a datagram comes truncated, and whole by TCP; many queries on one connection in order', async () => {
  const small = await ask(at, 'large.cdn.example', { type: 'TXT', plain: true })
  assert.deepEqual([small.tc, small.answers.length], [true, 0])
  assert.ok(small.bytes <= 512)
  const edns = await ask(at, 'large.cdn.example', { type: 'TXT', udpBytes: 65_535 })
  assert.ok(edns.tc && edns.bytes <= 1_232)
  const queries = [1, 2, 3].map((id) => framed(queryBytes('large.cdn.example', { type: 'TXT', id })))
  const whole = Buffer.concat(queries)
  // Cut where it hurts: inside a length, inside a query.
  const answers = await askTcpRaw(at, [whole.subarray(0, 1), whole.subarray(1, 30), whole.subarray(30)], 3)
  assert.deepEqual(
    answers.map((bytes) => [readAnswer(bytes).id, readAnswer(bytes).answers.length]),
    [
      [1, 12],
      [2, 12],
      [3, 12],
    ],
  )
})

test('identity, version, cookies', async () => {
  const named = await ask(at, 'cdn.example', { type: 'SOA', nsid: true })
  assert.equal(named.opt!.options.find(({ code }) => code === 3)!.data!.toString(), 'r1')
  const chaos = await ask(at, 'version.bind', { type: 'TXT', class: 'CH' })
  assert.equal(String((chaos.answers[0]!.data as Buffer[])[0]), 'izumi')
  assert.equal((await ask(at, 'hostname.bind', { type: 'A', class: 'CH' })).rcode, 'REFUSED')
  const first = await ask(at, 'cdn.example', { type: 'SOA', cookie: '0102030405060708' })
  const cookie = first.opt!.options.find(({ code }) => code === 10)!.data!
  assert.equal(cookie.length, 24)
  assert.equal(cookie.subarray(0, 8).toString('hex'), '0102030405060708')
  const before = dns.figures().cookieGood
  await ask(at, 'cdn.example', { type: 'SOA', cookie: cookie.toString('hex') })
  assert.equal(dns.figures().cookieGood, before + 1)
  cookie[20]! ^= 1
  await ask(at, 'cdn.example', { type: 'SOA', cookie: cookie.toString('hex') })
  assert.equal(dns.figures().cookieGood, before + 1)
})

test('what is wrong is answered with what is wrong, and answers are not answered', async () => {
  const code = async (bytes: Buffer) => (await askUdpRaw(at, bytes))![3]! & 15
  const good = queryBytes('cdn.example', { plain: true })
  const notify = Buffer.from(good)
  notify[2] = 0x20
  assert.equal(await code(notify), 4)
  assert.equal(await code(good.subarray(0, good.length - 1)), 1)
  assert.equal(await code(Buffer.concat([good, Buffer.from([0])])), 1)
  const pointer = Buffer.from(good)
  pointer[12] = 0xc0
  assert.equal(await code(pointer), 1)
  const version = queryBytes('cdn.example')
  version[version.length - 5] = 1
  const refused = readAnswer((await askUdpRaw(at, version))!)
  assert.equal(refused.opt!.extendedRcode, 1)
  const subnet = queryBytes('shop.cdn.example', { subnet: '203.0.113.0/24' })
  subnet[subnet.length - 1] = 1
  subnet[subnet.length - 5] = 23
  assert.equal(await code(subnet), 1)
  const answer = Buffer.from(good)
  answer[2] = 0x80
  const dropped = dns.figures().dropped
  await askUdpRaw(at, answer, 50)
  await ask(at, 'cdn.example')
  assert.equal(dns.figures().dropped, dropped + 1)
})

test('a new state is in force when apply resolves; a wrong one changes nothing', async () => {
  const state = exampleState()
  state.edges![2]!.drained = true
  await dns.apply(state)
  assert.deepEqual((await ask(at, 'shop.cdn.example', { subnet: '203.0.113.5/32' })).addresses.length, 2)
  const wrong = exampleState()
  wrong.properties![0]!.names = ['shop.other.example']
  await assert.rejects(dns.apply(wrong), /lies in none of the zones/)
  assert.equal((await ask(at, 'shop.cdn.example')).rcode, 'NOERROR')
  await dns.apply(exampleState())
  assert.deepEqual((await ask(at, 'shop.cdn.example', { subnet: '203.0.113.5/32' })).addresses, ['198.51.100.1'])
})
