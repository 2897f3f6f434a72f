/**
 * What a request router is to answer: zones, properties, edges, sites, and the maps that lead clients to sites. The schema is the
 * one source of names, bounds and defaults; the control plane writes such states, and a dns.yaml says the same (config.ts).
 * Plain data: the same state, client, health and time give the same answer on every router.
 */
import Type, { type Static, type TSchema } from 'typebox'

/** Bounds of one state. */
export const DNS_LIMITS = {
  fileBytes: 256 * 1024 * 1024,
  zones: 10_000,
  recordsOfZone: 100_000,
  properties: 100_000,
  namesOfProperty: 1_000,
  edges: 10_000,
  sites: 1_000,
  maps: 1_000,
  prefixesOfMap: 2_000_000,
  addressesOfEdge: 16,
  /** Addresses in one answer: eight of IPv6 fit a datagram of 512 bytes with the longest name. */
  answers: 8,
} as const

const closed = <T extends Record<string, TSchema>>(properties: T, description?: string) =>
  Type.Object(properties, { additionalProperties: false, ...(description ? { description } : {}) })
const optional = Type.Optional

const DnsName = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern:
    '^(\\.|@|(\\*\\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\\.?|\\*)$',
  description: 'a host name such as www.shop.example',
})
const Name = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]*$',
  description: 'a name of letters, digits, dots and hyphens',
})
const Address = Type.String({
  pattern: '^([0-9.]{7,15}|[0-9a-fA-F:.]{2,45})$',
  description: 'an address such as 192.0.2.7 or 2001:db8::7',
})
const Ttl = Type.Integer({ minimum: 0, maximum: 604_800, description: 'seconds, at most a week' })
const Share = Type.Number({ minimum: 0, maximum: 1, description: 'a share from 0 to 1' })
const Preference = Type.Array(Name, {
  minItems: 1,
  maxItems: 64,
  description: 'a list of sites, the preferred one first',
})

export const RecordSet = closed(
  {
    name: optional(Type.String({ ...DnsName, description: 'a name inside the zone; @ or nothing is the zone itself' })),
    type: Type.String({
      pattern: '^([A-Z][A-Z0-9]{0,15}|TYPE\\d{1,5})$',
      description: 'a type such as A, AAAA, CNAME, NS, MX, TXT, SRV, CAA, HTTPS, or TYPE65 for any other',
    }),
    ttl: optional(Ttl),
    data: Type.Union(
      [
        Type.String({ maxLength: 65_535 }),
        Type.Array(Type.String({ maxLength: 65_535 }), { minItems: 1, maxItems: 1_000 }),
      ],
      {
        description: 'what stands right of the type in a zone file, or a list of it',
      },
    ),
  },
  'a record set: name, type, ttl, data',
)
export type RecordSet = Static<typeof RecordSet>

export const DnssecKey = closed(
  {
    /** 257 signs keys (and, being alone, everything); 256 signs data. */
    flags: Type.Union([Type.Literal(256), Type.Literal(257)], {
      description: '257 (key-signing, or the only key) or 256',
    }),
    algorithm: Type.Literal(13, { description: '13, ECDSA P-256 with SHA-256' }),
    /** PKCS #8, PEM. */
    privateKey: Type.String({ minLength: 100, maxLength: 1_000, description: 'the private key, PEM' }),
    /** False: it stands in the DNSKEY set but signs nothing, before and after its time (RFC 6781). */
    active: optional(Type.Boolean({ description: 'false: published only' })),
  },
  'a signing key: flags, algorithm, privateKey, active',
)
export type DnssecKey = Static<typeof DnssecKey>

