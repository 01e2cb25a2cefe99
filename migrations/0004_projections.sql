-- What reported events say about sessions, TCTs, delegations and revocations, written by the append that stores them.
--
-- Reports arrive in any order, twice, and split into requests in any way, so every rule here is a choice that does not
-- depend on order: of all offers for a value the smallest wins. An offer is {precedence, value}; the precedence is text
-- whose bytes sort it, made of a class, the event's own time and its id (src/events/precedence.ts). Appends hold the
-- head row, so nothing else writes these tables meanwhile.
--
-- The functions are planned once per session, perhaps while their tables are empty, and such a plan reads whole tables
-- when they have grown. So they look rows up one by one, `cross join lateral (… offset 0)`, which leaves only the index,
-- and change what they found by its `ctid`, which is safe because nobody else can.

-- Every element once, in order; null counts as empty.
create function union_of_orgs_v1(a uuid[], b uuid[]) returns uuid[]
language plpgsql immutable parallel safe as $$
begin
  if a is null or a <@ b then
    return b;
  elsif b is null or b <@ a then
    return a;
  end if;
  return array(select distinct org from unnest(a || b) as org order by org);
end
$$;
-- statement
create aggregate union_of_orgs_v1(uuid[]) (sfunc = union_of_orgs_v1, stype = uuid[]);
-- statement
create table handshake_sessions (
  session_id text not null,
  log_id smallint not null,
  started_at timestamptz,
  -- {precedence, complete or failed, time, error} of the terminal event that decides; null while there is none.
  decided text[] collate "C",
  -- Offers that won.
  aid_a_offer text[] collate "C",
  aid_b_offer text[] collate "C",
  run_offer text[] collate "C",
  namespace_offer text[] collate "C",
  boundary_offer text[] collate "C",
  -- Grants in order of their first grant, and the precedence of each.
  grants text[] not null default '{}',
  grants_from text[] collate "C" not null default '{}',
  status text not null generated always as (coalesce(decided[2], 'started')) stored,
  aid_a text generated always as (aid_a_offer[2]) stored,
  aid_b text generated always as (aid_b_offer[2]) stored,
  run_id text generated always as (run_offer[2]) stored,
  org_ids uuid[] not null default '{00000000-0000-8000-8000-000000000001}',
  -- To the millisecond, which is what cursors carry.
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (session_id, log_id)
);
-- statement
create index handshake_sessions_order on handshake_sessions (created_at desc, session_id desc);
-- statement
create index handshake_sessions_status on handshake_sessions (status, created_at desc, session_id desc);
-- statement
create index handshake_sessions_run on handshake_sessions (run_id, created_at desc, session_id desc)
  where run_id is not null;
-- statement
create index handshake_sessions_aid_a on handshake_sessions (aid_a, created_at desc, session_id desc)
  where aid_a is not null;
-- statement
create index handshake_sessions_aid_b on handshake_sessions (aid_b, created_at desc, session_id desc)
  where aid_b is not null;
