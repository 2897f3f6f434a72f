/**
 * The vocabulary of the edge: what a request, an answer, a stored response, a store, a property and an origin are to each
 * other part. Plain data and narrow faces only; nothing here runs. Field sections are flat lists (name, value, name, value…)
 * because RFC 9110 §5.3 lets a field occur many times and the order within one name has a meaning.
 */
import type { Duplex, Readable } from 'node:stream'

/** A header section: name, value, name, value… names lower-case, values trimmed, in the order they came. */
export type Fields = readonly string[]

/** One request as the front understood it; both the exact path and the fast socket make these. */
export interface EdgeRequest {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Lower-case, without the port. */
  readonly host: string
  /** Host and port as the client sent them, lower-case. */
  readonly authority: string
  /** Origin-form, as sent: path and query. */
  readonly target: string
  readonly version: '1.0' | '1.1' | '2'
  readonly fields: Fields
  readonly client: { readonly address: string; readonly port: number }
  /** Epoch milliseconds. */
  readonly receivedAt: number
  /** Null when the request has no body; never read before the flow asks for it. */
  readonly body: Readable | null
  /** Another worker of this edge asks for its client, who was let in and is counted there. */
  readonly inside?: true
}

/**
 * Where an answer goes; one per request. Implemented by the exact path (node:http, node:http2) and by the fast socket.
 * Calls come in the order informational* head write* end, or abort at any point; after `closed` every call is harmless.
 */
export interface Reply {
  /** A 1xx answer (RFC 9110 §15.2); dropped for HTTP/1.0. Not called for 101. */
  informational(status: number, fields: Fields): void
  /**
   * Fields carry neither framing (Content-Length, Transfer-Encoding) nor Connection: the front adds those.
   * `bodyBytes` null means the length is unknown (chunked on 1.1, until close on 1.0). For HEAD, 204 and 304 it is the
   * Content-Length to announce, or null for none, and no body follows.
   */
  head(status: number, fields: Fields, bodyBytes: number | null): void
  /** False: wait for `onDrain`. The chunk must not change afterwards. */
  write(chunk: Uint8Array): boolean
  end(): void
  /** The reader must be able to see that the answer is incomplete. */
  abort(): void
  /** Called each time the reader can take more after `write` returned false. One callback. */
  onDrain(callback: () => void): void
  /** Called once when the answer is over: ended and flushed, aborted, or the reader went away. One callback. */
  onClose(callback: () => void): void
  readonly closed: boolean
}

/** Which bytes of a whole representation a stored 206 holds; both ends included (RFC 9110 §14.4). */
export interface StoredRange {
  readonly first: number
  readonly last: number
  /** Null when the origin said `*`. */
  readonly total: number | null
}

/** What is known of one stored response besides its body: what the policy reads, what disk keeps. Plain data (JSON). */
export interface StoredHead {
  readonly status: number
  /** End-to-end fields as stored: without hop-by-hop and framing fields. Content-Length stays only for an answer to HEAD. */
  readonly fields: Fields
  readonly requestMethod: string
  /** The request fields that Vary nominates, normalised: name, value… an absent field has no entry. */
  readonly vary: Fields
  /** When the request was sent and its answer's head arrived, epoch milliseconds (RFC 9111 §4.2.3). */
  readonly requestTime: number
  readonly responseTime: number
  readonly correctedInitialAgeSeconds: number
  /** The freshness lifetime chosen when it was stored, overrides of the property included; 0 or less: stale at once. */
  readonly lifetimeSeconds: number
  readonly bodyBytes: number | null
  readonly range: StoredRange | null
  readonly tags: readonly string[]
  /** Cache groups (RFC 9875), scoped by `origin`. */
  readonly groups: readonly string[]
  readonly property: string
  /** Host + path without query, for purge by prefix and URL. */
  readonly url: string
}

/** One stored response in the index. */
export interface StoredObject {
  readonly key: string
  readonly head: StoredHead
  /** What it costs: body, head and index. */
  readonly sizeBytes: number
  /** Set by a soft purge: from then on it is stale whatever its lifetime. */
  readonly softPurgedAt: number | null
  /** Whole body in memory, or null when it lies on disk. */
  readonly body: Buffer | null
  /** Bytes first…last of the stored body, from memory or disk, checked; throws StoreFault if the bytes are not whole. */
  read(first: number, last: number): AsyncIterable<Buffer>
  /** Whatever the fast path prepared for this object; dropped by the store whenever the head changes. */
  prepared: unknown
}

