/**
 * Sign-in with somebody else's accounts: OpenID Connect, authorization code with PKCE (RFC 7636), state and nonce. The
 * flow's secrets wait in a short-lived cookie of the browser that began it, so any process can finish it. An account is
 * found by issuer and subject; the first time by an e-mail address that the provider has verified, of an account or of
 * an open invitation. Nobody is let in who was not invited.
 */
import * as oidc from 'openid-client'
import { NotSignedIn } from '../core/errors.ts'
import { type Instant, MINUTE_MS } from '../core/time.ts'
import { type Database, type Sql, sqlInstant } from '../database/connection.ts'
import type { Role } from './model.ts'
import { beginSession, type Session } from './sessions.ts'
import { addUser } from './users.ts'

export interface OidcSettings {
  issuer: string
  clientId: string
  clientSecret: string
  /** What the button says. */
  name: string
}

/** How long a person may take at the provider. */
export const OIDC_FLOW_MS = 10 * MINUTE_MS
const DISCOVERY_KEPT_MS = 60 * MINUTE_MS
const REQUEST_TIMEOUT_S = 10

/** The settings in the environment; null without an issuer. */
export function oidcFromEnvironment(env: NodeJS.ProcessEnv): OidcSettings | null {
  const issuer = env.IZUMI_OIDC_ISSUER
  if (!issuer) return null
  const clientId = env.IZUMI_OIDC_CLIENT_ID
  if (!clientId) throw new Error('IZUMI_OIDC_ISSUER is set; set IZUMI_OIDC_CLIENT_ID and IZUMI_OIDC_CLIENT_SECRET too.')
  return {
    issuer,
    clientId,
    clientSecret: env.IZUMI_OIDC_CLIENT_SECRET ?? '',
    name: env.IZUMI_OIDC_NAME ?? 'Single sign-on',
  }
}

/** What must be remembered between leaving for the provider and coming back. */
interface Flow {
  state: string
  nonce: string
  verifier: string
}

export class OidcSignIn {
  readonly settings: OidcSettings
  readonly #redirectUri: string
  #discovered: { configuration: oidc.Configuration; until: number } | null = null

  constructor(settings: OidcSettings, redirectUri: string) {
    this.settings = settings
    this.#redirectUri = redirectUri
  }

  async #configuration(): Promise<oidc.Configuration> {
    if (this.#discovered && this.#discovered.until > Date.now()) return this.#discovered.configuration
    const { issuer, clientId, clientSecret } = this.settings
    const configuration = await oidc.discovery(
      new URL(issuer),
      clientId,
      clientSecret || undefined,
      clientSecret ? oidc.ClientSecretBasic(clientSecret) : oidc.None(),
      {
        timeout: REQUEST_TIMEOUT_S,
        ...(issuer.startsWith('http://') ? { execute: [oidc.allowInsecureRequests] } : {}),
      },
    )
    this.#discovered = { configuration, until: Date.now() + DISCOVERY_KEPT_MS }
    return configuration
  }

  /** Where to send the person, and what the cookie keeps until they are back. */
  async begin(): Promise<{ address: string; cookie: string }> {
    const configuration = await this.#configuration()
    const flow: Flow = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
    }
    const address = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: this.#redirectUri,
      scope: 'openid email profile',
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: 'S256',
    })
    return { address: address.href, cookie: Buffer.from(JSON.stringify(flow)).toString('base64url') }
  }

  /**
   * Finishes a sign-in from the address that the person came back to.
   * @throws NotSignedIn when the provider's answer does not hold, or nobody here is meant by it
   */
  async finish(database: Database, query: string, cookie: string | undefined, now: Instant): Promise<Session> {
    const flow = readFlow(cookie)
    let who: Awaited<ReturnType<typeof oidc.authorizationCodeGrant>>
    try {
      who = await oidc.authorizationCodeGrant(await this.#configuration(), new URL(`${this.#redirectUri}?${query}`), {
        expectedState: flow.state,
        expectedNonce: flow.nonce,
        pkceCodeVerifier: flow.verifier,
        idTokenExpected: true,
      })
    } catch (error) {
      throw new NotSignedIn(`${this.settings.name} did not confirm who you are (${(error as Error).message}).`)
    }
    const claims = who.claims()!
    const verified = claims.email_verified === true && typeof claims.email === 'string'
    return database.transaction((sql) =>
      enter(
        sql,
        {
          issuer: claims.iss,
          subject: claims.sub,
          email: verified ? String(claims.email).toLowerCase() : null,
          name: typeof claims.name === 'string' && claims.name !== '' ? claims.name.slice(0, 200) : null,
        },
        now,
      ),
    )
  }
}

function readFlow(cookie: string | undefined): Flow {
  try {
    const flow = JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString()) as Flow
    if ([flow.state, flow.nonce, flow.verifier].every((part) => typeof part === 'string' && part.length >= 20))
      return flow
  } catch {
    // Not a flow: refused below.
  }
  throw new NotSignedIn('This sign-in was begun in another browser or took too long; begin again.')
}

interface Person {
  issuer: string
  subject: string
  email: string | null
  name: string | null
}

/** The session of whoever is meant. */
async function enter(sql: Sql, person: Person, now: Instant): Promise<Session> {
  const [user] = await sql.query<{ id: string; partyId: string; name: string; linked: boolean }>(
    `select u.id, u.party_id as "partyId", u.name, u.oidc_subject is not null as linked
     from app_user u join party p on p.id = u.party_id
     where u.status = 'active' and p.status = 'active'
       and ((u.oidc_issuer = $1 and u.oidc_subject = $2) or (u.oidc_subject is null and u.email = $3))
     order by linked desc limit 1`,
    [person.issuer, person.subject, person.email],
  )
  if (user) {
    if (!user.linked)
      await sql.query('update app_user set oidc_issuer = $2, oidc_subject = $3 where id = $1', [
        user.id,
        person.issuer,
        person.subject,
      ])
    return beginSession(sql, user, 'oidc', now)
  }
  const [invitation] =
    person.email === null
      ? []
      : await sql.query<{ partyId: string; role: Role }>(
          `update invitation set accepted_at = $2 where id = (
             select i.id from invitation i join party p on p.id = i.party_id
             where i.email = $1 and i.accepted_at is null and i.expires_at > $2 and p.status = 'active'
             order by i.id desc limit 1)
           returning party_id as "partyId", role`,
          [person.email, sqlInstant(now)],
        )
  if (!invitation || person.email === null)
    throw new NotSignedIn(
      `There is no account for ${person.email ?? 'this person (the provider gave no verified e-mail address)'} here; ask to be invited.`,
    )
  const added = await addUser(
    sql,
    {
      ...invitation,
      email: person.email,
      name: person.name ?? person.email,
      locale: 'en',
      passwordHash: null,
    },
    null,
  )
  await sql.query('update app_user set oidc_issuer = $2, oidc_subject = $3 where id = $1', [
    added.id,
    person.issuer,
    person.subject,
  ])
  return beginSession(sql, added, 'oidc', now)
}
