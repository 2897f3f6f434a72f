-- What was measured: meters, their samples slot by slot while they are fresh, and packed days for good.

create table meter (
  id integer generated always as identity primary key,
  code text not null unique check (code ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$'),
  party_id uuid not null references party,
  service_id uuid references service,
  slot_seconds integer not null check (slot_seconds in (60, 300)),
  counter_bits smallint not null check (counter_bits in (32, 64)),
  link_bits_per_second bigint check (link_bits_per_second > 0),
  -- What the slots of a gap are: missing, without traffic, or their share of what passed meanwhile.
  gap text not null check (gap in ('drop', 'zero', 'interpolate')),
  -- The last reading of its counters and what was counted of the slot it lies in.
  counter json,
  created_at timestamptz not null default now()
) with (fillfactor = 70);
create index meter_service on meter (service_id);
create index meter_party on meter (party_id, id);

-- Rows stay here until their day is packed. `minute` is when the slot begins, in minutes since the epoch; it leads the key,
-- so that a poll of many meters is written to few pages.
create table sample (
  minute integer not null,
  meter_id integer not null,
  octets_in bigint not null,
  octets_out bigint not null,
  primary key (minute, meter_id)
);

-- A day (UTC) of one meter, packed by src/usage/packing.ts. Four of them fill a page, uncompressed and in line.
create table sample_day (
  meter_id integer not null,
  first_minute integer not null,
  packed bytea not null,
  primary key (meter_id, first_minute)
) with (toast_tuple_target = 8160);
alter table sample_day alter column packed set storage external;

-- Samples that were corrected after they were taken, as they were before.
create table sample_change (
  id bigint generated always as identity primary key,
  meter_id integer not null,
  minute integer not null,
  octets_in bigint not null,
  octets_out bigint not null,
  changed_at timestamptz not null default now()
);
create index sample_change_meter on sample_change (meter_id, minute);

-- What was not counted as it was read, and why: a restart, a wrap, more than the link carries, a late poll.
create table meter_finding (
  id bigint generated always as identity primary key,
  meter_id integer not null,
  kind text not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  octets_in bigint,
  octets_out bigint,
  found_at timestamptz not null default now()
);
create index meter_finding_meter on meter_finding (meter_id, starts_at);

-- A batch of a source is taken once, however often it is sent; a repeat gets the first answer.
create table sample_batch (
  party_id uuid not null references party,
  source text not null,
  number bigint not null,
  hash text not null,
  answer json,
  taken_at timestamptz not null default now(),
  primary key (party_id, source, number)
) with (fillfactor = 70);

alter table meter enable row level security;
create policy own on meter using (party_id in (select visible_parties()));
do $$
declare t text;
begin
  foreach t in array array['sample', 'sample_day', 'sample_change', 'meter_finding']
  loop
    execute format('alter table %I enable row level security', t);
    execute format('create policy own on %I using (exists (select from meter m where m.id = meter_id))', t);
  end loop;
end $$;
grant select on meter, sample, sample_day, sample_change, meter_finding to izumi_tenant;
alter table sample_batch enable row level security;
