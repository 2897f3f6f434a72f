/** `izumi sign-in`: asks for the password without showing it, and keeps the session (or an API key) for later commands. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { send, sendJson } from './client.ts'
import { type Config, configFile, forgetConfig, writeConfig } from './config.ts'
import { BadWords } from './input.ts'

interface Me {
  user: { name: string; email: string } | null
  party: { name: string; kind: string; timeZone: string }
  role: string
}

const nameOf = (me: Me): string => `${me.user?.name ?? 'an API key'}, ${me.role} of ${me.party.name}`

/** Asks on the terminal; a hidden answer is not echoed. Without a terminal, a line of standard input. */
function ask(question: string, hidden = false): Promise<string> {
  process.stderr.write(question)
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({
    input: process.stdin,
    output: hidden ? output : process.stderr,
    terminal: process.stdin.isTTY,
  })
  return new Promise((resolve, reject) => {
    reader.once('line', (line) => {
      if (hidden) process.stderr.write('\n')
      resolve(line)
      reader.close()
    })
    reader.once('close', () => reject(new BadWords('Nothing was typed.')))
  })
}

export async function signInCommand(
  config: Config,
  options: { email?: string; apiKey?: string | boolean },
): Promise<void> {
  if (options.apiKey !== undefined) {
    const apiKey = typeof options.apiKey === 'string' ? options.apiKey : await ask('API key: ', true)
    const kept = { url: config.url, apiKey: apiKey.trim(), session: null, timeZone: null }
    const me = await sendJson<Me>(kept, 'GET', '/me')
    writeConfig({ ...kept, timeZone: me.party.timeZone })
    process.stdout.write(`Signed in at ${config.url} as ${nameOf(me)}.\n`)
    return
  }
  const email = options.email ?? (await ask('E-mail: '))
  const password = process.env.IZUMI_PASSWORD ?? (await ask('Password: ', true))
  const response = await send({ ...config, apiKey: null, session: null }, 'POST', '/sign-in', {
    body: { email, password },
  })
  const session = /izumi_session=([^;]+)/.exec(response.headers.get('set-cookie') ?? '')?.[1] ?? null
  const me = (await response.json()) as Me
  writeConfig({ url: config.url, apiKey: null, session, timeZone: me.party.timeZone })
  process.stdout.write(`Signed in at ${config.url} as ${nameOf(me)}. Kept in ${configFile()}.\n`)
}

export async function signOutCommand(config: Config): Promise<void> {
  if (config.session !== null) await send(config, 'POST', '/sign-out').catch(() => {})
  forgetConfig()
  process.stdout.write('Signed out.\n')
}

export async function whoAmI(config: Config, json: boolean): Promise<void> {
  const me = await sendJson<Me>(config, 'GET', '/me')
  process.stdout.write(json ? `${JSON.stringify(me, null, 2)}\n` : `${nameOf(me)}, at ${config.url}\n`)
}