export const Zone = closed(
  {
    name: DnsName,
    ttl: optional(Ttl),
    /** Who is primary and whom to write to; without it the first name server and hostmaster of the zone. */
    soa: optional(
      closed(
        {
          primary: optional(DnsName),
          contact: optional(DnsName),
          serial: optional(Type.Integer({ minimum: 0, maximum: 4_294_967_295 })),
          refresh: optional(Type.Integer({ minimum: 1, maximum: 2_147_483_647 })),
          retry: optional(Type.Integer({ minimum: 1, maximum: 2_147_483_647 })),
          expire: optional(Type.Integer({ minimum: 1, maximum: 2_147_483_647 })),
          /** How long "there is no such name" may be kept (RFC 2308). */
          negative: optional(Ttl),
        },
        'primary, contact, serial, refresh, retry, expire, negative',
      ),
    ),
    records: Type.Array(RecordSet, { maxItems: DNS_LIMITS.recordsOfZone, description: 'a list of record sets' }),
    keys: optional(Type.Array(DnssecKey, { maxItems: 8, description: 'the keys it is signed with; none: unsigned' })),
  },
  'a zone: name, ttl, soa, records, keys',
)
export type Zone = Static<typeof Zone>

export const HealthCheck = closed(
  {
    kind: Type.Union([Type.Literal('tcp'), Type.Literal('http'), Type.Literal('https'), Type.Literal('none')], {
      description: 'tcp, http, https or none',
    }),
    port: optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
    path: optional(
      Type.String({ pattern: '^/[\\x21-\\x7e]*$', maxLength: 1_024, description: 'a path such as /health' }),
    ),
    host: optional(DnsName),
    intervalSeconds: optional(Type.Number({ minimum: 0.1, maximum: 3_600 })),
    timeoutSeconds: optional(Type.Number({ minimum: 0.05, maximum: 60 })),
    /** Failures in a row that take an edge out. */
    falls: optional(Type.Integer({ minimum: 1, maximum: 100 })),
    /** Successes in a row that bring it back. */
    rises: optional(Type.Integer({ minimum: 1, maximum: 100 })),
  },
  'a check: kind, port, path, host, intervalSeconds, timeoutSeconds, falls, rises',
)
export type HealthCheck = Static<typeof HealthCheck>

export const EdgeOfState = closed(
  {
    name: Name,
    site: Name,
    addresses: Type.Array(Address, {
      minItems: 1,
      maxItems: DNS_LIMITS.addressesOfEdge,
      description: 'addresses, IPv4 or IPv6',
    }),
    /** Its part of the properties at its site, against the others there. */
    weight: optional(Type.Number({ minimum: 0, maximum: 1_000 })),
    /** True: takes nothing new; it stays in no answer. */
    drained: optional(Type.Boolean()),
    /** How many other observers see it up and down: the control plane's view, counted with this router's own check. */
    seen: optional(
      closed({
        up: Type.Integer({ minimum: 0, maximum: 10_000 }),
        down: Type.Integer({ minimum: 0, maximum: 10_000 }),
      }),
    ),
    health: optional(HealthCheck),
  },
  'an edge: name, site, addresses, weight, drained, seen, health',
)
export type EdgeOfState = Static<typeof EdgeOfState>

export const SiteOfState = closed(
  {
    name: Name,
    /** Bandwidth that is open at the site now. Without it the site sheds nothing by itself. */
    openBitsPerSecond: optional(Type.Number({ minimum: 0 })),
    /** What its edges send now, as last reported. */
    rateBitsPerSecond: optional(Type.Number({ minimum: 0 })),
    /** The share of clients that goes to the next site, said outright; otherwise found from rate and open bandwidth. */
    shed: optional(Share),
    /** True: the control plane has given the site up. */
    failed: optional(Type.Boolean()),
  },
  'a site: name, openBitsPerSecond, rateBitsPerSecond, shed, failed',
)
export type SiteOfState = Static<typeof SiteOfState>

export const ClientMap = closed(
  {
    name: Name,
    /** The operator's own: the longest prefix that holds the client decides before any country does. */
    prefixes: optional(
      Type.Record(
        Type.String({ pattern: '^[0-9a-fA-F:.]{2,45}(/\\d{1,3})?$', description: 'a prefix such as 203.0.113.0/24' }),
        Preference,
        { additionalProperties: false, description: 'prefix → list of sites, the preferred one first' },
      ),
    ),
    countries: optional(
      Type.Record(Type.String({ pattern: '^[A-Z]{2}$', description: 'a country code such as JP' }), Preference, {
        additionalProperties: false,
        description: 'country → list of sites, the preferred one first',
      }),
    ),
    default: Preference,
  },
  'a map: name, prefixes, countries, default',
)
export type ClientMap = Static<typeof ClientMap>

