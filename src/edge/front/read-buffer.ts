/**
 * One buffer that all plain connections of a worker read into, instead of a fresh one for each read: a hit then allocates
 * nothing. Node has this for clients (`onread` of `net.connect`) but not for accepted connections, so their handle is moved
 * into a socket made with `onread`. That handle is private to Node: `works` tries the whole way on a real connection
 * first, and where it does not work the edge stays on the public way.
 */
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import type { FastConnection } from './fast.ts'

/** What libuv reads at once. */
const SIZE_BYTES = 64 * 1024
/** The self-test takes about a millisecond. */
const TEST_MS = 2_000

interface WithHandle {
  _handle?: object | null
}

/** What reads from the shared buffer. */
type Reader = Pick<FastConnection, 'data' | 'handed'>

export class ReadBuffer {
  readonly #bytes = Buffer.allocUnsafeSlow(SIZE_BYTES)
  readonly #readers = new WeakMap<Socket, Reader>()

  /** Sends bytes over a real connection through a moved handle: both ways, handed over in the middle, to its end. */
  static async works(): Promise<boolean> {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true })
    try {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return await new Promise<boolean>((resolve) => {
        setTimeout(() => resolve(false), TEST_MS).unref()
        server.once('error', () => resolve(false))
        server.once('connection', (taken) => {
          const buffer = new ReadBuffer()
          const socket = buffer.adopt(taken)
          if (socket === null) {
            taken.destroy()
            resolve(false)
            return
          }
          socket.on('error', () => resolve(false))
          const reader: Reader = {
            handed: false,
            data: (bytes, length) => {
              reader.handed = true
              socket.write(Buffer.from(bytes.subarray(0, length)))
            },
          }
          socket.on('data', (chunk: Buffer) => socket.write(chunk))
          socket.on('end', () => socket.end())
          buffer.read(socket, reader)
        })
        const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
        let got = ''
        client.on('data', (chunk: Buffer) => {
          got += chunk.toString('latin1')
          if (got === 'one') client.end('two')
        })
        client.on('error', () => resolve(false))
        client.on('close', () => resolve(got === 'onetwo'))
        client.write('one')
      })
    } catch {
      return false
    } finally {
      server.close()
    }
  }

  /** Moves the connection into a socket that reads into the shared buffer; null: it stays as it is. */
  adopt(taken: Socket): Socket | null {
    const from = taken as Socket & WithHandle
    const handle = from._handle
    if (!handle) return null
    from._handle = null
    const socket: Socket = new Socket({
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: this.#bytes,
        callback: (length: number): boolean => {
          const reader = this.#readers.get(socket)!
          // Whoever took it over reads it as a stream: false stops the kernel until the stream is read on.
          if (reader.handed) return socket.push(Buffer.from(this.#bytes.subarray(0, length)))
          reader.data(this.#bytes, length)
          return true
        },
      },
    } as ConstructorParameters<typeof Socket>[0])
    return socket
  }

  /** Starts reading for a connection. */
  read(socket: Socket, connection: Reader): void {
    this.#readers.set(socket, connection)
    socket.resume()
    socket.read(0)
  }
}
