/** From the text of an edge.yaml to the table of its properties: read, checked, compiled. All faults are told of in one refusal. */
import { dirname } from 'node:path'
import type { OriginPool } from '../message.ts'
import { CompiledProperty } from './compile.ts'
import type { CountryOf } from './countries.ts'
import { PropertyTable } from './properties.ts'
import { RateLimit } from './rate.ts'
import { ConfigFaultAt, readConfig } from './read.ts'
import type { EdgeConfig, PropertyConfig } from './schema.ts'
import type { CompileContext } from './settings.ts'

export interface LoadOptions {
  countryOf: CountryOf
  /** The pool of a property; what it throws is told of at the property's `origin`. */
  poolOf: (property: PropertyConfig) => OriginPool
  /** What file names in it are relative to. */
  folder?: string
  environment?: Record<string, string | undefined>
  /** The rate limit of this name, which a reload keeps; a new one where it is left out. */
  limitOf?: (name: string, make: () => RateLimit) => RateLimit
}

export interface LoadedConfig {
  readonly config: EdgeConfig
  readonly properties: PropertyTable
}

/** `name`: of the file, for messages; pages are looked for beside it unless `folder` says where. @throws ConfigRefused */
export function compileConfig(text: string, name: string, options: LoadOptions): LoadedConfig {
  const { config, refuse } = readConfig(text, name)
  const faults: ConfigFaultAt[] = []
  const limitsSaid = new Map<string, number>()
  const context: CompileContext = {
    folder: options.folder ?? dirname(name),
    environment: options.environment ?? process.env,
    limitOf: (path, said, rule) => {
      // Rules move as others come before them, so a limit is known by its property and what it says.
      const alike = JSON.stringify([config.properties[path[1] as number]!.name, said])
      const before = limitsSaid.get(alike) ?? 0
      limitsSaid.set(alike, before + 1)
      const make = () => new RateLimit(rule)
      return options.limitOf?.(`${alike}${before}`, make) ?? make()
    },
    fault: (path, problem, expected) => void faults.push(new ConfigFaultAt(path, problem, expected)),
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
