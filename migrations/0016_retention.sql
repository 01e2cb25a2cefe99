-- Removing what is older than its time to live, in batches that no other work has to wait for.

-- Partitions of the ledger and the positions they cover, in order.
create view event_partitions_v1 as
select
  c.relname as name,
  (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\)'))[1]::bigint as first,
  (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''(\d+)''\)'))[1]::bigint - 1 as last,
  i.inhdetachpending as detaching
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'audit_events'::regclass
order by 2;
-- statement
-- Retires the next events that were stored before p_cutoff, at most p_limit: the first that is younger, or not in the
-- transparency log's tree yet, ends it. Their duplicate checks go, and with p_rows the rows themselves; a partition that
-- retires as a whole is dropped afterwards instead. Gives how many, and the position of the last retired event ever.
create function retire_events_v1(p_log smallint, p_cutoff timestamptz, p_limit int, p_rows boolean)
returns table (retired int, upto bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  since bigint;
  size bigint;
  last bigint;
begin
  select t.dropped_to, t.size into strict since, size from log_tree t where t.log_id = p_log;
  select coalesce(min(b.seq) filter (where b.created_at >= p_cutoff) - 1, max(b.seq), since) into last
  from (
    select e.seq, e.created_at from audit_events e
    where e.log_id = p_log and e.seq > since and e.seq <= size
    order by e.seq
    limit p_limit
  ) as b;
  if last <= since then
    return query select 0, since;
    return;
  end if;

  with batch as materialized (
    select e.id, e.ts, e.seq, e.org_ids from audit_events e
    where e.log_id = p_log and e.seq > since and e.seq <= last
  ),
  ids as (
    delete from event_ids i using (
      select k.tableoid as part, k.ctid as place
      from batch b cross join lateral (
        select k.tableoid, k.ctid from event_ids k where k.id = b.id and k.log_id = p_log and k.seq = b.seq offset 0
      ) as k
    ) as k
    where i.tableoid = k.part and i.ctid = k.place
  )
  delete from event_orgs o using (
    select org, b.ts, b.seq from batch b, unnest(b.org_ids) as org
    where org <> '00000000-0000-8000-8000-000000000001'
  ) as b
  where o.org_id = b.org and o.ts = b.ts and o.seq = b.seq and o.log_id = p_log;
  if p_rows then
    delete from audit_events e where e.log_id = p_log and e.seq > since and e.seq <= last;
  end if;
  update log_tree t set dropped_to = last where t.log_id = p_log and t.dropped_to = since;
  if not found then
    raise exception 'events were retired by somebody else' using errcode = 'serialization_failure';
  end if;
  return query select (last - since)::int, last;
end
$$;
-- statement
-- Removes agents that were deregistered before p_cutoff, at most p_limit; a tombstone keeps their old manifests out. Events
-- are stored with the owners of their parties, so running appends are made to look again.
create function remove_agents_v1(p_log smallint, p_cutoff timestamptz, p_limit int) returns int
language plpgsql as $$
declare
  removed int;
begin
  perform from log_head h where h.log_id = p_log for update;
  with gone as (
    delete from agents a where a.aid in (
      select g.aid from agents g
      where g.status = 'deregistered' and g.deregistered_at < p_cutoff
      order by g.registered_at, g.aid
      limit p_limit
    )
    returning a.*
  ),
  seen as (
    delete from agent_last_seen s using gone g where s.aid = g.aid returning s.aid, s.last_seen_at
  ),
  buried as (
    insert into agent_tombstones as t (
      aid, key_alg, key_raw, first_seen_at, last_seen_at, deregistered_at, removed_at, reason, manifest_published_at,
      manifest_sha256)
    select
      g.aid, g.key_alg, g.key_raw, g.registered_at, s.last_seen_at, g.deregistered_at, clock_timestamp(), 'retention',
      g.manifest_published_at, g.manifest_sha256
    from gone g left join seen s on s.aid = g.aid
    on conflict (key_alg, key_raw) do update set
      aid = excluded.aid, first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
      last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at), deregistered_at = excluded.deregistered_at,
      removed_at = excluded.removed_at, reason = excluded.reason,
      manifest_published_at = greatest(t.manifest_published_at, excluded.manifest_published_at),
      manifest_sha256 = excluded.manifest_sha256
  )
  select count(*) into removed from gone;
  if removed > 0 then
    update log_head h set directory_version = h.directory_version + 1 where h.log_id = p_log;
  end if;
  return removed;
end
$$;
