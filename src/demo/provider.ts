/**
 * The demonstration provider as data: two data centres with exactly the steps of the presentation that started Izumi
 * (floor, server room, office and seats; its printed totals are checked in `provider.test.ts`), racks, power and ports
 * laid out in those server rooms, what is offered at which price, and who buys. Dates stand relative to the year of the
 * first start, so that a chart opened today shows a year of history and the steps to come.
 */

/** One column of a building's table: what opens together. */
export interface BuildingStep {
  label: string
  /** Years after the opening year, month and day. */
  opens: { year: number; month: number; day: number }
  state: 'planned' | 'committed' | 'open'
  /** Units of each kind. */
  quantities: Record<string, number>
  /** Yen. */
  cost: string
  leadTimeDays: number
}

export interface Building {
  code: string
  name: string
  nameJa: string
  address: string
  latitude: number
  longitude: number
  /** Racks along one row. */
  racksPerRow: number
  steps: BuildingStep[]
}

export const RACK_SLOTS = 42
/** Server-room floor behind one rack of the shared area; the rest is sold as cages by the square metre. */
const AREA_PER_RACK = 18
/** kVA for each square metre of server room. */
const POWER_DENSITY = 1

/** What is derived from the printed server-room area, by the two densities above. */
function fitted(serverRoom: number): Record<string, number> {
  const racks = Math.floor(serverRoom / AREA_PER_RACK)
  return { 'rack-unit': racks * RACK_SLOTS, power: Math.round(serverRoom * POWER_DENSITY), port: racks * 2 }
}

const step = (
  label: string,
  opens: BuildingStep['opens'],
  state: BuildingStep['state'],
  printed: { floor: number; 'server-room': number; office: number; seat: number },
  cost: string,
  leadTimeDays: number,
): BuildingStep => ({
  label,
  opens,
  state,
  quantities: { ...printed, ...fitted(printed['server-room']) },
  cost,
  leadTimeDays,
})

/** Table "New data centers" of the presentation (2Q FY2002); a dash there is zero here. */
export const BUILDINGS: Building[] = [
  {
    code: 'yokohama-1',
    name: 'Yokohama 1',
    nameJa: '横浜第1',
    address: 'Tsurumi-ku, Yokohama, Kanagawa',
    latitude: 35.5081,
    longitude: 139.6765,
    racksPerRow: 20,
    steps: [
      step(
        'Step 1',
        { year: 0, month: 1, day: 15 },
        'open',
        { floor: 19_420, 'server-room': 4_353, office: 662, seat: 95 },
        '2400000000',
        420,
      ),
      step(
        'Step 2',
        { year: 1, month: 4, day: 1 },
        'committed',
        { floor: 13_000, 'server-room': 5_717, office: 894, seat: 128 },
        '1900000000',
        300,
      ),
      step(
        'Step 3',
        { year: 2, month: 4, day: 1 },
        'planned',
        { floor: 6_745, 'server-room': 2_841, office: 643, seat: 92 },
        '1100000000',
        300,
      ),
    ],
  },
  {
    code: 'saitama-1',
    name: 'Saitama 1',
    nameJa: '埼玉第1',
    address: 'Chuo-ku, Saitama, Saitama',
    latitude: 35.8949,
    longitude: 139.6315,
    racksPerRow: 16,
    steps: [
      step(
        'Step 1',
        { year: 0, month: 2, day: 1 },
        'open',
        { floor: 14_143, 'server-room': 2_038, office: 1_045, seat: 148 },
        '1700000000',
        420,
      ),
      step(
        'Step 2',
        { year: 1, month: 7, day: 1 },
        'committed',
        { floor: 0, 'server-room': 2_058, office: 0, seat: 0 },
        '820000000',
        240,
      ),
      step(
        'Step 3',
        { year: 2, month: 10, day: 1 },
        'planned',
        { floor: 0, 'server-room': 640, office: 0, seat: 0 },
        '310000000',
        240,
      ),
    ],
  },
]

/** Every kind of capacity that the buildings have, in the order in which they are shown. */
export const KINDS = [
  { code: 'floor', name: 'Floor area', nameJa: '延床面積', unit: 'm²', identified: false },
  { code: 'server-room', name: 'Server room', nameJa: 'サーバールーム', unit: 'm²', identified: false },
  { code: 'office', name: 'Office area', nameJa: 'オフィス', unit: 'm²', identified: false },
  { code: 'seat', name: 'Office seats', nameJa: 'オフィス席', unit: 'seat', identified: true },
  { code: 'rack-unit', name: 'Rack units', nameJa: 'ラックユニット', unit: 'U', identified: true },
  { code: 'power', name: 'Power', nameJa: '電力', unit: 'kVA', identified: false },
  { code: 'port', name: 'Cross-connect ports', nameJa: '構内接続ポート', unit: 'port', identified: true },
] as const

export interface Container {
  kind: 'rack-unit' | 'seat' | 'port'
  name: string
  faultDomain: string
  slots: number
  /** Metres from the corner of the room. */
  x: number
  y: number
  width: number
  depth: number
  /** Which step brings it. */
  step: number
}

