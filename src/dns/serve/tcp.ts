/**
 * DNS over TCP (RFC 7766): queries may follow each other without waiting, answers go back in order, many to one write. A connection has
 * limits: how long it may be idle, how much it may leave unread, and how many there may be at once.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { noAddress, readAddress } from '../wire/addresses.ts'
import type { Answerer } from './answerer.ts'

/** RFC 7766 §6.2.3: seconds, and less when there are many. */
export const IDLE_SECONDS = 10
/** Connections of one worker; the one that is idle longest makes room. */
const CONNECTIONS = 2_000
/** Of one client address, so that it cannot have them all. */
const CONNECTIONS_OF_CLIENT = 100
/** Answers not read by the client before its queries wait. */
const UNREAD_BYTES = 256 * 1024

export interface TcpServer {
  readonly address: AddressInfo
  close(): void
}

export async function openTcp(host: string, port: number, reusePort: boolean, answerer: Answerer): Promise<TcpServer> {
  const open = new Set<Socket>()
  const byClient = new Map<string, number>()
  const server = createServer({ noDelay: true }, (socket) => {
    const address = socket.remoteAddress ?? ''
    const client = noAddress()
    const mine = byClient.get(address) ?? 0
    if (mine >= CONNECTIONS_OF_CLIENT || !readAddress(address, client)) {
      answerer.count('tcpRefused')
      socket.destroy()
      return
    }
    if (open.size >= CONNECTIONS) {
      // In the order of their last query: the first is idle longest.
      const oldest = open.values().next().value!
      oldest.destroy()
    }
    open.add(socket)
    byClient.set(address, mine + 1)
    answerer.count('tcpConnections')
    socket.setTimeout(IDLE_SECONDS * 1_000, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => {
      open.delete(socket)
      const left = byClient.get(address)! - 1
      if (left === 0) byClient.delete(address)
      else byClient.set(address, left)
    })
    let rest: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      open.delete(socket)
      open.add(socket)
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      const answers: Buffer[] = []
      let at = 0
      while (bytes.length - at >= 2) {
        const length = bytes.readUInt16BE(at)
        if (bytes.length - at - 2 < length) break
        const answer = answerer.answer(bytes.subarray(at + 2, at + 2 + length), length, client, true)
        at += 2 + length
        // What is no query at all gets no more of this connection.
        if (answer === null) {
          socket.destroy()
          return
        }
        const framed = Buffer.alloc(answer.length + 2)
        framed.writeUInt16BE(answer.length, 0)
        framed.set(answer, 2)
        answers.push(framed)
      }
      rest = Buffer.from(bytes.subarray(at))
      if (answers.length > 0) socket.write(Buffer.concat(answers))
      if (socket.writableLength > UNREAD_BYTES) {
        socket.pause()
        socket.once('drain', () => socket.resume())
      }
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, reusePort, ipv6Only: host.includes(':') }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', () => answerer.failed())
  return {
    address: server.address() as AddressInfo,
    close: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
