/** Key files of `izumi dns keygen`: a PEM key with two comment lines before it that say its zone and its flags. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DnssecKey } from '../state.ts'
import { toText, toWire } from '../wire/names.ts'
import { dnskeyOf, dsOf, keyTag } from './signer.ts'

export interface MadeKey {
  file: string
  tag: number
  /** What the parent zone has to hold, as zone-file lines; none for a key that signs data only. */
  ds: string | null
  dnskey: string
}

/** Makes a key for a zone and writes it to `folder`, readable by its owner alone. It never writes over a file. */
export function makeKey(zone: string, folder: string, flags: 256 | 257): MadeKey {
  const apex = toWire(zone)
  if (apex === null) throw new Error(`${zone} is no name of a zone`)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const rdata = dnskeyOf(privateKey, flags)
  const tag = keyTag(rdata)
  const name = toText(apex)
  const file = join(folder, `${name}${String(tag).padStart(5, '0')}.key.pem`)
  const text = `# zone ${name}\n# flags ${flags}\n${privateKey.export({ type: 'pkcs8', format: 'pem' })}`
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' })
  return { file, tag, ...keyRecords(apex, flags, rdata) }
}

/** The records of a key, as zone-file lines. */
function keyRecords(apex: Uint8Array, flags: number, rdata: Uint8Array): { ds: string | null; dnskey: string } {
  const name = toText(apex)
  const ds = Buffer.from(dsOf(apex, rdata))
  return {
    ds:
      flags === 257
        ? `${name} IN DS ${ds.readUInt16BE(0)} ${ds[2]} ${ds[3]} ${ds.subarray(4).toString('hex').toUpperCase()}`
        : null,
    dnskey: `${name} IN DNSKEY ${flags} 3 13 ${Buffer.from(rdata.subarray(4)).toString('base64')}`,
  }
}

/** @throws when it is no key file */
export function readKeyFile(file: string): DnssecKey {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(`${file} cannot be read (${(error as Error).message})`)
  }
  const flags = Number(/^# flags (256|257)$/m.exec(text)?.[1] ?? 257) as 256 | 257
  const pem = /-----BEGIN[\s\S]*-----END[^-]*-----/.exec(text)?.[0]
  try {
    createPrivateKey(pem ?? '')
  } catch {
    throw new Error(`${file} holds no private key`)
  }
  const active = !/^# published only$/m.test(text)
  return { flags, algorithm: 13, privateKey: pem!, ...(active ? {} : { active }) }
}

/** The records of a key file, as zone-file lines. */
export function recordsOfFile(zone: string, file: string): { ds: string | null; dnskey: string } {
  const apex = toWire(zone)
  if (apex === null) throw new Error(`${zone} is no name of a zone`)
  const { flags, privateKey } = readKeyFile(file)
  return keyRecords(apex, flags, dnskeyOf(createPrivateKey(privateKey), flags))
}
