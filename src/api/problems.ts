/**
 * The one place where a refusal becomes an answer: RFC 9457 problem details with a stable code, a sentence that says
 * what would be right, and the fields that were wrong. What is nobody's fault but ours is logged whole and answered with
 * nothing but a reference.
 */
import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { BadInput, type FieldProblem, Overloaded, Refusal } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { TooManyAttempts } from '../parties/throttle.ts'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

export interface ProblemJson {
  type: string
  title: string
  status: number
  detail: string
  code: string
  fields: FieldProblem[]
  [fact: string]: unknown
}

/** A value of any kind as JSON: bigints as strings, no end as null. */
const plain = (value: unknown): unknown =>
  typeof value === 'bigint'
    ? value.toString()
    : value === Number.POSITIVE_INFINITY
      ? null
      : Array.isArray(value)
        ? value.map(plain)
        : value !== null && typeof value === 'object'
          ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
          : value

export const problemJson = (refusal: Refusal): ProblemJson => ({
  ...(plain(refusal.facts) as Record<string, unknown>),
  type: `urn:izumi:problem:${refusal.code}`,
  title: STATUS_CODES[refusal.status] ?? 'Refused',
  status: refusal.status,
  detail: refusal.message,
  code: refusal.code,
  fields: refusal.fields,
})

/** What Fastify itself refuses, in our words. */
function fromFastify(error: FastifyError, request: FastifyRequest): Refusal | null {
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new BadInput('/', `the body is not JSON (${error.message})`, 'a JSON object')
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Refusal(
        'too-large',
        413,
        `The body is larger than ${LIMITS.requestBodyBytes} bytes; send less at once.`,
        [{ at: '/', problem: 'is too large', expected: `at most ${LIMITS.requestBodyBytes} bytes` }],
        { limitBytes: LIMITS.requestBodyBytes },
      )
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Refusal('unsupported-media-type', 415, 'Send the body as application/json.', [
        {
          at: '/header/content-type',
          problem: `${JSON.stringify(request.headers['content-type'] ?? '')} is not read here`,
          expected: 'application/json',
        },
      ])
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new BadInput('/header/content-length', 'does not match the body', 'the number of bytes sent')
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new BadInput('/path', 'the address cannot be read', 'a well-formed, percent-encoded address')
    default:
      return null
  }
}

/** Any error as a refusal. Data errors of PostgreSQL that no schema caught are the asker's too (SQLSTATE class 22). */
function asRefusal(error: unknown, request: FastifyRequest): Refusal | null {
  if (error instanceof Refusal) return error
  const { code, statusCode, message, validation } = error as FastifyError & { validation?: unknown }
  if (typeof code === 'string' && code.startsWith('FST_')) {
    const refusal = fromFastify(error as FastifyError, request)
    if (refusal) return refusal
  }
  if (typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code)) {
    request.log.warn({ err: error, url: request.url }, 'a value reached the database that no schema had refused')
    return new BadInput('/', 'a value is out of range', 'values as described at /api')
  }
  if (code === '23514') {
    request.log.warn({ err: error, url: request.url }, 'a check of the database refused what no rule had')
    return new Refusal('not-acceptable-value', 422, 'A value breaks a rule of the database; nothing was changed.')
  }
  if (validation) return new BadInput('/', message, 'a request as described at /api')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Refusal('refused', statusCode, message)
  return null
}

/** Answers an error. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const refusal = asRefusal(error, request)
  if (refusal === null) request.log.error({ err: error, url: request.url, method: request.method }, 'a request failed')
  const problem = problemJson(
    refusal ??
      new Refusal(
        'internal',
        500,
        `Something went wrong on our side. Nothing half-done remains; tell the operator the reference ${request.id}.`,
        [],
        { reference: request.id },
      ),
  )
  if (refusal instanceof TooManyAttempts) reply.header('retry-after', String(refusal.retryAfterSeconds))
  if (refusal instanceof Overloaded) reply.header('retry-after', '1')
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="izumi"')
  return reply.code(problem.status).type(PROBLEM_TYPE).serializer(JSON.stringify).send(problem)
}

export const unknownRoute = (url: string): Refusal =>
  new Refusal(
    'not-found',
    404,
    `There is nothing at ${url.split('?')[0]!.slice(0, 200)}. The routes are listed at /api.`,
  )

export const wrongMethod = (method: string, allowed: string[]): Refusal =>
  new Refusal('method-not-allowed', 405, `${method} is not known here; use ${allowed.join(' or ')}.`, [], { allowed })
