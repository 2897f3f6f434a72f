-- Capacity. Reservations and assignments are the truth; every process derives skylines from them in memory. A pool's
-- version guards it: whoever writes reservations of a pool holds its row lock and bumps the version in the same
-- transaction (the triggers below refuse anything else).

create extension if not exists btree_gist;

create table site (
  id integer generated always as identity primary key,
  code text not null unique check (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null,
  name_ja text,
  address text,
  latitude double precision,
  longitude double precision,
  time_zone text not null default 'Asia/Tokyo',
  -- Simultaneous site failures that standby capacity at this site must cover.
  covered_failures smallint not null default 1 check (covered_failures between 1 and 3),
  -- When the site was declared failed (a real fail-over is in force), else null.
  failed_at timestamptz,
  floor jsonb,
  version integer not null default 1,
  created_at timestamptz not null default now()
);

create table resource_kind (
  code text primary key check (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null,
  name_ja text,
  unit text not null,
  -- Units inside a pool have identities (rack units, seats, ports) and are assigned one by one.
  identified boolean not null default false
);

-- A pool of one kind at one site; or, with a party, that party's quota of the kind (over all sites, or at one).
create table pool (
  id integer generated always as identity primary key,
  site_id integer references site,
  kind text not null references resource_kind,
  party_id uuid references party,
  name text not null,
  oversubscription numeric(6, 3) not null default 1 check (oversubscription between 0.001 and 100),
  version bigint not null default 1,
  -- The version at which something other than reservations last changed (steps, oversubscription, quotas, a fail-over):
  -- a process that has seen only an earlier one reads the pool anew instead of catching up.
  reload_version bigint not null default 1,
  -- When a quota was withdrawn; null while it binds.
  retired_at timestamptz,
  created_at timestamptz not null default now(),
  check (site_id is not null or party_id is not null)
) with (fillfactor = 50);
create unique index pool_site_kind on pool (site_id, kind) where party_id is null;
create unique index pool_quota on pool (party_id, kind, coalesce(site_id, 0)) where party_id is not null;

-- A dated change of a pool's capacity, in thousandths of the unit; negative where capacity goes away. Planned steps are
-- shown and forecast against but not sold; committed and open ones count from their date.
create table capacity_step (
  id uuid primary key,
  pool_id integer not null references pool,
  effective_at timestamptz not null,
  quantity bigint not null check (quantity <> 0),
  state text not null check (state in ('planned', 'committed', 'open')),
  cost bigint,
  currency text,
  lead_time_days integer not null default 0 check (lead_time_days >= 0),
  note text,
  created_at timestamptz not null default now()
);
create index capacity_step_pool on capacity_step (pool_id);

-- A rack, a room of seats, a panel of ports: numbered slots 1..slots inside a pool.
create table container (
  id integer generated always as identity primary key,
  pool_id integer not null references pool,
  name text not null,
  -- The fault domain: what fails together (a row on one power feed). Anti-affinity keeps claims apart by it.
  fault_domain text,
  slots integer not null check (slots between 1 and 10000),
  slot_labels text[],
  x real, y real, width real, depth real,
  opens_at timestamptz not null default '-infinity',
  unique (pool_id, name)
);

-- All that one request takes, everywhere, or nothing.
create table claim (
  id uuid primary key,
  party_id uuid not null,
  state text not null check (state in ('active', 'held', 'waiting', 'released', 'expired', 'cancelled')),
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  -- When a hold lapses, or a waiting claim gives up.
  expires_at timestamptz,
  idempotency_key text,
  -- What was asked, where more is to be decided from it: waiting, recurring, with affinity.
  request jsonb,
  -- Of a request with an idempotency key: what it was, to tell a repeat from another use of the key.
  request_hash text,
  -- The decision that wrote the row last: after a lost connection it tells whether that decision was committed.
  change_id uuid not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  check (starts_at <= ends_at)
);
create unique index claim_idempotency on claim (party_id, idempotency_key) where idempotency_key is not null;
create index claim_pending on claim (state, expires_at) where state in ('held', 'waiting');
create index claim_party on claim (party_id, id);

-- One quantity of one pool over one interval. `line` is the line of the claim as asked, `part` numbers the claim's rows.
-- Rows never change what, where and from when: a change ends one row and begins another, so the rows are also the
-- history that is billed (types firm and standby; a hold and a quota's share are nobody's bill).
create table reservation (
  claim_id uuid not null,
  part integer not null,
  line smallint not null,
  pool_id integer not null,
  quantity bigint not null check (quantity > 0),
  type text not null check (type in ('firm', 'standby', 'hold', 'quota')),
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at >= starts_at),
  -- For standby: the site whose failure it covers. It stays set while a fail-over has made the row firm.
  protects_site_id integer,
  -- Set while a standby cannot be honoured (another failure has taken its place).
  unprotected_at timestamptz,
  -- The pool's version at which this row was written and at which it last changed; processes catch up by them.
  born_version bigint not null,
  pool_version bigint not null,
  primary key (claim_id, part)
);
create index reservation_pool_version on reservation (pool_id, pool_version);
create index reservation_protects on reservation (protects_site_id) where protects_site_id is not null;

-- What each later change of a reservation's end added to or took from its pool, so that a process which has applied the
-- row as it was can follow without keeping every row in memory. Not history: rows behind every process may be dropped.
create table reservation_change (
  pool_id integer not null,
  pool_version bigint not null,
  born_version bigint not null,
  -- Positive where more is taken.
  quantity bigint not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  protects_site_id integer,
  unprotected boolean not null
);
create index reservation_change_pool on reservation_change (pool_id, pool_version);

-- Slots of one container held by one reservation. The database itself refuses two holders of a slot.
create table assignment (
  claim_id uuid not null,
  part integer not null,
  container_id integer not null references container,
  slots int4range not null check (not isempty(slots)),
  during tstzrange not null,
  exclude using gist (container_id with =, slots with &&, during with &&)
);
create index assignment_claim on assignment (claim_id, part);

create function require_pool_version() returns trigger language plpgsql as $$
begin
  if exists (
    select from changed r join pool p on p.id = r.pool_id
    where p.xmin <> pg_current_xact_id()::xid or r.pool_version <> p.version
  ) then
    raise exception 'a reservation was written without the lock and version of its pool'
      using errcode = 'restrict_violation',
        hint = 'lock the pool rows in order of id, check the versions seen, bump them, and write in the same transaction';
  end if;
  return null;
end $$;

create function require_kept_reservation() returns trigger language plpgsql as $$
begin
  if exists (
    select from before b full join changed c using (claim_id, part)
    where (b.line, b.pool_id, b.quantity, b.starts_at, b.born_version)
      is distinct from (c.line, c.pool_id, c.quantity, c.starts_at, c.born_version)
      or b.protects_site_id is distinct from c.protects_site_id
  ) then
    raise exception 'a reservation keeps what, where and from when; end it and write another'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
create trigger reservation_update_kept after update on reservation
  referencing old table as before new table as changed for each statement execute function require_kept_reservation();
create trigger reservation_insert_versioned after insert on reservation
  referencing new table as changed for each statement execute function require_pool_version();
create trigger reservation_update_versioned after update on reservation
  referencing new table as changed for each statement execute function require_pool_version();

-- Rows are history: they end, they are not deleted.
create trigger reservation_kept before delete on reservation for each statement execute function refuse_change();

create function require_step_version() returns trigger language plpgsql as $$
begin
  if exists (
    select from pool p where p.id = coalesce(new.pool_id, old.pool_id) and p.xmin <> pg_current_xact_id()::xid
  ) then
    raise exception 'a capacity step was written without the lock and version of its pool'
      using errcode = 'restrict_violation';
  end if;
  return null;
end $$;
create trigger capacity_step_versioned after insert or update or delete on capacity_step
  for each row execute function require_step_version();

create table fail_over (
  id uuid primary key,
  site_id integer not null references site,
  mode text not null check (mode in ('drill', 'real')),
  state text not null check (state in ('active', 'ended')),
  started_at timestamptz not null,
  ended_at timestamptz,
  duration_ms double precision,
  activated integer not null default 0,
  unprotected integer not null default 0,
  started_by text
);
create unique index fail_over_active on fail_over (site_id) where state = 'active';
