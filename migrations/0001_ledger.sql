-- The ledger: one ordered log of events. Positions are given in commit order, without holes, because every
-- transaction that appends takes the head row first and holds it until it commits.

create table log_head (
  log_id smallint primary key,
  -- Lineage of positions, 8 hex digits; changes only when the log is restored or recreated.
  epoch text not null check (epoch ~ '^[0-9a-f]{8}$'),
  -- Position of the newest event; 0 while the log is empty.
  seq bigint not null default 0,
  -- Positions up to here have a partition to go to.
  partitioned_to bigint not null default 0,
  -- Grows with every change of who owns a namespace or an agent: events carry their owners, so an append that
  -- looked owners up under an older version must look again.
  directory_version bigint not null default 1,
  -- The cluster and timeline the positions were given in; on another one (a restore, a promoted copy) positions would be
  -- given twice, so the service refuses to work until the log is adopted under a new epoch.
  system_identifier bigint,
  timeline bigint
);
-- statement
insert into log_head (log_id, epoch) values (1, encode(substring(uuid_send(gen_random_uuid()) from 1 for 4), 'hex'));
-- statement
-- The duplicate check of the ledger. `id` is the public event id; ids of callers bound to an organisation are derived
-- from (organisation, id sent), so that no organisation can occupy or probe another's ids.
create table event_ids (
  id uuid not null,
  owner uuid not null,
  log_id smallint not null,
  seq bigint not null,
  -- The commit attempt that stored it: a retry that meets its own attempt was not a duplicate.
  attempt_id uuid not null,
  -- Keyed hash (HMAC-SHA-256) of the event as received; null once the event is erased.
  content_hash bytea,
  content_key_id text,
  created_at timestamptz not null,
  primary key (id, owner, log_id)
) partition by hash (id);
-- statement
create table event_ids_p0 partition of event_ids for values with (modulus 8, remainder 0);
-- statement
create table event_ids_p1 partition of event_ids for values with (modulus 8, remainder 1);
-- statement
create table event_ids_p2 partition of event_ids for values with (modulus 8, remainder 2);
-- statement
create table event_ids_p3 partition of event_ids for values with (modulus 8, remainder 3);
-- statement
create table event_ids_p4 partition of event_ids for values with (modulus 8, remainder 4);
-- statement
create table event_ids_p5 partition of event_ids for values with (modulus 8, remainder 5);
-- statement
create table event_ids_p6 partition of event_ids for values with (modulus 8, remainder 6);
-- statement
create table event_ids_p7 partition of event_ids for values with (modulus 8, remainder 7);
-- statement
create index event_ids_created_at on event_ids using brin (created_at);
-- statement
create table audit_events (
  log_id smallint not null,
  seq bigint not null,
  id uuid not null,
  -- As sent, and with aliases resolved.
  type text not null,
  canonical_type text not null,
  -- The event's own time, when its reporter was received, and the one instant of the append that stored it.
  ts timestamptz not null,
  received_at timestamptz not null,
  created_at timestamptz not null,
  aid_a text,
  aid_b text,
  session_id text,
  run_id text,
  namespace text,
  grants jsonb,
  -- `payload.capability`, kept apart because the payload is text.
  capability text,
  -- JSON text exactly as hashed, streamed and exported; null once erased.
  payload text,
  source text not null,
  reported_by text not null,
  -- Organisations the event belongs to; fixed when it is stored.
  org_ids uuid[] not null default '{00000000-0000-8000-8000-000000000001}',
  agent_id text,
  outcome text,
  -- JSON text of what was learnt from compact tokens in the payload.
  artifacts text,
  salt bytea not null,
  payload_hash bytea not null,
  artifacts_hash bytea,
  leaf_hash bytea not null,
  primary key (log_id, seq)
) partition by range (seq);
-- statement
create index audit_events_ts on audit_events (ts desc, seq desc);
-- statement
create index audit_events_type on audit_events (canonical_type, ts desc, seq desc);
-- statement
create index audit_events_aid_a on audit_events (aid_a, ts desc, seq desc) where aid_a is not null;
-- statement
create index audit_events_aid_b on audit_events (aid_b, ts desc, seq desc) where aid_b is not null;
-- statement
create index audit_events_session on audit_events (session_id, ts desc, seq desc) where session_id is not null;
-- statement
create index audit_events_run on audit_events (run_id, ts desc, seq desc) where run_id is not null;
-- statement
create index audit_events_namespace on audit_events (namespace, ts desc, seq desc) where namespace is not null;
-- statement
-- Events of every organisation but the default one, in the order of history.
create table event_orgs (
  org_id uuid not null,
  ts timestamptz not null,
  seq bigint not null,
  log_id smallint not null,
  primary key (org_id, ts, seq, log_id)
);
-- statement
-- Events per type, counted up to a position by a job; the metrics read these instead of scanning the ledger.
create table event_type_counts (
  type text primary key,
  n bigint not null
);
-- statement
create table event_count_progress (
  log_id smallint primary key,
  seq bigint not null
);
-- statement
insert into event_count_progress (log_id, seq) values (1, 0);
-- statement
-- Makes sure that positions up to p_upto have a partition; 5,000,000 positions each. The caller holds the head row.
create function ensure_event_partitions_v1(p_log smallint, p_upto bigint) returns void
language plpgsql as $$
declare
  span constant bigint := 5000000;
  covered bigint;
  part text;
