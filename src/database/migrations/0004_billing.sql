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
  -- The first day of the month.
  period date not null,
  state text not null check (state in ('completed', 'failed')),
  invoices integer not null default 0,
  services integer not null default 0,
  -- Minor units before tax, per currency: {"JPY": "12345"}.
  subtotals jsonb not null default '{}',
  problem text,
  started_at timestamptz not null,
  ended_at timestamptz not null
);
create index billing_run_seller on billing_run (seller_id, id);

-- Invoices and the credit notes that take them back. A credit note names the invoice it corrects and carries its amounts
-- with the sign turned; the numbers of each kind are gapless per seller.
create table invoice (
  id uuid primary key,
  kind text not null default 'invoice' check (kind in ('invoice', 'credit-note')),
  number text,
  party_id uuid not null references party,
  seller_id uuid not null references party,
  corrects_id uuid references invoice,
  period_from timestamptz not null,
  period_to timestamptz not null,
  period date not null,
  currency text not null,
  subtotal bigint not null,
  tax bigint not null,
  total bigint not null check (total = subtotal + tax),
  state text not null check (state in ('draft', 'issued', 'void')),
  issued_on date,
  due_on date,
  -- Both parties as they stood when it was issued: name, address, registration number.
  seller jsonb,
  buyer jsonb,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  check ((state = 'draft') or number is not null),
  check ((kind = 'credit-note') = (corrects_id is not null))
);
create unique index invoice_number on invoice (seller_id, number);
create unique index invoice_once on invoice (party_id, seller_id, period_from, currency)
  where state <> 'void' and kind = 'invoice';
create index invoice_party on invoice (party_id, id);
create index invoice_seller on invoice (seller_id, id);

create table invoice_line (
  invoice_id uuid not null references invoice on delete cascade,
  line integer not null,
  contract_id uuid,
  offering_id uuid,
  family text not null,
  charge text not null check (charge in ('setup', 'monthly', 'unit', 'early-termination')),
  description text not null,
  description_ja text,
  -- The exact amount is price × measure / divisor, rounded once, half up: thousandths × ms for unit charges (the divisor
  -- is one unit for one `per`), service-days over the month's days for monthly ones.
  measure numeric(38, 0) not null,
  divisor numeric(38, 0) not null check (divisor > 0),
  unit text,
  -- Decimal in the currency's major unit.
  price numeric(18, 6) not null,
  amount bigint not null,
  tax_code text not null,
  tax_percent numeric(6, 3) not null,
  services integer not null default 1,
  primary key (invoice_id, line)
);

create table invoice_tax (
  invoice_id uuid not null references invoice on delete cascade,
  tax_code text not null,
  percent numeric(6, 3) not null,
  base bigint not null,
  tax bigint not null,
  primary key (invoice_id, tax_code)
);

-- The arithmetic of one charge of one service in one period: what an invoice line opens to.
create table rated_charge (
  invoice_id uuid not null references invoice on delete cascade,
  line integer not null,
  service_id uuid not null,
  -- The buyer's: what a reseller pays is not its customers' to see.
  party_id uuid not null,
  measure numeric(38, 0) not null,
  -- Millionths of a minor unit, for the eye; the line rounds once over the sum of the measures.
  amount_millionths numeric(38, 0) not null,
  explanation jsonb not null,
  primary key (invoice_id, line, service_id)
);
create index rated_charge_service on rated_charge (service_id);

create table journal_entry (
  id bigint generated always as identity primary key,
  seller_id uuid not null references party,
  at timestamptz not null default now(),
  effective_on date not null,
  description text not null,
  invoice_id uuid references invoice
);
create index journal_entry_seller on journal_entry (seller_id, effective_on);
create index journal_entry_invoice on journal_entry (invoice_id);

create table posting (
  entry_id bigint not null references journal_entry,
  line integer not null,
  account text not null references account,
  party_id uuid references party,
  family text,
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

insert into account (code, name, name_ja, type) values
  ('1100', 'Accounts receivable', '売掛金', 'asset'),
  ('2200', 'Consumption tax received', '仮受消費税', 'liability'),
  ('4100', 'Revenue: recurring and usage', '売上高(月額・従量)', 'revenue'),
  ('4200', 'Revenue: set-up', '売上高(初期費用)', 'revenue'),
  ('4300', 'Revenue: early termination', '売上高(中途解約金)', 'revenue');

-- Japan's consumption tax since it began; the reduced rate exists since 2019.
insert into tax_rate (code, percent, effective_from) values
  ('standard', 3, '1989-04-01'), ('standard', 5, '1997-04-01'), ('standard', 8, '2014-04-01'), ('standard', 10, '2019-10-01'),
  ('reduced', 8, '2019-10-01'), ('exempt', 0, '1970-01-01');

-- Gapless numbers of documents, one row per seller and kind.
create table document_number (
  seller_id uuid not null references party,
  kind text not null,
  last bigint not null default 0,
  primary key (seller_id, kind)
);
