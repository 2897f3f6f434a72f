/**
 * The newest bytes of a body on its way: what arrives goes in at the end, what every reader has goes out at the front. Positions
 * are those of the whole body.
 */
export class Window {
  readonly #chunks: Buffer[] = []
  #start = 0
  #end = 0

  /** Position of the oldest byte here, and one past the newest. */
  get start(): number {
    return this.#start
  }
  get end(): number {
    return this.#end
  }
  get sizeBytes(): number {
    return this.#end - this.#start
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#end += chunk.length
  }

  /** Bytes from `position` to the end of the chunk it lies in; start ≤ position < end. */
  at(position: number): Buffer {
    // Nearly always the last chunk: readers that keep up stand there.
    let end = this.#end
    for (let i = this.#chunks.length - 1; i >= 0; i--) {
      const chunk = this.#chunks[i]!
      const start = end - chunk.length
      if (position >= start) return position === start ? chunk : chunk.subarray(position - start)
      end = start
    }
    throw new RangeError(`position ${position} lies before the window`)
  }

  /** Drops whole chunks before `position`. */
  dropBefore(position: number): void {
    while (this.#chunks.length > 0 && this.#start + this.#chunks[0]!.length <= position)
      this.#start += this.#chunks.shift()!.length
  }

  /** Drops the oldest chunks until at most `bytes` are left, keeping the newest chunk. */
  shrinkTo(bytes: number): void {
    while (this.#chunks.length > 1 && this.sizeBytes > bytes) this.#start += this.#chunks.shift()!.length
  }
}
