/**
 * What an edge.yaml may say. The schema is the one source of names, bounds and defaults; its types are what the compiler
 * reads, and its descriptions are what a refused file is answered with ("expected …").
 */
import Type, { type Static, type TSchema } from 'typebox'
import { BYTES_PATTERN, DURATION_PATTERN } from './units.ts'

/** Bounds of one configuration file. */
export const CONFIG_LIMITS = {
  fileBytes: 64 * 1024 * 1024,
  properties: 100_000,
  hostsOfProperty: 1_000,
  rulesOfProperty: 500,
  listEntries: 10_000,
} as const

const closed = <T extends Record<string, TSchema>>(properties: T, description?: string) =>
  Type.Object(properties, { additionalProperties: false, ...(description ? { description } : {}) })
const optional = Type.Optional
const list = <T extends TSchema>(item: T, description: string, maxItems: number = CONFIG_LIMITS.listEntries) =>
  Type.Array(item, { description, maxItems })

const Duration = Type.Union(
  [
    Type.Number({ minimum: 0, maximum: 315_360_000 }),
    Type.String({ pattern: DURATION_PATTERN, description: 'a duration such as 30s, 5m, 1h30m or 7d' }),
  ],
  { description: 'a duration such as 30s, 5m, 1h30m or 7d' },
)
const Bytes = Type.Union(
  [
    Type.Integer({ minimum: 0 }),
    Type.String({ pattern: BYTES_PATTERN, description: 'an amount such as 64 KB, 512 MB or 2 GiB' }),
  ],
  { description: 'an amount such as 64 KB, 512 MB or 2 GiB' },
)
const FieldName = Type.String({
  pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
  maxLength: 128,
  description: 'a header name',
})
const Address = Type.String({
  pattern: '^[0-9a-fA-F:.]+(/\\d{1,3})?$',
  description: 'an address or prefix such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32',
})
const Country = Type.String({ pattern: '^[A-Z]{2}$', description: 'a country code such as JP' })
const Glob = Type.String({ maxLength: 1_024, description: 'text in which * stands for anything' })
const Present = Type.Union([Glob, Type.Boolean()], {
  description: 'text in which * stands for anything, true for present, or false for absent',
})
const oneOrMany = <T extends TSchema>(item: T, description: string) =>
  Type.Union([item, Type.Array(item, { minItems: 1, maxItems: CONFIG_LIMITS.listEntries })], { description })
const status = (minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description: `a status from ${minimum} to ${maximum}` })
const byStatus = <T extends TSchema>(value: T, description: string) =>
  Type.Record(Type.String({ pattern: '^[1-5]\\d\\d$' }), value, { description, additionalProperties: false })

const Page = closed(
  {
    file: optional(Type.String({ description: 'a file, relative to the configuration' })),
    body: optional(Type.String({ maxLength: 1_000_000, description: 'the text itself' })),
    contentType: optional(Type.String({ description: 'otherwise text/html; charset=utf-8' })),
  },
  'a page: either file or body',
)

const Caching = closed(
  {
    enabled: optional(Type.Boolean({ description: 'false: pass everything by' })),
    ttl: optional(Duration),
    negative: optional(byStatus(Duration, 'status → how long it is kept when the origin does not say')),
    staleWhileRevalidate: optional(Duration),
    staleIfError: optional(Duration),
    heuristicMaximum: optional(Duration),
    obeyRequestDirectives: optional(Type.Boolean({ description: 'true: clients may ask for fresher answers' })),
    slice: optional(Bytes),
    targetedFields: optional(list(FieldName, 'headers of targeted cache control, first wins', 8)),
  },
  'caching: enabled, ttl, negative, staleWhileRevalidate, staleIfError, heuristicMaximum, obeyRequestDirectives, slice, targetedFields',
)

const Names = list(Type.String({ maxLength: 256 }), 'names, * stands for anything', 200)
const Key = closed(
  {
    query: optional(
      Type.Union([Type.Literal('all'), Type.Literal('none'), closed({ keep: Names }), closed({ drop: Names })], {
        description: 'all, none, { keep: [names] } or { drop: [names] }',
      }),
    ),
    sort: optional(Type.Boolean({ description: 'true: the order of the parameters does not matter' })),
    headers: optional(list(FieldName, 'request headers that belong to the key', 16)),
    cookies: optional(list(Type.String(), 'cookies that belong to the key', 16)),
    host: optional(Type.String({ description: 'one host name under which all hosts of the property share' })),
    scheme: optional(Type.Boolean({ description: 'true: http and https are stored apart' })),
  },
  'the cache key: query, sort, headers, cookies, host, scheme',
)

