/**
 * Answers to ACME's HTTP challenge (RFC 8555 §8.3), so that certificates can be had for names that point to the edge before
 * any property of theirs is set up. Nothing under that path is ever stored: a challenge lasts for minutes.
 */
import type { AnswerPlan, EdgeRequest } from '../message.ts'

const PATH = '/.well-known/acme-challenge/'

export interface Challenge {
  host: string
  token: string
  answer: string
}

/** Whether a target is that of a challenge, known or not. */
export const isChallenge = (target: string): boolean => target.startsWith(PATH)

export type Challenges = (request: EdgeRequest) => AnswerPlan | null

/** The answer to each of them; null: it is none of ours. */
export function challengesOf(list: readonly Challenge[]): Challenges {
  const answers = new Map<string, AnswerPlan>()
  for (const { host, token, answer } of list)
    answers.set(`${host.toLowerCase()}${PATH}${token}`, {
      kind: 'answer',
      status: 200,
      fields: ['content-type', 'application/octet-stream', 'cache-control', 'no-store'],
      body: answer,
    })
  return ({ method, host, target }) =>
    method === 'GET' || method === 'HEAD' ? (answers.get(host + target) ?? null) : null
}
