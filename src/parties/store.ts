/** Parties in SQL. Reads go through the tenant's view; writes run as the owner after the caller has checked the right. */
import { LimitPassed, NotFound, StaleVersion, WrongState } from '../core/errors.ts'
import { newId } from '../core/ids.ts'
import { LIMITS } from '../core/limits.ts'
import type { Database, Sql } from '../database/connection.ts'
import { type Actor, appendEvents } from '../database/events.ts'
import { codeFromName, type Party, type PartyKind } from './model.ts'
import { announceAccessChange } from './principal.ts'

const COLUMNS = `p.id, p.kind, p.code, p.name, p.parent_id as "parentId", parent.name as "parentName", p.ancestors,
  p.currency, p.locale, p.time_zone as "timeZone", p.email, p.address, p.tax_registration as "taxRegistration",
  p.fiscal_year_start_month as "fiscalYearStartMonth", p.status, p.version, p.created_at as "createdAt"`
const FROM = 'from party p left join party parent on parent.id = p.parent_id'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** One party by id or code, as far as `sql` may see it; null when there is none. */
export async function findParty(sql: Sql, idOrCode: string): Promise<Party | null> {
  const by = UUID.test(idOrCode) ? 'p.id = $1::uuid' : 'p.code = $1'
  const [party] = await sql.query<Party>(`select ${COLUMNS} ${FROM} where ${by}`, [idOrCode])
  return party ?? null
}

/** The operator; null before set-up. Read as the owner: everybody may know whose platform this is. */
export async function findOperator(sql: Sql): Promise<Party | null> {
  const [party] = await sql.query<Party>(`select ${COLUMNS} ${FROM} where p.kind = 'operator'`)
  return party ?? null
}

/** Parties in order of name, from after the key `(name, id)`, as far as `sql` may see them. */
export function listParties(
  sql: Sql,
  filter: {
    kind: PartyKind | null
    parentId: string | null
    status: Party['status'] | null
    like: string | null
    after: [name: string, id: string] | null
    limit: number
  },
): Promise<Party[]> {
  return sql.query<Party>(
    `select ${COLUMNS} ${FROM}
     where ($1::text is null or p.kind = $1) and ($2::uuid is null or p.parent_id = $2)
       and ($3::text is null or p.status = $3)
       and ($4::text is null or p.name ilike $4 or p.code ilike $4 or p.email ilike $4)
       and ($5::text is null or (p.name, p.id) > ($5, $6::uuid))
     order by p.name, p.id limit $7`,
    [
      filter.kind,
      filter.parentId,
      filter.status,
      filter.like,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.limit,
    ],
  )
}

export interface NewParty {
  kind: PartyKind
  code?: string
  name: string
  currency?: string
  locale?: string
  timeZone?: string
  email?: string | null
  address?: string | null
  taxRegistration?: string | null
  fiscalYearStartMonth?: number
}

const shown = ({ ancestors: _, version: __, createdAt: ___, parentName: ____, ...party }: Party) => party

/**
 * Adds a party below its parent (null: the operator itself, once). What it does not say it takes from its parent.
 * @throws WrongState for a customer as parent or a code in use, LimitPassed too deep below the operator
 */
export async function createParty(
  sql: Sql,
  parent: Party | null,
  party: NewParty,
  actor: Actor | null,
): Promise<Party> {
  if (parent?.kind === 'customer') throw new WrongState(`${parent.name} is a customer; only resellers have customers.`)
  if (parent?.status === 'closed') throw new WrongState(`${parent.name} is closed.`)
  const depth = parent ? parent.ancestors.length : 0
  if (depth > LIMITS.partyDepth) throw new LimitPassed('The depth of resellers', LIMITS.partyDepth, depth)
  const id = newId()
  const ancestors = [...(parent?.ancestors ?? []), id]
  const wanted = party.code ?? codeFromName(party.name)
  const [used] = party.code ? [] : await sql.query('select from party where code = $1', [wanted])
  const code = used ? `${wanted}-${id.slice(-8)}` : wanted
  await sql.query(
    `insert into party (id, kind, code, name, parent_id, ancestors, currency, locale, time_zone, email, address,
       tax_registration, fiscal_year_start_month)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
    [
      id,
      party.kind,
      code,
      party.name,
      parent?.id ?? null,
      ancestors,
      party.currency ?? parent?.currency ?? 'JPY',
      party.locale ?? parent?.locale ?? 'en',
      party.timeZone ?? parent?.timeZone ?? 'Asia/Tokyo',
      party.email ?? null,
      party.address ?? null,
      party.taxRegistration ?? null,
      party.fiscalYearStartMonth ?? parent?.fiscalYearStartMonth ?? 4,
    ],
  )
  const created = (await findParty(sql, id))!
  await appendEvents(sql, [
    {
      partyId: id,
      actor: actor ?? { kind: 'system', id: null, name: 'Izumi' },
      type: 'party.created',
      subjectKind: 'party',
      subjectId: id,
      after: shown(created),
    },
  ])
  return created
}

export type PartyChange = Partial<Omit<NewParty, 'kind' | 'code'>> & { status?: Party['status'] }

/** Changes a party. @throws StaleVersion, WrongState when it cannot be closed */
export function changeParty(
  database: Database,
  id: string,
  version: number | null,
  change: PartyChange,
  actor: Actor,
): Promise<Party> {
  return database.transaction(async (sql) => {
    await sql.query('select from party where id = $1 for update', [id])
    const before = await findParty(sql, id)
    if (!before) throw new NotFound('party', id)
    if (version !== null && version !== before.version) throw new StaleVersion(version, before.version)
    if (change.status === 'closed') {
      if (before.kind === 'operator') throw new WrongState('The operator cannot be closed.')
      const [open] = await sql.query<{ name: string }>(
        `select name from party where parent_id = $1 and status = 'active' limit 1`,
        [id],
      )
      if (open) throw new WrongState(`${before.name} still has open parties below it, such as ${open.name}.`)
    }
    const has = (name: keyof PartyChange) => change[name] !== undefined
    await sql.query(
      `update party set name = coalesce($2, name), currency = coalesce($3, currency), locale = coalesce($4, locale),
         time_zone = coalesce($5, time_zone), email = case when $6 then $7 else email end,
         address = case when $8 then $9 else address end,
         tax_registration = case when $10 then $11 else tax_registration end,
         fiscal_year_start_month = coalesce($12, fiscal_year_start_month), status = coalesce($13, status),
         version = version + 1
       where id = $1`,
      [
        id,
        change.name ?? null,
        change.currency ?? null,
        change.locale ?? null,
        change.timeZone ?? null,
        has('email'),
        change.email ?? null,
        has('address'),
        change.address ?? null,
        has('taxRegistration'),
        change.taxRegistration ?? null,
        change.fiscalYearStartMonth ?? null,
        change.status ?? null,
      ],
    )
    const after = (await findParty(sql, id))!
    await appendEvents(sql, [
      {
        partyId: id,
        actor,
        type: change.status === 'closed' ? 'party.closed' : 'party.changed',
        subjectKind: 'party',
        subjectId: id,
        before: shown(before),
        after: shown(after),
      },
    ])
    await announceAccessChange(sql)
    return after
  })
}
