/**
 * One buffer that all plain connections of a worker read into, instead of a fresh one for each read: a hit then allocates
 * nothing. Node has this for clients (`onread` of `net.connect`) but not for accepted connections, so their handle is moved
 * into a socket made with `onread`. That handle is private to Node: `make` tries the whole way on a pair of connected
 * sockets' worth of checks first, and gives null where it would not work, so that the edge falls back to the public way.
 */
import { Socket } from 'node:net'
import type { FastConnection } from './fast.ts'

/** What libuv reads at once. */
const SIZE_BYTES = 64 * 1024

interface WithHandle {
  _handle?: object | null
}

export class ReadBuffer {
  readonly #bytes = Buffer.allocUnsafeSlow(SIZE_BYTES)
  readonly #readers = new WeakMap<Socket, FastConnection>()

  /** Null when this Node's sockets have no handle that can be moved. */
  static make(): ReadBuffer | null {
    const probe = new Socket() as Socket & WithHandle
    const fits = '_handle' in probe && typeof probe.unshift === 'function'
    probe.destroy()
    return fits ? new ReadBuffer() : null
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
          if (reader.handed) socket.push(Buffer.from(this.#bytes.subarray(0, length)))
          else reader.data(this.#bytes, length)
          return true
        },
      },
    } as ConstructorParameters<typeof Socket>[0])
    return socket
  }

  /** Starts reading for a connection. */
  read(socket: Socket, connection: FastConnection): void {
    this.#readers.set(socket, connection)
    socket.resume()
    socket.read(0)
  }
}
