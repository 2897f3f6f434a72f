/** The example of the docs is right, and does what its comments say. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { EdgeRequest } from '../message.ts'
import { compileConfig } from './load.ts'

const FILE = fileURLToPath(new URL('../../../docs/services/edge.yaml', import.meta.url))

test('docs/services/edge.yaml', () => {
  const pool = { name: 'test', request: () => ({ pause() {}, resume() {}, abort() {} }), close() {} }
  const { properties } = compileConfig(readFileSync(FILE, 'utf8'), FILE, { countryOf: () => 'US', poolOf: () => pool })
  const ask = (target: string, more: Partial<EdgeRequest> = {}) =>
    properties.find('www.shop.example')!.plan({
      ...{ method: 'GET', scheme: 'https', host: 'www.shop.example', authority: 'www.shop.example', version: '1.1' },
      ...{ target, fields: [], client: { address: '198.51.100.1', port: 1 }, receivedAt: 0, body: null },
      ...more,
    } as EdgeRequest)
  const served = (target: string, more: Partial<EdgeRequest> = {}) => {
    const plan = ask(target, more)
    assert.equal(plan.kind, 'serve')
    return plan as Extract<typeof plan, { kind: 'serve' }>
  }
  const answered = (target: string, more: Partial<EdgeRequest> = {}) => {
    const plan = ask(target, more)
    assert.equal(plan.kind, 'answer')
    return plan as Extract<typeof plan, { kind: 'answer' }>
  }
  assert.equal(answered('/', { scheme: 'http' }).fields[1], 'https://www.shop.example/')
  assert.equal(served('/static/a.css?v=1').caching.ttlSeconds, 30 * 86_400)
  assert.equal(served('/static/a.css?v=1').key, 'www.shop.example/static/a.css')
  assert.equal(served('/a?utm_x=1&b=1&a=1').key, 'www.shop.example/a?a=1&b=1')
  assert.equal(served('/basket', { fields: ['cookie', 'session=1'] }).caching.enabled, false)
  assert.equal(served('/', { fields: ['cookie', 'lang=ja'] }).key, 'www.shop.example/\ncookie lang=ja')
  assert.equal(answered('/old/a/index.html').fields[1], 'https://www.shop.example/a')
  assert.equal(served('/api/x').target, '/v2/x')
  assert.equal(answered('/admin/').status, 403)
  assert.equal(answered('/wine/red').status, 451)
  assert.equal(properties.find('video.example')!.plainKey('/films/1'), null)
})
