/**
 * This router's own checks of the edges: a TCP connection or an HTTP request to each address, at its interval, spread over it. An edge is seen up
 * while any of its addresses answers, so that one broken family does not take it out. Edges that stay keep what is known of them.
 */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { DnsState, EdgeOfState, HealthCheck } from '../state.ts'
import { type Observed, observe } from './rules.ts'

export const CHECK_DEFAULTS = { intervalSeconds: 1, timeoutSeconds: 1, falls: 2, rises: 3 } as const
/** Checks under way at once; more wait for their next turn. */
const AT_ONCE = 1_000

interface Watched {
  edge: EdgeOfState
  check: HealthCheck
  observed: Observed
  timer: NodeJS.Timeout
  lastProblem: string | null
}

export class Monitor {
  readonly #watched = new Map<string, Watched>()
  readonly #changed: () => void
  #underWay = 0
  checks = 0

  constructor(changed: () => void) {
    this.#changed = changed
  }

  /** Watches these edges from now on. One that is new counts as up until it fails. */
  watch({ edges = [], settings }: Pick<DnsState, 'edges' | 'settings'>): void {
    const wanted = new Set<string>()
    for (const edge of edges) {
      const check = edge.health ?? settings?.health ?? { kind: 'none' }
      if (check.kind === 'none') continue
      const key = `${edge.name} ${JSON.stringify([edge.addresses, check])}`
      wanted.add(key)
      const known = this.#watched.get(key)
      if (known) {
        known.edge = edge
        continue
      }
      const intervalMs = (check.intervalSeconds ?? CHECK_DEFAULTS.intervalSeconds) * 1_000
      const watched: Watched = { edge, check, observed: { up: true, against: 0 }, lastProblem: null, timer: undefined! }
      // Spread over the interval, so that a thousand edges are not asked in one instant.
      watched.timer = setTimeout(() => {
        void this.#look(watched)
        watched.timer = setInterval(() => void this.#look(watched), intervalMs)
      }, Math.random() * intervalMs)
      this.#watched.set(key, watched)
    }
    for (const [key, { timer }] of this.#watched)
      if (!wanted.has(key)) {
        clearTimeout(timer)
        this.#watched.delete(key)
      }
  }

  /** What this router sees of an edge; null: it does not look. */
  sees(edge: string): boolean | null {
    return this.watchedOf(edge)?.up ?? null
  }

  /** For people: what is seen of an edge, and what went wrong last. */
  watchedOf(edge: string): { up: boolean; problem: string | null } | null {
    for (const { edge: each, observed, lastProblem } of this.#watched.values())
      if (each.name === edge) return { up: observed.up, problem: lastProblem }
    return null
  }

  close(): void {
    for (const { timer } of this.#watched.values()) clearTimeout(timer)
    this.#watched.clear()
  }

  async #look(watched: Watched): Promise<void> {
    if (this.#underWay >= AT_ONCE) return
    this.#underWay++
    this.checks++
    const { edge, check } = watched
    const results = await Promise.all(edge.addresses.map((address) => probe(address, check)))
    this.#underWay--
    const good = results.includes(null)
    watched.lastProblem = good ? null : results[0]!
    const { falls = CHECK_DEFAULTS.falls, rises = CHECK_DEFAULTS.rises } = check
    const before = watched.observed.up
    watched.observed = observe(watched.observed, good, falls, rises)
    if (watched.observed.up !== before) this.#changed()
  }
}

/** Null when the address answers as it should; otherwise what was wrong. */
function probe(address: string, check: HealthCheck): Promise<string | null> {
  const timeoutMs = (check.timeoutSeconds ?? CHECK_DEFAULTS.timeoutSeconds) * 1_000
  const port = check.port ?? (check.kind === 'https' ? 443 : 80)
  return new Promise((resolve) => {
    if (check.kind === 'tcp') {
      const socket = connect({ host: address, port })
      const done = (problem: string | null) => {
        clearTimeout(timer)
        socket.destroy()
        resolve(problem)
      }
      const timer = setTimeout(() => done('no answer in time'), timeoutMs)
      socket.once('connect', () => done(null))
      socket.once('error', (error) => done(error.message))
      return
    }
    const ask = check.kind === 'https' ? httpsRequest : httpRequest
    const host = check.host ?? address
    const request = ask({
      host: address,
      port,
      path: check.path ?? '/',
      method: 'GET',
      headers: { host, 'user-agent': 'izumi-dns', connection: 'close' },
      agent: false,
      // It is whether it answers that is asked, not who it is; names of customers are on its certificates.
      ...(check.kind === 'https' ? { rejectUnauthorized: false, servername: check.host ?? '' } : {}),
    })
    const done = (problem: string | null) => {
      clearTimeout(timer)
      request.destroy()
      resolve(problem)
    }
    const timer = setTimeout(() => done('no answer in time'), timeoutMs)
    request.once('response', (response) => {
      const status = response.statusCode ?? 0
      done(status >= 200 && status < 400 ? null : `status ${status}`)
    })
    request.once('error', (error) => done(error.message))
    request.end()
  })
}
