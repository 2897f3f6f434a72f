/** The far side of a worker thread: takes what `RemoteUnit` sends and runs a unit with it. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Answer, Order, WorkerData } from './remote.ts'
import { LocalUnit, type UnitOptions } from './unit.ts'

const { cookieSecret, figures, logEvery, batches } = workerData as WorkerData
const port = parentPort!
const options: UnitOptions = {
  cookieSecret,
  figures: new Float64Array(figures),
  logEvery,
  batches,
  log: (line) => port.postMessage({ kind: 'log', line } satisfies Answer),
}
const unit = new LocalUnit(options)

port.on('message', async (order: Order) => {
  try {
    let result: number | undefined
    if (order.kind === 'load') await unit.load(order.prepared)
    else if (order.kind === 'look') await unit.look(order.view)
    else if (order.kind === 'listen') result = await unit.listen(order.host, order.port, true)
    else await unit.close()
    port.postMessage({ kind: 'done', id: order.id, result } satisfies Answer)
    if (order.kind === 'close') port.close()
  } catch (error) {
    port.postMessage({ kind: 'failed', id: order.id, problem: (error as Error).message } satisfies Answer)
  }
})
