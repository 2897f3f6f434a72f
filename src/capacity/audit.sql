-- The auditor: recomputes from reservations, steps and assignments alone what must hold, and returns one row for each
-- breach. It shares nothing with the engine but the tables. $1: instants before it are not judged (`-infinity` for all).
with recursive
-- Open capacity of each pool, as changes over time.
stepped as (
  select pool_id, effective_at as at, sum(sum(quantity)) over (partition by pool_id order by effective_at) as total
  from capacity_step where state <> 'planned' group by pool_id, effective_at),
capacity as (
  select s.pool_id, s.at, floor(greatest(s.total, 0) * p.oversubscription) as amount from stepped s join pool p on p.id = s.pool_id),
capacity_change as (
  select pool_id, at, amount - coalesce(lag(amount) over (partition by pool_id order by at), 0) as amount from capacity),
-- The failures each pool must survive: the largest sets of sites that its standby protects, up to the number covered.
protected as (
  select distinct pool_id, protects_site_id as site from reservation
  where protects_site_id is not null and starts_at < ends_at),
covered as (
  select p.id as pool_id, least(coalesce(s.covered_failures, 1), count(x.site)) as size
  from pool p left join site s on s.id = p.site_id left join protected x on x.pool_id = p.id
  group by p.id, s.covered_failures),
failed as (
  select pool_id, '{}'::integer[] as sites from covered
  union all
  select f.pool_id, f.sites || x.site from failed f join covered c using (pool_id) join protected x using (pool_id)
  where cardinality(f.sites) < c.size and x.site > all (f.sites)),
active as (select site_id as site from fail_over where state = 'active'),
scenario as (
  select f.pool_id, f.sites, false as during from failed f join covered c using (pool_id) where cardinality(f.sites) = c.size
  union all
  -- While sites are failed or drilled: the same on top of them, without what is marked unprotected.
  select f.pool_id, f.sites || array(select site from active), true from failed f join covered c using (pool_id)
  where exists (select from active)
    and not f.sites && array(select site from active)
    and cardinality(f.sites) = least(c.size, (select count(*) from protected x where x.pool_id = f.pool_id
      and x.site not in (select site from active)))),
-- Free capacity of each pool in each scenario, instant by instant.
change as (
  select s.pool_id, s.sites, s.during, c.at, c.amount from scenario s join capacity_change c using (pool_id)
  union all
  select s.pool_id, s.sites, s.during, e.at, e.amount
  from scenario s join reservation r on r.pool_id = s.pool_id
    cross join lateral (values (r.starts_at, -r.quantity), (r.ends_at, r.quantity)) as e(at, amount)
  where r.starts_at < r.ends_at and (r.protects_site_id is null
    or r.protects_site_id = any (s.sites) and not (s.during and r.unprotected_at is not null))),
running as (
  select pool_id, sites, at, sum(sum(amount)) over w as free, lead(at) over w as until
  from change group by pool_id, sites, during, at window w as (partition by pool_id, sites, during order by at)),
finding as (
  select 'oversold' as finding, pool_id, null::uuid as claim_id, at,
    format('%s thousandths too many reserved%s', -free,
      case when sites <> '{}' then ' if sites ' || array_to_string(sites, ', ') || ' fail' else '' end) as detail
  from running where free < 0 and coalesce(until, 'infinity') > $1::timestamptz
  union all
  select 'version', r.pool_id, r.claim_id, null, format('part %s was written at version %s, changed at %s; the pool is at %s',
      r.part, r.born_version, r.pool_version, p.version)
  from reservation r left join pool p on p.id = r.pool_id
  where p.id is null or r.pool_version > p.version or r.born_version > r.pool_version
  union all
  select 'orphan', r.pool_id, r.claim_id, null, 'a reservation without a claim'
  from reservation r where not exists (select from claim c where c.id = r.claim_id)
  union all
  select 'half-written', null, c.id, null, 'a claim without reservations'
  from claim c where c.state in ('active', 'held') and not exists (select from reservation r where r.claim_id = c.id)
  union all
  select 'outlives-claim', r.pool_id, r.claim_id, r.ends_at, format('part %s ends after its claim', r.part)
  from reservation r join claim c on c.id = r.claim_id
  where r.starts_at < r.ends_at and (r.ends_at > c.ends_at or c.state in ('waiting', 'cancelled'))
  union all
  select 'assigned-twice', c.pool_id, a.claim_id, lower(a.during * b.during),
    format('slots %s of %s are also held by claim %s', a.slots * b.slots, c.name, b.claim_id)
  from assignment a join assignment b
    on b.container_id = a.container_id and a.slots && b.slots and a.during && b.during
      and (a.claim_id, a.part) < (b.claim_id, b.part)
    join container c on c.id = a.container_id
  union all
  select 'wrong-assignment', r.pool_id, a.claim_id, lower(a.during),
    format('part %s has slots %s of %s from %s to %s', a.part, a.slots, c.name, lower(a.during), upper(a.during))
  from assignment a join container c on c.id = a.container_id
    left join reservation r on r.claim_id = a.claim_id and r.part = a.part
  where r.claim_id is null or c.pool_id <> r.pool_id
    or (upper(a.slots) - lower(a.slots)) * 1000 <> r.quantity
    or lower(a.slots) < 1 or upper(a.slots) - 1 > c.slots
    or not tstzrange(r.starts_at, r.ends_at) @> a.during
    or r.protects_site_id is null and a.during <> tstzrange(r.starts_at, r.ends_at)
  union all
  select 'quota-missed', q.id, r.claim_id, r.starts_at, format('part %s does not count in the quota', r.part)
  from pool q
    join pool p on p.kind = q.kind and p.party_id is null and (q.site_id is null or p.site_id = q.site_id)
    join reservation r on r.pool_id = p.id and r.ends_at > greatest(r.starts_at, now())
    join claim c on c.id = r.claim_id
    join party y on y.id = c.party_id and y.ancestors @> array[q.party_id]
  where q.party_id is not null and q.retired_at is null and not exists (
    select from reservation x where x.claim_id = r.claim_id and x.pool_id = q.id and x.type = 'quota' and x.line = r.line
      and x.quantity = r.quantity and x.ends_at = r.ends_at and x.starts_at <= greatest(r.starts_at, now())))
select finding, pool_id as "poolId", claim_id as "claimId", at, detail from finding order by finding, pool_id, at limit 1000
