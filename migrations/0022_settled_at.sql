-- Settling counted the pause before the next attempt, and `delivered_at`, from the time the attempt began by the clock of the
-- replica: inside the statement `at` was that column of the result, not the variable of the same name. A replica whose clock
-- was ahead put retries off for as long. The function as in 0011, with the database's clock for both.
create or replace function settle_deliveries_v1(
  p_process uuid, p_results webhook_result_v1[], p_threshold int, p_reset interval, p_slots int)
returns table (webhook_id uuid, settled uuid[], was text, state text, slots int)
language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
  settled_at timestamptz;
begin
  perform from webhook_breakers b
  where b.webhook_id = any(array(select distinct r.webhook_id from unnest(p_results) r))
  order by b.webhook_id
  for update;
  settled_at := clock_timestamp();
  return query
  with held as (
    update webhook_deliveries d set
      status = r.status, attempts = r.n, status_code = r.status_code, error = r.error,
      next_retry_at = case when r.status = 'pending' then settled_at + r.delay end,
      delivered_at = case when r.status = 'delivered' then settled_at end,
      claimed_by = null, claimed_until = null
    from unnest(p_results) with ordinality as r
    where d.id = r.delivery_id and d.claimed_by is not distinct from p_process and d.attempts = r.n - 1
    returning d.webhook_id, d.id, r.n, r.at, r.duration_ms, r.status_code, r.error, r.response, r.verdict, r.ordinality
  ),
  logged as (
    insert into webhook_attempts (delivery_id, n, at, duration_ms, status_code, error, response)
    select h.id, h.n, h.at, h.duration_ms, h.status_code, h.error, h.response from held h
  ),
  judged as materialized (
    select h.webhook_id, array_agg(h.id) as ids, array_agg(h.verdict order by h.ordinality) as verdicts
    from held h
    group by h.webhook_id
  ),
  changed as (
    update webhook_breakers b set
      state = n.state, failures = n.failures, consecutive_successes = n.consecutive_successes, opened_at = n.opened_at,
      next_probe_at = n.next_probe_at, probe_until = n.probe_until, failing_since = n.failing_since,
      last_failed_at = n.last_failed_at, slots = n.slots
    from judged j
    join webhook_breakers o on o.webhook_id = j.webhook_id
    cross join lateral breaker_after_v1(o, j.verdicts, settled_at, p_threshold, p_reset, p_slots) as n
    where b.webhook_id = j.webhook_id
    returning b.webhook_id, o.state as was, b.state, b.slots
  )
  select j.webhook_id, j.ids, c.was, c.state, c.slots
  from judged j left join changed c on c.webhook_id = j.webhook_id;
end
$$;
