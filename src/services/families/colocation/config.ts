/**
 * What a colocation customer chooses: where, how much of the server room, racks, power, office and ports, and how much of
 * it stands by at another site. The schema is the form, the command line and the API at once; Japanese stands under
 * `x-ja`, the unit under `x-unit`.
 */
import Type, { type Static } from 'typebox'

/** Kinds of capacity that colocation sells, as a provider's resource kinds are set up. */
export const COLOCATION_KINDS = [
  { code: 'server-room', name: 'Server room', nameJa: 'サーバールーム', unit: 'm²', identified: false },
  { code: 'rack-unit', name: 'Rack units', nameJa: 'ラックユニット', unit: 'U', identified: true },
  { code: 'power', name: 'Power', nameJa: '電力', unit: 'kVA', identified: false },
  { code: 'office', name: 'Office', nameJa: 'オフィス', unit: 'm²', identified: false },
  { code: 'seat', name: 'Office seats', nameJa: 'オフィス席', unit: 'seat', identified: true },
  { code: 'port', name: 'Cross-connect ports', nameJa: '構内接続ポート', unit: 'port', identified: true },
] as const

/** Units of one whole rack. */
export const UNITS_PER_RACK = 42
/** Whole racks in one service; each is a line of the claim. */
export const MAX_RACKS = 12

/** An amount of one kind of capacity; `x-kind` lets a form show how much of it is free. */
const amount = (
  kind: string,
  title: string,
  ja: string,
  unit: string,
  description: string,
  descriptionJa: string,
  limits: { maximum: number; whole?: boolean },
) => {
  const options = {
    title,
    description,
    minimum: 0,
    maximum: limits.maximum,
    'x-unit': unit,
    'x-kind': kind,
    'x-ja': { title: ja, description: descriptionJa },
  }
  return Type.Optional(limits.whole ? Type.Integer(options) : Type.Number(options))
}

const siteCode = (title: string, ja: string, description: string, descriptionJa: string) =>
  Type.String({
    title,
    description,
    pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
    maxLength: 63,
    'x-reference': 'site',
    'x-ja': { title: ja, description: descriptionJa },
  })

export const ColocationConfig = Type.Object(
  {
    site: siteCode('Site', 'データセンター', 'The data centre.', 'ご利用になるデータセンター。'),
    rackUnits: amount(
      'rack-unit',
      'Rack units',
      'ラックユニット',
      'U',
      'Units in a shared rack, one above the other.',
      '共用ラック内の連続したユニット数。',
      { maximum: 504, whole: true },
    ),
    racks: amount(
      'rack',
      'Whole racks',
      '専有ラック',
      'rack',
      'Racks of 42 units for you alone.',
      '42Uの専有ラック本数。',
      {
        maximum: MAX_RACKS,
        whole: true,
      },
    ),
    serverRoom: amount(
      'server-room',
      'Server-room area',
      'サーバールーム面積',
      'm²',
      'Floor of the server room for your own racks or cages.',
      'お客様専用のサーバールーム床面積。',
      { maximum: 100_000 },
    ),
    power: amount('power', 'Power', '電力', 'kVA', 'Apparent power, over two feeds.', '2系統給電の電力容量。', {
      maximum: 100_000,
    }),
    office: amount(
      'office',
      'Office area',
      'オフィス面積',
      'm²',
      'Office floor at the site.',
      '併設オフィスの床面積。',
      {
        maximum: 100_000,
      },
    ),
    seats: amount(
      'seat',
      'Office seats',
      'オフィス席',
      'seat',
      'Seats with desk, telephone and network.',
      '机・電話・LAN付きの席数。',
      {
        maximum: 1_000,
        whole: true,
      },
    ),
    ports: amount(
      'port',
      'Cross-connect ports',
      '構内接続ポート',
      'port',
      'Fibre ports in the meet-me room.',
      '相互接続室の光ポート数。',
      {
        maximum: 1_000,
        whole: true,
      },
    ),
    contiguous: Type.Optional(
      Type.Boolean({
        title: 'One block of units',
        description: 'All rack units in one run of one rack; otherwise they may be spread over several racks.',
        default: true,
        'x-ja': { title: '連続配置', description: '全ユニットを1本のラック内に連続して配置します。' },
      }),
    ),
    antiAffinity: Type.Optional(
      Type.Boolean({
        title: 'Apart from your other services',
        description: 'In another fault domain (row and power feed) than the services you already have at the site.',
        default: false,
        'x-ja': { title: '分散配置', description: '既存サービスとは別の障害区画(列・給電系統)に配置します。' },
      }),
    ),
    standby: Type.Optional(
      Type.Object(
        {
          site: siteCode(
            'Standby site',
            '待機データセンター',
            'Where capacity stands by for the failure of the first site.',
            '障害時に切り替える待機先のデータセンター。',
          ),
          share: Type.Number({
            title: 'Share',
            description: 'Which part of the amounts stands by: 1 is all, 0.5 half.',
            exclusiveMinimum: 0,
            maximum: 1,
            default: 1,
            'x-ja': { title: '待機割合', description: '待機させる割合(1で全量、0.5で半分)。' },
          }),
        },
        {
          additionalProperties: false,
          title: 'Standby at another site',
          description: 'Disaster recovery: capacity at a second site, yours when the first one fails.',
          'x-ja': { title: '待機構成', description: '災害対策:第二拠点に待機容量を確保します。' },
        },
      ),
    ),
  },
  {
    additionalProperties: false,
    title: 'Colocation',
    'x-ja': { title: 'コロケーション' },
  },
)

export type ColocationConfig = Static<typeof ColocationConfig>
