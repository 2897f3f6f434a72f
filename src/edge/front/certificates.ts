/**
 * Which certificate answers for which name (RFC 6066 §3): the exact name, then a wildcard for its first label (RFC 6125
 * §6.4.3), then the default, which is the first. Contexts are made once for each configuration and swapped as a whole, so a
 * reload touches no connection.
 */
import { createSecureContext, type SecureContext } from 'node:tls'

export interface Certificate {
  /** Host names, lower-case; `*.example.jp` stands for one label. */
  names: readonly string[]
  /** PEM: the certificate, then those that lead to its root. */
  certificate: string
  key: string
}

export class Certificates {
  readonly #byName = new Map<string, SecureContext>()
  /** Null: there is none yet, and handshakes fail. */
  readonly first: Certificate | null
  readonly #default: SecureContext | null

  /** @throws when a key does not belong to its certificate, or is none. */
  constructor(certificates: readonly Certificate[], options: { minVersion: 'TLSv1.2' | 'TLSv1.3' }) {
    this.first = certificates[0] ?? null
    const contexts = certificates.map(({ certificate, key }) =>
      createSecureContext({ cert: certificate, key, minVersion: options.minVersion, honorCipherOrder: true }),
    )
    this.#default = contexts[0] ?? null
    certificates.forEach(({ names }, index) => {
      for (const name of names) if (!this.#byName.has(name)) this.#byName.set(name, contexts[index]!)
    })
  }

  find(serverName: string): SecureContext | null {
    const name = serverName.toLowerCase()
    const dot = name.indexOf('.')
    return this.#byName.get(name) ?? (dot < 0 ? null : this.#byName.get(`*${name.slice(dot)}`)) ?? this.#default
  }
}
