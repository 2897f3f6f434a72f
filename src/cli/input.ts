/**
 * From words on the command line to a request: each field of a body and each parameter of a query is an option, read
 * after its schema. Lists of plain values are written with commas, shapes as `name=value,name=value` (repeat the option
 * for a list of them), instants also as `now`, `+2h`, `-3d` or a date, and anything as JSON.
 */
import { isNullable, type Operation, plain, type Schema, typeOf } from './description.ts'

/** The words do not make a request; says which and what would. */
export class BadWords extends Error {}

export interface OptionSpec {
  /** `--wait-until`. */
  flag: string
  /** Where its value goes: `['wait', 'until']`. */
  path: string[]
  in: 'query' | 'body'
  schema: Schema
  required: boolean
  repeated: boolean
  description: string
}

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** `lines` is given line by line. */
const singular = (name: string): string => (name.endsWith('ies') ? `${name.slice(0, -3)}y` : name.replace(/s$/, ''))

const isShape = (schema: Schema): boolean =>
  typeOf(schema) === 'object' && Object.keys(schema.properties ?? {}).length > 0

/** The options of an operation. A shape inside a body is spread: `wait: {until}` is `--wait-until`. */
export function optionsOf(operation: Operation): OptionSpec[] {
  const options: OptionSpec[] = []
  const add = (where: 'query' | 'body', path: string[], given: Schema, required: boolean, about?: string) => {
    const schema = plain(given)
    if (where === 'body' && isShape(schema) && path.length < 2) {
      for (const [name, inner] of Object.entries(schema.properties ?? {}))
        add(
          where,
          [...path, name],
          inner,
          required && schema.required?.includes(name) === true,
          inner.description ?? schema.description,
        )
      return
    }
    const list = typeOf(schema) === 'array'
    const ofShapes = list && isShape(plain(schema.items ?? {}))
    const free = typeOf(schema) === 'object'
    const name = ofShapes ? singular(path.at(-1)!) : path.at(-1)!
    options.push({
      flag: `--${kebab([...path.slice(0, -1), name].join('-'))}`,
      path,
      in: where,
      // `null` may be said where the API takes it.
      schema: isNullable(given) ? { ...schema, type: [typeOf(schema), 'null'] } : schema,
      required,
      repeated: ofShapes || free,
      description: describe(schema, about ?? given.description),
    })
  }
  for (const parameter of operation.parameters)
    if (parameter.in === 'query' && parameter.name !== 'cursor')
      add('query', [parameter.name], parameter.schema, parameter.required, parameter.description)
  if (operation.body) {
    const { properties = {}, required = [] } = plain(operation.body)
    for (const [name, schema] of Object.entries(properties)) add('body', [name], schema, required.includes(name))
  }
  return options
}

function describe(schema: Schema, about: string | undefined): string {
  const type = typeOf(schema)
  const items = schema.items && plain(schema.items)
  const form = schema.enum
    ? schema.enum.filter((word) => word !== null).join(' | ')
    : schema.format === 'date-time'
      ? 'instant: now, +2h, 2026-12-01, 2026-12-01T09:00:00Z'
      : type === 'array' && items && isShape(items)
        ? `${Object.keys(items.properties!)
            .map((name) => `${name}=…`)
            .join(',')}; repeat for more`
        : type === 'array'
          ? 'values with commas between'
          : type === 'object'
            ? 'name=value; repeat for more, or JSON'
            : type === 'boolean'
              ? 'true | false'
              : ''
  return [about?.replace(/\.$/, ''), form && `(${form})`].filter(Boolean).join(' ')
}

const UNITS_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** `now`, `+90m`, a date (midnight here), or an instant, as ISO 8601 in UTC. */
export function readInstant(text: string, flag: string, now = Date.now()): string {
  if (text === 'now') return new Date(now).toISOString()
  const relative = /^([+-]\d{1,6})([smhdw])$/.exec(text)
  if (relative) return new Date(now + Number(relative[1]) * UNITS_MS[relative[2]!]!).toISOString()
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text)
  const instant = new Date(isDate ? `${text}T00:00:00` : text)
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(instant.getTime()))
    throw new BadWords(`${flag} ${text} is not an instant. Write now, +2h, 2026-12-01 or 2026-12-01T09:00:00Z.`)
  return instant.toISOString()
}

