/**
 * Slows guessing of passwords: failures are counted per e-mail address and network address, and per each alone; past a
 * few, the next try must wait, twice as long each time, up to a quarter of an hour. Kept in the database, so that all
 * processes count together and a restart forgets nothing. What is stored is a hash: what people mistype is nobody's.
 */
import { createHash } from 'node:crypto'
import { Refusal } from '../core/errors.ts'
import { type Instant, MINUTE_MS, SECOND_MS } from '../core/time.ts'
import { type Sql, sqlInstant } from '../database/connection.ts'

const FORGET_MS = 15 * MINUTE_MS
const LONGEST_WAIT_MS = 15 * MINUTE_MS
/** Failures before a wait begins: for one address at one account, for an account, for an address. */
const FREE = { pair: 5, email: 50, address: 50 } as const

/** Too many failed sign-ins: 429 with how long to wait. */
export class TooManyAttempts extends Refusal {
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number) {
    super('too-many-attempts', 429, `Too many failed sign-ins. Try again in ${retryAfterSeconds} seconds.`, [], {
      retryAfterSeconds,
    })
    this.retryAfterSeconds = retryAfterSeconds
  }
}

const subjects = (email: string, address: string) => {
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  return [
    { subject: hash(`pair ${email} ${address}`), free: FREE.pair },
    { subject: hash(`email ${email}`), free: FREE.email },
    { subject: hash(`address ${address}`), free: FREE.address },
  ]
}

/** How long after its last failure a subject with so many failures must wait. */
export const waitMs = (failures: number, free: number): number =>
  failures < free ? 0 : Math.min(LONGEST_WAIT_MS, 2 ** Math.min(20, failures - free) * SECOND_MS)

/** @throws TooManyAttempts while a wait is on */
export async function refuseGuessing(sql: Sql, email: string, address: string, now: Instant): Promise<void> {
  const all = subjects(email, address)
  const rows = await sql.query<{ subject: string; failures: number; lastAt: Instant }>(
    'select subject, failures, last_at as "lastAt" from sign_in_failure where subject = any($1)',
    [all.map(({ subject }) => subject)],
  )
  for (const { subject, failures, lastAt } of rows) {
    const { free } = all.find((one) => one.subject === subject)!
    const until = lastAt + waitMs(failures, free)
    if (now - lastAt < FORGET_MS && until > now) throw new TooManyAttempts(Math.ceil((until - now) / SECOND_MS))
  }
}

/** Counts a failure. */
export async function countFailure(sql: Sql, email: string, address: string, now: Instant): Promise<void> {
  await sql.query(
    `insert into sign_in_failure (subject, failures, last_at)
     select subject, 1, $2 from unnest($1::text[]) subject order by subject
     on conflict (subject) do update set last_at = excluded.last_at,
       failures = case when sign_in_failure.last_at < $3 then 1 else sign_in_failure.failures + 1 end`,
    [subjects(email, address).map(({ subject }) => subject), sqlInstant(now), sqlInstant(now - FORGET_MS)],
  )
}

/** A success forgives the pair and the account; the address keeps its count. */
export async function forgive(sql: Sql, email: string, address: string): Promise<void> {
  await sql.query('delete from sign_in_failure where subject = any($1)', [
    subjects(email, address)
      .slice(0, 2)
      .map(({ subject }) => subject),
  ])
}

/** Deletes what no longer counts. */
export const forgetFailures = (sql: Sql, now: Instant): Promise<unknown> =>
  sql.query('delete from sign_in_failure where last_at < $1', [sqlInstant(now - FORGET_MS)])
