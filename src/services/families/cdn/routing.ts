/**
 * What request routers are told: the operator's zones, maps and settings, and beside them what follows from everything
 * else: edges with their addresses, sites with their open bandwidth and what they send, properties with the names that
 * customers point to. Four items, so that a change of one does not send the others; each is published when it differs from
 * what the feed holds.
 */
import Type, { type Static } from 'typebox'
import { type ConfigFaultAt, readText } from '../../../core/config-text.ts'
import { BadInput, StaleVersion } from '../../../core/errors.ts'
import type { Database, Sql } from '../../../database/connection.ts'
import { type Actor, appendEvents } from '../../../database/events.ts'
import { compileMaps } from '../../../dns/choice/maps.ts'
import { compile, wellView } from '../../../dns/compile.ts'
import { DnsState } from '../../../dns/state.ts'
import { publish } from '../../../nodes/publish.ts'
import { EDGE_BANDWIDTH } from './config.ts'

/** The kind of item that responders make true; its keys are parts of one state. */
const DNS_ITEM = 'dns-state'
/** One writer at a time; the number is arbitrary but fixed. */
const LOCK = 7_250_392
/** An edge that was not heard of for so long counts as down in the control plane's view. */
const SILENT_SECONDS = 35
/** What a site sends is told in steps of this part of its open bandwidth: a change of every bit is nobody's matter. */
const RATE_STEPS = 50
const MAX_TEXT = 64 * 1024 * 1024

const { zones, maps, settings } = DnsState.properties
export const RoutingState = Type.Object({ zones, maps, settings }, { additionalProperties: false })
export type RoutingState = Static<typeof RoutingState>

export interface Routing {
  deliveryZone: string
  state: RoutingState
  version: number
}

export async function findRouting(sql: Sql): Promise<Routing | null> {
  const [routing] = await sql.query<Routing>(
    'select delivery_zone as "deliveryZone", state, version from cdn_routing',
    [],
    'find-routing',
  )
  return routing ?? null
}

/** The name that a customer's own names are to point to. */
export const targetOf = (edgeName: string, deliveryZone: string): string => `${edgeName}.${deliveryZone}`

/** @throws ConfigRefused, BadInput */
function checkRouting(deliveryZone: string, given: unknown): RoutingState {
  const { config, refuse } = readText(RoutingState, JSON.stringify(given), 'routing', MAX_TEXT)
  const state = config as RoutingState
  if (!state.zones.some(({ name }) => name === deliveryZone))
    throw new BadInput('/deliveryZone', `${deliveryZone} is not among the zones`, 'the name of one of them')
  const faults: ConfigFaultAt[] = []
  const tell = (path: (string | number)[], problem: string, expected: string) =>
    void faults.push(Object.assign(new Error(problem), { path, expected }) as ConfigFaultAt)
  // Sites that the maps name are there as soon as they have edges.
  const named = new Set(
    (state.maps ?? []).flatMap((map) => [
      ...map.default,
      ...Object.values(map.countries ?? {}).flat(),
      ...Object.values(map.prefixes ?? {}).flat(),
    ]),
  )
  const whole = { ...state, sites: [...named].map((name) => ({ name })) }
  compile(whole, compileMaps(whole, tell), wellView(whole), tell)
  if (faults.length > 0) throw refuse(faults)
  return state
}

/** Sets how visitors are led. @throws ConfigRefused, StaleVersion */
export async function setRouting(
  database: Database,
  deliveryZone: string,
  given: unknown,
  options: { version: number | null; actor: Actor; partyId: string },
): Promise<Routing> {
  const state = checkRouting(deliveryZone, given)
  return database.transaction(async (sql) => {
    const before = await findRouting(sql)
    if (before && options.version !== null && options.version !== before.version)
      throw new StaleVersion(options.version, before.version)
    await sql.query(
      `insert into cdn_routing (delivery_zone, state) values ($1, $2)
       on conflict (one) do update set delivery_zone = excluded.delivery_zone, state = excluded.state,
         version = cdn_routing.version + 1, changed_at = now()`,
      [deliveryZone, JSON.stringify(state)],
    )
    await appendEvents(sql, [
      {
        partyId: options.partyId,
        actor: options.actor,
        type: 'cdn-routing.changed',
        subjectKind: 'cdn-routing',
        subjectId: deliveryZone,
        after: { zones: state.zones.map(({ name }) => name), maps: state.maps?.map(({ name }) => name) ?? [] },
      },
    ])
    return (await findRouting(sql))!
  })
}