-- statement
-- Observed TCTs. Whether one is revoked is looked up in `revocation_facts` when it is read.
create table issued_tcts (
  -- The issuer's AID in one spelling, or the reported text when that is no AID.
  issuer_key text collate "C" not null,
  jti uuid not null,
  log_id smallint not null,
  issuer_aid text not null,
  subject_aid text not null,
  -- Claims; null while nobody has reported them.
  aud text,
  grants jsonb,
  binding_cnf text,
  iat timestamptz,
  expires_at timestamptz,
  session_id text,
  token_sha256 text,
  -- Of the best report: one whose signature was verified before all others, then the earliest.
  precedence text collate "C" not null,
  reported_ts timestamptz not null,
  reported_by text not null,
  event_seq bigint not null,
  -- Precedence of the claims that come from another report, by claim; null when there is none.
  filled jsonb,
  token_checked boolean not null,
  -- Reports differ in a claim: see artifact_conflicts.
  conflict boolean not null,
  audience_aid text not null generated always as (coalesce(aud, subject_aid)) stored,
  issued_at timestamptz not null generated always as (coalesce(iat, reported_ts)) stored,
  -- True: the signature covers everything but the session. Null: no token was seen.
  signature_verified boolean generated always as
    (case when left(precedence, 1) = '0' then true when token_checked then false end) stored,
  org_ids uuid[] not null default '{00000000-0000-8000-8000-000000000001}',
  created_at timestamptz not null,
  primary key (issuer_key, jti, log_id)
);
-- statement
create index issued_tcts_jti on issued_tcts (jti);
-- statement
create index issued_tcts_order on issued_tcts (issued_at desc, jti desc, issuer_key desc);
-- statement
create index issued_tcts_issuer on issued_tcts (issuer_aid, issued_at desc, jti desc, issuer_key desc);
-- statement
create index issued_tcts_subject on issued_tcts (subject_aid, issued_at desc, jti desc, issuer_key desc);
-- statement
create index issued_tcts_audience on issued_tcts (audience_aid, issued_at desc, jti desc, issuer_key desc);
-- statement
create index issued_tcts_session on issued_tcts (session_id, issued_at desc, jti desc, issuer_key desc)
  where session_id is not null;
-- statement
create index issued_tcts_grants on issued_tcts using gin (grants jsonb_path_ops);
-- statement
-- Observed delegations. Facts about `jti` itself are looked up when a row is read; those about its ancestors are kept.
create table delegations (
  jti uuid not null,
  log_id smallint not null,
  -- Another delegation, or the TCT at the root, seen or not.
  parent_jti uuid not null,
  delegator_aid text not null,
  delegatee_aid text not null,
  scope jsonb,
  iat timestamptz,
  expires_at timestamptz,
  token_sha256 text,
  -- Earliest fact about any ancestor.
  ancestor_revoked_at timestamptz,
  -- `jti` was made of the token's text; false once a report names it itself.
  synthetic boolean not null,
  -- As in issued_tcts.
  precedence text collate "C" not null,
  reported_ts timestamptz not null,
  reported_by text not null,
  event_seq bigint not null,
  filled jsonb,
  token_checked boolean not null,
  conflict boolean not null,
  issued_at timestamptz not null generated always as (coalesce(iat, reported_ts)) stored,
  signature_verified boolean generated always as
    (case when left(precedence, 1) = '0' then true when token_checked then false end) stored,
  org_ids uuid[] not null default '{00000000-0000-8000-8000-000000000001}',
  created_at timestamptz not null,
  primary key (jti, log_id)
);
-- statement
create index delegations_parent on delegations (parent_jti, issued_at desc, jti desc);
-- statement
create index delegations_order on delegations (issued_at desc, jti desc);
-- statement
create index delegations_delegator on delegations (delegator_aid, issued_at desc, jti desc);
-- statement
create index delegations_delegatee on delegations (delegatee_aid, issued_at desc, jti desc);
-- statement
-- Claims that lost against another report about the same TCT or delegation, the first nine values of each claim, the
-- winner included. A claim on
-- which a verified token is silent is kept here too: a row that is marked verified shows nothing else.
create table artifact_conflicts (
  kind text not null check (kind in ('tct', 'delegation')),
  -- Key of the row in dispute; `issuer_key` is empty for delegations.
  issuer_key text collate "C" not null,
  jti uuid not null,
  log_id smallint not null,
  claim text not null,
  -- SHA-256 of what is compared.
  value_hash bytea not null,
  value text not null,
  precedence text collate "C" not null,
  -- Who reported it first.
  event_id uuid not null generated always as (substr(precedence, 28, 36)::uuid) stored,
  primary key (jti, kind, issuer_key, log_id, claim, value_hash)
);
-- statement
-- What is known to be revoked, from when and according to whom, whether or not anything with that id was ever seen.
create table revocation_facts (
  jti uuid not null,
  -- An operator's entry, a reported event, the issuer's own verified list.
  source text not null check (source in ('operator', 'report', 'issuer')),
  -- Organisation that reported it; the default one for platform keys and for the service itself.
  owner uuid not null,
  log_id smallint not null,
  revoked_at timestamptz not null,
  reason text,
  -- Event of the earliest report.
  event_id uuid not null,
  event_seq bigint not null,
  primary key (jti, source, owner, log_id)
);
-- statement
-- What one event says about a session. `event` is its place in the append, from 1.
create type session_contribution_v1 as (
  event int,
  session_id text,
  started_at timestamptz,
  decided_precedence text,
  decided_status text,
  decided_at text,
  error text,
  precedence text,
  aid_a_precedence text,
  aid_a text,
  aid_b_precedence text,
  aid_b text,
  run_id text,
  namespace text,
  boundary text,
  grants jsonb,
  org_ids uuid[]
);
-- statement
-- What one event says about a TCT or delegation; its claims come as artifact_claim_v1.
create type artifact_contribution_v1 as (
  event int,
  kind text,
  issuer_key text,
  jti uuid,
  precedence text collate "C",
  token_checked boolean,
  synthetic boolean,
  reported_by text,
  org_ids uuid[]
);
-- statement
-- `artifact` is the place of the contribution in its array, from 1.
create type artifact_claim_v1 as (artifact int, claim text, value text);
-- statement
create type revocation_contribution_v1 as (
  event int,
  jti uuid,
  revoked_at timestamptz,
  reason text,
  event_id uuid,
  owner uuid
);
-- statement
-- Whether an event with this outcome projects: when it is new, and again when it is repeated as it was, which repairs.
create function projects_v1(p_outcomes text, p_event int) returns boolean
language sql immutable parallel safe as $$
  select substr(p_outcomes, p_event, 1) in ('n', 'd')
