/**
 * How an order of a public cloud becomes one of a data centre, stated once:
 *
 * - **Power**: 0.095 kVA for each vCPU.
 * - **Rack units**: a machine of 8 vCPU or more has units of its own, one for each 4 vCPU (8 take two, 16 take four);
 *   smaller ones share a machine of the provider and take power alone.
 * - **Tenant**: the orders of a batch are one contract; batches are dealt over a fixed number of customers.
 * - **Site**: batches prefer the first site in the proportion of its size; when it is full the other is tried.
 * - **Patience**: whoever wants the capacity for an hour or more waits up to an hour for it; the rest give up at once.
 */
import { HOUR_MS } from '../core/time.ts'
import type { RecordedOrder } from './orders-file.ts'

/** Customers over whom the batches are dealt. */
export const TENANTS = 240
const KVA_PER_VCPU = 0.095
const OWN_UNITS_FROM_VCPU = 8
const VCPU_PER_UNIT = 4
/** Of a hundred batches, how many prefer the first site: about its share of what both have free. */
const PREFER_FIRST = 60
const WAITS_FROM_SECONDS = 3_600
export const PATIENCE_MS = HOUR_MS

/** Knuth's multiplicative hash: spreads neighbouring numbers evenly. */
const spread = (number: number): number => Math.imul(number, 2_654_435_761) >>> 0

export const tenantOf = (batch: number): number => spread(batch) % TENANTS

/** The sites in the order in which a batch tries them. */
export const sitesOf = (batch: number, sites: readonly [string, string]): readonly [string, string] =>
  spread(batch ^ 0x5bd1e995) % 100 < PREFER_FIRST ? sites : [sites[1], sites[0]]

/** What an order takes. */
export function configOf(vcpu: number, site: string): { site: string; power: number; rackUnits?: number } {
  const power = Math.round(vcpu * KVA_PER_VCPU * 1_000) / 1_000
  const rackUnits = vcpu < OWN_UNITS_FROM_VCPU ? 0 : Math.floor(vcpu / VCPU_PER_UNIT)
  return rackUnits > 0 ? { site, power, rackUnits } : { site, power }
}

/** Whether an order waits for capacity. */
export const waits = ({ lifetimeSeconds }: RecordedOrder): boolean =>
  lifetimeSeconds === null || lifetimeSeconds >= WAITS_FROM_SECONDS
