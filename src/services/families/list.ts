/** Every service family of this Izumi: one folder here, one line there. */
import type { ServiceFamily } from '../../catalogue/family.ts'
import { colocation } from './colocation/colocation.ts'

export const FAMILIES: readonly ServiceFamily[] = [colocation]
