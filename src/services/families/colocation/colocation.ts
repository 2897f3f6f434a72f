/**
 * Colocation: space, racks, power, office and ports at a data centre. Its engine is people: what it wants of a site are
 * work orders that say which units to mount, which feeds to cable and which ports to patch. It takes firm capacity at one
 * site and, if chosen, standby at another; ports are patched where they are and do not stand by.
 */
import type { Demand, NodeState, Placement, ServiceFamily, ServiceToRun } from '../../../catalogue/family.ts'
import { BadInput } from '../../../core/errors.ts'
import { type Quantity, quantityFromUnits, THOUSANDTHS } from '../../../core/quantity.ts'
import { ColocationConfig, UNITS_PER_RACK } from './config.ts'

/** Into how many runs units that need not be contiguous are spread at most. */
const SPREAD_RUNS = 8
const WHOLE_KINDS = new Set(['rack-unit', 'seat', 'port'])

/** Firm amounts of a choice, a line per contiguous run. */
function firmAmounts(config: ColocationConfig): { kind: string; quantity: Quantity }[] {
  const amounts: { kind: string; quantity: Quantity }[] = []
  const add = (kind: string, units: number | undefined, at: string) => {
    if (units) amounts.push({ kind, quantity: quantityFromUnits(units, at) })
  }
  for (let rack = 0; rack < (config.racks ?? 0); rack++) add('rack-unit', UNITS_PER_RACK, '/config/racks')
  for (const run of runs(config.rackUnits ?? 0, config.contiguous ?? true)) add('rack-unit', run, '/config/rackUnits')
  add('server-room', config.serverRoom, '/config/serverRoom')
  add('power', config.power, '/config/power')
  add('office', config.office, '/config/office')
  add('seat', config.seats, '/config/seats')
  add('port', config.ports, '/config/ports')
  return amounts
}

/** `units` as one run, or as even runs short enough to find room in used racks. */
function runs(units: number, contiguous: boolean): number[] {
  if (units === 0) return []
  if (contiguous) return [units]
  const count = Math.min(SPREAD_RUNS, Math.max(Math.ceil(units / UNITS_PER_RACK), Math.min(units, SPREAD_RUNS)))
  return Array.from(
    { length: count },
    (_, run) => Math.floor(((run + 1) * units) / count) - Math.floor((run * units) / count),
  )
}

function demands(config: ColocationConfig, quantity: number): Demand[] {
  const wanted: Demand[] = []
  for (let copy = 0; copy < quantity; copy++) {
    const firm = firmAmounts(config)
    wanted.push(...firm.map((amount) => ({ site: config.site, ...amount, type: 'firm' as const })))
    if (!config.standby) continue
    const { site, share } = config.standby
    for (const amount of firm) {
      if (amount.kind === 'port') continue
      wanted.push({
        site,
        kind: amount.kind,
        quantity: shareOf(amount.quantity, share, WHOLE_KINDS.has(amount.kind)),
        type: 'standby',
        protects: config.site,
      })
    }
  }
  return wanted
}

/** A share of an amount, rounded up to what can be given: whole units where each has a place, else thousandths. */
function shareOf(quantity: Quantity, share: number, whole: boolean): Quantity {
  const exact = quantity * share
  return whole ? Math.ceil(exact / THOUSANDTHS - 1e-9) * THOUSANDTHS : Math.ceil(exact - 1e-6)
}

function check(config: ColocationConfig): void {
  if (config.standby && config.standby.site === config.site)
    throw new BadInput('/config/standby/site', 'it is the site itself', 'another site')
  if ((config.contiguous ?? true) && (config.rackUnits ?? 0) > UNITS_PER_RACK)
    throw new BadInput(
      '/config/rackUnits',
      `${config.rackUnits} units do not fit into one rack`,
      `at most ${UNITS_PER_RACK}, or "contiguous": false, or whole racks`,
    )
}

/** One work order per site: mount, cable, patch, hand over; withdrawn again when the service ends. */
function desired(service: ServiceToRun<ColocationConfig>): NodeState[] {
  const { config } = service
  const sites = [...new Set([config.site, ...(config.standby ? [config.standby.site] : [])])]
  return sites.map((site) => {
    const here = service.placements.filter((placement) => placement.site === site)
    const isStandby = site !== config.site
    return {
      node: `people@${site}`,
      key: `colocation/${service.id}`,
      kind: 'work-order',
      body: {
        title: `${isStandby ? 'Prepare standby for' : 'Install'} ${service.name} (${service.party})`,
        titleJa: `${service.name}(${service.party})の${isStandby ? '待機準備' : '設置'}`,
        steps: isStandby ? standbySteps(config, here) : installSteps(config, here),
      },
    }
  })
}

const named = (placement: Placement) =>
  `${placement.container} ${placement.labels.length === 1 ? placement.labels[0] : `${placement.labels[0]}–${placement.labels.at(-1)}`}`

function installSteps(config: ColocationConfig, here: readonly Placement[]): { step: string; stepJa: string }[] {
  const steps: { step: string; stepJa: string }[] = []
  const add = (step: string, stepJa: string) => steps.push({ step, stepJa })
  for (const rack of here.filter(({ kind }) => kind === 'rack-unit')) {
    add(
      `Reserve and label ${named(rack)}; fit rails and blanking panels.`,
      `${named(rack)}を確保し、ラベル・レール・ブランクパネルを取り付ける。`,
    )
    add(`Cable ${named(rack)} to feeds A and B.`, `${named(rack)}をA系・B系給電に接続する。`)
  }
  if (config.power)
    add(
      `Set the breakers to ${config.power} kVA over both feeds.`,
      `両系統のブレーカーを${config.power} kVAに設定する。`,
    )
  if (config.serverRoom)
    add(
      `Mark ${config.serverRoom} m² of the server room and hang the cage.`,
      `サーバールーム${config.serverRoom} m²を区画する。`,
    )
  for (const port of here.filter(({ kind }) => kind === 'port'))
    add(`Patch ${named(port)} and measure its loss.`, `${named(port)}をパッチし、損失を測定する。`)
  if (config.office) add(`Hand over ${config.office} m² of office.`, `オフィス${config.office} m²を引き渡す。`)
  for (const seat of here.filter(({ kind }) => kind === 'seat'))
    add(`Prepare seats ${named(seat)}: desk, telephone, network.`, `席 ${named(seat)}(机・電話・LAN)を準備する。`)
  add('Issue entry badges and confirm the hand-over.', '入館証を発行し、引き渡しを確認する。')
  return steps
}

const standbySteps = (config: ColocationConfig, here: readonly Placement[]) => [
  ...here.map((placement) => ({
    step: `Keep ${named(placement)} powered off and cabled for ${config.site}.`,
    stepJa: `${named(placement)}を${config.site}の待機用に結線し、電源断で維持する。`,
  })),
  { step: 'File the fail-over instruction at the site desk.', stepJa: '切替手順書を現地デスクに備える。' },
]

export const colocation: ServiceFamily<ColocationConfig> = {
  name: 'colocation',
  config: ColocationConfig,
  check,
  demands,
  desired,
  placement: (config) => (config.antiAffinity ? { apart: 'fault-domain' } : {}),
  meters: [
    { code: 'reserved', name: 'Reserved capacity', nameJa: '予約容量', unit: 'unit-hour', reading: 'reserved' },
    { code: 'energy', name: 'Energy', nameJa: '使用電力量', unit: 'kWh', reading: 'counter' },
  ],
}
