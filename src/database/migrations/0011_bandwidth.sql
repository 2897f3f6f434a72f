-- By which convention the bandwidth of a service is billed; a service without a row has the usual one.
create table bandwidth_terms (
  service_id uuid primary key references service,
  party_id uuid not null references party,
  percentile smallint not null check (percentile between 1 and 100),
  direction text not null check (direction in ('max_of_p95', 'p95_of_max', 'sum', 'in', 'out')),
  rank text not null
    check (rank in ('nearest_rank', 'drop_ceil', 'rounded_index', 'rounded_less_two', 'floor_index', 'interpolated')),
  missing text not null check (missing in ('exclude', 'zero', 'valid_days'))
);
alter table bandwidth_terms enable row level security;
create policy own on bandwidth_terms using (party_id in (select visible_parties()));
grant select on bandwidth_terms to izumi_tenant;

insert into resource_kind (code, name, name_ja, unit) values
  ('bandwidth-p95', 'Bandwidth by percentile (metered)', '帯域パーセンタイル(従量)', 'Mbit/s')
on conflict do nothing;
