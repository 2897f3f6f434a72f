/**
 * One UDP socket: each datagram in, its answer out at once, and with it whatever else waits (batch.ts). Nothing is queued here; what the kernel
 * cannot take is lost, as UDP may.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { noAddress, readAddress } from '../wire/addresses.ts'
import type { Answerer } from './answerer.ts'
import { Batch } from './batch.ts'

/** Room in the kernel for queries that come while another is answered. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024

export interface SocketOptions {
  reusePort: boolean
  batches: boolean
}

export interface UdpServer {
  readonly address: AddressInfo
  close(): void
}

export async function openUdp(
  host: string,
  port: number,
  { reusePort, batches }: SocketOptions,
  answerer: Answerer,
): Promise<UdpServer> {
  const isV6 = host.includes(':')
  const socket: Socket = createSocket({
    type: isV6 ? 'udp6' : 'udp4',
    reusePort,
    ipv6Only: isV6,
    // Answers go to addresses, never to names: no look-up, and no tick in between.
    lookup: (address, _options, done) => done(null, address, isV6 ? 6 : 4),
  })
  const client = noAddress()
  const ignore = () => {}
  let batch: Batch | null = null
  socket.on('message', (query: Buffer, from: RemoteInfo) => {
    if (!readAddress(from.address, client)) return
    const answer = answerer.answer(query, query.length, client, false)
    if (answer === null) {
      batch?.drain()
      return
    }
    // The socket may keep what it is given until the kernel has room, so every answer has bytes of its own.
    const out = Buffer.from(answer)
    socket.send(out, 0, out.length, from.port, from.address, ignore)
    batch?.drain()
  })
  socket.on('error', () => answerer.failed())
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ port, address: host }, () => {
      socket.off('error', reject)
      resolve()
    })
  })
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
  } catch {
    // The system allows less.
  }
  if (batches) batch = await Batch.open(socket, answerer)
  return { address: socket.address() as AddressInfo, close: () => socket.close() }
}
