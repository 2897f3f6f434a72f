/**
 * What a customer of the CDN chooses: the property itself, in the edge's own words (its schema is used, not copied), the
 * sites that serve it, and the bandwidth that is reserved for it at some of them.
 */
import Type, { type Static } from 'typebox'
import { PropertyConfig } from '../../../edge/config/schema.ts'

/** The kind of capacity that properties take. */
export const EDGE_BANDWIDTH = 'edge-bandwidth'
/** Sites at which one property can reserve bandwidth: each is a line of its claim. */
const MAX_RESERVED = 32
const MAX_SITES = 1_000
/** Mbit/s at one site. */
const MAX_BANDWIDTH = 10_000_000

const Site = Type.String({
  title: 'Site',
  pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
  maxLength: 63,
  'x-reference': 'site',
  'x-ja': { title: 'サイト' },
})

export const CdnConfig = Type.Object(
  {
    property: Type.Object(PropertyConfig.properties, {
      additionalProperties: false,
      title: 'Property',
      description: 'Name, host names, origin and rules, as in docs/services/cdn-edge.md.',
      'x-ja': { title: 'プロパティ', description: '名前・ホスト名・オリジン・ルール。' },
    }),
    sites: Type.Union([Type.Literal('everywhere'), Type.Array(Site, { minItems: 1, maxItems: MAX_SITES })], {
      title: 'Served from',
      description: '`everywhere`, or a list of sites.',
      'x-ja': { title: '配信サイト', description: '`everywhere`(全サイト)、またはサイトの一覧。' },
    }),
    reserved: Type.Array(
      Type.Object(
        {
          site: Site,
          bandwidth: Type.Number({
            title: 'Bandwidth',
            minimum: 0.001,
            maximum: MAX_BANDWIDTH,
            'x-unit': 'Mbit/s',
            'x-kind': EDGE_BANDWIDTH,
            'x-ja': { title: '帯域' },
          }),
        },
        { additionalProperties: false },
      ),
      {
        minItems: 1,
        maxItems: MAX_RESERVED,
        title: 'Reserved bandwidth',
        description: 'What is kept for the property at each site, in Mbit/s; it can grow at any time.',
        'x-ja': { title: '確保帯域', description: 'サイトごとに確保する帯域(Mbit/s)。いつでも増やせます。' },
      },
    ),
  },
  { additionalProperties: false },
)
export type CdnConfig = Static<typeof CdnConfig>
export type { PropertyConfig } from '../../../edge/config/schema.ts'
