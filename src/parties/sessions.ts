/**
 * Sessions of people: a random token in a cookie, its hash in the database. Signing in with a password, by OIDC, or by
 * accepting an invitation all end here.
 */
import { NotSignedIn } from '../core/errors.ts'
import { hashSecret, newSecret } from '../core/ids.ts'
import { DAY_MS, type Instant } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import { appendEvents } from '../database/events.ts'
import { passwordMatches } from './password.ts'
import { announceAccessChange } from './principal.ts'
import { countFailure, forgive, refuseGuessing } from './throttle.ts'

/** How long a sign-in lasts. */
export const SESSION_MS = 7 * DAY_MS

export interface Session {
  token: string
  userId: string
  expiresAt: Instant
}

interface Candidate {
  id: string
  partyId: string
  name: string
  passwordHash: string | null
}

/** Begins a session for a user and records the sign-in. */
export async function beginSession(
  sql: Sql,
  user: { id: string; partyId: string; name: string },
  how: 'password' | 'oidc' | 'invitation' | 'set-up',
  now: Instant,
): Promise<Session> {
  const token = newSecret('s')
  const expiresAt = now + SESSION_MS
  await sql.query('insert into session (token_hash, user_id, created_at, expires_at) values ($1, $2, $3, $4)', [
    hashSecret(token),
    user.id,
    sqlInstant(now),
    sqlInstant(expiresAt),
  ])
  await appendEvents(sql, [
    {
      partyId: user.partyId,
      actor: { kind: 'user', id: user.id, name: user.name },
      type: 'user.signed-in',
      subjectKind: 'user',
      subjectId: user.id,
      after: { how },
    },
  ])
  return { token, userId: user.id, expiresAt }
}

/**
 * Signs a person in. An unknown address takes as long and is refused in the same words as a wrong password.
 * @throws NotSignedIn, TooManyAttempts
 */
export async function signIn(
  database: Database,
  emailAsTyped: string,
  password: string,
  address: string,
  now: Instant,
): Promise<Session> {
  const email = emailAsTyped.trim().toLowerCase()
  await refuseGuessing(database, email, address, now)
  const [user] = await database.query<Candidate>(
    `select u.id, u.party_id as "partyId", u.name, u.password_hash as "passwordHash" from app_user u
     join party p on p.id = u.party_id
     where u.email = $1 and u.status = 'active' and p.status = 'active'`,
    [email],
  )
  const matches = await passwordMatches(password, user?.passwordHash ?? null)
  if (!user || !matches) {
    await countFailure(database, email, address, now)
    throw new NotSignedIn('The e-mail address or the password is not right.')
  }
  return database.transaction(async (sql) => {
    await forgive(sql, email, address)
    return beginSession(sql, user, 'password', now)
  })
}

/** Ends a session. */
export async function signOut(database: Database, token: string): Promise<void> {
  await database.transaction(async (sql) => {
    await sql.query('delete from session where token_hash = $1', [hashSecret(token)])
    await announceAccessChange(sql)
  })
}

/** Ends every session of a user, but for the one with the given token. */
export async function endSessions(sql: Sql, userId: string, exceptToken: string | null): Promise<void> {
  await sql.query('delete from session where user_id = $1 and token_hash is distinct from $2', [
    userId,
    exceptToken === null ? null : hashSecret(exceptToken),
  ])
}

/** Deletes sessions that have run out. */
export const forgetSessions = (sql: Sql): Promise<unknown> => sql.query('delete from session where expires_at < now()')