/**
 * A stored response in the making. Readers of the fill that fall behind read what was written so far from here, so that a
 * slow reader costs no memory: `read` works from the first `write` until `close`, also after `commit` (null or not).
 */
export interface Recording {
  /** False once it cannot be kept (too large, no room, disk failing): later writes are dropped and `read` throws StoreFault. */
  write(chunk: Buffer): boolean
  readonly writtenBytes: number
  /** More waits for the disk than should: hold the origin until `onEased` calls back, once. */
  readonly saturated: boolean
  onEased(callback: () => void): void
  /** Bytes first…last of what was written; both below `writtenBytes`. */
  read(first: number, last: number): AsyncIterable<Buffer>
  /** Null when it was purged meanwhile or could not be kept. Called once; no write comes after. */
  commit(): StoredObject | null
  /** It will not be committed. */
  abort(): void
  /** No reader needs `read` any more; called once, after commit or abort. */
  close(): void
}

export interface Store {
  /** All stored responses under a cache key, newest first; synchronous, from the index in memory. */
  find(key: string): readonly StoredObject[]
  /** Counts as a use for eviction. */
  use(object: StoredObject): void
  /** A response with the same key, method class and `vary` that is there already is replaced when this one commits. */
  record(key: string, head: StoredHead): Recording
  /** RFC 9111 §4.3.4: a 304 gave it a new head; the body stays. Clears a soft purge. */
  freshen(object: StoredObject, head: StoredHead): void
  remove(object: StoredObject): void
  /** How many purges there have been: tells whether one came between two moments. */
  readonly purgeCount: number
  /** In force when it returns. */
  purge(selector: PurgeSelector): PurgeResult
  stats(): StoreStats
  close(): Promise<void>
}

export type PurgeSelector = (
  | { url: string }
  | { tag: string; property?: string }
  | { group: string; origin: string }
  | { prefix: string; property?: string }
  | { property: string }
  | { all: true }
) & { soft?: boolean }

export interface PurgeResult {
  /** How many stored objects it touched; null where that is not counted (property, all). */
  readonly objects: number | null
}

export interface StoreStats {
  readonly objects: number
  readonly memoryBytes: number
  readonly diskBytes: number
  readonly [counter: string]: number
}

/** One change to a field section, applied in order. */
export type FieldChange =
  | { readonly kind: 'set' | 'append'; readonly name: string; readonly value: string }
  | { readonly kind: 'remove'; readonly name: string }

/** What a property says about caching where the RFCs leave it open, or where its owner overrides the origin. */
export interface CachingRules {
  /** False: pass the request by, never store. */
  readonly enabled: boolean
  /** Forces the lifetime of what is storable at all; null: the origin decides. */
  readonly ttlSeconds: number | null
  /** Lifetime per status when the origin gives none: negative caching. */
  readonly negativeTtlSeconds: ReadonlyMap<number, number>
  /** Fields of targeted cache control in falling priority (RFC 9213 §2.2), lower-case. */
  readonly targetedFields: readonly string[]
  /** Used where the response has no such directive; null: none. */
  readonly staleWhileRevalidateSeconds: number | null
  readonly staleIfErrorSeconds: number | null
  /** Upper bound of a heuristic lifetime; 0: no heuristics (RFC 9111 §4.2.2). */
  readonly heuristicMaximumSeconds: number
  /**
   * Whether clients may ask for more or less freshness (RFC 9111 §5.2.1: max-age, min-fresh, max-stale, no-cache, no-store).
   * Off by default, as these are advisory and let anyone reach the origin; only-if-cached is always obeyed.
   */
  readonly obeyRequestDirectives: boolean
  /** Slices of huge objects are fetched and stored in blocks of this size; null: whole objects. */
  readonly sliceBytes: number | null
}

export type ContentCoding = 'br' | 'zstd' | 'gzip'

export interface AnswerPlan {
  readonly kind: 'answer'
  readonly status: number
  readonly fields: Fields
  readonly body: string | Uint8Array
}

export interface ServePlan {
  readonly kind: 'serve'
  /** The target to ask the origin for, rewritten. */
  readonly target: string
  /** Host to send to the origin; null: the client's authority. */
  readonly originHost: string | null
  /** The cache key, without what Vary adds. */
  readonly key: string
  /** True when the key is host + target and nothing else of the request was looked at. */
  readonly keyIsPlain: boolean
  readonly caching: CachingRules
  readonly requestChanges: readonly FieldChange[]
  readonly responseChanges: readonly FieldChange[]
  /** Content codings the edge may apply, best first; empty: none. */
  readonly compression: readonly ContentCoding[]
  readonly pool: OriginPool
  /** Status → body shown instead of the edge's own error page. */
  readonly errorPages: ReadonlyMap<number, AnswerPlan>
}

