/** The near side of a worker thread: every order is answered when it is in force there. Maps and figures lie in shared memory. */
import { Worker } from 'node:worker_threads'
import type { View } from '../choice/routed.ts'
import type { LogLine } from './answerer.ts'
import type { Prepared, Unit, UnitOptions } from './unit.ts'

export interface WorkerData {
  cookieSecret: Uint8Array
  figures: SharedArrayBuffer
  logEvery: number
  batches: boolean
}

export type Order = { id: number } & (
  | { kind: 'load'; prepared: Prepared }
  | { kind: 'look'; view: View }
  | { kind: 'listen'; host: string; port: number }
  | { kind: 'close' }
)
type OrderWithoutId = Order extends infer Each ? (Each extends { id: number } ? Omit<Each, 'id'> : never) : never

export type Answer =
  | { kind: 'done'; id: number; result: number | undefined }
  | { kind: 'failed'; id: number; problem: string }
  | { kind: 'log'; line: LogLine }

export class RemoteUnit implements Unit {
  readonly #worker: Worker
  readonly #waiting = new Map<
    number,
    { resolve: (result: number | undefined) => void; reject: (error: Error) => void }
  >()
  #next = 0

  constructor({ cookieSecret, figures, logEvery, batches, log }: UnitOptions, died: (error: Error) => void) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: {
        cookieSecret,
        figures: figures.buffer as SharedArrayBuffer,
        logEvery,
        batches,
      } satisfies WorkerData,
    })
    this.#worker.on('message', (answer: Answer) => {
      if (answer.kind === 'log') {
        log(answer.line)
        return
      }
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.kind === 'done') waiting?.resolve(answer.result)
      else waiting?.reject(new Error(answer.problem))
    })
    const end = (error: Error) => {
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
      died(error)
    }
    this.#worker.on('error', (error) => end(error as Error))
    this.#worker.on('exit', (code) => end(new Error(`a worker ended with ${code}`)))
  }

  #order(order: OrderWithoutId): Promise<number | undefined> {
    const id = ++this.#next
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, ...order })
    })
  }

  async load(prepared: Prepared): Promise<void> {
    await this.#order({ kind: 'load', prepared })
  }

  async look(view: View): Promise<void> {
    await this.#order({ kind: 'look', view })
  }

  async listen(host: string, port: number): Promise<number> {
    return (await this.#order({ kind: 'listen', host, port }))!
  }

  async close(): Promise<void> {
    await this.#order({ kind: 'close' })
    await this.#worker.terminate()
  }
}
