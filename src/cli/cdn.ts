/** The commands of the CDN and its nodes, as `commands.ts` lists those of all else. */
import type { Noun } from './commands.ts'
import type { Column } from './table.ts'

const column = (title: string, path: string, as?: Column['as']): Column => ({ title, path, ...(as ? { as } : {}) })
const id = column('Id', 'id')
const state = column('State', 'state')

export const CDN_NOUNS: Noun[] = [
  {
    name: 'nodes',
    about: 'Edges, responders and agents at the sites',
    commands: [
      {
        verb: 'list',
        operation: 'GET /nodes',
        columns: [
          column('Name', 'name'),
          column('Kind', 'kind'),
          column('Site', 'site'),
          state,
          column('Behind', 'behind', 'number'),
          column('Last seen', 'lastSeenAt', 'instant'),
          column('Software', 'software'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /nodes/{node}' },
      { verb: 'change', operation: 'PATCH /nodes/{node}' },
      { verb: 'approve', operation: 'POST /nodes/{node}/approve' },
      { verb: 'drain', operation: 'POST /nodes/{node}/drain' },
      { verb: 'resume', operation: 'POST /nodes/{node}/resume' },
      { verb: 'remove', operation: 'POST /nodes/{node}/remove' },
      { verb: 'revoke', operation: 'POST /nodes/{node}/revoke' },
    ],
  },
  {
    name: 'node-tokens',
    about: 'One-time tokens with which nodes enrol',
    commands: [
      {
        verb: 'list',
        operation: 'GET /node-tokens',
        columns: [
          column('Name', 'name'),
          column('Kind', 'kind'),
          column('Site', 'site'),
          column('Expires', 'expiresAt', 'instant'),
          column('Used', 'usedAt', 'instant'),
          id,
        ],
      },
      {
        verb: 'add',
        operation: 'POST /node-tokens',
        examples: ['izumi node-tokens add --kind edge --name edge-1 --site yokohama-1 --addresses 192.0.2.7'],
      },
      { verb: 'withdraw', operation: 'DELETE /node-tokens/{nodeToken}' },
    ],
  },
  {
    name: 'cdn',
    about: 'Web properties on the edges',
    commands: [
      {
        verb: 'list',
        operation: 'GET /cdn/properties',
        columns: [
          column('Name', 'name'),
          column('Customer', 'partyName'),
          column('Hosts', 'hosts'),
          state,
          column('Version', 'activeVersion', 'number'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /cdn/properties/{property}' },
      {
        verb: 'check',
        operation: 'POST /cdn/check',
        examples: [
          'izumi cdn check --config \'{"name":"shop","hosts":["www.shop.example"],"origin":"https://origin.shop.example"}\'',
        ],
      },
      { verb: 'roll-back', operation: 'POST /cdn/properties/{property}/roll-back' },
      {
        verb: 'usage',
        operation: 'GET /cdn/properties/{property}/usage',
        rows: 'items',
        columns: [
          column('Slot', 'slot', 'instant'),
          column('Site', 'site'),
          column('Requests', 'requests', 'number'),
          column('Bytes out', 'bytesOut', 'number'),
          column('bit/s', 'bitsPerSecond', 'number'),
        ],
      },
      {
        verb: 'live',
        operation: 'GET /cdn/properties/{property}/live',
        rows: 'items',
        columns: [
          column('Node', 'node'),
          column('Site', 'site'),
          column('At', 'at', 'instant'),
          column('Requests', 'requests', 'number'),
          column('Bytes out', 'bytesOut', 'number'),
        ],
      },
      {
        verb: 'purge',
        operation: 'POST /cdn/purges',
        examples: [
          'izumi cdn purge --url https://www.shop.example/a.css',
          'izumi cdn purge --property ID --tag product-7 --soft true',
        ],
      },
      {
        verb: 'preload',
        operation: 'POST /cdn/preloads',
        examples: ['izumi cdn preload --property ID --urls https://www.shop.example/film.mp4'],
      },
    ],
  },
  {
    name: 'cdn-versions',
    about: 'Versions of a property: drafted, compared, activated',
    commands: [
      {
        verb: 'list',
        operation: 'GET /cdn/properties/{property}/versions',
        columns: [
          column('Number', 'number', 'number'),
          state,
          column('Author', 'author'),
          column('Note', 'note'),
          column('Made', 'createdAt', 'instant'),
          column('Activated', 'activatedAt', 'instant'),
        ],
      },
      { verb: 'show', operation: 'GET /cdn/properties/{property}/versions/{versionNumber}' },
      { verb: 'add', operation: 'POST /cdn/properties/{property}/versions' },
      { verb: 'activate', operation: 'POST /cdn/properties/{property}/versions/{versionNumber}/activate' },
    ],
  },
  {
    name: 'cdn-certificates',
    about: 'Certificates of a property',
    commands: [
      {
        verb: 'list',
        operation: 'GET /cdn/properties/{property}/certificates',
        rows: 'items',
        columns: [
          column('Names', 'names'),
          column('Issuer', 'issuer'),
          column('Until', 'notAfter', 'instant'),
          column('From', 'source'),
          id,
        ],
      },
      { verb: 'add', operation: 'POST /cdn/properties/{property}/certificates' },
      { verb: 'remove', operation: 'DELETE /cdn/properties/{property}/certificates/{certificate}' },
    ],
  },
  {
    name: 'cdn-routing',
    about: 'How visitors are led to edges: zones, maps, settings',
    commands: [
      { verb: 'show', operation: 'GET /cdn/routing' },
      { verb: 'set', operation: 'PUT /cdn/routing' },
    ],
  },
  {
    name: 'cdn-purges',
    about: 'What was purged and warmed up, and which edges confirmed',
    commands: [
      {
        verb: 'list',
        operation: 'GET /cdn/purges',
        columns: [
          column('At', 'at', 'instant'),
          column('Kind', 'kind'),
          column('Who', 'actorName'),
          column('What', 'request'),
          id,
        ],
      },
      { verb: 'show', operation: 'GET /cdn/purges/{purge}' },
    ],
  },
]
