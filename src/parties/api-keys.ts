/** API keys: programs that act for a party in a role, limited to scopes, until they expire or are revoked. */
import { NotFound } from '../core/errors.ts'
import { hashSecret, newId, newSecret } from '../core/ids.ts'
import type { Instant } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import type { Party, Role } from './model.ts'
import { announceAccessChange } from './principal.ts'

export interface ApiKey {
  id: string
  partyId: string
  partyName: string
  name: string
  role: Role
  scopes: string[]
  createdAt: Instant
  expiresAt: Instant | null
  revokedAt: Instant | null
}

const COLUMNS = `k.id, k.party_id as "partyId", p.name as "partyName", k.name, k.role, k.scopes, k.created_at as "createdAt",
  k.expires_at as "expiresAt", k.revoked_at as "revokedAt"`
const FROM = 'from api_key k join party p on p.id = k.party_id'

/** Keys, newest first, as far as `sql` may see them. */
export function listApiKeys(
  sql: Sql,
  filter: { partyId: string | null; like: string | null; after: string | null; limit: number },
): Promise<ApiKey[]> {
  return sql.query<ApiKey>(
    `select ${COLUMNS} ${FROM} where ($1::uuid is null or k.party_id = $1) and ($2::text is null or k.name ilike $2)
       and ($3::uuid is null or k.id < $3) order by k.id desc limit $4`,
    [filter.partyId, filter.like, filter.after, filter.limit],
  )
}

export async function findApiKey(sql: Sql, id: string): Promise<ApiKey> {
  const [key] = await sql.query<ApiKey>(`select ${COLUMNS} ${FROM} where k.id = $1`, [id])
  if (!key) throw new NotFound('API key', id)
  return key
}

/** Makes a key; its secret is returned this once and only its hash kept. */
export async function createApiKey(
  database: Database,
  party: Pick<Party, 'id'>,
  key: { name: string; role: Role; scopes: readonly string[]; expiresAt: Instant | null },
  actor: Actor,
): Promise<{ key: ApiKey; secret: string }> {
  const id = newId()
  const secret = newSecret('izumi')
  return database.transaction(async (sql) => {
    await sql.query(
      `insert into api_key (id, party_id, name, secret_hash, role, scopes, created_by, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        id,
        party.id,
        key.name,
        hashSecret(secret),
        key.role,
        key.scopes,
        actor.kind === 'user' ? actor.id : null,
        key.expiresAt === null ? null : sqlInstant(key.expiresAt),
      ],
    )
    const { name, role, scopes, expiresAt } = key
    await appendEvents(sql, [
      {
        partyId: party.id,
        actor,
        type: 'api-key.created',
        subjectKind: 'api-key',
        subjectId: id,
        after: { name, role, scopes, expiresAt },
      },
    ])
    return { key: await findApiKey(sql, id), secret }
  })
}

/** Revokes a key, at once and everywhere; again is no harm. */
export async function revokeApiKey(database: Database, id: string, actor: Actor): Promise<void> {
  await database.transaction(async (sql) => {
    const [key] = await sql.query<{ partyId: string; name: string }>(
      'update api_key set revoked_at = now() where id = $1 and revoked_at is null returning party_id as "partyId", name',
      [id],
    )
    if (!key) return
    await appendEvents(sql, [
      {
        partyId: key.partyId,
        actor,
        type: 'api-key.revoked',
        subjectKind: 'api-key',
        subjectId: id,
        before: { name: key.name },
      },
    ])
    await announceAccessChange(sql)
  })
}