/** Tells responders what has changed; returns how many of the parts. Safe in any number of processes. */
export async function followRouting(database: Database): Promise<number> {
  const parts = await partsOf(database)
  if (parts === null) return 0
  const known = await database.query<{ key: string; body: string }>(
    `select key, body::text as body from feed_item where node_kind = 'dns' and kind = '${DNS_ITEM}'`,
    [],
    'known-routing',
  )
  const bodies = new Map(known.map(({ key, body }) => [key, body]))
  const changed = Object.entries(parts).filter(([key, body]) => bodies.get(key) !== JSON.stringify(body))
  if (changed.length === 0) return 0
  return database.transaction(async (sql) => {
    const [lock] = await sql.query<{ mine: boolean }>('select pg_try_advisory_xact_lock($1) as mine', [LOCK])
    if (!lock!.mine) return 0
    await publish(
      sql,
      changed.map(([key, body]) => ({ nodeKind: 'dns', siteIds: null, type: 'set', kind: DNS_ITEM, key, body })),
    )
    return changed.length
  })
}

/** The parts of the state, by key; null until the operator has said how visitors are led. */
async function partsOf(sql: Sql): Promise<Record<string, Partial<DnsState>> | null> {
  const routing = await findRouting(sql)
  if (routing === null) return null
  const edges = await sql.query<{
    name: string
    site: string
    addresses: string[]
    weight: number
    drained: boolean
    isSeen: boolean
  }>(
    `select n.name, s.code as site, n.addresses, n.weight::float8 as weight, n.state = 'draining' as drained,
       coalesce(n.last_seen_at > now() - interval '${SILENT_SECONDS} seconds', false) as "isSeen"
     from node n join site s on s.id = n.site_id
     where n.kind = 'edge' and n.state in ('active', 'draining') and n.addresses <> '{}' order by n.name`,
    [],
    'routed-edges',
  )
  const sites = await sql.query<{ name: string; failed: boolean; open: number | null; rate: number }>(
    `select s.code as name, s.failed_at is not null as failed,
       (select sum(t.quantity)::float8 * 1000 from pool p join capacity_step t on t.pool_id = p.id
        where p.site_id = s.id and p.kind = '${EDGE_BANDWIDTH}' and p.party_id is null and t.state in ('committed', 'open')
          and t.effective_at <= now()) as open,
       coalesce((select sum((n.figures->>'bitsPerSecond')::float8) from node n
        where n.site_id = s.id and n.kind = 'edge' and n.last_seen_at > now() - interval '${SILENT_SECONDS} seconds'), 0) as rate
     from site s where exists (select from node n where n.site_id = s.id and n.kind = 'edge' and n.state in ('active', 'draining'))
     order by s.code`,
    [],
    'routed-sites',
  )
  const properties = await sql.query<{ edgeName: string; sites: string[] | null }>(
    `select p.edge_name as "edgeName",
       case when p.sites is not null then array(select code from site where id = any(p.sites) order by code) end as sites
     from cdn_property p where p.state = 'live' order by p.edge_name`,
    [],
    'routed-properties',
  )
  const withEdges = new Set(sites.map(({ name }) => name))
  const isKnown = (name: string) => withEdges.has(name)
  return {
    operator: routing.state,
    edges: {
      edges: edges.map(({ isSeen, weight, drained, ...edge }) => ({
        ...edge,
        weight,
        ...(drained ? { drained } : {}),
        seen: isSeen ? { up: 1, down: 0 } : { up: 0, down: 1 },
      })),
    },
    sites: {
      sites: sites.map(({ name, failed, open, rate }) => ({
        name,
        ...(failed ? { failed } : {}),
        ...(open !== null && open > 0
          ? {
              openBitsPerSecond: open,
              rateBitsPerSecond: Math.round((Math.round((rate / open) * RATE_STEPS) / RATE_STEPS) * open),
            }
          : {}),
      })),
    },
    properties: {
      properties: properties
        .map(({ edgeName, sites: own }) => ({
          name: edgeName,
          names: [targetOf(edgeName, routing.deliveryZone)],
          ...(own === null ? {} : { sites: own.filter(isKnown) }),
        }))
        .filter((property) => !('sites' in property) || property.sites!.length > 0),
    },
  }
}
