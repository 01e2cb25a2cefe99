-- What operators trust: anchors (issuers and their key sets) and pinned keys. Each act is one call that writes the row, its
-- audit row and, for a request with an idempotency key, the answer. None of them appends, so none takes the head row.

create table trust_anchors (
  id uuid primary key,
  namespace varchar(128) not null,
  -- Compared verbatim; at most 2048 bytes, so that the unique index can hold it.
  issuer_url text not null,
  -- Where the key set is; null: where the issuer's discovery document says.
  jwks_url text,
  label varchar(128),
  -- Owner of the namespace.
  org_id uuid not null default '00000000-0000-8000-8000-000000000001',
  added_by text not null,
  -- To the millisecond, which is what cursors carry.
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- The last good key set, as received; null until there is one.
  jwks_cache text,
  -- Those of its keys that a trust document can carry, in its spelling.
  jwks_keys jsonb,
  -- URL it came from, and its entity tag there.
  jwks_source text,
  jwks_etag text,
  -- When the issuer last sent it, or last said that it is unchanged.
  jwks_cached_at timestamptz,
  -- Why the last attempt failed, and how many have failed in a row.
  jwks_error text,
  jwks_failures int not null default 0,
  -- When the next replica may fetch. Whoever does moves it ahead by the life of its claim, so that a replica that dies
  -- holds nothing up, and writes what it has fetched only while the claim is still its own.
  jwks_due_at timestamptz not null,
  jwks_claim uuid,
  unique (namespace, issuer_url)
);
-- statement
create index trust_anchors_order on trust_anchors (created_at desc, id desc);
-- statement
create index trust_anchors_namespace on trust_anchors (namespace, created_at desc, id desc);
-- statement
create index trust_anchors_due on trust_anchors (jwks_due_at);
-- statement
create table pinned_keys (
  namespace varchar(128) not null,
  aid text not null,
  -- base64url, 43 or 44 characters.
  pubkey text not null,
  -- Whether it is the key in the AID; null when `aid` is no AID.
  key_matches_aid boolean,
  label varchar(128),
  expires_at timestamptz,
  -- Owner of the namespace.
  org_id uuid not null default '00000000-0000-8000-8000-000000000001',
  -- Of the first pin; kept when it is replaced.
  added_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (namespace, aid)
);
-- statement
create index pinned_keys_order on pinned_keys (created_at desc, namespace desc, aid desc);
-- statement
create index pinned_keys_namespace on pinned_keys (namespace, created_at desc, aid desc);
-- statement
create function namespace_owner_v1(p_namespace text) returns uuid
language sql stable as $$
  select coalesce(
    (select n.org_id from namespaces n where n.namespace = p_namespace), '00000000-0000-8000-8000-000000000001')
$$;
-- statement
-- Members of an anchor as answers show them.
create type trust_anchor_record_v1 as (
  id uuid,
  namespace text,
  issuer_url text,
  jwks_url text,
  label text,
  jwks_cached_at timestamptz,
  jwks_error text,
  added_by text,
  created_at timestamptz,
  updated_at timestamptz
);
-- statement
-- Acts that give an issuer to a namespace come one after the other: the look for the one that is in the way then sees
-- everything, and two anchors that swap their issuers do not wait for each other for ever.
create function lock_trust_anchors_v1(p_namespace text) returns void
language sql as $$
  select pg_advisory_xact_lock(hashtextextended('trust_anchors ' || p_namespace, 0))
$$;
-- statement
create type new_trust_anchor_v1 as (id uuid, namespace text, issuer_url text, jwks_url text, label text, added_by text);
-- statement
-- Outcomes: ok, exists (`existing` has this issuer in this namespace), not_visible (the namespace belongs to none of
-- `p_orgs`; null: all organisations), lost (the reservation no longer holds).
create function create_trust_anchor_v1(
  p_anchor new_trust_anchor_v1, p_orgs uuid[], p_act admin_act_v1, p_completion idempotency_completion_v1)
