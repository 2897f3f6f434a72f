/**
 * A pool of one origin over Node's own client: the plain way, kept for TLS and as the reference for the hand-written one.
 */
import { Agent, type IncomingMessage, request as send } from 'node:http'
import { endToEnd } from '../http/fields.ts'
import type { OriginExchange, OriginFault, OriginListener, OriginPool, OriginRequest } from '../message.ts'

export class NodePool implements OriginPool {
  readonly name: string
  readonly #host: string
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 })

  constructor(name: string, host: string, port: number) {
    this.name = name
    this.#host = host
    this.#port = port
  }

  request(asked: OriginRequest, listener: OriginListener): OriginExchange {
    let over = false
    let answer: IncomingMessage | null = null
    const fail = (fault: OriginFault) => {
      if (over) return
      over = true
      listener.fail(fault)
    }
    const headers: string[] = [...asked.fields]
    if (asked.body !== null && asked.bodyBytes !== null) headers.push('content-length', String(asked.bodyBytes))
    else if (asked.body !== null) headers.push('transfer-encoding', 'chunked')
    const sent = send({
      host: this.#host,
      port: this.#port,
      agent: this.#agent,
      method: asked.method,
      path: asked.target,
      headers: headers as unknown as Record<string, string>,
      setHost: false,
    })
    sent.on('information', ({ statusCode, rawHeaders }) => {
      if (statusCode !== 100 && !over) listener.informational(statusCode, lower(rawHeaders))
    })
    sent.on('response', (message) => {
      answer = message
      const length = message.headers['content-length']
      listener.head(
        message.statusCode!,
        endToEnd(lower(message.rawHeaders)),
        length === undefined ? null : Number(length),
      )
      message.on('data', (chunk: Buffer) => {
        if (!over) listener.data(chunk)
      })
      message.on('end', () => {
        if (over) return
        over = true
        listener.end()
      })
      message.on('error', (error) => fail({ phase: 'body', message: error.message, timedOut: false }))
    })
    sent.on('error', (error) => fail({ phase: 'first-byte', message: error.message, timedOut: false }))
    if (asked.body === null) sent.end()
    else asked.body.pipe(sent)
    return {
      pause: () => answer?.pause(),
      resume: () => answer?.resume(),
      abort: () => {
        over = true
        sent.destroy()
      },
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}

function lower(rawFields: readonly string[]): string[] {
  return rawFields.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text.trim()))
}
