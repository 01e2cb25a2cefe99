-- append_v1 as before, but for the ids of deliveries: each is made in a row of its own. They came out of a lateral look-up
-- by the event alone, which Postgres may join with the event first, and the result with the subscriptions: then all
-- deliveries of an event had one id, and nothing could be appended that two subscriptions wanted.
create or replace function append_v1(p_log smallint, p_directory_version bigint, p_events ledger_event_v1[])
returns table (status text, epoch text, head bigint, seqs bigint[], outcomes text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
declare
  held log_head;
  stored_at timestamptz;
begin
  select * into strict held from log_head h where h.log_id = p_log for update;
  if held.directory_version <> p_directory_version then
    return query select 'stale', held.epoch, held.seq, null::bigint[], null::text;
    return;
  end if;
  if held.seq + cardinality(p_events) > held.partitioned_to then
    perform ensure_event_partitions_v1(p_log, held.seq + cardinality(p_events));
  end if;
  stored_at := clock_timestamp();

  return query
  with incoming as materialized (
    select e.*, row_number() over (partition by e.id, e.owner order by e.ordinality) as occurrence
    from unnest(p_events) with ordinality as e
  ),
  known as materialized (
    -- One look-up a row (`offset 0` keeps it apart): a join would be planned once, while the table is empty, as a scan.
    select i.ordinality, k.seq, k.attempt_id, k.content_hash, k.content_key_id
    from incoming i
    cross join lateral (
      select k.seq, k.attempt_id, k.content_hash, k.content_key_id
      from event_ids k
      where k.id = i.id and k.owner = i.owner and k.log_id = p_log
      offset 0) as k
  ),
  fresh as materialized (
    select i.*, held.seq + row_number() over (order by i.ordinality) as seq
    from incoming i
    where i.occurrence = 1 and not exists (select from known k where k.ordinality = i.ordinality)
  ),
  ids as (
    insert into event_ids (id, owner, log_id, seq, attempt_id, content_hash, content_key_id, created_at)
    select f.id, f.owner, p_log, f.seq, f.attempt_id, f.content_hash, f.content_key_id, stored_at
    from fresh f
  ),
  events as (
    insert into audit_events (
      log_id, seq, id, type, canonical_type, ts, received_at, created_at, aid_a, aid_b, session_id, run_id, namespace,
      grants, capability, payload, source, reported_by, org_ids, agent_id, outcome, artifacts,
      salt, payload_hash, artifacts_hash, leaf_hash)
    select
      p_log, f.seq, f.id, f.type, f.canonical_type, f.ts, f.received_at, stored_at, f.aid_a, f.aid_b, f.session_id,
      f.run_id, f.namespace, f.grants, f.capability, f.payload, f.source, f.reported_by, f.org_ids, f.agent_id,
      f.outcome, f.artifacts, f.salt, f.payload_hash, f.artifacts_hash, f.leaf_hash
    from fresh f
    order by f.seq
  ),
  orgs as (
    insert into event_orgs (org_id, ts, seq, log_id)
    select org, f.ts, f.seq, p_log
    from fresh f, unnest(f.org_ids) as org
    where org <> '00000000-0000-8000-8000-000000000001'
  ),
  wanted as materialized (
    select gen_random_uuid() as delivery_id, w.id as webhook_id, f.id, f.seq, f.canonical_type, f.delivery
    from fresh f
    join webhooks w on w.active and webhook_wants_v1(w.events, w.filter, w.organization_id, f.canonical_type,
      f.namespace, f.aid_a, f.aid_b, f.run_id, f.org_ids)
    where f.delivery is not null
  ),
  deliveries as (
    insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, next_retry_at, created_at)
    select d.delivery_id, d.webhook_id, d.id, d.seq, d.canonical_type,
      format('{"deliveryId":"%s","eventType":%s,"payload":%s%s},"enqueuedAt":"%s"}',
        d.delivery_id, to_json(d.canonical_type), d.delivery, d.seq,
        to_char(stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
      'pending', stored_at, stored_at
    from wanted d
  ),
  moved as (
    update log_head h set seq = h.seq + (select count(*) from fresh)
    where h.log_id = p_log and exists (select from fresh)
  ),
  judged as (
    select
      i.ordinality,
      coalesce(f.seq, k.seq, first.seq) as seq,
      case
        when f.seq is not null or (k.attempt_id = i.attempt_id and i.occurrence = 1) then 'n'
        when coalesce(k.content_hash, first.content_hash) is null
          or i.content_key_id is distinct from coalesce(k.content_key_id, first.content_key_id) then 'u'
        when i.content_hash = coalesce(k.content_hash, first.content_hash) then 'd'
        else 'c'
      end as outcome
    from incoming i
    left join known k on k.ordinality = i.ordinality
    left join fresh f on f.ordinality = i.ordinality
    -- A repeat inside this call is measured against its first occurrence.
    left join fresh first on i.occurrence > 1 and k.ordinality is null and first.id = i.id and first.owner = i.owner
  )
  select
    'ok', held.epoch, held.seq + (select count(*) from fresh),
    array_agg(j.seq order by j.ordinality), string_agg(j.outcome, '' order by j.ordinality)
  from judged j;
end
$$;