$$;
-- statement
create function project_sessions_v1(
  p_log smallint, p_now timestamptz, p_outcomes text, p_contributions session_contribution_v1[])
returns void
language plpgsql as $$
declare
  max_grants constant int := 1000;
begin
  with given as materialized (
    select c.* from unnest(p_contributions) as c where projects_v1(p_outcomes, c.event)
  ),
  -- Each grant with its first grant, of the sessions that get some.
  granted as (
    select o.session_id, o.value, min(o.precedence collate "C") as precedence
    from (
      select g.session_id, a.value, g.precedence || ' ' || lpad(a.n::text, 6, '0') as precedence
      from given g cross join jsonb_array_elements_text(g.grants) with ordinality as a (value, n)
      union all
      select g.session_id, a.value, a.precedence
      from (select distinct g.session_id from given g where g.grants is not null) as g
      cross join lateral (
        select s.grants, s.grants_from from handshake_sessions s
        where s.session_id = g.session_id and s.log_id = p_log offset 0
      ) as s
      cross join unnest(s.grants, s.grants_from) as a (value, precedence)
    ) as o
    group by o.session_id, o.value
  ),
  grants as (
    select
      r.session_id, array_agg(r.value order by r.precedence) as list,
      array_agg(r.precedence order by r.precedence) as precedences
    from (
      select g.*, row_number() over (partition by g.session_id order by g.precedence) as rank from granted g
    ) as r
    where r.rank <= max_grants
    group by r.session_id
  ),
  merged as (
    select
      g.session_id, min(g.started_at) as started_at,
      min(array[g.decided_precedence, g.decided_status, g.decided_at, g.error])
        filter (where g.decided_precedence is not null) as decided,
      min(array[g.aid_a_precedence, g.aid_a]) filter (where g.aid_a is not null) as aid_a_offer,
      min(array[g.aid_b_precedence, g.aid_b]) filter (where g.aid_b is not null) as aid_b_offer,
      min(array[g.precedence, g.run_id]) filter (where g.run_id is not null) as run_offer,
      min(array[g.precedence, g.namespace]) filter (where g.namespace is not null) as namespace_offer,
      min(array[g.precedence, g.boundary]) filter (where g.boundary is not null) as boundary_offer,
      union_of_orgs_v1(g.org_ids) as org_ids
    from given g
    group by g.session_id
  )
  insert into handshake_sessions as s (
    session_id, log_id, started_at, decided, aid_a_offer, aid_b_offer, run_offer, namespace_offer, boundary_offer,
    grants, grants_from, org_ids, created_at, updated_at)
  select
    m.session_id, p_log, m.started_at, m.decided, m.aid_a_offer, m.aid_b_offer, m.run_offer, m.namespace_offer,
    m.boundary_offer, coalesce(g.list, '{}'), coalesce(g.precedences, '{}'), m.org_ids, p_now, p_now
  from merged m left join grants g on g.session_id = m.session_id
  on conflict (session_id, log_id) do update set
    started_at = least(s.started_at, excluded.started_at),
    decided = least(s.decided, excluded.decided),
    aid_a_offer = least(s.aid_a_offer, excluded.aid_a_offer),
    aid_b_offer = least(s.aid_b_offer, excluded.aid_b_offer),
    run_offer = least(s.run_offer, excluded.run_offer),
    namespace_offer = least(s.namespace_offer, excluded.namespace_offer),
    boundary_offer = least(s.boundary_offer, excluded.boundary_offer),
    grants = case when excluded.grants = '{}' then s.grants else excluded.grants end,
    grants_from = case when excluded.grants = '{}' then s.grants_from else excluded.grants_from end,
    org_ids = union_of_orgs_v1(s.org_ids, excluded.org_ids),
    updated_at = excluded.updated_at
  where least(s.started_at, excluded.started_at) is distinct from s.started_at
    or least(s.decided, excluded.decided) is distinct from s.decided
    or least(s.aid_a_offer, excluded.aid_a_offer) is distinct from s.aid_a_offer
    or least(s.aid_b_offer, excluded.aid_b_offer) is distinct from s.aid_b_offer
    or least(s.run_offer, excluded.run_offer) is distinct from s.run_offer
    or least(s.namespace_offer, excluded.namespace_offer) is distinct from s.namespace_offer
    or least(s.boundary_offer, excluded.boundary_offer) is distinct from s.boundary_offer
    or (excluded.grants <> '{}' and excluded.grants_from <> s.grants_from)
    or not s.org_ids @> excluded.org_ids;
