/**
 * People: who may sign in for a party, in which role. People are invited; the one who accepts chooses the password. A
 * party always keeps one active owner, so that nobody locks everybody out.
 */
import { NotFound, Refusal, StaleVersion, WrongState } from '../core/errors.ts'
import { hashSecret, newId, newSecret } from '../core/ids.ts'
import { DAY_MS, type Instant } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import type { Party, PartyKind, Role } from './model.ts'
import { hashPassword, passwordMatches } from './password.ts'
import { announceAccessChange } from './principal.ts'
import { beginSession, endSessions, type Session } from './sessions.ts'

/** How long an invitation can be accepted. */
export const INVITATION_MS = 7 * DAY_MS

export interface User {
  id: string
  partyId: string
  partyName: string
  partyKind: PartyKind
  email: string
  name: string
  role: Role
  locale: string
  status: 'active' | 'disabled'
  hasPassword: boolean
  version: number
  createdAt: Instant
}

const COLUMNS = `u.id, u.party_id as "partyId", p.name as "partyName", p.kind as "partyKind", u.email, u.name, u.role, u.locale,
  u.status, u.password_hash is not null as "hasPassword", u.version, u.created_at as "createdAt"`
const FROM = 'from app_user u join party p on p.id = u.party_id'

export async function findUser(sql: Sql, id: string): Promise<User | null> {
  const [user] = await sql.query<User>(`select ${COLUMNS} ${FROM} where u.id = $1`, [id])
  return user ?? null
}

/** Users in order of e-mail address, from after `after`, as far as `sql` may see them. */
export function listUsers(
  sql: Sql,
  filter: { partyId: string | null; like: string | null; after: string | null; limit: number },
): Promise<User[]> {
  return sql.query<User>(
    `select ${COLUMNS} ${FROM}
     where ($1::uuid is null or u.party_id = $1) and ($2::text is null or u.email ilike $2 or u.name ilike $2)
       and ($3::text is null or u.email > $3)
     order by u.email limit $4`,
    [filter.partyId, filter.like, filter.after, filter.limit],
  )
}

const shown = ({ id, email, name, role, locale, status }: User) => ({ id, email, name, role, locale, status })

/** Adds a user. The e-mail address is theirs alone in the whole platform. */
export async function addUser(
  sql: Sql,
  user: { partyId: string; email: string; name: string; role: Role; locale: string; passwordHash: string | null },
  actor: Actor | null,
): Promise<User> {
  const id = newId()
  await sql.query(
    'insert into app_user (id, party_id, email, name, role, locale, password_hash) values ($1, $2, $3, $4, $5, $6, $7)',
    [id, user.partyId, user.email.trim().toLowerCase(), user.name, user.role, user.locale, user.passwordHash],
  )
  const added = (await findUser(sql, id))!
  await appendEvents(sql, [
    {
      partyId: user.partyId,
      actor: actor ?? { kind: 'user', id, name: user.name },
      type: 'user.created',
      subjectKind: 'user',
      subjectId: id,
      after: shown(added),
    },
  ])
  return added
}

export interface UserChange {
  name?: string
  role?: Role
  locale?: string
  status?: 'active' | 'disabled'
  password?: { current: string; next: string }
}

/**
 * Changes a user; a changed password ends all other sessions.
 * @throws StaleVersion, WrongState for the last owner, Refusal `wrong-password`
 */
export async function changeUser(
  database: Database,
  id: string,
  version: number | null,
  change: UserChange,
  actor: Actor,
  keepToken: string | null = null,
): Promise<User> {
  let passwordHash: string | null = null
  if (change.password) {
    const [row] = await database.query<{ passwordHash: string | null }>(
      'select password_hash as "passwordHash" from app_user where id = $1',
      [id],
    )
    if (!(await passwordMatches(change.password.current, row?.passwordHash ?? null)))
      throw new Refusal('wrong-password', 403, 'The current password is not right.', [
        { at: '/currentPassword', problem: 'is not right', expected: 'the password you sign in with now' },
      ])
    passwordHash = await hashPassword(change.password.next, '/newPassword')
  }
  return database.transaction(async (sql) => {
    // The party's row is locked first, so that two owners cannot each remove the other.
    await sql.query('select from party where id = (select party_id from app_user where id = $1) for update', [id])
    const before = await findUser(sql, id)
    if (!before) throw new NotFound('user', id)
    if (version !== null && version !== before.version) throw new StaleVersion(version, before.version)
    const losesOwner =
      before.role === 'owner' &&
      before.status === 'active' &&
      ((change.role ?? 'owner') !== 'owner' || change.status === 'disabled')
    if (losesOwner) {
      const others = await sql.query(
        `select from app_user where party_id = $1 and role = 'owner' and status = 'active' and id <> $2`,
        [before.partyId, id],
      )
      if (others.length === 0)
        throw new WrongState(`${before.name} is the last owner of ${before.partyName}; make somebody else owner first.`)
    }
    await sql.query(
      `update app_user set name = coalesce($2, name), role = coalesce($3, role), locale = coalesce($4, locale),
         status = coalesce($5, status), password_hash = coalesce($6, password_hash), version = version + 1
       where id = $1`,
      [id, change.name ?? null, change.role ?? null, change.locale ?? null, change.status ?? null, passwordHash],
    )
    if (passwordHash !== null || change.status === 'disabled') await endSessions(sql, id, keepToken)
    const after = (await findUser(sql, id))!
    await appendEvents(sql, [
      {
        partyId: before.partyId,
        actor,
        type: passwordHash === null ? 'user.changed' : 'user.password-changed',
        subjectKind: 'user',
        subjectId: id,
        before: shown(before),
        after: shown(after),
      },
    ])
    await announceAccessChange(sql)
    return after
  })
}

