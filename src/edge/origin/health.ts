/**
 * Active health: asks each server of a pool for a path at an interval, and takes it out after some bad answers, in again after
 * some good ones. A server begins as healthy, so that a start does not wait for checks.
 */
import type { Fields, OriginFault } from '../message.ts'
import type { CallListener } from './connection.ts'
import type { OriginServer } from './server.ts'

export interface HealthCheck {
  readonly path: string
  /** The Host to ask for. */
  readonly host: string
  readonly everyMs: number
  /** Answers in a row that change the verdict. */
  readonly bad: number
  readonly good: number
  /** Statuses that count as good. */
  readonly statusFrom: number
  readonly statusTo: number
}

export class HealthChecks {
  readonly #check: HealthCheck
  readonly #timer: NodeJS.Timeout
  readonly #runs = new Map<OriginServer, number>()
  readonly #busy = new Set<OriginServer>()

  constructor(check: HealthCheck, servers: readonly OriginServer[]) {
    this.#check = check
    const ask = () => {
      for (const server of servers) this.#ask(server)
    }
    this.#timer = setInterval(ask, check.everyMs)
    this.#timer.unref()
    ask()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #ask(server: OriginServer): void {
    if (this.#busy.has(server)) return
    this.#busy.add(server)
    const { path, host, statusFrom, statusTo } = this.#check
    const told = (isGood: boolean) => this.#told(server, isGood)
    let isGood = false
    const listener: CallListener = {
      informational: (_status: number, _fields: Fields) => {},
      head: (status) => {
        isGood = status >= statusFrom && status <= statusTo
      },
      data: () => {},
      end: () => told(isGood),
      fail: (_fault: OriginFault) => told(false),
    }
    server.send(
      {
        method: 'GET',
        target: path,
        fields: ['host', host, 'user-agent', 'izumi-health'],
        body: null,
        bodyBytes: null,
        key: path,
      },
      listener,
    )
  }

  /** `#runs`: positive for good answers in a row, negative for bad ones. */
  #told(server: OriginServer, isGood: boolean): void {
    this.#busy.delete(server)
    const before = this.#runs.get(server) ?? 0
    const run = isGood ? Math.max(1, before + 1) : Math.min(-1, before - 1)
    this.#runs.set(server, run)
    if (run >= this.#check.good) server.checkedHealthy = true
    else if (run <= -this.#check.bad) server.checkedHealthy = false
  }
}
