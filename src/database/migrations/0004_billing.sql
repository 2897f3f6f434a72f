-- Rated charges, invoices, and the double-entry ledger.

create table account (
  code text primary key,
  name text not null,
  name_ja text,
  type text not null check (type in ('asset', 'liability', 'equity', 'revenue', 'expense'))
);

create table tax_rate (
  code text not null,
  percent numeric(6, 3) not null check (percent >= 0),
  effective_from date not null,
  primary key (code, effective_from)
);

create table billing_run (
  id uuid primary key,
  seller_id uuid not null references party,
  period date not null,
  state text not null check (state in ('running', 'completed', 'failed')),
  invoices integer not null default 0,
  problem text,
  started_at timestamptz not null default now(),
  ended_at timestamptz
);

create table invoice (
  id uuid primary key,
  number text unique,
  party_id uuid not null references party,
  seller_id uuid not null references party,
  period_from timestamptz not null,
  period_to timestamptz not null,
  currency text not null,
  subtotal bigint not null,
  tax bigint not null,
  total bigint not null check (total = subtotal + tax),
  state text not null check (state in ('draft', 'issued', 'void')),
  issued_on date,
  due_on date,
  version integer not null default 1,
  created_at timestamptz not null default now()
);
create unique index invoice_once on invoice (party_id, seller_id, period_from, currency) where state <> 'void';
create index invoice_party on invoice (party_id, id);

create table invoice_line (
  invoice_id uuid not null references invoice,
  line integer not null,
  contract_id uuid references contract,
  family text not null,
  description text not null,
  description_ja text,
  -- Unit-time in thousandths (for example rack-unit-hours), null for flat charges.
  quantity numeric(30, 6),
  unit text,
  price numeric(18, 6),
  amount bigint not null,
  tax_code text not null,
  tax_percent numeric(6, 3) not null,
  services integer not null default 1,
  primary key (invoice_id, line)
);

create table invoice_tax (
  invoice_id uuid not null references invoice,
  tax_code text not null,
  percent numeric(6, 3) not null,
  base bigint not null,
  tax bigint not null,
  primary key (invoice_id, tax_code)
);

-- The arithmetic of one charge of one service in one period: what an invoice line opens to.
create table rated_charge (
  invoice_id uuid not null references invoice,
  line integer not null,
  service_id uuid not null references service,
  party_id uuid not null references party,
  quantity numeric(30, 6),
  price numeric(18, 6),
  -- Millionths of a minor unit before the line's one rounding.
  amount_millionths numeric(38, 0) not null,
  explanation jsonb not null,
  primary key (invoice_id, line, service_id)
);

create table journal_entry (
  id bigint generated always as identity primary key,
  seller_id uuid not null references party,
  at timestamptz not null default now(),
  effective_on date not null,
  description text not null,
  invoice_id uuid references invoice
);

create table posting (
  entry_id bigint not null references journal_entry,
  line integer not null,
  account text not null references account,
  party_id uuid references party,
  family text,
  contract_id uuid references contract,
  currency text not null,
  -- Minor units; debit positive, credit negative.
  amount bigint not null check (amount <> 0),
  primary key (entry_id, line)
);
create index posting_account on posting (account, entry_id);
create trigger journal_entry_append_only before update or delete on journal_entry
  for each statement execute function refuse_change();
create trigger posting_append_only before update or delete on posting
  for each statement execute function refuse_change();

create function require_balance() returns trigger language plpgsql as $$
begin
  if exists (select from posting where entry_id = new.entry_id group by currency having sum(amount) <> 0) then
    raise exception 'journal entry % does not balance', new.entry_id using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger posting_balanced after insert on posting deferrable initially deferred
  for each row execute function require_balance();

-- Gapless numbers of documents, one row per seller and kind.
create table document_number (
  seller_id uuid not null references party,
  kind text not null,
  last bigint not null default 0,
  primary key (seller_id, kind)
);
