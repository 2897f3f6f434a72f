/**
 * Whether a property may go to edges: the edge's own check of the whole configuration, and what a provider adds to it
 * because the configuration is a customer's: nothing of the edge's own machine may be read or reached with it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { BadInput, Refusal } from '../../../core/errors.ts'
import { compileConfig } from '../../../edge/config/load.ts'
import { poolOf } from '../../../edge/config/pool.ts'
import { ConfigRefused } from '../../../edge/config/read.ts'
import { isPublicAddress } from '../../../parties/deliver.ts'
import type { PropertyConfig } from './config.ts'

export interface PropertyRules {
  /** Whether origins may be inside private networks: the operator's own properties, tests. */
  privateOrigins: boolean
}

export interface Fault {
  at: string
  problem: string
  expected: string
}

/** Everything that is wrong with a property; empty when nothing is. */
export function faultsOf(property: unknown, rules: PropertyRules): Fault[] {
  const pools: { close(): void }[] = []
  try {
    compileConfig(JSON.stringify({ properties: [property] }), 'property', {
      countryOf: () => null,
      environment: {},
      poolOf: (config) => {
        const pool = poolOf(config.name, config.origin, '/nowhere')
        pools.push(pool)
        return pool
      },
    })
  } catch (error) {
    if (!(error instanceof ConfigRefused)) throw error
    return error.faults.map(({ at, problem, expected }) => ({
      at: at.replace(/^properties\[0\]\.?/, ''),
      problem,
      expected,
    }))
  } finally {
    for (const pool of pools) pool.close()
  }
  return foreignFaults(property as PropertyConfig, rules)
}

/** @throws Refusal with every fault */
export function requireProperty(property: unknown, rules: PropertyRules, at = '/config/property'): void {
  const faults = faultsOf(property, rules)
  if (faults.length === 0) return
  throw new Refusal(
    'bad-input',
    400,
    `The property is not right: ${faults.map((fault) => `${fault.at}: ${fault.problem}`).join('; ')}`.slice(0, 2_000),
    faults.map((fault) => ({ ...fault, at: `${at}/${fault.at.replace(/\[(\d+)\]/g, '/$1').replaceAll('.', '/')}` })),
  )
}

/** What only the owner of an edge may say: files, the environment, its own network, every host. */
function foreignFaults(property: PropertyConfig, { privateOrigins }: PropertyRules): Fault[] {
  const faults: Fault[] = []
  const walk = (value: unknown, at: string): void => {
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) walk(item, `${at}[${index}]`)
      return
    }
    if (typeof value === 'string') {
      if (value.startsWith('env:') && at.endsWith('.secret'))
        faults.push({ at, problem: 'the environment of an edge is not yours', expected: 'the secret itself' })
      return
    }
    if (typeof value !== 'object' || value === null) return
    for (const [name, inner] of Object.entries(value)) {
      const here = at === '' ? name : `${at}.${name}`
      if (name === 'file' && typeof inner === 'string')
        faults.push({ at: here, problem: 'an edge has no files of yours', expected: 'the text itself, as body' })
      else if (name === 'authorities' && typeof inner === 'string')
        faults.push({
          at: here,
          problem: 'an edge has no files of yours',
          expected: 'a certificate of a public authority',
        })
      else walk(inner, here)
    }
  }
  walk(property, '')
  for (const [index, host] of property.hosts.entries())
    if (host === '*' || !host.includes('.'))
      faults.push({
        at: `hosts[${index}]`,
        problem: `${host} is everybody's`,
        expected: 'a name such as www.shop.example',
      })
  const { origin } = property
  const servers =
    typeof origin === 'string' ? [origin] : origin.servers.map((one) => (typeof one === 'string' ? one : one.address))
  for (const [index, address] of servers.entries()) {
    const at = typeof origin === 'string' ? 'origin' : `origin.servers[${index}]`
    const name = URL.canParse(address) ? new URL(address).hostname.replace(/^\[|\]$/g, '') : ''
    if (privateOrigins || name === '') continue
    if (
      (isIP(name) !== 0 && !isPublicAddress(name)) ||
      /(^|\.)localhost$/i.test(name) ||
      (isIP(name) === 0 && !name.includes('.'))
    )
      faults.push({
        at,
        problem: `${name} is not on the open Internet`,
        expected: 'an address that everybody can reach',
      })
  }
  return faults
}

export interface CheckedCertificate {
  names: string[]
  issuer: string
  notBefore: number
  notAfter: number
}

/** A certificate with its chain and key, in PEM. @throws BadInput */
export function readCertificate(certificate: string, key: string, now: number): CheckedCertificate {
  let read: X509Certificate
  try {
    read = new X509Certificate(certificate)
  } catch {
    throw new BadInput('/certificate', 'it cannot be read', 'a certificate in PEM, its chain after it')
  }
  let isOwn = false
  try {
    isOwn = read.checkPrivateKey(createPrivateKey(key))
  } catch {
    throw new BadInput('/key', 'it cannot be read', 'a private key in PEM, without a password')
  }
  if (!isOwn) throw new BadInput('/key', 'it belongs to another certificate', 'the key of this certificate')
  const notBefore = Date.parse(read.validFrom)
  const notAfter = Date.parse(read.validTo)
  if (!(notAfter > now)) throw new BadInput('/certificate', `it ran out on ${read.validTo}`, 'one that is good now')
  const names = (read.subjectAltName ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name.startsWith('DNS:'))
    .map((name) => name.slice(4).toLowerCase())
  if (names.length === 0) throw new BadInput('/certificate', 'it names no host', 'one with DNS names (subjectAltName)')
  return { names, issuer: read.issuer.replaceAll('\n', ', ').slice(0, 500), notBefore, notAfter }
}

/** Whether a certificate's names cover a host (RFC 9525 section 6.3: a wildcard stands for one label). */
export const covers = (names: readonly string[], host: string): boolean =>
  names.includes(host) || names.includes(`*.${host.slice(host.indexOf('.') + 1)}`)
