-- Delivering the outbox: who works on which row, what came of each attempt, and what each endpoint can take.
--
-- Processes claim rows under a lease. All live claims of one subscription belong to one process, so that what one
-- process knows bounds what the endpoint gets. Claiming and settling take the subscription's row of `webhook_breakers`
-- first, in order of ids, which is what keeps two processes from claiming for one subscription at once.
--
-- The functions are planned once per session, perhaps while the tables are empty, and such a plan would read whole
-- tables when they have grown: hence `enable_seqscan` and its like on those that run often. For the same reason rows known
-- by id are checked by conditions that imply none of the partial indexes: one of those would be read from end to end.

alter table webhook_deliveries
  -- Null: not an event of the ledger but a test.
  alter column event_seq drop not null,
  -- Attempts made before the row was sent again by hand: its retries are counted from there.
  add column retries_from int not null default 0;
-- statement
-- Rows to be claimed, per subscription: however many another one has waiting, nobody walks past them.
create index webhook_deliveries_waiting on webhook_deliveries (webhook_id, next_retry_at)
  where status = 'pending' and claimed_by is null;
-- statement
create index webhook_deliveries_claimed on webhook_deliveries (webhook_id, claimed_until) where claimed_by is not null;
-- statement
create index webhook_deliveries_undelivered on webhook_deliveries (webhook_id, status, created_at desc, id desc)
  where status in ('pending', 'failed');
-- statement
drop index webhook_deliveries_due;
-- statement
create table webhook_attempts (
  delivery_id uuid not null references webhook_deliveries (id) on delete cascade,
  -- 1 for the first.
  n int not null,
  at timestamptz not null,
  duration_ms int not null,
  -- Null: no answer came.
  status_code int,
  -- Null: delivered.
  error text,
  -- The beginning of the answer's body, at most 4 KiB.
  response text,
  primary key (delivery_id, n)
);
-- statement
alter table webhook_breakers
  add column last_failed_at timestamptz,
  -- Attempts at once that the endpoint is given while it is spared; null: as many as configured.
  add column slots int;
-- statement
create index webhook_breakers_failing on webhook_breakers (failing_since) where failing_since is not null;
-- statement
-- Public keys that attempts are signed with; each process names its own while it runs.
create table webhook_signing_keys (
  kid text primary key,
  -- Ed25519, 32 bytes.
  public_key bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  used_at timestamptz not null default clock_timestamp()
);
-- statement
-- Subscriptions with rows that nobody has claimed, and when the first of them is due: one look into the index for each.
create function waiting_webhooks_v1() returns table (webhook_id uuid, due_at timestamptz)
language plpgsql stable
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
#variable_conflict use_column
declare
  found_id uuid := '00000000-0000-0000-0000-000000000000';
  found_at timestamptz;
begin
  loop
    select d.webhook_id, d.next_retry_at into found_id, found_at
    from webhook_deliveries d
    where d.status = 'pending' and d.claimed_by is null and d.webhook_id > found_id
    order by d.webhook_id, d.next_retry_at
    limit 1;
    exit when not found;
    return query select found_id, found_at;
  end loop;
end
$$;
-- statement
-- Whether a process may look for deliveries to this endpoint now. While half open one of them, the probe, is claimed:
-- until then it is surely under way, later its claim says whether it still is.
create function breaker_admits_v1(p_breaker webhook_breakers, p_now timestamptz) returns boolean
language sql immutable parallel safe as $$
  select case p_breaker.state
    when 'open' then p_breaker.next_probe_at <= p_now
    when 'half_open' then coalesce(p_breaker.probe_until <= p_now, true)
    else true
  end
$$;
-- statement
-- Claims rows that are due for this process until the lease ends, fairly: every subscription gets its first row before
-- any gets its second, and of each the oldest and the newest rows take turns, so that a backlog is worked off without
-- new events having to wait for its end. `p_newest` says which end begins.
-- A subscription gets `p_slots` rows, or what `p_rooms` says for those in `p_webhooks`, which the process works on
-- already. None while another process works on it or its breaker is open; when that lets one pass, one, and no other
-- while the claim of that one holds.
-- Not flushed to disk: a claim that a crash of the database undoes is a delivery that is sent again.
create function claim_deliveries_v1(
  p_process uuid, p_lease interval, p_limit int, p_slots int, p_newest boolean, p_webhooks uuid[], p_rooms int[])
