/** Tables for people: numbers to the right, in the reader's own way of writing numbers, dates and money. */
import { stripVTControlCharacters } from 'node:util'

export interface Column {
  title: string
  /** Where the value stands in a row: `party.name`, `pools.length`. */
  path: string
  /** How it is shown; found from the value when left out. */
  as?: 'text' | 'number' | 'percent' | 'date' | 'instant' | 'money' | 'duration'
}

type Row = Record<string, unknown>

/** The reader's locale from the environment. */
export function readerLocale(env: NodeJS.ProcessEnv = process.env): string {
  const tag = (env.LC_ALL || env.LC_TIME || env.LANG || 'en').split('.')[0]!.replace('_', '-')
  return tag === 'C' || tag === 'POSIX' ? 'en' : (Intl.DateTimeFormat.supportedLocalesOf([tag], {}).at(0) ?? 'en')
}

/** Columns that a text takes on a terminal: East Asian characters take two. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of stripVTControlCharacters(text)) {
    const code = character.codePointAt(0)!
    const isWide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0xffe0 && code <= 0xffe6) ||
      (code >= 0x1f300 && code <= 0x1faff) ||
      (code >= 0x20000 && code <= 0x3fffd)
    width += isWide ? 2 : /\p{M}/u.test(character) ? 0 : 1
  }
  return width
}

function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let out = ''
  for (const character of text) {
    if (widthOf(out + character) > width - 1) break
    out += character
  }
  return `${out}…`
}

export const valueAt = (row: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((value, part) => (value as Row | null | undefined)?.[part], row)

const ISO_INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/
const MINOR: Record<string, number> = { JPY: 0, KRW: 0, VND: 0, CLP: 0, KWD: 3, BHD: 3, TND: 3 }

/** What a program must not print to a terminal: control characters out of data. */
const clean = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]/gu, ' ')

/** Writes values as the reader does. */
export class Writer {
  readonly #number: Intl.NumberFormat
  readonly #date: Intl.DateTimeFormat
  readonly #instant: Intl.DateTimeFormat
  readonly #locale: string

  constructor(locale: string, timeZone?: string) {
    this.#locale = locale
    this.#number = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 })
    this.#date = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: 'UTC' })
    this.#instant = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone })
  }

