/** Raw bytes over a connection, and answers read from them: for tests that care about each byte. */
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  /** Lines in lower case, sorted. */
  fields: string[]
  body: string
  /** False when the connection ended inside it. */
  whole: boolean
}

/** Sends the pieces one after the other, closes its half, and gives all that came until the other side closed. */
export function exchange(port: number, pieces: readonly string[], halfClose = true): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const got: Buffer[] = []
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => got.push(chunk))
    // A reset after the answers is as good as a close; what came counts.
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(Buffer.concat(got).toString('latin1')))
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed || !socket.writable) return
        await new Promise<void>((sent) => socket.write(piece, 'latin1', () => sent()))
        await new Promise((turn) => setImmediate(turn))
      }
      if (halfClose && socket.writable) socket.end()
    })
  })
}

/** Splits what a server said into answers; `methods` are those of the requests, in order. */
export function answersIn(text: string, methods: readonly string[]): Answer[] {
  const answers: Answer[] = []
  let at = 0
  let index = 0
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end < 0) {
      answers.push({ status: 0, fields: [], body: text.slice(at), whole: false })
      break
    }
    const [line, ...lines] = text.slice(at, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line!)?.[1] ?? 0)
    const fields = lines.map((each) => each.toLowerCase()).sort()
    at = end + 4
    if (status >= 100 && status < 200) continue
    const method = methods[index++] ?? 'GET'
    // Who cannot read a request does not know that it is HEAD, so a refusal may have its text all the same.
    const isRefusal = method === 'HEAD' && status >= 400 && fields.includes('connection: close')
    const bodyless = (method === 'HEAD' && !isRefusal) || status === 204 || status === 304
    const length = /^content-length: (\d+)$/m.exec(fields.join('\n'))?.[1]
    let body = ''
    let whole = true
    if (!bodyless && length !== undefined) {
      body = text.slice(at, at + Number(length))
      if (isRefusal && !body.startsWith(String(status))) body = ''
      whole = isRefusal || body.length === Number(length)
      at += body.length
    } else if (!bodyless && fields.includes('transfer-encoding: chunked')) {
      whole = false
      while (at < text.length) {
        const lineEnd = text.indexOf('\r\n', at)
        const size = Number.parseInt(text.slice(at, lineEnd), 16)
        at = lineEnd + 2
        body += text.slice(at, at + size)
        at += size + 2
        if (size === 0) {
          whole = true
          break
        }
      }
    } else if (!bodyless) {
      body = text.slice(at)
      at = text.length
    }
    answers.push({ status, fields, body, whole })
  }
  return answers
}
