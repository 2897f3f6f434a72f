/**
 * What Izumi does by itself: holds lapse and waiting claims are filled, orders hear of it, dated changes take effect,
 * webhooks go out, months that are over are billed, what has run out is forgotten. Each task runs again a while after it
 * has ended, in every process; the tasks themselves are safe to run side by side. When the database is away they wait.
 */
import type { FastifyBaseLogger } from 'fastify'
import { forgetOldAnswers } from './api/idempotency.ts'
import type { Platform } from './api/platform.ts'
import { runBilling } from './billing/run.ts'
import { monthOf, shiftMonth } from './core/calendar.ts'
import { WrongState } from './core/errors.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from './core/time.ts'
import { isDatabaseAway } from './database/connection.ts'
import { EVENT_CHANNEL, SYSTEM } from './database/events.ts'
import { listen } from './database/notifications.ts'
import { PROPERTY_RULES } from './families.ts'
import { forgetAcknowledgements, pruneFeed } from './nodes/publish.ts'
import { followCapacity } from './orders/follow.ts'
import { deliverDue } from './parties/deliver.ts'
import { forgetSessions } from './parties/sessions.ts'
import { forgetFailures } from './parties/throttle.ts'
import { enqueueDeliveries, forgetDeliveries } from './parties/webhooks.ts'
import { followProperties } from './services/families/cdn/follow.ts'
import { forgetPurges } from './services/families/cdn/purge.ts'
import { followRouting } from './services/families/cdn/routing.ts'
import { sweepServices } from './services/sweep.ts'
import { packDays } from './usage/days.ts'

/** Samples of a day still come this long after it: then they are packed. */
const SETTLED_MS = 2 * HOUR_MS

export interface Background {
  /** Waits for the tasks that run and begins no more. */
  stop(): Promise<void>
}

/** Runs `task` now and again `everyMs` after it has ended, until the returned function is called. */
function repeat(name: string, everyMs: number, log: FastifyBaseLogger, task: () => Promise<unknown>) {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  const round = async () => {
    try {
      await task()
    } catch (error) {
      if (!isDatabaseAway(error))
        log.error({ err: error, task: name }, 'a background task failed; it will be tried again')
    }
    if (!stopped) timer = setTimeout(begin, everyMs)
  }
  const begin = () => {
    running = round()
  }
  begin()
  return async () => {
    stopped = true
    clearTimeout(timer)
    await running
  }
}

/** Starts everything. */
export function startBackground(platform: Platform): Background {
  const { database, capacity, clock, log } = platform
  const stops = [
    repeat('capacity', SECOND_MS, log, () => capacity.sweep(clock())),
    repeat('orders', SECOND_MS, log, () => followCapacity(database, clock())),
    repeat('services', SECOND_MS, log, () => sweepServices(database, clock())),
    repeat('webhooks', SECOND_MS, log, async () => {
      await enqueueDeliveries(database, clock())
      const options = { now: clock(), privateToo: platform.privateWebhooks ?? false }
      while ((await deliverDue(database, options)) > 0) options.now = clock()
    }),
    repeat('samples', MINUTE_MS, log, async () => {
      while ((await packDays(database, clock() - SETTLED_MS)) > 0);
    }),
    repeat('billing', HOUR_MS, log, () => billClosedMonth(platform)),
    repeat('forget', MINUTE_MS, log, async () => {
      await forgetOldAnswers(database)
      await forgetFailures(database, clock())
      await forgetSessions(database)
      await forgetDeliveries(database)
      await pruneFeed(database)
      await forgetAcknowledgements(database)
      await forgetPurges(database)
    }),
  ]
  // A property is live in about a second after its order: whatever happened may have been one.
  let following: Promise<unknown> | null = null
  let isDue = false
  const follow = () => {
    if (following) isDue = true
    following ??= followProperties(database, PROPERTY_RULES)
      .catch((error) => {
        if (!isDatabaseAway(error)) log.error({ err: error }, 'properties could not be brought after their services')
      })
      .finally(() => {
        following = null
        if (isDue) {
          isDue = false
          follow()
        }
      })
    return following
  }
  stops.push(repeat('properties', SECOND_MS, log, follow))
  stops.push(repeat('routing', SECOND_MS, log, () => followRouting(database)))
  const ear = listen(database, [EVENT_CHANNEL], follow).catch(() => null)
  return {
    async stop() {
      await Promise.all([...stops.map((stop) => stop()), ear.then((open) => open?.close())])
      while (following) await following
    },
  }
}

/** Makes the drafts of the month that is over, once, for every seller that has customers. */
export async function billClosedMonth({ database, clock }: Pick<Platform, 'database' | 'clock'>): Promise<number> {
  const [operator] = await database.query<{ zone: string }>(
    `select time_zone as zone from party where kind = 'operator'`,
  )
  if (!operator) return 0
  const month = shiftMonth(monthOf(clock(), operator.zone), -1)
  const sellers = await database.query<{ id: string }>(
    `select p.id from party p
     where p.kind <> 'customer' and p.status = 'active'
       and exists (select from contract c where c.seller_id = p.id)
       and not exists (
         select from billing_run r where r.seller_id = p.id and r.period = $1::date and r.state = 'completed')
     order by p.id`,
    [`${month}-01`],
  )
  let billed = 0
  for (const { id } of sellers)
    try {
      await runBilling(database, id, month, operator.zone, SYSTEM)
      billed++
    } catch (error) {
      // Another process, or a person, is at it.
      if (!(error instanceof WrongState)) throw error
    }
  return billed
}
