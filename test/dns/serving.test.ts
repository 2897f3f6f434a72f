/** Sockets under a burst: every query has its own answer, whether read one by one or many at a time, by IPv4 and IPv6, on one worker or two. */
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { startDns } from '../../src/dns/main.ts'
import { framed, queryBytes, readAnswer } from './support/ask.ts'
import { exampleState } from './support/state.ts'

/** Together they fit the receive buffer that every system gives. */
const BURST = 80
const BURSTS = 5

async function burst(host: string, port: number): Promise<void> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    for (let round = 0; round < BURSTS; round++) {
      const waiting = new Map<number, string>()
      const done = new Promise<void>((resolve) => {
        socket.on('message', (bytes) => {
          const { id, addresses } = readAnswer(bytes)
          assert.equal(addresses[0], waiting.get(id), `answer ${id}`)
          waiting.delete(id)
          if (waiting.size === 0) resolve()
        })
      })
      for (let id = 1; id <= BURST; id++) {
        const isNear = id % 3 === 0
        waiting.set(id, isNear ? '198.51.100.1' : tokyoFirst)
        // Among them queries without an answer, which must not shift the others.
        if (id % 7 === 0) socket.send(Buffer.from([0, 0, 0x80]), port, host)
        socket.send(
          queryBytes('shop.cdn.example', { id, subnet: isNear ? '203.0.113.0/24' : '198.18.0.0/24' }),
          port,
          host,
        )
      }
      await done
      socket.removeAllListeners('message')
    }
  } finally {
    socket.close()
  }
}
let tokyoFirst = ''

const hasV6 = Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'))

for (const [workers, batches] of [
  [1, true],
  [1, false],
  [2, true],
] as const)
  test(`${workers} worker${workers > 1 ? 's' : ''}, ${batches ? 'many datagrams at a time' : 'each by itself'}`, async () => {
    const listen = ['127.0.0.1:0', ...(hasV6 ? ['[::1]:0'] : [])]
    const dns = await startDns({ state: exampleState() }, { listen, workers, batches })
    try {
      tokyoFirst = dns
        .explain('shop.cdn.example', '198.18.0.1')
        .find(({ step }) => step === 'answer')!
        .outcome.split(',')[0]!
      for (const address of dns.addresses.dns) {
        const at = address.lastIndexOf(':')
        const host = address.slice(0, at).replace(/[[\]]/g, '')
        await Promise.all([1, 2].map(() => burst(host, Number(address.slice(at + 1)))))
      }
      const { udp, dropped, sendFailed, servfail } = dns.figures()
      const sent = dns.addresses.dns.length * 2 * BURSTS
      assert.deepEqual(
        [udp, dropped, sendFailed, servfail],
        [sent * (BURST + Math.floor(BURST / 7)), sent * Math.floor(BURST / 7), 0, 0],
      )
    } finally {
      await dns.close()
    }
  })

test('a connection that sends what is no query is closed, one that stays silent holds up nobody, and one client has only so many', async () => {
  const dns = await startDns({ state: exampleState() }, { listen: '127.0.0.1:0', workers: 1 })
  const port = Number(dns.addresses.dns[0]!.split(':')[1])
  try {
    const wrong = connect(port, '127.0.0.1')
    wrong.write(framed(Buffer.alloc(5)))
    await once(wrong, 'close')
    const open = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'))
    await Promise.all(open.map((socket) => once(socket, 'connect')))
    const more = connect(port, '127.0.0.1')
    more.on('error', () => {})
    await once(more, 'close')
    assert.equal(dns.figures().tcpRefused, 1)
    open[0]!.write(framed(queryBytes('cdn.example', { type: 'SOA' })))
    const [bytes] = (await once(open[0]!, 'data')) as [Buffer]
    assert.equal(readAnswer(bytes.subarray(2)).answers.length, 1)
    for (const socket of open) socket.destroy()
  } finally {
    await dns.close()
  }
})