const Changes = closed(
  {
    set: optional(Type.Record(Type.String(), Type.String({ maxLength: 4_096 }), { description: 'header: value' })),
    append: optional(Type.Record(Type.String(), Type.String({ maxLength: 4_096 }), { description: 'header: value' })),
    remove: optional(list(FieldName, 'header names', 100)),
  },
  'set, append and remove of headers',
)

const Who = closed(
  {
    addresses: optional(list(Address, 'addresses and prefixes')),
    countries: optional(list(Country, 'country codes')),
  },
  'addresses and countries',
)
const Access = closed(
  { allow: optional(Who), deny: optional(Who), status: optional(status(400, 499)) },
  'allow and deny lists of addresses and countries',
)

const Signed = closed(
  {
    keys: Type.Array(
      closed({
        id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,32}$', description: 'letters and digits' }),
        secret: Type.String({
          pattern: '^(env:[A-Za-z_][A-Za-z0-9_]*|.{16,512})$',
          description: 'at least 16 characters, or env:NAME',
        }),
      }),
      { minItems: 1, maxItems: 8, description: 'keys that sign; more than one to change keys without a gap' },
    ),
    parameter: optional(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$', description: 'a query parameter name' })),
    cookie: optional(Type.String({ pattern: '^[A-Za-z0-9_.-]{1,64}$', description: 'a cookie name' })),
    required: optional(Type.Boolean({ description: 'false turns signing off for what a rule matches' })),
  },
  'signed URLs: keys, parameter, cookie, required',
)

const RateLimit = closed(
  {
    requests: Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'how many requests' }),
    per: Duration,
    burst: optional(Type.Integer({ minimum: 1, description: 'how many at once' })),
    by: optional(
      Type.Union([Type.Literal('address'), Type.Literal('property'), closed({ header: FieldName })], {
        description: 'address, property or { header: name }',
      }),
    ),
  },
  'a rate limit: requests, per, burst, by',
)

const Compression = Type.Union(
  [
    Type.Literal(false),
    Type.Array(Type.Union([Type.Literal('br'), Type.Literal('zstd'), Type.Literal('gzip')]), { maxItems: 3 }),
  ],
  { description: 'false, or a list of br, zstd and gzip, best first' },
)

/** What a property as a whole and each of its rules can set. */
const settings = {
  caching: optional(Caching),
  key: optional(Key),
  compression: optional(Compression),
  request: optional(Changes),
  response: optional(Changes),
  access: optional(Access),
  signed: optional(Signed),
  rateLimit: optional(RateLimit),
  errorPages: optional(byStatus(Page, 'status → page')),
  originHost: optional(Type.String({ maxLength: 255, description: 'the Host that the origin is sent' })),
}

const matchers = {
  path: optional(oneOrMany(Glob, 'a path in which * stands for anything, or a list of them')),
  method: optional(oneOrMany(Type.String({ pattern: '^[A-Z]{1,32}$' }), 'a method such as GET, or a list')),
  query: optional(Type.Record(Type.String(), Present, { description: 'parameter: text, true or false' })),
  header: optional(Type.Record(Type.String(), Present, { description: 'header: text, true or false' })),
  cookie: optional(Type.Record(Type.String(), Present, { description: 'cookie: text, true or false' })),
  country: optional(oneOrMany(Country, 'a country code such as JP, or a list')),
  address: optional(oneOrMany(Address, 'an address or prefix, or a list')),
}
const When = closed(
  {
    ...matchers,
    not: optional(closed(matchers, 'what must not hold: path, method, query, header, cookie, country, address')),
  },
  'what must hold: path, method, query, header, cookie, country, address, not',
)

