/**
 * The API's own description, OpenAPI 3.1, made from the routes as they are declared: TypeBox schemas are JSON Schema, so
 * they stand in it as they are. A schema with a title becomes a component. Nothing is described twice.
 */
import type { TSchema } from 'typebox'
import type { Access, ListedRoute } from './app.ts'
import { FieldProblemJson, Problem } from './schemas.ts'

interface Schemas {
  tags?: string[]
  summary?: string
  description?: string
  params?: Partial
  querystring?: Partial
  body?: TSchema
  response?: Record<string, TSchema>
}
interface Partial {
  properties?: Record<string, TSchema & { description?: string }>
  required?: string[]
}

type Json = Record<string, unknown>

/** What a route asks of the asker, in words. */
function audience(access: Access, method: string): string {
  if ('public' in access) return 'Open to everybody.'
  if (access.node) return 'For nodes that have enrolled, which sign each request.'
  const reads = method === 'GET'
  const parts = [
    access.parties ? `For ${access.parties.join(' and ')}` : 'For every party',
    `in the role ${(access.roles ?? (reads ? ['owner', 'engineer', 'finance', 'read-only'] : ['owner', 'engineer', 'finance'])).join(', ')}`,
    ...(access.session ? ['with a session, not with an API key'] : []),
    ...(access.scope ? [`API keys need the scope \`${access.scope}:${reads ? 'read' : 'write'}\``] : []),
  ]
  return `${parts[0]} ${parts.slice(1).join('; ')}.`
}

/** `GET /sites/{site}/racks` as `getSitesRacks`; a path parameter at the end as `getSitesBySite`. */
function operationId(method: string, url: string): string {
  const words = url
    .split('/')
    .filter((part) => part !== '')
    .map((part) => (part.startsWith(':') ? `by-${part.slice(1)}` : part))
    .join('-')
    .split(/[^A-Za-z0-9]+/)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

const HEADERS: Record<string, Json> = {
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'Chosen by you, such as a UUID: a repeat with the same key gets the first answer and changes nothing.',
    schema: { type: 'string', minLength: 1, maxLength: 200, pattern: '^[\\x21-\\x7e]+$' },
  },
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    required: true,
    description: 'The ETag that came with the thing; the change is refused with 412 when it has moved on. `*` is any.',
    schema: { type: 'string', pattern: '^(\\*|(W/)?"[0-9]{1,9}")$' },
  },
}

/** The document for a list of routes. */
export function openApiDocument(routes: readonly ListedRoute[], base: string): Json {
  const components = new Map<string, unknown>([
    ['FieldProblem', FieldProblemJson],
    [
      'Problem',
      { ...Problem, properties: { ...Problem.properties, fields: { type: 'array', items: ref('FieldProblem') } } },
    ],
  ])
  const hoist = (schema: unknown): unknown => {
    if (Array.isArray(schema)) return schema.map(hoist)
    if (schema === null || typeof schema !== 'object') return schema
    const plain = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, hoist(value)]))
    const { title } = schema as { title?: unknown }
    // Only titles that read as a name are shapes of their own; a form's labels are not.
    if (typeof title !== 'string' || !/^[A-Z][A-Za-z]+$/.test(title) || !('properties' in schema)) return plain
    const known = components.get(title)
    if (known === undefined) components.set(title, plain)
    else if (JSON.stringify(known) !== JSON.stringify(plain)) return plain
    return ref(title)
  }

  const paths: Record<string, Json> = {}
  for (const { method, url, options } of routes) {
    if (method === 'HEAD') continue
    const schema = (options.schema ?? {}) as Schemas & { hide?: boolean }
    const path = url.slice(base.length).replace(/:([A-Za-z]+)/g, '{$1}')
    const { access, idempotency: _, ifMatch } = options.config!
    const place = (where: 'path' | 'query', part: Partial | undefined) =>
      Object.entries(part?.properties ?? {}).map(([name, property]) => ({
        name,
        in: where,
        required: where === 'path' || (part?.required?.includes(name) === true && !('default' in property)),
        ...(property.description ? { description: property.description } : {}),
        schema: hoist(property),
      }))
    const responses = Object.fromEntries(
      Object.entries(schema.response ?? {}).map(([status, body]) => [
        status,
        (body as { type?: unknown }).type === 'null'
          ? { description: Number(status) >= 300 ? 'Go on at the address in Location.' : 'Done.' }
          : {
              description: 'As asked.',
              content: { [contentType(body)]: { schema: hoist(body) } },
            },
      ]),
    )
    paths[path] ??= {}
    paths[path][method.toLowerCase()] = {
      operationId: operationId(method, url.slice(base.length)),
      tags: schema.tags ?? [],
      summary: schema.summary ?? '',
      description: [schema.description, audience(access, method)].filter(Boolean).join('\n\n'),
      parameters: [
        ...place('path', schema.params),
        ...place('query', schema.querystring),
        ...(method === 'POST' && !('public' in access) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
        ...(method === 'PATCH' && ifMatch !== 'optional' ? [{ $ref: '#/components/parameters/IfMatch' }] : []),
      ],
      ...(schema.body
        ? {
            requestBody: {
              required: ((schema.body as Partial).required ?? []).length > 0,
              content: { 'application/json': { schema: hoist(schema.body) } },
            },
          }
        : {}),
      responses: { ...responses, default: { $ref: '#/components/responses/Problem' } },
      security:
        'public' in access
          ? []
          : access.node
            ? [{ node: [] }]
            : access.session
              ? [{ session: [] }]
              : [{ session: [] }, { apiKey: [] }],
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Izumi',
      version: '1',
      description:
        'Sell and run Internet services on demand. Instants are ISO 8601 in UTC; a missing end is null; intervals are half-open, `[from, to)`. Money is a whole number of minor units as a string, with its currency. Lists come in pages: ask again with `cursor` = `next`. Refusals are problem details (RFC 9457) that say what would be right.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: base }],
    paths,
    components: {
      schemas: Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
      parameters: HEADERS,
      responses: {
        Problem: {
          description: 'Refused; nothing was changed.',
          content: { 'application/problem+json': { schema: ref('Problem') } },
        },
      },
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'izumi_session', description: 'A session, from POST /sign-in.' },
        apiKey: { type: 'http', scheme: 'bearer', description: 'An API key, from POST /api-keys.' },
        node: {
          type: 'apiKey',
          in: 'header',
          name: 'authorization',
          description: 'Izumi-Node: an Ed25519 signature over the request, by a node that has enrolled.',
        },
      },
    },
  }
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const contentType = (body: TSchema): string =>
  (body as { contentMediaType?: string }).contentMediaType ?? 'application/json'
