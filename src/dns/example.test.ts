/** The example of the docs is right, and does what its comments say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { explainFile } from './explain.ts'

const FILE = fileURLToPath(new URL('../../docs/services/dns.yaml', import.meta.url))

test('docs/services/dns.yaml', () => {
  const site = (name: string, from: string) =>
    explainFile(FILE, { name, from, type: 'A' }).find(({ step }) => step === 'site')!.outcome
  assert.equal(site('www.cdn.example', '203.0.113.7'), 'osaka-1')
  assert.equal(site('shop.cdn.example', '210.130.0.1'), 'yokohama-1')
  assert.equal(site('shop.cdn.example', '8.8.8.8'), 'osaka-1')
  assert.equal(site('video.cdn.example', '210.130.0.1'), 'osaka-1')
})
