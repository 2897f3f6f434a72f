/** Carries out one command that is a request, and shows the answer: a table for people, JSON for programs. */
import { writeFileSync } from 'node:fs'
import { send, sendJson } from './client.ts'
import type { Command } from './commands.ts'
import type { Config } from './config.ts'
import { type Operation, operation } from './description.ts'
import { BadWords, optionsOf, readRequest } from './input.ts'
import { progressOf } from './progress.ts'
import { card, columnsOf, readerLocale, table, Writer } from './table.ts'

export interface Global {
  json?: boolean
  url?: string
  version?: string
  all?: boolean
  output?: string
}

interface Page {
  items: Record<string, unknown>[]
  next: string | null
}

const isPage = (answer: unknown): answer is Page =>
  typeof answer === 'object' && answer !== null && Array.isArray((answer as Page).items) && 'next' in answer

const width = (): number | undefined => (process.stdout.isTTY ? process.stdout.columns : undefined)

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** The address of an operation with its parameters filled in. */
export function addressOf(
  { path, parameters }: Operation,
  words: readonly string[],
  query: Record<string, string>,
): string {
  const names = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)
  const filled = path.replace(/\{([A-Za-z]+)\}/g, (_, name: string) =>
    encodeURIComponent(words[names.indexOf(name)] ?? ''),
  )
  const search = new URLSearchParams(query).toString()
  return search === '' ? filled : `${filled}?${search}`
}

/** @throws Refused, Unreachable, BadWords */
export async function runCommand(
  command: Command,
  config: Config,
  words: readonly string[],
  given: Record<string, unknown>,
  global: Global,
): Promise<void> {
  const target = operation(command.operation)
  const options = optionsOf(target)
  const missing = options.filter(
    ({ required, flag }) =>
      required &&
      given[flag.slice(2).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())] === undefined,
  )
  if (missing.length > 0)
    throw new BadWords(`This needs ${missing.map(({ flag }) => flag).join(', ')} as well; see --help.`)
  const { query, body } = readRequest(options, given)
  if (command.verb === 'pdf') {
    const response = await send(config, target.method, addressOf(target, words, query))
    const file = global.output ?? `invoice-${words[0]}.pdf`
    writeFileSync(file, Buffer.from(await response.arrayBuffer()))
    print(global.json ? JSON.stringify({ file }) : `Written to ${file}`)
    return
  }
  const limit = query.limit
  // For programs, and where all was asked for, pages are read to the end.
  const wholeList = limit === undefined && (global.json || global.all)
  if (wholeList && options.some(({ path }) => path[0] === 'limit')) query.limit = '200'
  const ifMatch = target.method === 'PATCH' ? (global.version ? `"${global.version}"` : '*') : undefined
  const isSaid = body !== undefined && (Object.keys(body).length > 0 || target.method === 'PATCH')
  const progress = progressOf(`${target.method === 'GET' ? 'Reading' : 'Working'}…`)
  let answer: unknown
  try {
    answer = await sendJson<unknown>(config, target.method, addressOf(target, words, query), {
      ...(isSaid ? { body } : {}),
      ifMatch,
    })
    if (isPage(answer) && wholeList)
      for (let next = answer.next; next !== null; ) {
        progress.say(`Reading… ${answer.items.length}`)
        const page: Page = await sendJson(config, 'GET', addressOf(target, words, { ...query, cursor: next }))
        answer.items.push(...page.items)
        next = page.next
      }
  } finally {
    progress.end()
  }
  show(command, answer, config, global)
}

function show(command: Command, answer: unknown, config: Config, global: Global): void {
  if (global.json) {
    print(JSON.stringify(isPage(answer) ? answer.items : (answer ?? null), null, 2))
  } else if (answer === undefined) {
    print('Done.')
  } else {
    const writer = new Writer(readerLocale(), config.timeZone ?? undefined)
    const rows = isPage(answer)
      ? answer.items
      : command.rows
        ? ((answer as Record<string, unknown>)[command.rows] as Record<string, unknown>[])
        : null
    if (rows === null) print(card(answer, writer, width()))
    else if (rows.length === 0) print('None.')
    else print(table(rows, command.columns ?? columnsOf(rows), writer, width()))
    if (isPage(answer) && answer.next !== null) print(`\nThere is more: add --all, or --limit up to 200.`)
  }
  // The audit is for monitoring: what it finds is a failure.
  if (command.operation === 'GET /capacity/audit' && (answer as { ok?: boolean }).ok === false) process.exitCode = 1
}
