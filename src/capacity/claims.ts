/** Claims as the engine reads them: with every reservation row, to decide what becomes of them. */
import type { Sql } from '../database/connection.ts'
import { type ClaimRecord, outcomeFrom } from './claim-record.ts'
import type { ClaimOutcome, ClaimState } from './model.ts'
import type { Registry } from './registry.ts'
import type { KnownClaim, KnownPart, StoredRequest } from './world.ts'

/** Reads claims whole; with `lock` it holds their rows until the transaction ends. Those that are not there are absent. */
export async function readClaims(sql: Sql, ids: readonly string[], lock = false): Promise<Map<string, KnownClaim>> {
  const found = new Map<string, KnownClaim>()
  if (ids.length === 0) return found
  const claims = await sql.query<Omit<KnownClaim, 'parts'> & { state: ClaimState; request: StoredRequest | null }>(
    `select id, party_id as "partyId", state, starts_at as "from", ends_at as "to", expires_at as "expiresAt", version, request
     from claim where id = any($1) order by id ${lock ? 'for update' : ''}`,
    [ids],
    lock ? 'capacity-lock-claims' : 'capacity-read-claims',
  )
  for (const claim of claims) found.set(claim.id, { ...claim, parts: [] })
  const parts = await sql.query<
    Omit<KnownPart, 'run'> & {
      claimId: string
      containerId: number | null
      containerName: string
      start: number
      length: number
    }
  >(
    `select r.claim_id as "claimId", r.part, r.line, r.pool_id as "poolId", r.quantity::float8 as quantity, r.type,
       r.starts_at as "from", r.ends_at as "to", r.protects_site_id as protects,
       r.unprotected_at is not null as unprotected, r.born_version::float8 as "bornVersion",
       a.container_id as "containerId", t.name as "containerName", lower(a.slots) as start, upper(a.slots) - lower(a.slots) as length
     from reservation r left join assignment a
       on a.claim_id = r.claim_id and a.part = r.part and upper(a.during) = r.ends_at
       left join container t on t.id = a.container_id
     where r.claim_id = any($1) order by r.claim_id, r.part`,
    [ids],
    'capacity-read-parts',
  )
  for (const { claimId, containerId, containerName, start, length, ...part } of parts)
    found
      .get(claimId)
      ?.parts.push({ ...part, run: containerId === null ? null : { containerId, containerName, start, length } })
  return found
}

/** What was answered first to requests with these idempotency keys. */
export async function firstAnswers(
  sql: Sql,
  registry: Registry,
  keys: readonly { partyId: string; key: string }[],
): Promise<Map<string, { hash: string | null; outcome: ClaimOutcome }>> {
  const rows = await sql.query<{ id: string; partyId: string; key: string; hash: string | null; record: ClaimRecord }>(
    `select c.id, c.party_id as "partyId", c.idempotency_key as key, c.request_hash as hash, e.after as record
     from unnest($1::uuid[], $2::text[]) as k(party_id, key)
       join claim c on c.party_id = k.party_id and c.idempotency_key = k.key
       cross join lateral (select after from event where subject_id = c.id::text and subject_kind = 'claim' order by id limit 1) e`,
    [keys.map(({ partyId }) => partyId), keys.map(({ key }) => key)],
    'capacity-first-answers',
  )
  return new Map(
    rows.map(({ id, partyId, key, hash, record }) => [
      `${partyId}/${key}`,
      { hash, outcome: outcomeFrom(registry, id, partyId, record) },
    ]),
  )
}
