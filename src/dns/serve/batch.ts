/**
 * Many datagrams with one call to the kernel (recvmmsg and sendmmsg of Linux, by way of Node's foreign functions): the event loop says that
 * something has come and brings the first; whatever else waits is read here, answered in place and sent together. It halves what a query
 * costs under load and changes nothing otherwise. Where it cannot be had (another system, a Node without it, `batches: false`)
 * the socket goes on alone.
 *
 * Two things are not public: the foreign functions are experimental, and the number of the socket's file is taken from its handle. Both are
 * tried when the socket is opened, with a datagram that has to come through whole; whatever fails there turns this off.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { endianness } from 'node:os'
import { noAddress } from '../wire/addresses.ts'
import type { Answerer } from './answerer.ts'

/** Datagrams of one call. */
const MESSAGES = 64
/** Calls in a row before others (TCP, timers) have their turn. */
const ROUNDS = 16
/** A longer query is no query. */
const QUERY_BYTES = 4_096
/** More than any answer by UDP. */
const ANSWER_BYTES = 2_048

const MSG_DONTWAIT = 0x40
const AF_INET = 2
const AF_INET6 = 10

/** struct sockaddr_in6, with room. */
const NAME_BYTES = 32
const V4_NAME_BYTES = 16
const V6_NAME_BYTES = 28
/** struct iovec { void *base; size_t length } */
const IOV_BYTES = 16
/** struct mmsghdr { struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }; unsigned length } on 64 bits. */
const HEADER_BYTES = 64
const HEADER_WORDS = HEADER_BYTES / 4
const NAMELEN_WORD = 2
const FLAGS_WORD = 12
const LENGTH_WORD = 14
const MSG_TRUNC = 0x20
const IOV_LENGTH_WORD = 2

interface Calls {
  recvmmsg(file: number, messages: bigint, count: number, flags: number, timeout: bigint): number
  sendmmsg(file: number, messages: bigint, count: number, flags: number): number
}

/** The part of `node:ffi` that is used; its types are not published yet. */
interface ForeignFunctions {
  dlopen(library: string, functions: Record<string, { arguments: string[]; return: string }>): { functions: unknown }
  getRawPointer(memory: ArrayBuffer): bigint
}

/** Memory that the kernel knows by its address: kept from the collector for as long as the batch is. */
class Memory {
  readonly bytes: Buffer
  readonly words: Uint32Array
  readonly at: bigint

  constructor(foreign: ForeignFunctions, sizeBytes: number) {
    const memory = new ArrayBuffer(sizeBytes)
    this.bytes = Buffer.from(memory)
    this.words = new Uint32Array(memory)
    this.at = foreign.getRawPointer(memory)
  }
}

/** Headers, each with a name and one piece of data. */
class Messages {
  readonly headers: Memory
  readonly pieces: Memory

  constructor(foreign: ForeignFunctions, names: Memory, data: Memory, dataBytes: number) {
    this.headers = new Memory(foreign, MESSAGES * HEADER_BYTES)
    this.pieces = new Memory(foreign, MESSAGES * IOV_BYTES)
    for (let each = 0; each < MESSAGES; each++) {
      const header = each * HEADER_BYTES
      this.pieces.bytes.writeBigUInt64LE(data.at + BigInt(each * dataBytes), each * IOV_BYTES)
      this.pieces.bytes.writeBigUInt64LE(BigInt(dataBytes), each * IOV_BYTES + 8)
      this.headers.bytes.writeBigUInt64LE(names.at + BigInt(each * NAME_BYTES), header)
      this.headers.bytes.writeUInt32LE(NAME_BYTES, header + 8)
      this.headers.bytes.writeBigUInt64LE(this.pieces.at + BigInt(each * IOV_BYTES), header + 16)
      this.headers.bytes.writeBigUInt64LE(1n, header + 24)
    }
  }
}

export class Batch {
  readonly #calls: Calls
  readonly #file: number
  readonly #answerer: Answerer
  readonly #names: Memory
  readonly #inData: Memory
  readonly #outData: Memory
  readonly #in: Messages
  readonly #out: Messages
  readonly #queries: Uint8Array[]
  readonly #answers: Uint8Array[]
  readonly #client = noAddress()

  private constructor(foreign: ForeignFunctions, calls: Calls, file: number, answerer: Answerer) {
    this.#calls = calls
    this.#file = file
    this.#answerer = answerer
    // An answer goes back to where its query came from: in and out share their names, and answers take the places of their queries.
    this.#names = new Memory(foreign, MESSAGES * NAME_BYTES)
    this.#inData = new Memory(foreign, MESSAGES * QUERY_BYTES)
    this.#outData = new Memory(foreign, MESSAGES * ANSWER_BYTES)
    this.#in = new Messages(foreign, this.#names, this.#inData, QUERY_BYTES)
    this.#out = new Messages(foreign, this.#names, this.#outData, ANSWER_BYTES)
    const cut = (memory: Memory, bytes: number) =>
      Array.from({ length: MESSAGES }, (_, at) => new Uint8Array(memory.bytes.buffer, at * bytes, bytes))
    this.#queries = cut(this.#inData, QUERY_BYTES)
    this.#answers = cut(this.#outData, ANSWER_BYTES)
  }

