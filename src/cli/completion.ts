/** Completion for bash, zsh and fish, written out whole from the list of commands: completing asks nothing of a server. */
import { NOUNS } from './commands.ts'
import { operation } from './description.ts'
import { BadWords, optionsOf } from './input.ts'

const OWN = [
  'sign-in',
  'sign-out',
  'whoami',
  'backup',
  'restore',
  'replay',
  'import-samples',
  'edge',
  'completion',
  'api',
  'help',
]
const GLOBAL = ['--json', '--url', '--all', '--help']

interface Word {
  noun: string
  verb: string
  flags: string[]
}

function words(): { nouns: string[]; verbs: Map<string, string[]>; commands: Word[] } {
  const commands = NOUNS.flatMap(({ name, commands }) =>
    commands.map(({ verb, operation: target }) => ({
      noun: name,
      verb,
      flags: [...optionsOf(operation(target)).map(({ flag }) => flag), ...GLOBAL],
    })),
  )
  const verbs = new Map(NOUNS.map(({ name, commands }) => [name, commands.map(({ verb }) => verb)]))
  verbs.get('events')!.push('follow')
  return { nouns: [...NOUNS.map(({ name }) => name), ...OWN], verbs, commands }
}

/** The script for a shell. @throws BadWords for another shell */
export function completionScript(shell: string): string {
  const { nouns, verbs, commands } = words()
  if (shell === 'bash')
    return `# izumi completion for bash: source <(izumi completion bash)
_izumi() {
  local cur=\${COMP_WORDS[COMP_CWORD]} noun=\${COMP_WORDS[1]} verb=\${COMP_WORDS[2]} words
  if [ "$COMP_CWORD" -eq 1 ]; then words="${nouns.join(' ')}"
  else case "$noun $verb" in
${commands.map(({ noun, verb, flags }) => `    "${noun} ${verb}") words="${flags.join(' ')}" ;;`).join('\n')}
    *) words="${GLOBAL.join(' ')}" ;;
  esac
  if [ "$COMP_CWORD" -eq 2 ]; then case "$noun" in
${[...verbs].map(([noun, list]) => `    ${noun}) words="${list.join(' ')} ${GLOBAL.join(' ')}" ;;`).join('\n')}
    completion) words="bash zsh fish" ;;
    backup|restore|replay|import-samples) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac; fi; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _izumi izumi
`
  if (shell === 'zsh')
    return `#compdef izumi
# izumi completion for zsh: source <(izumi completion zsh)
_izumi() {
  if (( CURRENT == 2 )); then compadd ${nouns.join(' ')}; return; fi
  if (( CURRENT == 3 )); then case $words[2] in
${[...verbs].map(([noun, list]) => `    ${noun}) compadd ${list.join(' ')} ;;`).join('\n')}
    completion) compadd bash zsh fish ;;
    backup|restore|replay|import-samples) _files ;;
  esac; fi
  case "$words[2] $words[3]" in
${commands.map(({ noun, verb, flags }) => `    "${noun} ${verb}") compadd -- ${flags.join(' ')} ;;`).join('\n')}
    *) compadd -- ${GLOBAL.join(' ')} ;;
  esac
}
compdef _izumi izumi
`
  if (shell === 'fish')
    return `# izumi completion for fish: izumi completion fish | source
complete -c izumi -f
complete -c izumi -n __fish_use_subcommand -a '${nouns.join(' ')}'
${[...verbs].map(([noun, list]) => `complete -c izumi -n '__fish_seen_subcommand_from ${noun}; and not __fish_seen_subcommand_from ${list.join(' ')}' -a '${list.join(' ')}'`).join('\n')}
${commands.flatMap(({ noun, verb, flags }) => flags.map((flag) => `complete -c izumi -n '__fish_seen_subcommand_from ${noun}; and __fish_seen_subcommand_from ${verb}' -l ${flag.slice(2)}`)).join('\n')}
complete -c izumi -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
complete -c izumi -n '__fish_seen_subcommand_from backup restore replay import-samples' -F
`
  throw new BadWords(`There is no completion for ${shell}; there is one for bash, zsh and fish.`)
}
