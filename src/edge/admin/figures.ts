/** Figures of a part of the edge as Prometheus reads them. */

const GAUGES = new Set([
  'copies',
  'copiesBytes',
  'workers',
  'objects',
  'memoryBytes',
  'diskBytes',
  'recordingBytes',
  'diskFailing',
  'connections',
])

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export function figures(part: 'store' | 'front', stats: Readonly<Record<string, number>>): string {
  let text = ''
  for (const [name, value] of Object.entries(stats)) {
    const metric = `izumi_edge_${part}_${snake(name)}${GAUGES.has(name) ? '' : '_total'}`
    text += `# TYPE ${metric} ${GAUGES.has(name) ? 'gauge' : 'counter'}\n${metric} ${value}\n`
  }
  return text
}
