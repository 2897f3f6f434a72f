/** What one worker runs: the compiled state, its responder, its sockets. The only worker runs it in the main thread. */
import { randomBytes } from 'node:crypto'
import { Responder } from '../answer/responder.ts'
import type { CompiledMap } from '../choice/maps.ts'
import type { View } from '../choice/routed.ts'
import { compile } from '../compile.ts'
import type { DnsState } from '../state.ts'
import { Answerer, type LogLine } from './answerer.ts'
import { IDLE_SECONDS, openTcp, type TcpServer } from './tcp.ts'
import { openUdp, type UdpServer } from './udp.ts'

/** A state that has been checked, ready to be sent to workers: its prefixes are in the maps. */
export interface Prepared {
  state: DnsState
  maps: CompiledMap[]
  view: View
  /** Where the answers of each site are counted. */
  siteSlots: number[]
}

export interface UnitOptions {
  cookieSecret: Uint8Array
  figures: Float64Array
  logEvery: number
  /** Many datagrams with one call to the kernel, where that can be had. */
  batches: boolean
  log: (line: LogLine) => void
}

/** The face of a worker, in this thread or another. */
export interface Unit {
  load(prepared: Prepared): Promise<void>
  look(view: View): Promise<void>
  /** Port 0: any. The port it got. */
  listen(host: string, port: number, reusePort: boolean): Promise<number>
  close(): Promise<void>
}

export const newCookieSecret = (): Uint8Array => new Uint8Array(randomBytes(16))
/** A port that UDP got may be taken for TCP. */
const PORT_TRIES = 20

export class LocalUnit implements Unit {
  readonly #options: UnitOptions
  #answerer: Answerer | null = null
  readonly #servers: (UdpServer | TcpServer)[] = []

  constructor(options: UnitOptions) {
    this.#options = options
  }

  async load({ state, maps, view, siteSlots }: Prepared): Promise<void> {
    const compiled = compile(state, maps, view, (path, problem) => {
      throw new Error(`${path.join('.')}: ${problem}`)
    })
    const { cookieSecret, figures } = this.#options
    const responder = new Responder(compiled, view, {
      cookieSecret,
      figures,
      siteSlots,
      keepaliveSeconds: IDLE_SECONDS,
    })
    if (this.#answerer) this.#answerer.responder = responder
    else this.#answerer = new Answerer(responder, this.#options)
  }

  async look(view: View): Promise<void> {
    this.#answerer?.responder.look(view)
  }

  async listen(host: string, port: number, reusePort: boolean): Promise<number> {
    const answerer = this.#answerer!
    for (let tries = 1; ; tries++) {
      const udp = await openUdp(host, port, { reusePort, batches: this.#options.batches }, answerer)
      try {
        this.#servers.push(await openTcp(host, udp.address.port, reusePort, answerer), udp)
        return udp.address.port
      } catch (error) {
        udp.close()
        if (port !== 0 || tries >= PORT_TRIES) throw error
      }
    }
  }

  async close(): Promise<void> {
    for (const server of this.#servers.splice(0)) server.close()
  }
}
