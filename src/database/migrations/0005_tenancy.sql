-- Tenancy in one place. Requests run as `izumi_tenant` with `izumi.party` set; a row is theirs when their party is the
-- row's party or one above it. Background work runs as the owner, whom these policies do not bind.

do $$ begin
  if not exists (select from pg_roles where rolname = 'izumi_tenant') then create role izumi_tenant nologin; end if;
  execute format('grant izumi_tenant to %I', current_user);
end $$;
grant usage on schema public to izumi_tenant;
grant select, insert, update, delete on all tables in schema public to izumi_tenant;
grant usage on all sequences in schema public to izumi_tenant;

create function current_party() returns uuid language sql stable
  as $$ select nullif(current_setting('izumi.party', true), '')::uuid $$;

-- The parties a request may see: its own and all below it.
create function visible_parties() returns setof uuid language sql stable security definer set search_path = public
  as $$ select id from party where ancestors @> array[current_party()] $$;

-- The name of a party that the asker sees or buys from directly.
create function seller_name(seller uuid) returns text language sql stable security definer set search_path = public
  as $$
    select name from party where id = seller and (
      current_party() is null or ancestors @> array[current_party()]
      or id = (select parent_id from party where id = current_party()))
  $$;

do $$
declare t text;
begin
  foreach t in array array['app_user', 'invitation', 'api_key', 'event', 'idempotency', 'webhook', 'webhook_delivery',
    'claim', 'quote', 'contract', 'service', 'product_order', 'amendment', 'early_termination', 'invoice',
    'rated_charge']
  loop
    execute format('alter table %I enable row level security', t);
    execute format('create policy own on %I using (party_id in (select visible_parties()))', t);
  end loop;
end $$;

alter table party enable row level security;
create policy own on party using (ancestors @> array[current_party()]);

-- Rows that belong to a tenant through another row.
alter table reservation enable row level security;
create policy own on reservation using (exists (select from claim c where c.id = claim_id));
alter table assignment enable row level security;
create policy own on assignment using (exists (select from claim c where c.id = claim_id));
alter table invoice_line enable row level security;
create policy own on invoice_line using (exists (select from invoice i where i.id = invoice_id));
alter table invoice_tax enable row level security;
create policy own on invoice_tax using (exists (select from invoice i where i.id = invoice_id));

-- What a seller keeps: its own books and runs, not its customers'.
alter table journal_entry enable row level security;
create policy own on journal_entry using (seller_id = current_party());
alter table posting enable row level security;
create policy own on posting using (exists (select from journal_entry e where e.id = entry_id));
alter table billing_run enable row level security;
create policy own on billing_run using (seller_id = current_party());
alter table document_number enable row level security;
create policy own on document_number using (seller_id = current_party());

-- Quotas are seen by whom they bind and above; the operator's pools by everyone who may order from them.
alter table pool enable row level security;
create policy own on pool using (party_id is null or party_id in (select visible_parties()));

-- Price plans: one's own as a seller and those of the sellers below; and, as a buyer, those of the seller directly above,
-- never what that seller pays itself.
create policy own on price_plan using (
  seller_id in (select visible_parties())
  or seller_id = (select parent_id from party where id = current_party())
);
alter table price_plan enable row level security;
alter table price_charge enable row level security;
create policy own on price_charge using (exists (select from price_plan p where p.id = price_plan_id));

-- Only what runs as the owner touches these: sign-in, followers, the log by which the engine catches up.
revoke all on session, sign_in_failure, event_follower, reservation_change from izumi_tenant;
