/**
 * Bad input, over every route of the server: values of a wrong type, out of bounds, missing, unknown, reversed, with NUL,
 * huge or malformed; unknown and misshapen ids; bad versions, keys and cursors. The answer is always a 4xx with problem
 * details that say what would be right, never a 5xx, and nothing is changed. First everything a schema forbids, place by
 * place; then whatever fast-check thinks of.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, ListedRoute } from '../src/api/app.ts'
import { LIMITS } from '../src/core/limits.ts'
import { fillPath, furnishedWorld, sample } from './support/furnished.ts'

const { server, keys, database, things } = await furnishedWorld()
const about = things.customer
const routes = server.izumiRoutes.filter(({ method }) => method !== 'HEAD')
const name = ({ method, url }: ListedRoute) => `${method} ${url.replace('/api/v1', '')}`

/** What a refusal may leave behind: the count of failed sign-ins, and keys taken and given back. */
const LEAVES_TRACES = ['session', 'idempotency', 'sign_in_failure']

/** One number for everything in the database. */
async function checksum(): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables
     where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> all($1) order by 1`,
    [LEAVES_TRACES],
  )
  const parts = tables.map(
    ({ name: table }) =>
      `select '${table}' as t, md5(coalesce(string_agg(r::text, '|' order by r::text), '')) as m from "${table}" r`,
  )
  const sums = await database.query<{ t: string; m: string }>(`${parts.join(' union all ')} order by t`)
  // Several workers may answer parts of the union, in whatever order they are done.
  return JSON.stringify(sums)
}

interface Schema {
  type?: string | string[]
  enum?: unknown[]
  pattern?: string
  format?: string
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: unknown
  anyOf?: Schema[]
}

/** Values that a schema does not take, each with what is wrong with it. */
function wrongFor(schema: Schema): [what: string, value: unknown][] {
  const types = [schema.type ?? []].flat()
  if (schema.anyOf) {
    const shape = schema.anyOf.find(({ properties }) => properties)
    return [
      ['a value of no branch', shape ? 12.5 : [[]]],
      ...(shape ? wrongFor(shape).filter(([what]) => what === 'an unknown field') : []),
    ]
  }
  const wrong: [string, unknown][] = []
  if (!types.includes('object')) wrong.push(['an object', { a: 1 }])
  if (!types.includes('array')) wrong.push(['a list', ['a']])
  if (!types.includes('boolean')) wrong.push(['a boolean', true])
  if (!types.includes('null')) wrong.push(['null', null])
  if (!types.includes('number') && !types.includes('integer')) wrong.push(['a number', 5])
  if (!types.includes('string')) wrong.push(['text', 'text'], ['a number as text', '5'])
  if (types.includes('integer')) wrong.push(['a fraction', 1.5])
  if (schema.minimum !== undefined) wrong.push(['too small', schema.minimum - 1])
  if (schema.maximum !== undefined) wrong.push(['too large', schema.maximum + 1])
  if (types.includes('string')) {
    wrong.push(['NUL', 'a\0b'], ['half a surrogate pair', 'a\ud800b'])
    if (schema.maxLength !== undefined) wrong.push(['too long', 'x'.repeat(schema.maxLength + 1)])
    if (schema.minLength) wrong.push(['too short', ''])
    if (schema.pattern || schema.format || schema.enum) wrong.push(['of another form', '!! no such thing'])
    if (schema.format === 'date-time')
      wrong.push(
        ['no such day', '2026-02-30T00:00:00Z'],
        ['no offset', '2026-01-01T00:00:00'],
        ['a far year', '9999-01-01T00:00:00Z'],
      )
  }
  if (schema.maxItems !== undefined && schema.items) {
    const item = sample(schema.items, about)
    wrong.push(['too many items', Array.from({ length: schema.maxItems + 1 }, () => item)])
  }
  if (schema.minItems) wrong.push(['too few items', []])
  if (schema.properties && schema.additionalProperties === false)
    wrong.push(['an unknown field', { ...(sample(schema, about) as object), surprise: 1 }])
  for (const field of schema.required ?? []) {
    const value = { ...(sample(schema, about) as Record<string, unknown>) }
    delete value[field]
    if (!(schema.properties?.[field] && 'default' in schema.properties[field])) wrong.push([`no ${field}`, value])
  }
  return wrong
}

/** A well-formed body with one place in it made wrong, for every place and every way. */
function* wrongBodies(schema: Schema): Generator<[string, unknown]> {
  const good = sample(schema, about, true)
  function* at(part: Schema, put: (value: unknown) => unknown, place: string): Generator<[string, unknown]> {
    for (const [what, value] of wrongFor(part)) yield [`${place || '/'}: ${what}`, put(value)]
    for (const [field, inner] of Object.entries(part.properties ?? {})) {
      const whole = sample(part, about, true) as Record<string, unknown>
      yield* at(inner, (value) => put({ ...whole, [field]: value }), `${place}/${field}`)
    }
    if (part.items) yield* at(part.items, (value) => put([value]), `${place}/0`)
  }
  yield* at(schema, (value) => value, '')
  const { from, to } = (schema.properties ?? {}) as Record<string, unknown>
  if (from && to && good && typeof good === 'object')
    yield ['reversed interval', { ...good, from: '2027-01-02T00:00:00Z', to: '2027-01-01T00:00:00Z' }]
}

const keyFor = (route: ListedRoute): string | undefined => {
  const access = route.options.config!.access as Exclude<Access, { public: true }> & { public?: true }
  return access.public ? undefined : keys.operator.owner
}

interface Try {
  what: string
  path?: string
  query?: string
  /** Sent as it is. */
  payload?: string
  headers?: Record<string, string>
}

/** Sends one and holds it to the promise. `mustFail` is off where luck may make it right. */
async function attempt(route: ListedRoute, one: Try, mustFail = true): Promise<number> {
  const key = keyFor(route)
  const answer = await server.inject({
    method: route.method as 'GET',
    url: (one.path ?? fillPath(route.url, about)) + (one.query ? `?${one.query}` : ''),
    headers: {
      ...(key ? { authorization: `Bearer ${key}` } : {}),
      ...(route.method === 'PATCH' ? { 'if-match': '*' } : {}),
      ...(one.payload !== undefined ? { 'content-type': 'application/json' } : {}),
      ...one.headers,
    },
    ...(one.payload !== undefined ? { payload: one.payload } : {}),
  })
  const what = () =>
    `${name(route)}, ${one.what}: ${answer.statusCode} ${answer.body.slice(0, 400)} (sent ${one.payload?.slice(0, 300)})`
  assert.ok(answer.statusCode < 500, what())
  if (!mustFail && answer.statusCode < 400) return answer.statusCode
  assert.ok(answer.statusCode >= 400, what())
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, what())
  const problem = answer.json()
  assert.ok(problem.code && problem.detail && problem.title && Array.isArray(problem.fields), what())
  assert.equal(problem.status, answer.statusCode, what())
  for (const field of problem.fields) assert.ok(field.at && field.problem && field.expected, what())
  return answer.statusCode
}

const UNKNOWN_UUID = '01938f5e-7c3a-7d4e-8f21-9a0b1c2d3e40'

/** Everything about a route that can be made wrong one thing at a time. */
function* tries(route: ListedRoute): Generator<Try> {
  const { body, querystring, params } = (route.options.schema ?? {}) as Record<string, Schema | undefined>
  const goodQuery = querystring ? (sample(querystring, about) as Record<string, unknown>) : {}
  const query = (fields: Record<string, unknown>) =>
    new URLSearchParams(
      Object.entries({ ...goodQuery, ...fields }).map(([field, value]) => [field, String(value)]),
    ).toString()
  const payload = body ? JSON.stringify(sample(body, about)) : undefined

  for (const parameter of Object.keys(params?.properties ?? {})) {
    const types = [params!.properties![parameter]!.type].flat()
    const put = (value: string) => route.url.replace(`:${parameter}`, value)
    const unknown = types.includes('integer')
      ? ['2147483647', '0', '-1', '1.5', 'x', '99999999999999999999']
      : [UNKNOWN_UUID, 'x'.repeat(280), '%F0%9F%92%A9', '%00', '..%2f..']
    for (const value of unknown)
      yield {
        what: `/path/${parameter} = ${value.slice(0, 40)}`,
        path: fillPath(put(value), about),
        query: query({}),
        payload,
      }
  }
  if (querystring) {
    yield { what: 'an unknown query field', query: query({ surprise: 1 }), payload }
    for (const [field, schema] of Object.entries(querystring.properties ?? {})) {
      const types = [schema.type].flat()
      for (const [what, value] of wrongFor(schema)) {
        // In an address everything is text.
        if (
          typeof value === 'object' ||
          (types.includes('string') && typeof value !== 'string' && !schema.enum && !schema.pattern)
        )
          continue
        if (
          what === 'a number as text' ||
          what === 'half a surrogate pair' ||
          (types.includes('boolean') && typeof value === 'boolean')
        )
          continue
        if (types.includes('string') && !schema.enum && typeof value !== 'string') continue
        yield { what: `/query/${field}: ${what}`, query: query({ [field]: value }), payload }
      }
    }
    if (querystring.properties?.cursor)
      for (const cursor of [
        'x',
        'bm90IGpzb24',
        Buffer.from('[1,2,3,4,5]').toString('base64url'),
        Buffer.from('[{"a":1}]').toString('base64url'),
        Buffer.from('["a\\u0000"]').toString('base64url'),
      ])
        yield { what: `cursor ${cursor}`, query: query({ cursor }), payload }
    if (
      querystring.properties?.from &&
      querystring.properties.to &&
      [querystring.properties.from.format].includes('date-time')
    )
      yield {
        what: 'reversed interval',
        query: query({ from: '2027-01-02T00:00:00Z', to: '2027-01-01T00:00:00Z' }),
        payload,
      }
  }
  if (body) {
    for (const [what, value] of wrongBodies(body)) yield { what, query: query({}), payload: JSON.stringify(value) }
    const rest = { query: query({}) }
    for (const text of [
      '{',
      '{"a":}',
      '[1,]',
      'nonsense',
      '\u0000',
      '{"__proto__":{"a":1}}',
      '{"constructor":{"prototype":{"a":1}}}',
    ])
      yield { what: `malformed ${text}`, payload: text, ...rest }
    yield { what: 'a huge body', payload: `{"a":"${'x'.repeat(LIMITS.requestBodyBytes)}"}`, ...rest }
    yield { what: 'deep nesting', payload: '['.repeat(20_000) + ']'.repeat(20_000), ...rest }
    for (const type of [
      'text/plain',
      'application/xml',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
    ])
      yield { what: type, payload: payload!, headers: { 'content-type': type }, ...rest }
  }
  if (route.method === 'PATCH')
    for (const version of ['"nonsense"', '1', '""', '"99999999999"', '"1", "2"'])
      yield { what: `If-Match ${version}`, payload, headers: { 'if-match': version } }
  if (route.method === 'POST' && !('public' in route.options.config!.access))
    for (const key of ['two words', 'x'.repeat(201), 'ümlaut'])
      yield {
        what: `Idempotency-Key ${key.slice(0, 20)}`,
        payload,
        query: query({}),
        headers: { 'idempotency-key': key },
      }
}

test('whatever a schema forbids is refused in words, and changes nothing', async (t) => {
  const failures: string[] = []
  let sent = 0
  let before = await checksum()
  for (const route of routes) {
    for (const one of tries(route)) {
      await attempt(route, one).catch((error: Error) => failures.push(error.message))
      sent++
    }
    const after = await checksum()
    if (after !== before) failures.push(`${name(route)} changed something while refusing`)
    before = after
  }
  t.diagnostic(`${sent} bad requests over ${routes.length} routes`)
  assert.equal(failures.length, 0, `${failures.length} of ${sent}:\n${failures.slice(0, 40).join('\n')}`)
  assert.ok(sent > 2_000)
})

test('whatever else one may think of is never a 5xx', async () => {
  const writable = routes.filter((route) => (route.options.schema as { body?: unknown } | undefined)?.body)
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom<unknown>(
      -0,
      1e308,
      -1e308,
      2 ** 53,
      -(2 ** 31) - 1,
      0.1 + 0.2,
      'NaN',
      '',
      ' ',
      'infinity',
      '-infinity',
      "'; drop table party; --",
      '$1',
      '{}',
      'null',
    ),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...writable),
      fc.nat(),
      anything,
      fc.boolean(),
      async (route, pick, value, all) => {
        const { body, querystring } = route.options.schema as { body: Schema; querystring?: Schema }
        const whole = sample(body, about, all) as Record<string, unknown>
        const fields = Object.keys(body.properties ?? {})
        const field = fields[pick % Math.max(1, fields.length)]
        if (field === undefined) return
        const query = querystring
          ? new URLSearchParams(
              Object.entries(sample(querystring, about) as object).map(([n, v]) => [n, String(v)]),
            ).toString()
          : ''
        await attempt(
          route,
          { what: `${field} = anything`, query, payload: JSON.stringify({ ...whole, [field]: value }) },
          false,
        )
      },
    ),
    { numRuns: 250 },
  )
  const listed = routes.filter(
    (route) =>
      route.method === 'GET' &&
      (route.options.schema as { querystring?: Schema })?.querystring &&
      !route.url.endsWith('/stream'),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...listed),
      fc.nat(),
      fc.string({ unit: 'binary', maxLength: 30 }),
      async (route, pick, value) => {
        const schema = (route.options.schema as { querystring: Schema }).querystring
        const fields = Object.keys(schema.properties ?? {})
        const fieldName = fields[pick % fields.length]!
        const query = new URLSearchParams({
          ...Object.fromEntries(Object.entries(sample(schema, about) as object).map(([n, v]) => [n, String(v)])),
          [fieldName]: value.toWellFormed(),
        })
        await attempt(route, { what: `query ${fieldName} = anything`, query: query.toString() }, false)
      },
    ),
    { numRuns: 250 },
  )
})