returns table (
  id uuid, webhook_id uuid, event_id uuid, event_type text, body text, attempts int, retries_from int,
  -- Changes with the subscription.
  version text,
  -- Attempts at once that the endpoint is given.
  slots int)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  at timestamptz := clock_timestamp();
  chosen uuid[];
begin
  perform set_config('synchronous_commit', 'off', true);
  select array_agg(webhook_id order by webhook_id) into chosen from (
    select w.webhook_id
    from waiting_webhooks_v1() w
    join webhooks s on s.id = w.webhook_id and s.active
    left join webhook_breakers b on b.webhook_id = w.webhook_id
    where w.due_at <= at
      and breaker_admits_v1(b, at)
      and coalesce(p_rooms[array_position(p_webhooks, w.webhook_id)], 1) > 0
    order by array_position(p_webhooks, w.webhook_id) is not null, random()
    limit p_limit) as candidate;
  if chosen is null then
    return;
  end if;

  insert into webhook_breakers (webhook_id, state)
  select s.id, 'closed' from webhooks s
  where s.id = any(chosen) and not exists (select from webhook_breakers b where b.webhook_id = s.id)
  for key share
  on conflict do nothing;
  perform from webhook_breakers b where b.webhook_id = any(chosen) order by b.webhook_id for update;

  -- From here on nobody else claims for these subscriptions, and what others have claimed is seen.
  at := clock_timestamp();
  return query
  with lane as materialized (
    select b.webhook_id, s.updated_at, b.state,
      case when b.state = 'closed' then least(p_slots, coalesce(b.slots, p_slots)) else 1 end as slots,
      p_rooms[array_position(p_webhooks, b.webhook_id)] as room
    from webhook_breakers b
    join webhooks s on s.id = b.webhook_id and s.active
    where b.webhook_id = any(chosen)
      and breaker_admits_v1(b, at)
      and not exists (
        select from webhook_deliveries c
        where c.webhook_id = b.webhook_id and c.claimed_by is not null and c.claimed_until > at
          and (c.claimed_by <> p_process or b.state <> 'closed'))
  ),
  due as materialized (
    select l.*, d.id
    from lane l
    cross join lateral (
      select e.id, min(e.rank) as rank from (
        select o.id, 2 * row_number() over () as rank from (
          select d.id from webhook_deliveries d
          where d.webhook_id = l.webhook_id and d.status = 'pending' and d.claimed_by is null and d.next_retry_at <= at
          order by d.next_retry_at
          limit coalesce(case when l.state = 'closed' then l.room end, l.slots)) as o
        union all
        select n.id, 2 * row_number() over () + case when p_newest then -1 else 1 end from (
          select d.id from webhook_deliveries d
          where d.webhook_id = l.webhook_id and d.status = 'pending' and d.claimed_by is null and d.next_retry_at <= at
          order by d.next_retry_at desc
          limit coalesce(case when l.state = 'closed' then l.room end, l.slots)) as n) as e
      group by e.id
      order by rank
      limit coalesce(case when l.state = 'closed' then l.room end, l.slots)) as d
    order by d.rank, random()
    limit p_limit
  ),
  claimed as (
    update webhook_deliveries d set claimed_by = p_process, claimed_until = at + p_lease
    from due
    where d.id = due.id and d.next_retry_at <= at and coalesce(d.claimed_by, p_process) = p_process
    returning d.id, d.webhook_id, d.event_id, d.event_type, d.body, d.attempts, d.retries_from, due.updated_at, due.slots
  ),
  probing as (
    update webhook_breakers b set state = 'half_open', probe_until = at + p_lease
    where b.state <> 'closed' and b.webhook_id in (select c.webhook_id from claimed c)
  )
  select c.id, c.webhook_id, c.event_id, c.event_type, c.body, c.attempts, c.retries_from, c.updated_at::text, c.slots
  from claimed c;