end
$$;
-- statement
-- A time as contributions carry it.
create function iso_v1(p_at timestamptz) returns text
language sql stable parallel safe as $$
  select to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
-- statement
-- What is compared of a claim: both Ed25519 spellings of a party are one.
create function compared_v1(p_claim text, p_value text) returns text
language sql immutable parallel safe as $$
  select case
    when p_value like 'aid:pubkey:ed25519:%' and p_claim in ('issuer', 'subject', 'audience', 'delegator', 'delegatee')
      then 'aid:pubkey:' || substr(p_value, 20)
    else p_value
  end
$$;
-- statement
-- Merges reports about TCTs and delegations, claim by claim. Gives the delegations that are new and those that have
-- another parent than before.
create function project_artifacts_v1(
  p_log smallint, p_now timestamptz, p_seqs bigint[], p_outcomes text, p_artifacts artifact_contribution_v1[],
  p_claims artifact_claim_v1[], out added uuid[], out moved uuid[])
language plpgsql as $$
declare
  max_values constant int := 9;
begin
  with given as materialized (
    select a.*, p_seqs[a.event] as seq
    from unnest(p_artifacts) with ordinality as a
    where projects_v1(p_outcomes, a.event)
  ),
  -- What these reports are about; `n` stands for the key from here on.
  touched as materialized (
    select
      g.kind, g.issuer_key, g.jti, row_number() over () as n, min(g.precedence) as precedence,
      bool_or(g.token_checked) as token_checked, bool_and(g.synthetic) as synthetic,
      union_of_orgs_v1(g.org_ids) as org_ids,
      min(array[g.precedence, g.reported_by, g.seq::text]) as reported
    from given g
    group by g.kind, g.issuer_key, g.jti
  ),
  tct as materialized (
    select k.n, t.*
    from touched k cross join lateral (
      select t.* from issued_tcts t
      where t.issuer_key = k.issuer_key and t.jti = k.jti and t.log_id = p_log offset 0
    ) as t
    where k.kind = 'tct'
  ),
  delegation as materialized (
    select k.n, d.*
    from touched k cross join lateral (
      select d.* from delegations d where d.jti = k.jti and d.log_id = p_log offset 0
    ) as d
    where k.kind = 'delegation'
  ),
  loser as materialized (
    select k.n, x.*
    from touched k cross join lateral (
      select x.claim, x.value, x.value_hash, x.precedence, x.ctid as place from artifact_conflicts x
      where x.jti = k.jti and x.kind = k.kind and x.issuer_key = k.issuer_key and x.log_id = p_log offset 0
    ) as x
  ),
  -- The best report of each, now or before.
  best as materialized (
    select k.n, least(k.precedence, t.precedence, d.precedence) as precedence
    from touched k left join tct t on t.n = k.n left join delegation d on d.n = k.n
  ),
  -- Every value that was ever offered for a claim of these: now, by the rows, and by those that lost.
  offered (n, claim, offer) as (
    select k.n, c.claim, array[g.precedence, v.value]
    from given g
    join touched k on k.jti = g.jti and k.issuer_key = g.issuer_key and k.kind = g.kind
    join unnest(p_claims) as c on c.artifact = g.ordinality
    cross join lateral (
      select case when c.claim in ('grants', 'scope') then c.value::jsonb::text else c.value end
    ) as v (value)
    union all
    select t.n, c.claim, array[coalesce(t.filled ->> c.claim, t.precedence) collate "C", c.value]
    from tct t cross join lateral (values
      ('issuer', t.issuer_aid), ('subject', t.subject_aid), ('audience', t.aud), ('grants', t.grants::text),
      ('bindingCnf', t.binding_cnf), ('issuedAt', iso_v1(t.iat)), ('expiresAt', iso_v1(t.expires_at)),
      ('sessionId', t.session_id), ('token', t.token_sha256)
    ) as c (claim, value)
    where c.value is not null
    union all
    select d.n, c.claim, array[coalesce(d.filled ->> c.claim, d.precedence) collate "C", c.value]
    from delegation d cross join lateral (values
      ('parent', d.parent_jti::text), ('delegator', d.delegator_aid), ('delegatee', d.delegatee_aid),
      ('scope', d.scope::text), ('issuedAt', iso_v1(d.iat)), ('expiresAt', iso_v1(d.expires_at)),
      ('token', d.token_sha256)
    ) as c (claim, value)
    where c.value is not null
    union all
    select l.n, l.claim, array[l.precedence, l.value] from loser l
  ),
  judged as materialized (
    select
      r.n, r.claim, r.compared, r.offer, r.rank, b.precedence as best,
      -- Beside a verified token hearsay fills nothing but the session, which no token names.
      r.rank = 1 and (r.claim = 'sessionId' or left(r.offer[1], 1) = left(b.precedence, 1)) as wins
    from (
      select
        o.n, o.claim, compared_v1(o.claim, o.offer[2]) as compared, min(o.offer) as offer,
        row_number() over (partition by o.n, o.claim order by min(o.offer)) as rank
      from offered o
      group by o.n, o.claim, compared_v1(o.claim, o.offer[2])
    ) as r
    join best b on b.n = r.n
  ),
  merged as materialized (
    select
      j.n, j.best, bool_or(j.rank > 1 and j.claim not in ('issuer', 'token')) as conflict,
      jsonb_object_agg(j.claim, j.offer[1]) filter (where j.wins and j.offer[1] <> j.best) as filled,
      jsonb_object_agg(j.claim, j.offer[2]) filter (where j.wins) as claims
    from judged j
    group by j.n, j.best
  ),
  found_again as (
    delete from artifact_conflicts x using (
      select l.place
      from loser l
      join judged j
        on j.n = l.n and j.claim = l.claim and sha256(convert_to(j.compared, 'UTF8')) = l.value_hash
      where j.wins or j.rank > max_values
    ) as l
    where x.ctid = l.place
  ),
  lost as (
    insert into artifact_conflicts as x (kind, issuer_key, jti, log_id, claim, value_hash, value, precedence)
    select
      k.kind, k.issuer_key, k.jti, p_log, j.claim, sha256(convert_to(j.compared, 'UTF8')), j.offer[2], j.offer[1]
    from judged j join touched k on k.n = j.n
    where not j.wins and j.rank <= max_values and j.claim not in ('issuer', 'token')
    on conflict (jti, kind, issuer_key, log_id, claim, value_hash) do update
      set value = excluded.value, precedence = excluded.precedence
      where excluded.precedence < x.precedence
  ),
  tcts as (
    insert into issued_tcts as t (
      issuer_key, jti, log_id, issuer_aid, subject_aid, aud, grants, binding_cnf, iat, expires_at, session_id,
      token_sha256, precedence, reported_ts, reported_by, event_seq, filled, token_checked, conflict, org_ids,
      created_at)
    select
      k.issuer_key, k.jti, p_log, m.claims ->> 'issuer', m.claims ->> 'subject', m.claims ->> 'audience',
      (m.claims ->> 'grants')::jsonb, m.claims ->> 'bindingCnf', (m.claims ->> 'issuedAt')::timestamptz,
      (m.claims ->> 'expiresAt')::timestamptz, m.claims ->> 'sessionId', m.claims ->> 'token', m.best,
      substr(m.best, 3, 24)::timestamptz, k.reported[2], k.reported[3]::bigint, m.filled, k.token_checked, m.conflict, k.org_ids, p_now
    from merged m join touched k on k.n = m.n
    where k.kind = 'tct'
    on conflict (issuer_key, jti, log_id) do update set
      issuer_aid = excluded.issuer_aid, subject_aid = excluded.subject_aid, aud = excluded.aud,
      grants = excluded.grants, binding_cnf = excluded.binding_cnf, iat = excluded.iat,
      expires_at = excluded.expires_at, session_id = excluded.session_id, token_sha256 = excluded.token_sha256,
      precedence = excluded.precedence, reported_ts = excluded.reported_ts,
      reported_by = case when excluded.precedence < t.precedence then excluded.reported_by else t.reported_by end,
      event_seq = case when excluded.precedence < t.precedence then excluded.event_seq else t.event_seq end,
      filled = excluded.filled, token_checked = t.token_checked or excluded.token_checked,
      conflict = excluded.conflict, org_ids = union_of_orgs_v1(t.org_ids, excluded.org_ids)
    -- No value changes without one of these.
    where (excluded.precedence, excluded.filled, excluded.conflict) is distinct from (t.precedence, t.filled, t.conflict)
      or excluded.token_checked > t.token_checked or not t.org_ids @> excluded.org_ids
  ),
  placed as (
    insert into delegations as d (
      jti, log_id, parent_jti, delegator_aid, delegatee_aid, scope, iat, expires_at, token_sha256, synthetic,
      precedence, reported_ts, reported_by, event_seq, filled, token_checked, conflict, org_ids, created_at)
    select
      k.jti, p_log, (m.claims ->> 'parent')::uuid, m.claims ->> 'delegator', m.claims ->> 'delegatee',
      (m.claims ->> 'scope')::jsonb, (m.claims ->> 'issuedAt')::timestamptz,
      (m.claims ->> 'expiresAt')::timestamptz, m.claims ->> 'token', k.synthetic, m.best,
      substr(m.best, 3, 24)::timestamptz, k.reported[2], k.reported[3]::bigint, m.filled, k.token_checked, m.conflict, k.org_ids, p_now
    from merged m join touched k on k.n = m.n
    where k.kind = 'delegation'
    on conflict (jti, log_id) do update set
      parent_jti = excluded.parent_jti, delegator_aid = excluded.delegator_aid,
      delegatee_aid = excluded.delegatee_aid, scope = excluded.scope, iat = excluded.iat,
      expires_at = excluded.expires_at, token_sha256 = excluded.token_sha256,
      synthetic = d.synthetic and excluded.synthetic, precedence = excluded.precedence,
      reported_ts = excluded.reported_ts,
      reported_by = case when excluded.precedence < d.precedence then excluded.reported_by else d.reported_by end,
      event_seq = case when excluded.precedence < d.precedence then excluded.event_seq else d.event_seq end,
      filled = excluded.filled, token_checked = d.token_checked or excluded.token_checked,
      conflict = excluded.conflict, org_ids = union_of_orgs_v1(d.org_ids, excluded.org_ids)
    where (excluded.precedence, excluded.filled, excluded.conflict) is distinct from (d.precedence, d.filled, d.conflict)
      or excluded.token_checked > d.token_checked or excluded.synthetic < d.synthetic
      or not d.org_ids @> excluded.org_ids
  )
  select
    array_agg(k.jti) filter (where d.jti is null),
    array_agg(k.jti) filter (where d.parent_jti <> (m.claims ->> 'parent')::uuid)
  into added, moved
  from merged m join touched k on k.n = m.n left join delegation d on d.n = m.n
  where k.kind = 'delegation';
