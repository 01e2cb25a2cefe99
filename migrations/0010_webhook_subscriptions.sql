-- Acts on webhook subscriptions: each is one call that writes the subscription, its audit row and, for a request with an
-- idempotency key, the answer. Beside them the state of circuit breakers, and which deliveries are left to be removed.

-- Appends remember whether anybody subscribes, so only what can change that bumps the version. An act takes the row of the
-- subscription, then that of its breaker, then the head row: nobody who appends waits for either of the first two, and
-- however long others hold them, appends go on.
create or replace trigger webhooks_bump_directory before insert or update of active or delete or truncate on webhooks
  for each statement execute function bump_directory_version();
-- statement
create index webhooks_order on webhooks (created_at, id);
-- statement
-- Shared by all replicas; a subscription without a row is closed. No foreign key: settling a delivery must not wait for
-- whoever holds the subscription.
create table webhook_breakers (
  webhook_id uuid primary key,
  state text not null check (state in ('closed', 'open', 'half_open')),
  -- Consecutive ones.
  failures int not null default 0,
  consecutive_successes int not null default 0,
  opened_at timestamptz,
  next_probe_at timestamptz,
  -- While set and in the future, one replica has the probe.
  probe_until timestamptz,
  -- First failure since the last success.
  failing_since timestamptz
);
-- statement
-- Subscriptions that are gone while their deliveries are still being removed.
create table webhook_removals (
  webhook_id uuid primary key,
  removed_at timestamptz not null default clock_timestamp()
);
-- statement
create type webhook_v1 as (
  id uuid,
  url text,
  events jsonb,
  filter jsonb,
  secret_enc bytea,
  key_id text,
  secret_hint text,
  active boolean,
  organization_id uuid,
  created_at timestamptz
);
-- statement
-- False when the reservation no longer holds: nothing was stored.
create function create_webhook_v1(
  p_log smallint, p_webhook webhook_v1, p_act admin_act_v1, p_completion idempotency_completion_v1)
returns boolean
language plpgsql as $$
begin
  perform from log_head h where h.log_id = p_log for update;
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    return false;
  end if;
  insert into webhooks (id, url, events, filter, secret_enc, key_id, secret_hint, active, organization_id, created_at, updated_at)
  values (p_webhook.id, p_webhook.url, p_webhook.events, p_webhook.filter, p_webhook.secret_enc, p_webhook.key_id,
    p_webhook.secret_hint, p_webhook.active, p_webhook.organization_id, p_webhook.created_at, p_webhook.created_at);
  perform record_admin_act_v1(p_act);
  perform complete_idempotency_v1(p_completion);
  return true;
end
$$;
-- statement
-- What an update changes; null leaves a member as it is. A new secret comes with the one before it, encrypted for its new
-- place, or without when nothing of it shall stay valid; `replaces` is the ciphertext that was current when this was made.
create type webhook_changes_v1 as (
  url text,
  events jsonb,
  filter jsonb,
  active boolean,
  secret_enc bytea,
  key_id text,
  secret_hint text,
  replaces bytea,
  prev_secret_enc bytea,
  grace_secs int
);
-- statement
-- Members of a subscription as answers show them.
create type webhook_record_v1 as (
  id uuid,
  url text,
  events jsonb,
  filter jsonb,
  active boolean,
  secret_hint text,
  disabled_at timestamptz,
  disabled_reason text,
  breaker text,
  created_at timestamptz,
  updated_at timestamptz
);
-- statement
-- Outcomes: ok, not_found, changed (another secret has become the current one: look again). The audit row gets the names
-- and values that differ from before, of a secret only that there is another one. Subscriptions outside `p_orgs` (null:
-- all organisations) are not found. A subscription that becomes active again starts with a closed breaker.
create function update_webhook_v1(
  p_id uuid, p_orgs uuid[], p_changes webhook_changes_v1, p_act admin_act_v1)
returns table (outcome text, prev_secret_until timestamptz, record webhook_record_v1)
language plpgsql as $$
#variable_conflict use_column
declare
  known webhooks;
  changed jsonb;
