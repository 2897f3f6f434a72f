/** Asks a responder or a router as a client would, and reads what comes with `dns-packet`: a decoder that none of ours helped to write. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import packet, { type DecodedPacket, type Packet } from 'dns-packet'

export interface Asking {
  type?: string
  /** `203.0.113.0/24` */
  subnet?: string
  dnssec?: boolean
  udpBytes?: number
  nsid?: boolean
  /** Hexadecimal. */
  cookie?: string
  class?: string
  /** No EDNS at all. */
  plain?: boolean
  id?: number
}

export function queryBytes(name: string, asking: Asking = {}): Buffer {
  const { type = 'A', subnet, dnssec = false, udpBytes = 1_232, nsid, cookie, plain = false, id = 4_711 } = asking
  const options: unknown[] = []
  if (subnet !== undefined) {
    const [ip, length] = subnet.split('/')
    options.push({ code: 8, ip, sourcePrefixLength: Number(length), family: ip!.includes(':') ? 2 : 1 })
  }
  if (nsid) options.push({ code: 3, data: Buffer.alloc(0) })
  if (cookie !== undefined) options.push({ code: 10, data: Buffer.from(cookie, 'hex') })
  return packet.encode({
    type: 'query',
    id,
    flags: 0,
    questions: [{ type, name, class: asking.class ?? 'IN' }],
    additionals: plain
      ? []
      : [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: udpBytes,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: dnssec ? 0x8000 : 0,
            flag_do: dnssec,
            options,
          },
        ],
  } as unknown as Packet)
}

/** What a decoded answer says, without the words of the decoder's types. */
export interface Answer {
  id: number
  rcode: string
  aa: boolean
  tc: boolean
  answers: { name: string; type: string; ttl: number; data: unknown }[]
  authorities: { name: string; type: string; ttl: number; data: unknown }[]
  additionals: { name: string; type: string; ttl: number; data: unknown }[]
  /** Addresses in the answer, as they come. */
  addresses: string[]
  opt: {
    udpPayloadSize: number
    extendedRcode: number
    flag_do: boolean
    options: { code: number; data?: Buffer; scopePrefixLength?: number; sourcePrefixLength?: number; ip?: string }[]
  } | null
  scope: number | null
  bytes: number
}

export function readAnswer(bytes: Buffer): Answer {
  const decoded = packet.decode(bytes) as DecodedPacket & { rcode: string; flag_aa: boolean; flag_tc: boolean }
  const opt = (decoded.additionals ?? []).find(({ type }) => type === 'OPT') as unknown as Answer['opt'] | undefined
  const answers = (decoded.answers ?? []) as unknown as Answer['answers']
  return {
    id: decoded.id ?? 0,
    rcode: decoded.rcode,
    aa: decoded.flag_aa,
    tc: decoded.flag_tc,
    answers,
    authorities: (decoded.authorities ?? []) as unknown as Answer['answers'],
    additionals: ((decoded.additionals ?? []) as unknown as Answer['answers']).filter(({ type }) => type !== 'OPT'),
    addresses: answers.filter(({ type }) => type === 'A' || type === 'AAAA').map(({ data }) => data as string),
    opt: opt ?? null,
    scope: opt?.options.find(({ code }) => code === 8)?.scopePrefixLength ?? null,
    bytes: bytes.length,
  }
}

/** How long an answer is waited for before the test fails. */
const ANSWER_MS = 5_000

/** Sends one datagram and waits for one. Null: nothing came within `waitMs`. */
export async function askUdpRaw(address: string, query: Buffer, waitMs = ANSWER_MS): Promise<Buffer | null> {
  const { host, port } = splitAddress(address)
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  try {
    socket.send(query, port, host)
    const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(waitMs) })) as [Buffer]
    return bytes
  } catch (error) {
    if ((error as Error).name === 'AbortError') return null
    throw error
  } finally {
    socket.close()
  }
}

export async function ask(address: string, name: string, asking: Asking = {}): Promise<Answer> {
  const bytes = await askUdpRaw(address, queryBytes(name, asking))
  if (bytes === null) throw new Error(`no answer for ${name}`)
  return readAnswer(bytes)
}

/** One socket for many questions, one after the other. */
export class Conversation {
  readonly #socket: Socket
  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async open(address: string): Promise<Conversation> {
    const { host, port } = splitAddress(address)
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    socket.connect(port, host)
    await once(socket, 'connect')
    return new Conversation(socket)
  }

  async ask(query: Buffer): Promise<Buffer> {
    const came = once(this.#socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS) })
    this.#socket.send(query)
    return ((await came) as [Buffer])[0]
  }

  close(): void {
    this.#socket.close()
  }
}

/** Sends the bytes given over one connection and reads so many answers. */
export async function askTcpRaw(address: string, chunks: readonly Buffer[], answers: number): Promise<Buffer[]> {
  const { host, port } = splitAddress(address)
  const socket = connect(port, host)
  const found: Buffer[] = []
  let bytes = Buffer.alloc(0)
  const done = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      while (bytes.length >= 2 && bytes.length - 2 >= bytes.readUInt16BE(0)) {
        found.push(Buffer.from(bytes.subarray(2, 2 + bytes.readUInt16BE(0))))
        bytes = bytes.subarray(2 + bytes.readUInt16BE(0))
      }
      if (found.length >= answers) resolve()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve())
  })
  for (const chunk of chunks) socket.write(chunk)
  await done
  socket.destroy()
  return found
}

export function framed(query: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(query.length)
  return Buffer.concat([length, query])
}

function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) }
}
