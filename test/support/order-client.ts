/**
 * A process that places orders under keys until it is killed: `node order-client.ts <party> <first key>`, database in
 * `IZUMI_ORDERS_DATABASE`. Prints `key orderId` once an order is answered.
 */
import { openCapacityEngine } from '../../src/capacity/engine.ts'
import { openDatabase } from '../../src/database/connection.ts'
import { SYSTEM } from '../../src/database/events.ts'
import { FAMILIES } from '../../src/families.ts'
import { placeOrder } from '../../src/orders/place.ts'
import { findParty } from '../../src/parties/store.ts'

const AT_ONCE = 8
const [code, first] = process.argv.slice(2)
const database = openDatabase(process.env.IZUMI_ORDERS_DATABASE!, { connections: 4 })
const desk = { database, families: FAMILIES, clock: Date.now, capacity: await openCapacityEngine(database) }
const party = (await findParty(database, code!))!
let next = Number(first)

await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (;;) {
      const key = `key-${next++}`
      const { order } = await placeOrder(desk, {
        party,
        offering: 'rack',
        config: { rackUnits: 1, power: 0.1 },
        idempotencyKey: key,
        fingerprint: key,
        actor: SYSTEM,
      })
      process.stdout.write(`${key} ${order.id}\n`)
    }
  }),
)
