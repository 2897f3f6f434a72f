/**
 * The import rules of the house (docs/tour.md): each noun may import the nouns to its left and `core`, never one to its
 * right; a node program imports nothing of the control plane; only `database` knows the driver. A breach is printed with
 * its file and the rule.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Left to right: the way of an order. */
const ORDER = [
  'core',
  'database',
  'parties',
  'catalogue',
  'capacity',
  'orders',
  'nodes',
  'services',
  'usage',
  'billing',
  'results',
  'api',
]
/** What each folder outside the line may import. */
const FREE: Record<string, string[]> = {
  feed: ['core'],
  node: ['core', 'feed'],
  edge: ['core', 'feed', 'node'],
  dns: ['core', 'feed', 'node'],
  agent: ['core', 'feed', 'node'],
  replay: ORDER.slice(0, ORDER.indexOf('api')),
  cli: [...ORDER, 'replay', 'edge', 'dns', 'feed', 'node'],
}
/** Single files that may look further: what a node checks and says is used where it is asked for, never copied. */
const DOORS: Record<string, string[]> = {
  'src/services/families/cdn/': [
    'src/edge/config/',
    'src/dns/state.ts',
    'src/dns/compile.ts',
    'src/dns/choice/maps.ts',
  ],
}
/** Packages that only one folder may import. */
const PACKAGES: Record<string, string[]> = {
  pg: ['database'],
  fastify: ['api'],
  commander: ['cli'],
  pdfkit: ['billing'],
}

const allowed = (folder: string): string[] | null =>
  FREE[folder] ??
  (ORDER.includes(folder)
    ? [...ORDER.slice(0, ORDER.indexOf(folder)), ...(ORDER.indexOf(folder) > ORDER.indexOf('core') ? ['feed'] : [])]
    : null)

const breaches: string[] = []
for (const file of globSync('src/**/*.ts', { cwd: root })) {
  if (file.endsWith('.test.ts')) continue
  const folder = file.split('/')[1]!
  const may = file.split('/').length > 2 ? allowed(folder) : null
  const text = readFileSync(join(root, file), 'utf8')
  for (const [, target] of text.matchAll(/^(?:import|export)[^'"]*?from '([^']+)'/gm)) {
    if (target!.startsWith('.')) {
      const parts = relative(root, join(root, dirname(file), target!)).split('/')
      if (may === null || parts[0] !== 'src' || parts.length < 3) continue
      const door = Object.entries(DOORS).find(([from]) => file.startsWith(from))?.[1] ?? []
      if (door.some((to) => parts.join('/').startsWith(to))) continue
      if (parts[1] !== folder && !may.includes(parts[1]!))
        breaches.push(`${file}: ${folder} may not import ${parts[1]}; it may import ${may.join(', ')}`)
      continue
    }
    const owners = PACKAGES[target!]
    if (owners && may !== null && !owners.includes(folder))
      breaches.push(`${file}: only ${owners.join(', ')} may import the package ${target}`)
  }
}
for (const breach of breaches) console.error(breach)
process.exit(breaches.length === 0 ? 0 : 1)
