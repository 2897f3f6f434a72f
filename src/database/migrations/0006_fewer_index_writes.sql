-- Of what an order costs, most was index entries. The event record now keeps three instead of five: its order of reading
-- is its key. Rows of claims and reservations that are changed later stay where they are: no indexed column changes with
-- them, and a page has room for their new version.

drop index event_type;
drop index event_party;
drop index event_settled;
alter table event drop constraint event_pkey;
alter table event add primary key (transaction, id);
create index event_party on event (party_id, transaction, id);
-- What was before and after is kept as it was told; nobody searches in it.
alter table event alter column before type json, alter column after type json;

-- Held and waiting claims alone have an instant at which they expire.
drop index claim_pending;
create index claim_pending on claim (expires_at) where expires_at is not null;
alter table claim set (fillfactor = 70);

-- Processes catch up by the rows born since, and by `reservation_change`.
drop index reservation_pool_version;
create index reservation_pool on reservation (pool_id, born_version);
alter table reservation set (fillfactor = 70);

-- The changes of a service are always looked for by the service.
drop index amendment_service;
alter table amendment drop constraint amendment_pkey;
alter table amendment add primary key (service_id, effective_at, id);
