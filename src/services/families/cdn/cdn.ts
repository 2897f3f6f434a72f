/**
 * The CDN: delivery of a web property from the provider's edges. It takes edge bandwidth at the sites where some is
 * reserved; its engine is the edge, told through the feed; what it is asked for comes back as usage.
 */
import type { Demand, NodeState, ServiceFamily, ServiceToRun } from '../../../catalogue/family.ts'
import { BadInput } from '../../../core/errors.ts'
import { quantityFromUnits } from '../../../core/quantity.ts'
import { type PropertyRules, requireProperty } from './check.ts'
import { CdnConfig, EDGE_BANDWIDTH } from './config.ts'

/** The kind of item that edges make true. */
export const PROPERTY_ITEM = 'cdn-property'
export const CDN = 'cdn'

const demands = (config: CdnConfig, quantity: number): Demand[] =>
  config.reserved.map(({ site, bandwidth }, index) => ({
    site,
    kind: EDGE_BANDWIDTH,
    quantity: quantity * quantityFromUnits(bandwidth, `/config/reserved/${index}/bandwidth`),
    type: 'firm',
  }))

function check(config: CdnConfig, rules: PropertyRules): void {
  requireProperty(config.property, rules)
  const twice = config.reserved.find(
    ({ site }, index) => config.reserved.findIndex((one) => one.site === site) !== index,
  )
  if (twice) throw new BadInput('/config/reserved', `${twice.site} is there twice`, 'each site once')
  if (config.sites === 'everywhere') return
  const sites = new Set(config.sites)
  const outside = config.reserved.find(({ site }) => !sites.has(site))
  if (outside)
    throw new BadInput('/config/reserved', `${outside.site} does not serve the property`, [...sites].join(' or '))
}

/** What edges must run, as it was ordered; the version in force may say more (versions.ts). */
function desired(service: ServiceToRun<CdnConfig>): NodeState[] {
  const { property, sites } = service.config
  return (sites === 'everywhere' ? ['everywhere'] : sites).map((site) => ({
    node: `edge@${site}`,
    key: `${CDN}/${service.id}`,
    kind: PROPERTY_ITEM,
    body: { name: property.name, hosts: property.hosts },
  }))
}

export const cdnFamily = (rules: PropertyRules): ServiceFamily<CdnConfig> => ({
  name: CDN,
  config: CdnConfig,
  check: (config) => check(config, rules),
  demands,
  desired,
  meters: [
    { code: 'edge-bytes-out', name: 'Traffic to visitors', nameJa: '配信量', unit: 'GB', reading: 'counter' },
    { code: 'edge-requests', name: 'Requests', nameJa: 'リクエスト数', unit: '10,000', reading: 'counter' },
    { code: 'edge-p95', name: '95th percentile', nameJa: '95パーセンタイル', unit: 'Mbit/s', reading: 'gauge' },
  ],
})