end
$$;
-- statement
-- Prolongs claims of this process and returns those it still held. One that has run out is lost even if nobody has
-- taken the row yet: another process may have begun to work on its subscription.
create function renew_claims_v1(p_process uuid, p_ids uuid[], p_lease interval) returns setof uuid
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  return query
  update webhook_deliveries d set claimed_until = clock_timestamp() + p_lease
  where d.id = any(p_ids) and d.claimed_by is not distinct from p_process and d.claimed_until > clock_timestamp()
  returning d.id;
end
$$;
-- statement
-- Gives claims back unattempted; without `p_ids` all of this process.
create function release_claims_v1(p_process uuid, p_ids uuid[]) returns void
language plpgsql
set enable_seqscan = off as $$
begin
  perform set_config('synchronous_commit', 'off', true);
  if p_ids is null then
    update webhook_deliveries d set claimed_by = null, claimed_until = null
    where d.claimed_by is not null and d.claimed_by = p_process;
  else
    update webhook_deliveries d set claimed_by = null, claimed_until = null
    where d.id = any(p_ids) and d.claimed_by is not distinct from p_process;
  end if;
end
$$;
-- statement
-- What became of one attempt.
create type webhook_result_v1 as (
  delivery_id uuid,
  webhook_id uuid,
  -- Number of the attempt, from 1.
  n int,
  at timestamptz,
  duration_ms int,
  status_code int,
  error text,
  response text,
  -- Of the delivery now: delivered, failed, or pending for another attempt after `delay`.
  status text,
  delay interval,
  -- What it says about the endpoint:
  --   up    it works             down     it does not     busy  it asks to be spared
  --   none  it was not asked at all, because the target is refused
  verdict text
);
-- statement
-- The state of an endpoint after these verdicts, in order. `p_threshold` failures in a row open the breaker for
-- `p_reset`; then one probe decides. Verdicts on what was sent before it opened no longer move an open breaker.
-- An endpoint that asks to be spared, and one that has just recovered, gets one attempt at a time, and twice as many
-- with every success up to `p_slots`.
create function breaker_after_v1(
  p_breaker webhook_breakers, p_verdicts text[], p_at timestamptz, p_threshold int, p_reset interval, p_slots int)
returns webhook_breakers
language plpgsql immutable as $$
declare
  b webhook_breakers := p_breaker;
  verdict text;
begin
  foreach verdict in array p_verdicts loop
    if verdict = 'up' then
      b.failures := 0;
      b.consecutive_successes := least(b.consecutive_successes + 1, 1000000000);
      b.failing_since := null;
      b.last_failed_at := null;
      b.slots := nullif(least(b.slots * 2, p_slots), p_slots);
      if b.state = 'half_open' then
        b.state := 'closed';
        b.opened_at := null;
        b.next_probe_at := null;
        b.probe_until := null;
        b.slots := nullif(1, p_slots);
      end if;
    else
      b.failing_since := coalesce(b.failing_since, p_at);
      b.last_failed_at := p_at;
      b.consecutive_successes := 0;
      continue when verdict = 'none';
      b.failures := least(b.failures + 1, 1000000000);
      if verdict = 'busy' then
        b.slots := nullif(1, p_slots);
      end if;
      if b.state = 'half_open' or (b.state = 'closed' and b.failures >= p_threshold) then
        b.state := 'open';
        b.opened_at := p_at;
        b.next_probe_at := p_at + p_reset;
        b.probe_until := null;
      end if;
    end if;
  end loop;
  return b;
end
$$;
-- statement
-- Writes what became of attempts whose claims this process still holds, into the deliveries, the attempt log and the
-- state of the endpoints. Returns the deliveries settled and the state of their endpoints; a delivery that is missing
-- there was lost to another process, or is gone.
create function settle_deliveries_v1(
  p_process uuid, p_results webhook_result_v1[], p_threshold int, p_reset interval, p_slots int)
