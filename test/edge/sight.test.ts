/** What an edge that runs says of itself: figures, top, and why a request is a hit or a miss. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { topText } from '../../src/cli/edge.ts'
import { type Edge, startEdge } from '../../src/edge/main.ts'
import { Slots } from '../../src/edge/sight/slots.ts'

const folder = mkdtempSync(join(tmpdir(), 'izumi-edge-sight-'))
const origin = createServer((request, response) => {
  response.setHeader('cache-control', request.url === '/no' ? 'no-store' : 'max-age=100')
  response.setHeader('vary', 'accept-language')
  response.end('body')
})
let edge: Edge
let http: string
let admin: string

before(async () => {
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const file = join(folder, 'edge.json')
  writeFileSync(
    file,
    JSON.stringify({
      listen: { http: '127.0.0.1:0', admin: '127.0.0.1:0' },
      log: { file: 'access.log' },
      usage: { folder: 'usage' },
      properties: [
        {
          name: 'shop',
          hosts: ['127.0.0.1'],
          origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
          rules: [{ when: { path: '/old*' }, redirect: { to: '/new' } }],
        },
      ],
    }),
  )
  edge = await startEdge({ file })
  http = edge.addresses.http[0]!
  admin = edge.addresses.admin!
})
after(async () => {
  await edge.close()
  origin.close()
  rmSync(folder, { recursive: true, force: true })
})

const explain = async (path: string, more = '') =>
  (await fetch(`${admin}/explain?url=${encodeURIComponent(http + path)}${more}`)).json() as Promise<{
    result: string
    steps: { step: string; outcome: string }[]
  }>

test('explain says step by step what would come of a request', async () => {
  assert.equal((await explain('/a')).result, 'miss')
  assert.match((await explain('/a')).steps.at(-1)!.outcome, /nothing is stored/)
  await (await fetch(`${http}/a`, { headers: { 'accept-language': 'ja' } })).text()
  const other = await explain('/a', `&header=${encodeURIComponent('Accept-Language: en')}`)
  assert.equal(other.result, 'miss')
  assert.match(JSON.stringify(other.steps), /varies by accept-language: ja/)
  const same = await explain('/a', `&header=${encodeURIComponent('Accept-Language: ja')}`)
  assert.equal(same.result, 'hit')
  assert.match(same.steps.at(-1)!.outcome, /fresh for another/)
  assert.equal((await explain('/a', '&method=POST')).result, 'pass')
  assert.equal((await explain('/old/x')).result, 'answer')
  assert.equal((await fetch(`${admin}/explain?url=`)).status, 400)
})

test('requests are counted, the fast way as well, and told as figures, as top, as a log and as usage', async () => {
  for (let i = 0; i < 3; i++) await (await fetch(`${http}/b`)).text()
  await (await fetch(`${http}/no`)).text()
  const metrics = await (await fetch(`${admin}/metrics`)).text()
  assert.match(metrics, /izumi_edge_results_total\{property="shop",result="hit"\} 2\n/)
  assert.match(metrics, /izumi_edge_front_connections \d/)
  const top = (await (await fetch(`${admin}/top`)).json()) as Parameters<typeof topText>[0]
  assert.equal(top.properties[0]!.property, 'shop')
  assert.match(topText(top, 10), /property +requests\/s +Mbit\/s/)
  await edge.close()
  const lines = readFileSync(join(folder, 'access.log'), 'utf8').trim().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).result),
    ['miss', 'miss', 'hit', 'hit', 'pass'],
  )
  const slots = new Slots(join(folder, 'usage'))
  const usage = slots.list().flatMap((from) => slots.usage(from))
  assert.equal(
    usage.reduce((sum, { requests }) => sum + requests, 0),
    5,
  )
  // Five bodies of four bytes, and their heads.
  const bytesOut = usage.reduce((sum, each) => sum + each.bytesOut, 0)
  assert.ok(bytesOut > 5 * (4 + 100) && bytesOut < 5 * (4 + 400), `${bytesOut} bytes`)
})
