/**
 * An origin on a bare socket that keeps every byte it received and reads it by RFC 9112 alone: what it read twice, or could
 * read in another way, is a fault of whoever stands before it.
 */

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'

export interface Received {
  line: string
  /** Name and value as they came. */
  lines: string[]
  body: string
}

export class RecordingOrigin {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  received: Received[] = []
  /** What no server should be sent. */
  faults: string[] = []

  private constructor() {
    this.#server = createServer((socket) => this.#read(socket))
  }

  static async start(): Promise<RecordingOrigin> {
    const origin = new RecordingOrigin()
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve))
    return origin
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  forget(): void {
    this.received = []
    this.faults = []
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #read(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      for (;;) {
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = text.slice(0, end)
        const [line = '', ...lines] = head.split('\r\n')
        const framed = this.#framed(line, lines, head, text.slice(end + 4))
        if (framed === null) return
        text = text.slice(end + 4 + framed.bytes)
        this.received.push({ line, lines, body: framed.body })
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok')
      }
    })
  }

  /** The body that the head announces, or null while it is not all there. */
  #framed(line: string, lines: readonly string[], head: string, rest: string): { body: string; bytes: number } | null {
    const fault = (what: string) => this.faults.push(`${what}: ${JSON.stringify(head.slice(0, 300))}`)
    if (!/^[A-Z]+ \/[\x21-\x7e]* HTTP\/1\.1$/.test(line)) fault('odd request line')
    const isControl = (code: number) => (code < 0x20 && code !== 9) || code === 0x7f
    if ([...head.replaceAll('\r\n', '')].some((each) => isControl(each.charCodeAt(0)))) fault('control bytes')
    const values = (name: string) => lines.filter((each) => new RegExp(`^${name}:`, 'i').test(each))
    for (const each of lines) if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:/.test(each)) fault('odd field line')
    // A reader that is lenient about the name must come to the same.
    const lookAlikes = lines.filter((each) => /^\W*transfer.encoding\W/i.test(each))
    const codings = values('transfer-encoding')
    const lengths = values('content-length')
    if (values('host').length !== 1) fault('not one Host')
    if (lengths.length > 1 || codings.length > 1 || (codings.length > 0 && lengths.length > 0)) fault('two framings')
    if (lookAlikes.length > codings.length && lengths.length > 0) fault('a look-alike beside Content-Length')
    if (codings.length > 0) {
      if (!/^transfer-encoding: chunked$/i.test(codings[0]!)) fault('odd coding')
      let body = ''
      let at = 0
      for (;;) {
        const size = /^([0-9a-f]{1,8})\r\n/i.exec(rest.slice(at, at + 12))
        if (size === null) return null
        const bytes = Number.parseInt(size[1]!, 16)
        at += size[0].length
        if (rest.length < at + bytes + 2) return null
        body += rest.slice(at, at + bytes)
        at += bytes + 2
        if (bytes === 0) return { body, bytes: at }
      }
    }
    const bytes = lengths.length === 0 ? 0 : Number(/^content-length: (\d+)$/i.exec(lengths[0]!)?.[1] ?? Number.NaN)
    if (Number.isNaN(bytes)) fault('odd length')
    return rest.length < bytes ? null : { body: rest.slice(0, bytes), bytes }
  }
}
