/**
 * Switching protocols (WebSocket): the request goes to the origin with its wish, the origin's answer comes back as it is, and from
 * then on bytes pass both ways until one side ends. Nothing of it is stored.
 */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { firstValue, without } from '../http/fields.ts'
import type { EdgeRequest, Fields, ServePlan } from '../message.ts'
import { forwarded } from './forward.ts'

export function upgrade(request: EdgeRequest, plan: ServePlan, edge: string, client: Duplex, head: Buffer): void {
  const { pool } = plan
  if (pool.tunnel === undefined) {
    refuseUpgrade(client, 501)
    return
  }
  const asked = firstValue(request.fields, 'upgrade') ?? 'websocket'
  const fields = [...forwarded(request, request.fields, plan, edge, false), 'connection', 'Upgrade', 'upgrade', asked]
  let origin: Duplex | null = null
  client.on('error', () => client.destroy())
  client.on('close', () => origin?.destroy())
  pool.tunnel(
    { method: request.method, target: plan.target, fields, body: null, bodyBytes: null, key: plan.key },
    {
      answered: (status, answerFields, socket, rest) => {
        origin = socket
        if (client.destroyed) {
          socket.destroy()
          return
        }
        socket.on('error', () => client.destroy())
        socket.on('close', () => client.destroy())
        const kept = status === 101 ? answerFields : [...without(answerFields, ['connection']), 'connection', 'close']
        client.write(headBytes(status, kept))
        if (rest.length > 0) client.write(rest)
        if (status === 101) {
          if (head.length > 0) socket.write(head)
          client.pipe(socket)
        }
        socket.pipe(client)
      },
      fail: (fault) => refuseUpgrade(client, fault.timedOut ? 504 : 502),
    },
  )
}

export function refuseUpgrade(client: Duplex, status: number): void {
  client.end(headBytes(status, ['content-length', '0', 'connection', 'close']))
}

function headBytes(status: number, fields: Fields): Buffer {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`
  return Buffer.from(`${text}\r\n`, 'latin1')
}
