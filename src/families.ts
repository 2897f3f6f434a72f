/** The service families that this Izumi sells: to add one, add its folder in `services/families/` and a line here. */
import type { ServiceFamily } from './catalogue/family.ts'
import { cdnFamily } from './services/families/cdn/cdn.ts'
import { colocation } from './services/families/colocation/colocation.ts'

/** Whether customers' properties may fetch from private networks: the operator's choice for all of this Izumi. */
export const PROPERTY_RULES = { privateOrigins: process.env.IZUMI_CDN_PRIVATE_ORIGINS === '1' }

export const FAMILIES: readonly ServiceFamily[] = [
  colocation as ServiceFamily,
  cdnFamily(PROPERTY_RULES) as ServiceFamily,
]
