/**
 * From a credential to a principal: on whose behalf a request acts, and what it may do. Looked up for every request, so
 * answers are kept for a few seconds in memory; whoever takes a right away says so on the channel `izumi_access`, and
 * every process forgets all it kept (`forget`). Only found principals are kept, never refusals.
 */
import { hashSecret } from '../core/ids.ts'
import type { Instant } from '../core/time.ts'
import type { Database, Sql } from '../database/connection.ts'
import type { Actor } from '../database/events.ts'
import type { PartyKind, Role } from './model.ts'

export interface Principal {
  actor: Actor
  via: 'session' | 'api-key'
  userId: string | null
  partyId: string
  partyKind: PartyKind
  role: Role
  /** Null: everything that the role allows. */
  scopes: string[] | null
}

/** The channel on which processes tell each other that rights have changed. */
export const ACCESS_CHANNEL = 'izumi_access'
const KEPT_MS = 5_000
/** Principals kept at once; the oldest go first. */
const KEPT_PRINCIPALS = 10_000

/** Tells every process, at the commit of this transaction, to forget the principals it keeps. */
export const announceAccessChange = (sql: Sql): Promise<unknown> =>
  sql.query(`select pg_notify('${ACCESS_CHANNEL}', '')`)

interface Row {
  userId: string | null
  keyId: string | null
  name: string
  partyId: string
  partyKind: PartyKind
  role: Role
  scopes: string[] | null
  expiresAt: Instant | null
}

/** A party is open when neither it nor any party above it is closed. */
const OPEN = `not exists (select from party above where above.id = any (p.ancestors) and above.status = 'closed')`

const BY_SESSION = `
  select u.id as "userId", null as "keyId", u.name, u.party_id as "partyId", p.kind as "partyKind", u.role,
    null::text[] as scopes, s.expires_at as "expiresAt"
  from session s join app_user u on u.id = s.user_id join party p on p.id = u.party_id
  where s.token_hash = $1 and s.expires_at > now() and u.status = 'active' and ${OPEN}`

const BY_KEY = `
  select null as "userId", k.id as "keyId", k.name, k.party_id as "partyId", p.kind as "partyKind", k.role,
    k.scopes, k.expires_at as "expiresAt"
  from api_key k join party p on p.id = k.party_id
  where k.secret_hash = $1 and k.revoked_at is null and coalesce(k.expires_at, 'infinity') > now() and ${OPEN}`

export class Principals {
  readonly #database: Database
  readonly #clock: () => Instant
  readonly #kept = new Map<string, { principal: Principal; until: Instant }>()
  /** How often everything was forgotten: what was asked before that is not kept after it. */
  #forgotten = 0

  constructor(database: Database, clock: () => Instant = Date.now) {
    this.#database = database
    this.#clock = clock
  }

  /** A principal that is already known in memory; else undefined. Costs one hash and one look-up. */
  known(via: Principal['via'], secret: string): Principal | undefined {
    const key = hashSecret(secret)
    const entry = this.#kept.get(key)
    if (!entry || entry.principal.via !== via) return undefined
    if (entry.until > this.#clock()) return entry.principal
    this.#kept.delete(key)
    return undefined
  }

  /** The principal of a session token or API key, or null when it is not valid (any more). */
  async find(via: Principal['via'], secret: string): Promise<Principal | null> {
    const hash = hashSecret(secret)
    const asked = this.#forgotten
    const [row] = await this.#database.query<Row>(
      via === 'session' ? BY_SESSION : BY_KEY,
      [hash],
      via === 'session' ? 'principal-by-session' : 'principal-by-key',
    )
    if (!row) return null
    const principal: Principal = {
      actor: { kind: row.userId ? 'user' : 'api-key', id: row.userId ?? row.keyId, name: row.name },
      via,
      userId: row.userId,
      partyId: row.partyId,
      partyKind: row.partyKind,
      role: row.role,
      scopes: row.scopes?.includes('*') ? null : row.scopes,
    }
    if (asked !== this.#forgotten) return principal
    if (this.#kept.size >= KEPT_PRINCIPALS) this.#kept.delete(this.#kept.keys().next().value!)
    const until = Math.min(this.#clock() + KEPT_MS, row.expiresAt ?? Number.POSITIVE_INFINITY)
    this.#kept.set(hash, { principal, until })
    return principal
  }

  /** Forgets everything kept: some right has changed somewhere. */
  forget(): void {
    this.#forgotten++
    this.#kept.clear()
  }
}
