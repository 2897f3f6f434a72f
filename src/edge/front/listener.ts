/**
 * One address and port that takes connections for the front: plain or TLS 1.2/1.3 (RFC 8446, RFC 5246), with or without a
 * PROXY protocol header before the first byte. Closing it takes no connection away.
 */
import { type AddressInfo, BlockList, createServer, isIPv6, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { type Certificate, Certificates } from './certificates.ts'
import type { Front } from './front.ts'
import { type Peer, setPeer } from './peer.ts'
import { parseProxyHeader } from './proxy-protocol.ts'

export interface TlsSettings {
  /** As text, or made into contexts already, which is worth it where several listeners share them. */
  certificates: readonly Certificate[] | Certificates
  minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** 48 random bytes that seal session tickets (RFC 5077), the same in all workers, so that any of them resumes. */
  ticketKeys: Buffer
}

export interface ListenerOptions {
  address: string
  port: number
  tls: TlsSettings | null
  /** Networks (CIDR) whose PROXY header is required and believed; null: none is expected. */
  proxies: readonly string[] | null
  /** Several workers listen on the same port, and the kernel spreads connections (SO_REUSEPORT). */
  reusePort?: boolean
}

/** Connections that wait to be accepted. */
const BACKLOG = 4_096

export class Listener {
  readonly #front: Front
  readonly #server: Server
  readonly #tls: TlsServer | null
  #certificates: Certificates | null
  readonly #proxies: BlockList | null
  /** What a PROXY header said, until the handshake on the same connection is over. */
  readonly #told = new Map<string, Peer>()

  private constructor(front: Front, { tls, proxies }: ListenerOptions) {
    this.#front = front
    this.#certificates = tls === null ? null : certificatesOf(tls)
    this.#tls = tls === null ? null : this.#secured(tls)
    this.#proxies = proxies === null ? null : networks(proxies)
    const plain = tls === null && proxies === null
    this.#server = createServer({
      noDelay: true,
      allowHalfOpen: true,
      pauseOnConnect: plain && front.sharesReadBuffer,
    })
    this.#server.on('connection', (socket) => this.#take(socket))
  }

  static async open(front: Front, options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(front, options)
    const { address: host, port, reusePort = false } = options
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', reject)
      listener.#server.listen({ host, port, backlog: BACKLOG, reusePort }, resolve)
    })
    return listener
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo
  }

  /** Certificates for handshakes from now on. @throws when one is wrong; then the old ones stay. */
  setTls(tls: TlsSettings): void {
    if (this.#tls === null) return
    this.#certificates = certificatesOf(tls)
    this.#tls.setSecureContext(secureOptions(this.#certificates, tls))
  }

  /** Takes no more connections; those that are there go on. */
  close(): void {
    this.#server.close()
  }

  #take(socket: Socket): void {
    if (!this.#front.admits()) {
      socket.destroy()
      return
    }
    if (this.#proxies === null) this.#next(socket, true)
    else this.#readProxyHeader(socket, this.#proxies)
  }

  #readProxyHeader(socket: Socket, proxies: BlockList): void {
    const remote = socket.remoteAddress ?? ''
    const give = () => socket.destroy()
    socket.on('error', give)
    if (!proxies.check(remote, isIPv6(remote) ? 'ipv6' : 'ipv4')) {
      socket.destroy()
      return
    }
    const timer = setTimeout(give, this.#front.limits.headMs)
    let bytes: Buffer = Buffer.alloc(0)
    const read = (chunk: Buffer) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      const header = parseProxyHeader(bytes)
      if (header.kind === 'more') return
      clearTimeout(timer)
      socket.off('data', read)
      socket.off('error', give)
      if (header.kind === 'bad') {
        socket.on('error', () => {})
        socket.destroy()
        return
      }
      socket.pause()
      if (header.peer !== null) setPeer(socket, header.peer)
      if (this.#tls !== null && header.peer !== null) {
        const name = endpoint(socket)
        this.#told.set(name, header.peer)
        socket.once('close', () => this.#told.delete(name))
      }
      const rest = bytes.subarray(header.bytes)
      if (rest.length > 0) socket.unshift(rest)
      this.#next(socket, false)
    }
    socket.once('close', () => clearTimeout(timer))
    socket.on('data', read)
  }

  #next(socket: Socket, isFresh: boolean): void {
    if (this.#tls === null) this.#front.accept(socket, null, isFresh)
    else this.#tls.emit('connection', socket)
  }

  #secured(tls: TlsSettings): TlsServer {
    const server = createTlsServer({
      ...secureOptions(this.#certificates!, tls),
      ALPNProtocols: ['h2', 'http/1.1'],
      SNICallback: (name, done) => done(null, this.#certificates!.find(name) ?? undefined),
      handshakeTimeout: this.#front.limits.headMs,
      sessionIdContext: 'izumi',
      allowHalfOpen: true,
    })
    server.on('secureConnection', (socket: TLSSocket) => {
      const told = this.#told.get(endpoint(socket))
      if (told !== undefined) setPeer(socket, told)
      this.#front.accept(socket, socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1', false)
    })
    server.on('tlsClientError', (_fault, socket) => socket.destroy())
    return server
  }
}

const certificatesOf = (tls: TlsSettings): Certificates =>
  tls.certificates instanceof Certificates ? tls.certificates : new Certificates(tls.certificates, tls)

const secureOptions = (certificates: Certificates, { minVersion, ticketKeys }: TlsSettings) => ({
  ...(certificates.first && { cert: certificates.first.certificate, key: certificates.first.key }),
  minVersion,
  ticketKeys,
  honorCipherOrder: true,
})

const endpoint = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`

function networks(list: readonly string[]): BlockList {
  const made = new BlockList()
  for (const each of list) {
    const [address = '', bits] = each.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) made.addAddress(address, family)
    else made.addSubnet(address, Number(bits), family)
  }
  return made
}
