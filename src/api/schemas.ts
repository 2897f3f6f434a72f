/**
 * The shared shapes of the API, as TypeBox schemas: one definition each for validation, types, OpenAPI and the answer's
 * serialisation. Everything is bounded. `Nullable` writes `type: [.., 'null']`, which validates and serialises faster
 * than a union and reads better in OpenAPI 3.1.
 */
import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import { LIMITS } from '../core/limits.ts'
import { MAX_UNITS } from '../core/quantity.ts'

/** An object that refuses fields it does not know. */
export const Shape = <P extends TProperties>(properties: P, options: { description?: string; title?: string } = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options })

/** The schema or null. */
export function Nullable<S extends TSchema>(schema: S) {
  const plain = schema as S & { type?: string; enum?: unknown[] }
  return typeof plain.type === 'string' && plain.type !== 'object' && plain.type !== 'array'
    ? Type.Unsafe<Static<S> | null>({
        ...plain,
        type: [plain.type, 'null'],
        ...(plain.enum ? { enum: [...plain.enum, null] } : {}),
      })
    : Type.Unsafe<Static<S> | null>({ anyOf: [schema, { type: 'null' }] })
}

/** One of some words, as a plain JSON Schema enum. */
export const OneOf = <const W extends readonly string[]>(
  words: W,
  options: { description?: string; default?: W[number] } = {},
) => Type.Unsafe<W[number]>({ type: 'string', enum: [...words], ...options })

export const Id = Type.String({
  format: 'uuid',
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  maxLength: 36,
  description: 'Identifier, a UUID.',
  examples: ['01938f5e-7c3a-7d4e-8f21-9a0b1c2d3e4f'],
})

/** An id that is a whole number (sites, pools, containers). */
export const NumberId = Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'Identifier, a whole number.' })

export const CODE_PATTERN = '^[a-z0-9][a-z0-9-]{0,62}$'
export const Code = Type.String({
  pattern: CODE_PATTERN,
  maxLength: 63,
  description: 'A short name for addresses: lower-case letters, digits and hyphens.',
  examples: ['yokohama-1'],
})

/** Either the id or the code of a party, in a path or a field. */
export const PartyRef = Type.String({
  pattern: CODE_PATTERN,
  maxLength: 63,
  description: 'A party, by id or by code.',
  examples: ['aoba-cable'],
})

export const Instant = Type.String({
  format: 'date-time',
  pattern:
    '^(19[7-9]\\d|20\\d\\d|21\\d\\d)-(0[1-9]|1[0-2])-\\d\\dT([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)$',
  maxLength: 40,
  description: 'An instant, ISO 8601 with its offset from UTC.',
  examples: ['2026-11-24T09:00:00Z'],
})

/** An instant, or null for an interval without end. */
export const OpenInstant = Nullable(Instant)

export const CalendarDate = Type.String({
  format: 'date',
  pattern: '^(19[7-9]\\d|20\\d\\d|21\\d\\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])$',
  maxLength: 10,
  description: 'A calendar date.',
  examples: ['2026-11-24'],
})

/** A number of a kind's units, up to three decimals. */
export const Units = Type.Number({
  minimum: 0,
  maximum: MAX_UNITS,
  description: 'A number of units, with at most three decimals.',
  examples: [42.5],
})

export const CurrencyCode = Type.String({
  pattern: '^[A-Z]{3}$',
  maxLength: 3,
  description: 'Currency, ISO 4217.',
  examples: ['JPY'],
})

export const MoneyJson = Shape(
  {
    amount: Type.String({
      pattern: '^-?[0-9]{1,18}$',
      maxLength: 19,
      description: "The currency's minor units (yen, cents) as a string, so that no program rounds it.",
      examples: ['12345'],
    }),
    currency: CurrencyCode,
  },
  { description: 'An amount of money.' },
)

/** Text that people read: one line to a paragraph. */
export const Text = (maxLength = 200, options: { description?: string; minLength?: number } = {}) =>
  Type.String({ minLength: 1, maxLength, ...options })

/** Languages that pages and documents come in. */
export const LOCALES = ['en', 'ja'] as const

export const EmailAddress = Type.String({
  format: 'email',
  maxLength: 254,
  description: 'E-mail address.',
  examples: ['hanako@example.jp'],
})

/** Free-form JSON that a family defines itself. */
export const Json = Type.Unsafe<Record<string, unknown>>({ type: 'object', additionalProperties: true })

/** The query of every list: spread it into a list's own filters. */
export const PageQuery = {
  limit: Type.Integer({
    minimum: 1,
    maximum: LIMITS.pageItems,
    default: 50,
    description: `Items on the page, up to ${LIMITS.pageItems}.`,
  }),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000, description: '`next` of the page before.' })),
  q: Type.Optional(
    Type.String({ maxLength: 200, description: 'Only items whose name, number or code holds this text.' }),
  ),
}

/** One page of a list; `next` asks for the page after it, null on the last. */
export const Page = <S extends TSchema>(item: S) =>
  Shape({ items: Type.Array(item), next: Nullable(Type.String({ description: 'Cursor of the next page.' })) })

export const FieldProblemJson = Shape({
  at: Type.String({ description: 'JSON pointer into the body, or /query/…, /path/…, /header/….' }),
  problem: Type.String(),
  expected: Type.String(),
})

/** RFC 9457 problem details, with what a program needs to act on it. */
export const Problem = Type.Object(
  {
    type: Type.String({ description: 'A URN that names the kind of problem.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What was wrong and what would be right, in a sentence.' }),
    code: Type.String({ description: 'Stable code of the problem.' }),
    fields: Type.Array(FieldProblemJson),
  },
  { additionalProperties: true, title: 'Problem' },
)
