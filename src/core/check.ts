/**
 * Checks a value against a schema and says what is wrong in words. TypeBox's own errors name every alternative of a union
 * and stop at a handful; people want the one alternative they meant, all faults at once, and "did you mean".
 */
import type { TSchema } from 'typebox'

export type Path = (string | number)[]
export type TellFault = (path: Path, problem: string, expected: string) => void

/** The parts of JSON Schema that the configuration uses. */
interface Shape {
  type?: string
  description?: string
  const?: unknown
  anyOf?: Shape[]
  properties?: Record<string, Shape>
  required?: string[]
  patternProperties?: Record<string, Shape>
  additionalProperties?: boolean
  items?: Shape
  minItems?: number
  maxItems?: number
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
}

export function check(schema: TSchema, value: unknown, tell: TellFault): void {
  walk(schema as Shape, value, [], tell)
}

function walk(shape: Shape, value: unknown, path: Path, tell: TellFault): void {
  if (shape.anyOf !== undefined) {
    const branches = shape.anyOf.filter((branch) => isOfKind(branch, value))
    if (branches.some((branch) => holds(branch, value))) return
    // One branch of the value's own kind: what is wrong inside it is what people want to know.
    if (branches.length === 1 && typeof value === 'object') walk(branches[0]!, value, path, tell)
    else tell(path, wrong(value), describe(shape))
    return
  }
  if (!isOfKind(shape, value)) tell(path, wrong(value), describe(shape))
  else if (Array.isArray(value)) walkArray(shape, value, path, tell)
  else if (typeof value === 'object' && value !== null) walkObject(shape, value as Record<string, unknown>, path, tell)
  else if (!inBounds(shape, value)) tell(path, wrong(value), describe(shape))
}

function walkArray(shape: Shape, value: unknown[], path: Path, tell: TellFault): void {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items } = shape
  if (value.length < minItems) tell(path, 'this is empty', describe(shape))
  if (value.length > maxItems) tell(path, `there are ${value.length}`, `at most ${maxItems}`)
  else if (items !== undefined) for (const [at, item] of value.entries()) walk(items, item, [...path, at], tell)
}

function walkObject(shape: Shape, value: Record<string, unknown>, path: Path, tell: TellFault): void {
  const { properties = {}, required = [], patternProperties = {}, additionalProperties } = shape
  // One that is there under a mistyped name is told of once, at that name.
  const meant = Object.keys(value).map((name) =>
    Object.hasOwn(properties, name) ? null : closest(name, Object.keys(properties)),
  )
  for (const name of required)
    if (!(name in value) && !meant.includes(name))
      tell([...path, name], `${name} is missing`, describe(properties[name]))
  for (const [name, inner] of Object.entries(value)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    const pattern = Object.entries(patternProperties).find(([each]) => new RegExp(each).test(name))
    const next = known ?? pattern?.[1]
    if (next !== undefined) walk(next, inner, [...path, name], tell)
    else if (additionalProperties === false) {
      const names = Object.keys(properties)
      const close = closest(name, names)
      const expected = close ? `${close}?` : names.length > 0 ? `one of ${names.join(', ')}` : describe(shape)
      tell([...path, name], `there is no setting ${name} here`, expected)
    }
  }
}

const holds = (shape: Shape, value: unknown): boolean => {
  let isRight = true
  walk(shape, value, [], () => {
    isRight = false
  })
  return isRight
}

function isOfKind(shape: Shape, value: unknown): boolean {
  if ('const' in shape) return value === shape.const
  if (shape.anyOf !== undefined) return shape.anyOf.some((branch) => isOfKind(branch, value))
  switch (shape.type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
    default:
      return typeof value === shape.type
  }
}

function inBounds(shape: Shape, value: unknown): boolean {
  if (typeof value === 'number')
    return value >= (shape.minimum ?? Number.NEGATIVE_INFINITY) && value <= (shape.maximum ?? Number.POSITIVE_INFINITY)
  if (typeof value === 'string')
    return (
      value.length >= (shape.minLength ?? 0) &&
      value.length <= (shape.maxLength ?? Number.POSITIVE_INFINITY) &&
      (shape.pattern === undefined || new RegExp(shape.pattern).test(value))
    )
  return true
}

const wrong = (value: unknown): string =>
  value === undefined || value === null ? 'nothing stands here' : `${JSON.stringify(value).slice(0, 60)} is wrong here`

/** What a schema wants, in words. */
function describe(shape: Shape | undefined): string {
  if (shape === undefined) return ''
  const { description, type, minimum, maximum, properties } = shape
  if (description !== undefined) return description
  if (type === 'boolean') return 'true or false'
  if (type === 'integer' || type === 'number')
    return `a number${minimum === undefined ? '' : ` from ${minimum}`}${maximum === undefined ? '' : ` to ${maximum}`}`
  if (type === 'array') return 'a list'
  if (type === 'object') return `settings: ${Object.keys(properties ?? {}).join(', ')}`
  return 'text'
}

/** The known name nearest to a mistyped one, if it is near. */
function closest(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const each of known) {
    const distance = editDistance(name.toLowerCase(), each.toLowerCase())
    if (distance < least) {
      least = distance
      best = each
    }
  }
  return best
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)))
    row = next
  }
  return row[to.length]!
}
