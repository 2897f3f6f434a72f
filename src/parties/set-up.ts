/** The first minute of an operator's own Izumi: the operator and its first owner, together or not at all, once. */
import { WrongState } from '../core/errors.ts'
import type { Instant } from '../core/time.ts'
import type { Database } from '../database/connection.ts'
import { hashPassword } from './password.ts'
import { beginSession, type Session } from './sessions.ts'
import { createParty, findOperator, type NewParty } from './store.ts'
import { addUser } from './users.ts'

/** One set-up at a time; the number is arbitrary but fixed. */
const LOCK = 7_250_392

/** @throws WrongState when there is an operator already */
export async function setUp(
  database: Database,
  operator: Omit<NewParty, 'kind'>,
  owner: { name: string; email: string; password: string; locale: string },
  now: Instant,
): Promise<Session> {
  const passwordHash = await hashPassword(owner.password, '/user/password')
  return database.transaction(async (sql) => {
    await sql.query('select pg_advisory_xact_lock($1)', [LOCK])
    if (await findOperator(sql)) throw new WrongState('This Izumi is set up already; sign in.')
    const party = await createParty(sql, null, { ...operator, kind: 'operator' }, null)
    const user = await addUser(
      sql,
      {
        partyId: party.id,
        email: owner.email,
        name: owner.name,
        role: 'owner',
        locale: owner.locale,
        passwordHash,
      },
      null,
    )
    return beginSession(sql, user, 'set-up', now)
  })
}
