/** Signatures and denials judged by BIND's own validator (delv), and keys as `izumi dns keygen` makes them. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { makeKey, readKeyFile } from '../../src/dns/dnssec/key-file.ts'
import { type Dns, startDns } from '../../src/dns/main.ts'
import type { DnsState, DnssecKey } from '../../src/dns/state.ts'
import { skipWithout } from '../support/engine.ts'
import { temporaryFolder } from '../support/folder.ts'
import { ask } from './support/ask.ts'
import { exampleState } from './support/state.ts'

const run = promisify(execFile)
const folder = temporaryFolder('izumi-dnssec-')
const ksk = makeKey('cdn.example', folder, 257)
const zsk = makeKey('cdn.example', folder, 256)
const csk = makeKey('cdn.example', folder, 257)

/** A zone with these keys; the delegation `safe` has a DS record, `sub` has none. */
function signedState(keys: DnssecKey[]): DnsState {
  const state = exampleState()
  state.zones[0]!.keys = keys
  state.zones[0]!.records.push(
    { name: 'safe', type: 'NS', data: 'ns.sub' },
    { name: 'safe', type: 'DS', data: `1 13 2 ${'ab'.repeat(32)}` },
  )
  return state
}

let dns: Dns
before(async () => {
  dns = await startDns(
    { state: signedState([readKeyFile(ksk.file), readKeyFile(zsk.file)]) },
    { listen: '127.0.0.1:0', workers: 1 },
  )
})
after(async () => {
  await dns.close()
  rmSync(folder, { recursive: true })
})

/** What delv says, trusting the DS record that keygen printed. Null: it is not installed. */
async function delv(ds: string, name: string, type: string, ...more: string[]): Promise<string | null> {
  const [tag, algorithm, digestType, digest] = ds.split(' ').slice(3)
  const anchor = join(folder, `${tag}.anchor`)
  writeFileSync(anchor, `trust-anchors { cdn.example. static-ds ${tag} ${algorithm} ${digestType} "${digest}"; };\n`)
  const [host, port] = dns.addresses.dns[0]!.split(':')
  try {
    const { stdout, stderr } = await run('delv', [
      `@${host}`,
      '-p',
      port!,
      '-a',
      anchor,
      '+root=cdn.example',
      '+tcp',
      ...more,
      name,
      type,
    ])
    return stdout + stderr
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    return stdout + stderr
  }
}

test('a validator takes every kind of answer for what it is', async (context) => {
  for (const [name, type, verdict] of [
    ['shop.cdn.example', 'A', 'fully validated'],
    ['shop.cdn.example', 'AAAA', 'fully validated'],
    ['www.cdn.example', 'A', 'fully validated'],
    ['cdn.example', 'SOA', 'fully validated'],
    ['cdn.example', 'DNSKEY', 'fully validated'],
    ['cdn.example', 'CDS', 'fully validated'],
    ['large.cdn.example', 'TXT', 'fully validated'],
    ['a.b.wild.cdn.example', 'A', 'fully validated'],
    ['cdn.example', 'ANY', 'fully validated'],
    ['_sip._tcp.cdn.example', 'SRV', 'fully validated'],
    ['service.cdn.example', 'TYPE65', 'fully validated'],
    ['safe.cdn.example', 'DS', 'fully validated'],
    ['nothing.cdn.example', 'A', 'negative response, fully validated'],
    ['deeper.than.nothing.cdn.example', 'A', 'negative response, fully validated'],
    ['in.the.cdn.example', 'A', 'negative response, fully validated'],
    ['mail.cdn.example', 'AAAA', 'negative response, fully validated'],
    ['a.wild.cdn.example', 'TXT', 'negative response, fully validated'],
    ['sub.cdn.example', 'DS', 'negative response, fully validated'],
  ] as const) {
    const said = await delv(ksk.ds!, name, type)
    if (said === null) {
      skipWithout(context, 'Debian’s delv')
      return
    }
    assert.match(said, new RegExp(`^; ${verdict}`, 'm'), `${name} ${type}: ${said}`)
  }
})

test('another key is not taken; one key alone signs all; a roll-over keeps both valid', async (context) => {
  const wrong = await delv(csk.ds!, 'shop.cdn.example', 'A')
  if (wrong === null) {
    skipWithout(context, 'Debian’s delv')
    return
  }
  assert.match(wrong, /broken trust chain|no valid/)
  // Both key-signing keys stand in the set and sign it: either DS record leads in (double signature, RFC 6781 §4.1.2).
  await dns.apply(signedState([readKeyFile(ksk.file), readKeyFile(csk.file), readKeyFile(zsk.file)]))
  for (const { ds } of [ksk, csk]) assert.match((await delv(ds!, 'shop.cdn.example', 'A'))!, /^; fully validated/m)
  await dns.apply(signedState([readKeyFile(csk.file)]))
  assert.match((await delv(csk.ds!, 'shop.cdn.example', 'A'))!, /^; fully validated/m)
  assert.match((await delv(csk.ds!, 'nothing.cdn.example', 'A'))!, /^; negative response, fully validated/m)
})

test('signatures come only to those who ask for them; the code of a denial is as each client can read it', async () => {
  const at = dns.addresses.dns[0]!
  assert.deepEqual(
    (await ask(at, 'shop.cdn.example')).answers.map(({ type }) => type),
    ['A', 'A'],
  )
  const signed = await ask(at, 'shop.cdn.example', { dnssec: true })
  assert.deepEqual(
    signed.answers.map(({ type }) => type),
    ['A', 'A', 'RRSIG'],
  )
  assert.ok(signed.opt!.flag_do)
  assert.equal((await ask(at, 'nothing.cdn.example')).rcode, 'NXDOMAIN')
  const denied = await ask(at, 'nothing.cdn.example', { dnssec: true })
  assert.equal(denied.rcode, 'NOERROR')
  assert.deepEqual(
    denied.authorities.map(({ type }) => type),
    ['SOA', 'RRSIG', 'NSEC', 'RRSIG'],
  )
  assert.ok(denied.bytes < 512)
})

test('a chain from a zone without keys into one with keys is signed where it is, for those who ask', async () => {
  const state = signedState([readKeyFile(csk.file)])
  state.zones.push({ name: 'plain.example', records: [{ name: 'www', type: 'CNAME', data: 'shop.cdn.example.' }] })
  await dns.apply(state)
  const at = dns.addresses.dns[0]!
  for (const dnssec of [true, false, true, false])
    assert.deepEqual(
      (await ask(at, 'www.plain.example', { dnssec })).answers.map(({ type }) => type),
      ['CNAME', 'A', 'A', ...(dnssec ? ['RRSIG'] : [])],
    )
})

test('a key file is its owner’s alone, is never written over, and is refused when it is none', async () => {
  assert.equal(statSync(ksk.file).mode & 0o777, 0o600)
  assert.match(readFileSync(ksk.file, 'utf8'), /^# zone cdn\.example\.\n# flags 257\n/)
  const broken = join(folder, 'broken.pem')
  writeFileSync(broken, 'nothing')
  assert.throws(() => readKeyFile(broken), /holds no private key/)
  const state = exampleState()
  state.zones[0]!.keys = [readKeyFile(zsk.file)]
  await assert.rejects(dns.apply(state), /no active key has the flags 257/)
})
