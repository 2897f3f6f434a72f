/**
 * Why a request would be a hit or a miss, step by step, in the order in which the flow goes: the property, its plan, the
 * key, what is stored, which variant fits, whether it is fresh. Asks the same functions that serve; changes nothing.
 */
import type { EdgeRequest, Properties, Store } from '../message.ts'
import { currentAgeSeconds } from '../policy/age.ts'
import { judge, select } from '../policy/judge.ts'
import { nominatedBy } from '../policy/vary.ts'

export interface Step {
  /** What was asked, and what came out. */
  step: string
  outcome: string
}

export interface Explanation {
  result: 'hit' | 'stale' | 'revalidate' | 'miss' | 'pass' | 'answer' | 'refused'
  steps: Step[]
}

const WHY_VALIDATE = {
  expired: 'its lifetime is over',
  'no-cache': 'the response says no-cache: it must be validated each time',
  purged: 'it was purged softly',
  request: 'the request asks for a fresher one',
}
const WHY_NOT = {
  'uri-miss': 'nothing is stored under this key',
  'vary-miss': 'what is stored was for requests that differ in what Vary names',
  partial: 'what is stored does not hold the bytes that are asked for',
}

export function explain(request: EdgeRequest, properties: Properties, store: Pick<Store, 'find'>): Explanation {
  const steps: Step[] = []
  const add = (step: string, outcome: string) => {
    steps.push({ step, outcome })
  }
  const property = properties.find(request.host, request.scheme)
  if (property === null) {
    add('property', `none has the host ${request.host}: 421`)
    return { result: 'refused', steps }
  }
  add('property', `${property.name}, by the host ${request.host}`)
  const plan = property.plan(request)
  if (plan.kind === 'answer') {
    add('plan', `a rule answers by itself with ${plan.status}`)
    return { result: 'answer', steps }
  }
  add(
    'plan',
    `served by the pool ${plan.pool.name}${plan.target === request.target ? '' : `, rewritten to ${plan.target}`}`,
  )
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    add('method', `${request.method} is passed to the origin`)
    return { result: 'pass', steps }
  }
  if (!plan.caching.enabled) {
    add('caching', 'turned off here: passed to the origin')
    return { result: 'pass', steps }
  }
  add('key', `${plan.key}${plan.keyIsPlain ? ' (host and target alone)' : ' (rules look at more of the request)'}`)
  const stored = store.find(plan.key)
  add('stored', stored.length === 0 ? 'nothing' : `${stored.length} response${stored.length === 1 ? '' : 's'}`)
  for (const { head, sizeBytes, body } of stored) {
    const names = nominatedBy(head)
    const varies = names === '*' ? '*' : names.map((name) => `${name}: ${fieldOf(head.vary, name)}`).join('; ')
    const age = currentAgeSeconds(head, request.receivedAt)
    add(
      'variant',
      `${head.status}, ${sizeBytes} bytes ${body === null ? 'on disk' : 'in memory'}, age ${seconds(age)} of ${seconds(head.lifetimeSeconds)}${varies === '' ? '' : `, varies by ${varies}`}${head.tags.length === 0 ? '' : `, tags ${head.tags.join(' ')}`}`,
    )
  }
  const { chosen, reason } = select(stored, request)
  if (chosen === null) {
    add('choice', `${WHY_NOT[reason]}: fetched from the origin`)
    return { result: 'miss', steps }
  }
  add('choice', `the ${chosen.head.status} of ${new Date(chosen.head.responseTime).toISOString()}`)
  const verdict = judge(chosen, request.fields, request.receivedAt, plan.caching)
  if (verdict.kind === 'fresh') {
    add('freshness', `fresh for another ${seconds(verdict.ttlSeconds)}: served from the cache`)
    return { result: 'hit', steps }
  }
  if (verdict.kind === 'stale') {
    add(
      'freshness',
      `stale since ${seconds(-verdict.ttlSeconds)}, and may be served so${verdict.revalidate ? ' while it is validated' : ' as the request allows'}`,
    )
    return { result: 'stale', steps }
  }
  add('freshness', `${WHY_VALIDATE[verdict.reason]}: the origin is asked whether it still holds`)
  if (verdict.ifUnreachable || verdict.ifServerError)
    add('otherwise', `served stale if the origin ${verdict.ifUnreachable ? 'cannot be reached' : 'fails'}`)
  return { result: 'revalidate', steps }
}

const seconds = (value: number): string => `${Math.round(value)} s`

function fieldOf(fields: readonly string[], name: string): string {
  const at = fields.findIndex((each, index) => index % 2 === 0 && each === name)
  return at < 0 ? '(absent)' : fields[at + 1]!
}
