/**
 * `/events`: the record of every change, as a list and as a stream (server-sent events). A stream sends what the asker's
 * party may see, in an order in which nothing is missed, from where the reader left off (`Last-Event-ID`); it is closed
 * after a while, and whenever rights change, so that the reader comes back with its credential checked anew.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { BadInput, Overloaded } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { fromIso, toIso } from '../core/time.ts'
import type { RecordedEvent } from '../database/events.ts'
import { type EventPlace, eventsAfter, listEvents, placeNow } from '../parties/events.ts'
import type { App } from './app.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Id, Instant, Nullable, OneOf, Page, PageQuery, PartyRef, Shape, Text } from './schemas.ts'
import { EVENT_TYPE_PATTERN } from './webhooks.ts'

const HEARTBEAT_MS = 15_000
/** A stream ends after so long; its reader comes back by itself. */
const STREAM_MS = 15 * 60_000
const BATCH = 200
/** A reader that takes nothing for so long is let go. */
const SLOW_READER_MS = 30_000

const EventJson = Shape(
  {
    id: Text(20),
    at: Instant,
    partyId: Id,
    actorKind: OneOf(['user', 'api-key', 'system']),
    actorId: Nullable(Text(40)),
    actorName: Nullable(Text()),
    type: Text(100),
    subjectKind: Text(60),
    subjectId: Text(100),
    before: Type.Unsafe<unknown>({ description: 'What it was, as far as it was recorded.' }),
    after: Type.Unsafe<unknown>({ description: 'What it became.' }),
  },
  { title: 'Event' },
)

const toJson = ({ transaction: _, id, at, ...event }: RecordedEvent) => ({
  ...event,
  id: String(id),
  at: toIso(at)!,
  before: event.before ?? null,
  after: event.after ?? null,
})

const TypeFilter = Type.String({
  pattern: EVENT_TYPE_PATTERN,
  maxLength: 90,
  description: 'Event type, or `noun.*`.',
  examples: ['order.completed'],
})

export function eventRoutes(app: App, _platform: Platform): void {
  app.get(
    '/events',
    {
      config: { access: { scope: 'events' } },
      schema: {
        tags: ['events'],
        summary: 'Every change: who, what, before, after; newest first',
        querystring: Shape({
          ...PageQuery,
          party: Type.Optional(PartyRef),
          type: Type.Optional(TypeFilter),
          subject: Type.Optional(Text(100, { description: 'Id of what was changed.' })),
          from: Type.Optional(Instant),
          to: Type.Optional(Instant),
        }),
        response: { 200: Page(EventJson) },
      },
    },
    async (request) => {
      const { limit, cursor, q, party, type, subject, from, to } = request.query
      const last = cursorKey(cursor, ['bigint', 'bigint']) as [string, string] | null
      if (from !== undefined && to !== undefined && fromIso(from) >= fromIso(to))
        throw new BadInput('/query/to', `${to} is not after from`, 'an instant after `from`')
      const partyId = party === undefined ? null : (await request.visibleParty(party)).id
      const rows = await request.tenant((sql) =>
        listEvents(sql, {
          partyId,
          type: type ?? null,
          subjectId: subject ?? null,
          from: from === undefined ? null : fromIso(from),
          to: to === undefined ? null : fromIso(to),
          like: likePattern(q),
          before: last && { transaction: last[0], id: last[1] },
          limit: limit + 1,
        }),
      )
      return page(rows, limit, (row) => [row.transaction, row.id], toJson)
    },
  )

  const streams = new Set<() => void>()
  // `preClose` runs before the server waits for its connections to end.
  app.addHook('preClose', async () => {
    for (const close of streams) close()
  })
  app.signals.access.add(() => {
    for (const close of streams) close()
  })

  app.get(
    '/events/stream',
    {
      config: { access: { scope: 'events' } },
      schema: {
        tags: ['events'],
        summary: 'Changes as they happen (server-sent events)',
        querystring: Shape({
          type: Type.Optional(TypeFilter),
          after: Type.Optional(
            Type.String({ maxLength: 60, description: 'As `Last-Event-ID`, for clients that cannot send headers.' }),
          ),
        }),
        response: { 200: Type.Unsafe<string>({ type: 'string', contentMediaType: 'text/event-stream' }) },
      },
    },
    async (request, reply) => {
      if (streams.size >= LIMITS.eventStreams)
        throw new Overloaded('Too many streams of events are open; try again later.')
      const given = request.headers['last-event-id'] ?? request.query.after
      const place = given === undefined ? await request.tenant(placeNow) : placeFrom(String(given))
      await stream(request, reply, place, request.query.type ?? null)
    },
  )

  function placeFrom(text: string): EventPlace {
    const match = /^(\d{1,18})-(\d{1,18})$/.exec(text)
    if (!match)
      throw new BadInput(
        '/header/last-event-id',
        'is not the id of an event of this stream',
        'the last id that was received',
      )
    return { transaction: match[1]!, id: match[2]! }
  }

  async function stream(request: FastifyRequest, reply: FastifyReply, start: EventPlace, type: string | null) {
    reply.hijack()
    const { raw } = reply
    let open = true
    const wakers = new Set<() => void>()
    let due = false
    const wakeAll = () => {
      due = true
      for (const wake of wakers) wake()
    }
    const close = () => {
      open = false
      wakeAll()
    }
    streams.add(close)
    app.signals.event.add(wakeAll)
    raw.on('close', close)
    raw.on('error', close)
    const until = Date.now() + STREAM_MS
    /** Waits for a wake-up or the time, whichever is first. */
    const wait = (ms: number, event: 'wake' | 'drain') =>
      new Promise<boolean>((resolve) => {
        const end = (woken: boolean) => {
          clearTimeout(timer)
          wakers.delete(wake)
          raw.off('drain', wake)
          resolve(woken)
        }
        const wake = () => end(true)
        const timer = setTimeout(() => end(false), ms)
        if (event === 'drain') raw.once('drain', wake)
        wakers.add(wake)
      })
    const write = async (text: string) => {
      if (raw.write(text)) return
      while (open && raw.writableNeedDrain) if (!(await wait(SLOW_READER_MS, 'drain'))) close()
    }
    try {
      raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      })
      await write('retry: 1000\n\n')
      let place = start
      let sentAt = Date.now()
      while (open && Date.now() < until) {
        const here = place
        due = false
        const events = await request.tenant((sql) => eventsAfter(sql, here, type, BATCH))
        for (const event of events) {
          place = { transaction: event.transaction, id: event.id }
          await write(
            `id: ${event.transaction}-${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(toJson(event))}\n\n`,
          )
          if (!open) return
        }
        if (events.length > 0) sentAt = Date.now()
        else if (Date.now() - sentAt >= HEARTBEAT_MS) {
          await write(': still here\n\n')
          sentAt = Date.now()
        }
        if (events.length === BATCH || !open) continue
        // The more streams, the more each gathers before it asks again; an event whose transaction was still held back
        // by an older one is found by asking now and then.
        if (!due) await wait(Math.max(2_000, streams.size * 20), 'wake')
        if (streams.size > 25) await new Promise((resolve) => setTimeout(resolve, streams.size * 4))
      }
    } catch (error) {
      request.log.warn({ err: error }, 'a stream of events broke off')
    } finally {
      streams.delete(close)
      app.signals.event.delete(wakeAll)
      raw.end()
    }
  }
}