  /** Null where it cannot be had. */
  static async open(socket: Socket, answerer: Answerer): Promise<Batch | null> {
    if (process.platform !== 'linux' || endianness() !== 'LE' || !['x64', 'arm64'].includes(process.arch)) return null
    try {
      const foreign = (await import('node:ffi' as string)) as ForeignFunctions
      const calls = foreign.dlopen('libc.so.6', {
        recvmmsg: { arguments: ['i32', 'u64', 'u32', 'i32', 'u64'], return: 'i32' },
        sendmmsg: { arguments: ['i32', 'u64', 'u32', 'i32'], return: 'i32' },
      }).functions as Calls
      if (!(await works(foreign, calls))) return null
      return new Batch(foreign, calls, fileOf(socket), answerer)
    } catch {
      return null
    }
  }

  static over(foreign: ForeignFunctions, calls: Calls, file: number, answerer: Answerer): Batch {
    return new Batch(foreign, calls, file, answerer)
  }

  /** Answers all that waits, within bounds. */
  drain(): void {
    for (let round = 0; round < ROUNDS; round++) {
      const count = this.#calls.recvmmsg(this.#file, this.#in.headers.at, MESSAGES, MSG_DONTWAIT, 0n)
      if (count <= 0) return
      const answers = this.#answer(count)
      if (answers > 0) {
        const sent = this.#calls.sendmmsg(this.#file, this.#out.headers.at, answers, MSG_DONTWAIT)
        for (let lost = Math.max(sent, 0); lost < answers; lost++) this.#answerer.failed()
      }
      if (count < MESSAGES) return
    }
  }

  /** Answers so many queries; how many have an answer. Those stand first. */
  #answer(count: number): number {
    const inWords = this.#in.headers.words
    const outWords = this.#out.headers.words
    const outPieces = this.#out.pieces.words
    const names = this.#names.bytes
    const client = this.#client
    let answers = 0
    for (let at = 0; at < count; at++) {
      const header = at * HEADER_WORDS
      const length = inWords[header + LENGTH_WORD]!
      inWords[header + NAMELEN_WORD] = NAME_BYTES
      if (inWords[header + FLAGS_WORD]! & MSG_TRUNC) continue
      const name = at * NAME_BYTES
      const family = names[name]!
      if (family === AF_INET) {
        client.isV6 = false
        client.a = wordAt(names, name + 4)
        client.b = client.c = client.d = 0
      } else if (family === AF_INET6) {
        client.isV6 = true
        client.a = wordAt(names, name + 8)
        client.b = wordAt(names, name + 12)
        client.c = wordAt(names, name + 16)
        client.d = wordAt(names, name + 20)
      } else continue
      const size = this.#answerer.answerInto(this.#queries[at]!, length, client, this.#answers[answers]!)
      if (size === 0) continue
      const nameBytes = family === AF_INET ? V4_NAME_BYTES : V6_NAME_BYTES
      // A query without an answer leaves a gap that the next one moves into.
      if (answers !== at) names.copyWithin(answers * NAME_BYTES, name, name + nameBytes)
      outWords[answers * HEADER_WORDS + NAMELEN_WORD] = nameBytes
      outPieces[answers * (IOV_BYTES / 4) + IOV_LENGTH_WORD] = size
      answers++
    }
    return answers
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** The number of a socket's file. @throws where Node keeps it elsewhere */
function fileOf(socket: Socket): number {
  const state = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const { handle } = (socket as unknown as Record<symbol, { handle: { fd: number } }>)[state!]!
  if (!Number.isInteger(handle.fd) || handle.fd < 0) throw new Error('the socket has no file')
  return handle.fd
}

/** How long the trial may take. */
const TRIAL_MS = 1_000

/** Sends two datagrams through a batch of its own and looks at what comes back. */
async function works(foreign: ForeignFunctions, calls: Calls): Promise<boolean> {
  const near = createSocket('udp4')
  const far = createSocket('udp4')
  try {
    for (const socket of [near, far]) {
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
    }
    const echo = {
      answerInto: (query: Uint8Array, length: number, client: { a: number }, out: Uint8Array) => {
        if (client.a !== 0x7f000001) return 0
        for (let at = 0; at < length; at++) out[at] = query[at]! ^ 1
        return length
      },
      failed: () => {},
    } as unknown as Answerer
    const batch = Batch.over(foreign, calls, fileOf(near), echo)
    near.on('message', () => batch.drain())
    const came = once(far, 'message', { signal: AbortSignal.timeout(TRIAL_MS) }) as Promise<[Buffer]>
    const { port } = near.address() as AddressInfo
    // The first is the event loop's own; the second waits for the batch.
    for (const text of ['wake', 'trial']) far.send(text, port, '127.0.0.1')
    const [bytes] = await came
    return bytes.every((byte, at) => (byte ^ 1) === 'trial'.charCodeAt(at)) && bytes.length === 'trial'.length
  } catch {
    return false
  } finally {
    near.close()
    far.close()
  }
}
