/**
 * A real server over a fresh database with a small world in it: the operator, a reseller with a customer, another
 * customer, and a stranger's party, each with keys for every role. Requests go through `inject`, without a socket.
 */
import { after } from 'node:test'
import { pino } from 'pino'
import type { Platform } from '../../src/api/platform.ts'
import { buildServer, type Server } from '../../src/api/server.ts'
import { openCapacityEngine } from '../../src/capacity/engine.ts'
import { hashSecret, newId, newSecret } from '../../src/core/ids.ts'
import type { Database } from '../../src/database/connection.ts'
import { FAMILIES } from '../../src/families.ts'
import { type PartyKind, ROLES, type Role } from '../../src/parties/model.ts'
import { testDatabase } from './database.ts'

export interface TestParty {
  id: string
  code: string
  kind: PartyKind
  ancestors: string[]
}

/** A party written straight into the database. */
export async function insertParty(database: Database, kind: PartyKind, code: string, parent: TestParty | null) {
  const id = newId()
  const ancestors = [...(parent?.ancestors ?? []), id]
  await database.query(
    `insert into party (id, kind, code, name, parent_id, ancestors) values ($1, $2, $3, $4, $5, $6)`,
    [id, kind, code, `${code} (test)`, parent?.id ?? null, ancestors],
  )
  return { id, code, kind, ancestors } satisfies TestParty
}

/** An API key for a party, with its secret. */
export async function insertKey(database: Database, party: TestParty, role: Role = 'owner', scopes: string[] = ['*']) {
  const secret = newSecret('izumi')
  await database.query(
    'insert into api_key (id, party_id, name, secret_hash, role, scopes) values ($1, $2, $3, $4, $5, $6)',
    [newId(), party.id, `${party.code} ${role}`, hashSecret(secret), role, scopes],
  )
  return secret
}

export interface TestWorld {
  database: Database
  platform: Platform
  server: Server
  operator: TestParty
  reseller: TestParty
  customer: TestParty
  other: TestParty
  /** API key secrets by party code and role: `keys.operator.owner`. */
  keys: Record<'operator' | 'reseller' | 'customer' | 'other', Record<Role, string>>
  /** One request; the body is parsed. */
  call(
    method: string,
    path: string,
    options?: { key?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<{
    status: number
    // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
    body: any
    headers: Record<string, string | string[] | number | undefined>
  }>
}

/** Builds the platform over a database; what tests of a noun need beyond it comes in `parts`. */
export async function testPlatform(database: Database, parts: Partial<Platform> = {}): Promise<Platform> {
  return {
    database,
    capacity: parts.capacity ?? (await openCapacityEngine(database)),
    families: FAMILIES,
    log: pino({ level: process.env.IZUMI_TEST_LOG ?? 'silent' }),
    clock: Date.now,
    publicUrl: 'http://localhost:8080',
    ...parts,
  }
}

export async function testWorld(parts: Partial<Platform> = {}): Promise<TestWorld> {
  const database = await testDatabase()
  const platform = await testPlatform(database, parts)
  const operator = await insertParty(database, 'operator', 'operator', null)
  const reseller = await insertParty(database, 'reseller', 'reseller', operator)
  const customer = await insertParty(database, 'customer', 'customer', reseller)
  const other = await insertParty(database, 'customer', 'other', operator)
  const keys = {} as TestWorld['keys']
  for (const party of [operator, reseller, customer, other]) {
    const own = {} as Record<Role, string>
    for (const role of ROLES) own[role] = await insertKey(database, party, role)
    keys[party.code as keyof TestWorld['keys']] = own
  }
  const server = await buildServer(platform)
  after(() => server.close())
  return {
    database,
    platform,
    server,
    operator,
    reseller,
    customer,
    other,
    keys,
    async call(method, path, { key, body, headers } = {}) {
      const answer = await server.inject({
        method: method as 'GET',
        url: path.startsWith('/api/') ? path : `/api/v1${path}`,
        headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
        ...(body !== undefined ? { payload: body as object } : {}),
      })
      const isJson = String(answer.headers['content-type']).includes('json')
      return {
        status: answer.statusCode,
        body: isJson && answer.body ? answer.json() : answer.body,
        headers: answer.headers,
      }
    },
  }
}
