/** `/parties`: the operator, its resellers and customers, as far as the asker may see. */

import Type from 'typebox'
import { toIso } from '../core/time.ts'
import type { Party } from '../parties/model.ts'
import { PARTY_KINDS } from '../parties/model.ts'
import type { App } from './app.ts'
import { tag } from './etag.ts'
import type { Platform } from './platform.ts'
import { CurrencyCode, Id, Instant, Nullable, OneOf, PartyRef, Shape, Text } from './schemas.ts'

export const PartyJson = Shape(
  {
    id: Id,
    kind: OneOf(PARTY_KINDS),
    code: Text(63),
    name: Text(),
    parentId: Nullable(Id),
    parentName: Nullable(Text()),
    currency: CurrencyCode,
    locale: Text(10),
    timeZone: Text(60),
    email: Nullable(Text(254)),
    address: Nullable(Text(500)),
    taxRegistration: Nullable(Text(40)),
    status: OneOf(['active', 'closed']),
    version: Type.Integer(),
    createdAt: Instant,
  },
  { title: 'Party' },
)

const toJson = ({ ancestors: _, fiscalYearStartMonth: __, createdAt, ...party }: Party) => ({
  ...party,
  createdAt: toIso(createdAt)!,
})

export function partyRoutes(app: App, _platform: Platform): void {
  app.get(
    '/parties/:party',
    {
      config: { access: { scope: 'parties' } },
      schema: {
        tags: ['parties'],
        summary: 'One party',
        params: Shape({ party: PartyRef }),
        response: { 200: PartyJson },
      },
    },
    async (request, reply) => {
      const party = await request.visibleParty(request.params.party)
      tag(reply, party.version)
      return toJson(party)
    },
  )
}