/** What a property decides for one request: an answer of its own, or how to serve it. */
export type Plan = AnswerPlan | ServePlan

/** One web property, compiled from the configuration. */
export interface Property {
  readonly name: string
  plan(request: EdgeRequest): Plan
  /** The cache key where host and target decide alone; null: rules apply that need the whole request. */
  plainKey(target: string): string | null
}

/** Finds the property of a host name (lower-case, without port). */
export interface Properties {
  /** With `scheme`, `plainKey` can answer for properties that tell http from https apart; without, it leaves those to `plan`. */
  find(host: string, scheme?: EdgeRequest['scheme']): Property | null
}

/** A request as it goes to an origin. */
export interface OriginRequest {
  readonly method: string
  readonly target: string
  /** With Host, without hop-by-hop and framing fields. */
  readonly fields: Fields
  readonly body: Readable | null
  /** Content-Length of the body; null: unknown, sent chunked. */
  readonly bodyBytes: number | null
  /** The cache key, for consistent hashing over siblings and parents. */
  readonly key: string
}

/** Receives what an origin says: informational* then (head data* end) or fail. Nothing comes after `end` or `fail`. */
export interface OriginListener {
  /** Before the head: another worker of this edge answers, and this is what it did (`cacheStatus`: its own member). */
  relayed?(result: CacheResult, cacheStatus: string): void
  informational(status: number, fields: Fields): void
  /** Fields without hop-by-hop and framing fields. `bodyBytes` is the announced length, null when there is none. */
  head(status: number, fields: Fields, bodyBytes: number | null): void
  data(chunk: Buffer): void
  end(): void
  /** May come after `head`: then the body is incomplete. */
  fail(fault: OriginFault): void
}

/** The phase in which an origin failed; each has its own time-out. */
export type OriginPhase = 'limit' | 'connect' | 'tls' | 'send' | 'first-byte' | 'between-bytes' | 'body' | 'protocol'

export interface OriginFault {
  readonly phase: OriginPhase
  readonly message: string
  readonly timedOut: boolean
}

/** A request under way at an origin. */
export interface OriginExchange {
  pause(): void
  resume(): void
  abort(): void
}

/** What became of a request to switch protocols. */
export interface TunnelListener {
  /** The origin answered; `status` 101: it switched. `rest` are the bytes behind the head, more comes from `origin`. */
  answered(status: number, fields: Fields, origin: Duplex, rest: Buffer): void
  fail(fault: OriginFault): void
}

export interface OriginPool {
  readonly name: string
  request(request: OriginRequest, listener: OriginListener): OriginExchange
  /** Asks an origin to switch protocols, over a connection of its own; `fields` hold Connection and Upgrade. */
  tunnel?(request: OriginRequest, listener: TunnelListener): void
  close(): void
}

/** How a request was answered, one word each for logs and metrics. */
export type CacheResult =
  | 'hit'
  | 'stale'
  | 'revalidated'
  | 'miss'
  | 'collapsed'
  | 'pass'
  | 'answer'
  | 'refused'
  | 'error'

/** What is known of a request once it is over; the access log, the metrics and the counters read these. */
export interface Finished {
  readonly request: EdgeRequest
  readonly property: string | null
  readonly status: number
  readonly result: CacheResult
  readonly bodyBytesSent: number
  /** As HTTP/1.1 writes it, whatever was spoken. */
  readonly headBytesSent: number
  /** What came behind a handshake, once the connection was a tunnel. */
  readonly tunnelBytesReceived?: number
  /** Milliseconds from receiving the request to its head and to its end. */
  readonly headMs: number
  readonly totalMs: number
  readonly complete: boolean
}

/** The one entry of the flow that every front calls. */
export interface Handler {
  serve(request: EdgeRequest, reply: Reply): void
  /**
   * A WebSocket handshake (RFC 6455 §4.1): the connection goes through to the origin once that answers 101. `head` are
   * bytes already read behind the handshake. Without it, Upgrade is ignored (RFC 9110 §7.8).
   */
  upgrade?(request: EdgeRequest, socket: Duplex, head: Buffer): void
}
