/**
 * Checks a request against its route's schemas and phrases what is wrong: where (a JSON pointer), what, and what would
 * be right, read from the schema itself. Bodies are taken as they are; only queries and paths, which are text by
 * nature, are read as numbers and booleans, exactly or not at all.
 */
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { type FieldProblem, Refusal } from '../core/errors.ts'

/** The parts of a schema that are spoken of. */
interface Schema {
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  format?: string
  pattern?: string
  examples?: unknown[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  minProperties?: number
  maxProperties?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
  description?: string
}

const FORMATS: Record<string, string> = {
  'date-time': 'an instant such as "2026-11-24T09:00:00Z"',
  date: 'a date such as "2026-11-24"',
  uuid: 'an identifier (UUID)',
  email: 'an e-mail address',
  uri: 'a full address such as "https://example.jp/hook"',
}

const range = (low: number | undefined, high: number | undefined): string =>
  low !== undefined && high !== undefined
    ? ` from ${low} to ${high}`
    : low !== undefined
      ? ` of at least ${low}`
      : high !== undefined
        ? ` of at most ${high}`
        : ''

/** What a schema would take, as a phrase that completes "expected …". */
export function expectation(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return `one of ${schema.enum.map((word) => JSON.stringify(word)).join(', ')}`
  if (schema.anyOf) {
    const consts = schema.anyOf.every((branch) => branch.const !== undefined)
    const parts = schema.anyOf.map(expectation)
    return consts ? `one of ${parts.join(', ')}` : parts.join(', or ')
  }
  if (Array.isArray(schema.type)) return schema.type.map((type) => expectation({ ...schema, type })).join(', or ')
  switch (schema.type) {
    case 'integer':
      return `a whole number${range(schema.minimum ?? schema.exclusiveMinimum, schema.maximum)}`
    case 'number':
      return `a number${range(schema.minimum ?? schema.exclusiveMinimum, schema.maximum)}`
    case 'boolean':
      return 'true or false'
    case 'null':
      return 'null'
    case 'array':
      return `a list${schema.minItems || schema.maxItems ? `${range(schema.minItems ?? 0, schema.maxItems)} items` : ''}`
    case 'object':
      return schema.properties && Object.keys(schema.properties).length > 0
        ? `an object with ${Object.keys(schema.properties).join(', ')}`
        : 'an object'
    case 'string': {
      if (schema.format && FORMATS[schema.format]) return FORMATS[schema.format]!
      const example = schema.examples?.[0]
      if (schema.pattern)
        return example !== undefined
          ? `text such as ${JSON.stringify(example)}${schema.description ? ` (${schema.description.replace(/\.$/, '')})` : ''}`
          : `text of the form ${schema.pattern}`
      return `text${schema.minLength || schema.maxLength ? `${range(schema.minLength ?? 0, schema.maxLength)} characters` : ''}`
    }
    default:
      return schema.description ?? 'another value'
  }
}

interface SchemaError {
  keyword: string
  schemaPath: string
  instancePath: string
  params: Record<string, unknown>
  message: string
}

const fromPointer = (part: string): string => part.replace(/~1/g, '/').replace(/~0/g, '~')
const toPointer = (part: string): string => part.replace(/~/g, '~0').replace(/\//g, '~1')

function at(schema: unknown, path: string): Schema {
  let here = schema as Record<string, unknown> | undefined
  for (const part of path.split('/').slice(1)) here = here?.[fromPointer(part)] as Record<string, unknown> | undefined
  return (here ?? {}) as Schema
}

const shown = (value: unknown): string => {
  const text = JSON.stringify(value)
  return text === undefined ? 'nothing' : text.length > 60 ? `${text.slice(0, 57)}…` : text
}

function valueAt(value: unknown, pointer: string): unknown {
  let here = value as Record<string, unknown> | undefined
  for (const part of pointer.split('/').slice(1))
    here = here?.[fromPointer(part)] as Record<string, unknown> | undefined
  return here
}

/** What the checker found, as field problems: one for each place, the most telling. */
function fieldProblems(schema: TSchema, errors: SchemaError[], value: unknown, root: string): FieldProblem[] {
  const found = new Map<string, FieldProblem>()
  const add = (pointer: string, problem: string, expected: string) => {
    const place = `${root}${pointer}` || '/'
    if (!found.has(place)) found.set(place, { at: place, problem, expected })
  }
  const unions = errors.filter((error) => error.keyword === 'anyOf')
  for (const error of errors) {
    const { keyword, schemaPath, instancePath, params } = error
    if (keyword === 'boolean') continue
    const union = unions.find((other) => other !== error && schemaPath.startsWith(`${other.schemaPath}/anyOf`))
    // Inside a union only what lies deeper than the union itself tells more than the union's own sentence.
    if (union && union.instancePath === instancePath && keyword !== 'required' && keyword !== 'additionalProperties')
      continue
    const here = at(schema, schemaPath)
    if (keyword === 'required')
      for (const name of params.requiredProperties as string[])
        add(`${instancePath}/${toPointer(name)}`, 'is missing', expectation(here.properties?.[name] ?? {}))
    else if (keyword === 'additionalProperties')
      for (const name of params.additionalProperties as string[])
        add(
          `${instancePath}/${toPointer(name).slice(0, 80)}`,
          'is not a field that is known here',
          `only ${Object.keys(here.properties ?? {}).join(', ') || 'no fields'}`,
        )
    else if (
      keyword === 'anyOf' &&
      errors.some((deeper) => deeper !== error && deeper.instancePath.startsWith(`${instancePath}/`))
    )
      continue
    else add(instancePath, `${shown(valueAt(value, instancePath))} is not right`, expectation(here))
  }
  return [...found.values()]
}

/** The request does not fit its route's schema. */
export class InvalidRequest extends Refusal {
  constructor(fields: FieldProblem[]) {
    const first = fields[0]
    super(
      'bad-input',
      400,
      first
        ? `${first.at}: ${first.problem}; expected ${first.expected}${fields.length > 1 ? ` (and ${fields.length - 1} more)` : ''}`
        : 'The request is not of the form that this route takes.',
      fields,
    )
  }
}

/** Query and path values are text; reads them as their schema's type where the text is exactly such a value. */
function readText(schema: Schema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const out: Record<string, unknown> = {}
  for (const [name, text] of Object.entries(value)) {
    const type = schema.properties?.[name]?.type
    if (typeof text !== 'string') out[name] = text
    else if ((type === 'integer' || type === 'number') && /^-?\d{1,20}(\.\d{1,20})?$/.test(text))
      out[name] = Number(text)
    else if (type === 'boolean' && (text === 'true' || text === 'false')) out[name] = text === 'true'
    else if (type === 'array') out[name] = [text]
    else out[name] = text
  }
  return out
}

const ROOTS: Record<string, string> = { querystring: '/query', params: '/path', headers: '/header', body: '' }

/** Fastify's validator compiler: compiled once per schema; the happy path is one check. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema)
  const isText = httpPart === 'querystring' || httpPart === 'params'
  const hasDefaults = JSON.stringify(schema).includes('"default"')
  return (given: unknown) => {
    let value = given
    // A change without a body is one whose fields are all left out.
    if (httpPart === 'body' && value === undefined) value = {}
    if (isText) value = readText(schema as Schema, value)
    if (hasDefaults) value = validator.Default(value)
    if (validator.Check(value)) return { value }
    const errors = validator.Errors(value) as unknown as SchemaError[]
    return { error: new InvalidRequest(fieldProblems(schema, errors, value, ROOTS[httpPart ?? 'body'] ?? '')) }
  }
}

const UNSTORABLE = /\\u(0000|[dD][89a-fA-F])/

/**
 * Text that PostgreSQL cannot keep: NUL, and surrogates without their other half. Looked for only in bodies that spell
 * such an escape, so that ordinary requests pay one scan.
 * @throws InvalidRequest with the place
 */
export function refuseUnstorableText(raw: string, body: unknown): void {
  if (!UNSTORABLE.test(raw)) return
  const walk = (value: unknown, pointer: string): void => {
    if (typeof value === 'string') {
      if (value.includes('\0') || !value.isWellFormed())
        throw new InvalidRequest([
          {
            at: pointer || '/',
            problem: 'holds a character that cannot be stored',
            expected: 'text without NUL and without half surrogate pairs',
          },
        ])
    } else if (Array.isArray(value)) for (const [index, item] of value.entries()) walk(item, `${pointer}/${index}`)
    else if (value !== null && typeof value === 'object')
      for (const [name, item] of Object.entries(value)) {
        walk(name, `${pointer}/${toPointer(name)}`)
        walk(item, `${pointer}/${toPointer(name)}`)
      }
  }
  walk(body, '')
}

/** The same for what stands in the address. */
export function refuseUnstorableAddress(request: FastifyRequest): void {
  if (/%00/.test(request.url))
    throw new InvalidRequest([{ at: '/path', problem: 'holds a NUL character', expected: 'an address without %00' }])
}
