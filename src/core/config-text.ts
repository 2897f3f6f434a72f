/**
 * From the text of a configuration file (YAML, so JSON as well) to a checked value, or to a refusal that says for each fault in
 * which line it is and what would be right. Nothing of a refused file takes effect.
 */
import type { Static, TSchema } from 'typebox'
import { type Document, isMap, LineCounter, parseDocument } from 'yaml'
import { check, type Path } from './check.ts'
import { Refusal } from './errors.ts'

/** One fault: where in the file, what is wrong, what would be right. */
export interface ConfigFault {
  line: number
  column: number
  /** Such as `properties[0].rules[2].ttl`. */
  at: string
  problem: string
  expected: string
}

/** Uses of YAML aliases that are followed: a few lines must not become gigabytes. */
const ALIASES = 10_000

/** Faults told of at once; the rest is only counted. */
const FAULTS_TOLD = 20

export class ConfigRefused extends Refusal {
  readonly faults: readonly ConfigFault[]
  constructor(name: string, faults: readonly ConfigFault[]) {
    const told = faults.slice(0, FAULTS_TOLD)
    const lines = told.map(
      ({ line, column, at, problem, expected }) =>
        `  ${name}:${line}:${column}  ${at === '' ? '' : `${at}: `}${problem}${expected === '' ? '' : `; expected ${expected}`}`,
    )
    if (faults.length > told.length) lines.push(`  and ${faults.length - told.length} more`)
    super(
      'wrong-configuration',
      400,
      `${name} is not taken; whatever was in force stays in force.\n${lines.join('\n')}`,
      told.map(({ at, problem, expected }) => ({ at, problem, expected })),
      { faults: told },
    )
    this.faults = faults
  }
}

/** A fault that only the compiler sees (a host twice, a file that is not there); `path` leads to the value. */
export class ConfigFaultAt extends Error {
  readonly path: Path
  readonly expected: string
  constructor(path: Path, problem: string, expected: string) {
    super(problem)
    this.path = path
    this.expected = expected
  }
}

/** A configuration with the way back to its lines. */
export interface ReadText<T> {
  config: T
  /** Makes the refusal for faults found later on. */
  refuse(faults: readonly ConfigFaultAt[]): ConfigRefused
}

/**
 * Reads and checks against `schema`. `name` is the file's, for messages.
 * @throws ConfigRefused
 */
export function readText<Schema extends TSchema>(
  schema: Schema,
  text: string,
  name: string,
  limitBytes: number,
): ReadText<Static<Schema>> {
  if (text.length > limitBytes)
    throw new ConfigRefused(name, [
      { line: 1, column: 1, at: '', problem: 'the file is too large', expected: `at most ${limitBytes} bytes` },
    ])
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, merge: true })
  if (document.errors.length > 0)
    throw new ConfigRefused(
      name,
      document.errors.map((error) => {
        const { line, col } = counter.linePos(error.pos[0])
        return {
          line,
          column: col,
          at: '',
          problem: error.message.split('\n')[0]!.replace(/ at line.*$/, ''),
          expected: '',
        }
      }),
    )
  const place = (path: Path) => positionOf(document, counter, path)
  const refuse = (faults: readonly ConfigFaultAt[]) =>
    new ConfigRefused(
      name,
      faults.map(({ path, message, expected }) => ({ ...place(path), at: written(path), problem: message, expected })),
    )
  let data: unknown
  try {
    data = document.toJS({ maxAliasCount: ALIASES })
  } catch (error) {
    throw refuse([new ConfigFaultAt([], (error as Error).message, 'aliases of what stands above them')])
  }
  const faults: ConfigFaultAt[] = []
  check(schema, data, (path, problem, expected) => void faults.push(new ConfigFaultAt(path, problem, expected)))
  if (faults.length > 0) throw refuse(faults)
  return { config: data as Static<Schema>, refuse }
}
/** Where a value stands; for one that is missing, where it would belong. A key that is not known stands at its own name. */
function positionOf(document: Document, counter: LineCounter, path: Path): { line: number; column: number } {
  for (let length = path.length; length >= 0; length--) {
    const parent = length > 0 ? document.getIn(path.slice(0, length - 1), true) : null
    if (isMap(parent)) {
      const pair = parent.items.find(
        (item) => String((item.key as { value?: unknown })?.value ?? item.key) === String(path[length - 1]),
      )
      const range = (pair?.key as { range?: [number, number, number] } | undefined)?.range
      if (range) {
        const { line, col } = counter.linePos(range[0])
        return { line, column: col }
      }
    }
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true)
    const range = (node as { range?: [number, number, number] } | null)?.range
    if (range) {
      const { line, col } = counter.linePos(range[0])
      return { line, column: col }
    }
  }
  return { line: 1, column: 1 }
}

const written = (path: Path): string =>
  path.map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${part}`)).join('')