returns table (outcome text, existing uuid, created_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  owner uuid := namespace_owner_v1(p_anchor.namespace);
begin
  if owner <> all(p_orgs) then
    outcome := 'not_visible';
    return next;
    return;
  end if;
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    outcome := 'lost';
    return next;
    return;
  end if;
  perform lock_trust_anchors_v1(p_anchor.namespace);
  select a.id into existing from trust_anchors a
  where a.namespace = p_anchor.namespace and a.issuer_url = p_anchor.issuer_url;
  if found then
    outcome := 'exists';
    return next;
    return;
  end if;
  outcome := 'ok';
  created_at := date_trunc('milliseconds', clock_timestamp());
  insert into trust_anchors (
    id, namespace, issuer_url, jwks_url, label, org_id, added_by, created_at, updated_at, jwks_due_at)
  values (
    p_anchor.id, p_anchor.namespace, p_anchor.issuer_url, p_anchor.jwks_url, p_anchor.label, owner, p_anchor.added_by,
    created_at, created_at, created_at);
  perform record_admin_act_v1(p_act);
  perform complete_idempotency_v1(
    p_completion, jsonb_build_object('createdAt', iso_v1(created_at), 'updatedAt', iso_v1(created_at)));
  return next;
end
$$;
-- statement
-- What an update changes: an issuer unless null, and those of the others that are `set`, null included.
create type trust_anchor_changes_v1 as (
  issuer_url text,
  set_jwks_url boolean,
  jwks_url text,
  set_label boolean,
  label text
);
-- statement
-- Outcomes: ok, not_found (also outside `p_orgs`), exists (`existing` has this issuer in this namespace). The audit row
-- gets the members that differ from before. When a URL is one of them, the cached keys go and the next fetch is due.
create function update_trust_anchor_v1(
  p_id uuid, p_orgs uuid[], p_changes trust_anchor_changes_v1, p_act admin_act_v1)
returns table (outcome text, existing uuid, record trust_anchor_record_v1)
language plpgsql as $$
#variable_conflict use_column
declare
  known trust_anchors;
  changed jsonb := '{}';
begin
  perform lock_trust_anchors_v1(a.namespace) from trust_anchors a where a.id = p_id;
  select * into known from trust_anchors a
  where a.id = p_id and (p_orgs is null or a.org_id = any(p_orgs))
  for no key update;
  if not found then
    outcome := 'not_found';
    return next;
    return;
  end if;
  if p_changes.issuer_url <> known.issuer_url then
    select a.id into existing from trust_anchors a
    where a.namespace = known.namespace and a.issuer_url = p_changes.issuer_url;
    if found then
      outcome := 'exists';
      return next;
      return;
    end if;
    changed := changed || jsonb_build_object('issuerUrl', p_changes.issuer_url);
  end if;
  if p_changes.set_jwks_url and p_changes.jwks_url is distinct from known.jwks_url then
    changed := changed || jsonb_build_object('jwksUrl', p_changes.jwks_url);
  end if;
  if p_changes.set_label and p_changes.label is distinct from known.label then
    changed := changed || jsonb_build_object('label', p_changes.label);
  end if;

  if changed <> '{}' then
    update trust_anchors a set
      issuer_url = coalesce(p_changes.issuer_url, known.issuer_url),
      jwks_url = case when p_changes.set_jwks_url then p_changes.jwks_url else known.jwks_url end,
      label = case when p_changes.set_label then p_changes.label else known.label end,
      updated_at = greatest(known.updated_at, date_trunc('milliseconds', clock_timestamp()))
    where a.id = p_id;
  end if;
  if changed ?| array['issuerUrl', 'jwksUrl'] then
    update trust_anchors a set
      jwks_cache = null, jwks_keys = null, jwks_source = null, jwks_etag = null, jwks_cached_at = null,
      jwks_error = null, jwks_failures = 0, jwks_due_at = clock_timestamp(), jwks_claim = null
    where a.id = p_id;
  end if;
  p_act.details := p_act.details || changed;
  perform record_admin_act_v1(p_act);

  return query
  select 'ok', null::uuid,
    row(a.id, a.namespace, a.issuer_url, a.jwks_url, a.label, a.jwks_cached_at, a.jwks_error, a.added_by, a.created_at,
      a.updated_at)::trust_anchor_record_v1
  from trust_anchors a where a.id = p_id;
end
$$;
-- statement
-- False when there is none. The audit row says what it was.
create function delete_trust_anchor_v1(p_id uuid, p_orgs uuid[], p_act admin_act_v1) returns boolean
language plpgsql as $$
declare
  removed trust_anchors;
begin
  delete from trust_anchors a where a.id = p_id and (p_orgs is null or a.org_id = any(p_orgs))
  returning * into removed;
  if not found then
    return false;
  end if;
  p_act.details := p_act.details || jsonb_build_object('namespace', removed.namespace, 'issuerUrl', removed.issuer_url);
  perform record_admin_act_v1(p_act);
  return true;
end
$$;
-- statement
create type pin_v1 as (
  namespace text,
  aid text,
  pubkey text,
  key_matches_aid boolean,
  label text,
  expires_at timestamptz,
  added_by text
);
-- statement
-- Pins a key, in place of the one that was pinned before. Outcomes: ok, not_visible, lost; see create_trust_anchor_v1.
create function pin_key_v1(
  p_pin pin_v1, p_orgs uuid[], p_act admin_act_v1, p_completion idempotency_completion_v1)
returns table (outcome text, added_by text, created_at timestamptz, updated_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  owner uuid := namespace_owner_v1(p_pin.namespace);
begin
  if owner <> all(p_orgs) then
    outcome := 'not_visible';
    return next;
    return;
  end if;
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    outcome := 'lost';
    return next;
    return;
  end if;
  outcome := 'ok';
  updated_at := date_trunc('milliseconds', clock_timestamp());
  insert into pinned_keys as k (
    namespace, aid, pubkey, key_matches_aid, label, expires_at, org_id, added_by, created_at, updated_at)
  values (
    p_pin.namespace, p_pin.aid, p_pin.pubkey, p_pin.key_matches_aid, p_pin.label, p_pin.expires_at, owner,
    p_pin.added_by, updated_at, updated_at)
  on conflict (namespace, aid) do update set
    pubkey = excluded.pubkey, key_matches_aid = excluded.key_matches_aid, label = excluded.label,
    expires_at = excluded.expires_at, org_id = excluded.org_id,
    updated_at = greatest(k.updated_at, excluded.updated_at)
  returning k.added_by, k.created_at, k.updated_at into added_by, created_at, updated_at;
  perform record_admin_act_v1(p_act);
  perform complete_idempotency_v1(p_completion, jsonb_build_object(
    'addedBy', added_by, 'createdAt', iso_v1(created_at), 'updatedAt', iso_v1(updated_at)));
  return next;
end
$$;
-- statement
-- False when there is none.
create function unpin_key_v1(p_namespace text, p_aid text, p_orgs uuid[], p_act admin_act_v1) returns boolean
language plpgsql as $$
begin
  delete from pinned_keys k
  where k.namespace = p_namespace and k.aid = p_aid and (p_orgs is null or k.org_id = any(p_orgs));
  if not found then
    return false;
  end if;
  perform record_admin_act_v1(p_act);
  return true;
end
$$;
