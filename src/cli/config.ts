/** Whom the command line talks to and as whom: environment first, then what `izumi sign-in` has kept. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

export interface Config {
  url: string
  /** An API key, sent as a bearer token. */
  apiKey: string | null
  /** A session's token, sent as a cookie. */
  session: string | null
  /** The party's time zone, in which instants are shown; the machine's when null. */
  timeZone: string | null
}

const DEFAULT_URL = 'http://127.0.0.1:8080'

const file = (): string => join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'izumi', 'config.json')

/** Where the sign-in is kept. */
export const configFile = file

/** What applies now. `url` on the command line wins. */
export function readConfig(url?: string): Config {
  let kept: Partial<Config> = {}
  try {
    kept = JSON.parse(readFileSync(file(), 'utf8'))
  } catch {
    // Nobody has signed in yet.
  }
  const address = (url ?? process.env.IZUMI_URL ?? kept.url ?? DEFAULT_URL).replace(/\/+$/, '')
  if (process.env.IZUMI_API_KEY)
    return { url: address, apiKey: process.env.IZUMI_API_KEY, session: null, timeZone: null }
  // A credential goes only to the server that gave it.
  const isSame = kept.url === address
  return {
    url: address,
    apiKey: (isSame && kept.apiKey) || null,
    session: (isSame && kept.session) || null,
    timeZone: (isSame && kept.timeZone) || null,
  }
}

/** Keeps a sign-in, for this user's eyes only. */
export function writeConfig(config: Config): void {
  mkdirSync(dirname(file()), { recursive: true, mode: 0o700 })
  writeFileSync(file(), `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
}

export const forgetConfig = (): void => rmSync(file(), { force: true })