export const PropertyOfState = closed(
  {
    name: Name,
    /** The names answered with addresses of edges: what customers' CNAMEs point to. Each lies in one of the zones. */
    names: Type.Array(DnsName, {
      minItems: 1,
      maxItems: DNS_LIMITS.namesOfProperty,
      description: 'a list of host names',
    }),
    /** Otherwise the first map; without any map the sites in their order. */
    map: optional(Name),
    /** Only these edges; otherwise all. */
    edges: optional(Type.Array(Name, { minItems: 1, maxItems: DNS_LIMITS.edges, description: 'a list of edges' })),
    /** Only these sites; otherwise all. */
    sites: optional(Type.Array(Name, { minItems: 1, maxItems: DNS_LIMITS.sites, description: 'a list of sites' })),
    ttl: optional(Ttl),
    /** Addresses of each family in one answer. */
    answers: optional(Type.Integer({ minimum: 1, maximum: DNS_LIMITS.answers })),
  },
  'a property: name, names, map, edges, sites, ttl, answers',
)
export type PropertyOfState = Static<typeof PropertyOfState>

export const DnsSettings = closed(
  {
    /** Of answers that name edges; 20. */
    ttl: optional(Ttl),
    /** Addresses of each family in one answer; 2. */
    answers: optional(Type.Integer({ minimum: 1, maximum: DNS_LIMITS.answers })),
    health: optional(HealthCheck),
    /** Observers that must see an edge down before it is taken out; otherwise more than half of those that look. */
    quorum: optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
    /** The part of its open bandwidth a site is filled to before it sheds; 1. */
    fill: optional(Type.Number({ minimum: 0.1, maximum: 1 })),
    /** Response-rate limiting of each client network (a /24, or a /56) that has shown no cookie. */
    rateLimit: optional(
      closed(
        {
          /** Equal answers a second; 0: no limit. */
          perSecond: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
          /** Refusals and names that are not there, together; otherwise as many. */
          errorsPerSecond: optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
          /** Every so many refused answers one goes out truncated, so that a real client comes by TCP; 2. 0: none. */
          slip: optional(Type.Integer({ minimum: 0, maximum: 100 })),
        },
        'rateLimit: perSecond, errorsPerSecond, slip',
      ),
    ),
    /** 16 bytes or more in hexadecimal, the same at all routers of an anycast address (RFC 9018). */
    cookieSecret: optional(Type.String({ pattern: '^([0-9a-fA-F]{2}){16}$', description: '32 hexadecimal digits' })),
    /** What NSID and id.server answer (RFC 5001, RFC 4892); otherwise nothing. */
    identity: optional(
      Type.String({ maxLength: 64, pattern: '^[\\x20-\\x7e]*$', description: 'at most 64 characters' }),
    ),
    /** False: client subnets are neither read nor answered. */
    clientSubnet: optional(Type.Boolean()),
  },
  'settings: ttl, answers, health, quorum, fill, rateLimit, cookieSecret, identity, clientSubnet',
)
export type DnsSettings = Static<typeof DnsSettings>

/** Everything a router answers from. */
export const DnsState = closed(
  {
    zones: Type.Array(Zone, { maxItems: DNS_LIMITS.zones, description: 'a list of zones' }),
    sites: optional(Type.Array(SiteOfState, { maxItems: DNS_LIMITS.sites, description: 'a list of sites' })),
    edges: optional(Type.Array(EdgeOfState, { maxItems: DNS_LIMITS.edges, description: 'a list of edges' })),
    maps: optional(Type.Array(ClientMap, { maxItems: DNS_LIMITS.maps, description: 'a list of maps' })),
    properties: optional(
      Type.Array(PropertyOfState, { maxItems: DNS_LIMITS.properties, description: 'a list of properties' }),
    ),
    settings: optional(DnsSettings),
  },
  'zones, sites, edges, maps, properties, settings',
)
export type DnsState = Static<typeof DnsState>
