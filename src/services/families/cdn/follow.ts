/**
 * Properties follow their services: an order becomes a property that is live, a changed choice a new version, a suspended
 * or ended service leaves the edges. What is to be done is seen from the rows themselves, never from an event that might
 * be late, so it can be done at any time, by any process, any number of times.
 */
import { Refusal } from '../../../core/errors.ts'
import { type Database, isDatabaseAway, type Sql } from '../../../database/connection.ts'
import { appendEvents, SYSTEM } from '../../../database/events.ts'
import { bringIntoForce, tellEdges, untellEdges } from './activate.ts'
import { CDN } from './cdn.ts'
import { type PropertyRules, requireProperty } from './check.ts'
import type { CdnConfig } from './config.ts'
import { differences } from './diff.ts'
import { findProperty, findVersion, insertVersion, type Property } from './store.ts'

/** Services looked at in one go. */
const AT_ONCE = 200

const DUE = `
  select s.id from service s left join cdn_property p on p.id = s.id
  where s.family = '${CDN}' and (p.service_version <> s.version or p.id is null and s.state in ('active', 'suspended'))`

interface Followed {
  id: string
  partyId: string
  state: 'active' | 'suspended' | 'terminated'
  config: CdnConfig
  version: number
}

/** Brings every property after its service; returns how many were looked at. */
export async function followProperties(database: Database, rules: PropertyRules): Promise<number> {
  const due = await database.query<{ id: string }>(`${DUE} order by s.id limit ${AT_ONCE}`, [], 'due-properties')
  for (const { id } of due) await followOne(database, id, rules)
  return due.length
}

async function followOne(database: Database, id: string, rules: PropertyRules): Promise<void> {
  try {
    await database.transaction(async (sql) => {
      const service = await lockDue(sql, id)
      if (service) await settle(sql, service, rules)
    })
  } catch (error) {
    if (isDatabaseAway(error) || !(error instanceof Refusal)) throw error
    await refuse(database, id, error)
  }
}

/** Null when another process is at it or has done it. */
async function lockDue(sql: Sql, id: string): Promise<Followed | null> {
  const [service] = await sql.query<Followed>(
    `select id, party_id as "partyId", state, config, version from service s where id = $1 for update skip locked`,
    [id],
  )
  if (!service) return null
  const [property] = await sql.query<{ followed: number }>(
    'select service_version as followed from cdn_property where id = $1 for update',
    [id],
  )
  return property?.followed === service.version ? null : service
}

const siteIdsOf = async (sql: Sql, sites: CdnConfig['sites']): Promise<number[] | null> =>
  sites === 'everywhere'
    ? null
    : (await sql.query<{ id: number }>('select id from site where code = any($1) order by id', [sites])).map(
        ({ id }) => id,
      )

/** The property's row as the service wants it, before anything of it is in force. */
async function upsert(sql: Sql, service: Followed): Promise<Property> {
  const { property, sites } = service.config
  await sql.query(
    `insert into cdn_property (id, party_id, name, edge_name, sites, state, service_version) values ($1, $2, $3, $4, $5, 'live', $6)
     on conflict (id) do update set sites = excluded.sites, service_version = excluded.service_version`,
    [
      service.id,
      service.partyId,
      property.name,
      // The end of a UUID of version 7 is random.
      `${property.name.slice(0, 50).replace(/-+$/, '')}-${service.id.slice(-12)}`,
      await siteIdsOf(sql, sites),
      service.version,
    ],
  )
  return findProperty(sql, service.id)
}

async function settle(sql: Sql, service: Followed, rules: PropertyRules): Promise<void> {
  const property = await upsert(sql, service)
  if (service.state !== 'active') {
    const state = service.state === 'terminated' ? 'ended' : 'suspended'
    if (state === 'ended') await sql.query('delete from cdn_host where property_id = $1', [service.id])
    const sequence = await untellEdges(sql, property)
    await sql.query('update cdn_property set state = $2, sequence = $3, version = version + 1 where id = $1', [
      service.id,
      state,
      sequence,
    ])
    return
  }
  const wanted = service.config.property
  const { activeVersion } = property
  const active = activeVersion === null ? null : await findVersion(sql, service.id, activeVersion)
  if (active && differences(active.config, wanted).length === 0) {
    const sequence = await tellEdges(sql, property, active.config)
    await sql.query(
      `update cdn_property set state = 'live', problem = null, sequence = $2, version = version + 1 where id = $1`,
      [service.id, sequence],
    )
    return
  }
  requireProperty(wanted, rules)
  const number = await insertVersion(sql, property, wanted, SYSTEM.name, null)
  await bringIntoForce(sql, property, number, wanted)
}

/** What cannot be served is said where the customer looks; it is tried again when the service changes. */
async function refuse(database: Database, id: string, refusal: Refusal): Promise<void> {
  await database.transaction(async (sql) => {
    const service = await lockDue(sql, id)
    if (!service) return
    const property = await upsert(sql, service)
    await sql.query('update cdn_property set state = $2, problem = $3, version = version + 1 where id = $1', [
      id,
      // What was in force stays in force.
      property.activeVersion === null ? 'refused' : property.state,
      refusal.message.slice(0, 1_000),
    ])
    await appendEvents(sql, [
      {
        partyId: service.partyId,
        actor: SYSTEM,
        type: 'cdn-property.refused',
        subjectKind: 'cdn-property',
        subjectId: id,
        after: { problem: refusal.message.slice(0, 1_000) },
      },
    ])
  })
}
