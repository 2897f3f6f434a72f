/**
 * Several workers, one edge: each cache key is owned by one of them, and the others ask it instead of the origin, so that one
 * object is fetched once. What it answers is the stored response as it is, without the property's changes, with two fields
 * that say what it did; a fault at the origin comes back as a fault. These fields pass between workers only: they are taken
 * off on arrival, and put on where nothing of a client's can stand for them.
 *
 *     client ─▶ worker ── miss, not its own ──▶ owner ── miss ──▶ origin
 */
import { endToEnd } from '../http/fields.ts'
import type {
  CacheResult,
  EdgeRequest,
  Fields,
  OriginExchange,
  OriginFault,
  OriginListener,
  OriginPool,
  OriginRequest,
} from '../message.ts'

export const INSIDE = { client: 'izumi-client', result: 'izumi-result', cacheStatus: 'izumi-cache-status' } as const

/** What an unsafe request made invalid: stored responses by key, by URL where fields are part of the key, and by group. */
export interface Invalidation {
  readonly keys: readonly string[]
  readonly urls: readonly string[]
  readonly groups: readonly { group: string; origin: string }[]
}

/** The other workers, as the flow sees them. */
export interface Owners {
  /** Asks the worker whose key this is; null: it is this worker's own. */
  of(key: string): OriginPool | null
  /** Done in all of them when it resolves. */
  invalidate(invalidation: Invalidation): Promise<void>
}

/** A client's request as its worker sends it to the owner; `fields` are the client's, conditions perhaps taken out. */
function outgoing(request: EdgeRequest, fields: Fields, asked: OriginRequest): OriginRequest {
  const sent: string[] = ['host', request.authority]
  const kept = endToEnd(fields)
  for (let i = 0; i < kept.length; i += 2)
    if (kept[i] !== 'host' && kept[i] !== INSIDE.client) sent.push(kept[i]!, kept[i + 1]!)
  const { scheme, version, client } = request
  sent.push(INSIDE.client, `${scheme} ${version} ${client.port} ${client.address}`)
  return { ...asked, target: request.target, fields: sent }
}

/** The same as the owner reads it; null: it did not come from a worker. */
export function incoming(request: EdgeRequest): EdgeRequest | null {
  const fields: string[] = []
  let told = ''
  for (let i = 0; i < request.fields.length; i += 2)
    if (request.fields[i] === INSIDE.client) told = request.fields[i + 1]!
    else fields.push(request.fields[i]!, request.fields[i + 1]!)
  const [scheme, version, port, address] = told.split(' ')
  if ((scheme !== 'http' && scheme !== 'https') || address === undefined) return null
  return {
    ...request,
    scheme,
    version: version as EdgeRequest['version'],
    client: { address, port: Number(port) },
    fields,
    inside: true,
  }
}

/** A pool that asks `owner` first; when that is away, the origin itself. */
export function relayedPool(owner: OriginPool, origin: OriginPool, request: EdgeRequest, fields: Fields): OriginPool {
  return {
    name: origin.name,
    request: (asked, listener) => {
      const relay = new Relay(listener, () => origin.request(asked, listener))
      relay.start(owner, outgoing(request, fields, asked))
      return relay
    },
    close: () => {},
  }
}

/** Takes the owner's marks off its answer, and what it could not do as what it is: a fault. */
class Relay implements OriginListener, OriginExchange {
  readonly #listener: OriginListener
  readonly #instead: () => OriginExchange
  #exchange: OriginExchange | null = null
  #state: 'asked' | 'answered' | 'over' = 'asked'

  constructor(listener: OriginListener, instead: () => OriginExchange) {
    this.#listener = listener
    this.#instead = instead
  }

  start(owner: OriginPool, request: OriginRequest): void {
    const exchange = owner.request(request, this)
    this.#exchange ??= exchange
  }

  pause(): void {
    this.#exchange?.pause()
  }
  resume(): void {
    this.#exchange?.resume()
  }
  abort(): void {
    this.#state = 'over'
    this.#exchange?.abort()
  }

  informational(status: number, fields: Fields): void {
    this.#listener.informational(status, fields)
  }

  head(status: number, marked: Fields, bodyBytes: number | null): void {
    let result: CacheResult = 'pass'
    let cacheStatus = ''
    const fields: string[] = []
    for (let i = 0; i < marked.length; i += 2) {
      const name = marked[i]!
      if (name === INSIDE.result) result = marked[i + 1] as CacheResult
      else if (name === INSIDE.cacheStatus) cacheStatus = marked[i + 1]!
      else fields.push(name, marked[i + 1]!)
    }
    if (result === 'error') {
      this.#state = 'over'
      this.#exchange?.abort()
      const phase = status === 503 ? 'limit' : 'first-byte'
      this.#listener.fail({ phase, message: `the origin failed (${cacheStatus})`, timedOut: status === 504 })
      return
    }
    this.#state = 'answered'
    this.#listener.relayed?.(result, cacheStatus)
    // A property that just changed: an answer of its own is not the origin's, and not to be kept.
    const isOwn = result === 'answer' || result === 'refused'
    this.#listener.head(status, isOwn ? [...fields, 'cache-control', 'no-store'] : fields, bodyBytes)
  }

  data(chunk: Buffer): void {
    if (this.#state === 'answered') this.#listener.data(chunk)
  }

  end(): void {
    if (this.#state !== 'answered') return
    this.#state = 'over'
    this.#listener.end()
  }

  fail(fault: OriginFault): void {
    if (this.#state === 'over') return
    const wasAsked = this.#state === 'asked'
    this.#state = 'over'
    // The owner is away and nothing came of it: the origin is there.
    if (wasAsked) this.#exchange = this.#instead()
    else this.#listener.fail(fault)
  }
}