begin
  select partitioned_to into strict covered from log_head where log_id = p_log;
  while covered < p_upto loop
    part := format('audit_events_p%s', covered / span);
    -- Creating it apart and attaching it takes a lock that readers and writers of the other partitions do not feel.
    execute format('create table %I (like audit_events including defaults including constraints)', part);
    execute format('alter table audit_events attach partition %I for values from (%s) to (%s)',
                   part, covered + 1, covered + span + 1);
    covered := covered + span;
    update log_head set partitioned_to = covered where log_id = p_log;
  end loop;
end
$$;
-- statement
select ensure_event_partitions_v1(1::smallint, 1);
-- statement
-- One event ready to be stored: normalised, hashed, its owners looked up; everything but its position.
create type ledger_event_v1 as (
  id uuid,
  owner uuid,
  attempt_id uuid,
  content_hash bytea,
  content_key_id text,
  type text,
  canonical_type text,
  ts timestamptz,
  received_at timestamptz,
  aid_a text,
  aid_b text,
  session_id text,
  run_id text,
  namespace text,
  grants jsonb,
  capability text,
  payload text,
  source text,
  reported_by text,
  org_ids uuid[],
  agent_id text,
  outcome text,
  artifacts text,
  salt bytea,
  payload_hash bytea,
  artifacts_hash bytea,
  leaf_hash bytea,
  -- The event as webhooks carry it, up to the value of `seq`, its last member; null when nobody can have subscribed.
  delivery text
);
-- statement
-- Appends events in the order given, with a delivery for each subscription that wants one, and says of each what became of it:
--   n  stored now, or earlier by this very attempt      d  known with the same content
--   c  known with other content; the first one stays    u  known, its content can no longer be compared
-- `seqs` holds the position of each (of a duplicate: of the one that was there first). Status `stale` means that owners
-- changed since they were looked up: nothing was stored, look again.
-- Each statement below sees all that was committed before the head row was obtained, which makes the duplicate check
-- exact and the numbers gapless under READ COMMITTED.
create function append_v1(p_log smallint, p_directory_version bigint, p_events ledger_event_v1[])
returns table (status text, epoch text, head bigint, seqs bigint[], outcomes text)
language plpgsql as $$
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
  deliveries as (
    insert into webhook_deliveries (id, webhook_id, event_id, event_seq, event_type, body, status, next_retry_at, created_at)
    select d.id, w.id, f.id, f.seq, f.canonical_type,
      format('{"deliveryId":"%s","eventType":%s,"payload":%s%s},"enqueuedAt":"%s"}',
        d.id, to_json(f.canonical_type), f.delivery, f.seq,
        to_char(stored_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
      'pending', stored_at, stored_at
    from fresh f
    join webhooks w on w.active and webhook_wants_v1(w.events, w.filter, w.organization_id, f.canonical_type,
      f.namespace, f.aid_a, f.aid_b, f.run_id, f.org_ids)
    cross join lateral (select gen_random_uuid() as id where f.id is not null) as d
    where f.delivery is not null
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
