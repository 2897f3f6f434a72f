/**
 * The chunked transfer coding, decoding (RFC 9112 §7.1). Strict: sizes in hexadecimal with CRLF after them, so that no two
 * readers of the same bytes can disagree. Extensions and trailers are read over, within bounds.
 */

/** Bytes of one size line with its extensions, and of all trailers. */
const MAX_LINE_BYTES = 4_096
const MAX_TRAILER_BYTES = 16 * 1024

type State = 'size' | 'data' | 'data-end' | 'trailer' | 'done'

export class ChunkedDecoder {
  #state: State = 'size'
  /** The line under way: size, or trailer. */
  #line = ''
  #left = 0
  #trailerBytes = 0

  get done(): boolean {
    return this.#state === 'done'
  }

  /**
   * Gives each piece of body in `chunk` to `emit`. Returns how many bytes belong to the body and its coding, or what is wrong.
   */
  decode(chunk: Buffer, emit: (piece: Buffer) => void): number | { readonly wrong: string } {
    let at = 0
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const take = Math.min(this.#left, chunk.length - at)
        emit(at === 0 && take === chunk.length ? chunk : chunk.subarray(at, at + take))
        at += take
        this.#left -= take
        if (this.#left === 0) this.#state = 'data-end'
        continue
      }
      const newline = chunk.indexOf(10, at)
      const stop = newline < 0 ? chunk.length : newline + 1
      this.#line += chunk.toString('latin1', at, stop)
      at = stop
      if (this.#line.length > MAX_LINE_BYTES) return { wrong: 'a line of the chunked coding is too long' }
      if (this.#state === 'data-end' && !'\r\n'.startsWith(this.#line))
        return { wrong: 'a chunk is longer than its size' }
      if (newline < 0) break
      const fault = this.#endOfLine()
      if (fault !== null) return { wrong: fault }
    }
    return at
  }

  #endOfLine(): string | null {
    const line = this.#line
    this.#line = ''
    if (!line.endsWith('\r\n') || line.indexOf('\r') !== line.length - 2)
      return 'a line of the chunked coding does not end in CRLF'
    if (this.#state === 'data-end') {
      this.#state = 'size'
    } else if (this.#state === 'size') {
      const match = /^([0-9a-f]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n$/i.exec(line)
      if (match === null) return 'a chunk size is malformed'
      this.#left = Number.parseInt(match[1]!, 16)
      this.#state = this.#left === 0 ? 'trailer' : 'data'
    } else {
      this.#trailerBytes += line.length
      if (this.#trailerBytes > MAX_TRAILER_BYTES) return 'the trailers are too long'
      if (line.length === 2) this.#state = 'done'
    }
    return null
  }
}
