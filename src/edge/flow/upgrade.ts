/**
 * Switching protocols (WebSocket): the request goes to the origin with its wish, the origin's answer comes back as it is, and from
 * then on bytes pass both ways until one side ends. Nothing of it is stored.
 */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { firstValue, without } from '../http/fields.ts'
import type { EdgeRequest, Fields, ServePlan } from '../message.ts'
import { forwarded } from './forward.ts'

/** `over` hears of it once, when it has come to its end: the status and what passed each way behind it. */
export function upgrade(
  request: EdgeRequest,
  plan: ServePlan,
  edge: string,
  client: Duplex,
  head: Buffer,
  over: (status: number, toClient: { head: number; body: number }, fromClient: number) => void,
): void {
  const { pool } = plan
  if (pool.tunnel === undefined) {
    refuseUpgrade(client, 501)
    over(501, NOTHING, 0)
    return
  }
  let answer = { status: 0, headBytes: 0 }
  const toClient = new Counted()
  const fromClient = new Counted()
  client.once('close', () =>
    over(
      answer.status,
      { head: answer.headBytes, body: toClient.bytes },
      fromClient.bytes + (answer.status === 101 ? head.length : 0),
    ),
  )
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
        const written = headBytes(status, kept)
        answer = { status, headBytes: written.length }
        client.write(written)
        if (rest.length > 0) client.write(rest)
        toClient.bytes += rest.length
        if (status === 101) {
          if (head.length > 0) socket.write(head)
          fromClient.watch(client)
          client.pipe(socket)
        }
        toClient.watch(socket)
        socket.pipe(client)
      },
      fail: (fault) => {
        answer = { status: fault.timedOut ? 504 : 502, headBytes: 0 }
        refuseUpgrade(client, answer.status)
      },
    },
  )
}

const NOTHING = { head: 0, body: 0 }

/** Bytes that a stream gave. */
class Counted {
  bytes = 0
  watch(stream: Duplex): void {
    stream.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
    })
  }
}

export function refuseUpgrade(client: Duplex, status: number): void {
  client.end(headBytes(status, ['content-length', '0', 'connection', 'close']))
}

function headBytes(status: number, fields: Fields): Buffer {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`
  return Buffer.from(`${text}\r\n`, 'latin1')
}