returns table (webhook_id uuid, settled uuid[], was text, state text, slots int)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  at timestamptz;
begin
  perform from webhook_breakers b
  where b.webhook_id = any(array(select distinct r.webhook_id from unnest(p_results) r))
  order by b.webhook_id
  for update;
  at := clock_timestamp();
  return query
  with held as (
    update webhook_deliveries d set
      status = r.status, attempts = r.n, status_code = r.status_code, error = r.error,
      next_retry_at = case when r.status = 'pending' then at + r.delay end,
      delivered_at = case when r.status = 'delivered' then at end,
      claimed_by = null, claimed_until = null
    from unnest(p_results) with ordinality as r
    where d.id = r.delivery_id and d.claimed_by is not distinct from p_process and d.attempts = r.n - 1
    returning d.webhook_id, d.id, r.n, r.at, r.duration_ms, r.status_code, r.error, r.response, r.verdict, r.ordinality
  ),
  logged as (
    insert into webhook_attempts (delivery_id, n, at, duration_ms, status_code, error, response)
    select h.id, h.n, h.at, h.duration_ms, h.status_code, h.error, h.response from held h
  ),
  judged as materialized (
    select h.webhook_id, array_agg(h.id) as ids, array_agg(h.verdict order by h.ordinality) as verdicts
    from held h
    group by h.webhook_id
  ),
  changed as (
    update webhook_breakers b set
      state = n.state, failures = n.failures, consecutive_successes = n.consecutive_successes, opened_at = n.opened_at,
      next_probe_at = n.next_probe_at, probe_until = n.probe_until, failing_since = n.failing_since,
      last_failed_at = n.last_failed_at, slots = n.slots
    from judged j
    join webhook_breakers o on o.webhook_id = j.webhook_id
    cross join lateral breaker_after_v1(o, j.verdicts, at, p_threshold, p_reset, p_slots) as n
    where b.webhook_id = j.webhook_id
    returning b.webhook_id, o.state as was, b.state, b.slots
  )
  select j.webhook_id, j.ids, c.was, c.state, c.slots
  from judged j left join changed c on c.webhook_id = j.webhook_id;
end
$$;
-- statement
-- Frees rows whose claim has run out, and gives up rows that are due to a subscription that is gone or inactive, except
-- those that are being removed with it. At most `p_limit` rows of either; returns how many.
create function tidy_deliveries_v1(p_limit int) returns table (freed int, given_up int)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
begin
  with expired as (
    select d.id from webhook_deliveries d
    where d.claimed_by is not null and d.claimed_until <= clock_timestamp()
    limit p_limit
    for update skip locked
  )
  update webhook_deliveries d set claimed_by = null, claimed_until = null from expired e where d.id = e.id;
  get diagnostics freed = row_count;

  with stranded as (
    select d.id
    from waiting_webhooks_v1() w
    cross join lateral (
      select d.id from webhook_deliveries d
      where d.webhook_id = w.webhook_id and d.status = 'pending' and d.claimed_by is null
        and d.next_retry_at <= clock_timestamp()
      limit p_limit
      for update skip locked) as d
    where w.due_at <= clock_timestamp()
      and not exists (select from webhooks s where s.id = w.webhook_id and s.active)
      and not exists (select from webhook_removals r where r.webhook_id = w.webhook_id)
    limit p_limit
  )
  update webhook_deliveries d set status = 'failed', error = 'webhook missing or inactive', next_retry_at = null
  from stranded s where d.id = s.id;
  get diagnostics given_up = row_count;
  return next;
end
$$;
-- statement
-- Closes a breaker by hand. Null when there is no such subscription.
create function reset_breaker_v1(p_webhook uuid, p_act admin_act_v1) returns setof webhook_breakers
language plpgsql as $$
begin
  return query
  insert into webhook_breakers as b (webhook_id, state)
  select s.id, 'closed' from webhooks s where s.id = p_webhook for key share
  on conflict (webhook_id) do update set
    state = 'closed', failures = 0, consecutive_successes = 0, opened_at = null, next_probe_at = null,
    probe_until = null, slots = null
  returning b.*;
  if found then
    perform record_admin_act_v1(p_act);
  end if;
