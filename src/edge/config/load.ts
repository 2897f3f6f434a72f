/** From an edge.yaml to the table of its properties: read, checked, compiled. All faults are told of in one refusal. */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { BadInput } from '../../core/errors.ts'
import type { OriginPool } from '../message.ts'
import { CompiledProperty } from './compile.ts'
import type { CountryOf } from './countries.ts'
import { PropertyTable } from './properties.ts'
import { ConfigFaultAt, readConfig } from './read.ts'
import type { EdgeConfig, PropertyConfig } from './schema.ts'

export interface LoadOptions {
  countryOf: CountryOf
  /** The pool of a property; what it throws is told of at the property's `origin`. */
  poolOf: (property: PropertyConfig) => OriginPool
  environment?: Record<string, string | undefined>
}

export interface LoadedConfig {
  readonly config: EdgeConfig
  readonly properties: PropertyTable
}

/** @throws BadInput when there is no such file, ConfigRefused when it is wrong */
export function loadConfig(file: string, options: LoadOptions): LoadedConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new BadInput(file, `the file cannot be read (${(error as Error).message})`, 'an edge.yaml')
  }
  return compileConfig(text, file, options)
}

/** The same from text; pages are looked for beside `file`. @throws ConfigRefused */
export function compileConfig(text: string, file: string, options: LoadOptions): LoadedConfig {
  const { config, refuse } = readConfig(text, file)
  const faults: ConfigFaultAt[] = []
  const context = {
    folder: dirname(file),
    environment: options.environment ?? process.env,
    fault: (path: (string | number)[], problem: string, expected: string) =>
      void faults.push(new ConfigFaultAt(path, problem, expected)),
  }
  const names = new Map<string, number>()
  const hosts = new Map<string, string>()
  const properties: CompiledProperty[] = []
  for (const [at, property] of config.properties.entries()) {
    const path = ['properties', at]
    if (names.has(property.name))
      context.fault([...path, 'name'], `${property.name} is there already`, 'a name of its own')
    names.set(property.name, at)
    for (const [index, host] of property.hosts.entries()) {
      const other = hosts.get(host)
      if (other !== undefined)
        context.fault([...path, 'hosts', index], `${host} belongs to ${other} already`, 'a host of one property only')
      hosts.set(host, property.name)
    }
    let pool: OriginPool
    try {
      pool = options.poolOf(property)
    } catch (error) {
      context.fault(
        [...path, 'origin'],
        (error as Error).message,
        'an address such as http://10.0.0.5:8080, or a pool with servers',
      )
      continue
    }
    properties.push(new CompiledProperty(property, path, context, { countryOf: options.countryOf, pool }))
  }
  if (faults.length > 0) throw refuse(faults)
  return { config, properties: new PropertyTable(properties) }
}
