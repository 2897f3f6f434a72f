/** The service families that this Izumi sells: to add one, add its folder in `services/families/` and a line here. */
import type { ServiceFamily } from './catalogue/family.ts'
import { colocation } from './services/families/colocation/colocation.ts'

export const FAMILIES: readonly ServiceFamily[] = [colocation as ServiceFamily]