const SEATS_PER_ROOM = 12
const PORTS_PER_PANEL = 48
const AISLE = 1.8
const ROWS_ABREAST = 3
const RACK_WIDTH = 0.7
const RACK_DEPTH = 1.2

/** Racks in rows (a row hangs on one power feed: a fault domain), seats in rooms, ports on panels. */
export function containersOf(building: Building): Container[] {
  const containers: Container[] = []
  let rack = 0
  let room = 0
  let panel = 0
  building.steps.forEach(({ quantities }, index) => {
    const here = (kind: Container['kind'], name: string, faultDomain: string, slots: number, x: number, y: number) =>
      containers.push({ kind, name, faultDomain, slots, x, y, width: RACK_WIDTH, depth: RACK_DEPTH, step: index })
    for (let left = (quantities['rack-unit'] ?? 0) / RACK_SLOTS; left > 0; left--, rack++) {
      const row = Math.floor(rack / building.racksPerRow)
      const column = rack % building.racksPerRow
      const line = rowName(row)
      // Three rows beside each other, block behind block, with an aisle between.
      const side = row % ROWS_ABREAST
      const x = 1 + column * RACK_WIDTH + side * (building.racksPerRow * RACK_WIDTH + AISLE)
      const y = 1 + Math.floor(row / ROWS_ABREAST) * (RACK_DEPTH + AISLE)
      here('rack-unit', `${line}${String(column + 1).padStart(2, '0')}`, `Row ${line}`, RACK_SLOTS, x, y)
    }
    for (let left = quantities.seat ?? 0; left > 0; left -= SEATS_PER_ROOM, room++)
      here('seat', `Room ${room + 1}`, `Room ${room + 1}`, Math.min(left, SEATS_PER_ROOM), 0, 0)
    for (let left = quantities.port ?? 0; left > 0; left -= PORTS_PER_PANEL, panel++)
      here('port', `Panel ${panel + 1}`, `Meet-me room ${(panel % 2) + 1}`, Math.min(left, PORTS_PER_PANEL), 0, 0)
  })
  return containers
}

/** A, B, … Z, AA, AB … */
const rowName = (row: number): string =>
  row < 26 ? String.fromCharCode(65 + row) : `${rowName(Math.floor(row / 26) - 1)}${rowName(row % 26)}`

export interface OfferingData {
  code: string
  name: string
  nameJa: string
  description: string
  descriptionJa: string
  defaults: Record<string, unknown>
  minimumTermMonths: number
  charges: {
    kind: 'setup' | 'monthly' | 'unit'
    name: string
    nameJa: string
    resource?: string
    reservation?: 'firm' | 'standby'
    per?: 'hour' | 'day' | 'month'
    price: string
    tiers?: { from: number; price: string }[]
  }[]
}

const unit = (
  resource: string,
  per: 'hour' | 'day' | 'month',
  price: string,
  name: string,
  nameJa: string,
  tiers: { from: number; price: string }[] = [],
) => ({ kind: 'unit' as const, name, nameJa, resource, reservation: 'firm' as const, per, price, tiers })

const standby = (resource: string, per: 'hour' | 'day' | 'month', price: string, name: string, nameJa: string) => ({
  kind: 'unit' as const,
  name,
  nameJa,
  resource,
  reservation: 'standby' as const,
  per,
  price,
})

/** What the operator sells, in yen before tax. */
export const OFFERINGS: OfferingData[] = [
  {
    code: 'colocation-monthly',
    name: 'Colocation',
    nameJa: 'コロケーション',
    description: 'Rack space, power, office and ports by the month, with a minimum term of six months.',
    descriptionJa: 'ラック・電力・オフィス・ポートを月額で。最低利用期間は6か月です。',
    defaults: {},
    minimumTermMonths: 6,
    charges: [
      { kind: 'setup', name: 'Installation', nameJa: '初期工事費', price: '80000' },
      { kind: 'monthly', name: 'Remote hands, entry and monitoring', nameJa: '運用・入退館・監視', price: '20000' },
      unit('rack-unit', 'month', '6800', 'Rack units', 'ラックユニット', [
        { from: 42, price: '5200' },
        { from: 210, price: '4700' },
      ]),
      unit('server-room', 'month', '38000', 'Server-room area', 'サーバールーム面積', [{ from: 100, price: '33000' }]),
      unit('power', 'month', '15500', 'Power', '電力', [{ from: 50, price: '14200' }]),
      unit('office', 'month', '9500', 'Office area', 'オフィス面積'),
      unit('seat', 'month', '42000', 'Office seats', 'オフィス席'),
      unit('port', 'month', '6000', 'Cross-connect ports', '構内接続ポート'),
      standby('rack-unit', 'month', '2400', 'Rack units on standby', '待機ラックユニット'),
      standby('power', 'month', '4900', 'Power on standby', '待機電力'),
      standby('server-room', 'month', '12000', 'Server room on standby', '待機サーバールーム'),
    ],
  },
  {
    code: 'colocation-hourly',
    name: 'Colocation on demand',
    nameJa: 'オンデマンド・コロケーション',
    description: 'Rack units, power and ports by the hour: take them now, hand them back when you are done.',
    descriptionJa: 'ラックユニット・電力・ポートを時間単位で。すぐ使えて、いつでも返せます。',
    defaults: {},
    minimumTermMonths: 0,
    charges: [
      unit('rack-unit', 'hour', '14.5', 'Rack units', 'ラックユニット', [{ from: 42, price: '11.2' }]),
      unit('power', 'hour', '32', 'Power', '電力'),
      unit('server-room', 'hour', '78', 'Server-room area', 'サーバールーム面積'),
      unit('office', 'day', '640', 'Office area', 'オフィス面積'),
      unit('seat', 'day', '2600', 'Office seats', 'オフィス席'),
      unit('port', 'hour', '13', 'Cross-connect ports', '構内接続ポート'),
      standby('rack-unit', 'hour', '4.8', 'Rack units on standby', '待機ラックユニット'),
      standby('power', 'hour', '10.5', 'Power on standby', '待機電力'),
    ],
  },
]

