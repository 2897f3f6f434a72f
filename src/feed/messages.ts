/**
 * The messages between the two halves: what the control plane tells a node, what a node tells it. Both sides import these
 * schemas and nothing else of each other. Down comes one ordered stream of lines of JSON: a snapshot of the state that
 * the node must make true, then every change and event, each with its sequence number; up go acknowledgements of what has
 * been applied, usage in numbered batches, and a heartbeat.
 *
 *     GET  /feed/stream?after=41   ◀─ {"type":"snapshot","sequence":57,"missed":true}
 *                                     {"type":"item","kind":"cdn-property","key":"…","body":{…}} …
 *                                     {"type":"at","sequence":57,"caughtUp":true}
 *                                     {"type":"event","sequence":58,"event":{"kind":"purge",…}}
 *                                     {"type":"set","sequence":59,"kind":"cdn-property","key":"…","body":{…}}
 *     POST /feed/acknowledgements  ─▶ {"sequence":59}
 */
import Type, { type Static } from 'typebox'

export const NODE_KINDS = ['edge', 'dns', 'agent'] as const
export type NodeKind = (typeof NODE_KINDS)[number]

/** Bounds of what travels. */
export const FEED_LIMITS = {
  /** Bytes of one line of the stream: one item with its certificates. */
  lineBytes: 16 * 1024 * 1024,
  /** Slots in one batch of usage. */
  batchSlots: 1_000,
  /** Properties of which a heartbeat tells live figures, the busiest first. */
  liveSlots: 1_000,
  /** Problems told with one acknowledgement. */
  problems: 50,
  /** Addresses warmed up by one event. */
  preloadUrls: 1_000,
} as const

/** The stream says where it is at least this often, so that a dead connection is noticed. */
export const HEARTBEAT_MS = 10_000

const Sequence = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const closed = { additionalProperties: false } as const
const text = (maxLength: number) => Type.String({ minLength: 1, maxLength })

/** What is to be purged, in the words of the edge. */
export const PurgeOrder = Type.Union([
  Type.Object({ url: text(8_192), soft: Type.Optional(Type.Boolean()) }, closed),
  Type.Object({ tag: text(8_192), property: Type.Optional(text(63)), soft: Type.Optional(Type.Boolean()) }, closed),
  Type.Object({ prefix: text(8_192), property: Type.Optional(text(63)), soft: Type.Optional(Type.Boolean()) }, closed),
  Type.Object({ property: text(63), soft: Type.Optional(Type.Boolean()) }, closed),
  Type.Object({ all: Type.Literal(true), soft: Type.Optional(Type.Boolean()) }, closed),
])
export type PurgeOrder = Static<typeof PurgeOrder>

/** What happens once, in the same order as the changes of state. */
export type FeedEvent =
  | { kind: 'purge'; id: string; order: PurgeOrder }
  | { kind: 'preload'; id: string; urls: string[] }

/** A piece of the state that a node must make true; a new body under the same kind and key replaces the old one. */
export interface StateItem {
  /** `cdn-property`, `dns-state` … */
  kind: string
  key: string
  body: unknown
}

/** One line of the stream. */
export type FeedMessage =
  /** All that was known before is void; items follow up to the `at` line. `missed`: events before it are not told any more. */
  | { type: 'snapshot'; sequence: number; missed: boolean }
  | ({ type: 'item' } & StateItem)
  | ({ type: 'set'; sequence: number } & StateItem)
  | { type: 'remove'; sequence: number; kind: string; key: string }
  | { type: 'event'; sequence: number; event: FeedEvent }
  /** Everything up to here has been told; `caughtUp` when the node now knows all there was as it connected. */
  | { type: 'at'; sequence: number; caughtUp: boolean }
  /** The node is to go away (revoked, removed) or to connect again (`again`). */
  | { type: 'bye'; reason: 'again' | 'removed' | 'revoked' }

/** The first request of a node: a token against an identity. The key pair is made on the node; only its public half travels. */
export const Enrol = Type.Object(
  {
    token: Type.String({ minLength: 20, maxLength: 100 }),
    kind: Type.Unsafe<NodeKind>({ type: 'string', enum: [...NODE_KINDS] }),
    publicKey: Type.String({
      pattern: '^[A-Za-z0-9_-]{40,80}$',
      maxLength: 80,
      description: 'Ed25519 public key, SubjectPublicKeyInfo in DER, base64url.',
    }),
    software: text(60),
  },
  closed,
)
export type Enrol = Static<typeof Enrol>

export const Enrolled = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    site: Type.String(),
    state: Type.String({ description: '`pending` until the operator approves it.' }),
    time: Type.Integer({ description: 'The clock of the control plane, in milliseconds.' }),
  },
  closed,
)
export type Enrolled = Static<typeof Enrolled>

/** Everything up to `sequence` has been applied; what could not be is told as a problem. Sent again until it is taken. */
export const Acknowledgement = Type.Object(
  {
    sequence: Sequence,
    problems: Type.Optional(
      Type.Array(Type.Object({ sequence: Sequence, problem: text(1_000) }, closed), {
        maxItems: FEED_LIMITS.problems,
      }),
    ),
  },
  closed,
)
export type Acknowledgement = Static<typeof Acknowledgement>

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** What one property was asked for at one node in one slot of five minutes. */
export interface UsageSlot {
  /** The node's own name for the slot: stable, so that a slot told twice counts once. */
  readonly id: string
  readonly property: string
  /** Epoch milliseconds of the slot's beginning. */
  readonly from: number
  readonly requests: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** 1xx … 5xx. */
  readonly byClass: readonly number[]
  /** By what the cache did. */
  readonly byResult: Readonly<Record<string, number>>
  readonly peakRequestsPerSecond: number
  readonly peakBytesOutPerSecond: number
}
const UsageSlot = Type.Unsafe<UsageSlot>(
  Type.Object(
    {
      id: text(200),
      property: text(63),
      from: Count,
      requests: Count,
      bytesIn: Count,
      bytesOut: Count,
      byClass: Type.Array(Count, { minItems: 5, maxItems: 5 }),
      byResult: Type.Record(Type.String({ pattern: '^[a-z-]{1,20}$' }), Count),
      peakRequestsPerSecond: Count,
      peakBytesOutPerSecond: Count,
    },
    closed,
  ),
)

/** Numbered from 1 without a gap by each node; taken once however often it is sent. */
export const UsageBatch = Type.Object(
  {
    batch: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    slots: Type.Array(UsageSlot, { maxItems: FEED_LIMITS.batchSlots }),
  },
  closed,
)
export type UsageBatch = Static<typeof UsageBatch>

export const Heartbeat = Type.Object(
  {
    software: text(60),
    /** Figures for people: whatever the kind of node has to tell. */
    figures: Type.Record(Type.String({ pattern: '^[A-Za-z]{1,40}$' }), Type.Union([Type.Number(), text(200)])),
    /** The open slot so far, for the live view. */
    live: Type.Array(UsageSlot, { maxItems: FEED_LIMITS.liveSlots }),
  },
  closed,
)
export type Heartbeat = Static<typeof Heartbeat>
