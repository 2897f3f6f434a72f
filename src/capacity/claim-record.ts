/**
 * A claim as the event record tells of it: in people's terms (codes, units, ISO instants), and only what differs from
 * the usual, since one is written for every claim. From it a repeat of a request is answered what the first one was.
 */
import { quantityFromUnits, unitsFromQuantity } from '../core/quantity.ts'
import { fromIso, toIso } from '../core/time.ts'
import type { ClaimOutcome, ClaimState, OutcomeLine } from './model.ts'
import type { Registry } from './registry.ts'

export interface ClaimRecord {
  state: ClaimState
  from: string
  /** Null without end. */
  to: string | null
  expiresAt?: string
  version: number
  lines: LineRecord[]
}

interface LineRecord {
  line: number
  site: string
  kind: string
  /** Units. */
  quantity: number
  /** Firm if absent. */
  type?: 'standby' | 'hold'
  /** The claim's if absent. */
  from?: string
  to?: string | null
  protects?: string
  slots?: { container: string; containerId: number; start: number; length: number }
}

const code = (registry: Registry, siteId: number): string => registry.sites.get(siteId)?.code ?? String(siteId)

export const recordOf = (registry: Registry, claim: ClaimOutcome): ClaimRecord => ({
  state: claim.state,
  from: toIso(claim.from)!,
  to: toIso(claim.to),
  ...(claim.expiresAt === null ? {} : { expiresAt: toIso(claim.expiresAt)! }),
  version: claim.version,
  lines: claim.lines.map((line) => lineRecord(registry, claim, line)),
})

function lineRecord(registry: Registry, claim: ClaimOutcome, line: OutcomeLine): LineRecord {
  const record: LineRecord = {
    line: line.line,
    site: code(registry, line.siteId),
    kind: line.kind,
    quantity: unitsFromQuantity(line.quantity),
  }
  if (line.type !== 'firm') record.type = line.type
  if (line.from !== claim.from) record.from = toIso(line.from)!
  if (line.to !== claim.to) record.to = toIso(line.to)
  if (line.protectsSiteId !== null) record.protects = code(registry, line.protectsSiteId)
  if (line.assignment) {
    const { containerName: container, containerId, start, length } = line.assignment
    record.slots = { container, containerId, start, length }
  }
  return record
}

/** The answer that a record was written with. */
export function outcomeFrom(registry: Registry, id: string, partyId: string, record: ClaimRecord): ClaimOutcome {
  const siteId = (of: string) => registry.siteByCode(of)?.id ?? Number(of)
  return {
    id,
    partyId,
    state: record.state,
    from: fromIso(record.from),
    to: fromIso(record.to),
    expiresAt: record.expiresAt === undefined ? null : fromIso(record.expiresAt),
    version: record.version,
    lines: record.lines.map((line) => ({
      line: line.line,
      siteId: siteId(line.site),
      kind: line.kind,
      poolId: registry.pool(siteId(line.site), line.kind)?.id ?? 0,
      quantity: quantityFromUnits(line.quantity),
      type: line.type ?? 'firm',
      from: fromIso(line.from ?? record.from),
      to: fromIso(line.to === undefined ? record.to : line.to),
      protectsSiteId: line.protects === undefined ? null : siteId(line.protects),
      assignment: line.slots
        ? {
            containerId: line.slots.containerId,
            containerName: line.slots.container,
            start: line.slots.start,
            length: line.slots.length,
          }
        : null,
    })),
    repeated: true,
  }
}
