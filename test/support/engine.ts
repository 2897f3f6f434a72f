/** What a test does when something of the machine that it runs against is missing: it says so loudly, and fails in CI. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

/** `remedy`: how one gets it. */
export function skipWithout(context: TestContext, engine: string, remedy = 'npm run setup:engines'): void {
  const message = `NOT TESTED: this needs ${engine} (${remedy}).`
  if (process.env.CI) assert.fail(message)
  console.warn(message)
  context.skip(message)
}
