/** Nodes as the control plane knows them: programs at the sites that make its state true. */
import { Refusal } from '../core/errors.ts'
import type { Instant } from '../core/time.ts'
import type { NodeKind } from '../feed/messages.ts'

export const NODE_STATES = ['pending', 'active', 'draining', 'removed', 'revoked'] as const
/**
 * `pending` waits for approval and is told nothing. `draining` is told everything but gets no new visitors. `removed` and
 * `revoked` are gone for good: the first went in peace, the second is refused whatever it sends.
 */
export type NodeState = (typeof NODE_STATES)[number]

export interface Node {
  id: string
  name: string
  kind: NodeKind
  siteId: number
  site: string
  addresses: string[]
  weight: number
  state: NodeState
  software: string
  acknowledged: bigint
  acknowledgedAt: Instant | null
  lastSeenAt: Instant | null
  problem: string | null
  figures: Record<string, number | string>
  version: number
  createdAt: Instant
}

/** The credential of a node is missing, wrong, too old or withdrawn: 401 with the control plane's time. */
export class NodeRefused extends Refusal {
  constructor(reason: 'unknown' | 'signature' | 'clock' | 'nonce' | 'removed' | 'revoked', detail: string) {
    super('node-refused', 401, detail, [], { reason, time: Date.now() })
  }
}

/** What an operator may do with a node, from which states, and what it becomes. */
export const NODE_ACTIONS = {
  approve: { from: ['pending'], to: 'active' },
  drain: { from: ['active'], to: 'draining' },
  resume: { from: ['draining'], to: 'active' },
  remove: { from: ['pending', 'active', 'draining'], to: 'removed' },
  revoke: { from: ['pending', 'active', 'draining', 'removed'], to: 'revoked' },
} as const satisfies Record<string, { from: readonly NodeState[]; to: NodeState }>
export type NodeAction = keyof typeof NODE_ACTIONS