begin
  select * into known from webhooks w
  where w.id = p_id and (p_orgs is null or w.organization_id = any(p_orgs))
  for no key update;
  if not found then
    outcome := 'not_found';
    return next;
    return;
  end if;
  if p_changes.secret_enc is not null and known.secret_enc <> p_changes.replaces then
    outcome := 'changed';
    return next;
    return;
  end if;

  changed := jsonb_strip_nulls(jsonb_build_object(
    'url', nullif(p_changes.url, known.url),
    'events', nullif(p_changes.events, known.events),
    'filter', nullif(p_changes.filter, known.filter),
    'secretRotated', p_changes.secret_enc is not null or null,
    'active', nullif(p_changes.active, known.active)));
  if changed <> '{}' then
    update webhooks w set
      url = coalesce(p_changes.url, known.url),
      events = coalesce(p_changes.events, known.events),
      filter = coalesce(p_changes.filter, known.filter),
      updated_at = greatest(known.updated_at, clock_timestamp())
    where w.id = p_id;
  end if;
  if changed ? 'secretRotated' then
    update webhooks w set
      secret_enc = p_changes.secret_enc,
      key_id = p_changes.key_id,
      secret_hint = p_changes.secret_hint,
      prev_secret_enc = p_changes.prev_secret_enc,
      prev_secret_until = case when p_changes.prev_secret_enc is not null then
        clock_timestamp() + make_interval(secs => p_changes.grace_secs) end
    where w.id = p_id;
  end if;
  if changed @> '{"active": true}' then
    delete from webhook_breakers b where b.webhook_id = p_id;
  end if;
  if changed ? 'active' then
    update webhooks w set
      active = p_changes.active,
      disabled_at = case when not p_changes.active then known.disabled_at end,
      disabled_reason = case when not p_changes.active then known.disabled_reason end
    where w.id = p_id;
  end if;
  p_act.details := p_act.details || changed;
  perform record_admin_act_v1(p_act);

  return query
  select 'ok', w.prev_secret_until,
    row(w.id, w.url, w.events, w.filter, w.active, w.secret_hint, w.disabled_at, w.disabled_reason,
      coalesce(b.state, 'closed'), w.created_at, w.updated_at)::webhook_record_v1
  from webhooks w left join webhook_breakers b on b.webhook_id = w.id
  where w.id = p_id;
end
$$;
-- statement
-- Removes a subscription at once; its deliveries follow, see `clear_removed_webhook_v1`. False when there is none.
create function delete_webhook_v1(p_log smallint, p_id uuid, p_orgs uuid[], p_act admin_act_v1)
returns boolean
language plpgsql as $$
begin
  perform from webhooks w where w.id = p_id and (p_orgs is null or w.organization_id = any(p_orgs)) for update;
  if not found then
    return false;
  end if;
  delete from webhook_breakers b where b.webhook_id = p_id;
  perform from log_head h where h.log_id = p_log for update;
  delete from webhooks w where w.id = p_id;
  insert into webhook_removals (webhook_id) values (p_id);
  perform record_admin_act_v1(p_act);
  return true;
end
$$;
-- statement
-- Disables a subscription that still delivers to `p_url`, and appends the event that says so. Outcomes: ok, unchanged
-- (gone, inactive already or of another URL), changed (owners of the event: look again).
create function disable_webhook_v1(
  p_log smallint, p_directory_version bigint, p_id uuid, p_url text, p_reason text, p_event ledger_event_v1,
  p_act admin_act_v1)
returns text
language plpgsql as $$
declare
  version bigint;
begin
  perform from webhooks w where w.id = p_id and w.url = p_url and w.active for no key update;
  if not found then
    return 'unchanged';
  end if;
  select h.directory_version into version from log_head h where h.log_id = p_log for update;
  if version <> p_directory_version then
    return 'changed';
  end if;
  update webhooks w set
    active = false, disabled_at = clock_timestamp(), disabled_reason = p_reason,
    updated_at = greatest(w.updated_at, clock_timestamp())
  where w.id = p_id;
  perform record_admin_act_v1(p_act);
  -- The version has moved on by the update above; nobody else moves it while the head row is held.
  select h.directory_version into version from log_head h where h.log_id = p_log;
  perform append_v1(p_log, version, array[p_event]);
  return 'ok';
end
$$;
-- statement
-- Removes at most `p_limit` deliveries of one removed subscription; replicas work on different ones. How many these were,
-- null when no subscription is waiting. Nothing is added behind a removal: appends and removals both hold the head row,
-- and whoever else adds deliveries holds the row of the subscription.
create function clear_removed_webhook_v1(p_limit int) returns int
language plpgsql
-- A plan made while the tables are small must not read them whole when they are not.
set enable_seqscan = off as $$
declare
  target uuid;
  cleared int;
begin
  select r.webhook_id into target from webhook_removals r order by r.removed_at limit 1 for update skip locked;
  if not found then
    return null;
  end if;
  delete from webhook_deliveries d where d.id = any(array(
    select i.id from webhook_deliveries i where i.webhook_id = target limit p_limit for update skip locked));
  get diagnostics cleared = row_count;
  if cleared < p_limit and not exists (select from webhook_deliveries d where d.webhook_id = target) then
    delete from webhook_breakers b where b.webhook_id = target;
    delete from webhook_removals r where r.webhook_id = target;
  end if;
  return cleared;
end
$$;
