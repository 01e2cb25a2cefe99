-- Copies of the revocation lists that registered agents publish about their own TCTs (RFC-AITP-0008), and what these lists
-- revoke.

-- One row an agent: what its manifest says about its list, the last good copy, and how the attempts go.
create table issuer_lists (
  aid text primary key,
  -- The same key in the spelling of `issued_tcts`.
  issuer_key text collate "C" not null generated always as (compared_v1('issuer', aid)) stored,
  -- Of the manifest that was looked into.
  manifest_sha256 bytea not null,
  -- The latest end of all manifests that were: no TCT that the agent has issued by now outlives it (RFC-AITP-0005).
  manifest_expires_at timestamptz not null,
  -- Where the manifest says that the list is, and host and port of that; null: nowhere.
  uri text,
  host text,
  -- The copy, as received; null until there is one.
  body bytea,
  sha256 bytea,
  -- Unix seconds, as signed.
  published_at bigint,
  expires_at bigint,
  entries int,
  -- Their ids, and SHA-256 of them in one order: an equal one means that nothing was revoked or left out.
  ids uuid[],
  entries_sha256 bytea,
  -- What the signature covers.
  form text check (form in ('inner', 'wrapped')),
  -- URL it came from, and its entity tag there.
  source text,
  etag text,
  -- When the issuer last sent these bytes, or said that they are unchanged.
  checked_at timestamptz,
  -- What the last attempt failed for, how many have failed in a row, and since when; null and 0 after a success.
  failure text,
  failure_reason text,
  failures int not null default 0,
  failing_since timestamptz,
  -- How many revocations were new in its lists since then; starts anew a day later.
  recorded int not null default 0,
  recorded_since timestamptz not null default clock_timestamp(),
  -- When the next attempt is due; null: the agent is not in service, names no list, or too many others do.
  due_at timestamptz
);
-- statement
create index issuer_lists_due on issuer_lists (due_at) where due_at is not null;
-- statement
-- What issuers have revoked by their own signed lists. In contrast to `revocation_facts`, which hold for whatever has the
-- id, one of these holds only for what that very issuer has issued: anybody may publish a list with anybody's ids. Rows
-- stay for ever, like facts.
create table issuer_revocations (
  jti uuid not null,
  issuer_key text collate "C" not null,
  log_id smallint not null,
  -- Never in the future; the earliest that the issuer has named.
  revoked_at timestamptz not null,
  reason text,
  -- When the token is presumed to have expired while nobody has reported its end: the issuer has issued it before it
  -- revoked it, for at most a day, the longest life that RFC-AITP-0005 suggests, and not beyond its manifests.
  presumed_end_at timestamptz not null,
  first_seen_at timestamptz not null,
  primary key (jti, issuer_key, log_id)
);
-- statement
-- Takes up agents that name a list, oldest registration first and at most `p_max` at a time, puts aside those that are no
-- longer in service, and forgets those that the registry has forgotten.
create function schedule_issuer_lists_v1(p_max int) returns void
language plpgsql as $$
declare
  room int;
begin
  delete from issuer_lists l where not exists (select from agents a where a.aid = l.aid);
  update issuer_lists l set due_at = null
  where l.due_at is not null and (
    l.uri is null or not exists (select from agents a where a.aid = l.aid and a.status = 'active' and a.integrity_ok));
  select p_max - count(*) into room from issuer_lists l where l.due_at is not null;
  update issuer_lists l set due_at = clock_timestamp()
  where l.aid in (
    select n.aid from issuer_lists n join agents a on a.aid = n.aid
    where n.uri is not null and n.due_at is null and a.status = 'active' and a.integrity_ok
      and a.manifest_expires_at > clock_timestamp()
    order by a.registered_at, a.aid limit greatest(room, 0));
end
$$;
-- statement
-- How many entries of the copy are not among `p_ids` although the token may still be valid. Its end is what was reported,
-- while all reports agree, else what is presumed.
create function missing_issuer_revocations_v1(p_log smallint, p_aid text, p_ids uuid[]) returns int
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  issuer text;
  known uuid[];
  missing int;
