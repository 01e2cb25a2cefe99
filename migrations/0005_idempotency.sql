-- Idempotency keys: one row per key and credential, reserved before its request runs and completed by the transaction
-- that holds the effects. The lease token of a reservation is its fence: who no longer holds it must change nothing.

create table idempotency_keys (
  -- The route, as `agents.register`.
  scope text not null,
  -- SHA-256 of the credential, or of the principal's id where credentials change; empty while the service is open.
  credential_hash bytea not null,
  key text not null,
  -- SHA-256 over the request: another one under the same key is refused.
  fingerprint bytea not null,
  state text not null check (state in ('in_progress', 'done')),
  -- Of the request that is running; null once done.
  lease_token uuid,
  lease_until timestamptz,
  response_status smallint,
  -- The answer: facts it is rendered from, or the body itself, or neither when it has no body.
  facts jsonb,
  response_body bytea,
  -- Of `response_body`; null is JSON.
  media_type text,
  -- Whether `response_body` is encrypted like the secret it shows.
  encrypted boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  primary key (scope, credential_hash, key),
  check ((state = 'done') = (response_status is not null)),
  check ((state = 'done') = (lease_token is null)),
  check ((state = 'done') = (lease_until is null))
-- Completing a row changes no indexed column; with room on its page that costs no index entry.
) with (fillfactor = 70);
-- statement
create index idempotency_keys_created_at on idempotency_keys (created_at);
-- statement
-- Reserves a key for the request with this lease token. `outcome` is
--   reserved     the request may run      taken_over   so it may; the one before it has let its lease die
--   in_progress  another one is running   reused       the key belongs to another request
--   done         it ran; the rest of the row is its answer
-- Volatile, so each statement sees what was committed before it. None waits for a running request, only for a commit.
create function reserve_idempotency_v1(
  p_scope text, p_credential_hash bytea, p_key text, p_fingerprint bytea, p_lease_token uuid, p_lease interval)
returns table (
  outcome text, response_status smallint, facts jsonb, response_body bytea, media_type text, encrypted boolean)
language plpgsql as $$
#variable_conflict use_column
declare
  known idempotency_keys;
begin
  loop
    insert into idempotency_keys (scope, credential_hash, key, fingerprint, state, lease_token, lease_until)
    values (p_scope, p_credential_hash, p_key, p_fingerprint, 'in_progress', p_lease_token, clock_timestamp() + p_lease)
    on conflict (scope, credential_hash, key) do nothing;
    if found then
      outcome := 'reserved';
      return next;
      return;
    end if;

    select * into known from idempotency_keys k
    where k.scope = p_scope and k.credential_hash = p_credential_hash and k.key = p_key;
    continue when not found; -- released since
    if known.fingerprint <> p_fingerprint then
      outcome := 'reused';
      return next;
      return;
    end if;
    if known.state = 'done' then
      return query select
        'done', known.response_status, known.facts, known.response_body, known.media_type, known.encrypted;
      return;
    end if;
    if known.lease_until > clock_timestamp() then
      outcome := 'in_progress';
      return next;
      return;
    end if;

    -- Waits for a request that is just committing, and then finds that it no longer holds.
    update idempotency_keys k set lease_token = p_lease_token, lease_until = clock_timestamp() + p_lease
    where k.scope = p_scope and k.credential_hash = p_credential_hash and k.key = p_key
      and k.state = 'in_progress' and k.lease_token = known.lease_token;
    if found then
      outcome := 'taken_over';
      return next;
      return;
    end if;
  end loop;
end
$$;
-- statement
-- A reservation and the answer that it shall be completed with.
create type idempotency_completion_v1 as (
  scope text,
  credential_hash bytea,
  key text,
  lease_token uuid,
  response_status smallint,
  facts jsonb,
  response_body bytea,
  media_type text,
  encrypted boolean
);
-- statement
-- Which reservations (their places, from 1) no longer hold: their effects must not happen. The others are locked, so
-- that nobody takes them over before this transaction ends. Null elements are requests without a key and always hold.
-- A transaction that appends calls this after it has taken the head row.
create function lost_idempotency_v1(p_completions idempotency_completion_v1[]) returns int[]
language plpgsql as $$
declare
  lost int[];
begin
  with held as materialized (
    select c.ordinality
    from unnest(p_completions) with ordinality as c
    join idempotency_keys k on k.scope = c.scope and k.credential_hash = c.credential_hash and k.key = c.key
    where k.state = 'in_progress' and k.lease_token = c.lease_token
    order by k.scope, k.credential_hash, k.key
    for update of k
  )
  select array_agg(c.ordinality::int order by c.ordinality) into lost
  from unnest(p_completions) with ordinality as c
  where c.scope is not null and not exists (select from held h where h.ordinality = c.ordinality);
  return coalesce(lost, '{}');
end
$$;
-- statement
-- Completes reservations together with their effects; those that no longer hold, and null elements, are left alone.
-- `p_facts`, which runs parallel, adds what is known only now. Returns how many were completed.
create function complete_idempotency_many_v1(
  p_completions idempotency_completion_v1[], p_facts jsonb[] default null)
returns int
language plpgsql as $$
declare
  completed int;
begin
  update idempotency_keys k set
    state = 'done', lease_token = null, lease_until = null, response_status = c.response_status,
    facts = case when p_facts[c.ordinality::int] is null then c.facts
                 else coalesce(c.facts, '{}') || p_facts[c.ordinality::int] end,
    response_body = c.response_body, media_type = c.media_type, encrypted = coalesce(c.encrypted, false)
  from unnest(p_completions) with ordinality as c
  where k.scope = c.scope and k.credential_hash = c.credential_hash and k.key = c.key
    and k.state = 'in_progress' and k.lease_token = c.lease_token;
  get diagnostics completed = row_count;
  return completed;
end
$$;
-- statement
-- Whether the one reservation was completed. True for null: a request without a key has nothing to complete.
create function complete_idempotency_v1(p_completion idempotency_completion_v1, p_facts jsonb default null)
returns boolean
language sql as $$
  select p_completion is null or complete_idempotency_many_v1(array[p_completion], array[p_facts]) = 1
$$;
-- statement
-- register_agent_v1, completing the reservation of its request in the same transaction. One outcome more:
--   lost  the reservation no longer holds; nothing was stored and the token was not spent
create function register_agent_v2(
  p_log smallint, p_directory_version bigint, p_agent agent_registration_v1, p_event ledger_event_v1,
  p_act admin_act_v1, p_completion idempotency_completion_v1)
returns table (outcome text, existing_aid text, registered_at timestamptz, enrolled_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  registered record;
begin
  perform from log_head h where h.log_id = p_log for update;
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    return query select 'lost', null::text, null::timestamptz, null::timestamptz;
    return;
  end if;
  select * into strict registered from register_agent_v1(p_log, p_directory_version, p_agent, p_event, p_act);
  if registered.outcome = 'ok' then
    perform complete_idempotency_v1(p_completion, jsonb_build_object(
      'registeredAt', iso_v1(registered.registered_at), 'lastEnrolledAt', iso_v1(registered.enrolled_at)));
  end if;
  return query select registered.outcome, registered.existing_aid, registered.registered_at, registered.enrolled_at;
end
$$;