end
$$;
-- statement
-- Sends one delivery again, with as many retries as a new one; none while an attempt is under way. Outcomes: ok, lost
-- (the reservation no longer holds), not_found.
create function redeliver_v1(
  p_webhook uuid, p_delivery uuid, p_act admin_act_v1, p_completion idempotency_completion_v1)
returns table (outcome text, requeued int)
language plpgsql as $$
begin
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    return query select 'lost', 0;
    return;
  end if;
  update webhook_deliveries d set
    status = 'pending', next_retry_at = clock_timestamp(), retries_from = d.attempts, delivered_at = null
  where d.id = p_delivery and d.webhook_id = p_webhook and d.claimed_by is null;
  get diagnostics requeued = row_count;
  if requeued = 0
    and not exists (select from webhook_deliveries d where d.id = p_delivery and d.webhook_id = p_webhook)
  then
    return query select 'not_found', 0;
    return;
  end if;
  p_act.details := p_act.details || jsonb_build_object('requeued', requeued);
  perform record_admin_act_v1(p_act);
  perform complete_idempotency_v1(p_completion, jsonb_build_object('requeued', requeued));
  outcome := 'ok';
  return next;
end
$$;
-- statement
-- An event as webhooks carry it, up to the value of `seq`; the same text as the append was given (src/events/render.ts).
create function delivery_text_v1(p_event audit_events) returns text
language sql immutable parallel safe as $$
  select concat(
    '{"id":"', p_event.id, '","type":', to_json(p_event.type), ',"ts":"', iso_v1(p_event.ts), '"',
    ',"aidA":' || to_json(p_event.aid_a),
    ',"aidB":' || to_json(p_event.aid_b),
    ',"sessionId":' || to_json(p_event.session_id),
    ',"runId":' || to_json(p_event.run_id),
    case when p_event.grants is not null then
      ',"grants":[' || (
        select coalesce(string_agg(to_json(g)::text, ',' order by n), '')
        from jsonb_array_elements_text(p_event.grants) with ordinality as t (g, n)) || ']'
    end,
    ',"payload":' || p_event.payload,
    ',"source":', to_json(p_event.source), ',"seq":')
$$;
-- statement
-- A position such that the events from there on, and no others, were stored at this time or later; null when there are
-- none. Positions follow the time of storing, so a handful of looks finds it among any number of events.
create function position_at_v1(p_log smallint, p_at timestamptz) returns bigint
language plpgsql stable
set enable_seqscan = off as $$
declare
  low bigint;
  high bigint;
  middle bigint;
  event record;
begin
  select e.seq into low from audit_events e where e.log_id = p_log order by e.seq limit 1;
  select e.seq, e.created_at into event from audit_events e where e.log_id = p_log order by e.seq desc limit 1;
  if not found or event.created_at < p_at then
    return null;
  end if;
  high := event.seq;
  while low < high loop
    middle := (low + high) / 2;
    -- Old events may have been removed here and there.
    select e.seq, e.created_at into strict event from audit_events e
    where e.log_id = p_log and e.seq >= middle order by e.seq limit 1;
    if event.created_at >= p_at then
      high := middle;
    else
      low := event.seq + 1;
    end if;
  end loop;
  return high;
end
$$;
-- statement
-- Sends again what had failed of the deliveries enqueued in [p_since, p_until), oldest first, and with `p_missed` enqueues
-- the events stored in that time which the subscription wants as it is now and was never given. At most `p_limit` of
-- either, and as many events as can be looked through in five seconds; `continue_at` is where the next call has to begin,
-- null when nothing is left. Outcomes: ok, lost (the reservation no longer holds), not_found.
create function recover_deliveries_v1(
  p_log smallint, p_webhook uuid, p_since timestamptz, p_until timestamptz, p_missed boolean, p_limit int,
  p_act admin_act_v1, p_completion idempotency_completion_v1)
returns table (outcome text, requeued int, continue_at timestamptz)
language plpgsql
set enable_seqscan = off as $$
#variable_conflict use_column
declare
  span constant bigint := 10000;
  at timestamptz := clock_timestamp();
  hook webhooks;
  next_seq bigint;
  last_seq bigint;
  n int;
  enqueued int := 0;
  reached bigint;
