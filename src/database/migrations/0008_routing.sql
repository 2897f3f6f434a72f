-- How visitors are led to edges: the zones, maps and settings of the request routers, as the operator set them.
create table cdn_routing (
  one boolean primary key default true check (one),
  -- Customers' names point to names in this zone.
  delivery_zone text not null,
  -- {"zones": …, "maps": …, "settings": …}, in the words of the routers.
  state json not null,
  version integer not null default 1,
  changed_at timestamptz not null default now()
);

-- What is metered is priced like what is reserved: a kind with a unit, of which no pool is made. The quantity of a month
-- counts as taken throughout it, so a price per month is a price per GB.
insert into resource_kind (code, name, name_ja, unit) values
  ('edge-traffic', 'Edge traffic (metered)', 'エッジ配信量(従量)', 'GB'),
  ('edge-requests', 'Edge requests (metered)', 'エッジリクエスト数(従量)', '10,000 requests'),
  ('edge-p95', 'Edge 95th percentile (metered)', 'エッジ95パーセンタイル(従量)', 'Mbit/s')
on conflict do nothing;
