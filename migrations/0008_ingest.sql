-- Appends the events of several requests and completes the idempotency keys of these requests in the same transaction.

-- `p_requests` names the request of each event by its place in `p_completions` (from 1), where a request without a key is
-- null. Status `lost` means that requests, `lost` names them, no longer hold their keys: nothing was stored, call again
-- without them. Otherwise as append_v2. The facts added to each completion are what became of its events.
create function ingest_v1(
  p_log smallint, p_directory_version bigint, p_events ledger_event_v1[], p_sessions session_contribution_v1[],
  p_artifacts artifact_contribution_v1[], p_claims artifact_claim_v1[], p_revocations revocation_contribution_v1[],
  p_requests int[], p_completions idempotency_completion_v1[])
returns table (status text, epoch text, head bigint, seqs bigint[], outcomes text, lost int[])
language plpgsql as $$
#variable_conflict use_column
declare
  gone int[];
  appended record;
  facts jsonb[];
begin
  perform from log_head h where h.log_id = p_log for update;
  gone := lost_idempotency_v1(p_completions);
  if cardinality(gone) > 0 then
    return query select 'lost', null::text, null::bigint, null::bigint[], null::text, gone;
    return;
  end if;
  select * into strict appended
  from append_v2(p_log, p_directory_version, p_events, p_sessions, p_artifacts, p_claims, p_revocations);
  if appended.status = 'ok' then
    select array_agg(said order by request) into facts from (
      select r.place as request, jsonb_build_object(
        'inserted', count(*) filter (where stored),
        'duplicates', count(*) filter (where not stored),
        'position', appended.epoch || '.' || max(seq) filter (where stored)) as said
      from generate_subscripts(p_completions, 1) as r (place)
      left join lateral (
        select e.seq, substr(appended.outcomes, e.n::int, 1) = 'n' as stored
        from unnest(appended.seqs, p_requests) with ordinality as e (seq, request, n)
        where e.request = r.place) as mine on true
      group by r.place) as counted;
    perform complete_idempotency_many_v1(p_completions, facts);
  end if;
  return query select appended.status, appended.epoch, appended.head, appended.seqs, appended.outcomes, gone;
end
$$;
