/**
 * `npm run conformance -- cache [--suite DIR] [--id TEST]`: how far the edge follows the standards, by suites that others
 * wrote; `-- smuggling` and `-- http1`: what it makes of hostile and of odd bytes. Names each miss; the last line is the score.
 */
import { runCacheTests } from './cache.ts'
import { runHttp1 } from './http1.ts'
import { runHttp2 } from './http2.ts'
import { runSmuggling } from './smuggling.ts'

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
} else if (suiteName === 'smuggling') {
  const { cases, refused, harmless, failures } = await runSmuggling()
  for (const failure of failures) console.log(failure)
  console.log(`refused ${refused}, harmless ${harmless}, of ${cases}`)
  process.exitCode = failures.length === 0 ? 0 : 1
} else if (suiteName === 'http1') {
  const { cases, failures } = await runHttp1()
  for (const failure of failures) console.log(failure)
  console.log(`passed ${cases - failures.length}/${cases}`)
  process.exitCode = failures.length === 0 ? 0 : 1
} else if (suiteName === 'http2') {
  const program = option('h2spec')
  if (program === null) {
    console.error('usage: npm run conformance -- http2 --h2spec FILE')
    process.exitCode = 2
  } else {
    const { passed, total, misses } = await runHttp2(program)
    for (const miss of misses) console.log(miss)
    console.log(`passed ${passed}/${total}`)
  }
} else {
  console.error(
    'usage: npm run conformance -- cache [--suite DIR] [--id TEST] | smuggling | http1 | http2 --h2spec FILE',
  )
  process.exitCode = 2
}
