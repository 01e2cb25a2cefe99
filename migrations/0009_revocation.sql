-- What operators revoke, and the signed list of it that every replica serves.

create table revocation_entries (
  jti uuid primary key,
  -- Whom the operator named, else who is observed to have issued the TCT; null while nobody knows.
  issuer text,
  issuer_given boolean not null,
  -- To the millisecond; the list shows whole seconds.
  revoked_at timestamptz not null,
  reason text,
  actor_id text not null,
  -- Null spans all organisations.
  organization_id uuid,
  -- Position of the event that announced it.
  event_seq bigint not null,
  -- The first version of the list that was made with this entry known; null until there is one.
  list_version bigint,
  -- From then on the list need not name it; null is never. See settle_revocation_expiry_v1.
  drop_after timestamptz,
  -- To the millisecond, which is what cursors carry.
  created_at timestamptz not null
);
-- statement
create index revocation_entries_order on revocation_entries (created_at desc, jti desc);
-- statement
create index revocation_entries_issuer on revocation_entries (issuer, created_at desc, jti desc);
-- statement
create index revocation_entries_unlisted on revocation_entries (event_seq) where list_version is null;
-- statement
create index revocation_entries_droppable on revocation_entries (jti) where issuer_given;
-- statement
-- Signed lists, one row a version. Bodies of the newest three are kept.
create table revocation_lists (
  version bigint primary key,
  -- Unix seconds, as signed.
  published_at bigint not null,
  expires_at bigint not null,
  entries int not null,
  -- SHA-256 of the body in UTF-8.
  sha256 bytea not null,
  body text,
  body_gzip bytea,
  body_br bytea,
  -- Every entry whose event has a position up to here is in it, or was dropped.
  covers_seq bigint not null,
  -- Whether the entries differ from those of the version before.
  changed boolean not null,
  -- Whether the ledger has the event of this version; true from the start for one that does not differ.
  announced boolean not null,
  -- SHA-256 of what it was made from besides the entries; another value means that it must be made anew.
  input_hash bytea not null,
  created_at timestamptz not null default clock_timestamp()
);
-- statement
-- Compressing again what is compressed, or what is read far more often than written, costs and gains nothing.
alter table revocation_lists alter column body set storage external, alter column body_gzip set storage external,
  alter column body_br set storage external;
-- statement
create index revocation_lists_created_at on revocation_lists (created_at);
-- statement
create index revocation_lists_unannounced on revocation_lists (version) where not announced;
-- statement
create index revocation_lists_bodies on revocation_lists (version) where body is not null;
-- statement
-- How the entries of a version differ from those of the version before; the first one starts from none.
create table revocation_list_changes (
  version bigint not null,
  jti uuid not null,
  -- `+` came, `-` went.
  op "char" not null check (op in ('+', '-')),
  -- Unix seconds.
  revoked_at bigint not null,
  reason text,
  primary key (version, jti)
);
-- statement
-- The right to publish the next version. Its holder works outside of every transaction, so the term is its fence.
create table revocation_publication (
  only_row boolean primary key default true check (only_row),
  -- Newest version; 0 before the first.
  version bigint not null default 0,
  -- Unix seconds.
  published_at bigint not null default 0,
  term bigint not null default 0,
  holder uuid,
  claimed_until timestamptz
);
-- statement
insert into revocation_publication default values;
-- statement
-- Events still to be written: one for each delegation that a revocation took with it.
create table revocation_cascades (
  root uuid primary key,
  revoked_at timestamptz not null,
  -- In order; the first `done` have their events.
  delegations uuid[] not null,
  done int not null default 0,
  term bigint not null default 0,
  claimed_until timestamptz,
  created_at timestamptz not null
);
-- statement
create index revocation_cascades_order on revocation_cascades (created_at);
-- statement
-- A revocation may change every row of a page; with room for another version of each that costs no index entries, which
-- halves the time it holds the head row.
alter table delegations set (fillfactor = 50);
-- statement
create type revocation_v1 as (
  jti uuid,
  issuer text,
  -- False: `issuer` is what observed_issuer_v1 said; if it says something else by now, nothing is stored.
  issuer_given boolean,
  revoked_at timestamptz,
  reason text,
  actor_id text,
  organization_id uuid
);
-- statement
-- Who is said to have issued the TCT: a verified token before mere reports, then the earliest.
create function observed_issuer_v1(p_log smallint, p_jti uuid) returns text
language sql stable as $$
  select t.issuer_aid from issued_tcts t where t.jti = p_jti and t.log_id = p_log order by t.precedence, t.issuer_key limit 1