const Rule = closed({
  name: optional(Type.String({ maxLength: 200 })),
  when: optional(When),
  ...settings,
  redirect: optional(
    closed(
      {
        to: Type.String({ maxLength: 2_048, description: 'an address; $1 is what the first * of path stood for' }),
        status: optional(
          Type.Union(
            [301, 302, 303, 307, 308].map((code) => Type.Literal(code)),
            { description: '301, 302, 303, 307 or 308' },
          ),
        ),
      },
      'a redirect: to and status',
    ),
  ),
  rewrite: optional(
    Type.String({ pattern: '^/', maxLength: 2_048, description: 'a path for the origin, starting with /' }),
  ),
  answer: optional(
    closed(
      {
        status: status(200, 599),
        headers: optional(Type.Record(Type.String(), Type.String())),
        ...Page.properties,
      },
      'an answer of its own: status, headers, and file or body',
    ),
  ),
  last: optional(Type.Boolean({ description: 'true: no rule after this one is looked at' })),
})

const OriginAddress = Type.String({
  pattern: '^https?://[^/\\s]+$',
  description: 'an address such as http://10.0.0.5:8080, without a path',
})
const OriginServer = closed(
  {
    address: OriginAddress,
    weight: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1_000, description: 'a share, 1 by default' })),
    backup: optional(Type.Boolean({ description: 'true: asked only when all others are out of order' })),
    tls: optional(
      closed(
        {
          name: optional(Type.String({ maxLength: 255, description: 'the name in its certificate, sent as SNI' })),
          authorities: optional(Type.String({ description: 'a PEM file of authorities, instead of the usual ones' })),
          verify: optional(Type.Boolean({ description: 'false: its certificate is not checked' })),
        },
        'TLS to the origin: name, authorities, verify',
      ),
    ),
  },
  'a server: address, weight, backup, tls',
)
/** Several servers behind one property, or one with limits of its own. */
const Pool = closed(
  {
    servers: Type.Array(Type.Union([OriginAddress, OriginServer], { description: 'an address, or a server' }), {
      minItems: 1,
      maxItems: 1_000,
      description: 'a list of addresses or servers',
    }),
    choose: optional(
      Type.Union([Type.Literal('spread'), Type.Literal('hash')], {
        description: 'spread (by weight) or hash (by cache key, for parents)',
      }),
    ),
    attempts: optional(Type.Integer({ minimum: 1, maximum: 10, description: 'servers tried for one request' })),
    connections: optional(Type.Integer({ minimum: 1, maximum: 100_000, description: 'open connections to a server' })),
    waiting: optional(Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'requests that wait for one' })),
    timeouts: optional(
      closed(
        {
          wait: optional(Duration),
          connect: optional(Duration),
          firstByte: optional(Duration),
          betweenBytes: optional(Duration),
          idle: optional(Duration),
        },
        'wait, connect, firstByte, betweenBytes, idle',
      ),
    ),
    rest: optional(
      closed(
        { faults: optional(Type.Integer({ minimum: 1, maximum: 1_000 })), for: optional(Duration) },
        'when a server rests: faults in a row, and for how long',
      ),
    ),
    check: optional(
      closed(
        {
          path: Type.String({ pattern: '^/', maxLength: 2_048, description: 'a path, starting with /' }),
          host: optional(Type.String({ maxLength: 255, description: 'the Host to ask for' })),
          every: optional(Duration),
          bad: optional(Type.Integer({ minimum: 1, maximum: 100, description: 'bad answers that take it out' })),
          good: optional(Type.Integer({ minimum: 1, maximum: 100, description: 'good answers that take it in' })),
        },
        'a health check: path, host, every, bad, good',
      ),
    ),
  },
  'a pool: servers, choose, attempts, connections, waiting, timeouts, rest, check',
)
export type PoolConfig = Static<typeof Pool>
const Count = Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'a number from 1' })
const Origin = Type.Union([OriginAddress, Pool], {
  description: 'an address such as http://10.0.0.5:8080, or a pool with servers',
})

export const PropertyConfig = closed({
  name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,62}$', description: 'small letters, digits and dashes' }),
  hosts: Type.Array(
    Type.String({
      pattern: '^(\\*|(\\*\\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)$',
      maxLength: 253,
      description: 'a host name in small letters such as www.shop.example, *.shop.example, or * for any',
    }),
    { minItems: 1, maxItems: CONFIG_LIMITS.hostsOfProperty, description: 'a list of host names' },
  ),
  origin: Origin,
  httpsOnly: optional(Type.Boolean({ description: 'true: http is redirected to https' })),
  ...settings,
  maintenance: optional(
    closed(
      {
        enabled: Type.Boolean(),
        page: optional(Page),
        retryAfter: optional(Duration),
        except: optional(list(Address, 'addresses that see the site all the same')),
      },
      'maintenance: enabled, page, retryAfter, except',
    ),
  ),
  rules: optional(Type.Array(Rule, { maxItems: CONFIG_LIMITS.rulesOfProperty, description: 'a list of rules' })),
})