export interface Invitation {
  id: string
  partyId: string
  partyName: string
  email: string
  role: Role
  expiresAt: Instant
  acceptedAt: Instant | null
  createdAt: Instant
}

const INVITATION_COLUMNS = `i.id, i.party_id as "partyId", p.name as "partyName", i.email, i.role,
  i.expires_at as "expiresAt", i.accepted_at as "acceptedAt", i.created_at as "createdAt"`
const INVITATION_FROM = 'from invitation i join party p on p.id = i.party_id'

/** Invites somebody; returns the token of the link, which is not kept. @throws WrongState when they have an account */
export async function invite(
  database: Database,
  party: Party,
  email: string,
  role: Role,
  actor: Actor,
  now: Instant,
): Promise<{ invitation: Invitation; token: string }> {
  const id = newId()
  const token = newSecret('invite')
  const address = email.trim().toLowerCase()
  return database.transaction(async (sql) => {
    const [taken] = await sql.query('select from app_user where email = $1', [address])
    if (taken) throw new WrongState(`${address} has an account already.`)
    await sql.query(
      `insert into invitation (id, party_id, email, role, token_hash, invited_by, expires_at, created_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        id,
        party.id,
        address,
        role,
        hashSecret(token),
        actor.kind === 'user' ? actor.id : null,
        sqlInstant(now + INVITATION_MS),
        sqlInstant(now),
      ],
    )
    await appendEvents(sql, [
      {
        partyId: party.id,
        actor,
        type: 'user.invited',
        subjectKind: 'invitation',
        subjectId: id,
        after: { email: address, role },
      },
    ])
    const [invitation] = await sql.query<Invitation>(
      `select ${INVITATION_COLUMNS} ${INVITATION_FROM} where i.id = $1`,
      [id],
    )
    return { invitation: invitation!, token }
  })
}

/** Invitations, newest first, as far as `sql` may see them. */
export function listInvitations(
  sql: Sql,
  filter: { partyId: string | null; after: string | null; limit: number },
): Promise<Invitation[]> {
  return sql.query<Invitation>(
    `select ${INVITATION_COLUMNS} ${INVITATION_FROM}
     where ($1::uuid is null or i.party_id = $1) and ($2::uuid is null or i.id < $2) order by i.id desc limit $3`,
    [filter.partyId, filter.after, filter.limit],
  )
}

/** The open invitation of a token. @throws NotFound when there is none, or it was used or has run out */
export async function findInvitation(sql: Sql, token: string, now: Instant): Promise<Invitation> {
  const [invitation] = await sql.query<Invitation>(
    `select ${INVITATION_COLUMNS} ${INVITATION_FROM}
     where i.token_hash = $1 and i.accepted_at is null and i.expires_at > $2 and p.status = 'active'`,
    [hashSecret(token), sqlInstant(now)],
  )
  if (!invitation) throw new NotFound('open invitation', 'with this link')
  return invitation
}

/** Accepts an invitation: makes the account and signs in. */
export async function acceptInvitation(
  database: Database,
  token: string,
  name: string,
  password: string,
  locale: string,
  now: Instant,
): Promise<Session> {
  await findInvitation(database, token, now)
  const passwordHash = await hashPassword(password)
  return database.transaction(async (sql) => {
    const { id, partyId, email, role } = await findInvitation(sql, token, now)
    const used = await sql.query(
      'update invitation set accepted_at = $2 where id = $1 and accepted_at is null returning id',
      [id, sqlInstant(now)],
    )
    if (used.length === 0) throw new NotFound('open invitation', 'with this link')
    const user = await addUser(sql, { partyId, email, name, role, locale, passwordHash }, null)
    return beginSession(sql, user, 'invitation', now)
  })
}
