/** `/meters`: ports and links whose octets are counted, their samples in, and bandwidth by percentile out. */
import { createHash } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { monthInterval } from '../core/calendar.ts'
import { BadInput } from '../core/errors.ts'
import { DAY_MS, type Interval, toIso } from '../core/time.ts'
import { type Bandwidth, bandwidthOf, setTerms, termsOf } from '../usage/bandwidth.ts'
import { slotsOfDay } from '../usage/days.ts'
import { addMeter, findingsOf, findMeter, listMeters, type Meter, metersOf, ownerOf } from '../usage/meters.ts'
import { USUAL_TERMS } from '../usage/percentile.ts'
import { BATCH_MAX, type Batch, seriesOf, takeReadings, takeSamples } from '../usage/samples.ts'
import type { App } from './app.ts'
import { operatorCalendar } from './desk.ts'
import { cursorKey, likePattern, page } from './pagination.ts'
import type { Platform } from './platform.ts'
import { Id, Instant, Nullable, NumberId, OneOf, Page, PageQuery, PartyRef, Shape, Text } from './schemas.ts'

const MeterCode = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$',
  maxLength: 127,
  description: 'What the poller calls the port.',
  examples: ['yokohama-1/edge1/xe-0/0/1'],
})
const SlotSeconds = Type.Union([Type.Literal(60), Type.Literal(300)], { description: 'Length of a slot.' })
const CounterBits = Type.Union([Type.Literal(32), Type.Literal(64)], { description: 'Width of its counters.' })
const LinkSpeed = Type.String({
  pattern: '^[1-9][0-9]{0,14}$',
  maxLength: 15,
  description:
    'What the link carries, bits per second; more is refused and shown. A string, so that no program rounds it.',
  examples: ['10000000000'],
})
const Gap = OneOf(['drop', 'zero', 'interpolate'], {
  description: 'What the slots of a gap are: missing, without traffic, or their share of what passed meanwhile.',
})
const MeterJson = Shape(
  {
    id: NumberId,
    code: MeterCode,
    partyId: Id,
    serviceId: Nullable(Id),
    slotSeconds: SlotSeconds,
    counterBits: CounterBits,
    linkBitsPerSecond: Nullable(LinkSpeed),
    gap: Gap,
    createdAt: Instant,
  },
  { title: 'Meter' },
)
const meterJson = (meter: Meter): Static<typeof MeterJson> => ({
  ...meter,
  slotSeconds: meter.slotSeconds as 60 | 300,
  linkBitsPerSecond: meter.linkBitsPerSecond === null ? null : String(meter.linkBitsPerSecond),
  createdAt: toIso(meter.createdAt)!,
})

const Octets = Type.Integer({ minimum: 0, maximum: 2 ** 47 - 1, description: 'Octets of the slot.' })
const Counter = Type.String({
  pattern: '^(0|[1-9][0-9]{0,19})$',
  maxLength: 20,
  description: 'What the counter shows.',
})
const Source = Type.String({
  pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
  maxLength: 63,
  description: 'Who counts; numbers its own batches.',
  examples: ['poller-1'],
})
const BatchNumber = Type.Integer({
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  description: 'A batch is taken once, however often its number is sent.',
})
const BatchAnswerJson = Shape({
  taken: Type.Integer({ description: 'Slots that were taken.' }),
  corrected: Type.Integer({
    description: 'Those that were there with other octets before; these are kept as history.',
  }),
  refused: Type.Array(Shape({ meter: MeterCode, at: Instant }), {
    description: 'Not counted; see the meter’s findings.',
  }),
})

