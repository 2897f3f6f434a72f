-- Parties: the operator, its resellers (to any depth) and their customers; users, credentials; the event record.

create table party (
  id uuid primary key,
  kind text not null check (kind in ('operator', 'reseller', 'customer')),
  code text not null unique check (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null check (length(name) between 1 and 200),
  parent_id uuid references party,
  -- The party itself and every party above it, the operator first: the whole of tenancy is "am I in this list".
  ancestors uuid[] not null check (ancestors[cardinality(ancestors)] = id),
  currency text not null default 'JPY' check (currency ~ '^[A-Z]{3}$'),
  locale text not null default 'en',
  time_zone text not null default 'Asia/Tokyo',
  email text,
  address text,
  tax_registration text,
  fiscal_year_start_month smallint not null default 4 check (fiscal_year_start_month between 1 and 12),
  status text not null default 'active' check (status in ('active', 'closed')),
  version integer not null default 1,
  created_at timestamptz not null default now(),
  check ((kind = 'operator') = (parent_id is null))
);
create unique index party_one_operator on party ((true)) where kind = 'operator';
create index party_ancestors on party using gin (ancestors);

create table app_user (
  id uuid primary key,
  party_id uuid not null references party,
  email text not null check (email = lower(email)),
  name text not null,
  role text not null check (role in ('owner', 'engineer', 'finance', 'read-only')),
  locale text not null default 'en',
  password_hash text,
  oidc_issuer text,
  oidc_subject text,
  status text not null default 'active' check (status in ('active', 'disabled')),
  version integer not null default 1,
  created_at timestamptz not null default now(),
  unique (oidc_issuer, oidc_subject)
);
create unique index app_user_email on app_user (email);
create index app_user_party on app_user (party_id);

create table invitation (
  id uuid primary key,
  party_id uuid not null references party,
  email text not null,
  role text not null check (role in ('owner', 'engineer', 'finance', 'read-only')),
  token_hash text not null unique,
  invited_by uuid,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  created_at timestamptz not null default now()
);

create table session (
  token_hash text primary key,
  user_id uuid not null references app_user on delete cascade,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);

create table api_key (
  id uuid primary key,
  party_id uuid not null references party,
  name text not null,
  secret_hash text not null unique,
  role text not null check (role in ('owner', 'engineer', 'finance', 'read-only')),
  scopes text[] not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);

-- The append-only record of every change: audit, event stream and webhooks read the same rows.
-- `transaction` lets a follower read only what can no longer be overtaken by a slower transaction.
create table event (
  id bigint generated always as identity primary key,
  transaction xid8 not null default pg_current_xact_id(),
  at timestamptz not null default now(),
  party_id uuid not null,
  actor_kind text not null check (actor_kind in ('user', 'api-key', 'system')),
  actor_id text,
  actor_name text,
  type text not null,
  subject_kind text not null,
  subject_id text not null,
  before jsonb,
  after jsonb
);
create index event_party on event (party_id, id);
create index event_subject on event (subject_id, id);
create index event_type on event (type, id);
-- The order in which followers read: transactions that have ended for good, each one's events in order.
create index event_settled on event (transaction, id);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger event_append_only before update or delete on event for each statement execute function refuse_change();

-- Wakes whoever follows: one notification per transaction, however many events it appended.
create function announce_event() returns trigger language plpgsql as $$
begin
  perform pg_notify('izumi_event', '');
  return null;
end $$;
create trigger event_announced after insert on event for each statement execute function announce_event();

-- How far each follower of the event record has come, in the order (transaction, id): a smaller id may be committed
-- after a larger one, but no transaction older than the oldest running one can still add anything.
create table event_follower (
  name text primary key,
  last_transaction xid8 not null default '0',
  last_event_id bigint not null default 0
);

-- What a mutating request answered the first time, so that a repeat answers the same.
create table idempotency (
  party_id uuid not null references party,
  key text not null,
  request_hash text not null,
  status smallint not null,
  body jsonb,
  created_at timestamptz not null default now(),
  primary key (party_id, key)
);

create table webhook (
  id uuid primary key,
  party_id uuid not null references party,
  url text not null,
  -- Event types that are sent: a type, `noun.*`, or `*`.
  types text[] not null,
  -- Signs every delivery; shown once.
  secret text not null,
  state text not null default 'active' check (state in ('active', 'failing', 'disabled')),
  failing_since timestamptz,
  last_transaction xid8 not null,
  last_event_id bigint not null,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create index webhook_party on webhook (party_id);

-- One event on its way to one webhook. It is its own queue: what is pending and due is tried again.
create table webhook_delivery (
  id uuid primary key,
  webhook_id uuid not null references webhook on delete cascade,
  party_id uuid not null references party,
  event_id bigint,
  type text not null,
  body text not null,
  state text not null check (state in ('pending', 'delivered', 'failed')),
  attempts integer not null default 0,
  next_at timestamptz,
  status smallint,
  problem text,
  created_at timestamptz not null default now(),
  at timestamptz,
  check ((state = 'pending') = (next_at is not null))
);
create index webhook_delivery_webhook on webhook_delivery (webhook_id, id);
create index webhook_delivery_due on webhook_delivery (next_at) where state = 'pending';

-- Failed sign-ins by what was tried (a hash of e-mail and network address), to slow guessing down.
create table sign_in_failure (
  subject text primary key,
  failures integer not null,
  last_at timestamptz not null
);
