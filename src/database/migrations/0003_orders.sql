-- Catalogue, quotes, orders, contracts, services.

create table offering (
  id uuid primary key,
  code text not null unique check (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  family text not null,
  name text not null,
  name_ja text,
  description text,
  description_ja text,
  -- Fixed part of the family's configuration; what the customer chooses is merged over it.
  defaults jsonb not null default '{}',
  state text not null default 'active' check (state in ('draft', 'active', 'retired')),
  version integer not null default 1,
  created_at timestamptz not null default now()
);

-- What an offering costs at one seller from one date on. A plan never changes: a new price is a new version.
create table price_plan (
  id uuid primary key,
  offering_id uuid not null references offering,
  seller_id uuid not null references party,
  plan_version integer not null,
  currency text not null,
  effective_from timestamptz not null,
  effective_to timestamptz not null default 'infinity',
  minimum_term_months integer not null default 0 check (minimum_term_months >= 0),
  created_at timestamptz not null default now(),
  unique (offering_id, seller_id, currency, plan_version),
  check (effective_from < effective_to)
);

create table price_charge (
  price_plan_id uuid not null references price_plan,
  line smallint not null,
  kind text not null check (kind in ('setup', 'monthly', 'unit')),
  name text not null,
  name_ja text,
  -- For `unit`: which kind of capacity, and per which time.
  resource text references resource_kind,
  per text check (per in ('hour', 'day', 'month')),
  price numeric(18, 6) not null check (price >= 0),
  -- Volume steps [{"from": units, "price": "decimal"}]: the whole quantity at the price of the step it reaches.
  tiers jsonb,
  primary key (price_plan_id, line),
  check ((kind = 'unit') = (resource is not null and per is not null))
);

create table quote (
  id uuid primary key,
  number text not null unique,
  party_id uuid not null references party,
  offering_id uuid not null references offering,
  price_plan_id uuid not null references price_plan,
  config jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  state text not null check (state in ('open', 'accepted', 'expired', 'withdrawn')),
  expires_at timestamptz not null,
  claim_id uuid not null,
  version integer not null default 1,
  created_at timestamptz not null default now()
);

create table contract (
  id uuid primary key,
  number text not null unique,
  party_id uuid not null references party,
  seller_id uuid not null references party,
  state text not null check (state in ('pending', 'active', 'ended')),
  currency text not null,
  starts_at timestamptz not null,
  minimum_term_until timestamptz,
  ends_at timestamptz not null default 'infinity',
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create index contract_party on contract (party_id, id);

create table service (
  id uuid primary key,
  party_id uuid not null references party,
  contract_id uuid not null references contract,
  offering_id uuid not null references offering,
  price_plan_id uuid not null references price_plan,
  family text not null,
  name text not null,
  config jsonb not null,
  claim_id uuid not null,
  state text not null check (state in ('pending', 'active', 'suspended', 'terminated')),
  starts_at timestamptz not null,
  ends_at timestamptz not null default 'infinity',
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create index service_party on service (party_id, id);
create index service_contract on service (contract_id);
create index service_claim on service (claim_id);

create table product_order (
  id uuid primary key,
  number text not null unique,
  party_id uuid not null references party,
  offering_id uuid not null references offering,
  price_plan_id uuid not null references price_plan,
  quote_id uuid references quote,
  contract_id uuid references contract,
  service_id uuid references service,
  claim_id uuid,
  config jsonb not null,
  state text not null check (state in ('completed', 'waiting', 'refused', 'cancelled')),
  idempotency_key text,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create unique index product_order_idempotency on product_order (party_id, idempotency_key) where idempotency_key is not null;
create index product_order_party on product_order (party_id, id);
create index product_order_waiting on product_order (claim_id) where state = 'waiting';

-- Every change of a contract's services, dated: what it was, what it became.
create table amendment (
  id uuid primary key,
  contract_id uuid not null references contract,
  service_id uuid references service,
  party_id uuid not null references party,
  kind text not null check (kind in ('add', 'change', 'suspend', 'resume', 'terminate')),
  effective_at timestamptz not null,
  before jsonb,
  after jsonb,
  created_at timestamptz not null default now()
);
create index amendment_service on amendment (service_id, effective_at);
create index amendment_contract on amendment (contract_id, effective_at);
