/**
 * Structured fields (RFC 9651): strict parsing of items, lists and dictionaries, and the little serialisation that
 * Cache-Status needs. A field that does not parse whole is no field at all (§4.2): callers get null and ignore it.
 */

export class Token {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}
export class DisplayString {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}
/** An integer and a decimal are told apart, because 1.0 is not 1 on the wire. */
export class Decimal {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}
export type BareItem = number | Decimal | string | Token | Uint8Array | boolean | Date | DisplayString
export type Parameters = ReadonlyMap<string, BareItem>
export interface Item {
  readonly value: BareItem
  readonly parameters: Parameters
}
export interface InnerList {
  readonly items: readonly Item[]
  readonly parameters: Parameters
}
export type Member = Item | InnerList

export const isInnerList = (member: Member): member is InnerList => 'items' in member

class Malformed extends Error {}

/** One pass over one field value; throws Malformed, which never leaves this file. */
class Reader {
  at = 0
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  get done() {
    return this.at >= this.text.length
  }
  peek() {
    return this.text[this.at]
  }
  skip(pattern: RegExp) {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    if (match) this.at += match[0].length
    return match
  }
  take(pattern: RegExp) {
    const match = this.skip(pattern)
    if (!match) throw new Malformed()
    return match[0]
  }

  key() {
    return this.take(/[a-z*][a-z0-9_\-.*]*/y)
  }

  bareItem(): BareItem {
    const first = this.peek() ?? ''
    if (first === '"') return this.string()
    if (first === ':') return this.bytes()
    if (first === '?') return this.take(/\?[01]/y) === '?1'
    if (first === '@') {
      this.at++
      const seconds = this.number()
      if (typeof seconds !== 'number') throw new Malformed()
      return new Date(seconds * 1000)
    }
    if (first === '%') return this.displayString()
    if (/[A-Za-z*]/.test(first)) return new Token(this.take(/[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y))
    return this.number()
  }

  number(): number | Decimal {
    const text = this.take(/-?\d+(?:\.\d*)?/y)
    const [whole, fraction] = text.replace('-', '').split('.')
    if (fraction === undefined) {
      if (whole!.length > 15) throw new Malformed()
      return Number(text) + 0
    }
    if (whole!.length > 12 || fraction.length < 1 || fraction.length > 3) throw new Malformed()
    return new Decimal(Number(text))
  }

  string() {
    const quoted = this.take(/"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y)
    return quoted.slice(1, -1).replaceAll(/\\(.)/g, '$1')
  }

  bytes() {
    const coded = this.take(/:[A-Za-z0-9+/=]*:/y).slice(1, -1)
    if (/=[^=]/.test(coded)) throw new Malformed()
    return new Uint8Array(Buffer.from(coded, 'base64'))
  }

  displayString() {
    const coded = this.take(/%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"/y).slice(2, -1)
    try {
      return new DisplayString(decodeURIComponent(coded))
    } catch {
      throw new Malformed()
    }
  }

  parameters(): Parameters {
    const parameters = new Map<string, BareItem>()
    while (this.peek() === ';') {
      this.at++
      this.skip(/ */y)
      const key = this.key()
      let value: BareItem = true
      if (this.peek() === '=') {
        this.at++
        value = this.bareItem()
      }
      parameters.delete(key)
      parameters.set(key, value)
    }
    return parameters
  }

  item(): Item {
    const value = this.bareItem()
    return { value, parameters: this.parameters() }
  }

  member(): Member {
    if (this.peek() !== '(') return this.item()
    this.at++
    const items: Item[] = []
    for (;;) {
      this.skip(/ */y)
      if (this.peek() === ')') break
      items.push(this.item())
      if (this.peek() !== ' ' && this.peek() !== ')') throw new Malformed()
    }
    this.at++
    return { items, parameters: this.parameters() }
  }

  /** Between members: optional white space, a comma, and something after it. False at the end. */
  next() {
    this.skip(/[ \t]*/y)
    if (this.done) return false
    this.take(/,/y)
    this.skip(/[ \t]*/y)
    if (this.done) throw new Malformed()
    return true
  }
}

function parse<T>(text: string, read: (reader: Reader) => T): T | null {
  const reader = new Reader(text)
  try {
    reader.skip(/ */y)
    const result = read(reader)
    reader.skip(/ */y)
    return reader.done ? result : null
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

/** Null when the text is no item. */
export const parseItem = (text: string): Item | null => parse(text, (reader) => reader.item())

/** Null when the text is no list; lines of one field are joined with a comma before. */
export const parseList = (text: string): readonly Member[] | null =>
  parse(text, (reader) => {
    const members: Member[] = []
    if (reader.done) return members
    do members.push(reader.member())
    while (reader.next())
    return members
  })

/** Null when the text is no dictionary. The last of two equal keys wins. */
export const parseDictionary = (text: string): ReadonlyMap<string, Member> | null =>
  parse(text, (reader) => {
    const members = new Map<string, Member>()
    if (reader.done) return members
    do {
      const key = reader.key()
      let member: Member
      if (reader.peek() === '=') {
        reader.at++
        member = reader.member()
      } else member = { value: true, parameters: reader.parameters() }
      members.delete(key)
      members.set(key, member)
    } while (reader.next())
    return members
  })

/** A string as it stands on the wire; what does not fit into one (controls, non-ASCII) is left out. */
export const serializeString = (text: string): string =>
  `"${text.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, '\\$&')}"`

/** A token where the text is one, a string otherwise. */
export const serializeName = (text: string): string =>
  /^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(text) ? text : serializeString(text)
