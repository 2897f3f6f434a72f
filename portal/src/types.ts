/** What the API sends, as the screens use it. The server's schemas are the authority; `docs/openapi.json` lists them all. */
import type { MoneyJson } from './format.ts'

export type Role = 'owner' | 'engineer' | 'finance' | 'read-only'
export type PartyKind = 'operator' | 'reseller' | 'customer'

export interface Me {
  user: { id: string; name: string; email: string; role: Role; locale: string } | null
  party: {
    id: string
    kind: PartyKind
    code: string
    name: string
    currency: string
    locale: string
    timeZone: string
  }
  operator: { id: string; name: string; fiscalYearStartMonth: number; timeZone: string; currency: string }
}

export interface Party {
  id: string
  kind: PartyKind
  code: string
  name: string
  parentId: string | null
  parentName: string | null
  currency: string
  locale: string
  timeZone: string
  email: string | null
  address: string | null
  taxRegistration: string | null
  status: string
  version: number
  createdAt: string
}

export interface Pool {
  id: number
  kind: string
  unit: string
  name: string
  identified: boolean
  oversubscription: number
  open: number
  planned: number
  firm: number
  standby: number
  held: number
  free: number
}

export interface SiteStep {
  label?: string
  effectiveAt: string
  state: 'planned' | 'committed' | 'open'
  quantities: Record<string, number>
}

export interface Site {
  id: number
  code: string
  name: string
  nameJa: string | null
  address: string | null
  latitude: number | null
  longitude: number | null
  timeZone: string
  coveredFailures: number
  failedAt: string | null
  version: number
  pools: Pool[]
  steps: SiteStep[]
}

export interface Step {
  id: string
  effectiveAt: string
  quantity: number
  state: 'planned' | 'committed' | 'open'
  cost: MoneyJson | null
  leadTimeDays: number
  note: string | null
}

export interface SkylinePoint {
  at: string
  open: number
  planned: number
  firm: number
  standby: number
  held: number
}

export interface Skyline {
  from: string
  to: string
  unit: string
  points: SkylinePoint[]
}

export interface Forecast {
  poolId: number
  site: string
  kind: string
  unit: string
  runsOutAt: string | null
  commitBy: string | null
  trendPerDay: number
  points: { at: string; forecast: number; low: number; high: number }[]
}

export interface Assignment {
  claimId: string
  partyId: string | null
  partyName: string | null
  serviceName: string | null
  from: string
  to: string | null
  start: number
  length: number
}

export interface Rack {
  id: number
  name: string
  poolId: number
  kind: string
  faultDomain: string | null
  slots: number
  x: number | null
  y: number | null
  width: number | null
  depth: number | null
  opensAt: string | null
  assignments: Assignment[]
}

export interface ResourceKind {
  code: string
  name: string
  nameJa: string | null
  unit: string
  identified: boolean
}

export interface Claim {
  id: string
  partyId: string
  state: string
  from: string
  to: string | null
  expiresAt: string | null
  version: number
  lines: {
    line: number
    site: string
    kind: string
    unit: string
    quantity: number
    type: 'firm' | 'standby' | 'hold'
    from: string
    to: string | null
    protects: string | null
    unprotected: boolean
    assignments: { container: string; start: number; length: number }[]
  }[]
}

export interface PriceCharge {
  line: number
  kind: 'setup' | 'monthly' | 'unit'
  name: string
  nameJa: string | null
  resource: string | null
  per: 'hour' | 'day' | 'month' | null
  price: string
  tiers: { from: number; price: string }[] | null
}

export interface PricePlan {
  id: string
  offering: string
  seller: string
  planVersion: number
  currency: string
  effectiveFrom: string
  effectiveTo: string | null
  minimumTermMonths: number
  charges: PriceCharge[]
}

