-- Nearly every TCT and delegation is told once, and stored as told. Merging claims, which takes several times as long under
-- the head row, is kept for those told before, or more than once in one append.

-- What projected artifacts until now.
alter function project_artifacts_v1(
  smallint, timestamptz, bigint[], text, artifact_contribution_v1[], artifact_claim_v1[])
  rename to merge_artifacts_v1;
-- statement
-- In its place: the same arguments and answer. Whoever appends calls it by this name.
create function project_artifacts_v1(
  p_log smallint, p_now timestamptz, p_seqs bigint[], p_outcomes text, p_artifacts artifact_contribution_v1[],
  p_claims artifact_claim_v1[], out added uuid[], out moved uuid[])
language plpgsql as $$
declare
  known int[];
  merged record;
begin
  with given as materialized (
    select a.*, p_seqs[a.event] as seq, count(*) over (partition by a.jti, a.kind, a.issuer_key) as reports
    from unnest(p_artifacts) with ordinality as a
    where projects_v1(p_outcomes, a.event)
  ),
  told as materialized (
    select c.artifact, jsonb_object_agg(c.claim, c.value) as claims from unnest(p_claims) as c group by c.artifact
  ),
  -- Whatever lost against a row that is gone would have to be weighed again.
  alone as materialized (
    select g.*, t.claims
    from given g join told t on t.artifact = g.ordinality
    where g.reports = 1 and (
      select x.jti from artifact_conflicts x
      where x.jti = g.jti and x.kind = g.kind and x.issuer_key = g.issuer_key and x.log_id = p_log limit 1) is null
  ),
  -- Nobody else writes while this call holds the head row: what conflicts was there before.
  tcts as (
    insert into issued_tcts (
      issuer_key, jti, log_id, issuer_aid, subject_aid, aud, grants, binding_cnf, iat, expires_at, session_id,
      token_sha256, precedence, reported_ts, reported_by, event_seq, token_checked, conflict, org_ids, created_at)
    select
      a.issuer_key, a.jti, p_log, a.claims ->> 'issuer', a.claims ->> 'subject', a.claims ->> 'audience',
      (a.claims ->> 'grants')::jsonb, a.claims ->> 'bindingCnf', (a.claims ->> 'issuedAt')::timestamptz,
      (a.claims ->> 'expiresAt')::timestamptz, a.claims ->> 'sessionId', a.claims ->> 'token', a.precedence,
      substr(a.precedence, 3, 24)::timestamptz, a.reported_by, a.seq, a.token_checked, false,
      a.org_ids, p_now
    from alone a where a.kind = 'tct'
    on conflict (issuer_key, jti, log_id) do nothing
    returning issuer_key, jti
  ),
  placed as (
    insert into delegations (
      jti, log_id, parent_jti, delegator_aid, delegatee_aid, scope, iat, expires_at, token_sha256, synthetic,
      precedence, reported_ts, reported_by, event_seq, token_checked, conflict, org_ids, created_at)
    select
      a.jti, p_log, (a.claims ->> 'parent')::uuid, a.claims ->> 'delegator', a.claims ->> 'delegatee',
      (a.claims ->> 'scope')::jsonb, (a.claims ->> 'issuedAt')::timestamptz,
      (a.claims ->> 'expiresAt')::timestamptz, a.claims ->> 'token', a.synthetic, a.precedence,
      substr(a.precedence, 3, 24)::timestamptz, a.reported_by, a.seq, a.token_checked, false,
      a.org_ids, p_now
    from alone a where a.kind = 'delegation'
    on conflict (jti, log_id) do nothing
    returning jti
  )
  select
    (select array_agg(p.jti) from placed p),
    (select array_agg(g.ordinality::int) from given g
     where case g.kind
       when 'tct' then (g.issuer_key, g.jti) not in (select t.issuer_key, t.jti from tcts t)
       else g.jti not in (select p.jti from placed p)
     end)
  into added, known;

  if known is not null then
    select v.added, v.moved into merged
    from merge_artifacts_v1(
      p_log, p_now, p_seqs, p_outcomes,
      (select array_agg(row(
         a.event, a.kind, a.issuer_key, a.jti, a.precedence, a.token_checked, a.synthetic, a.reported_by,
         a.org_ids)::artifact_contribution_v1 order by k.n)
       from unnest(known) with ordinality as k (place, n)
       join unnest(p_artifacts) with ordinality as a on a.ordinality = k.place),
      (select array_agg(row(k.n, c.claim, c.value)::artifact_claim_v1)
       from unnest(known) with ordinality as k (place, n) join unnest(p_claims) as c on c.artifact = k.place)) as v;
    added := added || merged.added;
    moved := merged.moved;
  end if;
end
$$;