const Listener = Type.String({
  pattern: '^(\\[[0-9a-fA-F:]+\\]|[^:\\s]+):\\d{1,5}$',
  description: 'host:port such as 0.0.0.0:80, 127.0.0.1:0 or [::]:443',
})

export const EdgeConfig = closed({
  workers: optional(Type.Integer({ minimum: 1, maximum: 256, description: 'how many processes serve, from 1 to 256' })),
  listen: optional(
    closed(
      {
        http: optional(oneOrMany(Listener, 'host:port or a list of them')),
        https: optional(oneOrMany(Listener, 'host:port or a list of them')),
        admin: optional(Listener),
        proxies: optional(list(Address, 'networks of proxies whose PROXY header is required and believed')),
      },
      'where to listen: http, https, admin, proxies',
    ),
  ),
  certificates: optional(
    list(
      closed({
        certificate: Type.String({ description: 'a PEM file with the chain, or the PEM text itself' }),
        key: Type.String({ description: 'a PEM file, or the PEM text itself' }),
        names: optional(list(Type.String(), 'host names; otherwise those of the certificate')),
      }),
      'certificates and their keys',
    ),
  ),
  acmeChallenges: optional(
    list(
      closed({
        host: Type.String({ maxLength: 253, description: 'the host name that is to be proved' }),
        token: Type.String({ pattern: '^[A-Za-z0-9_-]{1,512}$', description: 'the token of the challenge' }),
        answer: Type.String({ maxLength: 4_096, description: 'the key authorization' }),
      }),
      'answers to /.well-known/acme-challenge/TOKEN (RFC 8555 §8.3): host, token, answer',
    ),
  ),
  tls: optional(
    closed(
      {
        minimum: optional(Type.Union([Type.Literal('1.2'), Type.Literal('1.3')], { description: "'1.2' or '1.3'" })),
      },
      'tls: minimum',
    ),
  ),
  limits: optional(
    closed(
      {
        headBytes: optional(Bytes),
        headFields: optional(Count),
        head: optional(Duration),
        idle: optional(Duration),
        bodyBytes: optional(Bytes),
        leastBytesPerSecond: optional(Type.Integer({ minimum: 0, description: 'bytes a second' })),
        leastBytesWindow: optional(Duration),
        connectionsPerAddress: optional(Count),
        connections: optional(Count),
        streams: optional(Count),
        drain: optional(Duration),
      },
      'limits of clients: headBytes, headFields, head, idle, bodyBytes, leastBytesPerSecond, leastBytesWindow, connectionsPerAddress, connections, streams, drain',
    ),
  ),
  store: optional(
    closed(
      {
        memory: optional(Bytes),
        disk: optional(closed({ folder: Type.String(), size: Bytes }, 'disk: folder and size')),
      },
      'the store: memory, disk',
    ),
  ),
  log: optional(
    closed(
      {
        file: optional(Type.String({ description: 'a file; otherwise standard output' })),
        sample: optional(Type.Number({ minimum: 0, maximum: 1, description: 'the share of requests, from 0 to 1' })),
      },
      'the access log: file, sample',
    ),
  ),
  usage: optional(closed({ folder: Type.String() }, 'where usage is kept, in slots of five minutes: folder')),
  properties: Type.Array(PropertyConfig, {
    maxItems: CONFIG_LIMITS.properties,
    description: 'a list of properties, each with name, hosts and origin',
  }),
})

export type EdgeConfig = Static<typeof EdgeConfig>
export type PropertyConfig = Static<typeof PropertyConfig>
export type RuleConfig = Static<typeof Rule>
export type WhenConfig = Static<typeof When>
export type KeyConfig = Static<typeof Key>
export type CachingConfig = Static<typeof Caching>
export type ChangesConfig = Static<typeof Changes>
export type AccessConfig = Static<typeof Access>
export type WhoConfig = Static<typeof Who>
export type SignedConfig = Static<typeof Signed>
export type RateLimitConfig = Static<typeof RateLimit>
export type PageConfig = Static<typeof Page>
