/**
 * The one face of a service family. An offering names its family; an order asks the family what capacity a choice takes;
 * delivery asks it what each node must run; usage asks it what is measured. A family is a folder in
 * `services/families/` and one line in the list that `main.ts` hands to the platform.
 */
import type { TObject } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { BadInput, NotFound, Refusal } from '../core/errors.ts'
import type { Quantity } from '../core/quantity.ts'

/** Wrong fields named in one refusal. */
const MAX_FIELD_PROBLEMS = 20

/** An amount of one kind of capacity at one site that a choice takes. */
export interface Demand {
  /** Site code. */
  site: string
  /** Resource kind code. */
  kind: string
  quantity: Quantity
  /** Standby is held at `site` against the failure of the site it `protects`. */
  type: 'firm' | 'standby'
  protects?: string
}

/** What one node, or the people at one site, must make true for a service. */
export interface NodeState {
  /** The node's name; `people@<site>` for work orders to the staff of a site. */
  node: string
  /** Stable within the service, so that a new state replaces the old one. */
  key: string
  kind: string
  body: Record<string, unknown>
}

/** One measured quantity of a family and how it reads. */
export interface Meter {
  code: string
  name: string
  nameJa: string
  unit: string
  /** `reserved`: derived from the reservation rows; `counter`: grows, read as differences; `gauge`: a level. */
  reading: 'reserved' | 'counter' | 'gauge'
}

/** A slot that capacity has assigned: what people or nodes are told to use. */
export interface Placement {
  site: string
  kind: string
  container: string
  labels: string[]
  start: number
  length: number
}

/** A service as its family sees it when saying what must run. */
export interface ServiceToRun<Config> {
  id: string
  name: string
  party: string
  config: Config
  placements: Placement[]
}

export interface ServiceFamily<Config = unknown> {
  name: string
  /** What the customer chooses: titles in English, Japanese under `x-ja`; drives the API, the CLI and the form. */
  config: TObject
  /** Rules a schema cannot say; throws `BadInput`. */
  check?(config: Config): void
  demands(config: Config, quantity: number): Demand[]
  desired(service: ServiceToRun<Config>): NodeState[]
  meters: Meter[]
  /** Where the service wants to stand to its party's other services. */
  placement?(config: Config): {
    apart?: 'container' | 'fault-domain' | 'site'
    together?: 'container' | 'fault-domain' | 'site'
  }
}

const validators = new WeakMap<TObject, Validator>()

/** The compiled schema of a family; compiled once. */
function validatorOf(schema: TObject): Validator {
  let validator = validators.get(schema)
  if (!validator) {
    validator = Compile(schema) as unknown as Validator
    validators.set(schema, validator)
  }
  return validator
}

/**
 * A choice merged over an offering's defaults, checked against the family's schema.
 * @throws BadInput with every wrong field when the choice does not fit.
 */
export function checkedConfig<Config>(
  family: ServiceFamily<Config>,
  defaults: Record<string, unknown>,
  choice: Record<string, unknown>,
): Config {
  const config = { ...defaults, ...choice }
  const validator = validatorOf(family.config)
  if (!validator.Check(config)) {
    const fields = [...validator.Errors(config)]
      .filter(({ keyword }) => keyword !== 'boolean')
      .slice(0, MAX_FIELD_PROBLEMS)
      .map(({ instancePath, message, params }) => ({
        at: `/config${instancePath}`,
        problem: message,
        expected: JSON.stringify(params),
      }))
    throw new Refusal(
      'bad-input',
      400,
      `The configuration does not fit the family ${family.name}: ${fields.map(({ at, problem }) => `${at} ${problem}`).join('; ')}`,
      fields,
    )
  }
  family.check?.(config as Config)
  return config as Config
}

/**
 * The family an offering names.
 * @throws NotFound when this program has no such family.
 */
export function familyOf(families: readonly ServiceFamily[], name: string): ServiceFamily {
  const family = families.find((one) => one.name === name)
  if (!family) throw new NotFound('service family', name)
  return family
}

/**
 * What a choice takes.
 * @throws BadInput when it takes nothing, which nobody means.
 */
export function demandsOf<Config>(family: ServiceFamily<Config>, config: Config): Demand[] {
  const demands = family.demands(config, 1).filter((demand) => demand.quantity > 0)
  if (demands.length === 0)
    throw new BadInput('/config', 'nothing was chosen', 'an amount of at least one kind of capacity')
  return demands
}