$$;
-- statement
-- The observed delegations below an id, in order; without that id itself, also when parents form a cycle.
create function delegations_below_v1(p_log smallint, p_jti uuid) returns uuid[]
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  found_below uuid[];
begin
  with recursive below (jti) as (
    select d.jti from delegations d where d.parent_jti = p_jti and d.log_id = p_log and d.jti <> p_jti
    union
    select d.jti
    from below b cross join lateral (
      select d.jti from delegations d
      where d.parent_jti = b.jti and d.log_id = p_log and d.jti <> p_jti offset 0
    ) as d
  )
  select array_agg(b.jti order by b.jti) into found_below from below b;
  return coalesce(found_below, '{}');
end
$$;
-- statement
-- What an entry for this id revokes of what was observed: TCTs with the id, the delegation with it, those below
-- (`p_below`). At most `p_shown` ids of each kind, and how many there are.
create function revocation_cascade_v1(p_log smallint, p_jti uuid, p_below uuid[], p_shown int) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'tcts', to_jsonb(t.jtis[:p_shown]), 'delegations', to_jsonb(d.jtis[:p_shown]),
    'counts', jsonb_build_object('tcts', cardinality(t.jtis), 'delegations', cardinality(d.jtis)))
  from
    (select coalesce(array_agg(t.jti), '{}') as jtis from issued_tcts t where t.jti = p_jti and t.log_id = p_log) as t,
    (select coalesce(array_agg(d.jti), '{}') || p_below as jtis
     from delegations d where d.jti = p_jti and d.log_id = p_log) as d
$$;
-- statement
-- Revokes: writes entry, event, fact, audit row and the flags of everything below, and completes the reservation of its
-- request, in one call. `outcome` is
--   ok       revoked; `revoked` is what it took with it, see revocation_cascade_v1
--   repeat   there is an entry; nothing was stored
--   changed  the issuer or the owners of the event no longer hold: look again
--   lost     the reservation no longer holds; nothing was stored
create function revoke_v1(
  p_log smallint, p_directory_version bigint, p_revocation revocation_v1, p_event ledger_event_v1,
  p_act admin_act_v1, p_completion idempotency_completion_v1, p_shown int)
returns table (outcome text, revoked jsonb)
language plpgsql as $$
#variable_conflict use_column
declare
  appended record;
  stored_at timestamptz;
  below uuid[];
  cascade jsonb;
