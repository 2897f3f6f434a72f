/** Request smuggling and HTTP/1.1 on the wire, without a case left over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHttp1 } from './http1.ts'
import { codingMutations, runSmuggling } from './smuggling.ts'

test('134 mutations of Transfer-Encoding and every family of smuggling are refused or harmless', async () => {
  assert.equal(new Set(codingMutations()).size, 134)
  const { cases, refused, harmless, failures } = await runSmuggling()
  assert.deepEqual(failures, [])
  assert.equal(refused + harmless, cases)
  assert.ok(refused > cases / 2)
})

test('HTTP/1.1 on the wire', async () => {
  const { cases, failures } = await runHttp1()
  assert.deepEqual(failures, [])
  assert.ok(cases >= 100)
})
