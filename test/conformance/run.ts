/**
 * `npm run conformance -- cache [--suite DIR] [--id TEST]`: how far the edge follows the standards, by suites that others
 * wrote. Names each miss; the last line is the score.
 */
import { runCacheTests } from './cache.ts'

const [suiteName, ...rest] = process.argv.slice(2)
const option = (name: string) => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? null : (rest[at + 1] ?? null)
}

if (suiteName === 'cache') {
  const score = await runCacheTests(option('suite'), option('id') ?? '')
  if (option('id') !== null) console.log(score.output)
  else {
    for (const { id, kind, why } of score.misses) console.log(`${kind.padEnd(8)} ${id}: ${why}`)
    const { required, optimal, check } = score
    console.log(`behaviour checked ${check.passed}/${check.total} (neither right nor wrong)`)
    console.log(`required ${required.passed}/${required.total}, optimal ${optimal.passed}/${optimal.total}`)
  }
} else {
  console.error('usage: npm run conformance -- cache [--suite DIR] [--id TEST]')
  process.exitCode = 2
}
