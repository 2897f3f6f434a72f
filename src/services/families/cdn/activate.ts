/**
 * A version of a property comes into force: its host names are taken, edges are told through the feed, the service says
 * what it now is; all in one transaction, so that a version either is what every edge is told or never was.
 */
import { NotFound, WrongState } from '../../../core/errors.ts'
import { newId } from '../../../core/ids.ts'
import type { Instant } from '../../../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../../../database/connection.ts'
import { type Actor, appendEvents } from '../../../database/events.ts'
import { publish } from '../../../nodes/publish.ts'
import { findService } from '../../store.ts'
import { writeChange } from '../../write.ts'
import { PROPERTY_ITEM } from './cdn.ts'
import { covers, type PropertyRules, readCertificate, requireProperty } from './check.ts'
import type { PropertyConfig } from './config.ts'
import { certificatesWithKeys, findProperty, findVersion, insertVersion, type Property } from './store.ts'

/** Certificates that one property keeps. */
const MAX_CERTIFICATES = 20

/** What edges are told of a property. */
export interface PropertyBody {
  property: PropertyConfig
  certificates: { certificate: string; key: string; names: string[] }[]
}

/** Takes the host names of a version and gives back those it does not have. @throws WrongState when one is another's */
export async function takeHosts(sql: Sql, propertyId: string, hosts: readonly string[]): Promise<void> {
  await sql.query('delete from cdn_host where property_id = $1 and not host = any($2)', [propertyId, hosts])
  await sql.query(
    'insert into cdn_host (host, property_id) select host, $1 from unnest($2::text[]) host order by host on conflict do nothing',
    [propertyId, hosts],
  )
  const [foreign] = await sql.query<{ host: string }>(
    'select host from cdn_host where host = any($2) and property_id <> $1 order by host limit 1',
    [propertyId, hosts],
  )
  if (foreign) throw new WrongState(`${foreign.host} is served by another property already.`, { host: foreign.host })
}

/** Tells edges what a property is now; returns the sequence. The caller holds the property's lock. */
export async function tellEdges(sql: Sql, property: Property, config: PropertyConfig): Promise<number> {
  const body: PropertyBody = {
    property: { ...config, name: property.edgeName },
    certificates: await certificatesWithKeys(sql, property.id),
  }
  const [sequence] = await publish(sql, [
    { nodeKind: 'edge', siteIds: property.siteIds, type: 'set', kind: PROPERTY_ITEM, key: property.id, body },
  ])
  return sequence!
}

/** Takes a property from all edges. */
export async function untellEdges(sql: Sql, property: Pick<Property, 'id'>): Promise<number> {
  const [sequence] = await publish(sql, [
    { nodeKind: 'edge', siteIds: null, type: 'remove', kind: PROPERTY_ITEM, key: property.id },
  ])
  return sequence!
}

/** The rows of an activation; the caller has locked service and property, in this order. */
export async function bringIntoForce(
  sql: Sql,
  property: Property,
  number: number,
  config: PropertyConfig,
): Promise<number> {
  await takeHosts(sql, property.id, config.hosts)
  const sequence = await tellEdges(sql, property, config)
  await sql.query(
    'update cdn_version set activated_at = clock_timestamp(), sequence = $3 where property_id = $1 and number = $2',
    [property.id, number, sequence],
  )
  await sql.query(
    `update cdn_property set active_version = $2, sequence = $3, state = 'live', problem = null, name = $4, version = version + 1
     where id = $1`,
    [property.id, number, sequence, config.name],
  )
  return sequence
}

/** Locks a service and its property. @throws NotFound */
async function lock(sql: Sql, id: string): Promise<Property> {
  await sql.query('select from service where id = $1 for update', [id])
  await sql.query('select from cdn_property where id = $1 for update', [id])
  return findProperty(sql, id)
}

/**
 * Activates a version; again is no harm. Returns the sequence that edges confirm.
 * @throws Refusal when the edge's check refuses it now, WrongState, NotFound
 */
