import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { describeApi } from './server.ts'

const text = await describeApi()
const document = JSON.parse(text)
type Operation = { operationId: string; summary: string; tags: string[]; responses: Record<string, unknown> }
const operations: [string, Operation][] = Object.entries(
  document.paths as Record<string, Record<string, Operation>>,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]): [string, Operation] => [
    `${method.toUpperCase()} ${path}`,
    operation,
  ]),
)

test('docs/openapi.json is what the code says', () => {
  const kept = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8')
  assert.ok(kept === text, 'it is not; write it anew with `node bin/run.mjs bin/openapi.ts`')
})

test('every operation has a name of its own, a summary, a tag, and an answer described', () => {
  const ids = operations.map(([, { operationId }]) => operationId)
  assert.equal(new Set(ids).size, ids.length)
  for (const [name, { summary, tags, responses }] of operations) {
    assert.ok(summary.length > 3, `${name} has no summary`)
    assert.equal(tags.length, 1, `${name} has no tag`)
    assert.ok(/openapi.json|\/pdf/.test(name) || Object.keys(responses).length > 1, `${name} describes no answer`)
  }
})

test('every reference inside the document leads somewhere', () => {
  for (const [, reference] of text.matchAll(/"\$ref": "([^"]+)"/g)) {
    let here = document
    for (const part of reference!.slice(2).split('/')) here = here?.[part]
    assert.ok(here, String(reference))
  }
})
