-- Catalogue, quotes, orders, contracts, services.

create table offering (
  id uuid primary key,
  code text not null unique check (code ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  family text not null,
  name text not null,
  name_ja text,
  description text,
  description_ja text,
  -- Where the family's configuration starts from; what the customer chooses is merged over it.
  defaults jsonb not null default '{}',
  -- Which of the operator's tax rates it falls under.
  tax_code text not null default 'standard',
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
  -- For `unit`: which kind of capacity, whether its firm or its standby reservations, and per which time.
  resource text references resource_kind,
  reservation text not null default 'firm' check (reservation in ('firm', 'standby')),
  per text check (per in ('hour', 'day', 'month')),
  price numeric(18, 6) not null check (price >= 0),
  -- Volume steps [{"from": units, "price": "decimal"}]: the whole quantity at the price of the step it reaches.
  tiers jsonb not null default '[]',
  primary key (price_plan_id, line),
  check ((kind = 'unit') = (resource is not null and per is not null))
);

-- Numbers that people quote to each other: a letter and a running count, eight digits or more.
create sequence quote_number;
create sequence order_number;
create sequence contract_number;
create function document_code(letter text, count bigint) returns text language sql immutable
  as $$ select letter || lpad(count::text, greatest(8, length(count::text)), '0') $$;

create table quote (
  id uuid primary key,
  number text not null unique default document_code('Q', nextval('quote_number')),
  party_id uuid not null references party,
  offering_id uuid not null references offering,
  -- The plans of every seller above the buyer, nearest first, as fixed by the quote.
  price_plan_ids uuid[] not null,
  name text,
  config jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  state text not null check (state in ('open', 'accepted', 'expired', 'withdrawn')),
  expires_at timestamptz not null,
  claim_id uuid not null,
  estimate jsonb not null,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create index quote_party on quote (party_id, id);
create index quote_open on quote (expires_at) where state = 'open';

create table contract (
  id uuid primary key,
  number text not null unique default document_code('C', nextval('contract_number')),
  party_id uuid not null references party,
  seller_id uuid not null references party,
  state text not null check (state in ('pending', 'active', 'ended')),
  currency text not null,
  starts_at timestamptz not null,
  minimum_term_until timestamptz,
  ends_at timestamptz not null default 'infinity',
  version integer not null default 1,
  created_at timestamptz not null default now()
) with (fillfactor = 70);
create index contract_party on contract (party_id, id);

-- A service names its contract, offering and plans without foreign keys: rows of these tables are never deleted, one
-- companion writes them all, and on the hot path of an order the checks cost more than the rows themselves.
create table service (
  id uuid primary key,
  party_id uuid not null,
  contract_id uuid not null,
  offering_id uuid not null,
  -- The plans it was sold under: the seller's, then that of each seller above, up to the operator's.
  price_plan_ids uuid[] not null,
  family text not null,
  name text not null,
  config jsonb not null,
  claim_id uuid not null,
  state text not null check (state in ('pending', 'active', 'suspended', 'terminated')),
  starts_at timestamptz not null,
  ends_at timestamptz not null default 'infinity',
  minimum_term_until timestamptz,
  version integer not null default 1,
  created_at timestamptz not null default now()
) with (fillfactor = 70);
create index service_party on service (party_id, id);
create index service_contract on service (contract_id);
create index service_claim on service (claim_id);

create table product_order (
  id uuid primary key,
  number text not null unique default document_code('O', nextval('order_number')),
  party_id uuid not null,
  offering_id uuid not null,
  price_plan_ids uuid[] not null,
  quote_id uuid references quote,
  contract_id uuid,
  service_id uuid,
  claim_id uuid not null,
  name text,
  config jsonb not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  state text not null check (state in ('completed', 'waiting', 'cancelled')),
  idempotency_key text,
  request_hash text,
  version integer not null default 1,
  created_at timestamptz not null default now()
) with (fillfactor = 90);
create unique index product_order_idempotency on product_order (party_id, idempotency_key) where idempotency_key is not null;
create index product_order_party on product_order (party_id, id);
create index product_order_waiting on product_order (claim_id) where state = 'waiting';

-- Every change of a contract's services, dated: what it was, what it became. A change of the service's state that lies
-- ahead is written at once and takes effect on its date; `applied_at` says when the state followed.
create table amendment (
  id uuid primary key,
  contract_id uuid not null,
  service_id uuid not null,
  party_id uuid not null,
  kind text not null check (kind in ('add', 'change', 'suspend', 'resume', 'terminate')),
  effective_at timestamptz not null,
  -- A later amendment may take one back before its date; then it never took effect.
  withdrawn_at timestamptz,
  applied_at timestamptz,
  before jsonb,
  after jsonb,
  created_at timestamptz not null default now()
);
create index amendment_service on amendment (service_id, effective_at);
create index amendment_suspension on amendment (service_id, effective_at) where kind in ('suspend', 'resume');
create index amendment_due on amendment (effective_at) where applied_at is null and withdrawn_at is null;

-- What ending a service before its minimum term costs, stated when the end is set and invoiced with the month it falls in.
create table early_termination (
  id uuid primary key,
  service_id uuid not null references service,
  contract_id uuid not null references contract,
  seller_id uuid not null references party,
  -- The buyer.
  party_id uuid not null references party,
  at timestamptz not null,
  minimum_term_until timestamptz not null,
  currency text not null,
  amount bigint not null check (amount > 0),
  explanation jsonb not null,
  withdrawn_at timestamptz,
  created_at timestamptz not null default now()
);
create index early_termination_service on early_termination (service_id);
create index early_termination_seller on early_termination (seller_id, at);
