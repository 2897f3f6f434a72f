/** Figures of the store as Prometheus reads them. */
import type { StoreStats } from '../message.ts'

const GAUGES = new Set(['objects', 'memoryBytes', 'diskBytes', 'recordingBytes', 'diskFailing'])

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export function figures(stats: StoreStats): string {
  let text = ''
  for (const [name, value] of Object.entries(stats)) {
    const metric = `izumi_edge_store_${snake(name)}${GAUGES.has(name) ? '' : '_total'}`
    text += `# TYPE ${metric} ${GAUGES.has(name) ? 'gauge' : 'counter'}\n${metric} ${value}\n`
  }
  return text
}
