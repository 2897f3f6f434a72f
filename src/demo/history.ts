/**
 * What the demonstration's customers did since the buildings opened: orders, growth, endings, in the order of time. Pure:
 * the same opening and the same present give the same history, so that the demonstration looks the same everywhere.
 */
import { DAY_MS, HOUR_MS, type Instant } from '../core/time.ts'
import { BUYERS, type Buyer } from './provider.ts'

export type Happening =
  | {
      at: Instant
      kind: 'order'
      /** Names the service within the history. */
      key: string
      buyer: string
      offering: string
      name: string
      config: Record<string, unknown>
      to?: Instant
    }
  | { at: Instant; kind: 'change'; key: string; config: Record<string, unknown> }
  | { at: Instant; kind: 'terminate'; key: string }

/** A small generator with a fixed seed (Numerical Recipes' linear congruence): good enough to vary a story. */
function dice(seed: number): { between: (low: number, high: number) => number; chance: (part: number) => boolean } {
  let state = seed >>> 0
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  return { between: (low, high) => low + Math.floor(next() * (high - low + 1)), chance: (part) => next() < part }
}

const SITES = ['yokohama-1', 'saitama-1'] as const
const MONTH_MS = 30 * DAY_MS
const ROOMS = ['Production racks', 'Data warehouse', 'Backup and archive', 'Partner systems']
/** Whole racks of one service of the colocation family. */
const MAX_RACKS = 12
/** kVA for one rack of 42 units, and for one unit. */
const RACK_POWER = 4
const UNIT_POWER = 0.12

/** Everything that happened in `[opened, now)`, in order of time. */
export function history(opened: Instant, now: Instant): Happening[] {
  const happenings: Happening[] = []
  BUYERS.filter((buyer) => buyer.kind === 'customer').forEach((buyer, index) => {
    happenings.push(...historyOf(buyer, index, opened, now))
  })
  return happenings.filter(({ at }) => at < now).sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1))
}

function historyOf(buyer: Buyer, index: number, opened: Instant, now: Instant): Happening[] {
  const { between, chance } = dice(7_919 * (index + 1))
  const happenings: Happening[] = []
  // The large come first; the small follow over the first eight months.
  const first = opened + between(20, 60 + (6 - buyer.size) * 35) * DAY_MS + between(0, 9) * HOUR_MS
  const home = SITES[chance(0.68) ? 0 : 1]
  const other = SITES[home === SITES[0] ? 1 : 0]
  const standby = buyer.size >= 3 && chance(0.5) ? { site: other, share: chance(0.3) ? 0.5 : 0.25 } : undefined

  const key = (name: string) => `${buyer.code}/${name}`
  // Racks by the month: the larger the buyer, the more rooms it fills, each growing by a rack or two every few months.
  for (let room = 0; room < Math.max(1, buyer.size - 1); room++) {
    const begins = first + room * between(15, 45) * DAY_MS
    let held = between(Math.max(1, buyer.size - 1), 2 * buyer.size)
    const config = () => ({
      site: home,
      racks: held,
      power: held * RACK_POWER,
      ports: 2 * held,
      ...(standby ? { standby } : {}),
    })
    happenings.push({
      at: begins,
      kind: 'order',
      key: key(`racks-${room}`),
      buyer: buyer.code,
      offering: 'colocation-monthly',
      name: ROOMS[room]!,
      config: config(),
    })
    for (let at = begins + between(2, 4) * MONTH_MS; at < now; at += between(2, 5) * MONTH_MS) {
      held = Math.min(MAX_RACKS, held + between(1, Math.ceil(buyer.size / 2)))
      happenings.push({ at, kind: 'change', key: key(`racks-${room}`), config: config() })
    }
  }
  if (buyer.size >= 4) {
    const area = between(4, 16) * 10 * (buyer.size - 2)
    happenings.push({
      at: first + between(20, 120) * DAY_MS,
      kind: 'order',
      key: key('cage'),
      buyer: buyer.code,
      offering: 'colocation-monthly',
      name: 'Private cage',
      config: {
        site: home,
        serverRoom: area,
        power: Math.round(area * 0.8),
        ports: 8,
        office: 20 * between(1, 3),
        seats: between(2, 8),
      },
    })
  }
  // Work that comes and goes: units by the hour.
  for (let burst = 0; burst < 2 + buyer.size; burst++) {
    const at = first + between(5, 320) * DAY_MS + between(0, 23) * HOUR_MS
    const units = between(2, 4 + 3 * buyer.size)
    const stays = chance(0.35) ? undefined : between(2, 70) * DAY_MS
    happenings.push({
      at,
      kind: 'order',
      key: key(`burst-${burst}`),
      buyer: buyer.code,
      offering: 'colocation-hourly',
      name: ['Campaign servers', 'Test environment', 'Batch cluster', 'Migration space', 'Seasonal capacity'][
        burst % 5
      ]!,
      config: { site: chance(0.75) ? home : other, rackUnits: units, power: Math.ceil(units * UNIT_POWER * 10) / 10 },
      ...(stays !== undefined && at + stays > now ? { to: at + stays } : {}),
    })
    if (stays !== undefined && at + stays < now)
      happenings.push({ at: at + stays, kind: 'terminate', key: key(`burst-${burst}`) })
  }
  return happenings
}
