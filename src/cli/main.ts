/**
 * `izumi`: the whole API from a terminal. Commands are nouns and verbs of `commands.ts`; their options come from the API's
 * own description. Exit status: 0 done, 1 refused or failed, 2 the words were wrong, 3 nothing answers.
 */
import { Command, CommanderError, Option } from 'commander'
import { Refusal } from '../core/errors.ts'
import { Refused, send, Unreachable } from './client.ts'
import { NOUNS } from './commands.ts'
import { completionScript } from './completion.ts'
import { readConfig } from './config.ts'
import { operation } from './description.ts'
import { addDns } from './dns.ts'
import { addEdge } from './edge.ts'
import { follow } from './follow.ts'
import { BadWords, kebab, optionsOf } from './input.ts'
import { type Global, runCommand } from './run.ts'
import { signInCommand, signOutCommand, whoAmI } from './sign-in.ts'

const EXIT = { refused: 1, words: 2, unreachable: 3 } as const

const program = new Command('izumi')
  .description('Sell and run Internet services on demand: the whole of Izumi from a terminal.')
  .option('--url <address>', 'the server (or IZUMI_URL; otherwise the one signed in to, or http://127.0.0.1:8080)')
  .option('--json', 'answer as JSON, for programs')
  .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
  .showHelpAfterError('Add --help to see what is known.')
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples
  izumi sign-in --email operator@izumi.example
  izumi sites                                     the sites; --json with pools and steps
  izumi availability --site yokohama-1            what is free
  izumi orders add --offering colocation-hourly --config site=yokohama-1,power=2
  izumi invoices --state issued                   then: izumi invoices show ID
  izumi events follow                             changes as they happen
  izumi backup today.backup --data data/demo
  izumi edge --origin http://127.0.0.1:3000       a CDN edge in front of a web server

