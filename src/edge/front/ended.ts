/**
 * A connection whose client has already said everything: what is left to read are the given bytes, and answers go to the
 * socket. A socket that has seen its end takes no byte back, so this stands in for it when it goes the exact way.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { peerOf, setPeer } from './peer.ts'

export class Ended extends Duplex {
  readonly #socket: Socket

  constructor(socket: Socket, bytes: Buffer) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    setPeer(this, peerOf(socket))
    if ('encrypted' in socket) Object.defineProperty(this, 'encrypted', { value: true })
    socket.on('close', () => this.destroy())
    this.push(bytes)
    this.push(null)
  }

  /** What node:http asks of a connection. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  override _read(): void {}

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (fault?: Error | null) => void): void {
    this.#socket.write(chunk, encoding, done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(fault: Error | null, done: (fault: Error | null) => void): void {
    this.#socket.destroySoon()
    done(fault)
  }
}