export async function activateVersion(
  database: Database,
  id: string,
  number: number,
  options: { rules: PropertyRules; actor: Actor; now: Instant },
): Promise<number> {
  const { rules, actor, now } = options
  return database.transaction(async (sql) => {
    const property = await lock(sql, id)
    if (property.state === 'ended' || property.state === 'suspended')
      throw new WrongState(`The property is ${property.state}.`, { state: property.state })
    const { config } = await findVersion(sql, id, number)
    requireProperty(config, rules, '/config')
    if (property.activeVersion === number && property.state === 'live') return Number(property.sequence)
    const service = await findService(sql, id)
    if (!service) throw new NotFound('service', id)
    const before = service.config
    await writeChange(sql, {
      serviceId: id,
      contractId: service.contractId,
      partyId: service.partyId,
      actor,
      now,
      kind: 'change',
      effectiveAt: Math.max(now, service.startsAt),
      before: { config: before },
      after: { config: { ...before, property: config } },
      config: { ...before, property: config },
      name: service.name,
      endsAt: null,
      seenVersion: service.version,
    })
    await sql.query('update cdn_property set service_version = $2 where id = $1', [id, service.version + 1])
    await appendEvents(sql, [
      {
        partyId: property.partyId,
        actor,
        type: 'cdn-property.activated',
        subjectKind: 'cdn-property',
        subjectId: id,
        before: { version: property.activeVersion },
        after: { version: number },
      },
    ])
    return bringIntoForce(sql, property, number, config)
  })
}

/** Keeps a draft. @throws Refusal when the edge's check refuses it */
export async function draftVersion(
  database: Database,
  property: Property,
  config: unknown,
  options: { rules: PropertyRules; actor: Actor; note: string | null },
): Promise<number> {
  requireProperty(config, options.rules, '/config')
  return database.transaction(async (sql) => {
    const number = await insertVersion(sql, property, config as PropertyConfig, options.actor.name, options.note)
    await appendEvents(sql, [
      {
        partyId: property.partyId,
        actor: options.actor,
        type: 'cdn-property.drafted',
        subjectKind: 'cdn-property',
        subjectId: property.id,
        after: { version: number, note: options.note },
      },
    ])
    return number
  })
}

/** Adds a certificate, or takes one away; edges are told in the same transaction. Returns the sequence, null when not live. */
async function changeCertificates(
  database: Database,
  id: string,
  actor: Actor,
  change: (sql: Sql, property: Property) => Promise<{ type: string; after: unknown }>,
): Promise<number | null> {
  return database.transaction(async (sql) => {
    const property = await lock(sql, id)
    if (property.state === 'ended') throw new WrongState('The property has ended.')
    const { type, after } = await change(sql, property)
    await appendEvents(sql, [
      { partyId: property.partyId, actor, type, subjectKind: 'cdn-property', subjectId: id, after },
    ])
    if (property.state !== 'live' || property.activeVersion === null) return null
    const { config } = await findVersion(sql, id, property.activeVersion)
    const sequence = await tellEdges(sql, property, config)
    await sql.query('update cdn_property set sequence = $2, version = version + 1 where id = $1', [id, sequence])
    return sequence
  })
}

/** @throws BadInput, WrongState, LimitPassed */
export async function addCertificate(
  database: Database,
  id: string,
  pem: { certificate: string; key: string; source: 'own' | 'acme' },
  options: { actor: Actor; now: Instant },
): Promise<{ id: string; sequence: number | null }> {
  const read = readCertificate(pem.certificate, pem.key, options.now)
  const certificateId = newId()
  const sequence = await changeCertificates(database, id, options.actor, async (sql, property) => {
    if (!property.hosts.some((host) => covers(read.names, host)))
      throw new WrongState(
        `The certificate is for ${read.names.join(', ')}; the property serves ${property.hosts.join(', ')}.`,
      )
    const [count] = await sql.query<{ count: number }>(
      'select count(*)::integer as count from cdn_certificate where property_id = $1',
      [id],
    )
    if (count!.count >= MAX_CERTIFICATES)
      throw new WrongState(`A property keeps at most ${MAX_CERTIFICATES} certificates.`)
    await sql.query(
      `insert into cdn_certificate (id, property_id, party_id, names, issuer, not_before, not_after, source, certificate, private_key)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [
        certificateId,
        id,
        property.partyId,
        read.names,
        read.issuer,
        sqlInstant(read.notBefore),
        sqlInstant(read.notAfter),
        pem.source,
        pem.certificate,
        pem.key,
      ],
    )
    return { type: 'cdn-certificate.added', after: { certificate: certificateId, names: read.names } }
  })
  return { id: certificateId, sequence }
}

/** @throws NotFound */
export async function removeCertificate(
  database: Database,
  id: string,
  certificate: string,
  actor: Actor,
): Promise<void> {
  await changeCertificates(database, id, actor, async (sql) => {
    const gone = await sql.query('delete from cdn_certificate where id = $1 and property_id = $2 returning id', [
      certificate,
      id,
    ])
    if (gone.length === 0) throw new NotFound('certificate', certificate)
    return { type: 'cdn-certificate.removed', after: { certificate } }
  })
}
