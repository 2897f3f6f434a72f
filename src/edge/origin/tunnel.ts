/**
 * A request to switch protocols (RFC 9110 §7.8), as WebSocket makes it (RFC 6455 §4): sent over a connection of its own, which
 * is the tunnel when the origin agrees.
 */
import type { OriginPhase, OriginRequest, TunnelListener } from '../message.ts'
import { parseResponseHead } from './response-head.ts'
import type { OriginServer } from './server.ts'

export function openTunnel(server: OriginServer, request: OriginRequest, listener: TunnelListener): void {
  const socket = server.open()
  let phase: OriginPhase = 'connect'
  let pending: Buffer = Buffer.alloc(0)
  let over = false
  const fail = (message: string, timedOut = false) => {
    if (over) return
    over = true
    socket.destroy()
    server.failed(Date.now())
    listener.fail({ phase, message, timedOut })
  }
  const { connectMs, firstByteMs } = server.timeouts
  socket.setNoDelay(true)
  socket.setTimeout(connectMs, () => fail('the origin did not answer in time', true))
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => fail('the origin closed the connection'))
  socket.once(server.options.tls === null ? 'connect' : 'secureConnect', () => {
    phase = 'first-byte'
    socket.setTimeout(firstByteMs)
    let head = `${request.method} ${request.target} HTTP/1.1\r\n`
    for (let i = 0; i < request.fields.length; i += 2) head += `${request.fields[i]}: ${request.fields[i + 1]}\r\n`
    socket.write(`${head}\r\n`, 'latin1')
  })
  const read = (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const head = parseResponseHead(pending, false)
      if (head === 'more') return
      if ('wrong' in head) {
        phase = 'protocol'
        fail(head.wrong)
        return
      }
      pending = pending.subarray(head.end)
      if (head.status < 200 && head.status !== 101) continue
      over = true
      server.worked()
      socket.off('data', read)
      socket.pause()
      socket.setTimeout(0)
      listener.answered(head.status, head.fields, socket, pending)
      return
    }
  }
  socket.on('data', read)
}
