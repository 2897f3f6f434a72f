/** Properties, their versions and certificates in SQL. */
import { NotFound } from '../../../core/errors.ts'
import type { Instant } from '../../../core/time.ts'
import type { Sql } from '../../../database/connection.ts'
import type { PropertyConfig } from './config.ts'

export const PROPERTY_STATES = ['live', 'suspended', 'ended', 'refused'] as const

export interface Property {
  /** The service's. */
  id: string
  partyId: string
  partyName: string
  name: string
  /** What edges know it by. */
  edgeName: string
  hosts: string[]
  /** Null: everywhere. */
  siteIds: number[] | null
  sites: string[] | null
  state: (typeof PROPERTY_STATES)[number]
  problem: string | null
  activeVersion: number | null
  lastVersion: number
  sequence: bigint | null
  version: number
  createdAt: Instant
}

const PROPERTY = `
  select p.id, p.party_id as "partyId", y.name as "partyName", p.name, p.edge_name as "edgeName",
    array(select host from cdn_host h where h.property_id = p.id order by host) as hosts,
    p.sites as "siteIds", case when p.sites is not null then array(select code from site where id = any(p.sites) order by code) end as sites,
    p.state, p.problem, p.active_version as "activeVersion", p.last_version as "lastVersion", p.sequence, p.version,
    p.created_at as "createdAt"
  from cdn_property p join party y on y.id = p.party_id`

/** @throws NotFound when there is none to see */
export async function findProperty(sql: Sql, id: string): Promise<Property> {
  const [property] = await sql.query<Property>(`${PROPERTY} where p.id = $1`, [id], 'find-property')
  if (!property) throw new NotFound('property', id)
  return property
}

export const listProperties = (
  sql: Sql,
  filter: { partyId: string | null; state: string | null; like: string | null; before: string | null; limit: number },
): Promise<Property[]> =>
  sql.query<Property>(
    `${PROPERTY} where ($1::uuid is null or p.party_id = $1) and ($2::text is null or p.state = $2)
       and ($3::text is null or p.name ilike $3 or y.name ilike $3 or exists (
         select from cdn_host h where h.property_id = p.id and h.host ilike $3))
       and ($4::uuid is null or p.id < $4) order by p.id desc limit $5`,
    [filter.partyId, filter.state, filter.like, filter.before, filter.limit],
  )

/** The property that serves a host, by its own name or a wildcard above it; null when there is none to see. */
export async function propertyOfHost(sql: Sql, host: string): Promise<Property | null> {
  const labels = host.split('.')
  const names = [host, ...labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)]
  const [found] = await sql.query<{ id: string }>(
    `select property_id as id from cdn_host where host = any($1) order by length(host) desc limit 1`,
    [names],
    'property-of-host',
  )
  return found ? findProperty(sql, found.id) : null
}

export interface Version {
  propertyId: string
  number: number
  config: PropertyConfig
  note: string | null
  author: string
  createdAt: Instant
  activatedAt: Instant | null
  sequence: bigint | null
}

const VERSION = `select property_id as "propertyId", number, config, note, author, created_at as "createdAt",
  activated_at as "activatedAt", sequence from cdn_version`

/** @throws NotFound when there is none to see */
export async function findVersion(sql: Sql, propertyId: string, number: number): Promise<Version> {
  const [version] = await sql.query<Version>(`${VERSION} where property_id = $1 and number = $2`, [propertyId, number])
  if (!version) throw new NotFound('version', String(number))
  return version
}

export const listVersions = (sql: Sql, propertyId: string, before: number | null, limit: number): Promise<Version[]> =>
  sql.query<Version>(
    `${VERSION} where property_id = $1 and ($2::integer is null or number < $2) order by number desc limit $3`,
    [propertyId, before, limit],
  )

/** The version that was in force before the present one; null when there was none. */
export async function versionBefore(sql: Sql, property: Property): Promise<Version | null> {
  const [version] = await sql.query<Version>(
    `${VERSION} where property_id = $1 and activated_at is not null and number <> $2 order by activated_at desc limit 1`,
    [property.id, property.activeVersion],
  )
  return version ?? null
}

/** Keeps a draft under the next number. */
export async function insertVersion(
  sql: Sql,
  property: Pick<Property, 'id' | 'partyId'>,
  config: PropertyConfig,
  author: string,
  note: string | null,
): Promise<number> {
  const [next] = await sql.query<{ number: number }>(
    'update cdn_property set last_version = last_version + 1 where id = $1 returning last_version as number',
    [property.id],
  )
  await sql.query(
    'insert into cdn_version (property_id, number, party_id, config, author, note) values ($1, $2, $3, $4, $5, $6)',
    [property.id, next!.number, property.partyId, JSON.stringify(config), author, note],
  )
  return next!.number
}

export interface Certificate {
  id: string
  propertyId: string
  names: string[]
  issuer: string
  notBefore: Instant
  notAfter: Instant
  source: 'own' | 'acme'
  createdAt: Instant
}

export const listCertificates = (sql: Sql, propertyId: string): Promise<Certificate[]> =>
  sql.query<Certificate>(
    `select id, property_id as "propertyId", names, issuer, not_before as "notBefore", not_after as "notAfter", source,
       created_at as "createdAt" from cdn_certificate where property_id = $1 order by created_at desc, id`,
    [propertyId],
  )

/** With the keys: for edges only. */
export const certificatesWithKeys = (sql: Sql, propertyId: string) =>
  sql.query<{ certificate: string; key: string; names: string[] }>(
    `select certificate, private_key as key, names from cdn_certificate
     where property_id = $1 and not_after > now() order by not_after, id`,
    [propertyId],
  )
