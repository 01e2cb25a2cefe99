-- Agents, their one-time enrolment tokens, and who owns which namespace.

-- Namespaces that an organisation has claimed; all others belong to the default organisation.
create table namespaces (
  namespace varchar(128) primary key,
  org_id uuid not null,
  created_at timestamptz not null default now()
);
-- statement
-- Events carry their owners, so whoever changes them must make running appends look again. Taking the head row first
-- keeps the one order of locks that every appending transaction follows.
create function bump_directory_version() returns trigger
language plpgsql as $$
begin
  update log_head set directory_version = directory_version + 1;
  return null;
end
$$;
-- statement
create trigger namespaces_bump_directory before insert or update or delete or truncate on namespaces
  for each statement execute function bump_directory_version();
-- statement
create table agents (
  -- As the agent spells it; `key_alg` and `key_raw` are what is unique, because one key has two spellings.
  aid text primary key,
  key_alg text not null check (key_alg in ('ed25519', 'p256')),
  key_raw bytea not null,
  display_name varchar(256) not null,
  handshake_endpoint text not null,
  offered_caps jsonb not null,
  -- The registered body, byte for byte.
  manifest_json text not null,
  -- SHA-256 of the canonical manifest with its signature.
  manifest_sha256 bytea not null,
  manifest_published_at timestamptz not null,
  manifest_expires_at timestamptz not null,
  verified_at timestamptz not null,
  conformance_findings jsonb not null default '[]',
  status text not null check (status in ('active', 'expired', 'deregistered')),
  namespace varchar(128) not null,
  org_id uuid not null default '00000000-0000-8000-8000-000000000001',
  org text,
  cloud text,
  metadata jsonb,
  registered_at timestamptz not null,
  last_enrolled_at timestamptz not null,
  deregistered_at timestamptz,
  -- False withholds the row from every registry answer.
  integrity_ok boolean not null default true,
  unique (key_alg, key_raw)
);
-- statement
create index agents_order on agents (registered_at, aid);
-- statement
create index agents_status on agents (status, registered_at, aid);
-- statement
create index agents_namespace on agents (namespace, registered_at, aid);
-- statement
create index agents_display_name on agents (display_name);
-- statement
create index agents_caps on agents using gin (offered_caps jsonb_path_ops);
-- statement
create index agents_expiring on agents (manifest_expires_at) where status = 'active';
-- statement
-- Written outside every other transaction, at most once per agent and flush.
create table agent_last_seen (
  aid text primary key,
  last_seen_at timestamptz not null
);
-- statement
-- What is left of an agent whose row retention removed; keeps an old manifest from coming back.
create table agent_tombstones (
  aid text primary key,
  key_alg text not null,
  key_raw bytea not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz,
  deregistered_at timestamptz,
  removed_at timestamptz not null,
  reason text not null,
  manifest_published_at timestamptz not null,
  manifest_sha256 bytea not null,
  unique (key_alg, key_raw)
);
-- statement
-- Spent enrolment tokens; kept until they would have expired anyway.
create table enrollment_jtis (
  jti uuid primary key,
  aid text not null,
  organization_id uuid not null default '00000000-0000-8000-8000-000000000001',
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);
-- statement
create index enrollment_jtis_expires_at on enrollment_jtis (expires_at);
-- statement
-- Who did what: one row per administrative act, committed with the act.
create table admin_audit_log (
  id uuid primary key,
  action text not null,
  actor_id text not null,
  target_id text,
  details jsonb not null default '{}',
  request_id text,
  organization_id uuid,
  created_at timestamptz not null default clock_timestamp()
);
-- statement
create index admin_audit_log_order on admin_audit_log (created_at desc, id desc);
-- statement
create type admin_act_v1 as (id uuid, action text, actor_id text, target_id text, details jsonb, request_id text);
-- statement
create function record_admin_act_v1(p_act admin_act_v1) returns void
language sql as $$
  insert into admin_audit_log (id, action, actor_id, target_id, details, request_id)
  values ((p_act).id, (p_act).action, (p_act).actor_id, (p_act).target_id, (p_act).details, (p_act).request_id)
$$;
-- statement
-- Everything about a registration that its verified manifest and token say.
create type agent_registration_v1 as (
  aid text,
  key_alg text,
  key_raw bytea,
  display_name text,
  handshake_endpoint text,
  offered_caps jsonb,
  manifest_json text,
  manifest_sha256 bytea,
  manifest_published_at timestamptz,
  manifest_expires_at timestamptz,
  conformance_findings jsonb,
  namespace text,
  token_jti uuid,
  token_expires_at timestamptz,
  -- Whether the event says that the agent was known before; if that turns out wrong, nothing is stored.
  re_enrolled boolean
);
-- statement
-- Registers or re-enrols an agent: spends the token, checks freshness, writes the row, the event and the audit row, in
-- one call. `outcome` is
--   ok             registered
--   replayed       the token was spent before
--   form_conflict  the key is registered under its other spelling, `existing_aid`
--   stale          a newer manifest is known, or this very one was deregistered
--   changed        `re_enrolled` or the owners of the event no longer hold: look again
-- Nothing is stored, and the token is not spent, unless the outcome is ok.
create function register_agent_v1(
  p_log smallint, p_directory_version bigint, p_agent agent_registration_v1, p_event ledger_event_v1,
  p_act admin_act_v1)