begin
  select l.issuer_key, l.ids into issuer, known from issuer_lists l where l.aid = p_aid;
  select count(*) into missing
  from (select unnest(known) except select unnest(p_ids)) as m (jti)
  cross join lateral (
    select r.presumed_end_at from issuer_revocations r
    where r.jti = m.jti and r.issuer_key = issuer and r.log_id = p_log offset 0
  ) as r
  left join lateral (
    select t.expires_at from issued_tcts t
    where t.issuer_key = issuer and t.jti = m.jti and t.log_id = p_log and not t.conflict offset 0
  ) as t on true
  where coalesce(t.expires_at, r.presumed_end_at) > clock_timestamp();
  return missing;
end
$$;
-- statement
-- Records what an agent's list revokes: `p_entries` are its objects {jti, revoked_at, reason}, each id once. What is known
-- already takes no lock. Gives how many ids are new or revoked earlier than was known; -1, and nothing is stored, when that
-- would be more than `p_max` within a day.
create function record_issuer_revocations_v1(p_log smallint, p_aid text, p_entries json, p_max int) returns int
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  issuer text;
  bound timestamptz;
  jtis uuid[];
  times timestamptz[];
  reasons text[];
  revoked uuid[];
  day_ago constant timestamptz := clock_timestamp() - interval '24 hours';
begin
  select l.issuer_key, l.manifest_expires_at into issuer, bound from issuer_lists l where l.aid = p_aid;
  select array_agg(g.jti), array_agg(g.at), array_agg(g.reason) into jtis, times, reasons
  from (
    select e.jti, e.reason, to_timestamp(least(e.revoked_at, floor(extract(epoch from clock_timestamp())))::float8) as at
    from json_to_recordset(p_entries) as e (jti uuid, revoked_at bigint, reason text)
  ) as g
  left join lateral (
    select r.revoked_at from issuer_revocations r
    where r.jti = g.jti and r.issuer_key = issuer and r.log_id = p_log offset 0
  ) as r on true
  where r.revoked_at is null or g.at < r.revoked_at;
  if issuer is null or jtis is null then
    return 0;
  end if;

  perform from log_head h where h.log_id = p_log for update;
  update issuer_lists l set
    recorded = case when l.recorded_since > day_ago then l.recorded else 0 end + cardinality(jtis),
    recorded_since = case when l.recorded_since > day_ago then l.recorded_since else clock_timestamp() end
  where l.aid = p_aid and (l.recorded_since <= day_ago or l.recorded + cardinality(jtis) <= p_max);
  if not found then
    return -1;
  end if;
  with recorded as (
    insert into issuer_revocations as r (
      jti, issuer_key, log_id, revoked_at, reason, presumed_end_at, first_seen_at)
    select g.jti, issuer, p_log, g.at, g.reason, least(g.at + interval '24 hours', bound), clock_timestamp()
    from unnest(jtis, times, reasons) as g (jti, at, reason)
    on conflict (jti, issuer_key, log_id) do update set revoked_at = excluded.revoked_at, reason = excluded.reason
      where excluded.revoked_at < r.revoked_at
    returning r.jti
  )
  select array_agg(d.jti) into revoked from recorded d;
  if revoked is not null then
    perform cascade_revocations_v1(p_log, revoked, null, null);
  end if;
  return coalesce(cardinality(revoked), 0);
