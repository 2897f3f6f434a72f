/**
 * Writes the part of an answer behind its question, compressing names (RFC 1035 §4.1.4). The bytes do not depend on the client, so they
 * are made once and copied into each answer; pointers count from the start of the whole message, whose question is as long
 * as the name it was made for.
 */
import { TYPE } from './codes.ts'
import { nameKey } from './names.ts'

const HEADER_BYTES = 12
const MESSAGE_BYTES = 65_535
/** The farthest a pointer reaches. */
const POINTER_LIMIT = 0x3fff

/** One writer is used for all answers, one after the other. */
const scratch = Buffer.alloc(MESSAGE_BYTES + 1)

export interface RecordData {
  owner: Uint8Array
  type: number
  ttl: number
  rdata: Uint8Array
}

export class BodyWriter {
  readonly #start: number
  #at: number
  readonly #known = new Map<string, number>()

  constructor(question: Uint8Array) {
    this.#start = HEADER_BYTES + question.length + 4
    this.#at = this.#start
    this.#remember(question, HEADER_BYTES)
  }

  get sizeBytes(): number {
    return this.#at - this.#start
  }

  /** False, and nothing written, when a message cannot hold it. */
  record({ owner, type, ttl, rdata }: RecordData): boolean {
    if (this.#at + owner.length + 10 + rdata.length > MESSAGE_BYTES) return false
    this.#name(owner)
    scratch.writeUInt16BE(type, this.#at)
    scratch.writeUInt16BE(1, this.#at + 2)
    scratch.writeUInt32BE(ttl, this.#at + 4)
    const lengthAt = this.#at + 8
    this.#at += 10
    this.#rdata(type, rdata)
    scratch.writeUInt16BE(this.#at - lengthAt - 2, lengthAt)
    return true
  }

  take(): Uint8Array {
    return Uint8Array.prototype.slice.call(scratch, this.#start, this.#at)
  }

  /** Names inside the types of RFC 1035 are compressed; in later ones they must not be (RFC 3597 §4). */
  #rdata(type: number, rdata: Uint8Array): void {
    if (type === TYPE.NS || type === TYPE.CNAME || type === TYPE.PTR) this.#name(rdata)
    else if (type === TYPE.MX) {
      this.#bytes(rdata.subarray(0, 2))
      this.#name(rdata.subarray(2))
    } else if (type === TYPE.SOA) {
      const second = nameEnd(rdata, 0)
      const rest = nameEnd(rdata, second)
      this.#name(rdata.subarray(0, second))
      this.#name(rdata.subarray(second, rest))
      this.#bytes(rdata.subarray(rest))
    } else this.#bytes(rdata)
  }

  #bytes(bytes: Uint8Array): void {
    scratch.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #name(wire: Uint8Array): void {
    for (let at = 0; at < wire.length; at += wire[at]! + 1) {
      const pointer = wire[at] === 0 ? undefined : this.#known.get(nameKey(wire.subarray(at)))
      if (pointer !== undefined) {
        const from = this.#at
        this.#bytes(wire.subarray(0, at))
        this.#remember(wire, from, at)
        scratch.writeUInt16BE(0xc000 | pointer, this.#at)
        this.#at += 2
        return
      }
    }
    this.#remember(wire, this.#at)
    this.#bytes(wire)
  }

  #remember(wire: Uint8Array, start: number, until = wire.length): void {
    for (let at = 0; at < until && wire[at] !== 0; at += wire[at]! + 1) {
      if (start + at > POINTER_LIMIT) return
      const key = nameKey(wire.subarray(at))
      if (!this.#known.has(key)) this.#known.set(key, start + at)
    }
  }
}

function nameEnd(bytes: Uint8Array, start: number): number {
  let at = start
  while (bytes[at] !== 0) at += bytes[at]! + 1
  return at + 1
}
