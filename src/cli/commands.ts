/**
 * Every command that is a request: noun, verb, the operation behind it, and what of the answer people want to see. The
 * options of a command come from the API's description; the first verb of a noun is the one meant when none is said.
 */
import { CDN_NOUNS } from './cdn.ts'
import type { Column } from './table.ts'

export interface Command {
  verb: string
  operation: string
  columns?: Column[]
  /** Where the rows are, in an answer that is no page. */
  rows?: string
  examples?: string[]
}

export interface Noun {
  name: string
  about: string
  commands: Command[]
}

const column = (title: string, path: string, as?: Column['as']): Column => ({ title, path, ...(as ? { as } : {}) })
const id = column('Id', 'id')
const party = column('Customer', 'partyName')
const state = column('State', 'state')

export const NOUNS: Noun[] = [
  {
    name: 'sites',
    about: 'Data centres and points of presence, with their pools and dated steps',
    commands: [
      {
        verb: 'list',
        operation: 'GET /sites',
        columns: [
          column('Code', 'code'),
          column('Name', 'name'),
          column('Pools', 'pools.length', 'number'),
          column('Steps', 'steps.length', 'number'),
          column('Covers failures', 'coveredFailures', 'number'),
          column('Failed at', 'failedAt', 'instant'),
        ],
        examples: ['izumi sites', 'izumi sites --json', 'izumi sites show yokohama-1'],
      },
      { verb: 'show', operation: 'GET /sites/{site}' },
      { verb: 'add', operation: 'POST /sites', examples: ['izumi sites add --code osaka-1 --name "Osaka 1"'] },
      { verb: 'change', operation: 'PATCH /sites/{site}' },
    ],
  },
  {
    name: 'resource-kinds',
    about: 'Kinds of capacity: power, rack units, seats, …',
    commands: [
      {
        verb: 'list',
        operation: 'GET /resource-kinds',
        columns: [
          column('Code', 'code'),
          column('Name', 'name'),
          column('Unit', 'unit'),
          column('Identified', 'identified'),
        ],
      },
      {
        verb: 'add',
        operation: 'POST /resource-kinds',
        examples: ['izumi resource-kinds add --code cage --name Cage --unit cage'],
      },
    ],
  },
  {
    name: 'pools',
    about: 'Capacity of one kind at one site',
    commands: [
      {
        verb: 'add',
        operation: 'POST /pools',
        examples: ['izumi pools add --site osaka-1 --kind power --name Power --quantity 500'],
      },
      { verb: 'change', operation: 'PATCH /pools/{pool}' },
      {
        verb: 'chart',
        operation: 'GET /pools/{pool}/skyline',
        rows: 'points',
        columns: [
          column('At', 'at', 'instant'),
          column('Open', 'open'),
          column('Planned', 'planned'),
          column('Firm', 'firm'),
          column('Standby', 'standby'),
          column('Held', 'held'),
        ],
      },
      { verb: 'forecast', operation: 'GET /pools/{pool}/forecast' },
    ],
  },
  {
    name: 'steps',
    about: "Dated changes of a pool's capacity",
    commands: [
      {
        verb: 'list',
        operation: 'GET /pools/{pool}/steps',
        columns: [
          column('From', 'effectiveAt', 'date'),
          column('Quantity', 'quantity', 'number'),
          state,
          column('Cost', 'cost', 'money'),
          column('Lead days', 'leadTimeDays', 'number'),
          column('Note', 'note'),
          id,
        ],
      },
      {
        verb: 'add',
        operation: 'POST /pools/{pool}/steps',
        examples: [
          'izumi steps add 3 --effective-at 2027-04-01 --quantity 300 --state committed --cost amount=900000000,currency=JPY',
        ],
      },
      { verb: 'change', operation: 'PATCH /pools/{pool}/steps/{step}' },
      { verb: 'remove', operation: 'DELETE /pools/{pool}/steps/{step}' },
    ],
  },
  {
    name: 'racks',
    about: 'Racks, rooms of seats and panels of ports at a site, and who has what of them',
    commands: [
      {
        verb: 'list',
        operation: 'GET /sites/{site}/racks',
        columns: [
          column('Name', 'name'),
          column('Kind', 'kind'),
          column('Slots', 'slots', 'number'),
          column('Assigned', 'assignments.length', 'number'),
          column('Fault domain', 'faultDomain'),
          column('Id', 'id', 'text'),
        ],
      },
      {
        verb: 'add',
        operation: 'POST /sites/{site}/racks',
        examples: ['izumi racks add yokohama-1 --kind rack-unit --name R-101 --slots 42'],
      },
    ],
  },
  {
    name: 'availability',
    about: 'What is free at a site over an interval',
    commands: [
      {
        verb: 'show',
        operation: 'GET /availability',
        rows: 'pools',
        columns: [
          column('Kind', 'kind'),
          column('Unit', 'unit'),
          column('Free', 'free'),
          column('Open', 'open'),
          column('Largest run', 'largestRun'),
        ],
        examples: ['izumi availability --site yokohama-1 --from now --to +30d'],
      },
    ],
  },
  {
    name: 'claims',
    about: 'Capacity that is taken: all lines or none',
    commands: [
      {
        verb: 'list',
        operation: 'GET /claims',
        columns: [
          party,
          state,
          column('From', 'from', 'instant'),
          column('To', 'to', 'instant'),
          column('Lines', 'lines.length', 'number'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /claims/{claim}' },
      {
        verb: 'add',
        operation: 'POST /claims',
        examples: [
          'izumi claims add --party umi-video --line site=yokohama-1,kind=power,quantity=2 --to +30d',
          'izumi claims add --line site=yokohama-1,kind=rack-unit,quantity=42 --hold-until +72h',
        ],
      },
      { verb: 'change', operation: 'PATCH /claims/{claim}' },
      { verb: 'release', operation: 'POST /claims/{claim}/release' },
      { verb: 'convert', operation: 'POST /claims/{claim}/convert' },
    ],
  },
  {
    name: 'quotas',
    about: 'How much of a kind a party may take at most',
    commands: [
      {
        verb: 'list',
        operation: 'GET /quotas',
        columns: [
          column('Party', 'party'),
          column('Kind', 'kind'),
          column('Site', 'site'),
          column('Quota', 'quantity'),
          column('Used', 'used'),
          column('Unit', 'unit'),
        ],
      },
      {
        verb: 'set',
        operation: 'PUT /quotas',
        examples: ['izumi quotas set --party umi-video --kind power --site null --quantity 50'],
      },
      { verb: 'remove', operation: 'DELETE /quotas' },
    ],
  },
  {
    name: 'protection',
    about: 'What survives the failure of a site, and what does not',
    commands: [{ verb: 'show', operation: 'GET /protection' }],
  },
  {
    name: 'fail-over',
    about: 'Drills and real fail-overs of a site',
    commands: [
      {
        verb: 'list',
        operation: 'GET /fail-overs',
        columns: [
          column('Site', 'site'),
          column('Mode', 'mode'),
          state,
          column('Started', 'startedAt', 'instant'),
          column('Took', 'durationMs', 'duration'),
          column('Activated', 'activated'),
          column('Unprotected', 'unprotected'),
          id,
        ],
      },
      {
        verb: 'start',
        operation: 'POST /sites/{site}/fail-over',
        examples: ['izumi fail-over start yokohama-1 --mode drill'],
      },
      { verb: 'end', operation: 'POST /fail-overs/{failOver}/end' },
    ],
  },
  {
    name: 'forecasts',
    about: 'When each pool runs out, the most urgent first',
    commands: [
      {
        verb: 'list',
        operation: 'GET /forecasts',
        columns: [
          column('Site', 'site'),
          column('Kind', 'kind'),
          column('Runs out', 'runsOutAt', 'date'),
          column('Commit by', 'commitBy', 'date'),
          column('A day', 'trendPerDay'),
          column('Unit', 'unit'),
        ],
      },
    ],
  },
  {
    name: 'audit',
    about: 'Recomputes every peak from the reservations; fails when anything is wrong',
    commands: [{ verb: 'run', operation: 'GET /capacity/audit' }],
  },
  {
    name: 'offerings',
    about: 'What can be bought',
    commands: [
      {
        verb: 'list',
        operation: 'GET /offerings',
        columns: [
          column('Code', 'code'),
          column('Name', 'name'),
          column('Family', 'family'),
          state,
          column('Price plans', 'prices.length', 'number'),
        ],
      },
      { verb: 'show', operation: 'GET /offerings/{offering}' },
      { verb: 'add', operation: 'POST /offerings' },
      { verb: 'change', operation: 'PATCH /offerings/{offering}' },
    ],
  },
  {
    name: 'prices',
    about: 'What offerings cost',
    commands: [
      {
        verb: 'add',
        operation: 'POST /offerings/{offering}/prices',
        examples: [
          'izumi prices add colocation --charge kind=monthly,name=Basic,price=3100 --charge kind=unit,name=Power,resource=power,per=hour,price=20',
        ],
      },
    ],
  },
  {
    name: 'estimates',
    about: 'What a choice would cost, and whether it is free',
    commands: [
      {
        verb: 'make',
        operation: 'POST /estimates',
        examples: ['izumi estimates --offering colocation --config site=yokohama-1,power=2'],
      },
    ],
  },
  {
    name: 'quotes',
    about: 'Prices that hold, with the capacity held for them',
    commands: [
      {
        verb: 'list',
        operation: 'GET /quotes',
        columns: [
          column('Number', 'number'),
          party,
          column('Offering', 'offeringName'),
          state,
          column('Expires', 'expiresAt', 'instant'),
          column('A month', 'estimate.monthly', 'money'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /quotes/{quote}' },
      { verb: 'add', operation: 'POST /quotes' },
      { verb: 'accept', operation: 'POST /quotes/{quote}/accept' },
      { verb: 'withdraw', operation: 'POST /quotes/{quote}/withdraw' },
    ],
  },
  {
    name: 'orders',
    about: 'Orders: answered at once, or waiting for capacity',
    commands: [
      {
        verb: 'list',
        operation: 'GET /orders',
        columns: [
          column('Number', 'number'),
          party,
          column('Offering', 'offeringName'),
          state,
          column('From', 'from', 'instant'),
          column('To', 'to', 'instant'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /orders/{order}' },
      {
        verb: 'add',
        operation: 'POST /orders',
        examples: [
          'izumi orders add --offering colocation --config site=yokohama-1,power=2,rackUnits=4 --name "Two servers"',
          'izumi orders add --offering colocation --config site=yokohama-1,power=900 --wait-until +30d',
        ],
      },
      { verb: 'cancel', operation: 'POST /orders/{order}/cancel' },
    ],
  },
  {
    name: 'contracts',
    about: 'What was agreed, with its services and amendments',
    commands: [
      {
        verb: 'list',
        operation: 'GET /contracts',
        columns: [
          column('Number', 'number'),
          party,
          state,
          column('Since', 'startsAt', 'date'),
          column('Until', 'endsAt', 'date'),
          column('Services', 'serviceCount'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /contracts/{contract}' },
      { verb: 'terminate', operation: 'POST /contracts/{contract}/terminate' },
    ],
  },
  {
    name: 'services',
    about: 'What runs',
    commands: [
      {
        verb: 'list',
        operation: 'GET /services',
        columns: [
          column('Name', 'name'),
          party,
          column('Offering', 'offeringName'),
          state,
          column('Since', 'startsAt', 'date'),
          column('Until', 'endsAt', 'date'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /services/{service}' },
      {
        verb: 'change',
        operation: 'PATCH /services/{service}',
        examples: ['izumi services change ID --config power=4 --at +1h'],
      },
      { verb: 'suspend', operation: 'POST /services/{service}/suspend' },
      { verb: 'resume', operation: 'POST /services/{service}/resume' },
      { verb: 'terminate', operation: 'POST /services/{service}/terminate' },
    ],
  },
  {
    name: 'usage',
    about: 'What was reserved, by day',
    commands: [
      {
        verb: 'list',
        operation: 'GET /usage',
        rows: 'items',
        columns: [
          column('Date', 'date', 'date'),
          column('Site', 'site'),
          column('Kind', 'kind'),
          column('Reserved', 'unitHours'),
          column('Unit', 'unit'),
          column('As', 'reservation'),
          column('Services', 'services'),
        ],
      },
    ],
  },
  {
    name: 'meters',
    about: 'Ports and links whose octets are counted, and their bandwidth by percentile',
    commands: [
      {
        verb: 'list',
        operation: 'GET /meters',
        columns: [
          column('Id', 'id', 'number'),
          column('Code', 'code'),
          column('Service', 'serviceId'),
          column('Slot s', 'slotSeconds', 'number'),
          column('Link bit/s', 'linkBitsPerSecond'),
          column('Gaps', 'gap'),
        ],
      },
      {
        verb: 'add',
        operation: 'POST /meters',
        examples: ['izumi meters add --code yokohama-1/edge1/xe-0/0/1 --service ID --link-bits-per-second 10000000000'],
      },
      { verb: 'show', operation: 'GET /meters/{meter}' },
      { verb: 'samples', operation: 'GET /meters/{meter}/samples' },
      {
        verb: 'findings',
        operation: 'GET /meters/{meter}/findings',
        rows: 'items',
        columns: [
          column('Found', 'kind'),
          column('From', 'from', 'instant'),
          column('To', 'to', 'instant'),
          column('In', 'in'),
          column('Out', 'out'),
        ],
      },
      {
        verb: 'bandwidth',
        operation: 'GET /meters/{meter}/bandwidth',
        examples: ['izumi meters bandwidth 12 --month 2026-10 --direction max_of_p95'],
      },
      { verb: 'take-samples', operation: 'POST /meters/samples' },
      { verb: 'take-readings', operation: 'POST /meters/readings' },
    ],
  },
  {
    name: 'bandwidth',
    about: 'Bandwidth of a service by percentile, over all its ports',
    commands: [
      {
        verb: 'show',
        operation: 'GET /bandwidth',
        examples: ['izumi bandwidth show --service ID --month 2026-10'],
      },
      { verb: 'terms', operation: 'GET /services/{service}/bandwidth-terms' },
      {
        verb: 'set-terms',
        operation: 'PUT /services/{service}/bandwidth-terms',
        examples: [
          'izumi bandwidth set-terms ID --percentile 95 --direction max_of_p95 --rank nearest_rank --missing exclude',
        ],
      },
    ],
  },
  {
    name: 'invoices',
    about: 'Invoices and credit notes, down to the readings under each line',
    commands: [
      {
        verb: 'list',
        operation: 'GET /invoices',
        columns: [
          column('Number', 'number'),
          column('Period', 'period', 'text'),
          party,
          column('Seller', 'sellerName'),
          state,
          column('Total', 'total', 'money'),
          column('Due', 'dueOn', 'date'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /invoices/{invoice}' },
      { verb: 'line', operation: 'GET /invoices/{invoice}/lines/{line}' },
      { verb: 'issue', operation: 'POST /invoices/{invoice}/issue' },
      { verb: 'void', operation: 'POST /invoices/{invoice}/void' },
      {
        verb: 'pdf',
        operation: 'GET /invoices/{invoice}/pdf',
        examples: ['izumi invoices pdf ID --locale ja --output invoice.pdf'],
      },
    ],
  },
  {
    name: 'billing-runs',
    about: 'Makes the drafts of a month',
    commands: [
      {
        verb: 'list',
        operation: 'GET /billing-runs',
        columns: [
          column('Period', 'period', 'text'),
          state,
          column('Invoices', 'invoices'),
          column('Services', 'services'),
          column('Ended', 'endedAt', 'instant'),
          column('Problem', 'problem'),
        ],
      },
      { verb: 'start', operation: 'POST /billing-runs', examples: ['izumi billing-runs start --period 2026-10'] },
    ],
  },
  {
    name: 'accounts',
    about: 'The trial balance',
    commands: [
      {
        verb: 'list',
        operation: 'GET /accounts',
        rows: 'items',
        columns: [
          column('Code', 'code', 'text'),
          column('Name', 'name'),
          column('Type', 'type'),
          column('Debit', 'debit', 'money'),
          column('Credit', 'credit', 'money'),
          column('Balance', 'balance', 'money'),
        ],
      },
    ],
  },
  {
    name: 'journal',
    about: 'Every posting',
    commands: [
      {
        verb: 'list',
        operation: 'GET /journal',
        columns: [
          column('Id', 'id', 'text'),
          column('On', 'effectiveOn', 'date'),
          column('Description', 'description'),
          column('Postings', 'postings.length', 'number'),
        ],
      },
    ],
  },
  {
    name: 'results',
    about: 'How the quarters went',
    commands: [
      {
        verb: 'show',
        operation: 'GET /results',
        rows: 'quarters',
        columns: [
          column('Quarter', 'quarter'),
          column('Contracts', 'contracts'),
          column('New', 'newContracts'),
          column('Ended', 'endedContracts'),
          column('Services', 'services'),
          column('Revenue', 'revenue', 'money'),
          column('ARPU', 'arpu', 'money'),
          column('On quarter', 'revenueGrowth.quarterOnQuarter', 'percent'),
          column('On year', 'revenueGrowth.yearOnYear', 'percent'),
        ],
        examples: ['izumi results --from 2026Q1 --to 2026Q3'],
      },
    ],
  },
  {
    name: 'parties',
    about: 'The operator, resellers and customers',
    commands: [
      {
        verb: 'list',
        operation: 'GET /parties',
        columns: [
          column('Code', 'code'),
          column('Name', 'name'),
          column('Kind', 'kind'),
          column('Under', 'parentName'),
          column('Currency', 'currency'),
          column('Status', 'status'),
        ],
      },
      { verb: 'show', operation: 'GET /parties/{party}' },
      {
        verb: 'add',
        operation: 'POST /parties',
        examples: ['izumi parties add --kind customer --name "Umi Video" --parent harbor-online'],
      },
      { verb: 'change', operation: 'PATCH /parties/{party}' },
    ],
  },
  {
    name: 'users',
    about: 'People and their roles',
    commands: [
      {
        verb: 'list',
        operation: 'GET /users',
        columns: [
          column('E-mail', 'email'),
          column('Name', 'name'),
          column('Role', 'role'),
          column('Party', 'partyName'),
          column('Status', 'status'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /users/{user}' },
      {
        verb: 'invite',
        operation: 'POST /users/invitations',
        examples: ['izumi users invite --email hanako@example.jp --role engineer'],
      },
      {
        verb: 'invitations',
        operation: 'GET /users/invitations',
        columns: [
          column('E-mail', 'email'),
          column('Role', 'role'),
          column('Party', 'partyName'),
          column('Expires', 'expiresAt', 'instant'),
          column('Accepted', 'acceptedAt', 'instant'),
        ],
      },
      { verb: 'change', operation: 'PATCH /users/{user}' },
    ],
  },
  {
    name: 'api-keys',
    about: 'Programs and what they may do',
    commands: [
      {
        verb: 'list',
        operation: 'GET /api-keys',
        columns: [
          column('Name', 'name'),
          column('Role', 'role'),
          column('Scopes', 'scopes'),
          column('Party', 'partyName'),
          column('Expires', 'expiresAt', 'instant'),
          column('Revoked', 'revokedAt', 'instant'),
          id,
        ],
      },
      {
        verb: 'add',
        operation: 'POST /api-keys',
        examples: ['izumi api-keys add --name monitoring --role read-only --scopes capacity:read,events:read'],
      },
      { verb: 'revoke', operation: 'DELETE /api-keys/{key}' },
    ],
  },
  {
    name: 'events',
    about: 'Every change: who, what, when',
    commands: [
      {
        verb: 'list',
        operation: 'GET /events',
        columns: [
          column('At', 'at', 'instant'),
          column('Type', 'type'),
          column('Who', 'actorName'),
          column('What', 'subjectKind'),
          column('Id', 'subjectId'),
        ],
      },
    ],
  },
  {
    name: 'webhooks',
    about: 'Addresses that are told of events',
    commands: [
      {
        verb: 'list',
        operation: 'GET /webhooks',
        columns: [
          column('Address', 'url'),
          column('Types', 'types'),
          state,
          column('Failing since', 'failingSince', 'instant'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /webhooks/{webhook}' },
      {
        verb: 'add',
        operation: 'POST /webhooks',
        examples: ["izumi webhooks add --url https://example.jp/izumi --types 'order.*,invoice.issued'"],
      },
      { verb: 'change', operation: 'PATCH /webhooks/{webhook}' },
      { verb: 'remove', operation: 'DELETE /webhooks/{webhook}' },
      {
        verb: 'deliveries',
        operation: 'GET /webhooks/{webhook}/deliveries',
        columns: [
          column('Tried', 'at', 'instant'),
          column('Type', 'type'),
          state,
          column('Tries', 'attempts'),
          column('Status', 'status', 'text'),
          column('Problem', 'problem'),
        ],
      },
      { verb: 'test', operation: 'POST /webhooks/{webhook}/test' },
    ],
  },
  ...CDN_NOUNS,
]

/** Operations that other commands stand for (sign-in, whoami, events follow), or that are a browser's or a node's. */
export const ELSEWHERE: readonly string[] = [
  'GET /set-up',
  'POST /set-up',
  'POST /sign-in',
  'POST /sign-out',
  'GET /me',
  'PATCH /me',
  'GET /sign-in/oidc',
  'GET /sign-in/oidc/callback',
  'GET /invitations/{token}',
  'POST /invitations/{token}',
  'GET /events/stream',
  'GET /openapi.json',
  'POST /feed/enrol',
  'GET /feed/stream',
  'POST /feed/acknowledgements',
  'POST /feed/heartbeats',
  'POST /feed/usage',
]