end
$$;
-- statement
-- Brings `ancestor_revoked_at` up to date after facts about `p_revoked` were recorded, `p_added` were inserted and
-- `p_moved` got other parents. A child is never revoked later than its parent, so what is known spreads downwards until
-- it meets something earlier. Touches only rows below the given ones; a cycle of parents ends where it began.
--
-- A fact reaches all that was delegated from its id. What an issuer's own list revokes reaches only what was delegated by
-- the one to whom this issuer is seen to have given a TCT or a delegation with that id.
create or replace function cascade_revocations_v1(p_log smallint, p_revoked uuid[], p_added uuid[], p_moved uuid[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  unsettled uuid[] := coalesce(p_added, '{}');
begin
  if p_moved is not null then
    -- What came from the former ancestors is not known apart from the rest: all below start afresh.
    with recursive below (jti) as (
      select unnest(p_moved)
      union
      select d.jti
      from below b cross join lateral (
        select d.jti from delegations d where d.parent_jti = b.jti and d.log_id = p_log offset 0
      ) as d
    ),
    cleared as (
      update delegations d set ancestor_revoked_at = null
      from (
        select r.place
        from below b cross join lateral (
          select d.ctid as place from delegations d
          where d.jti = b.jti and d.log_id = p_log and d.ancestor_revoked_at is not null offset 0
        ) as r
      ) as r
      where d.ctid = r.place
    )
    select unsettled || array_agg(b.jti) into unsettled from below b;
  end if;

  with recursive falling (jti, at) as (
    select c.jti, k.at
    from (
      select
        d.jti, d.parent_jti, d.delegator_aid,
        (select p.ancestor_revoked_at from delegations p where p.jti = d.parent_jti and p.log_id = p_log) as inherited
      from unnest(unsettled) as u (jti)
      cross join lateral (
        select d.jti, d.parent_jti, d.delegator_aid from delegations d where d.jti = u.jti and d.log_id = p_log offset 0
      ) as d
      union all
      select d.jti, r.jti, d.delegator_aid, null
      from unnest(p_revoked) as r (jti)
      cross join lateral (
        select d.jti, d.delegator_aid from delegations d where d.parent_jti = r.jti and d.log_id = p_log offset 0
      ) as d
    ) as c
    cross join lateral (
      select least(
        c.inherited,
        (select min(f.revoked_at) from revocation_facts f where f.jti = c.parent_jti and f.log_id = p_log),
        (
          select min(r.revoked_at) from issuer_revocations r
          where r.jti = c.parent_jti and r.log_id = p_log and (
            exists (
              select from issued_tcts t
              where t.issuer_key = r.issuer_key and t.jti = r.jti and t.log_id = p_log
                and compared_v1('subject', t.subject_aid) = compared_v1('delegator', c.delegator_aid)
              offset 0)
            or exists (
              select from delegations p
              where p.jti = r.jti and p.log_id = p_log
                and compared_v1('delegator', p.delegator_aid) = r.issuer_key
                and compared_v1('delegatee', p.delegatee_aid) = compared_v1('delegator', c.delegator_aid)
              offset 0))
        )) as at
      offset 0
    ) as k
    where k.at is not null
    union
    select d.jti, f.at
    from falling f cross join lateral (
      select d.jti from delegations d
      where d.parent_jti = f.jti and d.log_id = p_log
        and (d.ancestor_revoked_at is null or f.at < d.ancestor_revoked_at) offset 0
    ) as d
  )
  update delegations d set ancestor_revoked_at = e.at
  from (
    select r.place, e.at
    from (select f.jti, min(f.at) as at from falling f group by f.jti) as e
    cross join lateral (
      select d.ctid as place from delegations d
      where d.jti = e.jti and d.log_id = p_log
        and (d.ancestor_revoked_at is null or e.at < d.ancestor_revoked_at) offset 0
    ) as r
  ) as e
  where d.ctid = e.place;
end
$$;
-- statement
-- append_v1, and what its events say to the projections, in the same transaction. The arrays hold contributions of the
-- events of this call; those of an event that turns out to be known with other content change nothing. An id that its
-- issuer has revoked before is settled anew: only now it may be seen who was given it.
create or replace function append_v2(
  p_log smallint, p_directory_version bigint, p_events ledger_event_v1[], p_sessions session_contribution_v1[],
  p_artifacts artifact_contribution_v1[], p_claims artifact_claim_v1[], p_revocations revocation_contribution_v1[])
returns table (status text, epoch text, head bigint, seqs bigint[], outcomes text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  appended record;
  stored_at timestamptz;
  added uuid[];
  moved uuid[];
  revoked uuid[];
begin
  select * into strict appended from append_v1(p_log, p_directory_version, p_events);
  if appended.status = 'ok' then
    stored_at := date_trunc('milliseconds', clock_timestamp());
    if p_sessions is not null then
      perform project_sessions_v1(p_log, stored_at, appended.outcomes, p_sessions);
    end if;
    if p_artifacts is not null then
      select a.added, a.moved into added, moved
      from project_artifacts_v1(
        p_log, stored_at, appended.seqs, appended.outcomes, p_artifacts, p_claims) as a;
      select array_agg(distinct a.jti) into revoked
      from unnest(p_artifacts) as a cross join lateral (
        select from issuer_revocations r where r.jti = a.jti and r.log_id = p_log limit 1 offset 0
      ) as r;
    end if;
    if p_revocations is not null then
      revoked := revoked || project_revocations_v1(p_log, appended.seqs, appended.outcomes, p_revocations);
    end if;
    if added is not null or moved is not null or revoked is not null then
      perform cascade_revocations_v1(p_log, revoked, added, moved);
    end if;
  end if;
  return query select appended.status, appended.epoch, appended.head, appended.seqs, appended.outcomes;
end
$$;
