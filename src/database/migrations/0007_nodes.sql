-- Nodes and the feed between them and the control plane; the CDN's properties, purges and usage.

-- One-time tokens: only the hash is kept.
create table node_token (
  id uuid primary key,
  token_hash text not null unique,
  kind text not null check (kind in ('edge', 'dns', 'agent')),
  name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  site_id integer not null references site,
  addresses text[] not null default '{}',
  needs_approval boolean not null default false,
  expires_at timestamptz not null,
  used_at timestamptz,
  node_id uuid,
  created_at timestamptz not null default now()
);

-- No indexed column changes with what a node tells all the time, so its new versions stay on their page.
create table node (
  id uuid primary key,
  name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  kind text not null check (kind in ('edge', 'dns', 'agent')),
  site_id integer not null references site,
  -- Ed25519, SubjectPublicKeyInfo, base64url; made on the node.
  public_key text not null unique,
  -- Where visitors reach it.
  addresses text[] not null default '{}',
  -- Its share among the nodes of its site.
  weight real not null default 1 check (weight > 0 and weight <= 1000),
  state text not null check (state in ('pending', 'active', 'draining', 'removed', 'revoked')),
  software text not null,
  -- Everything up to here has been applied.
  acknowledged bigint not null default 0,
  acknowledged_at timestamptz,
  last_seen_at timestamptz,
  -- The newest batch of usage taken; the next one is its successor.
  last_batch bigint not null default 0,
  problem text,
  figures jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now()
) with (fillfactor = 50);
create unique index node_name on node (name) where state not in ('removed', 'revoked');

-- The one order of everything that nodes are told. A writer takes the next numbers by updating this row and holds its
-- lock until it commits: whoever sees a number sees every smaller one, from any process.
create table feed_head (
  one boolean primary key default true check (one),
  sequence bigint not null default 0,
  -- Entries up to here are gone; a node that was away since before gets a snapshot.
  pruned bigint not null default 0
);
insert into feed_head default values;

create table feed_entry (
  sequence bigint primary key,
  node_kind text not null,
  -- At which sites; null: at all. A node of the kind elsewhere is told to forget the item.
  sites integer[],
  type text not null check (type in ('set', 'remove', 'event')),
  item_kind text,
  key text,
  body json,
  at timestamptz not null default clock_timestamp()
);

-- The state as it stands: what a snapshot holds.
create table feed_item (
  node_kind text not null,
  kind text not null,
  key text not null,
  sites integer[],
  body json not null,
  sequence bigint not null,
  primary key (node_kind, kind, key)
);

-- When each node came how far: "purged at" and "active since".
create table feed_acknowledgement (
  node_id uuid not null,
  sequence bigint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (node_id, sequence)
);

create function announce_feed() returns trigger language plpgsql as $$
begin
  perform pg_notify('izumi_feed', '');
  return null;
end $$;
create trigger feed_announced after insert on feed_entry for each statement execute function announce_feed();

-- One property for each service of the family; `id` is the service's.
create table cdn_property (
  id uuid primary key,
  party_id uuid not null,
  name text not null,
  -- What edges know it by: unique over all customers.
  edge_name text not null unique,
  -- null: everywhere.
  sites integer[],
  state text not null check (state in ('live', 'suspended', 'ended', 'refused')),
  -- Why it is refused, in words.
  problem text,
  active_version integer,
  last_version integer not null default 0,
  -- The service as it was when this last followed it.
  service_version integer not null,
  -- Where the active version stands in the feed.
  sequence bigint,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create index cdn_property_party on cdn_property (party_id, id);

-- Which services of the family are to be followed; orders of other families do not feel it.
create index service_cdn on service (id) where family = 'cdn';

-- A host name belongs to one property; taken when a version with it is activated.
create table cdn_host (
  host text primary key,
  property_id uuid not null references cdn_property
);
create index cdn_host_property on cdn_host (property_id);

create table cdn_version (
  property_id uuid not null references cdn_property,
  number integer not null,
  party_id uuid not null,
  config json not null,
  note text,
  author text not null,
  created_at timestamptz not null default now(),
  activated_at timestamptz,
  sequence bigint,
  primary key (property_id, number)
);

create table cdn_certificate (
  id uuid primary key,
  property_id uuid not null references cdn_property,
  party_id uuid not null,
  names text[] not null,
  issuer text not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  source text not null check (source in ('own', 'acme')),
  certificate text not null,
  private_key text not null,
  created_at timestamptz not null default now()
);
create index cdn_certificate_property on cdn_certificate (property_id);

-- Purges and warm-ups, with the nodes that are to confirm them.
create table cdn_purge (
  id uuid primary key,
  party_id uuid not null,
  property_id uuid,
  kind text not null check (kind in ('purge', 'preload')),
  -- As it was asked for.
  request json not null,
  sequence bigint not null,
  nodes uuid[] not null,
  actor_name text,
  idempotency_key text,
  request_hash text,
  at timestamptz not null default clock_timestamp()
);
create index cdn_purge_party on cdn_purge (party_id, id);
create unique index cdn_purge_once on cdn_purge (party_id, idempotency_key) where idempotency_key is not null;

-- What is left of a party's allowance: a bucket that fills with time.
create table cdn_allowance (
  party_id uuid primary key,
  tokens double precision not null,
  at timestamptz not null
) with (fillfactor = 50);

-- A batch of usage is taken once.
create table usage_batch (
  node_id uuid not null references node,
  batch bigint not null,
  slots integer not null,
  taken_at timestamptz not null default now(),
  primary key (node_id, batch)
);

-- What a property was asked for at a site in a slot of five minutes, all edges of the site together.
create table cdn_usage (
  property_id uuid not null,
  slot timestamptz not null,
  site_id integer not null,
  party_id uuid not null,
  requests bigint not null,
  bytes_in bigint not null,
  bytes_out bigint not null,
  -- 1xx … 5xx.
  by_class bigint[] not null,
  by_result jsonb not null,
  -- The sum of the edges' own peaks: the site's cannot have been higher.
  peak_requests_per_second bigint not null,
  peak_bytes_out_per_second bigint not null,
  primary key (property_id, slot, site_id)
) with (fillfactor = 80);

-- The open slots as each edge last told of them.
create table node_live (
  node_id uuid primary key references node,
  at timestamptz not null,
  slots json not null
);

do $$
declare t text;
begin
  foreach t in array array['cdn_property', 'cdn_version', 'cdn_certificate', 'cdn_purge', 'cdn_usage']
  loop
    execute format('alter table %I enable row level security', t);
    execute format('create policy own on %I using (party_id in (select visible_parties()))', t);
  end loop;
end $$;
grant select on cdn_property, cdn_version, cdn_purge, cdn_usage to izumi_tenant;
-- Keys are for edges only.
grant select (id, property_id, party_id, names, issuer, not_before, not_after, source, created_at) on cdn_certificate
  to izumi_tenant;
alter table cdn_host enable row level security;
create policy own on cdn_host using (exists (select from cdn_property p where p.id = property_id));
grant select on cdn_host to izumi_tenant;

insert into resource_kind (code, name, name_ja, unit) values
  ('edge-bandwidth', 'Edge bandwidth', 'エッジ帯域', 'Mbit/s')
on conflict do nothing;
