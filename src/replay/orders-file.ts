/**
 * Real orders from a file: `arrival_s,batch,vcpu,memory_gb,lifetime_s,ended`, plain or gzipped, in order of arrival. An
 * order with `ended` 0 still ran when the recording stopped, so its end is not known.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { BadInput } from '../core/errors.ts'

export interface RecordedOrder {
  arrivalSeconds: number
  /** One tenant's orders that belong together. */
  batch: number
  vcpu: number
  /** Null where the recording stopped first. */
  lifetimeSeconds: number | null
}

const HEADER = 'arrival_s,batch,vcpu,memory_gb,lifetime_s,ended'
/** Orders one file may hold. */
const MAX_ORDERS = 5_000_000

/**
 * Reads a whole file.
 * @throws BadInput naming the line that is not an order, or is out of order.
 */
export async function readOrders(path: string): Promise<RecordedOrder[]> {
  const file = createReadStream(path)
  const text = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  const orders: RecordedOrder[] = []
  let number = 0
  let last = 0
  for await (const line of createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })) {
    number++
    if (number === 1) {
      if (line !== HEADER) throw new BadInput('/file', `line 1 is ${line.slice(0, 80)}`, HEADER)
      continue
    }
    if (line === '') continue
    const fields = line.split(',').map(Number)
    const [arrivalSeconds, batch, vcpu, , lifetimeSeconds, ended] = fields as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    if (fields.length !== 6 || fields.some((field) => !Number.isFinite(field) || field < 0) || arrivalSeconds < last)
      throw new BadInput('/file', `line ${number} is ${line.slice(0, 80)}`, `${HEADER}, in order of arrival`)
    if (orders.length === MAX_ORDERS) throw new BadInput('/file', 'it is too long', `at most ${MAX_ORDERS} orders`)
    last = arrivalSeconds
    orders.push({ arrivalSeconds, batch, vcpu, lifetimeSeconds: ended === 1 ? lifetimeSeconds : null })
  }
  return orders
}