const Span = {
  month: Type.Optional(
    Type.String({
      pattern: '^\\d{4}-(0[1-9]|1[0-2])$',
      maxLength: 7,
      description: 'A month of the operator’s calendar.',
    }),
  ),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
}
const Percentile = Type.Integer({ minimum: 1, maximum: 100, description: 'Whole per cent.', examples: [95] })
const Direction = OneOf(['p95_of_max', 'max_of_p95', 'sum', 'in', 'out'], {
  description: 'What of the two directions is ranked.',
})
const Rank = OneOf(['nearest_rank', 'drop_ceil', 'rounded_index', 'rounded_less_two', 'floor_index', 'interpolated'], {
  description:
    'Which of the sorted samples it is; the last four are those of rrdtool, LibreNMS, ClickHouse, spreadsheets.',
})
const Missing = OneOf(['exclude', 'zero', 'valid_days'], { description: 'What a slot without a sample is.' })
const Terms = {
  percentile: Type.Optional(Percentile),
  direction: Type.Optional(Direction),
  rank: Type.Optional(Rank),
  missing: Type.Optional(Missing),
}
const BandwidthJson = Shape(
  {
    from: Instant,
    to: Instant,
    meters: Type.Array(MeterCode),
    bitsPerSecond: Type.Number(),
    octets: Type.Number({ description: 'Of the billed slot.' }),
    at: Nullable(Instant),
    expected: Type.Integer(),
    present: Type.Integer(),
    dropped: Type.Integer({ description: 'Samples above the billed one.' }),
    rank: Type.Integer({ description: 'Of the billed sample in ascending order, from 1.' }),
    daysCounted: Type.Integer(),
    days: Type.Integer(),
  },
  { title: 'Bandwidth' },
)