begin
  perform from log_head h where h.log_id = p_log for update;
  if lost_idempotency_v1(array[p_completion]) <> '{}' then
    return query select 'lost', null::jsonb;
    return;
  end if;
  if exists (select from revocation_entries e where e.jti = p_revocation.jti) then
    return query select 'repeat', null::jsonb;
    return;
  end if;
  if not p_revocation.issuer_given
    and observed_issuer_v1(p_log, p_revocation.jti) is distinct from p_revocation.issuer
  then
    return query select 'changed', null::jsonb;
    return;
  end if;
  select * into strict appended from append_v1(p_log, p_directory_version, array[p_event]);
  if appended.status <> 'ok' then
    return query select 'changed', null::jsonb;
    return;
  end if;

  stored_at := date_trunc('milliseconds', clock_timestamp());
  insert into revocation_entries (
    jti, issuer, issuer_given, revoked_at, reason, actor_id, organization_id, event_seq, created_at)
  values (
    p_revocation.jti, p_revocation.issuer, p_revocation.issuer_given, p_revocation.revoked_at, p_revocation.reason,
    p_revocation.actor_id, p_revocation.organization_id, appended.seqs[1], stored_at);
  insert into revocation_facts (jti, source, owner, log_id, revoked_at, reason, event_id, event_seq)
  values (
    p_revocation.jti, 'operator', p_event.owner, p_log, p_revocation.revoked_at, p_revocation.reason, p_event.id,
    appended.seqs[1]);
  perform cascade_revocations_v1(p_log, array[p_revocation.jti], null, null);
  below := delegations_below_v1(p_log, p_revocation.jti);
  if below <> '{}' then
    insert into revocation_cascades (root, revoked_at, delegations, created_at)
    values (p_revocation.jti, p_revocation.revoked_at, below, stored_at);
  end if;
  perform record_admin_act_v1(p_act);
  cascade := revocation_cascade_v1(p_log, p_revocation.jti, below, p_shown);
  perform complete_idempotency_v1(p_completion, jsonb_build_object('cascade', cascade));
  return query select 'ok', cascade;
end
$$;
-- statement
-- Whether the newest list says all there is to say: every entry is known to it, it is younger than `p_max_age` seconds,
-- and it was made from `p_input_hash` (null: from anything).
create function revocation_list_is_current_v1(p_max_age int, p_input_hash bytea) returns boolean
language sql volatile as $$
  select p.published_at > extract(epoch from clock_timestamp()) - p_max_age
    and not exists (select from revocation_entries e where e.list_version is null)
    and (p_input_hash is null
      or p_input_hash = (select l.input_hash from revocation_lists l where l.version = p.version))
  from revocation_publication p
$$;
-- statement
-- Claims the right to publish the next version, for `p_lease`, if there is need of one. `outcome` is
--   claimed  `term` is the fence, `version` and `sha256` are the newest one's, `published_at` is what the next one bears
--   current  there is no need, see revocation_list_is_current_v1
--   held     someone else is at it
--   early    the newest one bears a time to come, and none may bear a time more than a second ahead; not for `wait_secs`
create function claim_revocation_publication_v1(
  p_holder uuid, p_lease interval, p_max_age int, p_input_hash bytea)
returns table (outcome text, term bigint, version bigint, sha256 bytea, published_at bigint, wait_secs float8)
language plpgsql as $$
#variable_conflict use_column
declare
  held revocation_publication;
  now_secs float8;
begin
  if revocation_list_is_current_v1(p_max_age, p_input_hash) then
    outcome := 'current';
    return next;
    return;
  end if;
  select * into strict held from revocation_publication for update;
  now_secs := extract(epoch from clock_timestamp());
  -- The row may have been waited for.
  outcome := case
    when revocation_list_is_current_v1(p_max_age, p_input_hash) then 'current'
    when held.claimed_until > clock_timestamp() then 'held'
    when held.published_at > now_secs then 'early'
    else 'claimed'
  end;
  if outcome = 'claimed' then
    return query
    update revocation_publication p set holder = p_holder, term = p.term + 1, claimed_until = clock_timestamp() + p_lease
    returning
      'claimed', p.term, p.version, (select l.sha256 from revocation_lists l where l.version = p.version),
      greatest(p.published_at + 1, floor(now_secs)::bigint), 0::float8;
    return;
  end if;
  wait_secs := held.published_at - now_secs;
  return next;
end
$$;
-- statement
-- Publishes a version and gives the right to the next one free. False, and nothing is stored, unless the claim of this
-- term still holds and nobody has published since: a process that slept beyond its claim cannot.
create function publish_revocation_list_v1(
  p_term bigint, p_previous bigint, p_published_at bigint, p_expires_at bigint, p_entries int, p_sha256 bytea,
  p_body text, p_gzip bytea, p_br bytea, p_covers_seq bigint, p_input_hash bytea, p_added uuid[], p_removed uuid[])
