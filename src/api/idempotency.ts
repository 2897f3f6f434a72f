/**
 * Done twice is done once: a POST with an `Idempotency-Key` is carried out the first time, and its answer is kept for a
 * day and given again to a repeat. The key is taken before the work starts, so two at once cannot both do it; a key
 * whose first request was cut off by a crash is never carried out again blindly: the repeat is told that the outcome is
 * not known. (IETF draft-ietf-httpapi-idempotency-key-header.) Claims and orders do better: their own unique key is
 * written in the transaction of the change.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { BadInput, KeyReused, WrongState } from '../core/errors.ts'
import { MINUTE_MS } from '../core/time.ts'
import type { Database } from '../database/connection.ts'

const IN_WORK = 0
/** No request takes longer than this; a key that is still in work after it was cut off. */
const CUT_OFF_MS = 2 * MINUTE_MS

interface Kept {
  requestHash: string
  status: number
  body: unknown
  createdAt: number
}

const taken = new WeakMap<FastifyRequest, string>()

/** The key of a request, checked; undefined when it has none. */
export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(key))
    throw new BadInput(
      '/header/idempotency-key',
      'is not a usable key',
      '1 to 200 printable ASCII characters without spaces, such as a UUID',
    )
  return key
}

/** Fields of an answer that are shown once and never kept. */
const SHOWN_ONCE = ['secret', 'token', 'link']

function kept(payload: string, request: FastifyRequest): string {
  if (request.routeOptions.config.idempotency !== 'secret') return payload
  const body = JSON.parse(payload) as Record<string, unknown>
  return JSON.stringify({
    ...body,
    ...Object.fromEntries(SHOWN_ONCE.filter((name) => name in body).map((name) => [name, null])),
  })
}

/** Route hooks that keep and repeat the first answer. */
export function idempotency(database: Database, clock: () => number) {
  return {
    async preHandler(request: FastifyRequest, reply: FastifyReply) {
      const key = idempotencyKey(request)
      if (key === undefined) return
      const { partyId } = request.principal
      const hash = createHash('sha256')
        .update(`${request.method} ${request.url}\n${JSON.stringify(request.body ?? null)}`)
        .digest('hex')
      const first = await database.query(
        `insert into idempotency (party_id, key, request_hash, status) values ($1, $2, $3, ${IN_WORK})
         on conflict do nothing returning key`,
        [partyId, key, hash],
      )
      if (first.length > 0) {
        taken.set(request, key)
        return
      }
      const [found] = await database.query<Kept>(
        `select request_hash as "requestHash", status, body, created_at as "createdAt" from idempotency
         where party_id = $1 and key = $2`,
        [partyId, key],
      )
      if (found && found.requestHash !== hash) throw new KeyReused(key)
      if (!found || (found.status === IN_WORK && found.createdAt > clock() - CUT_OFF_MS)) {
        reply.header('retry-after', '1')
        throw new WrongState('The first request with this idempotency key is still in work; repeat it in a moment.')
      }
      if (found.status === IN_WORK)
        throw new WrongState(
          'The first request with this idempotency key was cut off. Look whether it took effect, then use a new key.',
        )
      reply.header('idempotency-replayed', 'true').code(found.status)
      return reply
        .serializer((value: unknown) => JSON.stringify(value))
        .type('application/json')
        .send(found.body)
    },
    async onSend(request: FastifyRequest, reply: FastifyReply, payload: unknown) {
      const key = taken.get(request)
      if (key === undefined) return payload
      taken.delete(request)
      const { partyId } = request.principal
      if (reply.statusCode >= 400)
        // Nothing was changed: the same key may try again.
        await database.query('delete from idempotency where party_id = $1 and key = $2', [partyId, key])
      else
        await database.query('update idempotency set status = $3, body = $4::jsonb where party_id = $1 and key = $2', [
          partyId,
          key,
          reply.statusCode,
          typeof payload === 'string' && payload !== '' ? kept(payload, request) : null,
        ])
      return payload
    },
  }
}

/** Deletes kept answers older than a day. */
export const forgetOldAnswers = (database: Database): Promise<unknown> =>
  database.query(`delete from idempotency where created_at < now() - interval '1 day'`)
