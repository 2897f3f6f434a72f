/**
 * The whole catalogue of what Izumi refuses and why. An error is a value: what was wrong, where, and what would be
 * right. `api/problems.ts` turns each into problem details (RFC 9457); nothing else does.
 */

/** One wrong field: `at` is a JSON pointer into the request. */
export interface FieldProblem {
  at: string
  problem: string
  expected: string
}

/** What every refusal has: a stable code, the HTTP status it maps to, and a sentence for people. */
export class Refusal extends Error {
  readonly code: string
  readonly status: number
  readonly fields: FieldProblem[]
  readonly facts: Record<string, unknown>
  constructor(
    code: string,
    status: number,
    detail: string,
    fields: FieldProblem[] = [],
    facts: Record<string, unknown> = {},
  ) {
    super(detail)
    this.name = new.target.name
    this.code = code
    this.status = status
    this.fields = fields
    this.facts = facts
  }
}

/** The request itself is wrong: 400. */
export class BadInput extends Refusal {
  constructor(at: string, problem: string, expected: string) {
    super('bad-input', 400, `${at}: ${problem}; expected ${expected}`, [{ at, problem, expected }])
  }
}

/** Nobody is signed in, or the credential is not valid any more: 401. */
export class NotSignedIn extends Refusal {
  constructor(detail = 'Sign in, or send an API key as a bearer token.') {
    super('not-signed-in', 401, detail)
  }
}

/** Signed in, but this is not for them: 403. */
export class NotAllowed extends Refusal {
  constructor(detail: string) {
    super('not-allowed', 403, detail)
  }
}

/** No such thing, or none that the asker may see: 404 either way. */
export class NotFound extends Refusal {
  constructor(kind: string, id: string) {
    super('not-found', 404, `There is no ${kind} ${id} that you can see.`)
  }
}

/** The thing is in a state that does not allow this: 409. */
export class WrongState extends Refusal {
  constructor(detail: string, facts: Record<string, unknown> = {}) {
    super('wrong-state', 409, detail, [], facts)
  }
}

/** An idempotency key came again with another request: 409. */
export class KeyReused extends Refusal {
  constructor(key: string) {
    super('idempotency-key-reused', 409, `The idempotency key ${key} was used before for a different request.`)
  }
}

/** The thing changed since it was read: 412. */
export class StaleVersion extends Refusal {
  constructor(seen: number, now: number) {
    super('stale-version', 412, `You saw version ${seen}; it is now version ${now}. Read it again and redo the change.`)
  }
}

/** There is not enough capacity: 409, with the pool, the first instant that lacks it, what is free and what was asked. */
export class CapacityExhausted extends Refusal {
  constructor(detail: string, facts: Record<string, unknown>) {
    super('capacity-exhausted', 409, detail, [], facts)
  }
}

/** A named bound of `limits.ts` was passed: 422. */
export class LimitPassed extends Refusal {
  constructor(limit: string, bound: number, was: number) {
    super('limit-passed', 422, `${limit} is limited to ${bound}; this would be ${was}.`, [], { limit, bound, was })
  }
}

/** Too much is waiting already; try again shortly: 503. */
export class Overloaded extends Refusal {
  constructor(detail = 'Too many requests are waiting. Nothing was changed; try again in a moment.') {
    super('overloaded', 503, detail)
  }
}
