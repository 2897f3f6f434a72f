/**
 * A dns.yaml: a state as it is, and what only this machine knows (where to listen, how many workers, files with keys and prefixes).
 * A wrong file is refused with the line of each fault and what would be right.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import Type, { type Static } from 'typebox'
import { ConfigFaultAt, readText } from '../core/config-text.ts'
import { BadInput } from '../core/errors.ts'
import { type CompiledMap, compileMaps } from './choice/maps.ts'
import { compile, wellView } from './compile.ts'
import { readKeyFile } from './dnssec/key-file.ts'
import { ClientMap, DNS_LIMITS, DnsState, Zone } from './state.ts'

const optional = Type.Optional
const FileName = Type.String({ minLength: 1, maxLength: 4_096, description: 'a file, relative to this one' })
const ListenAt = Type.String({ maxLength: 255, description: 'host:port such as 127.0.0.1:5353 or [::]:53' })

const ZoneInFile = Type.Object(
  {
    ...Zone.properties,
    keyFiles: optional(Type.Array(FileName, { maxItems: 8, description: 'files that `izumi dns keygen` wrote' })),
  },
  { additionalProperties: false, description: 'a zone: name, ttl, soa, records, keys, keyFiles' },
)
const MapInFile = Type.Object(
  { ...ClientMap.properties, prefixFile: optional(FileName) },
  { additionalProperties: false, description: 'a map: name, prefixes, prefixFile, countries, default' },
)

/** What this machine alone decides. */
const LOCAL = {
  listen: optional(
    Type.Union([ListenAt, Type.Array(ListenAt, { minItems: 1, maxItems: 64 })], {
      description: 'host:port, or a list of them; each by UDP and TCP',
    }),
  ),
  /** Processes' worth of cores; otherwise as many as there are. */
  workers: optional(Type.Integer({ minimum: 1, maximum: 256 })),
  /** False: every datagram is read and sent by itself, even where many at once could be. */
  batches: optional(Type.Boolean()),
  /** Metrics, health, explain. */
  admin: optional(ListenAt),
  log: optional(
    Type.Object(
      { every: Type.Integer({ minimum: 1, maximum: 1_000_000_000 }), file: optional(FileName) },
      {
        additionalProperties: false,
        description: 'log: every (one query of so many), file (otherwise standard output)',
      },
    ),
  ),
  /** Another MMDB than the free one that comes along. */
  countriesFile: optional(FileName),
}

export const DnsFile = Type.Object(
  {
    ...LOCAL,
    ...DnsState.properties,
    zones: Type.Array(ZoneInFile, { maxItems: DNS_LIMITS.zones, description: 'a list of zones' }),
    maps: optional(Type.Array(MapInFile, { maxItems: DNS_LIMITS.maps, description: 'a list of maps' })),
  },
  { additionalProperties: false },
)

export type LocalSettings = Omit<Static<typeof DnsFile>, keyof DnsState>

export interface DnsConfig {
  state: DnsState
  /** Its maps, compiled: a million prefixes are not to be read twice. */
  maps: CompiledMap[]
  local: LocalSettings
}

/** @throws BadInput when there is no such file, ConfigRefused when it is wrong */
export function loadDnsFile(file: string): DnsConfig {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new BadInput(file, `the file cannot be read (${(error as Error).message})`, 'a dns.yaml')
  }
  return readDnsText(text, file)
}

/** The same from text; files are looked for beside `file`. @throws ConfigRefused */
export function readDnsText(text: string, file: string): DnsConfig {
  const { config, refuse } = readText(DnsFile, text, file, DNS_LIMITS.fileBytes)
  const folder = dirname(file)
  const faults: ConfigFaultAt[] = []
  const tell = (path: (string | number)[], problem: string, expected: string) =>
    void faults.push(new ConfigFaultAt(path, problem, expected))
  const { listen, workers, batches, admin, log, countriesFile, ...rest } = config
  const at = (name: string) => resolve(folder, name)
  const state: DnsState = {
    ...rest,
    zones: rest.zones.map(({ keyFiles, ...zone }, number) => {
      const keys = [...(zone.keys ?? [])]
      for (const [index, name] of (keyFiles ?? []).entries())
        try {
          keys.push(readKeyFile(at(name)))
        } catch (error) {
          tell(['zones', number, 'keyFiles', index], (error as Error).message, 'a file that `izumi dns keygen` wrote')
        }
      return keys.length > 0 ? { ...zone, keys } : zone
    }),
    ...(rest.maps
      ? {
          maps: rest.maps.map(({ prefixFile, ...map }, number) =>
            prefixFile === undefined
              ? map
              : {
                  ...map,
                  prefixes: {
                    ...readPrefixFile(at(prefixFile), (problem, expected) =>
                      tell(['maps', number, 'prefixFile'], problem, expected),
                    ),
                    ...map.prefixes,
                  },
                },
          ),
        }
      : {}),
  }
  const local: LocalSettings = {
    listen,
    workers,
    batches,
    admin,
    log: log && { ...log, ...(log.file ? { file: at(log.file) } : {}) },
    countriesFile: countriesFile && at(countriesFile),
  }
  const maps = compileMaps(state, tell, { countriesFile: local.countriesFile })
  compile(state, maps, wellView(state), tell)
  if (faults.length > 0) throw refuse(faults)
  return { state, maps, local }
}

/** Faults of one prefix file told of. */
const FAULTS_TOLD = 5

/** Lines of `PREFIX SITE,SITE`, the preferred site first; `#` begins a comment. */
function readPrefixFile(file: string, tell: (problem: string, expected: string) => void): Record<string, string[]> {
  const prefixes: Record<string, string[]> = {}
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    tell(`${file} cannot be read (${(error as Error).message})`, 'a file of lines such as 203.0.113.0/24 tokyo,osaka')
    return prefixes
  }
  const lists = new Map<string, string[]>()
  let faults = 0
  for (const [at, line] of text.split('\n').entries()) {
    const said = line.replace(/#.*/, '').trim()
    if (said === '') continue
    const words = /^([0-9a-fA-F:.]+(?:\/\d+)?)\s+([\w.:-]+(?:,[\w.:-]+)*)$/.exec(said)
    if (words === null) {
      if (++faults <= FAULTS_TOLD)
        tell(
          `${file}:${at + 1}: ${JSON.stringify(said.slice(0, 60))} is wrong`,
          'a prefix and sites, such as 203.0.113.0/24 tokyo,osaka',
        )
      continue
    }
    let sites = lists.get(words[2]!)
    if (sites === undefined) {
      sites = words[2]!.split(',')
      lists.set(words[2]!, sites)
    }
    prefixes[words[1]!] = sites
  }
  return prefixes
}