export function meterRoutes(app: App, platform: Platform): void {
  const { database, clock } = platform
  const read = { scope: 'usage' } as const
  const count = { scope: 'usage', parties: ['operator'], roles: ['owner', 'engineer'] } as const
  const params = Shape({ meter: NumberId })

  /** The interval that a query names: a month, or both ends. */
  const spanOf = async ({ month, from, to }: { month?: string; from?: string; to?: string }) => {
    const { zone } = await operatorCalendar(platform)
    if (month !== undefined && from === undefined && to === undefined)
      return { interval: monthInterval(month, zone, '/query/month'), zone }
    if (month !== undefined || from === undefined || to === undefined)
      throw new BadInput('/query', 'names no interval', 'a month, or both from and to')
    return { interval: { from: Date.parse(from), to: Date.parse(to) }, zone }
  }
  const bandwidthJson = (interval: Interval, { days, at, ...bandwidth }: Bandwidth): Static<typeof BandwidthJson> => ({
    from: toIso(interval.from)!,
    to: toIso(interval.to)!,
    meters: bandwidth.meters,
    bitsPerSecond: bandwidth.bitsPerSecond,
    octets: bandwidth.octets,
    at: at === null ? null : toIso(at),
    expected: bandwidth.expected,
    present: bandwidth.present,
    dropped: bandwidth.dropped,
    rank: bandwidth.rank,
    daysCounted: days.counted,
    days: days.all,
  })

  app.get(
    '/meters',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary: 'Meters, in the order in which they were added',
        querystring: Shape({ ...PageQuery, service: Type.Optional(Id) }),
        response: { 200: Page(MeterJson) },
      },
    },
    async (request) => {
      const { limit, cursor, service, q } = request.query
      const after = (cursorKey(cursor, ['number'])?.[0] ?? 0) as number
      const rows = await request.tenant((sql) =>
        listMeters(sql, { serviceId: service ?? null, like: likePattern(q), after, limit: limit + 1 }),
      )
      return page(rows, limit, ({ id }) => [id], meterJson)
    },
  )

  app.post(
    '/meters',
    {
      config: { access: count },
      schema: {
        tags: ['usage'],
        summary: 'Add a meter of a service, or of a party alone',
        body: Shape({
          code: MeterCode,
          service: Type.Optional(Id),
          party: Type.Optional(PartyRef),
          slotSeconds: Type.Optional(SlotSeconds),
          counterBits: Type.Optional(CounterBits),
          linkBitsPerSecond: Type.Optional(LinkSpeed),
          gap: Type.Optional(Gap),
        }),
        response: { 201: MeterJson },
      },
    },
    async (request, reply) => {
      const {
        code,
        service,
        party,
        slotSeconds = 300,
        counterBits = 64,
        linkBitsPerSecond,
        gap = 'drop',
      } = request.body
      if ((service === undefined) === (party === undefined))
        throw new BadInput('/service', 'nobody, or two, would have it', 'either a service or a party')
      const owner =
        service === undefined
          ? (await request.visibleParty(party!)).id
          : await request.tenant((sql) => ownerOf(sql, service))
      const wanted = {
        code,
        partyId: owner,
        serviceId: service ?? null,
        slotSeconds,
        counterBits,
        linkBitsPerSecond: linkBitsPerSecond === undefined ? null : BigInt(linkBitsPerSecond),
        gap,
      }
      const meter = await database.transaction((sql) => addMeter(sql, wanted, request.principal.actor))
      return reply.code(201).send(meterJson(meter))
    },
  )

  app.get(
    '/meters/:meter',
    {
      config: { access: read },
      schema: { tags: ['usage'], summary: 'One meter', params, response: { 200: MeterJson } },
    },
    (request) => request.tenant(async (sql) => meterJson(await findMeter(sql, request.params.meter))),
  )

  app.get(
    '/meters/:meter/samples',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary: 'Samples of a meter, slot by slot; null where there is none',
        params,
        querystring: Shape(Span),
        response: {
          200: Shape({
            from: Instant,
            to: Instant,
            slotSeconds: SlotSeconds,
            in: Type.Array(Nullable(Type.Number())),
            out: Type.Array(Nullable(Type.Number())),
          }),
        },
      },
    },
    async (request) => {
      const { interval } = await spanOf(request.query)
      return request.tenant(async (sql) => {
        const { id, slotSeconds } = await findMeter(sql, request.params.meter)
        const slotMs = slotSeconds * 1_000
        const range = { from: Math.floor(interval.from / slotMs), to: Math.ceil(interval.to / slotMs) }
        if (range.to <= range.from || interval.to - interval.from > SAMPLES_MAX_DAYS * DAY_MS)
          throw new BadInput('/query/to', 'is no such interval', `at most ${SAMPLES_MAX_DAYS} days after the beginning`)
        let [inward, out]: (number | null)[][] = [[], []]
        for await (const { series } of seriesOf(sql, [id], range, slotsOfDay(slotSeconds)))
          [inward, out] = [series.in, series.out].map((side) => Array.from(side, (v) => (Number.isNaN(v) ? null : v)))
        if (inward!.length === 0) inward = out = new Array(range.to - range.from).fill(null)
        return {
          from: toIso(range.from * slotMs)!,
          to: toIso(range.to * slotMs)!,
          slotSeconds: slotSeconds as 60 | 300,
          in: inward!,
          out: out!,
        }
      })
    },
  )

  app.get(
    '/meters/:meter/findings',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary: 'What was not counted as it was read, and why; newest first',
        params,
        response: {
          200: Shape({
            items: Type.Array(
              Shape({
                kind: OneOf(['restart', 'wrap', 'above-link-speed', 'wraps-unknown', 'out-of-order', 'late-poll']),
                from: Instant,
                to: Instant,
                in: Nullable(Text(20)),
                out: Nullable(Text(20)),
              }),
            ),
          }),
        },
      },
    },
    (request) =>
      request.tenant(async (sql) => {
        const { id } = await findMeter(sql, request.params.meter)
        const findings = await findingsOf(sql, id, FINDINGS_SHOWN)
        return {
          items: findings.map((finding) => ({
            kind: finding.kind,
            from: toIso(finding.from)!,
            to: toIso(finding.to)!,
            in: finding.in === null ? null : String(finding.in),
            out: finding.out === null ? null : String(finding.out),
          })),
        }
      }),
  )

  app.get(
    '/meters/:meter/bandwidth',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary: 'The percentile of a meter, with how it came about',
        params,
        querystring: Shape({ ...Span, ...Terms }),
        response: { 200: BandwidthJson },
      },
    },
    async (request) => {
      const { month, from, to, ...terms } = request.query
      const { interval, zone } = await spanOf({ month, from, to })
      return request.tenant(async (sql) => {
        const meter = await findMeter(sql, request.params.meter)
        return bandwidthJson(interval, await bandwidthOf(sql, [meter], interval, zone, { ...USUAL_TERMS, ...terms }))
      })
    },
  )

  app.get(
    '/bandwidth',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary:
          'The percentile of all ports of a service, added slot by slot first; by its own terms unless said otherwise',
        querystring: Shape({ service: Id, ...Span, ...Terms }),
        response: { 200: BandwidthJson },
      },
    },
    async (request) => {
      const { service, month, from, to, ...terms } = request.query
      const { interval, zone } = await spanOf({ month, from, to })
      return request.tenant(async (sql) => {
        const own = (await termsOf(sql, [service])).get(service) ?? USUAL_TERMS
        const meters = await metersOf(sql, [service])
        return bandwidthJson(interval, await bandwidthOf(sql, meters, interval, zone, { ...own, ...terms }))
      })
    },
  )

  const TermsJson = Shape({ percentile: Percentile, direction: Direction, rank: Rank, missing: Missing })
  const service = Shape({ service: Id })

  app.get(
    '/services/:service/bandwidth-terms',
    {
      config: { access: read },
      schema: {
        tags: ['usage'],
        summary: 'By which convention the bandwidth of a service is billed',
        params: service,
        response: { 200: TermsJson },
      },
    },
    (request) =>
      request.tenant(async (sql) => {
        await ownerOf(sql, request.params.service)
        return (await termsOf(sql, [request.params.service])).get(request.params.service) ?? USUAL_TERMS
      }),
  )

  app.put(
    '/services/:service/bandwidth-terms',
    {
      config: { access: { scope: 'usage', parties: ['operator'], roles: ['owner', 'finance'] } },
      schema: {
        tags: ['usage'],
        summary: 'Set the convention, for billing runs from now on',
        params: service,
        body: TermsJson,
        response: { 200: TermsJson },
      },
    },
    async (request) => {
      const { service: id } = request.params
      await database.transaction((sql) => setTerms(sql, id, request.body, request.principal.actor))
      return request.body
    },
  )

  const batchOf = (partyId: string, body: { source: string; number: number }): Batch => ({
    partyId,
    source: body.source,
    number: body.number,
    hash: createHash('sha256').update(JSON.stringify(body)).digest('base64url'),
  })
  const answerJson = (answer: { taken: number; corrected: number; refused: { meter: string; at: number }[] }) => ({
    ...answer,
    refused: answer.refused.map(({ meter, at }) => ({ meter, at: toIso(at)! })),
  })

  app.post(
    '/meters/samples',
    {
      config: { access: count, idempotency: 'own' },
      bodyLimit: 4 * 1024 * 1024,
      schema: {
        tags: ['usage'],
        summary: 'Take a batch of samples: octets of whole slots',
        body: Shape({
          source: Source,
          number: BatchNumber,
          samples: Type.Array(Shape({ meter: MeterCode, at: Instant, in: Octets, out: Octets }), {
            minItems: 1,
            maxItems: BATCH_MAX,
          }),
        }),
        response: { 200: BatchAnswerJson },
      },
    },
    async (request) => {
      const samples = request.body.samples.map(({ at, ...sample }) => ({ ...sample, at: Date.parse(at) }))
      const batch = batchOf(request.principal.partyId, request.body)
      return answerJson(await takeSamples(database, batch, samples, clock()))
    },
  )

  app.post(
    '/meters/readings',
    {
      config: { access: count, idempotency: 'own' },
      bodyLimit: 4 * 1024 * 1024,
      schema: {
        tags: ['usage'],
        summary: 'Take a batch of counter readings; wraps, restarts and gaps are told apart',
        body: Shape({
          source: Source,
          number: BatchNumber,
          readings: Type.Array(
            Shape({
              meter: MeterCode,
              at: Instant,
              in: Counter,
              out: Counter,
              uptimeMs: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
            }),
            { minItems: 1, maxItems: BATCH_MAX },
          ),
        }),
        response: { 200: BatchAnswerJson },
      },
    },
    async (request) => {
      const readings = request.body.readings.map(({ meter, at, in: inward, out, uptimeMs }) => ({
        meter,
        at: Date.parse(at),
        in: BigInt(inward),
        out: BigInt(out),
        uptimeMs: uptimeMs ?? null,
      }))
      const batch = batchOf(request.principal.partyId, request.body)
      return answerJson(await takeReadings(database, batch, readings, clock()))
    },
  )
}

/** Days of samples in one answer, and findings shown. */
const SAMPLES_MAX_DAYS = 32
const FINDINGS_SHOWN = 500
