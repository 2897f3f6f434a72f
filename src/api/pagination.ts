/**
 * Keyset pagination: a cursor is the sort key of the last item shown, so a page costs the same however deep it lies and
 * nothing is skipped or shown twice when rows are added meanwhile. A cursor is base64url JSON; it holds nothing secret.
 */
import { BadInput } from '../core/errors.ts'

export type KeyPart = 'uuid' | 'text' | 'number' | 'bigint' | 'instant'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

const VALID: Record<KeyPart, (value: unknown) => boolean> = {
  uuid: (value) => typeof value === 'string' && UUID.test(value),
  text: (value) => typeof value === 'string' && value.length <= 500 && value.isWellFormed() && !value.includes('\0'),
  number: (value) => Number.isSafeInteger(value),
  bigint: (value) => typeof value === 'string' && /^-?\d{1,18}$/.test(value),
  instant: (value) => value === 'infinity' || (Number.isFinite(value) && Math.abs(value as number) < 8.64e15),
}

const encode = (values: readonly unknown[]): string =>
  Buffer.from(
    JSON.stringify(
      values.map((value) =>
        typeof value === 'bigint' ? String(value) : value === Number.POSITIVE_INFINITY ? 'infinity' : value,
      ),
    ),
  ).toString('base64url')

/**
 * The sort key that a cursor holds, checked part by part; null without a cursor. Instants come as milliseconds, bigints
 * as strings ready for a statement.
 * @throws BadInput when it is not a cursor of this list
 */
export function cursorKey(cursor: string | undefined, parts: readonly KeyPart[]): unknown[] | null {
  if (cursor === undefined) return null
  let values: unknown
  try {
    values = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    values = null
  }
  if (!Array.isArray(values) || values.length !== parts.length || !parts.every((part, at) => VALID[part](values[at])))
    throw new BadInput('/query/cursor', 'is not a cursor of this list', 'the `next` of the page before, unchanged')
  return values.map((value, at) => (parts[at] === 'instant' && value === 'infinity' ? Number.POSITIVE_INFINITY : value))
}

/**
 * A page out of up to `limit + 1` rows: ask the store for one row more than the page holds, and this cuts it off and
 * makes the cursor from the last row shown.
 */
export function page<Row, Item>(
  rows: readonly Row[],
  limit: number,
  key: (row: Row) => readonly unknown[],
  item: (row: Row) => Item,
): { items: Item[]; next: string | null } {
  const shown = rows.slice(0, limit)
  return { items: shown.map(item), next: rows.length > limit ? encode(key(shown.at(-1)!)) : null }
}

/** A search text as a LIKE pattern, its own wildcards taken literally; null when there is none. */
export const likePattern = (q: string | undefined): string | null =>
  q === undefined || q === '' ? null : `%${q.replace(/[\\%_]/g, '\\$&')}%`
