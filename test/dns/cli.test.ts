/** `izumi dns` as people use it: a file, its faults, keys, a running router that is asked, told to read again, and ended. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadDnsFile } from '../../src/dns/config.ts'
import { recordsOfFile } from '../../src/dns/dnssec/key-file.ts'
import { temporaryFolder } from '../support/folder.ts'
import { ask } from './support/ask.ts'

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const folder = temporaryFolder('izumi-dns-')
const file = join(folder, 'dns.yaml')
after(() => rmSync(folder, { recursive: true }))

const yaml = (change: (text: string) => string = (text) => text) =>
  writeFileSync(
    file,
    change(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
workers: 2
log: { every: 1, file: queries.log }
zones:
  - name: cdn.example
    keyFiles: [KEY]
    records:
      - { type: NS, data: [ns1, ns2] }
      - { name: www, type: CNAME, data: shop }
sites: [{ name: tokyo }, { name: osaka }]
edges:
  - { name: t1, site: tokyo, addresses: [192.0.2.1] }
  - { name: o1, site: osaka, addresses: [192.0.2.2] }
maps:
  - name: world
    prefixFile: prefixes.txt
    default: [tokyo, osaka]
properties:
  - { name: shop, names: [shop.cdn.example] }
`),
  )
writeFileSync(join(folder, 'prefixes.txt'), '# our own customers\n203.0.113.0/24 osaka,tokyo\n\n2001:db8::/32 osaka\n')

function izumi(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--disable-warning=ExperimentalWarning', CLI, ...words], (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    )
  })
}

test('keygen, check, explain, run, reload, end', async () => {
  const made = await izumi('dns', 'keygen', 'cdn.example', '--folder', folder)
  assert.equal(made.code, 0, made.err)
  assert.match(made.out, /^cdn\.example\. IN DS \d+ 13 2 [0-9A-F]{64}$/m)
  const key = /^(\S+\.key\.pem) is the key/.exec(made.out)![1]!
  assert.match(recordsOfFile('cdn.example', key).dnskey, /^cdn\.example\. IN DNSKEY 257 3 13 /)
  const right = (text: string) => text.replace('KEY', key)

  yaml((text) =>
    right(text).replace('site: osaka,', 'site: oska,').replace('type: CNAME, data: shop', 'type: CNAM, data: shop'),
  )
  const refused = await izumi('dns', 'check', file)
  assert.equal(refused.code, 1)
  assert.match(
    refused.err,
    /dns\.yaml:10:\d+ {2}zones\[0\]\.records\[1\]\.type: CNAM cannot be given here; expected A, AAAA/,
  )
  assert.match(refused.err, /dns\.yaml:14:\d+ {2}edges\[1\]\.site: there is no site oska/)
  yaml((text) => right(text).replace('prefixFile', 'prefixFil'))
  assert.throws(() => loadDnsFile(file), /there is no setting prefixFil here; expected prefixFile\?/)

  yaml(right)
  assert.equal(loadDnsFile(file).state.properties!.length, 1)
  const why = await izumi('dns', 'explain', 'www.cdn.example', '--from', '203.0.113.9', '--config', file)
  assert.match(why.out, /alias +a CNAME to shop\.cdn\.example\./)
  assert.match(why.out, /map +world: 203\.0\.113\.0\/24 prefers osaka, tokyo/)
  assert.match(why.out, /answer +192\.0\.2\.2/)

  const child = spawn(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    CLI,
    'dns',
    '--config',
    file,
    '--json',
  ])
  const errors = createInterface(child.stderr)[Symbol.asyncIterator]()
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { dns, admin } = JSON.parse(line) as { dns: string[]; admin: string }
  assert.deepEqual((await ask(dns[0]!, 'shop.cdn.example', { subnet: '203.0.113.0/24' })).addresses, ['192.0.2.2'])
  const metrics = await (await fetch(`${admin}/metrics`)).text()
  assert.match(metrics, /^izumi_dns_site_answers_total\{site="osaka"\} 1$/m)
  assert.match(metrics, /^izumi_dns_queries_total\{transport="udp"\} 1$/m)
  const asked = await izumi('dns', 'explain', 'shop.cdn.example', '--from', '192.0.2.200', '--at', admin)
  assert.match(asked.out, /answer +192\.0\.2\.1/)

  yaml((text) => right(text).replace('192.0.2.1]', '192.0.2.111]'))
  child.kill('SIGHUP')
  assert.match(String((await errors.next()).value), /is in force/)
  assert.deepEqual((await ask(dns[0]!, 'shop.cdn.example', { subnet: '198.51.100.0/24' })).addresses, ['192.0.2.111'])
  yaml((text) => right(text).replace('192.0.2.1]', 'nowhere]'))
  child.kill('SIGHUP')
  assert.match(String((await errors.next()).value), /is not taken; whatever was in force stays in force/)
  assert.deepEqual((await ask(dns[0]!, 'shop.cdn.example', { subnet: '198.51.100.0/24' })).addresses, ['192.0.2.111'])
  child.kill('SIGTERM')
  assert.deepEqual((await once(child, 'exit'))[0], 0)
})