  money(minorUnits: string, currency: string): string {
    const digits = MINOR[currency] ?? 2
    const padded = minorUnits.replace('-', '').padStart(digits + 1, '0')
    const decimal = `${minorUnits.startsWith('-') ? '-' : ''}${padded.slice(0, padded.length - digits)}${digits ? `.${padded.slice(-digits)}` : ''}`
    // A decimal text keeps every digit; a number would not.
    return new Intl.NumberFormat(this.#locale, { style: 'currency', currency }).format(decimal as unknown as number)
  }

  show(value: unknown, as: Column['as']): string {
    if (value === null || value === undefined) return '–'
    if (as === 'percent') return `${this.#number.format(Number(value) * 100)} %`
    if (as === 'duration') return `${this.#number.format(Number(value) / 1_000)} s`
    if (typeof value === 'number') return this.#number.format(value)
    if (typeof value === 'boolean') return value ? 'yes' : 'no'
    if (typeof value === 'string') {
      if (as === 'date' || (as === undefined && /^\d{4}-\d{2}-\d{2}$/.test(value)))
        return this.#date.format(new Date(value.slice(0, 10)))
      if (as === 'instant' || (as === undefined && ISO_INSTANT.test(value)))
        return this.#instant.format(new Date(value))
      return clean(value)
    }
    if (Array.isArray(value))
      return value.every((item) => typeof item !== 'object')
        ? value.map((item) => this.show(item, as)).join(', ')
        : String(value.length)
    const shape = value as Row
    if (typeof shape.amount === 'string' && typeof shape.currency === 'string')
      return this.money(shape.amount, shape.currency)
    return clean(
      Object.entries(shape)
        .map(([name, item]) => `${name}=${this.show(item, undefined)}`)
        .join(' '),
    )
  }
}

const isRight = (as: Column['as'], values: readonly unknown[]): boolean =>
  ['number', 'percent', 'money', 'duration'].includes(as ?? '') ||
  (as === undefined &&
    values.some((value) => value != null) &&
    values.every(
      (value) =>
        value == null ||
        typeof value === 'number' ||
        (typeof value === 'object' && typeof (value as Row).amount === 'string'),
    ))

/** A table as text. Where the terminal's width is known, the widest text column gives way. */
export function table(
  rows: readonly unknown[],
  columns: readonly Column[],
  writer: Writer,
  terminalWidth?: number,
): string {
  const cells = rows.map((row) => columns.map(({ path, as }) => writer.show(valueAt(row, path), as)))
  const right = columns.map(({ path, as }) =>
    isRight(
      as,
      rows.map((row) => valueAt(row, path)),
    ),
  )
  const widths = columns.map(({ title }, index) =>
    Math.max(widthOf(title), ...cells.map((row) => widthOf(row[index]!))),
  )
  const total = () => widths.reduce((sum, width) => sum + width + 2, -2)
  while (terminalWidth !== undefined && total() > terminalWidth) {
    const widest = widths.reduce(
      (best, width, index) => (!right[index] && width > (widths[best] ?? 0) ? index : best),
      right.indexOf(false),
    )
    if (widest < 0 || widths[widest]! <= 12) break
    widths[widest] = Math.max(12, widths[widest]! - (total() - terminalWidth))
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => {
        const text = cut(cell, widths[index]!)
        const space = ' '.repeat(widths[index]! - widthOf(text))
        return right[index] ? space + text : text + space
      })
      .join('  ')
      .trimEnd()
  return [
    line(columns.map(({ title }) => title)),
    line(widths.map((width) => '─'.repeat(width))),
    ...cells.map(line),
  ].join('\n')
}

const spoken = (name: string): string =>
  name
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .replace(/^./, (letter) => letter.toUpperCase())
    .replace(/ ([A-Z])/g, (_, letter: string) => ` ${letter.toLowerCase()}`)

/** One thing: its fields one below the other, its lists as tables beneath. */
export function card(value: unknown, writer: Writer, terminalWidth?: number): string {
  if (value === null || typeof value !== 'object') return writer.show(value, undefined)
  const entries = Object.entries(value)
  const isList = (item: unknown): item is Row[] =>
    Array.isArray(item) && item.length > 0 && item.every((one) => typeof one === 'object' && one !== null)
  const single = entries.filter(([, item]) => !isList(item))
  const width = Math.max(0, ...single.map(([name]) => widthOf(spoken(name))))
  const parts = single.map(([name, item]) => {
    const text = writer.show(item, undefined)
    return `${spoken(name).padEnd(width)}  ${Array.isArray(item) && item.length === 0 ? 'none' : text}`
  })
  const lists = entries.filter((entry): entry is [string, Row[]] => isList(entry[1]))
  return [
    ...(parts.length > 0 ? [parts.join('\n')] : []),
    ...lists.map(([name, rows]) => `${spoken(name)}\n${table(rows, columnsOf(rows), writer, terminalWidth)}`),
  ].join('\n\n')
}

/** Columns for rows of which nothing else is known: what is short and common to all, ids of other things last. */
export function columnsOf(rows: readonly Row[]): Column[] {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const isNested = (name: string) =>
    rows.some((row) => {
      const item = row[name]
      return (
        typeof item === 'object' &&
        item !== null &&
        !Array.isArray(item) &&
        typeof (item as Row).amount !== 'string' &&
        Object.keys(item).length > 6
      )
    })
  return names
    .filter((name) => !isNested(name))
    .slice(0, 12)
    .map((name) => ({ title: spoken(name), path: name }))
}
