/** What a configuration says of the front: limits and certificates, in the words of the parts that use them. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { BadInput } from '../../core/errors.ts'
import type { Certificate } from '../front/certificates.ts'
import { DEFAULT_LIMITS, type FrontLimits } from '../front/limits.ts'
import type { EdgeConfig } from './schema.ts'
import { bytes, seconds } from './units.ts'

const milliseconds = (duration: string | number): number => seconds(duration) * 1_000

/** Leaves out what was not said, so that defaults stay. */
function said<T extends object>(values: { [name in keyof T]: T[name] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}
const given = <From, To>(value: From | undefined, as: (value: From) => To): To | undefined =>
  value === undefined ? undefined : as(value)

/** Limits of the front; what is not said stays as it is by default. */
export function limitsOf(config: EdgeConfig['limits']): FrontLimits {
  return {
    ...DEFAULT_LIMITS,
    ...said<FrontLimits>({
      headMaxBytes: given(config?.headBytes, bytes),
      fieldsMax: config?.headFields,
      headMs: given(config?.head, milliseconds),
      idleMs: given(config?.idle, milliseconds),
      bodyMaxBytes: given(config?.bodyBytes, bytes),
      rateMinBytesPerSecond: config?.leastBytesPerSecond,
      rateWindowMs: given(config?.leastBytesWindow, milliseconds),
      connectionsPerAddressMax: config?.connectionsPerAddress,
      connectionsMax: config?.connections,
      streamsMax: config?.streams,
      drainMs: given(config?.drain, milliseconds),
    }),
  }
}

/** Certificates with their keys, read from their files or as they stand there. @throws BadInput naming the file */
export function certificatesOf(config: EdgeConfig['certificates'], folder: string): Certificate[] {
  return (config ?? []).map((each, at) => {
    const pem = (name: 'certificate' | 'key') =>
      each[name].includes('-----BEGIN ')
        ? each[name]
        : readPem(resolve(folder, each[name]), `certificates[${at}].${name}`)
    const certificate = pem('certificate')
    return { certificate, key: pem('key'), names: each.names ?? namesIn(certificate) }
  })
}

function readPem(file: string, at: string): string {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new BadInput(at, `${file} cannot be read (${(error as Error).message})`, 'a PEM file')
  }
  if (!text.includes('-----BEGIN ')) throw new BadInput(at, `${file} is no PEM file`, 'text with -----BEGIN …')
  return text
}

/** The DNS names of a certificate's first entry (RFC 5280 §4.2.1.6). */
const namesIn = (pem: string): string[] =>
  (new X509Certificate(pem).subjectAltName ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name.startsWith('DNS:'))
    .map((name) => name.slice(4).toLowerCase())
