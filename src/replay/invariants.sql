-- What must hold between orders, contracts, services, amendments and claims, from the rows alone. A row here is a breach.
-- $1: services and orders that begin before are not looked at.
with o as materialized (
    select o.*, c.state as claim_state, c.starts_at as claim_from, c.ends_at as claim_to
    from product_order o left join claim c on c.id = o.claim_id where o.created_at >= $1::timestamptz),
  s as materialized (
    select s.*, c.id as claim, c.state as claim_state, c.starts_at as claim_from, c.ends_at as claim_to
    from service s left join claim c on c.id = s.claim_id where s.created_at >= $1::timestamptz),
  breach (problem, id) as (
    select 'an order without its claim', id from o where claim_state is null
    union all
    select 'a completed order without its service or contract', o.id from o
      left join service s on s.id = o.service_id and s.claim_id = o.claim_id and s.party_id = o.party_id
      left join contract k on k.id = o.contract_id and k.party_id = o.party_id
      where o.state = 'completed' and (s.id is null or k.id is null or s.contract_id <> k.id)
    union all
    select 'a waiting order whose claim does not wait', id from o where state = 'waiting' and claim_state <> 'waiting'
    union all
    select 'a cancelled order that has a service', o.id from o join service s on s.id = o.service_id where o.state = 'cancelled'
    union all
    select 'two services on one claim', min(id::text)::uuid from s group by claim_id having count(*) > 1
    union all
    select 'a service whose dates are not those of its claim', id from s
      where (starts_at, ends_at) is distinct from (claim_from, claim_to)
    union all
    select 'a terminated service whose claim holds capacity past its end', s.id from s
      where s.state = 'terminated' and exists (
        select from reservation r where r.claim_id = s.claim_id and r.type in ('firm', 'standby') and r.ends_at > s.ends_at)
    union all
    select 'a service that reserves nothing while it lives', s.id from s
      where s.starts_at < s.ends_at and not exists (
        select from reservation r where r.claim_id = s.claim_id and r.starts_at = s.starts_at and r.ends_at = s.ends_at)
    union all
    select 'a service without the amendment that added it', s.id from s
      where not exists (select from amendment a where a.service_id = s.id and a.kind = 'add')
    union all
    select 'a terminated service without the amendment that ended it', s.id from s
      where s.state = 'terminated' and not exists (
        select from amendment a where a.service_id = s.id and a.kind = 'terminate' and a.effective_at = s.ends_at)
    union all
    select 'a contract that ends before one of its services', s.id from s join contract k on k.id = s.contract_id
      where k.ends_at < s.ends_at
    union all
    select 'an ended contract with a living service', s.id from s join contract k on k.id = s.contract_id
      where k.state = 'ended' and s.state <> 'terminated')
select problem, count(*)::int as count, min(id::text) as example from breach group by problem order by problem