/** A text as a value of a schema. */
export function readValue(text: string, given: Schema, flag: string): unknown {
  const schema = plain(given)
  if (text === 'null' && isNullable(given)) return null
  const type = typeOf(schema)
  if (type === 'array') {
    if (text.trimStart().startsWith('[')) return readJson(text, flag)
    const items = plain(schema.items ?? {})
    return text.split(',').map((part) => readValue(part.trim(), items, flag))
  }
  if (type === 'object') return text.trimStart().startsWith('{') ? readJson(text, flag) : readPairs(text, schema, flag)
  if (schema.enum && !schema.enum.includes(text) && type === 'string')
    throw new BadWords(
      `${flag} ${text} is not known. It is one of ${schema.enum.filter((word) => word !== null).join(', ')}.`,
    )
  if (type === 'integer' || type === 'number') {
    const number = Number(text)
    if (text.trim() === '' || Number.isNaN(number)) throw new BadWords(`${flag} ${text} is not a number.`)
    return number
  }
  if (type === 'boolean') {
    if (text !== 'true' && text !== 'false') throw new BadWords(`${flag} is true or false, not ${text}.`)
    return text === 'true'
  }
  if (schema.format === 'date-time') return readInstant(text, flag)
  return text
}

function readJson(text: string, flag: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new BadWords(`${flag} is not JSON: ${(error as Error).message}.`)
  }
}

/** `site=yokohama-1,quantity=2` after a schema; without one, numbers and booleans are taken for what they look like. */
function readPairs(text: string, schema: Schema, flag: string): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const pair of text.split(',')) {
    const [name, value] = [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1)]
    if (!pair.includes('=') || name === '') throw new BadWords(`${flag} ${pair} is not name=value.`)
    const property = schema.properties?.[name]
    if (schema.properties && Object.keys(schema.properties).length > 0 && !property)
      throw new BadWords(`${flag} knows no ${name}. It has ${Object.keys(schema.properties).join(', ')}.`)
    out[name] = property ? readValue(value, property, `${flag} ${name}`) : guess(value)
  }
  return out
}

const guess = (text: string): unknown =>
  /^-?\d+(\.\d+)?$/.test(text)
    ? Number(text)
    : text === 'true'
      ? true
      : text === 'false'
        ? false
        : text === 'null'
          ? null
          : text

/** The request that the options make: query and body. */
export function readRequest(
  options: readonly OptionSpec[],
  given: Readonly<Record<string, unknown>>,
): { query: Record<string, string>; body: Record<string, unknown> | undefined } {
  const query: Record<string, string> = {}
  const body: Record<string, unknown> = {}
  for (const option of options) {
    const words = given[camel(option.flag)]
    if (words === undefined) continue
    const value = option.repeated
      ? readRepeated(words as string[], option)
      : readValue(String(words), option.schema, option.flag)
    if (option.in === 'query') query[option.path[0]!] = String(value)
    else put(body, option.path, value)
  }
  return { query, body: options.some((option) => option.in === 'body') ? body : undefined }
}

function readRepeated(words: readonly string[], option: OptionSpec): unknown {
  if (typeOf(option.schema) === 'object') {
    if (words.length === 1 && words[0] === 'null' && isNullable(option.schema)) return null
    return Object.assign({}, ...words.map((word) => readValue(word, option.schema, option.flag)))
  }
  return words.flatMap((word) => {
    const items = plain(option.schema.items ?? {})
    const value = word.trimStart().startsWith('[') ? readJson(word, option.flag) : readValue(word, items, option.flag)
    return value as unknown[]
  })
}

function put(body: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path as [string, ...string[]]
  if (rest.length === 0) body[name] = value
  else {
    body[name] ??= {}
    put(body[name] as Record<string, unknown>, rest, value)
  }
}

/** `--wait-until` as the option is called among those that were given. */
export const camel = (flag: string): string =>
  flag.slice(2).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