end
$$;
-- statement
-- Records revocations; gives the ids whose earliest time is new.
create function project_revocations_v1(
  p_log smallint, p_seqs bigint[], p_outcomes text, p_contributions revocation_contribution_v1[])
returns uuid[]
language plpgsql as $$
declare
  revoked uuid[];
begin
  with first as (
    select distinct on (r.jti, r.owner) r.*
    from unnest(p_contributions) as r
    where projects_v1(p_outcomes, r.event)
    order by r.jti, r.owner, r.revoked_at, r.event_id
  ),
  recorded as (
    insert into revocation_facts as f (jti, source, owner, log_id, revoked_at, reason, event_id, event_seq)
    select r.jti, 'report', r.owner, p_log, r.revoked_at, r.reason, r.event_id, p_seqs[r.event]
    from first r
    on conflict (jti, source, owner, log_id) do update set
      revoked_at = excluded.revoked_at, reason = excluded.reason, event_id = excluded.event_id,
      event_seq = excluded.event_seq
    where (excluded.revoked_at, excluded.event_id) < (f.revoked_at, f.event_id)
    returning f.jti
  )
  select array_agg(distinct jti) into revoked from recorded;
  return revoked;
end
$$;
-- statement
-- Brings `ancestor_revoked_at` up to date after facts about `p_revoked` were recorded, `p_added` were inserted and
-- `p_moved` got other parents. A child is never revoked later than its parent, so what is known spreads downwards until
-- it meets something earlier. Touches only rows below the given ones; a cycle of parents ends where it began.
create function cascade_revocations_v1(p_log smallint, p_revoked uuid[], p_added uuid[], p_moved uuid[]) returns void
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
    select c.jti, c.at
    from (
      select
        d.jti,
        least(
          (select min(f.revoked_at) from revocation_facts f where f.jti = d.parent_jti and f.log_id = p_log),
          (select p.ancestor_revoked_at from delegations p where p.jti = d.parent_jti and p.log_id = p_log)) as at
      from unnest(unsettled) as u (jti)
      cross join lateral (
        select d.jti, d.parent_jti from delegations d where d.jti = u.jti and d.log_id = p_log offset 0
      ) as d
      union all
      select d.jti, (select min(f.revoked_at) from revocation_facts f where f.jti = r.jti and f.log_id = p_log)
      from unnest(p_revoked) as r (jti)
      cross join lateral (
        select d.jti from delegations d where d.parent_jti = r.jti and d.log_id = p_log offset 0
      ) as d
    ) as c
    where c.at is not null
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
-- events of this call; those of an event that turns out to be known with other content change nothing.
create function append_v2(
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
    end if;
    if p_revocations is not null then
      revoked := project_revocations_v1(p_log, appended.seqs, appended.outcomes, p_revocations);
    end if;
    if added is not null or moved is not null or revoked is not null then
      perform cascade_revocations_v1(p_log, revoked, added, moved);
    end if;
  end if;
  return query select appended.status, appended.epoch, appended.head, appended.seqs, appended.outcomes;
end
$$;
