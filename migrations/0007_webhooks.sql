-- Subscriptions, and the outbox: one row per event and subscription, written by the append that stores the event.

create table webhooks (
  id uuid primary key,
  url text not null,
  -- Names of event types, as given; empty: all deliverable types.
  events jsonb not null default '[]',
  -- Optional namespace, aid (either party) and runId that an event must have.
  filter jsonb not null default '{}',
  secret_enc bytea not null,
  prev_secret_enc bytea,
  prev_secret_until timestamptz,
  key_id text not null,
  secret_hint text not null,
  active boolean not null default true,
  disabled_at timestamptz,
  disabled_reason text,
  -- Null spans all organisations.
  organization_id uuid,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
-- statement
-- An append looks up whether anybody subscribes at all under a version of the directory: a new subscription makes it
-- look again, so that no event stored after the subscription misses it.
create trigger webhooks_bump_directory before insert or update or delete or truncate on webhooks
  for each statement execute function bump_directory_version();
-- statement
-- No foreign key: removing a subscription with a million deliveries must not hold up appends. Its rows go in batches.
create table webhook_deliveries (
  id uuid primary key,
  webhook_id uuid not null,
  event_id uuid not null,
  event_seq bigint not null,
  event_type text not null,
  -- The exact bytes that are sent and signed, on every attempt.
  body text not null,
  status text not null check (status in ('pending', 'delivered', 'failed')),
  attempts int not null default 0,
  status_code int,
  error text,
  next_retry_at timestamptz,
  claimed_by uuid,
  claimed_until timestamptz,
  delivered_at timestamptz,
  created_at timestamptz not null,
  unique (webhook_id, event_id)
);
-- statement
create index webhook_deliveries_due on webhook_deliveries (next_retry_at) where status = 'pending';
-- statement
create index webhook_deliveries_order on webhook_deliveries (webhook_id, created_at desc, id desc);
-- statement
-- Types that are delivered without being asked for by name.
create function webhook_delivers_v1(p_type text) returns boolean
language sql immutable parallel safe as $$
  select p_type in ('agent.registered', 'agent.expired', 'agent.deregistered', 'handshake.complete', 'handshake.failed',
                    'tct.revoked')
$$;
-- statement
-- Whether a subscription's list of types takes an event: by name, by alias, by a prefix that ends in `.*`; an empty list
-- takes all types that are delivered without being asked for. Some types are delivered only when named literally, all
-- others never.
create function webhook_lists_v1(p_events jsonb, p_type text) returns boolean
language sql immutable parallel safe as $$
  select case
    when p_type in ('webhook.disabled', 'agent.integrity_failed', 'agent.clone_suspected') then p_events ? p_type
    when not webhook_delivers_v1(p_type) then false
    when p_events = '[]' or p_events ? p_type then true
    when p_type = 'handshake.complete' and p_events ? 'handshake.completed' then true
    else exists (
      select from jsonb_array_elements_text(p_events) as name
      where right(name, 2) = '.*' and starts_with(p_type, left(name, -1)))
  end
$$;
-- statement
create function webhook_wants_v1(
  p_events jsonb, p_filter jsonb, p_organization uuid, p_type text, p_namespace text, p_aid_a text, p_aid_b text,
  p_run_id text, p_org_ids uuid[])
returns boolean
language sql immutable parallel safe as $$
  select webhook_lists_v1(p_events, p_type)
    and (p_organization is null or p_organization = any(p_org_ids))
    and coalesce(p_filter ->> 'namespace' = p_namespace, p_filter ->> 'namespace' is null)
    and coalesce(p_filter ->> 'runId' = p_run_id, p_filter ->> 'runId' is null)
    and coalesce(p_filter ->> 'aid' in (p_aid_a, p_aid_b), p_filter ->> 'aid' is null)
$$;
