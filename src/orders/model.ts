/**
 * Quotes, orders, contracts and services as they are kept, and the pure rules between them. An order is answered at once:
 * completed (its contract and service stand) or waiting (its claim is on the wait list). A service always stands on one
 * claim, so that what is reserved is what is delivered and billed.
 */

import type { CapacityEngine } from '../capacity/engine.ts'
import type { ClaimLine } from '../capacity/model.ts'
import type { Demand, ServiceFamily } from '../catalogue/family.ts'
import { addMonths } from '../core/calendar.ts'
import { BadInput } from '../core/errors.ts'
import type { Instant } from '../core/time.ts'
import type { Database } from '../database/connection.ts'

/** What the way of an order needs of the platform. */
export interface Desk {
  database: Database
  capacity: CapacityEngine
  families: readonly ServiceFamily[]
  clock: () => Instant
}

export interface Order {
  id: string
  number: string
  partyId: string
  partyName: string
  offering: string
  offeringName: string
  state: 'completed' | 'waiting' | 'cancelled'
  contractId: string | null
  contractNumber: string | null
  serviceId: string | null
  claimId: string
  quoteId: string | null
  name: string | null
  config: Record<string, unknown>
  from: Instant
  to: Instant
  waitUntil: Instant | null
  version: number
  createdAt: Instant
}

export interface Quote {
  id: string
  number: string
  partyId: string
  partyName: string
  offering: string
  offeringName: string
  name: string | null
  config: Record<string, unknown>
  from: Instant
  to: Instant
  state: 'open' | 'accepted' | 'expired' | 'withdrawn'
  expiresAt: Instant
  claimId: string
  /** As the API shows it. */
  estimate: unknown
  version: number
  createdAt: Instant
}

export interface Contract {
  id: string
  number: string
  partyId: string
  partyName: string
  sellerId: string
  sellerName: string
  state: 'pending' | 'active' | 'ended'
  currency: string
  startsAt: Instant
  minimumTermUntil: Instant | null
  endsAt: Instant
  services: number
  version: number
  createdAt: Instant
}

/** Hours a quote holds capacity when nothing else is said, and at most. */
export const QUOTE_HOURS = 72
export const MAX_QUOTE_HOURS = 30 * 24
/** Characters of a service's name. */
export const MAX_NAME = 100

/**
 * Demands as lines of a claim.
 * @throws BadInput when a site is not known.
 */
export function claimLines(demands: readonly Demand[], sites: ReadonlyMap<string, number>): ClaimLine[] {
  const idOf = (code: string, at: string) => {
    const id = sites.get(code)
    if (id === undefined)
      throw new BadInput(at, `there is no site ${code}`, [...sites.keys()].sort().join(', ') || 'a site that exists')
    return id
  }
  return demands.map(({ site, kind, quantity, type, protects }) => ({
    siteId: idOf(site, '/config/site'),
    kind,
    quantity,
    type,
    ...(protects === undefined ? {} : { protectsSiteId: idOf(protects, '/config/standby/site') }),
  }))
}

/** The end of a minimum term that begins at an instant; null where there is none. */
export const minimumTermEnd = (from: Instant, months: number, zone: string): Instant | null =>
  months === 0 ? null : addMonths(from, months, zone)
