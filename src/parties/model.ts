/**
 * Who there is: one operator, resellers below it to any depth, customers below either; people (users) and programs (API
 * keys) who act for a party in one of four roles. Pure rules only; `store.ts` speaks to the database.
 */
import type { Instant } from '../core/time.ts'

export const PARTY_KINDS = ['operator', 'reseller', 'customer'] as const
export type PartyKind = (typeof PARTY_KINDS)[number]

/** `owner` may do everything for its party; `engineer` runs capacity and services; `finance` money; `read-only` looks. */
export const ROLES = ['owner', 'engineer', 'finance', 'read-only'] as const
export type Role = (typeof ROLES)[number]

export interface Party {
  id: string
  kind: PartyKind
  code: string
  name: string
  parentId: string | null
  parentName: string | null
  /** The operator first, the party itself last. */
  ancestors: string[]
  currency: string
  locale: string
  timeZone: string
  email: string | null
  address: string | null
  taxRegistration: string | null
  fiscalYearStartMonth: number
  status: 'active' | 'closed'
  version: number
  createdAt: Instant
}

/** What API keys may be limited to: each noun read, or changed (which includes reading). */
export const SCOPES = [
  'capacity',
  'orders',
  'billing',
  'results',
  'parties',
  'events',
  'webhooks',
  'nodes',
  'cdn',
  'usage',
] as const
export type Scope = (typeof SCOPES)[number]

/** Every word that may stand in a key's `scopes`; `*` is all of them. */
export const SCOPE_WORDS: readonly string[] = ['*', ...SCOPES.flatMap((scope) => [`${scope}:read`, `${scope}:write`])]

/** Whether scopes (null: no limit) let somebody read or change a noun. Changing includes reading. */
export function scopeAllows(scopes: readonly string[] | null, noun: string, verb: 'read' | 'write'): boolean {
  if (scopes === null || scopes.includes('*') || scopes.includes(`${noun}:write`)) return true
  return verb === 'read' && scopes.includes(`${noun}:read`)
}

/** A code made from a name: lower case, hyphens, ASCII; `party` when nothing of the name can stand in one. */
export function codeFromName(name: string): string {
  const code = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50)
    .replace(/-+$/, '')
  return code === '' ? 'party' : code
}
