/**
 * `npm run check`: types, format, lint, import order of the house, circular imports, dead code. Every step runs even
 * when an earlier one fails, so one run shows all there is to mend.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const tool = (path: string) => join(root, 'node_modules', path)

const steps: [name: string, command: string, args: string[]][] = [
  ['types', process.execPath, [tool('typescript/bin/tsc')]],
  [
    'format, lint, import order, cycles',
    process.execPath,
    [tool('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'],
  ],
  ['layers', process.execPath, [join(root, 'bin/layers.ts')]],
  ['dead code', process.execPath, [tool('knip/bin/knip.js'), '--no-progress']],
]

let failed = 0
for (const [name, command, args] of steps) {
  const started = performance.now()
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) failed++
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - started) / 1_000).toFixed(1)} s)`)
}
process.exit(failed === 0 ? 0 : 1)