IZUMI_URL and IZUMI_API_KEY name server and key without signing in.`,
  )

const globals = (command: Command): Global => command.optsWithGlobals<Global>()
const configOf = (command: Command) => readConfig(globals(command).url)

for (const noun of NOUNS) {
  const group = program.command(noun.name).description(noun.about).exitOverride()
  for (const [index, command] of noun.commands.entries()) {
    const target = operation(command.operation)
    const words = target.parameters.filter((parameter) => parameter.in === 'path')
    const added = group
      .command(command.verb, { isDefault: index === 0 })
      .description(target.summary)
      .exitOverride()
      .addHelpText(
        'after',
        `\n${target.description.split('\n\n').at(-1)}${command.examples ? `\n\nExamples\n${command.examples.map((example) => `  ${example}`).join('\n')}` : ''}`,
      )
    for (const word of words) added.argument(`<${kebab(word.name)}>`, word.description ?? '')
    for (const option of optionsOf(target)) {
      const made = new Option(`${option.flag} <value>`, `${option.description}${option.required ? ' [needed]' : ''}`)
      if (option.repeated) made.argParser<string[]>((value, before) => [...(before ?? []), value])
      added.addOption(made)
    }
    if (target.method === 'PATCH') added.option('--version <number>', 'only if it still is this version')
    if (target.parameters.some(({ name }) => name === 'cursor')) added.option('--all', 'every page')
    if (command.verb === 'pdf') added.option('--output <file>', 'where to write it')
    added.action(async (...given: unknown[]) => {
      const said = given.slice(0, words.length) as string[]
      await runCommand(command, configOf(added), said, added.opts(), globals(added))
    })
  }
  if (noun.name === 'events') {
    const following = group
      .command('follow')
      .description('Changes as they happen')
      .option('--type <type>', 'a type such as order.completed, or order.*')
      .option('--count <number>', 'stop after so many')
      .exitOverride()
    following.action(() => {
      const { type, count } = following.opts<{ type?: string; count?: string }>()
      return follow(configOf(following), {
        type,
        count: count === undefined ? undefined : Number(count),
        json: globals(following).json,
      })
    })
  }
}

const signIn = program
  .command('sign-in')
  .description('Sign in, and keep it for later commands')
  .option('--email <address>', 'who; the password is asked for (or IZUMI_PASSWORD)')
  .option('--api-key [key]', 'keep an API key instead')
signIn.action(() => signInCommand(configOf(signIn), signIn.opts()))
const signOut = program.command('sign-out').description('Forget the sign-in')
signOut.action(() => signOutCommand(configOf(signOut)))
const whoami = program.command('whoami').description('Who is signed in')
whoami.action(() => whoAmI(configOf(whoami), globals(whoami).json === true))

const DATA = ['--data <folder>', "the data folder (or IZUMI_DATA; DATABASE_URL for a PostgreSQL of one's own)"] as const
const backup = program
  .command('backup')
  .description('Write the whole database to one file, while everything runs')
  .argument('<file>')
  .option(...DATA)
backup.action(async (file: string) => (await import('./local.ts')).backupCommand(file, backup.optsWithGlobals()))
const restoring = program
  .command('restore')
  .description('Fill an empty database from a backup')
  .argument('<file>')
  .option(...DATA)
restoring.action(async (file: string) => (await import('./local.ts')).restoreCommand(file, restoring.optsWithGlobals()))
const replay = program
  .command('replay')
  .description('Play recorded orders through the same code as the API, and bill them')
  .argument('<file>', 'arrival_s,batch,vcpu,memory_gb,lifetime_s,ended; plain or gzipped')
  .option(...DATA)
  .option('--offering <code>', 'under which the orders are placed', 'colocation-hourly')
  .option('--sites <codes>', 'the two sites, the larger first', 'yokohama-1,saitama-1')
  .option('--start <instant>', 'when the first order arrives; otherwise so that the months are over')
replay.action(async (file: string) => (await import('./local.ts')).replayCommand(file, replay.optsWithGlobals()))

const importing = program
  .command('import-samples')
  .description('Take a history of bandwidth samples, whole days at a time')
  .argument('<file>', 'lines of meter,time,octets in,octets out')
  .option(...DATA)
importing.action(async (file: string) =>
  (await import('./local.ts')).importSamplesCommand(file, importing.optsWithGlobals()),
)

addEdge(program)
addDns(program)

program
  .command('completion')
  .description('Completion for a shell: source <(izumi completion bash)')
  .argument('<shell>', 'bash, zsh or fish')
  .action((shell: string) => {
    process.stdout.write(completionScript(shell))
  })

const raw = program
  .command('api')
  .description('Any request to the API: izumi api GET /sites')
  .argument('<method>')
  .argument('<path>')
  .option('--body <json>', 'what to send')
raw.action(async (method: string, path: string) => {
  const { body } = raw.opts<{ body?: string }>()
  let parsed: unknown
  try {
    parsed = body === undefined ? undefined : JSON.parse(body)
  } catch (error) {
    throw new BadWords(`--body is not JSON: ${(error as Error).message}.`)
  }
  const patch = method.toUpperCase() === 'PATCH' ? { ifMatch: '*' } : {}
  const response = await send(configOf(raw), method.toUpperCase(), path.startsWith('/') ? path : `/${path}`, {
    ...patch,
    body: parsed,
  })
  process.stdout.write(`${(await response.text()) || 'Done.'}\n`)
})

const complain = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

/** What went wrong, and what to do about it. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.words
  if (error instanceof BadWords) {
    complain(error.message)
    return EXIT.words
  }
  if (error instanceof Unreachable) {
    complain(error.message)
    return EXIT.unreachable
  }
  if (error instanceof Refused) {
    if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify(error.facts, null, 2)}\n`)
    complain(error.message)
    if (error.fields.length > 1 || (error.fields.length === 1 && !error.message.includes(error.fields[0]!.at)))
      for (const { at, problem, expected } of error.fields) complain(`  ${at}: ${problem}; expected ${expected}`)
    if (error.status === 401) complain('Sign in with `izumi sign-in`, or set IZUMI_API_KEY.')
    return EXIT.refused
  }
  if (error instanceof Refusal) {
    complain(error.message)
    return EXIT.refused
  }
  complain((error as Error).stack ?? String(error))
  return EXIT.refused
}

// A reader that has seen enough (`izumi events | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
})

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = explain(error)
}
