-- PostgreSQL prepares every check of a table anew for each statement, and a claim is one statement: what a reservation must
-- be is now asked by the trigger that looks at all its new rows anyway, whose question is prepared once.

alter table reservation
  drop constraint reservation_quantity_check,
  drop constraint reservation_type_check,
  drop constraint reservation_check;

create or replace function require_pool_version() returns trigger language plpgsql as $$
begin
  if exists (
    select from changed r join pool p on p.id = r.pool_id
    where p.xmin <> pg_current_xact_id()::xid or r.pool_version <> p.version
  ) then
    raise exception 'a reservation was written without the lock and version of its pool'
      using errcode = 'restrict_violation',
        hint = 'lock the pool rows in order of id, check the versions seen, bump them, and write in the same transaction';
  end if;
  if exists (
    select from changed
    where quantity <= 0 or ends_at < starts_at or type not in ('firm', 'standby', 'hold', 'quota')
  ) then
    raise exception 'a reservation has a quantity above nothing, a known type, and an end not before its start'
      using errcode = 'check_violation';
  end if;
  return null;
end $$;