export interface Buyer {
  code: string
  name: string
  kind: 'reseller' | 'customer'
  /** Code of the reseller above; the operator when absent. */
  under?: string
  address: string
  /** How much it tends to take, 1 is little. */
  size: number
}

/** Everybody is invented. */
export const BUYERS: Buyer[] = [
  { code: 'harbor-online', name: 'Harbor Online', kind: 'reseller', address: 'Naka-ku, Yokohama', size: 3 },
  { code: 'musashi-cable', name: 'Musashi Cable Television', kind: 'reseller', address: 'Omiya-ku, Saitama', size: 2 },
  { code: 'tsubame-systems', name: 'Tsubame Systems', kind: 'reseller', address: 'Chiyoda-ku, Tokyo', size: 2 },
  {
    code: 'kitano-foods',
    name: 'Kitano Foods',
    kind: 'customer',
    under: 'harbor-online',
    address: 'Kanagawa-ku, Yokohama',
    size: 1,
  },
  {
    code: 'minato-logistics',
    name: 'Minato Logistics',
    kind: 'customer',
    under: 'harbor-online',
    address: 'Minato-ku, Tokyo',
    size: 2,
  },
  {
    code: 'studio-hibiki',
    name: 'Studio Hibiki',
    kind: 'customer',
    under: 'harbor-online',
    address: 'Nishi-ku, Yokohama',
    size: 1,
  },
  {
    code: 'arakawa-town',
    name: 'Arakawa Town Office',
    kind: 'customer',
    under: 'musashi-cable',
    address: 'Arakawa, Saitama',
    size: 1,
  },
  {
    code: 'hanno-hospital',
    name: 'Hanno General Hospital',
    kind: 'customer',
    under: 'musashi-cable',
    address: 'Hanno, Saitama',
    size: 2,
  },
  {
    code: 'tsubame-games',
    name: 'Tsubame Games',
    kind: 'customer',
    under: 'tsubame-systems',
    address: 'Shibuya-ku, Tokyo',
    size: 3,
  },
  {
    code: 'orizuru-press',
    name: 'Orizuru Press',
    kind: 'customer',
    under: 'tsubame-systems',
    address: 'Bunkyo-ku, Tokyo',
    size: 1,
  },
  { code: 'aozora-securities', name: 'Aozora Securities', kind: 'customer', address: 'Chuo-ku, Tokyo', size: 5 },
  { code: 'hoshino-motors', name: 'Hoshino Motors', kind: 'customer', address: 'Kohoku-ku, Yokohama', size: 4 },
  { code: 'kumo-commerce', name: 'Kumo Commerce', kind: 'customer', address: 'Shinagawa-ku, Tokyo', size: 4 },
  { code: 'mizuho-textiles', name: 'Mizuho Textiles', kind: 'customer', address: 'Kawagoe, Saitama', size: 1 },
  { code: 'nagisa-travel', name: 'Nagisa Travel', kind: 'customer', address: 'Chuo-ku, Tokyo', size: 2 },
  { code: 'polaris-bank', name: 'Polaris Trust Bank', kind: 'customer', address: 'Chiyoda-ku, Tokyo', size: 5 },
  { code: 'sakura-insurance', name: 'Sakura Life Insurance', kind: 'customer', address: 'Shinjuku-ku, Tokyo', size: 4 },
  {
    code: 'shirakawa-university',
    name: 'Shirakawa University',
    kind: 'customer',
    address: 'Urawa-ku, Saitama',
    size: 3,
  },
  {
    code: 'tokiwa-electronics',
    name: 'Tokiwa Electronics',
    kind: 'customer',
    address: 'Totsuka-ku, Yokohama',
    size: 3,
  },
  { code: 'umi-video', name: 'Umi Video', kind: 'customer', address: 'Meguro-ku, Tokyo', size: 4 },
  { code: 'wakaba-school', name: 'Wakaba Online School', kind: 'customer', address: 'Tokorozawa, Saitama', size: 1 },
  { code: 'yamabiko-mail', name: 'Yamabiko Mail', kind: 'customer', address: 'Kawasaki-ku, Kawasaki', size: 2 },
]