begin
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    return query select 'lost', 0, null::timestamptz;
    return;
  end if;
  -- Held, so that nothing is enqueued behind a removal.
  select s.* into hook from webhooks s where s.id = p_webhook for key share;
  if not found then
    return query select 'not_found', 0, null::timestamptz;
    return;
  end if;

  with failed as (
    select d.id, d.created_at from webhook_deliveries d
    where d.webhook_id = p_webhook and d.status = 'failed' and d.created_at >= p_since and d.created_at < p_until
    order by d.created_at, d.id
    limit p_limit
    for update skip locked
  ),
  again as (
    update webhook_deliveries d set status = 'pending', next_retry_at = at, retries_from = d.attempts
    from failed f where d.id = f.id
  )
  select count(*), case when count(*) = p_limit then max(f.created_at) end into requeued, continue_at from failed f;

  if p_missed then
    next_seq := position_at_v1(p_log, p_since);
    last_seq := coalesce(position_at_v1(p_log, p_until) - 1, (select h.seq from log_head h where h.log_id = p_log));
    while next_seq <= last_seq and enqueued < p_limit and clock_timestamp() < at + interval '5 seconds' loop
      with missed as materialized (
        select gen_random_uuid() as id, e as event
        from audit_events e
        where e.log_id = p_log and e.seq >= next_seq and e.seq < next_seq + span and e.seq <= last_seq
          and webhook_wants_v1(hook.events, hook.filter, hook.organization_id, e.canonical_type, e.namespace, e.aid_a,
            e.aid_b, e.run_id, e.org_ids)
          and not exists (
            select from webhook_deliveries d where d.webhook_id = p_webhook and d.event_id = e.id)
        order by e.seq
        limit p_limit - enqueued
      ),
      added as (
        insert into webhook_deliveries (
          id, webhook_id, event_id, event_seq, event_type, body, status, next_retry_at, created_at)
        select m.id, p_webhook, (m.event).id, (m.event).seq, (m.event).canonical_type,
          format('{"deliveryId":"%s","eventType":%s,"payload":%s%s},"enqueuedAt":"%s"}',
            m.id, to_json((m.event).canonical_type), delivery_text_v1(m.event), (m.event).seq, iso_v1(at)),
          'pending', at, at
        from missed m
        on conflict (webhook_id, event_id) do nothing
        returning event_seq
      )
      select count(*), max(a.event_seq) into n, reached from added a;
      enqueued := enqueued + n;
      next_seq := case when enqueued < p_limit then next_seq + span else reached + 1 end;
    end loop;
    if next_seq <= last_seq then
      select least(continue_at, e.created_at) into continue_at
      from audit_events e where e.log_id = p_log and e.seq >= next_seq order by e.seq limit 1;
    end if;
    requeued := requeued + enqueued;
  end if;

  p_act.details := p_act.details || jsonb_build_object('requeued', requeued);
  perform record_admin_act_v1(p_act);
  perform complete_idempotency_v1(p_completion, jsonb_build_object('requeued', requeued, 'next', iso_v1(continue_at)));
  outcome := 'ok';
  return next;
end
$$;
-- statement
-- Keeps a test, which was sent without having been enqueued. False when there is no such subscription.
create function record_test_v1(
  p_event uuid, p_body text, p_result webhook_result_v1, p_act admin_act_v1)
returns boolean
language plpgsql as $$
begin
  insert into webhook_deliveries (
    id, webhook_id, event_id, event_type, body, status, attempts, status_code, error, delivered_at, created_at)
  select p_result.delivery_id, s.id, p_event, 'webhook.test', p_body, p_result.status, p_result.n, p_result.status_code,
    p_result.error, case when p_result.status = 'delivered' then clock_timestamp() end, p_result.at
  from webhooks s where s.id = p_result.webhook_id
  for key share;
  if not found then
    return false;
  end if;
  insert into webhook_attempts (delivery_id, n, at, duration_ms, status_code, error, response)
  values (p_result.delivery_id, p_result.n, p_result.at, p_result.duration_ms, p_result.status_code, p_result.error,
    p_result.response);
  perform record_admin_act_v1(p_act);
  return true;
end
$$;