returns boolean
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  next_version constant bigint := p_previous + 1;
  changed constant boolean := cardinality(p_added) + cardinality(p_removed) > 0;
begin
  update revocation_publication p
  set version = next_version, published_at = p_published_at, holder = null, claimed_until = null
  where p.term = p_term and p.version = p_previous and p.claimed_until > clock_timestamp();
  if not found then
    return false;
  end if;
  insert into revocation_lists (
    version, published_at, expires_at, entries, sha256, body, body_gzip, body_br, covers_seq, changed, announced,
    input_hash)
  values (
    next_version, p_published_at, p_expires_at, p_entries, p_sha256, p_body, p_gzip, p_br, p_covers_seq, changed,
    not changed, p_input_hash);
  insert into revocation_list_changes (version, jti, op, revoked_at, reason)
  select next_version, e.jti, c.op, floor(extract(epoch from e.revoked_at)), e.reason
  from (
    select a.jti, '+'::"char" from unnest(p_added) as a (jti)
    union all
    select r.jti, '-'::"char" from unnest(p_removed) as r (jti)
  ) as c (jti, op)
  cross join lateral (
    select e.jti, e.revoked_at, e.reason from revocation_entries e where e.jti = c.jti offset 0
  ) as e;
  update revocation_entries e set list_version = next_version
  where e.list_version is null and e.event_seq <= p_covers_seq;
  update revocation_lists l set body = null, body_gzip = null, body_br = null
  where l.body is not null and l.version <= next_version - 3;
  delete from revocation_lists l using (
    select o.version from revocation_lists o
    where o.created_at < clock_timestamp() - interval '7 days' and o.version <= next_version - 3
    order by o.created_at limit 1000
  ) as old
  where l.version = old.version;
  delete from revocation_list_changes c using (
    select o.version, o.jti from revocation_list_changes o
    where o.version < (select min(l.version) from revocation_lists l)
    order by o.version, o.jti limit 10000
  ) as old
  where c.version = old.version and c.jti = old.jti;
  return true;
end
$$;
-- statement
-- Decides when entries may leave the list: a day after the token they name has surely expired. Only for an entry whose
-- issuer the operator named, only from a token that this issuer has signed, and only while all reports of it agree,
-- because anybody can report a TCT with the same id. The day counts from now for a token that has expired before, so no
-- report shortens the list at once; a contradicting report brings back what has left it. Looks at `p_limit` entries
-- after `p_after`; returns the last one, null at the end.
create function settle_revocation_expiry_v1(p_log smallint, p_after uuid, p_limit int) returns uuid
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  last_seen uuid;
  looked_at int;
begin
  with page as materialized (
    select e.jti, compared_v1('issuer', e.issuer) as issuer_key, e.drop_after
    from revocation_entries e
    where e.issuer_given and e.jti > coalesce(p_after, '00000000-0000-0000-0000-000000000000')
    order by e.jti limit p_limit
  ),
  judged as materialized (
    select
      p.jti, p.drop_after,
      case
        when t.expires_at is null then null
        else coalesce(p.drop_after, greatest(t.expires_at, clock_timestamp()) + interval '24 hours')
      end as settled
    from page p
    left join lateral (
      select t.expires_at from issued_tcts t
      where t.issuer_key = p.issuer_key and t.jti = p.jti and t.log_id = p_log
        and t.signature_verified and not t.conflict offset 0
    ) as t on true
  ),
  settled as (
    -- A publication may be changing the same rows; what it holds is settled another time.
    update revocation_entries e set drop_after = c.settled
    from (
      select e.jti, j.settled
      from judged j join revocation_entries e on e.jti = j.jti
      where j.settled is distinct from j.drop_after
      order by e.jti for update of e skip locked
    ) as c
    where e.jti = c.jti
  )
  select count(*), (array_agg(p.jti order by p.jti desc))[1] into looked_at, last_seen from page p;
  return case when looked_at = p_limit then last_seen end;
end
$$;
