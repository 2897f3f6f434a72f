/** The API's own description, read from `docs/openapi.json`: what each command may be given, and what comes back. */
import { readFileSync } from 'node:fs'

export interface Schema {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  format?: string
  description?: string
  default?: unknown
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: unknown
  anyOf?: Schema[]
}

export interface Parameter {
  name: string
  in: 'path' | 'query'
  required: boolean
  description?: string
  schema: Schema
}

export interface Operation {
  method: string
  path: string
  summary: string
  description: string
  parameters: Parameter[]
  body: Schema | null
  /** What a success answers; null when nothing, or not JSON. */
  answer: Schema | null
}

interface Document {
  paths: Record<string, Record<string, RawOperation>>
  components: { schemas: Record<string, Schema> }
}
interface RawOperation {
  summary: string
  description: string
  parameters: (Parameter | { $ref: string })[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>
}

const document: Document = JSON.parse(readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'))

/** A schema with its reference followed, and of something nullable the something. */
export function plain(schema: Schema): Schema {
  if (schema.$ref) return plain(document.components.schemas[schema.$ref.split('/').at(-1)!]!)
  if (schema.anyOf?.length === 2 && schema.anyOf[1]!.type === 'null') return plain(schema.anyOf[0]!)
  return schema
}

/** The type of a schema, apart from null. */
export const typeOf = (schema: Schema): string => [schema.type ?? 'object'].flat().find((type) => type !== 'null')!

/** Whether null may be given. */
export const isNullable = (schema: Schema): boolean =>
  [schema.type].flat().includes('null') || schema.anyOf?.some(({ type }) => type === 'null') === true

/** An operation by method and path, as in `GET /sites/{site}`. */
export function operation(name: string): Operation {
  const [method, path] = name.split(' ') as [string, string]
  const raw = document.paths[path]?.[method.toLowerCase()]
  if (!raw) throw new Error(`The API has no ${name}; docs/openapi.json is not of this version.`)
  const success = Object.entries(raw.responses).find(([status]) => status.startsWith('2'))
  return {
    method,
    path,
    summary: raw.summary,
    description: raw.description,
    parameters: raw.parameters.filter((parameter): parameter is Parameter => 'in' in parameter),
    body: raw.requestBody?.content['application/json']?.schema ?? null,
    answer: success?.[1].content?.['application/json']?.schema ?? null,
  }
}

/** Every operation's name, for the test that none was forgotten. */
export const operationNames = (): string[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