returns table (outcome text, existing_aid text, registered_at timestamptz, enrolled_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  default_org constant uuid := '00000000-0000-8000-8000-000000000001';
  known agents;
  grave agent_tombstones;
  enrolled timestamptz;
  owner uuid;
begin
  perform from log_head h where h.log_id = p_log for update;
  if exists (select from enrollment_jtis j where j.jti = p_agent.token_jti) then
    return query select 'replayed', null::text, null::timestamptz, null::timestamptz;
    return;
  end if;
  select * into known from agents a where a.key_alg = p_agent.key_alg and a.key_raw = p_agent.key_raw;
  if known.aid <> p_agent.aid then
    return query select 'form_conflict', known.aid, null::timestamptz, null::timestamptz;
    return;
  end if;
  select * into grave from agent_tombstones t where t.key_alg = p_agent.key_alg and t.key_raw = p_agent.key_raw;
  if greatest(known.manifest_published_at, grave.manifest_published_at) > p_agent.manifest_published_at
    or (known.status = 'deregistered' and known.manifest_sha256 = p_agent.manifest_sha256)
    or grave.manifest_sha256 = p_agent.manifest_sha256
  then
    return query select 'stale', null::text, null::timestamptz, null::timestamptz;
    return;
  end if;
  if (known.aid is not null) <> p_agent.re_enrolled
    or (select h.directory_version from log_head h where h.log_id = p_log) <> p_directory_version
  then
    return query select 'changed', null::text, null::timestamptz, null::timestamptz;
    return;
  end if;

  enrolled := date_trunc('milliseconds', clock_timestamp());
  owner := coalesce((select n.org_id from namespaces n where n.namespace = p_agent.namespace), default_org);
  insert into enrollment_jtis (jti, aid, expires_at) values (p_agent.token_jti, p_agent.aid, p_agent.token_expires_at);
  insert into agents as a (
    aid, key_alg, key_raw, display_name, handshake_endpoint, offered_caps, manifest_json, manifest_sha256,
    manifest_published_at, manifest_expires_at, verified_at, conformance_findings, status, namespace, org_id,
    registered_at, last_enrolled_at)
  values (
    p_agent.aid, p_agent.key_alg, p_agent.key_raw, p_agent.display_name, p_agent.handshake_endpoint,
    p_agent.offered_caps, p_agent.manifest_json, p_agent.manifest_sha256, p_agent.manifest_published_at,
    p_agent.manifest_expires_at, enrolled, p_agent.conformance_findings, 'active', p_agent.namespace,
    owner, enrolled, enrolled)
  on conflict (aid) do update set
    display_name = excluded.display_name, handshake_endpoint = excluded.handshake_endpoint,
    offered_caps = excluded.offered_caps, manifest_json = excluded.manifest_json,
    manifest_sha256 = excluded.manifest_sha256, manifest_published_at = excluded.manifest_published_at,
    manifest_expires_at = excluded.manifest_expires_at, verified_at = excluded.verified_at,
    conformance_findings = excluded.conformance_findings, status = 'active', namespace = excluded.namespace,
    org_id = excluded.org_id, last_enrolled_at = excluded.last_enrolled_at, deregistered_at = null, integrity_ok = true;
  perform record_admin_act_v1(p_act);
  perform append_v1(p_log, p_directory_version, array[p_event]);
  -- From here on the agent's events belong to other organisations than before.
  if owner <> default_org or coalesce(known.org_id, default_org) <> default_org then
    update log_head h set directory_version = h.directory_version + 1 where h.log_id = p_log;
  end if;
  return query select 'ok', null::text, a.registered_at, a.last_enrolled_at from agents a where a.aid = p_agent.aid;
end
$$;
-- statement
-- Takes an agent out of service. The audit row is written every time, the event only the first time; `p_repeat` is the
-- audit row of a repeat. Outcomes: ok, repeat, not_found, changed (owners of the event: look again).
create function deregister_agent_v1(
  p_log smallint, p_directory_version bigint, p_aid text, p_event ledger_event_v1,
  p_act admin_act_v1, p_repeat admin_act_v1)
returns text
language plpgsql as $$
declare
  current_status text;
begin
  perform from log_head h where h.log_id = p_log for update;
  select a.status into current_status from agents a where a.aid = p_aid;
  if current_status is null then
    return 'not_found';
  end if;
  if current_status = 'deregistered' then
    perform record_admin_act_v1(p_repeat);
    return 'repeat';
  end if;
  if (select h.directory_version from log_head h where h.log_id = p_log) <> p_directory_version then
    return 'changed';
  end if;
  update agents a set status = 'deregistered', deregistered_at = clock_timestamp() where a.aid = p_aid;
  perform record_admin_act_v1(p_act);
  perform append_v1(p_log, p_directory_version, array[p_event]);
  return 'ok';
end
$$;
-- statement
-- Expires those of the given agents that are still active with the given manifest, and appends the events of just
-- these; `p_events` runs parallel to `p_aids`. Returns how many expired, or -1 when owners changed: look again.
create function expire_agents_v1(
  p_log smallint, p_directory_version bigint, p_aids text[], p_manifests bytea[], p_events ledger_event_v1[])
returns int
language plpgsql as $$
declare
  due ledger_event_v1[];
begin
  perform from log_head h where h.log_id = p_log for update;
  if (select h.directory_version from log_head h where h.log_id = p_log) <> p_directory_version then
    return -1;
  end if;
  with expired as (
    update agents a set status = 'expired'
    from unnest(p_aids, p_manifests) with ordinality as given (aid, manifest_sha256, n)
    where a.aid = given.aid and a.manifest_sha256 = given.manifest_sha256 and a.status = 'active'
      and a.manifest_expires_at < clock_timestamp()
    returning given.n
  )
  select array_agg(p_events[n::int] order by n) into due from expired;
  if due is null then
    return 0;
  end if;
  perform append_v1(p_log, p_directory_version, due);
  return cardinality(due);
end
$$;