export interface Offering {
  id: string
  code: string
  family: string
  name: string
  nameJa: string | null
  description: string | null
  descriptionJa: string | null
  defaults: Record<string, unknown>
  state: string
  version: number
  configSchema: JsonSchema
  prices: PricePlan[]
}

export interface JsonSchema {
  type?: string
  title?: string
  description?: string
  properties?: Record<string, JsonSchema>
  required?: string[]
  [key: string]: unknown
}

export interface Estimate {
  charges: {
    line: number
    name: string
    nameJa: string | null
    kind: 'setup' | 'monthly' | 'unit'
    per: 'hour' | 'day' | 'month' | null
    quantity: number
    price: string
    amount: MoneyJson
  }[]
  monthly: MoneyJson
  setup: MoneyJson
  available: boolean
  shortOf: { site: string; kind: string; asked: number; free: number }[]
}

export interface Quote {
  id: string
  number: string
  partyId: string
  partyName: string
  offering: string
  offeringName?: string
  config: Record<string, unknown>
  from: string
  to: string | null
  state: string
  expiresAt: string
  version: number
  estimate?: Estimate
}

export interface Order {
  id: string
  number: string
  partyId: string
  partyName: string
  offering: string
  state: string
  contractId: string | null
  serviceId: string | null
  claimId: string | null
  config: Record<string, unknown>
  createdAt: string
}

export interface Amendment {
  id: string
  kind: string
  effectiveAt: string
  before: unknown
  after: unknown
  createdAt: string
}

export interface Service {
  id: string
  name: string
  partyId: string
  partyName: string
  contractId: string
  contractNumber: string
  offering: string
  offeringName: string
  family: string
  config: Record<string, unknown>
  claimId: string
  state: string
  startsAt: string
  endsAt: string | null
  version: number
  amendments?: Amendment[]
  claim?: Claim
}

export interface Contract {
  id: string
  number: string
  partyId: string
  partyName: string
  sellerId: string
  sellerName: string
  state: string
  currency: string
  startsAt: string
  minimumTermUntil: string | null
  endsAt: string | null
  version: number
  services?: Service[]
  amendments?: Amendment[]
}

export interface Invoice {
  id: string
  number: string | null
  partyId: string
  partyName: string
  sellerId: string
  sellerName?: string
  period: string
  currency: string
  subtotal: MoneyJson
  tax: MoneyJson
  total: MoneyJson
  state: string
  issuedOn: string | null
  dueOn: string | null
  version: number
  lines?: InvoiceLine[]
  taxes?: { code: string; percent: string; base: MoneyJson; tax: MoneyJson }[]
  seller?: { name: string; address: string | null; taxRegistration: string | null }
  buyer?: { name: string; address: string | null }
}

export interface InvoiceLine {
  line: number
  description: string
  descriptionJa: string | null
  family: string
  contractNumber: string | null
  quantity: string | null
  unit: string | null
  price: string | null
  amount: MoneyJson
  taxPercent: string
  services: number
}

export interface Quarter {
  quarter: string
  from: string
  to: string
  contracts: number
  newContracts: number
  endedContracts: number
  services: number
  revenue: MoneyJson
  revenueByFamily: Record<string, MoneyJson>
  arpu: MoneyJson | null
  capacity: { site: string; kind: string; unit: string; open: number; peak: number; averageUsed: number }[]
  revenueGrowth: { quarterOnQuarter: number | null; yearOnYear: number | null }
}

export interface Results {
  fiscalYearStartMonth: number
  currency: string
  quarters: Quarter[]
}

export interface RecordedEvent {
  id: string
  at: string
  partyId: string
  partyName?: string
  actorKind: string
  actorName: string | null
  type: string
  subjectKind: string
  subjectId: string
  before: unknown
  after: unknown
}

export interface FailOver {
  id: string
  site: string
  mode: 'drill' | 'real'
  state: 'active' | 'ended'
  startedAt: string
  endedAt: string | null
  durationMs: number | null
  activated: number
  unprotected: number
}
