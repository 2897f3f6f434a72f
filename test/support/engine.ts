/** What a test does when the program it runs against is not installed: it says so locally, and fails in CI. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

export function skipWithout(context: TestContext, engine: string): void {
  const message = `This test needs ${engine}: npm run setup:engines.`
  if (process.env.CI) assert.fail(message)
  context.skip(message)
}
